/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The QMP client of one emulator, asynchronous, on the loop. The peer is not trusted: a guest may have taken it over. What
 * it can cost is bounded: length, depth and number of values of a line, memory, work per turn of the loop, events
 * per second. A peer that breaks the protocol is cut off with an error that says how. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct QmpMonitor QmpMonitor;

/* The answer to one command. With r = 0, result is what "return" held. With r < 0, error tells people what, and
 *   -EPROTO     QEMU refused; error_class is its class ("GenericError", "CommandNotFound", …)
 *   -ETIMEDOUT  no answer within the command's limit
 *   -ENOTCONN   the monitor has closed, or was cut off
 *   -ECANCELED  the monitor was freed
 *   -E2BIG      too many commands or bytes are waiting already
 * All is borrowed for the length of the callback; json_object_get() what shall stay. */
typedef struct QmpReply {
        int r;
        VbJson *result;
        const char *error_class;
        sd_bus_error error;
} QmpReply;

/* Called exactly once per command, never from within qmp_monitor_send(). May free the monitor. */
typedef void (*QmpReplyCallback)(QmpMonitor *monitor, const QmpReply *reply, void *userdata);

/* All may be NULL, and all may free the monitor. */
typedef struct QmpMonitorHandlers {
        /* Greeting and qmp_capabilities are over: commands are answered from now on (those sent before were kept). */
        void (*ready)(QmpMonitor *monitor, void *userdata);
        /* data may be NULL. timestamp_usec is the emulator's clock, 0 if it told none. */
        void (*event)(QmpMonitor *monitor, const char *name, VbJson *data, uint64_t timestamp_usec, void *userdata);
        /* The end, once: all pending commands have failed before. r is -ENOTCONN if the peer closed, -EPROTO if it
         * was cut off, or another errno of the socket; error says what happened. Not called by qmp_monitor_free(). */
        void (*closed)(QmpMonitor *monitor, int r, const sd_bus_error *error, void *userdata);
} QmpMonitorHandlers;

typedef struct QmpVersion {
        unsigned major, minor, micro;
        char package[64];
} QmpVersion;

/* On a connected stream socket, which the monitor owns from now on (also if this fails). name is for error
 * messages: "domain 'web'". handlers are copied. */
VB_MUST_USE int qmp_monitor_new(QmpMonitor **ret, sd_event *event, int fd, const char *name,
                                const QmpMonitorHandlers *handlers, void *userdata);

/* At any time, also from within a callback of this monitor. Pending commands fail with -ECANCELED, before this returns.
 * Takes NULL, returns NULL. */
QmpMonitor *qmp_monitor_free(QmpMonitor *monitor);

/* Sends a command. arguments (may be NULL) is taken over. timeout_usec 0: as long as it takes; else counted from now. callback
 * may be NULL: a failure is logged then. Returns the command's number for qmp_monitor_forget(). */
uint64_t qmp_monitor_send(QmpMonitor *monitor, const char *command, VbJson *arguments, QmpReplyCallback callback,
                          void *userdata, uint64_t timeout_usec);

/* The same with one descriptor beside it, for getfd and add-fd. It is duplicated; the caller keeps its own. */
uint64_t qmp_monitor_send_fd(QmpMonitor *monitor, const char *command, VbJson *arguments, int fd,
                             QmpReplyCallback callback, void *userdata, uint64_t timeout_usec);

/* The command's callback will not be called any more; the answer is thrown away when it comes. */
void qmp_monitor_forget(QmpMonitor *monitor, uint64_t command);

bool qmp_monitor_is_ready(const QmpMonitor *monitor);
/* All zeros before the greeting. */
const QmpVersion *qmp_monitor_get_version(const QmpMonitor *monitor);
/* Commands without an answer; not counting the forgotten ones. */
size_t qmp_monitor_get_pending(const QmpMonitor *monitor);

/* An argument object of strings, NULL-terminated: qmp_arguments("id", id, "device", path, NULL). */
VbJson *qmp_arguments(const char *key, ...) __attribute__((sentinel));

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpMonitor, qmp_monitor_free)
