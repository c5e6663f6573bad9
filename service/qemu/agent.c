/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/agent.h"

#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "qemu/monitor-output.h"
#include "qemu/monitor-stream.h"

/* A command's way: a byte 0xFF, which makes the agent forget half a request; guest-sync-delimited with a number; then whatever comes
 * is skipped up to a byte 0xFF that is followed by that very number; then the command, then its answer. As long
 * as no command is under way nothing is read, so a guest that talks unasked fills its own pipe only. */

#define TIMEOUT_DEFAULT_USEC (5 * G_USEC_PER_SEC)
#define PENDING_MAX 64u
#define REQUEST_MAX (1024u * 1024)
#define LINE_MAX_BYTES (16u * 1024 * 1024) /* guest-file-read gives up to 48 MB, but nobody needs so much at once */
#define LINE_MAX_VALUES (128u * 1024)
#define DEPTH_MAX 64
#define GARBAGE_MAX (16u * 1024 * 1024)
#define READ_SIZE (64u * 1024)
#define DELIMITER '\xff'

typedef enum AgentState {
        AGENT_IDLE,
        AGENT_SKIPPING, /* to the next delimiter */
        AGENT_SYNCING,  /* a delimiter has come: the number must follow */
        AGENT_WAITING,  /* for the command's answer */
        AGENT_CLOSED,
} AgentState;

typedef struct Command {
        GuestAgent *agent;
        uint64_t id;
        char *name;
        char *request; /* a line */
        bool no_reply;
        bool sent;
        uint64_t timeout_usec;
        GuestAgentCallback callback;
        void *userdata;
        sd_event_source *timer;
} Command;

struct GuestAgent {
        /* configured */
        char *name;
        void (*closed)(GuestAgent *agent, int r, void *userdata);
        void *userdata;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while callbacks may run */
        bool freed;
        AgentState state;
        int fd;
        JsonStream stream;
        OutputQueue output;
        GQueue commands; /* Command; the head is under way unless idle */
        uint64_t last_id;
        uint32_t sync_id;
        size_t garbage; /* skipped for this command */

        sd_event *event;
        sd_event_source *io;
        sd_event_source *kick; /* defer: starts what waits, tells what came too late */
};

static void command_free(Command *command) {
        sd_event_source_disable_unref(command->timer);
        g_free(command->name);
        g_free(command->request);
        g_free(command);
}

static GuestAgent *agent_unref(GuestAgent *agent) {
        if (--agent->n_ref > 0)
                return NULL;
        sd_event_source_disable_unref(agent->io);
        sd_event_source_disable_unref(agent->kick);
        sd_event_unref(agent->event);
        json_stream_done(&agent->stream);
        output_queue_clear(&agent->output);
        g_assert(g_queue_is_empty(&agent->commands));
        vb_close(agent->fd);
        g_free(agent->name);
        g_free(agent);
        return NULL;
}
typedef GuestAgent AgentRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentRef, agent_unref)

static GuestAgent *agent_ref(GuestAgent *agent) {
        agent->n_ref++;
        return agent;
}

static void update_io(GuestAgent *agent) {
        bool reading = agent->state != AGENT_IDLE;

        if (agent->io)
                (void) sd_event_source_set_io_events(agent->io, (reading ? EPOLLIN : 0) |
                                                                        (agent->output.size > 0 ? EPOLLOUT : 0));
}

static void wake(GuestAgent *agent) {
        if (agent->kick)
                (void) sd_event_source_set_enabled(agent->kick, SD_EVENT_ONESHOT);
}

/* A command's end; if it was under way, the next may begin. May free the agent. */
static void finish(GuestAgent *agent, Command *command, const GuestAgentReply *reply) {
        if (g_queue_peek_head(&agent->commands) == command && agent->state != AGENT_CLOSED &&
            agent->state != AGENT_IDLE) {
                /* What is left unsent or unread of it, the next command's sync makes both sides forget. */
                agent->state = AGENT_IDLE;
                output_queue_clear(&agent->output);
                json_stream_reset(&agent->stream);
                update_io(agent);
        }
        (void) g_queue_remove(&agent->commands, command);
        wake(agent);
        if (command->callback)
                command->callback(agent, reply, command->userdata);
        command_free(command);
}

