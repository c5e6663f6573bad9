/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/display.h"

#include <sys/socket.h>

#include "base/error.h"

#define TIMEOUT_USEC ((uint64_t) 10 * G_USEC_PER_SEC)

/* The names that add_client knows them by. */
static const char *const protocols[_QEMU_DISPLAY_PROTOCOL_MAX] = {
        [QEMU_DISPLAY_VNC] = "vnc",
        [QEMU_DISPLAY_SPICE] = "spice",
        [QEMU_DISPLAY_DBUS] = "@dbus-display",
};

struct QemuDisplayConnect {
        QmpMonitor *monitor;
        int fd; /* the caller's end */
        uint64_t command;
        QemuDisplayConnected connected;
        void *userdata;
};

static void on_added(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDisplayConnect *connect = userdata;

        connect->command = 0;
        connect->connected(connect, reply->r, reply->r < 0 ? -EBADF : vb_steal_fd(&connect->fd), &reply->error,
                           connect->userdata);
}

static int make_pair(int *ret_ours, int *ret_theirs) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        *ret_ours = fds[0];
        *ret_theirs = fds[1];
        return 0;
}

int qemu_display_connect(QemuDisplayConnect **ret, QmpMonitor *monitor, QemuDisplayProtocol protocol, int socket,
                         bool skip_auth, QemuDisplayConnected connected, void *userdata, sd_bus_error *reterr) {
        static unsigned sequence;
        g_autoptr(QemuDisplayConnect) connect = g_new0(QemuDisplayConnect, 1);
        g_autofree char *name = g_strdup_printf("display-%u", sequence++);
        vb_autofd theirs = -EBADF;
        VbJson *arguments;
        int r;

        *connect = (QemuDisplayConnect){ .monitor = monitor, .fd = -EBADF, .connected = connected, .userdata = userdata };
        if (socket < 0) {
                r = make_pair(&connect->fd, &theirs);
                if (r < 0)
                        return sd_bus_error_set_errnof(reterr, r, "cannot make a socket pair: %m");
        }

        arguments = qmp_arguments("protocol", protocols[protocol], "fdname", name, NULL);
        (void) json_object_object_add(arguments, "skipauth", json_object_new_boolean(skip_auth));

        /* The second fails if the first does, so only its answer is waited for. add_client takes the
         * descriptor out of getfd's table, or closes it. */
        (void) qmp_monitor_send_fd(monitor, "getfd", qmp_arguments("fdname", name, NULL), socket < 0 ? theirs : socket, NULL, NULL, TIMEOUT_USEC);
        connect->command = qmp_monitor_send(monitor, "add_client", arguments, on_added, connect, TIMEOUT_USEC);

        *ret = g_steal_pointer(&connect);
        return 0;
}

QemuDisplayConnect *qemu_display_connect_free(QemuDisplayConnect *connect) {
        if (!connect)
                return NULL;

        if (connect->command)
                qmp_monitor_forget(connect->monitor, connect->command);
        connect->fd = vb_close(connect->fd);
        g_free(connect);
        return NULL;
}
