/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What only QEMU's guests have: commands to the emulator's monitor and to the agent in the guest, in their own words. */

#include <json-c/json.h>

#include "bus/names.h"
#include "proxy/call.h"
#include "proxy/constants.h"

#define DOMAIN "org.virtbus.Domain1"

enum {
        ANSWER_DEPTH_MAX = 32,
        AGENT_SECONDS_DEFAULT = 5,
        AGENT_SECONDS_MAX = 3600,
};

/* ---- the monitor */

/* A command for people goes inside one for programs. */
static char *wrap_human(const char *words) {
        g_autoptr(VbJson) command = json_object_new_object();
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, "command-line", json_object_new_string(words));
        (void) json_object_object_add(command, "execute", json_object_new_string("human-monitor-command"));
        (void) json_object_object_add(command, "arguments", arguments);
        return g_strdup(json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN));
}

/* …and its answer comes out of one: NULL if it is none. */
static char *unwrap_human(const char *answer) {
        struct json_tokener *tokener = json_tokener_new_ex(ANSWER_DEPTH_MAX);
        g_autoptr(VbJson) json = json_tokener_parse_ex(tokener, answer, -1);
        VbJson *result;

        json_tokener_free(tokener);
        if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, "return", &result))
                return NULL;
        return g_strdup(json_object_get_string(result));
}

static int on_monitor_answer(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcQemuDomainMonitorCommandArgs *args = userdata;
        g_autofree char *text = NULL;
        const char *result;
        int r;

        r = sd_bus_message_read(answer, "s", &result);
        if (r < 0)
                return r;
        if (args->flags & VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) {
                text = unwrap_human(result);
                if (!text)
                        return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, proxy_call_driver_domain(call),
                                               "unable to execute monitor command '%s': %s", args->cmd, result);
                result = text;
        }
        return proxy_reply_qemu_domain_monitor_command(call, &(RpcQemuDomainMonitorCommandRet){ .result = result });
}

int proxy_qemu_domain_monitor_command(ProxyCall *call, const RpcQemuDomainMonitorCommandArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        g_autofree char *wrapped = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "MonitorCommand", reterr);
        if (r <= 0)
                return r;
        if (args->flags & VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
                wrapped = wrap_human(args->cmd);
        r = sd_bus_message_append(message, "sa{sv}", wrapped ?: args->cmd, 0);
        return r < 0 ? r : proxy_call_send(call, message, on_monitor_answer, (void *) args, reterr);
}

/* ---- the agent */

static int on_agent_answer(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const char *result;
        int r;

        r = sd_bus_message_read(answer, "s", &result);
        return r < 0 ? r : proxy_reply_qemu_domain_agent_command(call, &(RpcQemuDomainAgentCommandRet){ .result = result });
}

/* Seconds, or one of three words; to block is to wait as long as one may. */
static int append_timeout(sd_bus_message *message, int timeout) {
        uint64_t seconds = timeout == VIR_DOMAIN_QEMU_AGENT_COMMAND_BLOCK ? AGENT_SECONDS_MAX : (uint64_t) MIN(timeout, AGENT_SECONDS_MAX);

        if (timeout == VIR_DOMAIN_QEMU_AGENT_COMMAND_DEFAULT || timeout == VIR_DOMAIN_QEMU_AGENT_COMMAND_NOWAIT)
                seconds = AGENT_SECONDS_DEFAULT;
        return sd_bus_message_append(message, "a{sv}", 1, "timeout-usec", "t", seconds * G_USEC_PER_SEC);
}

int proxy_qemu_domain_agent_command(ProxyCall *call, const RpcQemuDomainAgentCommandArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, /* allowed= */ 0, reterr);
        if (r < 0)
                return r;
        if (args->timeout < VIR_DOMAIN_QEMU_AGENT_COMMAND_MIN)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, proxy_call_driver_domain(call),
                                       "guest agent timeout '%d' is less than the minimum '%d'", args->timeout,
                                       VIR_DOMAIN_QEMU_AGENT_COMMAND_MIN);
        r = proxy_call_new_domain_method(call, &message, &args->dom, "GuestAgentCommand", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "s", args->cmd);
        if (r >= 0)
                r = append_timeout(message, args->timeout);
        return r < 0 ? r : proxy_call_send(call, message, on_agent_answer, NULL, reterr);
}

/* ---- how long other calls wait for the agent */

static int on_timeout_set(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return proxy_reply_remote_domain_agent_set_response_timeout(call, &(RpcRemoteDomainAgentSetResponseTimeoutRet){ .result = 0 });
}

static uint64_t timeout_usec(int timeout) {
        switch (timeout) {
        case VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK: return UINT64_MAX;
        case VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT: return AGENT_SECONDS_DEFAULT * G_USEC_PER_SEC;
        default: return (uint64_t) timeout * G_USEC_PER_SEC;
        }
}

int proxy_remote_domain_agent_set_response_timeout(ProxyCall *call, const RpcRemoteDomainAgentSetResponseTimeoutArgs *args,
                                                   sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, /* allowed= */ 0, reterr);
        if (r < 0)
                return r;
        if (args->timeout < VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, proxy_call_driver_domain(call),
                                       "guest agent timeout '%d' is less than the minimum '%d'", args->timeout,
                                       VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK);
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, VB_DBUS_PROPERTIES_INTERFACE, "Set", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "ssv", DOMAIN, "AgentTimeoutUSec", "t", timeout_usec(args->timeout));
        return r < 0 ? r : proxy_call_send(call, message, on_timeout_set, NULL, reterr);
}
