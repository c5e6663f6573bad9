/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A driver and a listener for the tests of what stands between: links are asked for of open_link(), and each one that
 * driver_accept() grants has a bus server at its other end, in the same loop, which keeps the calls it gets for the test to
 * answer. */

#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "bus/names.h"
#include "interfaces/domain1.h"
#include "proxy/backend.h"
#include "test-util.h"

#define DRIVER_ROOT "/org/virtbus/Qemu1"

/* A link that has been asked for. */
typedef struct Asked {
        uint64_t client;
        bool read_only, with_signals;
        ProxyLinkOpened opened;
        void *userdata;
} Asked;

/* The driver's end of one. */
typedef struct End {
        sd_bus *bus;
        GPtrArray *calls; /* messages that have arrived, unanswered */
} End;

typedef struct Driver {
        sd_event *event;
        ProxyBackend *backend;
        GQueue asked;
        unsigned n_asked;
        int refuse; /* what open_link() returns, if not 0 */
} Driver;

static inline int open_link(void *opener, const char *driver, uint64_t client, bool read_only, bool with_signals,
                            ProxyLinkOpened opened, void *userdata) {
        Driver *d = opener;
        Asked *asked;

        g_assert_cmpstr(driver, ==, "qemu");
        d->n_asked++;
        if (d->refuse < 0)
                return d->refuse;
        asked = g_new(Asked, 1);
        *asked = (Asked){ client, read_only, with_signals, opened, userdata };
        g_queue_push_tail(&d->asked, asked);
        return 0;
}

static inline void driver_begin(Driver *d) {
        *d = (Driver){ .event = test_event_new() };
        d->backend = proxy_backend_new(d->event, "qemu", open_link, d);
}

static inline void driver_end(Driver *d) {
        d->backend = proxy_backend_free(d->backend);
        test_run_idle(d->event);
        sd_event_unref(d->event);
        g_queue_clear_full(&d->asked, g_free);
}

static inline int end_on_message(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        End *end = userdata;

        if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0)
                return 0;
        g_ptr_array_add(end->calls, sd_bus_message_ref(message));
        return 1;
}

static inline void message_unref(void *message) {
        sd_bus_message_unref(message);
}

static inline End *end_new(Driver *d, int fd) {
        End *end = g_new0(End, 1);

        end->calls = g_ptr_array_new_with_free_func(message_unref);
        g_assert_cmpint(sd_bus_new(&end->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(end->bus, fd, fd), >=, 0);
        g_assert_cmpint(sd_bus_set_server(end->bus, true, (sd_id128_t){ .bytes = { 1 } }), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(end->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(end->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_add_filter(end->bus, NULL, end_on_message, end), >=, 0);
        g_assert_cmpint(sd_bus_start(end->bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(end->bus, d->event, 0), >=, 0);
        return end;
}

/* The daemon ends: its socket closes, with all that it has not answered. */
static inline void end_free(End *end) {
        g_ptr_array_unref(end->calls);
        sd_bus_flush_close_unref(end->bus);
        g_free(end);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(End, end_free)

/* It takes no more calls, and still answers. */
static inline void end_retire(End *end) {
        g_assert_cmpint(sd_bus_detach_event(end->bus), >=, 0); /* it would find that its socket has ended */
        g_assert_cmpint(shutdown(sd_bus_get_fd(end->bus), SHUT_RD), ==, 0);
}

static inline Asked *driver_next_asked(Driver *d) {
        TEST_RUN_UNTIL(d->event, d->asked.head);
        return g_queue_pop_head(&d->asked);
}

/* Grants the link that was asked for first, and returns the socket's other end. */
static inline int driver_accept_fd(Driver *d, uint64_t client) {
        g_autofree Asked *asked = driver_next_asked(d);
        int fds[2];

        g_assert_cmpuint(asked->client, ==, client);
        g_assert_true(asked->with_signals == (client == 0));
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        asked->opened(fds[0], 0, NULL, asked->userdata);
        return fds[1];
}

static inline End *driver_accept(Driver *d, uint64_t client) {
        return end_new(d, driver_accept_fd(d, client));
}

/* The oldest unanswered call; must be of this member. */
static inline sd_bus_message *end_next_call(Driver *d, End *end, const char *member) {
        sd_bus_message *call;

        TEST_RUN_UNTIL(d->event, end->calls->len > 0);
        call = g_ptr_array_steal_index(end->calls, 0);
        g_assert_cmpstr(sd_bus_message_get_member(call), ==, member);
        return call;
}

static inline void end_send(End *end, sd_bus_message *message) {
        g_assert_cmpint(sd_bus_send(end->bus, message, NULL), >=, 0);
        g_assert_cmpint(sd_bus_flush(end->bus), >=, 0);
}
