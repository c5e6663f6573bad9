/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetCapabilities: gathers what the format needs, which is the host (read in a worker, as on large hosts it is
 * thousands of small files) and every emulator on it, a few at a time. */

#include <assert.h>

#include "base/log.h"
#include "base/worker.h"
#include "qemu/capabilities-private.h"
#include "qemu/capabilities-xml.h"

/* A host may have thirty emulators installed; more at once than there are cores gains nothing. */
#define ASKED_AT_ONCE_MAX 2u

/* One emulator that is asked. */
typedef struct Asked {
        QemuCapabilitiesXmlRequest *request;
        const QemuEmulator *emulator;
        QemuCapabilitiesRequest *asking;
        QemuCapabilities *capabilities;
} Asked;

struct QemuCapabilitiesXmlRequest {
        QemuCapabilitiesManager *manager;
        QemuCapabilitiesXmlCallback callback;
        void *userdata;

        VbWorker *worker;
        VbHost *host;
        GPtrArray *emulators;
        Asked *asked;
        size_t n_started, n_answered;
        sd_bus_error error; /* the first emulator's that could not be asked */
};

static QemuCapabilitiesXmlRequest *request_new(QemuCapabilitiesManager *manager,
                                               QemuCapabilitiesXmlCallback callback, void *userdata) {
        QemuCapabilitiesXmlRequest *request = g_new0(QemuCapabilitiesXmlRequest, 1);

        request->manager = manager;
        request->callback = callback;
        request->userdata = userdata;
        return request;
}

QemuCapabilitiesXmlRequest *qemu_capabilities_xml_request_free(QemuCapabilitiesXmlRequest *request) {
        if (!request)
                return NULL;

        for (size_t i = 0; i < request->n_started; i++) {
                qemu_capabilities_request_free(request->asked[i].asking);
                qemu_capabilities_unref(request->asked[i].capabilities);
        }
        g_free(request->asked);
        if (request->emulators)
                g_ptr_array_unref(request->emulators);
        vb_worker_free(request->worker);
        vb_host_free(request->host);
        sd_bus_error_free(&request->error);
        g_free(request);
        return NULL;
}

/* --- The host --- */

static void host_answer(QemuCapabilitiesXmlRequest *request) {
        g_autofree QemuGuestKind *guests = g_new0(QemuGuestKind, request->emulators->len + 1);
        g_autofree char *xml = NULL;
        size_t n = 0;
        uid_t uid;
        gid_t gid;

        for (size_t i = 0; i < request->n_started; i++)
                if (request->asked[i].capabilities)
                        guests[n++] =
                                (QemuGuestKind){ request->asked[i].emulator, request->asked[i].capabilities };
        if (n == 0 && sd_bus_error_is_set(&request->error)) {
                request->callback(NULL, &request->error, request->userdata);
                return;
        }
        qemu_capabilities_manager_get_owner(request->manager, &uid, &gid);
        xml = qemu_host_capabilities_format(request->host, guests, n, uid, gid);
        request->callback(xml, NULL, request->userdata); /* may have freed the request */
}

static void host_ask_more(QemuCapabilitiesXmlRequest *request);

static void host_go_on(QemuCapabilitiesXmlRequest *request) {
        if (request->n_answered < request->emulators->len)
                host_ask_more(request);
        if (request->host && request->n_answered == request->emulators->len)
                host_answer(request);
}

static void asked_take(Asked *asked, QemuCapabilities *capabilities, const sd_bus_error *error) {
        QemuCapabilitiesXmlRequest *request = asked->request;

        request->n_answered++;
        if (capabilities) {
                asked->capabilities = qemu_capabilities_ref(capabilities);
                return;
        }
        vb_log_warning("capabilities without one emulator: %s", error->message);
        if (!sd_bus_error_is_set(&request->error))
                (void) sd_bus_error_copy(&request->error, error);
}

static void on_emulator(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        Asked *asked = userdata;

        asked_take(asked, capabilities, error);
        host_go_on(asked->request);
}

static void host_ask_more(QemuCapabilitiesXmlRequest *request) {
        while (request->n_started < request->emulators->len &&
               request->n_started - request->n_answered < ASKED_AT_ONCE_MAX) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                Asked *asked = &request->asked[request->n_started++];

                asked->request = request;
                asked->emulator = request->emulators->pdata[asked - request->asked];
                if (qemu_capabilities_get(request->manager, asked->emulator->path, on_emulator, asked,
                                          &asked->asking, &error) < 0)
                        asked_take(asked, NULL, &error);
        }
}

typedef struct HostWork {
        VbHost *host;
} HostWork;

static void host_work_free(gpointer data) {
        HostWork *work = data;

        vb_host_free(work->host);
        g_free(work);
}

static int load_host(void *data, sd_bus_error *reterr) {
        ((HostWork *) data)->host = vb_host_load("");
        return 0;
}

static void on_host(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuCapabilitiesXmlRequest *request = userdata;

        request->host = g_steal_pointer(&((HostWork *) data)->host);
        request->worker = vb_worker_free(request->worker);
        host_go_on(request);
}

int qemu_capabilities_get_host_xml(QemuCapabilitiesManager *manager, QemuCapabilitiesXmlCallback callback,
                                   void *userdata, QemuCapabilitiesXmlRequest **ret, sd_bus_error *reterr) {
        g_autoptr(QemuCapabilitiesXmlRequest) request = request_new(manager, callback, userdata);
        HostWork *work = g_new0(HostWork, 1);
        int r;

        request->emulators = qemu_capabilities_list_emulators(manager);
        request->asked = g_new0(Asked, request->emulators->len + 1);
        r = vb_worker_start(&request->worker, qemu_capabilities_manager_get_event(manager), load_host, work,
                            host_work_free, on_host, request, reterr);
        if (r < 0) {
                host_work_free(work);
                return r;
        }
        host_ask_more(request);
        *ret = g_steal_pointer(&request);
        return 0;
}
