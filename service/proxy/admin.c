/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The administration's procedures, for virt-admin: who is connected, how many may be, and the daemon itself.
 *
 * What libvirt calls a server is here the clients of the sockets of one name: "libvirtd" of libvirt-sock and libvirt-sock-ro, "virtqemud" of
 * virtqemud-sock and virtqemud-sock-ro; and "admin", of the administration of the same name. Its pool of threads is our worker processes, of which
 * there are as many as needed up to a limit: nothing waits in a queue, and none are kept ready. */

#include <string.h>

#include "base/error.h"
#include "proxy/admin.h"
#include "proxy/call.h"
#include "proxy/connection-private.h"
#include "proxy/worker.h"

enum {
        CLIENTS_MAX = 16384, /* in a reply */
};

#define ADMIN "admin"

/* Opening */

int proxy_admin_connect_open(ProxyCall *call, const RpcAdminConnectOpenArgs *args, sd_bus_error *reterr) {
        ProxyConnection *connection = proxy_call_connection(call);
        const char *driver = proxy_connection_client(connection)->driver;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_connection_open(connection, driver[0] != '\0' ? driver : NULL, /* uri= */ NULL, /* read_only= */ false);
        if (r < 0)
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "connection already open");
        return proxy_reply_admin_connect_open(call);
}

int proxy_admin_connect_close(ProxyCall *call, sd_bus_error *reterr) {
        proxy_connection_close_after_reply(proxy_call_connection(call));
        return proxy_reply_admin_connect_close(call);
}

int proxy_admin_connect_get_lib_version(ProxyCall *call, sd_bus_error *reterr) {
        return proxy_reply_admin_connect_get_lib_version(call, &(RpcAdminConnectGetLibVersionRet){ .libVer = PROXY_LIBVIRT_VERSION });
}

/* Questions to the listener */

typedef struct Asked {
        ProxyCall *call;
        ProxyAdminAnswered answered;
        void *state;
} Asked;

static int explain(int r, sd_bus_error *reterr) {
        switch (r) {
        case -ESRCH: return proxy_error_set(reterr, VIR_ERR_NO_CLIENT, VIR_FROM_ADMIN, "no client with this id");
        case -ERANGE: return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_ADMIN, "the number is out of range");
        default: return sd_bus_error_set_errno(reterr, r);
        }
}

static void on_answer(int r, const void *answer, size_t size, void *userdata) {
        g_autofree Asked *asked = userdata;
        g_autoptr(ProxyCall) call = asked->call;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (proxy_call_is_orphan(call))
                return;
        r = r < 0 ? explain(r, &error) : asked->answered(call, answer, size, asked->state, &error);
        if (r < 0)
                (void) proxy_call_fail(call, r, &error);
}

int proxy_admin_ask(ProxyCall *call, ProxyAdminQuestion question, const void *payload, size_t size, ProxyAdminAnswered answered,
                    void *state) {
        ProxyWorker *worker = proxy_connection_worker(proxy_call_connection(call));
        Asked *asked = g_new(Asked, 1);
        int r;

        *asked = (Asked){ proxy_call_ref(call), answered, state };
        r = proxy_worker_ask(worker, question, payload, size, on_answer, asked);
        if (r < 0) {
                proxy_call_unref(call);
                g_free(asked);
        }
        return r;
}

/* Servers */

static char *server_name(ProxyCall *call) {
        const char *driver = proxy_connection_client(proxy_call_connection(call))->driver;

        return driver[0] == '\0' ? proxy_call_strdup(call, "libvirtd") : proxy_call_printf(call, "virt%sd", driver);
}

static int find_server(ProxyCall *call, const char *name, ProxyAdminServer *ret, sd_bus_error *reterr) {
        g_strlcpy(ret->driver, proxy_connection_client(proxy_call_connection(call))->driver, sizeof ret->driver);
        ret->admin = strcmp(name, ADMIN) == 0;
        if (!ret->admin && strcmp(name, server_name(call)) != 0)
                return proxy_error_set(reterr, VIR_ERR_NO_SERVER, VIR_FROM_ADMIN, "no server with matching name '%s' found", name);
        return 0;
}

