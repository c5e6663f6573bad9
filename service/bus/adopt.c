/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/adopt.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "bus/names.h"

enum {
        TURNS_MAX = 1000, /* a handshake takes about ten */
};

/* The stand-in at the other end of the handshake. */
typedef struct StandIn {
        sd_bus *bus;
        const char *unique_name; /* what it answers to Hello */
} StandIn;

static void stand_in_done(StandIn *stand_in) {
        sd_bus_close_unref(stand_in->bus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StandIn, stand_in_done)

static int on_hello(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        StandIn *stand_in = userdata;

        if (sd_bus_message_is_method_call(message, VB_DBUS_INTERFACE, "Hello") <= 0)
                return 0;
        return sd_bus_reply_method_return(message, "s", stand_in->unique_name);
}

static int start_stand_in(StandIn *stand_in, int fd, bool server) {
        sd_id128_t id;
        int r;

        r = sd_bus_new(&stand_in->bus);
        if (r >= 0)
                r = sd_bus_set_fd(stand_in->bus, fd, fd);
        if (r < 0) {
                vb_close(fd);
                return r;
        }
        r = sd_id128_randomize(&id);
        if (r >= 0 && server)
                r = sd_bus_set_server(stand_in->bus, /* b= */ true, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(stand_in->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(stand_in->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_add_filter(stand_in->bus, /* ret_slot= */ NULL, on_hello, stand_in);
        return r < 0 ? r : sd_bus_start(stand_in->bus);
}

static int shake_hands(sd_bus *bus, sd_bus *other) {
        int r = 0;

        for (unsigned i = 0; i < TURNS_MAX; i++) {
                if (sd_bus_is_ready(bus) > 0 && sd_bus_is_ready(other) > 0)
                        return 0;
                r = sd_bus_process(bus, /* ret= */ NULL);
                if (r >= 0)
                        r = sd_bus_process(other, /* ret= */ NULL);
                if (r < 0)
                        return r;
        }
        return -ETIMEDOUT;
}

/* bus is set up but for a descriptor. */
static int adopt(sd_bus *bus, int fd, const char *unique_name) {
        g_auto(StandIn) stand_in = { .unique_name = unique_name };
        vb_autofd real = fd;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        r = sd_bus_set_fd(bus, pair[0], pair[0]);
        if (r < 0) {
                vb_close(pair[0]);
                vb_close(pair[1]);
                return r;
        }
        r = start_stand_in(&stand_in, pair[1], /* server= */ unique_name != NULL);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = shake_hands(bus, stand_in.bus);
        if (r < 0)
                return r;
        /* In one step, so that the number never is anything else; the end of the pair that it was goes with it. */
        return dup3(real, pair[0], O_CLOEXEC) < 0 ? -errno : 0;
}

int vb_adopt_bus(sd_bus **ret, int fd, const char *unique_name, const char *description) {
        g_autoptr(sd_bus) bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_set_description(bus, description);
        if (r < 0) {
                vb_close(fd);
                return r;
        }
        r = adopt(bus, fd, unique_name);
        if (r < 0) {
                /* Unflushed: what it would still say is for the stand-in. */
                sd_bus_close_unref(g_steal_pointer(&bus));
                return r;
        }
        *ret = g_steal_pointer(&bus);
        return 0;
}

int vb_adopt_link(sd_bus *prepared, int fd) {
        return adopt(prepared, fd, /* unique_name= */ NULL);
}
