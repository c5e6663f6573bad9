/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two halves of the QMP client share: monitor.c has the socket, its commands and limits, monitor-message.c understands what comes. */

#include "qemu/monitor-output.h"
#include "qemu/monitor-stream.h"
#include "qemu/monitor.h"

typedef enum MonitorState {
        MONITOR_GREETING,
        MONITOR_NEGOTIATING, /* qmp_capabilities is under way */
        MONITOR_READY,
        MONITOR_CLOSED,
} MonitorState;

typedef struct Command {
        uint64_t id;
        char *name;
        QmpReplyCallback callback;
        void *userdata;
        uint64_t deadline; /* UINT64_MAX: none */
        bool forgotten;    /* nobody waits any more; only its answer is still due */
} Command;

struct QmpMonitor {
        /* configured */
        char *name;
        QmpMonitorHandlers handlers;
        void *userdata;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while callbacks may run */
        bool freed;
        MonitorState state;
        QmpVersion version;
        int fd;

        JsonStream stream;
        char *buffer; /* of READ_SIZE while there is something in it, so that 1000 quiet monitors cost little */
        size_t buffer_begin, buffer_end;
        uint64_t window_begin;
        unsigned window_events;

        OutputQueue output;
        GQueue pending;  /* Command, in the order sent */
        GQueue rejected; /* Command that never were sent: to be told so in the next turn */
        size_t n_forgotten;
        uint64_t last_id;
        int end;             /* why it closed */
        sd_bus_error end_error;

        sd_event *event;
        sd_event_source *io;
        sd_event_source *more;     /* defer: goes on where the last turn stopped */
        sd_event_source *deadline; /* the earliest of pending's */
        uint64_t armed;
        sd_event_source *pause; /* the rest of a window after too many events */
        bool paused;
};

void qmp_command_free(Command *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, qmp_command_free)

/* Calls the command's callback, once. */
void qmp_command_answer(QmpMonitor *monitor, Command *command, const QmpReply *reply);

/* Takes the command and fd (which may be negative) over, and sends it, first or last of those that wait; arguments stay the caller's. */
void qmp_monitor_queue(QmpMonitor *monitor, Command *command, VbJson *arguments, int fd, bool first);

/* The end. The error's text is the part behind the name. All that is pending fails, then the owner is told. */
void __attribute__((format(printf, 3, 4))) qmp_monitor_close(QmpMonitor *monitor, int r, const char *format, ...);

/* A whole object of the emulator's: the greeting, an event, or an answer. The monitor may be freed afterwards, but for the caller's reference. */
void qmp_monitor_handle_message(QmpMonitor *monitor, VbJson *message);
