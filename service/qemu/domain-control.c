/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: buttons that a guest's board has beside those for power, and how its emulator is. */

#include "base/error.h"
#include "qemu/agent-link.h"
#include "qemu/ask.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/json.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)
#define AGENT_TIMEOUT_USEC (UINT64_C(10) * 1000000)

/* --- interrupt ------------------------------------------------------------------------------------------------------ */

int qemu_on_inject_nmi(VbCall *call, VbObject *object, const VbDomain1InjectNmiArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QmpMonitor *monitor = NULL;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "interrupt the guest", vb_call_reply_done, call, reterr);
        if (r < 0)
                return r;
        (void) vb_call_ref(call);
        (void) qmp_monitor_send(monitor, "inject-nmi", NULL, qemu_ask_finish, qemu_domain_of(domain), COMMAND_TIMEOUT_USEC);
        return 0;
}

/* --- sleep ---------------------------------------------------------------------------------------------------------- */

static const char *const sleep_commands[] = {
        [VB_DOMAIN1_SLEEP_MODE_MEMORY] = "guest-suspend-ram",
        [VB_DOMAIN1_SLEEP_MODE_DISK] = "guest-suspend-disk",
        [VB_DOMAIN1_SLEEP_MODE_HYBRID] = "guest-suspend-hybrid",
};

typedef struct Sleep {
        QemuDomain *qemu;
        const char *command;
} Sleep;

static int ask_agent(QemuDomain *qemu, const char *command, sd_bus_error *reterr) {
        GuestAgent *agent = NULL;
        int r;

        r = qemu_agent_link(qemu, &agent, reterr);
        if (r < 0)
                return r;
        (void) guest_agent_send(agent, command, NULL, /* no_reply= */ true, qemu_ask_finish_agent, qemu, AGENT_TIMEOUT_USEC);
        return 0;
}

/* Not every machine that can be put to sleep has a way back. */
static void on_machine(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_autofree Sleep *request = userdata;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = request->qemu;
        int r = reply->r;

        if (r < 0)
                (void) sd_bus_error_copy(&error, &reply->error);
        else if (!qemu_json_bool(reply->result, "wakeup-suspend-support"))
                r = sd_bus_error_setf(&error, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                      "domain '%s': its machine could not be woken from sleep", qemu->domain->name);
        else
                r = ask_agent(qemu, request->command, &error);
        if (r < 0)
                vb_domain_finish(qemu->domain, r, &error);
}

int qemu_on_sleep(VbCall *call, VbObject *object, const VbDomain1SleepArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QemuDomain *qemu = qemu_domain_of(domain);
        QmpMonitor *monitor = NULL;
        GuestAgent *agent = NULL;
        Sleep *request;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        if (domain->state != VB_DOMAIN_RUNNING)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest does not run (it is %s)", domain->name,
                                         vb_domain_state_to_string(domain->state));
        r = qemu_agent_link(qemu, &agent, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "put the guest to sleep", vb_call_reply_done, call, reterr);
        if (r < 0)
                return r;
        (void) vb_call_ref(call);
        request = g_new(Sleep, 1);
        *request = (Sleep){ .qemu = qemu, .command = sleep_commands[args->mode] };
        (void) qmp_monitor_send(monitor, "query-current-machine", NULL, on_machine, request, COMMAND_TIMEOUT_USEC);
        return 0;
}

/* --- how it is ------------------------------------------------------------------------------------------------------ */

int qemu_on_get_control_state(VbCall *call, VbObject *object, const VbDomain1GetControlStateArgs *args,
                              sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QemuDomain *qemu = qemu_domain_of(domain);
        uint64_t now = (uint64_t) g_get_real_time(), since;
        int r;

        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        if (!qemu->monitor)
                return vb_domain1_reply_get_control_state(call, "error", 0);
        if (domain->job) {
                since = vb_job_figures(domain->job).started_usec;
                return vb_domain1_reply_get_control_state(call, "job", now > since ? now - since : 0);
        }
        if (qmp_monitor_get_pending(qemu->monitor) > 0)
                return vb_domain1_reply_get_control_state(call, "occupied", 0);
        return vb_domain1_reply_get_control_state(call, "idle", 0);
}

/* --- what is out of the ordinary ------------------------------------------------------------------------------------ */

/* libvirt's words, as administrators know them. */
static void find_taints(const VbDomainDefinition *live, GPtrArray *messages) {
        if (live->commandline && live->commandline->args.n > 0)
                g_ptr_array_add(messages, (gpointer) "tainted: custom configuration parameters specified");
        if (live->cpu && live->cpu->mode == VB_CPU_MODE_HOST_PASSTHROUGH)
                g_ptr_array_add(messages, (gpointer) "tainted: potentially unsafe use of host CPU passthrough");
        if (live->os.dtb)
                g_ptr_array_add(messages, (gpointer) "tainted: custom device tree blob used");
}

int qemu_on_get_messages(VbCall *call, VbObject *object, const VbDomain1GetMessagesArgs *args, sd_bus_error *reterr) {
        bool all = !args->options.has_kinds || args->options.kinds == 0;
        g_autoptr(GPtrArray) messages = g_ptr_array_new();
        const VbDomain *domain = vb_domain_of(object);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        /* Of a guest that is off, nothing is out of the ordinary yet. */
        if (vb_domain_is_active(domain) && (all || (args->options.kinds & VB_DOMAIN1_GET_MESSAGES_KINDS_TAINTED)))
                find_taints(domain->live, messages);
        g_ptr_array_add(messages, NULL);

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **) messages->pdata);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}
