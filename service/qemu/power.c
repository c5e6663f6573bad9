/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/power.h"

#include "base/error.h"
#include "qemu/agent-link.h"
#include "qemu/ask.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)
#define AGENT_TIMEOUT_USEC (UINT64_C(5) * 1000000)

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int ask_agent(QemuDomain *qemu, const char *what, sd_bus_error *reterr) {
        GuestAgent *agent = NULL;
        int r;

        r = qemu_agent_link(qemu, &agent, reterr);
        if (r < 0)
                return r;
        (void) guest_agent_send(agent, "guest-shutdown", qmp_arguments("mode", what, NULL), /* no_reply= */ true,
                                qemu_ask_finish_agent, qemu, AGENT_TIMEOUT_USEC);
        return 0;
}

static bool use_agent(const QemuDomain *qemu, VbAskMode mode) {
        return mode == VB_ASK_AGENT || (mode == VB_ASK_DEFAULT && qemu->domain->agent_connected);
}

static void set_reboot_by_shutdown(QemuDomain *qemu, bool value) {
        if (qemu->reboot_by_shutdown == value)
                return;
        qemu->reboot_by_shutdown = value;
        qemu_state_file_save(qemu);
}

int qemu_shutdown(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);
        int r;

        r = use_agent(qemu, mode) ? ask_agent(qemu, "powerdown", reterr) :
                                    qemu_ask(qemu, "system_powerdown", NULL, qemu_ask_finish, reterr);
        if (r < 0)
                return r;
        set_reboot_by_shutdown(qemu, false);
        return 0;
}

int qemu_reboot(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);
        int r;

        if (use_agent(qemu, mode))
                return ask_agent(qemu, "reboot", reterr);

        /* There is no button for it: the guest powers off, and is reset when it has done so. */
        r = qemu_ask(qemu, "system_powerdown", NULL, qemu_ask_finish, reterr);
        if (r < 0)
                return r;
        set_reboot_by_shutdown(qemu, true);
        return 0;
}

int qemu_reset(VbDomain *domain, sd_bus_error *reterr) {
        return qemu_ask(qemu_domain_of(domain), "system_reset", NULL, qemu_ask_finish, reterr);
}

/* --- vCPUs on and off ---------------------------------------------------------------------------------------------- */

static void log_unleased(const QemuDomain *qemu, const char *why) {
        vb_log_error_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': runs without its leases, and cannot be paused: %s", qemu->domain->name, why);
}

/* Nobody waits for this. */
static void on_stopped_again(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        if (reply->r < 0)
                log_unleased(userdata, reply->error.message);
}

static void stop_again(QemuDomain *qemu, const sd_bus_error *why) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        vb_log_error_for(VB_DOMAIN_LOG(qemu->domain), "%s; it went on by itself, and is paused again", why->message);
        if (qemu_ask(qemu, "stop", NULL, on_stopped_again, &error) < 0)
                log_unleased(qemu, error.message);
}

static void on_leases_taken_again(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;

        (void) sd_bus_error_copy(&kept, error);
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        qemu_state_file_save(qemu);
        if (r < 0 && qemu->domain->state == VB_DOMAIN_RUNNING)
                stop_again(qemu, &kept);
}

void qemu_take_leases_again(QemuDomain *qemu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        /* What has been asked of the lock manager and not been answered comes first. */
        if (qemu->domain->state != VB_DOMAIN_RUNNING || qemu->lock_call)
                return;
        if (vb_lock_resume(&qemu->lock_call, qemu->domain, on_leases_taken_again, qemu, &error) < 0)
                stop_again(qemu, &error);
}

static void on_leases_given_up(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        QemuDomain *qemu = userdata;

        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "%s", error->message);
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        qemu_state_file_save(qemu);
        vb_domain_finish(qemu->domain, 0, NULL);
        /* Somebody else may have let it go on meanwhile. */
        qemu_take_leases_again(qemu);
}