int proxy_admin_connect_list_servers(ProxyCall *call, const RpcAdminConnectListServersArgs *args, sd_bus_error *reterr) {
        const RpcAdminServer servers[] = { { server_name(call) }, { ADMIN } };
        RpcAdminConnectListServersRet ret = { .ret = G_N_ELEMENTS(servers) };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->need_results)
                ret.servers = (RpcAdminServerArray){ G_N_ELEMENTS(servers), servers };
        return proxy_reply_admin_connect_list_servers(call, &ret);
}

int proxy_admin_connect_lookup_server(ProxyCall *call, const RpcAdminConnectLookupServerArgs *args, sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->name, &server, reterr);
        if (r < 0)
                return r;
        return proxy_reply_admin_connect_lookup_server(call, &(RpcAdminConnectLookupServerRet){ .srv.name = args->name });
}

/* Figures */

static RpcTypedParam uint_param(const char *name, uint32_t value) {
        return (RpcTypedParam){ name, { .type = VIR_TYPED_PARAM_UINT, .ui = value } };
}

static int on_threadpool(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        const ProxyAdminFigures *figures = answer;
        const RpcTypedParam params[] = {
                uint_param(VIR_THREADPOOL_WORKERS_MIN, 0),
                uint_param(VIR_THREADPOOL_WORKERS_MAX, figures->workers_max),
                uint_param(VIR_THREADPOOL_WORKERS_CURRENT, figures->n_workers),
                uint_param(VIR_THREADPOOL_WORKERS_FREE, figures->n_idle_workers),
                uint_param(VIR_THREADPOOL_WORKERS_PRIORITY, 0),
                uint_param(VIR_THREADPOOL_JOB_QUEUE_DEPTH, 0),
        };

        return proxy_reply_admin_server_get_threadpool_parameters(
                call, &(RpcAdminServerGetThreadpoolParametersRet){ .params = { G_N_ELEMENTS(params), params } });
}

int proxy_admin_server_get_threadpool_parameters(ProxyCall *call, const RpcAdminServerGetThreadpoolParametersArgs *args,
                                                 sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &server, reterr);
        return r < 0 ? r : proxy_admin_ask(call, PROXY_ADMIN_FIGURES, &server, sizeof server, on_threadpool, NULL);
}

static int on_limits(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        const ProxyAdminFigures *figures = answer;
        const RpcTypedParam params[] = {
                uint_param(VIR_SERVER_CLIENTS_MAX, figures->clients_max),
                uint_param(VIR_SERVER_CLIENTS_CURRENT, figures->n_clients),
                uint_param(VIR_SERVER_CLIENTS_UNAUTH_MAX, figures->clients_max),
                uint_param(VIR_SERVER_CLIENTS_UNAUTH_CURRENT, figures->n_not_open),
        };

        return proxy_reply_admin_server_get_client_limits(
                call, &(RpcAdminServerGetClientLimitsRet){ .params = { G_N_ELEMENTS(params), params } });
}

int proxy_admin_server_get_client_limits(ProxyCall *call, const RpcAdminServerGetClientLimitsArgs *args, sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &server, reterr);
        return r < 0 ? r : proxy_admin_ask(call, PROXY_ADMIN_FIGURES, &server, sizeof server, on_limits, NULL);
}

/* The one number that can be set, by its name; the others are for reading, or are ours to know. */
static int take_number(const RpcTypedParamArray *params, const char *name, const char *why, uint64_t *ret, sd_bus_error *reterr) {
        const RpcTypedParam *param = params->items;

        for (uint32_t i = 0; i < params->n; i++)
                if (strcmp(params->items[i].field, name) != 0)
                        return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_FROM_ADMIN,
                                               "'%s' cannot be set, only '%s': %s", params->items[i].field, name, why);
        if (params->n != 1)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_ADMIN, "'%s' must be given, once", name);
        if (param->value.type != VIR_TYPED_PARAM_UINT)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_ADMIN, "'%s' must be an unsigned int", name);
        *ret = param->value.ui;
        return 0;
}

