/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/call-private.h"
#include "proxy/error.h"
#include "proxy/route.h"
#include "proxy/xdr.h"

/* Errors to what cannot even be called, of the protocol itself. */
#define RPC_ERROR(reterr, ...) proxy_error_set(reterr, VIR_ERR_RPC, VIR_FROM_RPC, __VA_ARGS__)

/* A packet that names no procedure is answered by way of this one. */
static const RpcType nothing = { "nothing", 0, 0, 0, NULL };
static const RpcProcedure unknown_procedure = {
        .name = "unknown", .function = "unknown", .args = &nothing, .ret = &nothing, .domain = VIR_FROM_RPC
};

static ProxyCall *call_new(ProxyConnection *connection, ProxyPacket *packet) {
        ProxyCall *call = g_new0(ProxyCall, 1);

        call->n_ref = 1;
        call->connection = connection;
        call->procedure = &unknown_procedure;
        call->packet = packet;
        proxy_connection_enter(connection, call);
        return call;
}

ProxyCall *proxy_call_ref(ProxyCall *call) {
        assert(call->n_ref > 0);

        call->n_ref++;
        return call;
}

static void close_fds(GArray *fds) {
        for (guint i = 0; fds && i < fds->len; i++)
                (void) vb_close(g_array_index(fds, int, i));
        g_clear_pointer(&fds, g_array_unref);
}

static void call_free(ProxyCall *call) {
        close_fds(call->fds);
        close_fds(call->kept_fds);
        proxy_packet_free(call->packet);
        proxy_arena_done(&call->arena);
        g_free(call);
}

ProxyCall *proxy_call_unref(ProxyCall *call) {
        if (!call)
                return NULL;
        assert(call->n_ref > 0);

        if (call->n_ref == 1 && !call->is_answered && call->connection) {
                vb_log_error("%s: the call ended without an answer", call->procedure->name);
                (void) proxy_call_fail(call, -EIO, NULL);
        }
        if (--call->n_ref == 0)
                call_free(call);
        return NULL;
}

ProxyConnection *proxy_call_connection(ProxyCall *call) {
        return call->connection;
}

const RpcProcedure *proxy_call_procedure(const ProxyCall *call) {
        return call->procedure;
}

uint32_t proxy_call_serial(const ProxyCall *call) {
        return call->packet->header.serial;
}

bool proxy_call_is_orphan(const ProxyCall *call) {
        return !call->connection;
}

void proxy_call_orphan(ProxyCall *call) {
        call->connection = NULL;
}

void *proxy_call_alloc(ProxyCall *call, size_t size) {
        return proxy_arena_alloc(&call->arena, size);
}

void *proxy_call_alloc_array(ProxyCall *call, size_t n, size_t size) {
        size_t total;

        if (__builtin_mul_overflow(n, size, &total))
                g_error("an array of %zu times %zu bytes", n, size);
        return proxy_arena_alloc(&call->arena, total);
}

char *proxy_call_strdup(ProxyCall *call, const char *text) {
        return text ? proxy_arena_strndup(&call->arena, text, strlen(text)) : NULL;
}

char *proxy_call_printf(ProxyCall *call, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return proxy_call_strdup(call, text);
}

int proxy_call_take_fd(ProxyCall *call, unsigned index) {
        if (index >= call->packet->n_fds || call->packet->fds[index] < 0)
                return -ENOENT;
        return vb_steal_fd(&call->packet->fds[index]);
}

unsigned proxy_call_n_fds(const ProxyCall *call) {
        return call->packet->n_fds;
}

static void append_fd(GArray **fds, int fd) {
        if (!*fds)
                *fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_array_append_val(*fds, fd);
}

void proxy_call_add_fd(ProxyCall *call, int fd) {
        append_fd(&call->fds, fd);
}

void proxy_call_keep_fd(ProxyCall *call, int fd) {
        append_fd(&call->kept_fds, fd);
}

/* ---- answers */

static GByteArray *begin_reply(ProxyPacketType type, unsigned n_fds) {
        GByteArray *message = proxy_packet_begin();
        uint32_t word = GUINT32_TO_BE(n_fds);

        if (type == PROXY_PACKET_REPLY_WITH_FDS)
                g_byte_array_append(message, (const uint8_t *) &word, sizeof(word));
        return message;
}

static ProxyPacketHeader answer_header(const ProxyPacketHeader *to, ProxyPacketType type,
                                       ProxyPacketStatus status) {
        ProxyPacketHeader header = *to;

        header.type = type;
        header.status = status;
        return header;
}

/* The call's place among its connection's is free before the answer goes out, and its answer is queued before
 * another packet is looked at. */
