/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection to a guest's display: one end of a socket pair that the emulator has been handed the other end of; or just that
 * other end, which a caller has brought. */

#include <stdbool.h>

#include "qemu/monitor.h"

typedef enum QemuDisplayProtocol {
        QEMU_DISPLAY_VNC,
        QEMU_DISPLAY_SPICE,
        QEMU_DISPLAY_DBUS, /* QEMU's own interfaces on a private D-Bus connection */
        _QEMU_DISPLAY_PROTOCOL_MAX,
} QemuDisplayProtocol;

typedef struct QemuDisplayConnect QemuDisplayConnect;

/* r = 0 and fd, which is the callback's from now on; or r < 0 with error. Called once; the connect may be freed in it, and must
 * be in the end. */
typedef void (*QemuDisplayConnected)(QemuDisplayConnect *connect, int r, int fd, const sd_bus_error *error, void *userdata);

/* socket: what the emulator is handed, a duplicate of it; fd is -EBADF then. -EBADF: a pair is made. skip_auth: the display's password is not asked for; who called has been authorized. */
VB_MUST_USE int qemu_display_connect(QemuDisplayConnect **ret, QmpMonitor *monitor, QemuDisplayProtocol protocol,
                                     int socket, bool skip_auth, QemuDisplayConnected connected, void *userdata,
                                     sd_bus_error *reterr);

/* Cancels. Before the monitor is freed. Takes NULL, returns NULL. */
QemuDisplayConnect *qemu_display_connect_free(QemuDisplayConnect *connect);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDisplayConnect, qemu_display_connect_free)
