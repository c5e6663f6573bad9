/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between connection.c, which reads packets and writes replies, and call.c, which makes calls of the ones and
 * the others of calls. */

#include "proxy/arena.h"
#include "proxy/call.h"
#include "proxy/packet.h"

/* What a call does next when what it waits for is there: a function that was given an answer of the bus, or,
 * if answered is NULL, the procedure's own. */
typedef struct ProxyCallStep {
        ProxyAnswered answered;
        sd_bus_message *answer;
        void *userdata;
} ProxyCallStep;

struct ProxyCall {
        unsigned n_ref;
        ProxyConnection *connection; /* NULL: it has been answered, or the client has left */
        const RpcProcedure *procedure;
        ProxyPacket *packet;
        ProxyArena arena;
        void *args;
        GArray *fds; /* to go with the reply */
        GArray *kept_fds;
        bool is_answered;
        ProxyCallUndo undo; /* NULL: there is nothing to be undone */
        void *undo_userdata;
        ProxyCallStep step; /* that is running */
};

/* Takes the packet over: a CALL or CALL_WITH_FDS. Everything that is wrong with it, from an unknown program
 * to a body that cannot be decoded, is answered to the client; so is a call that this connection may not
 * make. Answers may be sent before this returns. */
void proxy_call_dispatch(ProxyConnection *connection, ProxyPacket *packet);

/* The connection is being freed: a call that it still has goes on without it, and its reply goes nowhere. */
void proxy_call_orphan(ProxyCall *call);

/* Runs a step, from its top, unless the call has been answered meanwhile, or nobody waits for it any more.
 * The answer is read from its beginning. */
void proxy_call_run(ProxyCall *call, const ProxyCallStep *step);

/* A whole message with an error: type is REPLY or STREAM, all else of the header as in the packet that it
 * answers. domain: of the object (a procedure's); driver: NULL if none has been asked. */
VB_MUST_USE int proxy_error_encode(GByteArray **ret, const ProxyPacketHeader *to, ProxyPacketType type, int r,
                                   const sd_bus_error *error, int domain, const char *driver);
