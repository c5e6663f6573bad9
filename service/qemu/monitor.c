/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/monitor.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "qemu/monitor-private.h"

/* How it works: what the socket brings goes through a JsonStream; each object is the greeting, an event, or the
 * answer to the oldest command, as QEMU answers in order. One turn of the loop reads at most one buffer and
 * handles at most MESSAGES_PER_TURN objects; if something is left, a defer source goes on in the next turn, behind all
 * other sources that are due. Callbacks come only from the loop, and may free the monitor: whoever calls one holds a
 * reference and looks at monitor->freed afterwards. */

#define LINE_MAX_BYTES (8u * 1024 * 1024)
#define LINE_MAX_VALUES (512u * 1024) /* query-qmp-schema of QEMU 7.2: about 30 thousand */
#define DEPTH_MAX 64
#define PENDING_MAX 512u
#define OUTPUT_MAX (16u * 1024 * 1024)

#define READ_SIZE (64u * 1024)
#define MESSAGES_PER_TURN 32u

/* QEMU limits most events to one a second each. Who sends more than this in a tenth of a second is left to wait until
 * that is over, so that it cannot have more than a small part of our time. */
#define EVENTS_PER_WINDOW 500u
#define WINDOW_USEC 100000u

void qmp_command_free(Command *command) {
        g_free(command->name);
        g_free(command);
}

static QmpMonitor *monitor_unref(QmpMonitor *monitor) {
        if (--monitor->n_ref > 0)
                return NULL;
        sd_event_source_disable_unref(monitor->io);
        sd_event_source_disable_unref(monitor->more);
        sd_event_source_disable_unref(monitor->deadline);
        sd_event_source_disable_unref(monitor->pause);
        sd_event_unref(monitor->event);
        json_stream_done(&monitor->stream);
        output_queue_clear(&monitor->output);
        g_assert(g_queue_is_empty(&monitor->pending) && g_queue_is_empty(&monitor->rejected));
        sd_bus_error_free(&monitor->end_error);
        vb_close(monitor->fd);
        g_free(monitor->buffer);
        g_free(monitor->name);
        g_free(monitor);
        return NULL;
}
typedef QmpMonitor MonitorRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonitorRef, monitor_unref)

static QmpMonitor *monitor_ref(QmpMonitor *monitor) {
        monitor->n_ref++;
        return monitor;
}

static uint64_t now_usec(void) {
        return (uint64_t) g_get_monotonic_time();
}

/* Answers to commands */

void qmp_command_answer(QmpMonitor *monitor, Command *command, const QmpReply *reply) {
        QmpReplyCallback callback = g_steal_pointer(&command->callback);

        if (command->forgotten)
                return;
        command->forgotten = true; /* called once */
        if (callback)
                callback(monitor, reply, command->userdata);
        else if (reply->r < 0 && reply->r != -ECANCELED)
                vb_log_warning("%s", reply->error.message);
}

static void __attribute__((format(printf, 5, 6))) answer_error(QmpMonitor *monitor, Command *command, int r,
                                                               const char *error_name, const char *format, ...) {
        QmpReply reply = { .r = r };
        va_list arguments;

        va_start(arguments, format);
        (void) sd_bus_error_setfv(&reply.error, error_name, format, arguments);
        va_end(arguments);
        qmp_command_answer(monitor, command, &reply);
        sd_bus_error_free(&reply.error);
}

static void fail_all(QmpMonitor *monitor, GQueue *queue, int r, const sd_bus_error *error) {
        QmpReply reply = { .r = r, .error = *error };
        Command *command;

        while ((command = g_queue_pop_head(queue))) {
                if (command->forgotten && queue == &monitor->pending)
                        monitor->n_forgotten--;
                qmp_command_answer(monitor, command, &reply);
                qmp_command_free(command);
        }
}

static void fail_rejected(QmpMonitor *monitor) {
        Command *command;

        while (!monitor->freed && (command = g_queue_pop_head(&monitor->rejected))) {
                if (monitor->state == MONITOR_CLOSED)
                        answer_error(monitor, command, -ENOTCONN, VB_ERROR_MONITOR_FAILED,
                                     "%s: command '%s': the monitor is closed", monitor->name, command->name);
                else
                        answer_error(monitor, command, -E2BIG, VB_ERROR_LIMIT_EXCEEDED,
                                     "%s: command '%s': too much is waiting for the emulator already",
                                     monitor->name, command->name);
                qmp_command_free(command);
        }
}

/* The end */

