/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the listener's files know of one another: listener.c accepts, worker-process.c has the workers, link-request.c opens links for
 * them, admin-listener.c answers for the administration. */

#include "base/process.h"
#include "proxy/control.h"
#include "proxy/listener.h"
#include "proxy/sockets.h"

typedef struct ProxyWorkerProcess ProxyWorkerProcess;

/* One client that is being served. */
typedef struct ProxyServed {
        ProxyClient client;
        ProxyWorkerProcess *worker;
        bool open; /* connect_open has been answered */
        bool read_only;
        bool left; /* … but calls of it go on; it counts until they end */
} ProxyServed;

struct ProxyListener {
        VbDaemon *daemon;
        ProxySockets *sockets;
        GHashTable *served; /* ProxyServed by id; owns */
        GHashTable *users; /* number of clients by uid */
        GHashTable *workers; /* ProxyWorkerProcess by ProxyIdentity; owns */
        GHashTable *retired; /* those that have been told to end; owns */
        GQueue links_waiting, links_asked; /* link-request.c; the workers own them */
        GHashTable *crashes; /* ProxyCrashes by ProxyIdentity: who has to wait */
        VbIdleHold *hold; /* while there are clients */
        unsigned n_admin; /* of the clients, those of the administration, who count by themselves */
        uint64_t last_id;
        bool leaving;
        unsigned clients_max, workers_max; /* as the administration has set them */
        int empty_fd; /* the root of workers that need no files */
        uint64_t complained_usec; /* when a client was last turned away with a line in the log */
};

/* A process that serves one identity. */
struct ProxyWorkerProcess {
        ProxyListener *listener;
        ProxyIdentity *identity;
        VbProcess *process;
        ProxyControl *control;
        sd_event_source *timer; /* until it is retired, then until it is killed */
        GHashTable *links; /* ProxyLinkRequest, each its own key; owns */
        unsigned n_clients;
        bool retired; /* the control socket is closed: it ends when it has noticed */
        bool lost; /* it has ended, as the control socket shows, but its end has not been told yet */
};

/* worker-process.c: the worker for an identity, started if there is none. -EAGAIN: the last ones crashed too fast. -EDQUOT: too many of this user. */
VB_MUST_USE int proxy_worker_process_get(ProxyListener *listener, const ProxyIdentity *identity, ProxyWorkerProcess **ret);
/* Hands a client over. The descriptor stays the caller's. -EPIPE: the worker has just ended; there will be another. */
VB_MUST_USE int proxy_worker_process_serve(ProxyWorkerProcess *worker, const ProxyClient *client, int fd);
ProxyWorkerProcess *proxy_worker_process_free(ProxyWorkerProcess *worker);
/* What is to be logged has changed: all follow. */
void proxy_worker_processes_tell_log(ProxyListener *listener);
/* All are to let their clients go, as soon as what these have called is answered. */
void proxy_worker_processes_leave(ProxyListener *listener);

/* listener.c: how many there are, or may be, has changed. */
void proxy_listener_count_changed(ProxyListener *listener);
/* A client has left. */
void proxy_listener_client_gone(ProxyListener *listener, uint64_t id);
/* All clients of a worker that has ended. */
void proxy_listener_worker_gone(ProxyListener *listener, const ProxyWorkerProcess *worker);

/* link-request.c: opens a link to a driver, and sends the answer to the worker. A request ends with its worker. */
VB_MUST_USE int proxy_link_open(ProxyWorkerProcess *worker, const ProxyControlHead *head);
void proxy_link_request_free(gpointer request);
/* Requests have ended: others may be asked for. */
void proxy_links_ask_next(ProxyListener *listener);

/* admin-listener.c: answers a question of the administration; -EBADMSG if the worker may not ask. */
VB_MUST_USE int proxy_admin_answer(ProxyWorkerProcess *worker, const ProxyControlHead *head, const void *tail, size_t n_tail);
