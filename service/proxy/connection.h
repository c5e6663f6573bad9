/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One classic client in its worker: the socket, what it may do, what it has asked for and not got yet. When the client leaves, or breaks the
 * protocol, or the worker drops it, its socket is closed at once; the rest is freed when the calls under way have been answered, or
 * have taken too long: then they find themselves orphaned. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "proxy/identity.h"

typedef struct ProxyConnection ProxyConnection;
typedef struct ProxyWorker ProxyWorker;
typedef struct ProxyCall ProxyCall;

enum {
        PROXY_CALLS_MAX = 5, /* unanswered calls of one client, as libvirt's default; then it is not read from */
        PROXY_QUEUE_HIGH = 1024 * 1024, /* bytes the client has not taken: it is not read from, streams hold back */
        PROXY_QUEUE_MAX = 128 * 1024 * 1024, /* … and it still does not take events: it is dropped */
};

/* Takes the descriptor over. The worker owns the connection. */
VB_MUST_USE int proxy_connection_new(ProxyConnection **ret, ProxyWorker *worker, const ProxyClient *client, int fd);
ProxyConnection *proxy_connection_free(ProxyConnection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyConnection, proxy_connection_free)

const ProxyClient *proxy_connection_client(const ProxyConnection *connection);
ProxyWorker *proxy_connection_worker(ProxyConnection *connection);

/* The door is a read-only one, or connect_open asked for it. The dispatcher has checked this against the table before a function
 * runs. */
bool proxy_connection_is_read_only(const ProxyConnection *connection);

/* After connect_open: the driver ("qemu") whose objects the procedures address. NULL before. */
const char *proxy_connection_driver(const ProxyConnection *connection);
/* By connect_open, once: -EALREADY if it is open. */
VB_MUST_USE int proxy_connection_open(ProxyConnection *connection, const char *driver, const char *uri, bool read_only);
const char *proxy_connection_uri(const ProxyConnection *connection);
/* By connect_close: once the reply has been written, the socket is closed. */
void proxy_connection_close_after_reply(ProxyConnection *connection);

/* What belongs to a feature (event registrations, streams) and ends with the connection: kept by key, freed in the end. */
void proxy_connection_set_data(ProxyConnection *connection, const void *key, void *data, GDestroyNotify free_data);
void *proxy_connection_data(ProxyConnection *connection, const void *key);

/* For call.c. A call has been made of a packet: it counts until it has left; if the connection ends first, it calls
 * proxy_call_orphan() on each that has not. leave() may lead to the next packet being dispatched, but not before it returns. */
void proxy_connection_enter(ProxyConnection *connection, ProxyCall *call);
void proxy_connection_leave(ProxyConnection *connection, ProxyCall *call);
/* Queues a whole message; takes it and the descriptors over. Never fails: a connection that cannot be written to ends later, from
 * the loop. */
void proxy_connection_send(ProxyConnection *connection, GByteArray *message, const int *fds, unsigned n_fds);
/* Programs that its door has: the administration's, or all others. */
bool proxy_connection_has_program(const ProxyConnection *connection, uint32_t program);
bool proxy_connection_is_authenticated(const ProxyConnection *connection);
bool proxy_connection_is_open(const ProxyConnection *connection);

/* Bytes queued for the client and not yet taken by the kernel: who produces without being asked (streams, events) holds
 * back by it, and is told when it is low again. */
size_t proxy_connection_queued(const ProxyConnection *connection);
/* By userdata; each is told once, and no more after not_when_drained(). */
typedef void (*ProxyDrained)(ProxyConnection *connection, void *userdata);
void proxy_connection_when_drained(ProxyConnection *connection, ProxyDrained drained, void *userdata);
void proxy_connection_not_when_drained(ProxyConnection *connection, void *userdata);