static void finish(ProxyCall *call, GByteArray *message, bool with_fds) {
        call->is_answered = true;
        if (!call->connection) {
                g_byte_array_unref(message);
                return;
        }
        if (with_fds) {
                g_autoptr(GArray) fds = g_steal_pointer(&call->fds);

                proxy_connection_send(call->connection, message, (const int *) fds->data, fds->len);
        } else
                proxy_connection_send(call->connection, message, NULL, 0);
        proxy_connection_leave(g_steal_pointer(&call->connection), call);
}

int proxy_error_encode(GByteArray **ret, const ProxyPacketHeader *to, ProxyPacketType type, int r,
                       const sd_bus_error *error, int domain, const char *driver) {
        g_auto(ProxyArena) arena = {};
        g_autoptr(GByteArray) message = begin_reply(type, 0);
        ProxyPacketHeader header = answer_header(to, type, PROXY_PACKET_ERROR);
        XdrProblem problem;
        RpcError body;

        proxy_error_translate(r, error, domain, driver, &arena, &body);
        r = xdr_encode(&rpc_type_error, &body, message, &problem);
        if (r < 0)
                return r;
        r = proxy_packet_finish(message, &header);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&message);
        return 0;
}

void proxy_call_set_undo(ProxyCall *call, ProxyCallUndo undo, void *userdata) {
        call->undo = undo;
        call->undo_userdata = userdata;
}

int proxy_call_fail(ProxyCall *call, int r, const sd_bus_error *error) {
        const char *driver = call->connection ? proxy_connection_driver(call->connection) : NULL;
        GByteArray *message;
        int q;

        if (call->is_answered)
                return 0;
        if (call->undo && call->connection) { /* of an orphan, the driver may be at work still */
                ProxyCallUndo undo = g_steal_pointer(&call->undo);

                return undo(call, call->undo_userdata, r, error);
        }
        q = proxy_error_encode(&message, &call->packet->header, PROXY_PACKET_REPLY, r, error,
                               call->procedure->domain, driver);
        if (q < 0) {
                /* A message of an error that is too long for an error: without it, then. */
                q = proxy_error_encode(&message, &call->packet->header, PROXY_PACKET_REPLY, r, NULL,
                                       call->procedure->domain, driver);
                assert(q >= 0);
        }
        finish(call, message, /* with_fds= */ false);
        return 0;
}

static int fail_to_encode(ProxyCall *call, int r, const XdrProblem *problem) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (r != -EMSGSIZE)
                vb_log_error("%s: '%s' of its result %s", call->procedure->name, problem->field,
                             problem->what);
        (void) RPC_ERROR(&error, "%s: the result cannot be sent, as '%s' %s", call->procedure->function,
                         problem->field, problem->what);
        return proxy_call_fail(call, r, &error);
}

int proxy_call_reply(ProxyCall *call, const void *result) {
        unsigned n_fds = call->fds ? call->fds->len : 0;
        ProxyPacketType type = n_fds > 0 ? PROXY_PACKET_REPLY_WITH_FDS : PROXY_PACKET_REPLY;
        ProxyPacketHeader header = answer_header(&call->packet->header, type, PROXY_PACKET_OK);
        g_autoptr(GByteArray) message = NULL;
        XdrProblem problem = { "it", "is too long" };
        int r;

        if (call->is_answered) {
                vb_log_error("%s: the call is answered twice", call->procedure->name);
                return 0;
        }
        message = begin_reply(type, n_fds);
        r = xdr_encode(call->procedure->ret, result, message, &problem);
        if (r >= 0)
                r = proxy_packet_finish(message, &header);
        if (r < 0)
                return fail_to_encode(call, r, &problem);
        finish(call, g_steal_pointer(&message), n_fds > 0);
        return 0;
}

int proxy_connection_send_event(ProxyConnection *connection, const RpcProcedure *procedure,
                                const void *body) {
        g_autoptr(GByteArray) message = proxy_packet_begin();
        const RpcProgram *program = &rpc_programs[procedure->program];
        ProxyPacketHeader header = {
                .program = program->id,
                .version = program->version,
                .procedure = procedure->number,
                .type = PROXY_PACKET_MESSAGE,
                .serial = 1,
                .status = PROXY_PACKET_OK,
        };
        XdrProblem problem = {};
        int r;

        assert(procedure->flags & RPC_EVENT);

        r = xdr_encode(procedure->args, body, message, &problem);
        if (r >= 0)
                r = proxy_packet_finish(message, &header);
        if (r < 0)
                return r;
        proxy_connection_send(connection, g_steal_pointer(&message), NULL, 0);
        return 0;
}

/* ---- from packet to function */