void qmp_monitor_close(QmpMonitor *monitor, int r, const char *format, ...) {
        g_autofree char *reason = NULL;
        va_list arguments;

        if (monitor->state == MONITOR_CLOSED || monitor->freed)
                return;
        va_start(arguments, format);
        reason = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        monitor->state = MONITOR_CLOSED;
        monitor->end = r;
        (void) sd_bus_error_setf(&monitor->end_error, VB_ERROR_MONITOR_FAILED, "%s: the emulator's monitor %s",
                                 monitor->name, reason);
        monitor->io = sd_event_source_disable_unref(monitor->io);
        monitor->deadline = sd_event_source_disable_unref(monitor->deadline);
        monitor->pause = sd_event_source_disable_unref(monitor->pause);
        monitor->fd = vb_close(monitor->fd);
        output_queue_clear(&monitor->output);
        g_clear_pointer(&monitor->buffer, g_free);
        monitor->buffer_begin = monitor->buffer_end = 0;

        fail_all(monitor, &monitor->pending, -ENOTCONN, &monitor->end_error);
        if (!monitor->freed && monitor->handlers.closed)
                monitor->handlers.closed(monitor, r, &monitor->end_error, monitor->userdata);
}

/* Sending */

/* Off altogether when there is nothing to do: epoll tells a hang-up even to those who asked for nothing. */
static void update_io(QmpMonitor *monitor) {
        bool reading = monitor->buffer_begin == monitor->buffer_end && !monitor->paused;
        bool writing = monitor->output.size > 0 && monitor->state != MONITOR_GREETING;

        if (!monitor->io)
                return;
        (void) sd_event_source_set_io_events(monitor->io, (reading ? EPOLLIN : 0) | (writing ? EPOLLOUT : 0));
        (void) sd_event_source_set_enabled(monitor->io, reading || writing ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Never calls back: a socket that fails is left to on_io(), which reads what came before it failed. What was sent before the
 * emulator has answered the negotiation may go behind it: it answers in order. */
static void flush_output(QmpMonitor *monitor) {
        if (monitor->state == MONITOR_CLOSED || monitor->state == MONITOR_GREETING)
                return;
        if (output_queue_send(&monitor->output, monitor->fd) < 0)
                output_queue_clear(&monitor->output); /* the end of file comes next */
        update_io(monitor);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

static void arm_deadline(QmpMonitor *monitor, uint64_t deadline) {
        int r;

        if (deadline >= monitor->armed)
                return;
        monitor->armed = deadline;
        if (monitor->deadline) {
                r = sd_event_source_set_time(monitor->deadline, deadline);
                if (r >= 0)
                        r = sd_event_source_set_enabled(monitor->deadline, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time(monitor->event, &monitor->deadline, CLOCK_MONOTONIC, deadline, 50000,
                                      on_deadline, monitor);
        if (r < 0)
                (void) vb_log_warning_errno(r, "%s: no time limit for the monitor's commands: %m", monitor->name);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        g_autoptr(MonitorRef) monitor = monitor_ref(userdata);
        uint64_t now = now_usec(), next = UINT64_MAX;

        monitor->armed = UINT64_MAX;
        /* A callback may send, close or free; so each round starts anew. */
        for (GList *link = monitor->pending.head; link;) {
                Command *command = link->data;

                if (command->forgotten || command->deadline > now) {
                        if (!command->forgotten)
                                next = MIN(next, command->deadline);
                        link = link->next;
                        continue;
                }
                monitor->n_forgotten++;
                answer_error(monitor, command, -ETIMEDOUT, VB_ERROR_TIMEOUT,
                             "%s: command '%s': the emulator did not answer in time", monitor->name, command->name);
                if (monitor->freed || monitor->state == MONITOR_CLOSED)
                        return 0;
                next = UINT64_MAX;
                link = monitor->pending.head;
        }
        if (next != UINT64_MAX)
                arm_deadline(monitor, next);
        return 0;
}

void qmp_monitor_queue(QmpMonitor *monitor, Command *command, VbJson *arguments, int fd, bool first) {
        g_autoptr(VbJson) request = json_object_new_object();
        g_autofree char *line = NULL;
        const char *text;
        size_t length;

        (void) json_object_object_add(request, "execute", json_object_new_string(command->name));
        if (arguments)
                (void) json_object_object_add(request, "arguments", json_object_get(arguments));
        (void) json_object_object_add(request, "id", json_object_new_uint64(command->id));
        text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
                                                 &length);
        /* A line end makes QEMU's reader start at once. */
        line = g_malloc(length + 1);
        memcpy(line, text, length);
        line[length] = '\n';

        output_queue_add(&monitor->output, line, length + 1, fd, first);
        if (first)
                g_queue_push_head(&monitor->pending, command);
        else
                g_queue_push_tail(&monitor->pending, command);
        if (command->deadline != UINT64_MAX)
                arm_deadline(monitor, command->deadline);
}

static void wake(QmpMonitor *monitor) {
        if (monitor->more)
                (void) sd_event_source_set_enabled(monitor->more, SD_EVENT_ONESHOT);
}

static uint64_t send_command(QmpMonitor *monitor, const char *name, VbJson *arguments, int fd,
                             QmpReplyCallback callback, void *userdata, uint64_t timeout_usec) {
        g_autoptr(VbJson) owned = arguments;
        vb_autofd owned_fd = fd;
        Command *command;

        if (monitor->freed)
                return 0;

        command = g_new(Command, 1);
        *command = (Command) {
                .id = ++monitor->last_id,
                .name = g_strdup(name),
                .callback = callback,
                .userdata = userdata,
                .deadline = UINT64_MAX,
        };
        if (timeout_usec != 0 && __builtin_add_overflow(now_usec(), timeout_usec, &command->deadline))
                command->deadline = UINT64_MAX;

        if (monitor->state == MONITOR_CLOSED || g_queue_get_length(&monitor->pending) >= PENDING_MAX ||
            monitor->output.size > OUTPUT_MAX) {
                g_queue_push_tail(&monitor->rejected, command);
                wake(monitor);
                return command->id;
        }
        qmp_monitor_queue(monitor, command, arguments, vb_steal_fd(&owned_fd), /* first= */ false);
        flush_output(monitor);
        return command->id;
}

uint64_t qmp_monitor_send(QmpMonitor *monitor, const char *command, VbJson *arguments, QmpReplyCallback callback,
                          void *userdata, uint64_t timeout_usec) {
        return send_command(monitor, command, arguments, -EBADF, callback, userdata, timeout_usec);
}

uint64_t qmp_monitor_send_fd(QmpMonitor *monitor, const char *command, VbJson *arguments, int fd,
                             QmpReplyCallback callback, void *userdata, uint64_t timeout_usec) {
        /* Out of descriptors, the command goes without, and QEMU refuses it: "No file descriptor supplied". */
        return send_command(monitor, command, arguments, fcntl(fd, F_DUPFD_CLOEXEC, 3), callback, userdata,
                            timeout_usec);
}

static bool forget_in(QmpMonitor *monitor, GQueue *queue, uint64_t id) {
        for (GList *link = queue->head; link; link = link->next) {
                Command *command = link->data;

                if (command->id != id)
                        continue;
                if (!command->forgotten && queue == &monitor->pending)
                        monitor->n_forgotten++;
                command->forgotten = true;
                command->callback = NULL;
                return true;
        }
        return false;
}

void qmp_monitor_forget(QmpMonitor *monitor, uint64_t id) {
        if (!forget_in(monitor, &monitor->pending, id))
                (void) forget_in(monitor, &monitor->rejected, id);
}

/* Receiving */

/* true: a buffer of news; false: nothing now, or the end. */
static bool read_more(QmpMonitor *monitor) {
        ssize_t n;

        if (!monitor->buffer)
                monitor->buffer = g_malloc(READ_SIZE);
        /* No room for control data: descriptors that a peer may send are dropped by the kernel. */
        n = recv(monitor->fd, monitor->buffer, READ_SIZE, MSG_DONTWAIT);
        if (n > 0) {
                monitor->buffer_begin = 0;
                monitor->buffer_end = (size_t) n;
                return true;
        }
        g_clear_pointer(&monitor->buffer, g_free);
        /* ECONNRESET: it closed without having read all that we sent. */
        if (n == 0 || errno == ECONNRESET)
                qmp_monitor_close(monitor, -ENOTCONN,
                              json_stream_is_inside(&monitor->stream) ? "closed in the middle of a message" : "closed");
        else if (errno != EAGAIN && errno != EINTR)
                qmp_monitor_close(monitor, -errno, "failed: %s", g_strerror(errno));
        return false;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        QmpMonitor *monitor = userdata;

        monitor->paused = false;
        monitor->window_events = 0;
        wake(monitor);
        return 0;
}

/* Whether this peer has had its share of the current window, and must wait for the next. */
static bool must_pause(QmpMonitor *monitor) {
        uint64_t now;
        int r;

        if (monitor->window_events == 0)
                return false;
        now = now_usec();
        if (now - monitor->window_begin >= WINDOW_USEC) {
                monitor->window_begin = now;
                monitor->window_events = 0;
                return false;
        }
        if (monitor->window_events < EVENTS_PER_WINDOW)
                return false;

        monitor->pause = sd_event_source_disable_unref(monitor->pause);
        r = sd_event_add_time(monitor->event, &monitor->pause, CLOCK_MONOTONIC, monitor->window_begin + WINDOW_USEC,
                              1000, on_pause_over, monitor);
        monitor->paused = r >= 0;
        return monitor->paused;
}

/* Up to a turn's share of what is in the buffer. */
static void handle_buffer(QmpMonitor *monitor) {
        for (unsigned n = 0; monitor->buffer_begin < monitor->buffer_end && n < MESSAGES_PER_TURN; n++) {
                g_autoptr(VbJson) message = NULL;
                size_t used = 0;
                int r;

                r = json_stream_feed(&monitor->stream, monitor->buffer + monitor->buffer_begin,
                                     monitor->buffer_end - monitor->buffer_begin, &used, &message);
                if (r < 0) {
                        qmp_monitor_close(monitor, -EPROTO, "sent %s; cut off", monitor->stream.error);
                        return;
                }
                monitor->buffer_begin += used;
                if (r > 0)
                        qmp_monitor_handle_message(monitor, message);
                if (monitor->freed || monitor->state == MONITOR_CLOSED || must_pause(monitor))
                        return;
        }
}

/* One turn's work. */
static void work(QmpMonitor *monitor) {
        fail_rejected(monitor);
        if (monitor->freed || monitor->state == MONITOR_CLOSED || monitor->paused)
                return;
        if (monitor->buffer_begin < monitor->buffer_end || read_more(monitor))
                handle_buffer(monitor);
        if (monitor->freed || monitor->state == MONITOR_CLOSED)
                return;

        if (monitor->buffer_begin == monitor->buffer_end)
                g_clear_pointer(&monitor->buffer, g_free);
        else if (!monitor->paused)
                wake(monitor);
        flush_output(monitor);
        update_io(monitor);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        g_autoptr(MonitorRef) monitor = monitor_ref(userdata);

        if (events & EPOLLOUT)
                flush_output(monitor);
        /* A hang-up is no news while there is something left to handle; afterwards recv() tells. */
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && monitor->buffer_begin == monitor->buffer_end)
                work(monitor);
        return 0;
}

static int on_more(sd_event_source *source, void *userdata) {
        g_autoptr(MonitorRef) monitor = monitor_ref(userdata);

        work(monitor);
        return 0;
}

/* Life */

int qmp_monitor_new(QmpMonitor **ret, sd_event *event, int fd, const char *name, const QmpMonitorHandlers *handlers,
                    void *userdata) {
        g_autoptr(MonitorRef) monitor = NULL;
        int r;

        vb_error_init();
        monitor = g_new0(QmpMonitor, 1);
        monitor->n_ref = 1;
        monitor->fd = fd;
        monitor->name = g_strdup(name);
        monitor->handlers = *handlers;
        monitor->userdata = userdata;
        monitor->event = sd_event_ref(event);
        monitor->armed = UINT64_MAX;
        monitor->output = (OutputQueue) OUTPUT_QUEUE_INIT;
        json_stream_init(&monitor->stream, LINE_MAX_BYTES, LINE_MAX_VALUES, DEPTH_MAX);

        r = sd_event_add_io(event, &monitor->io, fd, EPOLLIN, on_io, monitor);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &monitor->more, on_more, monitor);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(monitor->more, SD_EVENT_OFF);
        (void) sd_event_source_set_description(monitor->io, "qmp-monitor");
        *ret = g_steal_pointer(&monitor);
        return 0;
}

QmpMonitor *qmp_monitor_free(QmpMonitor *monitor) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (!monitor || monitor->freed)
                return NULL;
        monitor->freed = true;
        monitor->io = sd_event_source_disable_unref(monitor->io);
        monitor->more = sd_event_source_disable_unref(monitor->more);
        monitor->deadline = sd_event_source_disable_unref(monitor->deadline);
        monitor->pause = sd_event_source_disable_unref(monitor->pause);
        (void) sd_bus_error_setf(&error, VB_ERROR_CANCELED, "%s: the emulator's monitor is no longer in use",
                                 monitor->name);
        fail_all(monitor, &monitor->pending, -ECANCELED, &error);
        fail_all(monitor, &monitor->rejected, -ECANCELED, &error);
        return monitor_unref(monitor);
}

bool qmp_monitor_is_ready(const QmpMonitor *monitor) {
        return monitor->state == MONITOR_READY;
}

const QmpVersion *qmp_monitor_get_version(const QmpMonitor *monitor) {
        return &monitor->version;
}

size_t qmp_monitor_get_pending(const QmpMonitor *monitor) {
        return g_queue_get_length((GQueue *) &monitor->pending) - monitor->n_forgotten +
               g_queue_get_length((GQueue *) &monitor->rejected);
}

VbJson *qmp_arguments(const char *key, ...) {
        VbJson *object = json_object_new_object();
        va_list arguments;

        va_start(arguments, key);
        for (; key; key = va_arg(arguments, const char *)) {
                const char *value = va_arg(arguments, const char *);

                (void) json_object_object_add(object, key, json_object_new_string(value));
        }
        va_end(arguments);
        return object;
}
