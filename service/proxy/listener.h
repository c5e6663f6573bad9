/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The listener: holds the sockets, learns from the kernel who connects, and hands each client to the worker of that user and door, before a
 * byte is read. It speaks with drivers only to open links for workers. */

#include "base/cleanup.h"
#include "bus/daemon.h"
#include "proxy/identity.h"

enum {
        PROXY_CLIENTS_MAX = 5000, /* libvirt's max_clients */
        PROXY_CLIENTS_OF_USER = 1250, /* a quarter; not for root */
        PROXY_CLIENTS_OF_ROOT = 100, /* kept free of others */
        PROXY_CLIENTS_OF_ADMIN = 100, /* beside all others */
        PROXY_WORKERS_OF_USER = 16, /* identities of one user (groups differ) times doors */
};

typedef struct ProxyListener ProxyListener;

/* With the sockets that the service manager passed, or else, in a session, ones of its own making. */
VB_MUST_USE int proxy_listener_new(ProxyListener **ret, VbDaemon *daemon, sd_bus_error *reterr);
/* The daemon is about to leave: who comes now waits in the sockets for the next one, and who is here is let go as soon as all calls are
 * answered. vb_daemon_leave_if_done() is called when there may be nobody any more. */
void proxy_listener_leave(ProxyListener *listener);
bool proxy_listener_is_busy(const ProxyListener *listener);
ProxyListener *proxy_listener_free(ProxyListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyListener, proxy_listener_free)
