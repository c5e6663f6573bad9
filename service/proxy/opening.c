/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a classic connection begins and ends: authentication, which needs nothing, as the kernel has said who is there; what the server can do; the URI. */

#include <string.h>

#include "base/error.h"
#include "proxy/call.h"
#include "proxy/connection-private.h"
#include "proxy/drivers.h"
#include "proxy/worker.h"

/* auth_list's types. Asking for polkit here would be a needless question: what needs a right is asked for when it is done. */
enum {
        AUTH_NONE = 0,
};

/* virDrvFeature, as far as it is true for every driver. The others are of migration. */
enum {
        FEATURE_FD_PASSING = 8,
        FEATURE_TYPED_PARAM_STRING = 9,
        FEATURE_PROGRAM_KEEPALIVE = 10,
        FEATURE_REMOTE_EVENT_CALLBACK = 14,
        FEATURE_REMOTE_CLOSE_CALLBACK = 15,
        FEATURE_NETWORK_UPDATE_HAS_CORRECT_ORDER = 16,
};

/* Authentication */

int proxy_remote_auth_list(ProxyCall *call, sd_bus_error *reterr) {
        static const int32_t types[] = { AUTH_NONE };

        return proxy_reply_remote_auth_list(call, &(RpcRemoteAuthListRet){ .types = { G_N_ELEMENTS(types), types } });
}

/* Clients whose URI or settings insist on it get it. */
int proxy_remote_auth_polkit(ProxyCall *call, sd_bus_error *reterr) {
        return proxy_reply_remote_auth_polkit(call, &(RpcRemoteAuthPolkitRet){ .complete = 1 });
}

/* The URI. Clients have taken transport, host and their own parameters out of it. */

typedef struct Uri {
        char *driver; /* "qemu" */
        char *authority; /* "" */
        char *path; /* "/system" */
} Uri;

static void uri_done(Uri *uri) {
        g_free(uri->driver);
        g_free(uri->authority);
        g_free(uri->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Uri, uri_done)

static bool uri_parse(const char *text, Uri *ret) {
        const char *colon = strchr(text, ':'), *rest, *path;

        if (!colon || colon == text)
                return false;
        rest = colon + 1;
        if (g_str_has_prefix(rest, "//"))
                rest += 2;
        path = rest + strcspn(rest, "/?#");
        *ret = (Uri){
                .driver = g_strndup(text, MIN(strcspn(text, "+"), (size_t) (colon - text))),
                .authority = g_strndup(rest, (size_t) (path - rest)),
                .path = g_strndup(path, strcspn(path, "?#")),
        };
        return true;
}

/* One process serves the system, another each session; a session's own URI is served by the system, too, as libvirt's daemon does where
 * root asks for it. */
static int check_path(const Uri *uri, bool session, sd_bus_error *reterr) {
        const char *right = session ? "/session" : "/system";

        if (uri->path[0] == '\0')
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, "no %s URI path given, try %s://%s",
                                       uri->driver, uri->driver, right);
        if (strcmp(uri->path, right) != 0 && (session || strcmp(uri->path, "/session") != 0))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU,
                                       "unexpected %s URI path '%s', try %s://%s", uri->driver, uri->path, uri->driver, right);
        return 0;
}

static int find_driver(const ProxyClient *client, const char *name, bool session, const ProxyDriver **ret,
                       sd_bus_error *reterr) {
        g_auto(Uri) uri = { 0 };
        int r;

        /* virtqemud-sock leads to one driver only; on libvirt-sock the URI says which. */
        if (!uri_parse(name, &uri) || uri.authority[0] != '\0' || !(*ret = proxy_driver_find(uri.driver)) ||
            (client->driver[0] != '\0' && strcmp(client->driver, uri.driver) != 0))
                return proxy_error_set(reterr, VIR_ERR_NO_CONNECT, VIR_FROM_NONE, "no connection driver available for %s", name);
        r = check_path(&uri, session, reterr);
        return r < 0 ? r : 0;
}

int proxy_remote_connect_open(ProxyCall *call, const RpcRemoteConnectOpenArgs *args, sd_bus_error *reterr) {
        ProxyConnection *connection = proxy_call_connection(call);
        const ProxyClient *client = proxy_connection_client(connection);
        bool session = proxy_worker_is_session(proxy_connection_worker(connection));
        const ProxyDriver *driver = NULL;
        g_autofree char *uri = NULL;
        int r;

        /* Other bits are not refused: libvirt's library lets some of its own through, such as that it might start a daemon. */
        uri = args->name && args->name[0] != '\0'
                      ? g_strdup(args->name)
                      : g_strdup_printf("%s:///%s", client->driver[0] != '\0' ? client->driver : proxy_drivers[0].name,
                                        session ? "session" : "system");
        r = find_driver(client, uri, session, &driver, reterr);
        if (r < 0)
                return r;
        r = proxy_connection_open(connection, driver->name, uri, args->flags & VIR_CONNECT_RO);
        if (r < 0)
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "connection already open");
        return proxy_reply_remote_connect_open(call);
}

int proxy_remote_connect_get_uri(ProxyCall *call, sd_bus_error *reterr) {
        const char *uri = proxy_connection_uri(proxy_call_connection(call));

        return proxy_reply_remote_connect_get_uri(call, &(RpcRemoteConnectGetUriRet){ .uri = uri });
}

/* What the server can do */

int proxy_remote_connect_supports_feature(ProxyCall *call, const RpcRemoteConnectSupportsFeatureArgs *args,
                                          sd_bus_error *reterr) {
        ProxyConnection *connection = proxy_call_connection(call);
        RpcRemoteConnectSupportsFeatureRet ret = { 0 };

        if (args->feature != FEATURE_PROGRAM_KEEPALIVE && !proxy_connection_is_open(connection))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "connection not open");
        switch (args->feature) {
        case FEATURE_PROGRAM_KEEPALIVE: proxy_connection_start_keepalive(connection); ret.supported = 1; break;
        case FEATURE_FD_PASSING:
        case FEATURE_TYPED_PARAM_STRING:
        case FEATURE_REMOTE_EVENT_CALLBACK:
        case FEATURE_REMOTE_CLOSE_CALLBACK:
        case FEATURE_NETWORK_UPDATE_HAS_CORRECT_ORDER: ret.supported = 1; break;
        default: break;
        }
        return proxy_reply_remote_connect_supports_feature(call, &ret);
}

/* The end */

int proxy_remote_connect_close(ProxyCall *call, sd_bus_error *reterr) {
        proxy_connection_close_after_reply(proxy_call_connection(call));
        return proxy_reply_remote_connect_close(call);
}

/* A client that is connected to us loses us only with the socket, which it notices by itself; behind us, drivers come and go, and are
 * called anew. So there is nothing to tell, but clients want to have asked. */
static const char close_callback[] = "close callback";

int proxy_remote_connect_register_close_callback(ProxyCall *call, sd_bus_error *reterr) {
        ProxyConnection *connection = proxy_call_connection(call);

        if (proxy_connection_data(connection, close_callback))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                                       "the connection close callback is registered already");
        proxy_connection_set_data(connection, close_callback, connection, /* free_data= */ NULL);
        return proxy_reply_remote_connect_register_close_callback(call);
}

int proxy_remote_connect_unregister_close_callback(ProxyCall *call, sd_bus_error *reterr) {
        ProxyConnection *connection = proxy_call_connection(call);

        if (!proxy_connection_data(connection, close_callback))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                                       "the connection close callback is not registered");
        proxy_connection_set_data(connection, close_callback, NULL, NULL);
        return proxy_reply_remote_connect_unregister_close_callback(call);
}