static void __attribute__((format(printf, 5, 6))) finish_error(GuestAgent *agent, Command *command, int r,
                                                               const char *error_name, const char *format, ...) {
        GuestAgentReply reply = { .r = r };
        g_autofree char *reason = NULL;
        va_list arguments;

        va_start(arguments, format);
        reason = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        (void) sd_bus_error_setf(&reply.error, error_name, "%s: guest agent command '%s': %s", agent->name,
                                 command->name, reason);
        finish(agent, command, &reply);
        sd_bus_error_free(&reply.error);
}

static void fail_all(GuestAgent *agent, int r, const char *error_name, const char *reason) {
        Command *command;

        /* Once freed, nothing is added any more; before, what is added meanwhile is refused in the next turn. */
        for (size_t n = g_queue_get_length(&agent->commands); n > 0; n--) {
                command = g_queue_peek_head(&agent->commands);
                if (!command)
                        return;
                if (r == -ENOTCONN && command->no_reply && command->sent)
                        finish(agent, command, &(GuestAgentReply) { 0 }); /* it did what it was asked to */
                else
                        finish_error(agent, command, r, error_name, "%s", reason);
        }
}

static void agent_close(GuestAgent *agent, int r) {
        if (agent->state == AGENT_CLOSED || agent->freed)
                return;
        agent->state = AGENT_CLOSED;
        agent->io = sd_event_source_disable_unref(agent->io);
        agent->fd = vb_close(agent->fd);
        output_queue_clear(&agent->output);
        fail_all(agent, -ENOTCONN, VB_ERROR_NO_AGENT, "its channel has closed");
        if (!agent->freed && agent->closed)
                agent->closed(agent, r, agent->userdata);
}

static void send_text(GuestAgent *agent, const char *text, size_t size) {
        output_queue_add(&agent->output, text, size, -EBADF, /* first= */ false);
        if (output_queue_send(&agent->output, agent->fd) < 0)
                output_queue_clear(&agent->output); /* the hang-up comes next */
        update_io(agent);
}

static void begin_next(GuestAgent *agent) {
        char text[128];
        int length;

        if (agent->state != AGENT_IDLE || g_queue_is_empty(&agent->commands))
                return;
        agent->state = AGENT_SKIPPING;
        agent->garbage = 0;
        agent->sync_id = g_random_int() & 0x7fffffff; /* a guest must not know it before it has read it */
        json_stream_reset(&agent->stream);
        length = g_snprintf(text, sizeof text, "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}\n",
                            DELIMITER, agent->sync_id);
        send_text(agent, text, (size_t) length);
}

static int on_kick(sd_event_source *source, void *userdata) {
        g_autoptr(AgentRef) agent = agent_ref(userdata);
        Command *command;

        if (agent->state == AGENT_CLOSED) {
                fail_all(agent, -ENOTCONN, VB_ERROR_NO_AGENT, "its channel has closed");
                return 0;
        }
        /* The last one may be one too many. */
        while (g_queue_get_length(&agent->commands) > PENDING_MAX && !agent->freed) {
                command = g_queue_peek_tail(&agent->commands);
                finish_error(agent, command, -E2BIG, VB_ERROR_LIMIT_EXCEEDED, "too many commands wait already");
        }
        if (!agent->freed)
                begin_next(agent);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Command *command = userdata;
        g_autoptr(AgentRef) agent = agent_ref(command->agent);

        if (command->no_reply && command->sent)
                finish(agent, command, &(GuestAgentReply) { 0 });
        else
                finish_error(agent, command, -EHOSTDOWN, VB_ERROR_AGENT_UNRESPONSIVE, "no answer within %.4g s",
                             (double) command->timeout_usec / G_USEC_PER_SEC);
        return 0;
}

/* Receiving */

static void handle_answer(GuestAgent *agent, VbJson *message) {
        Command *command = g_queue_peek_head(&agent->commands);
        VbJson *error = json_member(message, "error", json_type_object), *result = NULL;

        if (error) {
                g_autofree char *class = NULL, *text = NULL;
                GuestAgentReply reply = { .r = -EPROTO };

                json_peer_error(error, &class, &text);
                reply.error_class = class;
                (void) sd_bus_error_setf(&reply.error, VB_ERROR_OPERATION_FAILED, "%s: guest agent command '%s': %s",
                                         agent->name, command->name, text);
                finish(agent, command, &reply);
                sd_bus_error_free(&reply.error);
        } else if (json_object_object_get_ex(message, "return", &result))
                finish(agent, command, &(GuestAgentReply) { .result = result });
        else
                finish_error(agent, command, -EPROTO, VB_ERROR_OPERATION_FAILED, "the agent sent no answer");
}

