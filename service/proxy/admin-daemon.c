/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The administration of the daemon itself: its log, its timeout, its end. On the administration sockets of a driver, log and end are the
 * driver's, by its own Daemon1; on libvirt-admin-sock they are the proxy's.
 *
 * libvirt's log has outputs and filters by module. Here all goes to the journal, where who looks can filter by field, and there is one level: so it is
 * told and set as "LEVEL:journald" and as "LEVEL:*". */

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "interfaces/daemon1.h"
#include "proxy/admin.h"
#include "proxy/call.h"
#include "proxy/worker.h"

#define OUTPUT "journald"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* libvirt's levels, and ours; the last one that is not above counts. */
static const struct {
        int classic;
        int level;
        const char *word;
} levels[] = {
        { 4, LOG_ERR, "error" },
        { 3, LOG_WARNING, "warning" },
        { 2, LOG_NOTICE, "notice" },
        { 2, LOG_INFO, "info" },
        { 1, LOG_DEBUG, "debug" },
};

static int classic_of_level(int level) {
        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
                if (levels[i].level == level)
                        return levels[i].classic;
        return 2;
}

static int level_of_word(const char *word) {
        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
                if (strcmp(levels[i].word, word) == 0)
                        return levels[i].level;
        return LOG_INFO;
}

/* The last of a kind, so that 2 is "info". */
static size_t index_of_classic(int classic) {
        size_t found = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
                if (levels[i].classic == classic)
                        found = i;
        return found;
}

static bool is_of_driver(ProxyCall *call) {
        return proxy_connection_client(proxy_call_connection(call))->driver[0] != '\0';
}

/* Asking the listener; the only failures are mistakes of ours. */

typedef int (*Answered)(ProxyCall *call, int level);

typedef struct Asked {
        ProxyCall *call;
        Answered answered;
} Asked;

static void on_listener(int r, const void *answer, size_t size, void *userdata) {
        g_autofree Asked *asked = userdata;
        g_autoptr(ProxyCall) call = asked->call;
        int32_t level = 0;

        if (proxy_call_is_orphan(call))
                return;
        if (size == sizeof level)
                memcpy(&level, answer, sizeof level);
        if (r >= 0)
                r = asked->answered(call, level);
        if (r < 0)
                (void) proxy_call_fail(call, r, NULL);
}

static int ask_listener(ProxyCall *call, ProxyAdminQuestion question, const void *payload, size_t size, Answered answered) {
        Asked *asked = g_new(Asked, 1);
        int r;

        *asked = (Asked){ proxy_call_ref(call), answered };
        r = proxy_worker_ask(proxy_connection_worker(proxy_call_connection(call)), question, payload, size, on_listener, asked);
        if (r < 0) {
                proxy_call_unref(call);
                g_free(asked);
        }
        return r;
}

/* What the log lets through */

static int on_driver_level(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        Answered answered = *(Answered *) userdata;
        const char *word;
        int r;

        r = sd_bus_message_read(answer, "v", "s", &word);
        return r < 0 ? r : answered(call, level_of_word(word));
}

static int get_level(ProxyCall *call, Answered answered, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        Answered *state;
        int r;

        if (!is_of_driver(call))
                return ask_listener(call, PROXY_ADMIN_GET_LOG_LEVEL, NULL, 0, answered);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, PROPERTIES, "Get", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", VB_INTERFACE_DAEMON1, "LogLevel");
        if (r < 0)
                return r;
        state = proxy_call_alloc(call, sizeof *state);
        *state = answered;
        return proxy_call_send(call, message, on_driver_level, state, reterr);
}

static int on_driver_level_set(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        Answered answered = *(Answered *) userdata;

        return answered(call, 0);
}

static int set_level(ProxyCall *call, size_t index, Answered answered, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int32_t level = levels[index].level;
        Answered *state;
        int r;

        if (!is_of_driver(call))
                return ask_listener(call, PROXY_ADMIN_SET_LOG_LEVEL, &level, sizeof level, answered);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, PROPERTIES, "Set", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "ssv", VB_INTERFACE_DAEMON1, "LogLevel", "s", levels[index].word);
        if (r < 0)
                return r;
        state = proxy_call_alloc(call, sizeof *state);
        *state = answered;
        return proxy_call_send(call, message, on_driver_level_set, state, reterr);
}

