/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/monitor-watch.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "bus/daemon.h"

/* What a reader may be late by. In a session, the kernel may allow less. */
#define BUFFER_SIZE (1 << 20)

typedef struct Watch {
        QemuMonitorWatches *watches;
        int fd;
        sd_event_source *io; /* tells when the reader has left */
} Watch;

struct QemuMonitorWatches {
        GPtrArray *list; /* of Watch */
        VbDaemon *daemon;
        VbIdleHold *hold; /* while there is one */
};

static void watch_free(gpointer data) {
        Watch *watch = data;

        sd_event_source_disable_unref(watch->io);
        (void) vb_close(watch->fd);
        g_free(watch);
}

static void remove_watch(QemuMonitorWatches *watches, Watch *watch) {
        (void) g_ptr_array_remove_fast(watches->list, watch);
        if (watches->list->len == 0)
                watches->hold = vb_idle_release(watches->hold);
}

static int on_left(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Watch *watch = userdata;

        remove_watch(watch->watches, watch);
        return 0;
}

static QemuMonitorWatches *watches_new(VbDaemon *daemon) {
        QemuMonitorWatches *watches = g_new0(QemuMonitorWatches, 1);

        watches->list = g_ptr_array_new_with_free_func(watch_free);
        watches->daemon = daemon;
        return watches;
}

int qemu_monitor_watches_add(QemuMonitorWatches **watches, VbDaemon *daemon, int *ret_fd) {
        vb_autofd reader = -EBADF;
        int fds[2], size = BUFFER_SIZE, r;
        Watch *watch;

        if (!*watches)
                *watches = watches_new(daemon);
        if ((*watches)->list->len >= QEMU_MONITOR_WATCHES_MAX)
                return -ENOSPC;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        reader = fds[1];
        watch = g_new(Watch, 1);
        *watch = (Watch){ .watches = *watches, .fd = fds[0] };
        g_ptr_array_add((*watches)->list, watch);

        if (setsockopt(watch->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                (void) setsockopt(watch->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        /* Nothing is read from it; its end is told all the same. */
        (void) shutdown(watch->fd, SHUT_RD);
        r = sd_event_add_io(vb_daemon_event(daemon), &watch->io, watch->fd, /* events= */ 0, on_left, watch);
        if (r < 0) {
                (void) g_ptr_array_remove_fast((*watches)->list, watch);
                return r;
        }
        if (!(*watches)->hold)
                (*watches)->hold = vb_idle_hold(daemon, "a monitor is watched");
        *ret_fd = vb_steal_fd(&reader);
        return 0;
}

static char *format(const char *event, VbJson *data, uint64_t timestamp_usec) {
        g_autoptr(VbJson) packet = json_object_new_object();
        VbJson *timestamp = json_object_new_object();

        (void) json_object_object_add(timestamp, "seconds", json_object_new_int64((int64_t) (timestamp_usec / G_USEC_PER_SEC)));
        (void) json_object_object_add(timestamp, "microseconds",
                                      json_object_new_int64((int64_t) (timestamp_usec % G_USEC_PER_SEC)));
        (void) json_object_object_add(packet, "event", json_object_new_string(event));
        (void) json_object_object_add(packet, "timestamp", timestamp);
        if (data)
                (void) json_object_object_add(packet, "data", json_object_get(data));
        return g_strdup(json_object_to_json_string_ext(packet, JSON_C_TO_STRING_PLAIN));
}

void qemu_monitor_watches_tell(QemuMonitorWatches *watches, const char *event, VbJson *data, uint64_t timestamp_usec) {
        g_autofree char *text = NULL;

        if (!watches || watches->list->len == 0)
                return;
        text = format(event, data, timestamp_usec);
        /* From the end, as one that is removed gives its place to the last. */
        for (unsigned i = watches->list->len; i > 0; i--) {
                Watch *watch = g_ptr_array_index(watches->list, i - 1);

                if (send(watch->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                        remove_watch(watches, watch);
        }
}

QemuMonitorWatches *qemu_monitor_watches_free(QemuMonitorWatches *watches) {
        if (!watches)
                return NULL;

        g_ptr_array_free(watches->list, TRUE);
        watches->hold = vb_idle_release(watches->hold);
        g_free(watches);
        return NULL;
}
