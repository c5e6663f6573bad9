/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/ask.h"

#include "base/error.h"
#include "qemu/json.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)

static int set_no_monitor(const VbDomain *domain, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': its emulator has no monitor now", domain->name);
}

int qemu_ask_check(const VbDomain *domain, sd_bus_error *reterr) {
        int r = vb_domain_check_active(domain, reterr);

        if (r < 0)
                return r;
        return qemu_domain_of(domain)->monitor ? 0 : set_no_monitor(domain, reterr);
}

bool qemu_ask_is_ready(const VbDomain *domain) {
        return qmp_monitor_is_ready(qemu_domain_of(domain)->monitor);
}

int qemu_ask_find_monitor(const VbDomain *domain, QmpMonitor **ret, sd_bus_error *reterr) {
        QmpMonitor *monitor;
        int r;

        r = qemu_ask_check(domain, reterr);
        if (r < 0)
                return r;
        monitor = qemu_domain_of(domain)->monitor;
        if (!qmp_monitor_is_ready(monitor))
                return set_no_monitor(domain, reterr);
        if (ret)
                *ret = monitor;
        return 0;
}

int qemu_ask_check_connected(const QemuDomain *qemu, sd_bus_error *reterr) {
        if (qemu->monitor)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_MONITOR_FAILED, "domain '%s': the emulator's monitor is not connected",
                                 qemu->domain->name);
}

int qemu_ask(QemuDomain *qemu, const char *command, VbJson *arguments, QmpReplyCallback callback, sd_bus_error *reterr) {
        g_autoptr(VbJson) owned = arguments;
        int r;

        r = qemu_ask_check_connected(qemu, reterr);
        if (r < 0)
                return r;
        (void) qmp_monitor_send(qemu->monitor, command, g_steal_pointer(&owned), callback, qemu, COMMAND_TIMEOUT_USEC);
        return 0;
}

void qemu_ask_finish(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;

        /* Whoever is told may free the monitor, and the reply with it. */
        (void) sd_bus_error_copy(&error, &reply->error);
        vb_domain_finish(qemu->domain, reply->r, &error);
}

void qemu_ask_finish_agent(GuestAgent *agent, const GuestAgentReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;

        (void) sd_bus_error_copy(&error, &reply->error);
        /* Closed while the agent was still waited for: it went down with the guest, as it was asked to. */
        vb_domain_finish(qemu->domain, reply->r == -ECANCELED ? 0 : reply->r, &error);
}
