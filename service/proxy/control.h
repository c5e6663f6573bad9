/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What passes between the listener and a worker: packets on a SOCK_SEQPACKET pair, each a fixed head and perhaps a tail, with at most one
 * descriptor beside them. Both ends are one and the same binary (the listener executes itself), so the structs need no version. The
 * listener believes nothing that a worker says beyond what that worker's own clients may have: a worker belongs to its user. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/identity.h"

enum {
        PROXY_CONTROL_TAIL_MAX = 128 * 1024,
        PROXY_CONTROL_QUEUE_MAX = 16384, /* three for each client; packets that the other end has not taken; more, and it is given up */
        PROXY_CONTROL_ERROR_MAX = 1024, /* of an error's text; the rest is cut */
};

typedef enum ProxyControlKind {
        /* To the worker. */
        PROXY_CONTROL_IDENTITY, /* the first; tail: ProxyIdentity, whom to become */
        PROXY_CONTROL_CLIENT, /* client, descriptor: here is one */
        PROXY_CONTROL_DISCONNECT, /* id: this client has to go */
        PROXY_CONTROL_LINK, /* id of the question; descriptor, or result and tail: "name\0message" of an error */
        PROXY_CONTROL_LOG, /* the second, and again when it changes; tail: VbLogRules */
        PROXY_CONTROL_LEAVE, /* clients are to be let go, as soon as what they have called is answered */
        PROXY_CONTROL_ANSWER, /* id of the question; result and tail: of a question of the administration */
        /* To the listener. */
        PROXY_CONTROL_OPEN_LINK, /* link: a question */
        PROXY_CONTROL_OPENED, /* id: this client has opened its connection; result: 1 if read-only */
        PROXY_CONTROL_LEFT, /* id: this client has left, but calls of it go on */
        PROXY_CONTROL_GONE, /* id: this client has left, and nothing of it goes on */
        PROXY_CONTROL_ASK, /* id, result and tail: a question of the administration */
        _PROXY_CONTROL_KIND_MAX,
} ProxyControlKind;

typedef struct ProxyControlHead {
        ProxyControlKind kind;
        int32_t result;
        uint64_t id;
        union {
                struct {
                        bool session;
                } identity;
                ProxyClient client;
                struct {
                        uint64_t client; /* in whose name; 0: the worker's own, shared */
                        char driver[PROXY_DRIVER_MAX];
                        bool read_only, with_signals;
                } link;
        };
} ProxyControlHead;

typedef struct ProxyControl ProxyControl;

/* One packet has come; tail is NUL-terminated beyond its size. fd is -EBADF or the callee's to take (set it to -EBADF). A negative return
 * value ends the control, as does the other end: then gone() is called, once. Either may free the control. */
typedef struct ProxyControlEnds {
        int (*received)(const ProxyControlHead *head, const void *tail, size_t n_tail, int *fd, void *userdata);
        void (*gone)(int r, void *userdata);
} ProxyControlEnds;

/* Takes the descriptor over. */
VB_MUST_USE int proxy_control_new(ProxyControl **ret, sd_event *event, int fd, const ProxyControlEnds *ends, void *userdata);
ProxyControl *proxy_control_free(ProxyControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyControl, proxy_control_free)

/* Never blocks: what the other end does not take now waits. fd is duplicated only if it must wait; it stays the caller's. -ENOBUFS: too
 * much waits. -EPIPE: it is gone. */
VB_MUST_USE int proxy_control_send(ProxyControl *control, const ProxyControlHead *head, const void *tail, size_t n_tail,
                                   int fd);

/* Receives one packet at once, waiting for it: a worker's first ones. tail has room for PROXY_CONTROL_TAIL_MAX and a NUL. */
VB_MUST_USE int proxy_control_receive(int control_fd, ProxyControlHead *ret, void *tail, size_t *n_tail, int *ret_fd);
