/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an emulator that a guest has taken over may say to its monitor. */

#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>
#include <systemd/sd-event.h>

#include "fuzz.h"
#include "qemu/monitor.h"

/* More than a socket holds would have to be said in turns with the loop. */
#define INPUT_MAX ((size_t) 64 * 1024)

typedef struct Peer {
        QmpMonitor *monitor;
        unsigned answers;
        bool closed;
} Peer;

static void on_answer(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        Peer *peer = userdata;

        peer->answers++;
}

static void on_ready(QmpMonitor *monitor, void *userdata) {
        qmp_monitor_send(monitor, "query-status", NULL, on_answer, userdata, /* timeout_usec= */ 0);
}

static void on_event(QmpMonitor *monitor, const char *name, VbJson *data, uint64_t timestamp_usec, void *userdata) {
        g_assert_nonnull(name);
}

static void on_closed(QmpMonitor *monitor, int r, const sd_bus_error *error, void *userdata) {
        Peer *peer = userdata;

        g_assert_cmpint(r, <, 0);
        g_assert_nonnull(error->message);
        peer->closed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const QmpMonitorHandlers handlers = { .ready = on_ready, .event = on_event, .closed = on_closed };
        sd_event *event = NULL;
        Peer peer = {};
        int ends[2];

        if (size > INPUT_MAX)
                return 0;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        g_assert_cmpint(qmp_monitor_new(&peer.monitor, event, ends[0], "domain 'fuzz'", &handlers, &peer), >=, 0);

        /* Sent before the greeting, so that there is a command to answer, whatever comes. */
        qmp_monitor_send(peer.monitor, "query-version", NULL, on_answer, &peer, /* timeout_usec= */ 0);

        if (size > 0)
                g_assert_cmpint(send(ends[1], data, size, MSG_NOSIGNAL), ==, (ssize_t) size);
        (void) shutdown(ends[1], SHUT_WR);

        while (!peer.closed)
                g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);

        /* Each command is answered, and only once. */
        g_assert_cmpuint(peer.answers, >=, 1);
        g_assert_cmpuint(peer.answers, <=, 2);

        qmp_monitor_free(peer.monitor);
        close(ends[1]);
        sd_event_unref(event);
        return 0;
}