static int on_workers_set(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        return proxy_reply_admin_server_set_threadpool_parameters(call);
}

int proxy_admin_server_set_threadpool_parameters(ProxyCall *call, const RpcAdminServerSetThreadpoolParametersArgs *args,
                                                 sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        uint64_t n = 0;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &server, reterr);
        if (r >= 0)
                r = take_number(&args->params, VIR_THREADPOOL_WORKERS_MAX, "workers are processes that are started when they are needed", &n,
                                reterr);
        return r < 0 ? r : proxy_admin_ask(call, PROXY_ADMIN_SET_WORKERS_MAX, &n, sizeof n, on_workers_set, NULL);
}

static int on_limits_set(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        return proxy_reply_admin_server_set_client_limits(call);
}

int proxy_admin_server_set_client_limits(ProxyCall *call, const RpcAdminServerSetClientLimitsArgs *args, sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        uint64_t n = 0;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &server, reterr);
        if (r >= 0)
                r = take_number(&args->params, VIR_SERVER_CLIENTS_MAX,
                                "clients that have not opened their connection are let go after a time", &n, reterr);
        return r < 0 ? r : proxy_admin_ask(call, PROXY_ADMIN_SET_CLIENTS_MAX, &n, sizeof n, on_limits_set, NULL);
}

int proxy_admin_server_update_tls_files(ProxyCall *call, const RpcAdminServerUpdateTlsFilesArgs *args, sd_bus_error *reterr) {
        ProxyAdminServer server = { 0 };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &server, reterr);
        if (r < 0)
                return r;
        return proxy_error_set(reterr, VIR_ERR_OPERATION_UNSUPPORTED, VIR_FROM_ADMIN,
                               "server '%s' has no TLS sockets, and so no TLS files to read again", args->srv.name);
}

/* Clients */

typedef struct Listing {
        ProxyAdminList question;
        const char *server;
        RpcAdminClient *clients; /* of the call's memory */
        uint32_t n_clients;
        bool need_results;
} Listing;

static void add_page(ProxyCall *call, Listing *listing, const ProxyAdminEntry *entries, uint32_t n) {
        RpcAdminClient *clients = proxy_call_alloc_array(call, listing->n_clients + n, sizeof *clients);

        if (listing->n_clients > 0)
                memcpy(clients, listing->clients, listing->n_clients * sizeof *clients);
        for (uint32_t i = 0; i < n; i++)
                clients[listing->n_clients + i] = (RpcAdminClient){
                        .srv.name = listing->server,
                        .id = entries[i].id,
                        .timestamp = (int64_t) (entries[i].since_usec / G_USEC_PER_SEC),
                        .transport = VIR_CLIENT_TRANS_UNIX,
                };
        listing->clients = clients;
        listing->n_clients += n;
}

static int reply_list(ProxyCall *call, const Listing *listing) {
        RpcAdminServerListClientsRet ret = { .ret = listing->n_clients };

        if (listing->need_results)
                ret.clients = (RpcAdminClientArray){ listing->n_clients, listing->clients };
        return proxy_reply_admin_server_list_clients(call, &ret);
}

/* Page by page, until one is not full. */
static int on_list(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        uint32_t n = (uint32_t) (size / sizeof(ProxyAdminEntry));
        Listing *listing = state;

        add_page(call, listing, answer, n);
        if (n < PROXY_ADMIN_PAGE || listing->n_clients + PROXY_ADMIN_PAGE > CLIENTS_MAX)
                return reply_list(call, listing);
        listing->question.after = listing->clients[listing->n_clients - 1].id;
        return proxy_admin_ask(call, PROXY_ADMIN_LIST, &listing->question, sizeof listing->question, on_list, listing);
}

