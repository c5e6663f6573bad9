/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/viewers.h"

#include "base/error.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/json.h"

enum {
        KEPT = 64, /* a SPICE client alone has a dozen channels, and each is told of three times */
        TEXT_MAX = 512,
};

typedef enum Text {
        SERVER_FAMILY,
        SERVER_NODE,
        SERVER_SERVICE,
        CLIENT_FAMILY,
        CLIENT_NODE,
        CLIENT_SERVICE,
        X509_NAME,
        SASL_USERNAME,
        _TEXT_MAX,
} Text;

/* Where it stands in the emulator's event. */
static const struct {
        const char *side, *key, *spice_key;
} sources[_TEXT_MAX] = {
        [SERVER_FAMILY] = { "server", "family" },
        [SERVER_NODE] = { "server", "host" },
        [SERVER_SERVICE] = { "server", "service", "port" },
        [CLIENT_FAMILY] = { "client", "family" },
        [CLIENT_NODE] = { "client", "host" },
        [CLIENT_SERVICE] = { "client", "service", "port" },
        [X509_NAME] = { "client", "x509_dname" },
        [SASL_USERNAME] = { "client", "sasl_username" },
};

typedef struct Viewer {
        char *texts[_TEXT_MAX];
} Viewer;

struct QemuViewers {
        uint64_t last; /* number */
        Viewer kept[KEPT]; /* by number; the place is the remainder */
};

/* The viewer herself says some of it, and the emulator may be a guest's creature: no more than a line of text is believed. */
static char *copy_text(VbJson *data, Text which) {
        VbJson *side = qemu_json_object(data, sources[which].side);
        const char *text = qemu_json_string(side, sources[which].key);

        if (!text && sources[which].spice_key)
                text = qemu_json_string(side, sources[which].spice_key);
        if (!text || strlen(text) > TEXT_MAX || !g_utf8_validate(text, -1, NULL))
                return g_strdup("");
        for (const char *c = text; *c; c++)
                if (g_ascii_iscntrl(*c))
                        return g_strdup("");
        return g_strdup(text);
}

uint64_t qemu_viewers_note(QemuViewers **viewers, VbJson *data) {
        Viewer *viewer;

        if (!*viewers) {
                *viewers = g_new0(QemuViewers, 1);
                /* Who asks after a restart of the daemon shall not be told of another one. */
                (*viewers)->last = (uint64_t) g_get_real_time();
        }
        viewer = &(*viewers)->kept[++(*viewers)->last % KEPT];
        for (Text i = 0; i < _TEXT_MAX; i++) {
                g_free(viewer->texts[i]);
                viewer->texts[i] = copy_text(data, i);
        }
        return (*viewers)->last;
}

static const Viewer *find(const QemuViewers *viewers, uint64_t number) {
        const Viewer *viewer;

        if (!viewers || number > viewers->last || viewers->last - number >= KEPT)
                return NULL;
        viewer = &viewers->kept[number % KEPT];
        return viewer->texts[0] ? viewer : NULL;
}

static int append_identities(const Viewer *viewer, sd_bus_message *reply) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ss)");
        if (r >= 0 && viewer->texts[X509_NAME][0] != '\0')
                r = sd_bus_message_append(reply, "(ss)", "x509-name", viewer->texts[X509_NAME]);
        if (r >= 0 && viewer->texts[SASL_USERNAME][0] != '\0')
                r = sd_bus_message_append(reply, "(ss)", "sasl-username", viewer->texts[SASL_USERNAME]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_viewer(const Viewer *viewer, sd_bus_message *reply) {
        char *const *texts = viewer->texts;
        int r;

        r = sd_bus_message_append(reply, "(sss)(sss)", texts[SERVER_FAMILY], texts[SERVER_NODE], texts[SERVER_SERVICE],
                                  texts[CLIENT_FAMILY], texts[CLIENT_NODE], texts[CLIENT_SERVICE]);
        return r < 0 ? r : append_identities(viewer, reply);
}

int qemu_on_get_display_client(VbCall *call, VbObject *object, const VbDomain1GetDisplayClientArgs *args, sd_bus_error *reterr) {
        const VbDomain *domain = vb_domain_of(object);
        const Viewer *viewer = find(qemu_domain_of(domain)->viewers, args->number);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        if (!viewer)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': nothing is known of viewer %" G_GUINT64_FORMAT " of its displays", domain->name,
                                         args->number);
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = append_viewer(viewer, reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

QemuViewers *qemu_viewers_free(QemuViewers *viewers) {
        if (!viewers)
                return NULL;

        for (size_t i = 0; i < KEPT; i++)
                for (Text j = 0; j < _TEXT_MAX; j++)
                        g_free(viewers->kept[i].texts[j]);
        g_free(viewers);
        return NULL;
}
