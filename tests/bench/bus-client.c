/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-client.h"

#include <errno.h>
#include <stdbool.h>

#include "backend.h"
#include "base/cleanup.h"
#include "measure.h"

#define CALL_TIMEOUT_USEC (120 * UINT64_C(1000000))

static sd_bus *bus;

int bus_client_connect(void) {
        int r = sd_bus_open_system(&bus);

        return r < 0 ? log_error(r, "cannot connect to the bus") : 0;
}

void bus_client_disconnect(void) {
        bus = sd_bus_flush_close_unref(bus);
}

sd_bus *bus_client_bus(void) {
        return bus;
}

int bus_client_new(const char *name, const char *path, const char *interface, const char *member, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(bus, ret, name, path, interface, member);

        return r < 0 ? log_error(r, "cannot make a call of %s", member) : 0;
}

int bus_client_send(sd_bus_message *message, sd_bus_message **ret_reply) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call(bus, message, CALL_TIMEOUT_USEC, &error, ret_reply);
        if (r < 0)
                return log_error(r, "%s on %s: %s", sd_bus_message_get_member(message), sd_bus_message_get_path(message),
                                 error.message);
        return 0;
}

int bus_client_call(const char *name, const char *path, const char *interface, const char *member, const char *types) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(name, path, interface, member, &message);
        if (r < 0)
                return r;
        r = bus_client_send(message, &reply);
        if (r < 0)
                return r;
        r = types ? sd_bus_message_skip(reply, types) : 0;
        return r < 0 ? log_error(r, "%s: bad reply", member) : 0;
}

int bus_client_get(const char *name, const char *path, const char *interface, const char *member, const char *type) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(name, path, "org.freedesktop.DBus.Properties", "Get", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ss", interface, member);
        if (r < 0)
                return log_error(r, "%s", member);
        r = bus_client_send(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'v', type);
        if (r < 0)
                return log_error(r, "%s: bad reply", member);
        return 0;
}

/* Leaves the position behind the object's interfaces; tells whether "interface" is among them. */
static int read_object(sd_bus_message *reply, const char *interface) {
        bool has = false;
        int r;

        r = sd_bus_message_skip(reply, "o");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, 'e', "sa{sv}")) > 0) {
                const char *name;

                r = sd_bus_message_read(reply, "s", &name);
                if (r < 0)
                        return r;
                has = has || strcmp(name, interface) == 0;
                r = sd_bus_message_skip(reply, "a{sv}");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(reply);
        return r < 0 ? r : has;
}

static int read_objects(sd_bus_message *reply, const char *interface, unsigned *ret_n) {
        unsigned n = 0;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                r = read_object(reply, interface);
                if (r < 0)
                        return r;
                n += (unsigned) r;
                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret_n = n;
        return 0;
}

int bus_client_managed_objects(const char *name, const char *path, const char *interface, unsigned *ret_n,
                               uint64_t *ret_replied) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r;

        r = bus_client_new(name, path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &message);
        if (r < 0)
                return r;
        r = bus_client_send(message, &reply);
        if (r < 0)
                return r;
        *ret_replied = now_nsec();
        r = read_objects(reply, interface, ret_n);
        return r < 0 ? log_error(r, "GetManagedObjects: bad reply") : 0;
}
