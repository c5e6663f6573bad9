/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the worker of an administration socket asks the listener, which alone knows all clients. A question has a struct, or nothing; so has
 * its answer. Failures are errnos. */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/connection.h"
#include "proxy/identity.h"

enum {
        PROXY_ADMIN_PAGE = 1024, /* clients in one answer */
        PROXY_ADMIN_TIMEOUT_MAX_SEC = 7 * 24 * 3600,
};

typedef enum ProxyAdminQuestion {
        PROXY_ADMIN_LIST, /* ProxyAdminList → ProxyAdminEntry[]; fewer than a page: there are no more */
        PROXY_ADMIN_CLIENT, /* ProxyAdminWhich → ProxyAdminClient; -ESRCH */
        PROXY_ADMIN_DISCONNECT, /* ProxyAdminWhich; -ESRCH */
        PROXY_ADMIN_FIGURES, /* ProxyAdminServer → ProxyAdminFigures */
        PROXY_ADMIN_SET_CLIENTS_MAX, /* uint64_t; -ERANGE */
        PROXY_ADMIN_SET_WORKERS_MAX, /* the same */
        PROXY_ADMIN_GET_LOG, /* → VbLogRules */
        PROXY_ADMIN_SET_LOG_FILTERS, /* VbLogRules, of which the filters count; -EINVAL */
        PROXY_ADMIN_SET_LOG_THRESHOLD, /* VbLogRules, of which the threshold counts; -EINVAL */
        PROXY_ADMIN_SET_TIMEOUT, /* uint64_t: seconds, 0 for never */
        PROXY_ADMIN_SHUTDOWN,
        _PROXY_ADMIN_QUESTION_MAX,
} ProxyAdminQuestion;

/* A "server" in libvirt's sense: the clients of the sockets of one name; those of its administration are another. */
typedef struct ProxyAdminServer {
        char driver[PROXY_DRIVER_MAX]; /* as in ProxyClient */
        bool admin;
} ProxyAdminServer;

typedef struct ProxyAdminList {
        ProxyAdminServer server;
        uint64_t after; /* only ids above this */
} ProxyAdminList;

typedef struct ProxyAdminEntry {
        uint64_t id, since_usec;
} ProxyAdminEntry;

typedef struct ProxyAdminWhich {
        ProxyAdminServer server;
        uint64_t id;
} ProxyAdminWhich;

typedef struct ProxyAdminClient {
        ProxyClient client;
        bool open, read_only;
        char user[64], group[64]; /* "" if they have no name on this host */
} ProxyAdminClient;

typedef struct ProxyAdminFigures {
        uint32_t n_clients, n_not_open; /* of this server */
        uint32_t clients_max; /* of all together */
        uint32_t n_workers, n_idle_workers; /* processes */
        uint32_t workers_max;
} ProxyAdminFigures;

/* admin.c: asks the listener; answered() runs as with proxy_call_send(). state is the call's memory, or lasts. */
typedef int (*ProxyAdminAnswered)(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr);
VB_MUST_USE int proxy_admin_ask(ProxyCall *call, ProxyAdminQuestion question, const void *payload, size_t size, ProxyAdminAnswered answered,
                                void *state);
