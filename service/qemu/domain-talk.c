/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said to a running guest, its agent and its emulator on behalf of a caller. */

#include <string.h>

#include "base/error.h"
#include "qemu/agent-link.h"
#include "qemu/ask.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/json.h"
#include "qemu/keys.h"
#include "qemu/monitor-watch.h"

/* For the caller's own QMP commands: some, like a dump, take long, but a caller that waits longer has gone. */
#define MONITOR_COMMAND_TIMEOUT_USEC ((uint64_t) 60 * G_USEC_PER_SEC)
#define JSON_DEPTH_MAX 64

static void on_keys_sent(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        VbCall *call = userdata;

        if (reply->r < 0)
                (void) vb_call_fail(call, reply->r, &reply->error);
        else
                (void) vb_domain1_reply_send_keys(call);
        vb_call_unref(call);
}

static const QemuKeyset keysets[] = {
        [VB_DOMAIN1_SEND_KEYS_CODESET_LINUX] = QEMU_KEYSET_LINUX,   [VB_DOMAIN1_SEND_KEYS_CODESET_QNUM] = QEMU_KEYSET_QNUM,
        [VB_DOMAIN1_SEND_KEYS_CODESET_XT] = QEMU_KEYSET_XT,         [VB_DOMAIN1_SEND_KEYS_CODESET_ATSET1] = QEMU_KEYSET_ATSET1,
        [VB_DOMAIN1_SEND_KEYS_CODESET_XT_KBD] = QEMU_KEYSET_XT_KBD, [VB_DOMAIN1_SEND_KEYS_CODESET_ATSET2] = QEMU_KEYSET_ATSET2,
        [VB_DOMAIN1_SEND_KEYS_CODESET_ATSET3] = QEMU_KEYSET_ATSET3, [VB_DOMAIN1_SEND_KEYS_CODESET_OSX] = QEMU_KEYSET_OSX,
        [VB_DOMAIN1_SEND_KEYS_CODESET_USB] = QEMU_KEYSET_USB,       [VB_DOMAIN1_SEND_KEYS_CODESET_WIN32] = QEMU_KEYSET_WIN32,
};

int qemu_on_send_keys(VbCall *call, VbObject *object, const VbDomain1SendKeysArgs *args, sd_bus_error *reterr) {
        g_autoptr(VbJson) arguments = NULL;
        QemuDomain *qemu = qemu_domain_of(vb_domain_of(object));
        int r;

        r = qemu_keys_to_arguments(args->codes.values, args->codes.n, keysets[args->options.codeset], args->options.hold_usec, &arguments,
                                   reterr);
        if (r < 0)
                return r;
        r = qemu_ask_check(qemu->domain, reterr);
        if (r < 0)
                return r;

        (void) qmp_monitor_send(qemu->monitor, "send-key", g_steal_pointer(&arguments), on_keys_sent, vb_call_ref(call),
                                MONITOR_COMMAND_TIMEOUT_USEC);
        return 0;
}