/* It stands still. If nobody else gets its disks meanwhile, that is no reason to let it run on. A host that sleeps keeps them. */
static void on_suspended(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;
        VbDomainReason reason = qemu->suspend_reason;
        int r = 0;

        qemu->suspend_reason = VB_REASON_UNKNOWN;
        if (reply->r < 0) {
                qemu_ask_finish(monitor, reply, userdata);
                return;
        }
        if (reason == VB_REASON_USER)
                r = vb_lock_suspend(&qemu->lock_call, qemu->domain, on_leases_given_up, qemu, &error);
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "%s", error.message);
        /* Also a guest that stood still already, for another reason: there was no event of it. */
        qemu_domain_set_state(qemu, VB_DOMAIN_PAUSED, reason);
        if (r <= 0)
                vb_domain_finish(qemu->domain, 0, NULL);
}

int qemu_suspend(VbDomain *domain, VbDomainReason reason, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);
        int r;

        if (domain->state == VB_DOMAIN_PMSUSPENDED)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest sleeps", domain->name);
        r = qemu_ask(qemu, "stop", NULL, on_suspended, reterr);
        if (r < 0)
                return r;
        qemu->suspend_reason = qemu->pause_reason = reason;
        /* Before it stands still: a daemon that comes after this one must know that it is to resume it. */
        if (reason == VB_REASON_HOST_SLEEP)
                qemu_state_file_save(qemu);
        return 0;
}

static void on_resumed(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (reply->r >= 0 && qemu->domain->state != VB_DOMAIN_RUNNING)
                qemu_domain_set_state(qemu, VB_DOMAIN_RUNNING, VB_REASON_UNPAUSED);
        qemu_ask_finish(monitor, reply, userdata);
}

static void on_leases_back(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;

        (void) sd_bus_error_copy(&kept, error);
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        qemu_state_file_save(qemu);
        if (r >= 0)
                r = qemu_ask(qemu, "cont", NULL, on_resumed, &kept);
        if (r < 0)
                vb_domain_finish(qemu->domain, r, &kept);
}

/* Whoever got its disks meanwhile has written to them, maybe: then it stays as it is. */
static int go_on(QemuDomain *qemu, sd_bus_error *reterr) {
        int r;

        r = qemu_ask_check_connected(qemu, reterr);
        /* If it went on by itself, that was asked already; this time somebody waits for the answer. */
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        if (r >= 0)
                r = vb_lock_resume(&qemu->lock_call, qemu->domain, on_leases_back, qemu, reterr);
        if (r != 0)
                return r < 0 ? r : 0;
        return qemu_ask(qemu, "cont", NULL, on_resumed, reterr);
}

int qemu_resume(VbDomain *domain, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);

        if (domain->state == VB_DOMAIN_SHUTDOWN || domain->state == VB_DOMAIN_CRASHED)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s': the guest is %s; Reset makes it boot anew, Destroy ends it",
                                         domain->name, domain->state == VB_DOMAIN_CRASHED ? "crashed" : "shut down");
        if (domain->state == VB_DOMAIN_PMSUSPENDED)
                return qemu_ask(qemu, "system_wakeup", NULL, qemu_ask_finish, reterr);
        return go_on(qemu, reterr);
}

/* --- restart in place ---------------------------------------------------------------------------------------------- */

static void on_restarted(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (reply->r >= 0)
                return;
        vb_log_error_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': cannot be restarted: %s", qemu->domain->name,
                         reply->error.message);
        if (reply->r != -ECANCELED && reply->r != -ENOTCONN)
                qemu_stop_end(qemu, VB_REASON_FAILED);
}

void qemu_power_restart(QemuDomain *qemu, VbDomainReason reason) {
        qemu->reboot_by_shutdown = false;
        qemu->resume_reason = reason;
        if (!qemu->monitor)
                return;
        (void) qmp_monitor_send(qemu->monitor, "system_reset", NULL, on_restarted, qemu, COMMAND_TIMEOUT_USEC);
        (void) qmp_monitor_send(qemu->monitor, "cont", NULL, on_restarted, qemu, COMMAND_TIMEOUT_USEC);
}
