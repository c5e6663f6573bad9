/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A worker: one user's clients of one door, their links to drivers, one event loop. The listener started it; before it
 * takes up its first client it has become that user, and keeps nothing it does not need. */

#include <stdbool.h>

#include "base/cleanup.h"
#include "proxy/backend.h"
#include "proxy/connection.h"

enum {
        PROXY_WORKER_HELD_MAX = 512 * 1024 * 1024, /* bytes of packets, of all connections of a worker together */
        PROXY_WORKER_LINGER_MAX = 64, /* clients that have left, with calls under way */
};

/* main() of `virtproxyd --worker`: the control socket is standard input. Returns the exit status. */
int proxy_worker_run(void);

sd_event *proxy_worker_event(ProxyWorker *worker);
/* The worker serves a session, not the system. */
bool proxy_worker_is_session(const ProxyWorker *worker);
/* The worker's links to a driver, made when first asked for. NULL: there is no such driver (see drivers.h). */
ProxyBackend *proxy_worker_backend(ProxyWorker *worker, const char *driver);

/* Asks the listener, which answers for the administration; answered() is called once, with the payload or an error. */
typedef void (*ProxyAnswer)(int r, const void *payload, size_t size, void *userdata);
VB_MUST_USE int proxy_worker_ask(ProxyWorker *worker, int question, const void *payload, size_t size, ProxyAnswer answered,
                                 void *userdata);

/* By connection.c: it holds now instead of before bytes of packets that are not whole, or not taken. false: all connections together hold
 * more than they may. */
VB_MUST_USE bool proxy_worker_account(ProxyWorker *worker, size_t before, size_t now);
void proxy_worker_release(ProxyWorker *worker, size_t held);
/* The client has left, but calls of it go on. Frees the connection that has lingered for longest if there are more than PROXY_WORKER_LINGER_MAX. */
void proxy_worker_client_left(ProxyWorker *worker, ProxyConnection *connection);
/* Nothing of it goes on any more, or nothing may; frees the connection. */
void proxy_worker_client_gone(ProxyWorker *worker, ProxyConnection *connection);
void proxy_worker_client_opened(ProxyWorker *worker, const ProxyConnection *connection);
