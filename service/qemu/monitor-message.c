/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an emulator says by its monitor: the greeting, events, and answers, which come in the order of the commands. What is none of these ends
 * the connection. */

#include "base/error.h"
#include "qemu/monitor-private.h"

static void handle_answer(QmpMonitor *monitor, VbJson *message, VbJson *id) {
        Command *oldest = g_queue_peek_head(&monitor->pending);
        g_autoptr(Command) command = NULL;
        VbJson *result = NULL, *error;

        if (!oldest || !json_object_is_type(id, json_type_int) || json_object_get_int64(id) < 0 ||
            json_object_get_uint64(id) != oldest->id) {
                qmp_monitor_close(monitor, -EPROTO, "answered what was not asked; cut off");
                return;
        }
        error = json_member(message, "error", json_type_object);
        if (!error && !json_object_object_get_ex(message, "return", &result)) {
                qmp_monitor_close(monitor, -EPROTO, "sent an answer without a result; cut off");
                return;
        }

        command = g_queue_pop_head(&monitor->pending);
        if (command->forgotten)
                monitor->n_forgotten--;
        if (g_queue_is_empty(&monitor->pending) && monitor->deadline) {
                (void) sd_event_source_set_enabled(monitor->deadline, SD_EVENT_OFF);
                monitor->armed = UINT64_MAX;
        }

        if (error) {
                g_autofree char *class = NULL, *text = NULL;
                QmpReply reply = { .r = -EPROTO };

                json_peer_error(error, &class, &text);
                reply.error_class = class;
                (void) sd_bus_error_setf(&reply.error, VB_ERROR_MONITOR_FAILED, "%s: command '%s': %s",
                                         monitor->name, command->name, text);
                qmp_command_answer(monitor, command, &reply);
                sd_bus_error_free(&reply.error);
        } else
                qmp_command_answer(monitor, command, &(QmpReply) { .result = result });
}

static void handle_event(QmpMonitor *monitor, VbJson *message, VbJson *name) {
        VbJson *data = NULL, *timestamp = json_member(message, "timestamp", json_type_object);
        VbJson *seconds = NULL, *microseconds = NULL;
        uint64_t usec = 0;

        if (json_object_object_get_ex(message, "data", &data) && data && !json_object_is_type(data, json_type_object)) {
                qmp_monitor_close(monitor, -EPROTO, "sent an event whose data is no object; cut off");
                return;
        }
        if (timestamp) {
                seconds = json_member(timestamp, "seconds", json_type_int);
                microseconds = json_member(timestamp, "microseconds", json_type_int);
        }
        /* A clock that QEMU cannot read is told as -1. */
        if (seconds && microseconds && json_object_get_int64(seconds) > 0 && json_object_get_int64(microseconds) >= 0 &&
            (__builtin_mul_overflow((uint64_t) json_object_get_int64(seconds), (uint64_t) G_USEC_PER_SEC, &usec) ||
             __builtin_add_overflow(usec, (uint64_t) json_object_get_int64(microseconds), &usec)))
                usec = 0;

        monitor->window_events++;
        if (monitor->handlers.event)
                monitor->handlers.event(monitor, json_object_get_string(name), data, usec, monitor->userdata);
}

static void on_capabilities(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        if (reply->r == -EPROTO) {
                qmp_monitor_close(monitor, -EPROTO, "refused to negotiate: %s", reply->error.message);
                return;
        }
        if (reply->r < 0)
                return; /* closed() or free() tell it */
        monitor->state = MONITOR_READY;
        if (monitor->handlers.ready)
                monitor->handlers.ready(monitor, monitor->userdata);
}

static unsigned version_part(VbJson *version, const char *key) {
        VbJson *part = json_member(version, key, json_type_int);

        return part ? (unsigned) CLAMP(json_object_get_int64(part), 0, 10000) : 0;
}

static void handle_greeting(QmpMonitor *monitor, VbJson *message) {
        VbJson *qmp = json_member(message, "QMP", json_type_object), *version, *qemu, *package;
        Command *command;

        version = qmp ? json_member(qmp, "version", json_type_object) : NULL;
        qemu = version ? json_member(version, "qemu", json_type_object) : NULL;
        if (!qemu) {
                qmp_monitor_close(monitor, -EPROTO, "did not greet as a QMP server; cut off");
                return;
        }
        monitor->version.major = version_part(qemu, "major");
        monitor->version.minor = version_part(qemu, "minor");
        monitor->version.micro = version_part(qemu, "micro");
        package = json_member(version, "package", json_type_string);
        if (package)
                g_strlcpy(monitor->version.package, json_object_get_string(package), sizeof monitor->version.package);

        /* Before all that was sent in the meantime. */
        command = g_new(Command, 1);
        *command = (Command) {
                .id = ++monitor->last_id,
                .name = g_strdup("qmp_capabilities"),
                .callback = on_capabilities,
                .deadline = UINT64_MAX,
        };
        qmp_monitor_queue(monitor, command, NULL, -EBADF, /* first= */ true);
        monitor->state = MONITOR_NEGOTIATING;
}

void qmp_monitor_handle_message(QmpMonitor *monitor, VbJson *message) {
        VbJson *member;

        if (monitor->state == MONITOR_GREETING)
                handle_greeting(monitor, message);
        else if ((member = json_member(message, "event", json_type_string)))
                handle_event(monitor, message, member);
        else if (json_object_object_get_ex(message, "id", &member))
                handle_answer(monitor, message, member);
        else
                qmp_monitor_close(monitor, -EPROTO, "sent what is neither event nor answer; cut off");
}