static int on_outputs(ProxyCall *call, int level) {
        char *outputs = proxy_call_printf(call, "%d:" OUTPUT, classic_of_level(level));

        return proxy_reply_admin_connect_get_logging_outputs(
                call, &(RpcAdminConnectGetLoggingOutputsRet){ .outputs = outputs, .noutputs = 1 });
}

int proxy_admin_connect_get_logging_outputs(ProxyCall *call, const RpcAdminConnectGetLoggingOutputsArgs *args,
                                            sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : get_level(call, on_outputs, reterr);
}

static int on_filters(ProxyCall *call, int level) {
        char *filters = proxy_call_printf(call, "%d:*", classic_of_level(level));

        return proxy_reply_admin_connect_get_logging_filters(
                call, &(RpcAdminConnectGetLoggingFiltersRet){ .filters = filters, .nfilters = 1 });
}

int proxy_admin_connect_get_logging_filters(ProxyCall *call, const RpcAdminConnectGetLoggingFiltersArgs *args,
                                            sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : get_level(call, on_filters, reterr);
}

/* "2:journald", or "2:*": one, with our only output or module. Nothing at all is libvirt's word for what is normal: it becomes "info". */
static int parse(const char *text, const char *what, const char *only, size_t *ret, sd_bus_error *reterr) {
        g_autofree char *trimmed = g_strstrip(g_strdup(text ?: ""));

        if (trimmed[0] == '\0') {
                *ret = index_of_classic(2);
                return 0;
        }
        if (trimmed[0] < '1' || trimmed[0] > '4' || trimmed[1] != ':' || strcmp(trimmed + 2, only) != 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_ADMIN,
                                       "log %s '%s': must be a level from 1 (debug) to 4 (error) and '%s', as in '1:%s'", what,
                                       trimmed, only, only);
        *ret = index_of_classic(trimmed[0] - '0');
        return 0;
}

static int on_outputs_set(ProxyCall *call, int level) {
        return proxy_reply_admin_connect_set_logging_outputs(call);
}

int proxy_admin_connect_set_logging_outputs(ProxyCall *call, const RpcAdminConnectSetLoggingOutputsArgs *args,
                                            sd_bus_error *reterr) {
        size_t index = 0;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = parse(args->outputs, "output", OUTPUT, &index, reterr);
        return r < 0 ? r : set_level(call, index, on_outputs_set, reterr);
}

static int on_filters_set(ProxyCall *call, int level) {
        return proxy_reply_admin_connect_set_logging_filters(call);
}

int proxy_admin_connect_set_logging_filters(ProxyCall *call, const RpcAdminConnectSetLoggingFiltersArgs *args,
                                            sd_bus_error *reterr) {
        size_t index = 0;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = parse(args->filters, "filter", "*", &index, reterr);
        return r < 0 ? r : set_level(call, index, on_filters_set, reterr);
}

/* Its timeout and its end */

static int on_timeout_set(ProxyCall *call, int nothing) {
        return proxy_reply_admin_connect_set_daemon_timeout(call);
}

/* The proxy's in any case: drivers know by themselves when they are not needed. */
int proxy_admin_connect_set_daemon_timeout(ProxyCall *call, const RpcAdminConnectSetDaemonTimeoutArgs *args,
                                           sd_bus_error *reterr) {
        uint64_t seconds = args->timeout;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (seconds > PROXY_ADMIN_TIMEOUT_MAX_SEC)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_ADMIN, "timeout %u: must be at most a week", args->timeout);
        return ask_listener(call, PROXY_ADMIN_SET_TIMEOUT, &seconds, sizeof seconds, on_timeout_set);
}

static int on_shut_down(ProxyCall *call, int nothing) {
        return proxy_reply_admin_connect_daemon_shutdown(call);
}

static int on_driver_shut_down(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return on_shut_down(call, 0);
}

/* The proxy runs no guests, so that for itself "preserve" is granted without doing anything. */
int proxy_admin_connect_daemon_shutdown(ProxyCall *call, const RpcAdminConnectDaemonShutdownArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DAEMON_SHUTDOWN_PRESERVE, reterr);
        if (r < 0)
                return r;
        if (!is_of_driver(call))
                return ask_listener(call, PROXY_ADMIN_SHUTDOWN, NULL, 0, on_shut_down);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, VB_INTERFACE_DAEMON1, "Shutdown", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 1, "preserve", "b", (args->flags & VIR_DAEMON_SHUTDOWN_PRESERVE) != 0);
        return r < 0 ? r : proxy_call_send(call, message, on_driver_shut_down, NULL, reterr);
}
