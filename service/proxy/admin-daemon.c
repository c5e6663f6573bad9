/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The administration of the daemon itself: its log, its timeout, its end. On the administration sockets of a driver, log and end are the
 * driver's, by its own Daemon1; on libvirt-admin-sock they are the proxy's.
 *
 * libvirt's log has outputs, each with a level, and filters by module. Here there is one output, the journal; its level is Daemon1.LogThreshold, and the
 * filters are Daemon1.LogFilters. The level of what no filter is about cannot be seen or set here, with libvirt either: "LEVEL:*" as the last filter does it. */

#include <string.h>

#include "base/error.h"
#include "base/log-filters.h"
#include "base/log.h"
#include "interfaces/daemon1.h"
#include "proxy/admin.h"
#include "proxy/call.h"
#include "proxy/worker.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

static bool is_of_driver(ProxyCall *call) {
        return proxy_connection_client(proxy_call_connection(call))->driver[0] != '\0';
}

/* What the log lets through: two texts, each told and set alike. */

typedef struct Part {
        const char *property; /* of Daemon1 */
        ProxyAdminQuestion set; /* at the listener */
        int (*reply)(ProxyCall *call, const char *value); /* the property's value */
        int (*reply_set)(ProxyCall *call);
} Part;

static unsigned count_words(const char *text) {
        unsigned n = text[0] != '\0';

        for (; *text; text++)
                n += *text == ' ';
        return n;
}

static int reply_filters(ProxyCall *call, const char *value) {
        return proxy_reply_admin_connect_get_logging_filters(
                call, &(RpcAdminConnectGetLoggingFiltersRet){ .filters = value, .nfilters = count_words(value) });
}

static int reply_outputs(ProxyCall *call, const char *value) {
        const char *outputs = proxy_call_printf(call, "%d:journald", vb_log_level_to_classic(vb_log_level_from_string(value)));

        return proxy_reply_admin_connect_get_logging_outputs(
                call, &(RpcAdminConnectGetLoggingOutputsRet){ .outputs = outputs, .noutputs = 1 });
}

static const Part filters = {
        .property = "LogFilters",
        .set = PROXY_ADMIN_SET_LOG_FILTERS,
        .reply = reply_filters,
        .reply_set = proxy_reply_admin_connect_set_logging_filters,
};
static const Part outputs = {
        .property = "LogThreshold",
        .set = PROXY_ADMIN_SET_LOG_THRESHOLD,
        .reply = reply_outputs,
        .reply_set = proxy_reply_admin_connect_set_logging_outputs,
};

static int on_listener_has(ProxyCall *call, const void *answer, size_t size, void *userdata, sd_bus_error *reterr) {
        const VbLogRules *rules = answer;
        const Part *part = userdata;

        return part->reply(call, part == &filters ? rules->filters : vb_log_level_word(rules->threshold));
}

static int on_driver_has(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const Part *part = userdata;
        const char *value;
        int r;

        r = sd_bus_message_read(answer, "v", "s", &value);
        return r < 0 ? r : part->reply(call, value);
}

static int get_part(ProxyCall *call, const Part *part, unsigned flags, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, flags, 0, reterr);
        if (r < 0)
                return r;
        if (!is_of_driver(call))
                return proxy_admin_ask(call, PROXY_ADMIN_GET_LOG, NULL, 0, on_listener_has, (void *) part);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, PROPERTIES, "Get", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", VB_INTERFACE_DAEMON1, part->property);
        return r < 0 ? r : proxy_call_send(call, message, on_driver_has, (void *) part, reterr);
}

int proxy_admin_connect_get_logging_filters(ProxyCall *call, const RpcAdminConnectGetLoggingFiltersArgs *args,
                                            sd_bus_error *reterr) {
        return get_part(call, &filters, args->flags, reterr);
}

int proxy_admin_connect_get_logging_outputs(ProxyCall *call, const RpcAdminConnectGetLoggingOutputsArgs *args,
                                            sd_bus_error *reterr) {
        return get_part(call, &outputs, args->flags, reterr);
}

static int on_listener_set(ProxyCall *call, const void *answer, size_t size, void *userdata, sd_bus_error *reterr) {
        return ((const Part *) userdata)->reply_set(call);
}

static int on_driver_set(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return ((const Part *) userdata)->reply_set(call);
}

static int set_part(ProxyCall *call, const Part *part, const VbLogRules *rules, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (!is_of_driver(call))
                return proxy_admin_ask(call, part->set, rules, sizeof *rules, on_listener_set, (void *) part);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, PROPERTIES, "Set", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "ssv", VB_INTERFACE_DAEMON1, part->property, "s",
                                          part == &filters ? rules->filters : vb_log_level_word(rules->threshold));
        return r < 0 ? r : proxy_call_send(call, message, on_driver_set, (void *) part, reterr);
}

/* Nothing at all is libvirt's word for what is normal: no filters. */
int proxy_admin_connect_set_logging_filters(ProxyCall *call, const RpcAdminConnectSetLoggingFiltersArgs *args,
                                            sd_bus_error *reterr) {
        g_autoptr(VbLogFilters) parsed = NULL;
        g_autofree char *text = NULL;
        VbLogRules rules = { 0 };
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = vb_log_filters_parse(&parsed, args->filters, reterr);
        if (r < 0)
                return r;
        text = vb_log_filters_format(parsed);
        g_strlcpy(rules.filters, text, sizeof rules.filters);
        return set_part(call, &filters, &rules, reterr);
}

/* Nothing: nothing is held back. */
int proxy_admin_connect_set_logging_outputs(ProxyCall *call, const RpcAdminConnectSetLoggingOutputsArgs *args,
                                            sd_bus_error *reterr) {
        g_autofree char *text = g_strstrip(g_strdup(args->outputs ?: ""));
        VbLogRules rules = { .threshold = LOG_DEBUG };
        int threshold = LOG_DEBUG, r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0 && text[0] != '\0')
                r = vb_log_output_parse(text, &threshold, reterr);
        if (r < 0)
                return r;
        rules.threshold = threshold;
        return set_part(call, &outputs, &rules, reterr);
}

/* Its timeout and its end */

static int on_timeout_set(ProxyCall *call, const void *answer, size_t size, void *userdata, sd_bus_error *reterr) {
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
        return proxy_admin_ask(call, PROXY_ADMIN_SET_TIMEOUT, &seconds, sizeof seconds, on_timeout_set, NULL);
}

static int on_shut_down(ProxyCall *call, const void *answer, size_t size, void *userdata, sd_bus_error *reterr) {
        return proxy_reply_admin_connect_daemon_shutdown(call);
}

static int on_driver_shut_down(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return proxy_reply_admin_connect_daemon_shutdown(call);
}

/* The proxy runs no guests, so that for itself "preserve" is granted without doing anything. */
int proxy_admin_connect_daemon_shutdown(ProxyCall *call, const RpcAdminConnectDaemonShutdownArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DAEMON_SHUTDOWN_PRESERVE, reterr);
        if (r < 0)
                return r;
        if (!is_of_driver(call))
                return proxy_admin_ask(call, PROXY_ADMIN_SHUTDOWN, NULL, 0, on_shut_down, NULL);
        r = proxy_call_new_method(call, &message, /* path= */ NULL, VB_INTERFACE_DAEMON1, "Shutdown", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 1, "preserve", "b", (args->flags & VIR_DAEMON_SHUTDOWN_PRESERVE) != 0);
        return r < 0 ? r : proxy_call_send(call, message, on_driver_shut_down, NULL, reterr);
}