int proxy_admin_server_list_clients(ProxyCall *call, const RpcAdminServerListClientsArgs *args, sd_bus_error *reterr) {
        Listing *listing = proxy_call_alloc(call, sizeof *listing);
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, args->srv.name, &listing->question.server, reterr);
        if (r < 0)
                return r;
        listing->server = args->srv.name;
        listing->need_results = args->need_results;
        return proxy_admin_ask(call, PROXY_ADMIN_LIST, &listing->question, sizeof listing->question, on_list, listing);
}

static int on_lookup(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        const ProxyAdminClient *client = answer;

        return proxy_reply_admin_server_lookup_client(
                call, &(RpcAdminServerLookupClientRet){
                              .clnt = {
                                      .srv.name = state,
                                      .id = client->client.id,
                                      .timestamp = (int64_t) (client->client.since_usec / G_USEC_PER_SEC),
                                      .transport = VIR_CLIENT_TRANS_UNIX,
                              } });
}

/* Whoever asks for one client. */
static int ask_of_client(ProxyCall *call, ProxyAdminQuestion question, const char *server, uint64_t id, unsigned flags,
                         ProxyAdminAnswered answered, sd_bus_error *reterr) {
        ProxyAdminWhich which = { .id = id };
        int r;

        r = proxy_call_check_flags(call, flags, 0, reterr);
        if (r >= 0)
                r = find_server(call, server, &which.server, reterr);
        return r < 0 ? r : proxy_admin_ask(call, question, &which, sizeof which, answered, (void *) server);
}

int proxy_admin_server_lookup_client(ProxyCall *call, const RpcAdminServerLookupClientArgs *args, sd_bus_error *reterr) {
        return ask_of_client(call, PROXY_ADMIN_CLIENT, args->srv.name, args->id, args->flags, on_lookup, reterr);
}

static int on_client_info(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        const ProxyAdminClient *client = answer;
        const RpcTypedParam params[] = {
                { VIR_CLIENT_INFO_READONLY, { .type = VIR_TYPED_PARAM_BOOLEAN, .b = client->read_only } },
                { VIR_CLIENT_INFO_UNIX_USER_ID, { .type = VIR_TYPED_PARAM_INT, .i = (int32_t) client->client.uid } },
                { VIR_CLIENT_INFO_UNIX_USER_NAME, { .type = VIR_TYPED_PARAM_STRING, .s = client->user } },
                { VIR_CLIENT_INFO_UNIX_GROUP_ID, { .type = VIR_TYPED_PARAM_INT, .i = (int32_t) client->client.gid } },
                { VIR_CLIENT_INFO_UNIX_GROUP_NAME, { .type = VIR_TYPED_PARAM_STRING, .s = client->group } },
                { VIR_CLIENT_INFO_UNIX_PROCESS_ID, { .type = VIR_TYPED_PARAM_INT, .i = client->client.pid } },
        };

        return proxy_reply_admin_client_get_info(call, &(RpcAdminClientGetInfoRet){ .params = { G_N_ELEMENTS(params), params } });
}

int proxy_admin_client_get_info(ProxyCall *call, const RpcAdminClientGetInfoArgs *args, sd_bus_error *reterr) {
        return ask_of_client(call, PROXY_ADMIN_CLIENT, args->clnt.srv.name, args->clnt.id, args->flags, on_client_info, reterr);
}

static int on_client_closed(ProxyCall *call, const void *answer, size_t size, void *state, sd_bus_error *reterr) {
        return proxy_reply_admin_client_close(call);
}

int proxy_admin_client_close(ProxyCall *call, const RpcAdminClientCloseArgs *args, sd_bus_error *reterr) {
        return ask_of_client(call, PROXY_ADMIN_DISCONNECT, args->clnt.srv.name, args->clnt.id, args->flags, on_client_closed,
                             reterr);
}
