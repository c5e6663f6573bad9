/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt-dbus, which puts libvirtd on the bus. It has no unit: the bus starts it by itself. */

#include <glib.h>

#include "backend.h"
#include "base/cleanup.h"
#include "bus-client.h"
#include "measure.h"

#define NAME "org.libvirt"
#define CONNECT_PATH "/org/libvirt/QEMU"
#define CONNECT_INTERFACE "org.libvirt.Connect"
#define DOMAIN_INTERFACE "org.libvirt.Domain"
#define DOMAIN_PATH CONNECT_PATH "/domain/_" DOMAIN_PATH_FORMAT

static int dbus_ping(void) {
        return bus_client_call(NAME, CONNECT_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL);
}

static int dbus_first(void) {
        return bus_client_get(NAME, CONNECT_PATH, CONNECT_INTERFACE, "LibVersion", "t");
}

static int new_domain_call(unsigned index, const char *member, sd_bus_message **ret) {
        g_autofree char *path = g_strdup_printf(DOMAIN_PATH, index);

        return bus_client_new(NAME, path, DOMAIN_INTERFACE, member, ret);
}

static int send_with_flags(sd_bus_message *message, sd_bus_message **ret_reply) {
        int r = sd_bus_message_append(message, "u", UINT32_C(0));

        return r < 0 ? log_error(r, "flags") : bus_client_send(message, ret_reply);
}

static int dbus_state(unsigned index) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r, state, reason;

        r = new_domain_call(index, "GetState", &message);
        if (r < 0)
                return r;
        r = send_with_flags(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "(ii)", &state, &reason);
        return r < 0 ? log_error(r, "GetState: bad reply") : 0;
}

static int dbus_property(unsigned index) {
        g_autofree char *path = g_strdup_printf(DOMAIN_PATH, index);

        return bus_client_get(NAME, path, DOMAIN_INTERFACE, "Active", "b");
}

/* The list's state calls are sent ahead of their replies, as many at once as the bus lets one connection have
 * outstanding (128 on the system bus), so that the round trips are not what is measured. */
#define MAX_PENDING 120

typedef struct Pending {
        unsigned open;
        int error;
} Pending;

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        Pending *pending = userdata;

        pending->open--;
        if (sd_bus_message_is_method_error(reply, NULL))
                pending->error = -sd_bus_message_get_errno(reply);
        return 0;
}

/* Returns when at most "most" replies are outstanding. */
static int await_states(Pending *pending, unsigned most) {
        while (pending->open > most) {
                int r = sd_bus_process(bus_client_bus(), NULL);

                if (r == 0)
                        r = sd_bus_wait(bus_client_bus(), UINT64_MAX);
                if (r < 0)
                        return r;
        }
        return pending->error;
}

static int ask_state(const char *path, Pending *pending) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = await_states(pending, MAX_PENDING - 1);
        if (r < 0)
                return r;
        r = bus_client_new(NAME, path, DOMAIN_INTERFACE, "GetState", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "u", UINT32_C(0));
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus_client_bus(), NULL, message, on_state, pending, UINT64_MAX);
        if (r < 0)
                return r;
        pending->open++;
        return 0;
}

static int dbus_list(unsigned *ret_n, uint64_t *ret_replied) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        Pending pending = {};
        const char *path;
        unsigned n = 0;
        int r;

        r = bus_client_new(NAME, CONNECT_PATH, CONNECT_INTERFACE, "ListDomains", &message);
        if (r < 0)
                return r;
        r = send_with_flags(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read(reply, "o", &path)) > 0) {
                n++;
                r = ask_state(path, &pending);
        }
        if (r >= 0)
                r = await_states(&pending, 0);
        if (r < 0)
                return log_error(r, "list");
        *ret_replied = now_nsec();
        *ret_n = n;
        return 0;
}

static int dbus_stats(StatsGroup group, unsigned *ret_n) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        unsigned n = 0;
        int r;

        r = bus_client_new(NAME, CONNECT_PATH, CONNECT_INTERFACE, "GetAllDomainStats", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "uu", group == STATS_STATE ? UINT32_C(1) : UINT32_C(0), UINT32_C(0));
        if (r < 0)
                return log_error(r, "stats");
        r = bus_client_send(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(sa{sv})");
        while (r >= 0 && (r = sd_bus_message_at_end(reply, false)) == 0) {
                r = sd_bus_message_skip(reply, "(sa{sv})");
                n++;
        }
        if (r < 0)
                return log_error(r, "GetAllDomainStats: bad reply");
        *ret_n = n;
        return 0;
}

static int call_with_xml(const char *member, const char *xml, uint32_t flags) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(NAME, CONNECT_PATH, CONNECT_INTERFACE, member, &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "su", xml, flags);
        if (r < 0)
                return log_error(r, "%s", member);
        return bus_client_send(message, &reply);
}

static int dbus_define(unsigned index, const char *xml) {
        return call_with_xml("DomainDefineXML", xml, 0);
}

static int dbus_create(unsigned index, const char *xml, bool paused) {
        return call_with_xml("DomainCreateXML", xml, paused ? 1 : 0);
}

static int call_plain(unsigned index, const char *member) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r = new_domain_call(index, member, &message);

        return r < 0 ? r : send_with_flags(message, &reply);
}

static int dbus_undefine(unsigned index) {
        return call_plain(index, "Undefine");
}

static int dbus_destroy(unsigned index) {
        return call_plain(index, "Destroy");
}

const Backend libvirt_dbus_backend = {
        .name = "libvirt-dbus",
        .connect = bus_client_connect,
        .disconnect = bus_client_disconnect,
        .ping = dbus_ping,
        .first = dbus_first,
        .state = dbus_state,
        .property = dbus_property,
        .list = dbus_list,
        .stats = dbus_stats,
        .define = dbus_define,
        .undefine = dbus_undefine,
        .create = dbus_create,
        .destroy = dbus_destroy,
};