static int find_procedure(ProxyCall *call, sd_bus_error *reterr) {
        const ProxyPacketHeader *header = &call->packet->header;
        const RpcProgram *program = NULL;

        for (size_t i = 0; i < _RPC_PROGRAM_MAX; i++)
                if (rpc_programs[i].id == header->program && i != RPC_PROGRAM_KEEPALIVE)
                        program = &rpc_programs[i];
        if (!program || !proxy_connection_has_program(call->connection, header->program))
                return RPC_ERROR(reterr, "there is no program %#x here", header->program);
        if (header->version != program->version)
                return RPC_ERROR(reterr, "program %s has version %u, not %u", program->name, program->version,
                                 header->version);
        if (header->procedure <= 0 || (uint32_t) header->procedure >= program->n_procedures ||
            !program->procedures[header->procedure].name ||
            program->procedures[header->procedure].flags & RPC_EVENT)
                return RPC_ERROR(reterr, "program %s has no procedure %d", program->name, header->procedure);
        if (header->status != PROXY_PACKET_OK)
                return RPC_ERROR(reterr, "a call has status 0, not %u", header->status);
        call->procedure = &program->procedures[header->procedure];
        return 0;
}

static int check_connection(ProxyCall *call, sd_bus_error *reterr) {
        if (!(call->procedure->flags & RPC_BEFORE_AUTH) &&
            !proxy_connection_is_authenticated(call->connection))
                return RPC_ERROR(reterr, "%s: authentication is required", call->procedure->function);
        if (!(call->procedure->flags & RPC_BEFORE_OPEN) && !proxy_connection_is_open(call->connection))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                                       "%s: the connection is not open", call->procedure->function);
        return 0;
}

static int decode(ProxyCall *call, sd_bus_error *reterr) {
        const RpcType *type = call->procedure->args;
        XdrProblem problem;
        ssize_t n;

        call->args = proxy_arena_alloc(&call->arena, type->size);
        n = xdr_decode(type, call->packet->body, call->packet->size, &call->arena, call->args, &problem);
        if (n < 0)
                return RPC_ERROR(reterr, "%s: argument '%s' %s", call->procedure->function, problem.field,
                                 problem.what);
        return 0;
}

static bool may_read_only(const RpcProcedure *procedure, const void *args) {
        uint32_t value;

        if (procedure->read_only == RPC_READ_ONLY_ALLOWED)
                return true;
        if (procedure->read_only == RPC_READ_ONLY_REFUSED)
                return false;
        memcpy(&value, (const char *) args + procedure->read_only_offset, sizeof(value));
        if (procedure->read_only == RPC_READ_ONLY_UNLESS_EQUAL)
                return value != procedure->read_only_value;
        return !(value & procedure->read_only_value);
}

static int check_right(ProxyCall *call, sd_bus_error *reterr) {
        if (!proxy_connection_is_read_only(call->connection) || may_read_only(call->procedure, call->args))
                return 0;
        return proxy_error_set(reterr, VIR_ERR_OPERATION_DENIED, VIR_FROM_NONE,
                               "read only access prevents %s", call->procedure->function);
}

static int run_procedure(ProxyCall *call, sd_bus_error *reterr) {
        const ProxyAction *action = &proxy_actions[call->procedure->index];

        if (action->function)
                return action->function(call, call->args, reterr);
        if (action->route)
                return proxy_route_call(call, action->route, call->args, reterr);
        return proxy_error_set(reterr, VIR_ERR_NO_SUPPORT, VIR_FROM_NONE, "%s", call->procedure->function);
}

void proxy_call_run(ProxyCall *call, const ProxyCallStep *step) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        ProxyCallStep before = call->step;
        int r = 0;

        if (call->is_answered || !call->connection)
                return;
        call->step = *step;
        if (step->answer)
                r = sd_bus_message_rewind(step->answer, /* complete= */ true);
        if (r >= 0)
                r = step->answered ? step->answered(call, step->answer, step->userdata, &error)
                                   : run_procedure(call, &error);
        call->step = before;
        if (r < 0)
                (void) proxy_call_fail(call, r, &error);
}

void proxy_call_dispatch(ProxyConnection *connection, ProxyPacket *packet) {
        g_autoptr(ProxyCall) call = call_new(connection, packet);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = find_procedure(call, &error);
        if (r >= 0)
                r = check_connection(call, &error);
        if (r >= 0)
                r = decode(call, &error);
        if (r >= 0)
                r = check_right(call, &error);
        if (r < 0)
                (void) proxy_call_fail(call, r, &error);
        else
                proxy_call_run(call, &(ProxyCallStep){});
}

int proxy_call_check_flags(ProxyCall *call, unsigned flags, unsigned allowed, sd_bus_error *reterr) {
        if (!(flags & ~allowed))
                return 0;
        return proxy_error_set_whole(reterr, VIR_ERR_INVALID_ARG, proxy_call_driver_domain(call),
                                     "unsupported flags (0x%x) in function %s", flags & ~allowed,
                                     call->procedure->function);
}