/* {"return": …} or {"error": {"class": …, "desc": …}}: as QMP and the agent say it. */
static char *answer_to_text(VbJson *result, const char *error_class, const char *message) {
        g_autoptr(VbJson) answer = json_object_new_object();

        if (error_class)
                (void) json_object_object_add(answer, "error", qmp_arguments("class", error_class, "desc", message, NULL));
        else
                (void) json_object_object_add(answer, "return",
                                              result ? json_object_get(result) : json_object_new_object());
        return g_strdup(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
}

static void on_agent_answered(GuestAgent *agent, const GuestAgentReply *reply, void *userdata) {
        VbCall *call = userdata;

        if (reply->r < 0)
                (void) vb_call_fail(call, reply->r, &reply->error);
        else {
                g_autofree char *answer = answer_to_text(reply->result, NULL, NULL);

                (void) vb_domain1_reply_guest_agent_command(call, answer);
        }
        vb_call_unref(call);
}

/* None at all is the least that the client knows. */
static uint64_t agent_timeout(const VbDomain *domain, const VbDomain1GuestAgentCommandArgs *args) {
        return MAX(args->options.has_timeout_usec ? args->options.timeout_usec : domain->agent_timeout_usec, UINT64_C(1));
}

int qemu_on_guest_agent_command(VbCall *call, VbObject *object, const VbDomain1GuestAgentCommandArgs *args,
                                sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QemuDomain *qemu = qemu_domain_of(domain);
        GuestAgent *agent = NULL;
        int r = vb_domain_check_active(domain, reterr);

        if (r < 0)
                return r;
        r = qemu_agent_link(qemu, &agent, reterr);
        if (r < 0)
                return r;
        if (guest_agent_send_text(agent, args->command, on_agent_answered, call, agent_timeout(domain, args), reterr) == 0)
                return -EINVAL;
        (void) vb_call_ref(call);
        return 0;
}

static void on_monitor_answered(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        VbCall *call = userdata;

        /* What the emulator refuses is an answer, too. */
        if (reply->r < 0 && reply->r != -EPROTO)
                (void) vb_call_fail(call, reply->r, &reply->error);
        else {
                g_autofree char *answer = answer_to_text(reply->result, reply->r < 0 ? reply->error_class ?: "GenericError" : NULL,
                                                         reply->error.message);

                (void) vb_domain1_reply_monitor_command(call, answer);
        }
        vb_call_unref(call);
}

static int parse_command(const char *text, VbJson **ret, sd_bus_error *reterr) {
        struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
        size_t length = strlen(text);
        g_autoptr(VbJson) command = NULL;
        enum json_tokener_error error;

        /* With the NUL, so that what ends in a number is known to be at its end. */
        command = json_tokener_parse_ex(tokener, text, (int) length + 1);
        error = json_tokener_get_error(tokener);
        if (error == json_tokener_success && json_tokener_get_parse_end(tokener) < length)
                error = json_tokener_error_parse_unexpected;
        json_tokener_free(tokener);

        if (error != json_tokener_success || !qemu_json_string(command, "execute"))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "the command is not one JSON object with \"execute\" and \"arguments\"%s%s",
                                         error != json_tokener_success ? ": " : "",
                                         error != json_tokener_success ? json_tokener_error_desc(error) : "");
        *ret = g_steal_pointer(&command);
        return 0;
}

int qemu_on_monitor_command(VbCall *call, VbObject *object, const VbDomain1MonitorCommandArgs *args, sd_bus_error *reterr) {
        g_autoptr(VbJson) command = NULL;
        QemuDomain *qemu = qemu_domain_of(vb_domain_of(object));
        VbJson *arguments;
        int r;

        r = parse_command(args->command, &command, reterr);
        if (r < 0)
                return r;
        r = qemu_ask_check(qemu->domain, reterr);
        if (r < 0)
                return r;

        arguments = qemu_json_object(command, "arguments");
        vb_log_info_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': uid %u sends '%s' to the emulator's monitor",
                        qemu->domain->name, vb_call_uid(call), qemu_json_string(command, "execute"));
        (void) qmp_monitor_send(qemu->monitor, qemu_json_string(command, "execute"),
                                arguments ? json_object_get(arguments) : NULL, on_monitor_answered, vb_call_ref(call),
                                MONITOR_COMMAND_TIMEOUT_USEC);
        return 0;
}

int qemu_on_watch_monitor(VbCall *call, VbObject *object, const VbDomain1WatchMonitorArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        vb_autofd fd = -EBADF;
        int r;

        r = qemu_monitor_watches_add(&qemu_domain_of(domain)->watches, vb_call_daemon(call), &fd);
        if (r == -ENOSPC)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "domain '%s': %d watch its monitor already",
                                         domain->name, QEMU_MONITOR_WATCHES_MAX);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "domain '%s': cannot have its monitor watched: %m", domain->name);
        return vb_domain1_reply_watch_monitor(call, fd);
}