/* A line behind a delimiter: ours only if it gives our number back. */
static void handle_sync(GuestAgent *agent, VbJson *message) {
        Command *command = g_queue_peek_head(&agent->commands);
        VbJson *number = json_member(message, "return", json_type_int);

        if (!number || json_object_get_int64(number) != agent->sync_id) {
                agent->state = AGENT_SKIPPING;
                return;
        }
        agent->state = AGENT_WAITING;
        command->sent = true;
        send_text(agent, command->request, strlen(command->request));
}

/* Up to and with the delimiter; how much that was. */
static size_t skip(GuestAgent *agent, const char *data, size_t size) {
        const char *delimiter = memchr(data, DELIMITER, size);
        size_t used = delimiter ? (size_t) (delimiter - data) + 1 : size;

        agent->garbage += used;
        if (delimiter) {
                agent->state = AGENT_SYNCING;
                json_stream_reset(&agent->stream);
        }
        return used;
}

/* What is no JSON is garbage while we look for the delimiter, and the end of a command afterwards. */
static void handle_broken(GuestAgent *agent) {
        if (agent->state == AGENT_SYNCING) {
                json_stream_reset(&agent->stream);
                agent->state = AGENT_SKIPPING;
        } else
                finish_error(agent, g_queue_peek_head(&agent->commands), -EPROTO, VB_ERROR_OPERATION_FAILED,
                             "the agent sent %s", agent->stream.error);
}

