/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemud on the system bus. */

#include <glib.h>

#include "backend.h"
#include "base/cleanup.h"
#include "bus-client.h"

#define NAME "org.virtbus.Qemu1"
#define ROOT_PATH "/org/virtbus/Qemu1"
#define HYPERVISOR_INTERFACE "org.virtbus.Hypervisor1"
#define DOMAIN_INTERFACE "org.virtbus.Domain1"
#define DOMAIN_PATH ROOT_PATH "/domain/_" DOMAIN_PATH_FORMAT

static int virtbus_ping(void) {
        return bus_client_call(NAME, ROOT_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL);
}

static int virtbus_first(void) {
        return bus_client_get(NAME, ROOT_PATH, "org.virtbus.Daemon1", "Version", "s");
}

static int virtbus_property(unsigned index) {
        g_autofree char *path = g_strdup_printf(DOMAIN_PATH, index);

        return bus_client_get(NAME, path, DOMAIN_INTERFACE, "State", "s");
}

static int virtbus_list(unsigned *ret_n, uint64_t *ret_replied) {
        return bus_client_managed_objects(NAME, ROOT_PATH, DOMAIN_INTERFACE, ret_n, ret_replied);
}

/* "path" is the one domain asked for, or NULL for all. */
static int get_stats(const char *path, StatsGroup group, unsigned *ret_n) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        unsigned n = 0;
        int r;

        r = bus_client_new(NAME, ROOT_PATH, HYPERVISOR_INTERFACE, "GetStats", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ao", path ? 1 : 0, path);
        if (r >= 0 && group == STATS_STATE)
                r = sd_bus_message_append(message, "a{sv}", 1, "groups", "as", 1, "state");
        else if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 1, "fresh", "b", true);
        if (r < 0)
                return log_error(r, "GetStats");
        r = bus_client_send(message, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, 'a', "(oa{sv})");
        while (r >= 0 && (r = sd_bus_message_at_end(reply, false)) == 0) {
                r = sd_bus_message_skip(reply, "(oa{sv})");
                n++;
        }
        if (r < 0)
                return log_error(r, "GetStats: bad reply");
        *ret_n = n;
        return 0;
}

static int virtbus_state(unsigned index) {
        g_autofree char *path = g_strdup_printf(DOMAIN_PATH, index);
        unsigned n;

        return get_stats(path, STATS_STATE, &n);
}

static int virtbus_stats(StatsGroup group, unsigned *ret_n) {
        return get_stats(NULL, group, ret_n);
}

static int virtbus_define(unsigned index, const char *xml) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(NAME, ROOT_PATH, HYPERVISOR_INTERFACE, "Define", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "sa{sv}", xml, 0);
        return r < 0 ? log_error(r, "Define") : bus_client_send(message, &reply);
}

static int virtbus_create(unsigned index, const char *xml, bool paused) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(NAME, ROOT_PATH, HYPERVISOR_INTERFACE, "Create", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "sa{sh}a{sv}", xml, 0, 1, "paused", "b", (int) paused);
        return r < 0 ? log_error(r, "Create") : bus_client_send(message, &reply);
}

static int call_on_domain(unsigned index, const char *member) {
        g_autofree char *path = g_strdup_printf(DOMAIN_PATH, index);
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(NAME, path, DOMAIN_INTERFACE, member, &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? log_error(r, "%s", member) : bus_client_send(message, &reply);
}

static int virtbus_undefine(unsigned index) {
        return call_on_domain(index, "Undefine");
}

static int virtbus_destroy(unsigned index) {
        return call_on_domain(index, "Destroy");
}

static int virtbus_capabilities(const char *emulator) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(NAME, ROOT_PATH, HYPERVISOR_INTERFACE, "GetDomainCapabilities", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "a{sv}", 3, "emulator", "s", emulator, "machine", "s", "pc", "virttype", "s", "qemu");
        return r < 0 ? log_error(r, "GetDomainCapabilities") : bus_client_send(message, &reply);
}

const Backend virtbus_backend = {
        .name = "virtbus",
        .unit = "virtqemud.service",
        .connect = bus_client_connect,
        .disconnect = bus_client_disconnect,
        .ping = virtbus_ping,
        .first = virtbus_first,
        .state = virtbus_state,
        .property = virtbus_property,
        .list = virtbus_list,
        .stats = virtbus_stats,
        .define = virtbus_define,
        .undefine = virtbus_undefine,
        .create = virtbus_create,
        .destroy = virtbus_destroy,
        .capabilities = virtbus_capabilities,
};