static void handle_data(GuestAgent *agent, const char *data, size_t size) {
        size_t at = 0;

        /* Idle after an answer: the rest was not asked for. */
        while (at < size && !agent->freed && agent->state != AGENT_IDLE && agent->state != AGENT_CLOSED) {
                g_autoptr(VbJson) message = NULL;
                size_t used = 0;
                int r;

                if (agent->garbage > GARBAGE_MAX) {
                        finish_error(agent, g_queue_peek_head(&agent->commands), -EHOSTDOWN,
                                     VB_ERROR_AGENT_UNRESPONSIVE, "the agent's channel is full of garbage");
                        return;
                }
                if (agent->state == AGENT_SKIPPING) {
                        at += skip(agent, data + at, size - at);
                        continue;
                }
                r = json_stream_feed(&agent->stream, data + at, size - at, &used, &message);
                if (r < 0) {
                        bool syncing = agent->state == AGENT_SYNCING;

                        handle_broken(agent);
                        if (!syncing)
                                return;
                        agent->garbage++;
                        continue; /* the same bytes are looked through for a delimiter */
                }
                if (agent->state == AGENT_SYNCING)
                        agent->garbage += used;
                at += used;
                if (r > 0 && agent->state == AGENT_SYNCING)
                        handle_sync(agent, message);
                else if (r > 0)
                        handle_answer(agent, message);
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        g_autoptr(AgentRef) agent = agent_ref(userdata);
        g_autofree char *data = NULL;
        ssize_t n;

        if (events & EPOLLOUT) {
                if (output_queue_send(&agent->output, agent->fd) < 0)
                        output_queue_clear(&agent->output);
                update_io(agent);
        }
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return 0;
        if (agent->state == AGENT_IDLE) {
                agent_close(agent, -ENOTCONN); /* a hang-up, as we asked for nothing else */
                return 0;
        }

        data = g_malloc(READ_SIZE);
        n = recv(agent->fd, data, READ_SIZE, MSG_DONTWAIT);
        if (n > 0)
                handle_data(agent, data, (size_t) n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                agent_close(agent, n == 0 || errno == ECONNRESET ? -ENOTCONN : -errno);
        return 0;
}

/* Life and sending */

int guest_agent_new(GuestAgent **ret, sd_event *event, int fd, const char *name,
                    void (*closed)(GuestAgent *agent, int r, void *userdata), void *userdata) {
        g_autoptr(AgentRef) agent = g_new0(GuestAgent, 1);
        int r;

        vb_error_init();
        agent->n_ref = 1;
        agent->fd = fd;
        agent->name = g_strdup(name);
        agent->closed = closed;
        agent->userdata = userdata;
        agent->event = sd_event_ref(event);
        agent->output = (OutputQueue) OUTPUT_QUEUE_INIT;
        json_stream_init(&agent->stream, LINE_MAX_BYTES, LINE_MAX_VALUES, DEPTH_MAX);

        r = sd_event_add_io(event, &agent->io, fd, 0, on_io, agent);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &agent->kick, on_kick, agent);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(agent->kick, SD_EVENT_OFF);
        (void) sd_event_source_set_description(agent->io, "guest-agent");
        *ret = g_steal_pointer(&agent);
        return 0;
}

GuestAgent *guest_agent_free(GuestAgent *agent) {
        if (!agent || agent->freed)
                return NULL;
        agent->freed = true;
        agent->io = sd_event_source_disable_unref(agent->io);
        agent->kick = sd_event_source_disable_unref(agent->kick);
        fail_all(agent, -ECANCELED, VB_ERROR_CANCELED, "its channel is no longer in use");
        return agent_unref(agent);
}

static uint64_t queue_request(GuestAgent *agent, VbJson *request, const char *name, bool no_reply,
                              GuestAgentCallback callback, void *userdata, uint64_t timeout_usec) {
        const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        Command *command = g_new(Command, 1);
        int r;

        *command = (Command) {
                .agent = agent,
                .id = ++agent->last_id,
                .name = json_peer_text(name),
                .request = g_strconcat(text, "\n", NULL),
                .no_reply = no_reply,
                .timeout_usec = timeout_usec ?: TIMEOUT_DEFAULT_USEC,
                .callback = callback,
                .userdata = userdata,
        };
        g_queue_push_tail(&agent->commands, command);
        r = command->timeout_usec == UINT64_MAX ? 0 :
                                                  sd_event_add_time_relative(agent->event, &command->timer, CLOCK_MONOTONIC,
                                                                             command->timeout_usec, 20000, on_timeout, command);
        if (r < 0)
                (void) vb_log_warning_errno(r, "%s: no time limit for a guest agent command: %m", agent->name);
        wake(agent);
        return command->id;
}

uint64_t guest_agent_send(GuestAgent *agent, const char *command, VbJson *arguments, bool no_reply,
                          GuestAgentCallback callback, void *userdata, uint64_t timeout_usec) {
        g_autoptr(VbJson) request = json_object_new_object();

        (void) json_object_object_add(request, "execute", json_object_new_string(command));
        if (arguments)
                (void) json_object_object_add(request, "arguments", arguments);
        if (agent->freed)
                return 0;
        return queue_request(agent, request, command, no_reply, callback, userdata, timeout_usec);
}

/* One request, and nothing in it that we do not know. */
static VbJson *parse_request(const char *text, size_t size) {
        g_autoptr(VbJson) request = NULL;
        json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        request = json_tokener_parse_ex(tokener, text, (int) size + 1);
        if (json_tokener_get_error(tokener) != json_tokener_success)
                g_clear_pointer(&request, vb_json_put);
        json_tokener_free(tokener);

        if (!request || !json_object_is_type(request, json_type_object) ||
            !json_member(request, "execute", json_type_string))
                return NULL;
        json_object_object_foreach(request, key, value) {
                if (strcmp(key, "execute") != 0 &&
                    (strcmp(key, "arguments") != 0 || !json_object_is_type(value, json_type_object)))
                        return NULL;
        }
        return g_steal_pointer(&request);
}

uint64_t guest_agent_send_text(GuestAgent *agent, const char *text, GuestAgentCallback callback, void *userdata,
                               uint64_t timeout_usec, sd_bus_error *reterr) {
        g_autoptr(VbJson) request = NULL;
        size_t size = strlen(text);

        if (size > REQUEST_MAX) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "%s: a guest agent command may have at most %u bytes", agent->name, REQUEST_MAX);
                return 0;
        }
        request = parse_request(text, size);
        if (!request) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "%s: a guest agent command must be a JSON object with \"execute\" and at most "
                                         "\"arguments\"",
                                         agent->name);
                return 0;
        }
        if (agent->freed)
                return 0;
        return queue_request(agent, request, json_object_get_string(json_member(request, "execute", json_type_string)),
                             /* no_reply= */ false, callback, userdata, timeout_usec);
}

void guest_agent_forget(GuestAgent *agent, uint64_t id) {
        for (GList *link = agent->commands.head; link; link = link->next) {
                Command *command = link->data;

                if (command->id == id)
                        command->callback = NULL;
        }
}

size_t guest_agent_get_pending(const GuestAgent *agent) {
        return g_queue_get_length((GQueue *) &agent->commands);
}
