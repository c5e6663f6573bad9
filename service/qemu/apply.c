/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/apply.h"

#include "base/error.h"
#include "hypervisor/tuning.h"
#include "qemu/ask.h"
#include "qemu/iothreads.h"
#include "qemu/resource-limits.h"
#include "qemu/vcpus.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)

/* --- by the monitor ------------------------------------------------------------------------------------------------- */

static int apply_memory(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        VbJson *arguments;

        if (!vb_domain_definition_balloon(wanted))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s': the memory of a guest that runs can only be changed with a balloon, and it has none",
                                         wanted->name);
        arguments = json_object_new_object();
        (void) json_object_object_add(arguments, "value", json_object_new_uint64(wanted->current_memory * 1024));
        return qemu_ask(qemu, "balloon", arguments, qemu_ask_finish, reterr);
}

static int apply_memory_stats(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        const VbMemballoon *balloon = vb_domain_definition_balloon(wanted);
        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", balloon->info.alias);
        VbJson *arguments = qmp_arguments("path", path, "property", "guest-stats-polling-interval", NULL);

        (void) json_object_object_add(arguments, "value", json_object_new_int64(balloon->stats_period));
        return qemu_ask(qemu, "qom-set", arguments, qemu_ask_finish, reterr);
}

/* Only the plain reboot is the emulator's own to do; all else the daemon does when it hears of it. */
static int apply_lifecycle(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        bool restart = wanted->on_reboot == VB_LIFECYCLE_RESTART;

        return qemu_ask(qemu, "set-action", qmp_arguments("reboot", restart ? "reset" : "shutdown", NULL), qemu_ask_finish, reterr);
}

static void on_vcpus_changed(QemuDomain *qemu, int r, const sd_bus_error *error) {
        vb_domain_finish(qemu->domain, r, error);
}

static int apply_vcpus(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        return qemu_vcpus_change(qemu, wanted, on_vcpus_changed, reterr);
}

/* --- by the kernel -------------------------------------------------------------------------------------------------- */

static int pinned(QemuDomain *qemu, const char *what, const char *cpus, int r, sd_bus_error *reterr) {
        if (r == -EINVAL)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': %s: the host has none of the CPUs %s for it",
                                         qemu->domain->name, what, cpus ?: "that there are");
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': %s cannot be bound to CPUs %s: %s",
                                         qemu->domain->name, what, cpus ?: "all", g_strerror(-r));
        vb_domain_finish(qemu->domain, 0, NULL);
        return 0;
}

static int apply_vcpu_pin(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        const char *cpus = vb_tuning_vcpu_cpus(wanted, part);
        g_autofree char *what = g_strdup_printf("vCPU %u", part);

        if (!qemu->process || !qemu->vcpu_threads || part >= qemu->vcpu_threads->len ||
            g_array_index(qemu->vcpu_threads, pid_t, part) == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest does not have %s now", wanted->name,
                                         what);
        return pinned(qemu, what, cpus,
                      qemu_limits_pin_thread(vb_process_get_pid(qemu->process), g_array_index(qemu->vcpu_threads, pid_t, part), cpus),
                      reterr);
}

static int apply_emulator_pin(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        const char *cpus = vb_tuning_emulator_cpus(wanted);
        int r;

        if (!qemu->process || !qemu->vcpu_threads)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': its emulator's threads are not known yet",
                                         wanted->name);
        r = qemu_limits_pin_emulator(vb_process_get_pid(qemu->process), (const pid_t *) (void *) qemu->vcpu_threads->data,
                                     qemu->vcpu_threads->len, cpus);
        /* These have places of their own. */
        if (r >= 0 && qemu_iothreads_pin(qemu, wanted, reterr) < 0)
                return -EINVAL;
        return pinned(qemu, "the emulator", cpus, r, reterr);
}

/* --- by the scope --------------------------------------------------------------------------------------------------- */

static void on_scope_set(VbMachineCall *call, int r, const char *unit, const sd_bus_error *error, void *userdata) {
        QemuDomain *qemu = userdata;
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;

        if (r < 0)
                (void) sd_bus_error_copy(&kept, error);
        qemu->scope_call = vb_machine_call_free(qemu->scope_call);
        vb_domain_finish(qemu->domain, r, &kept);
}

static int apply_scope(QemuDomain *qemu, const VbDomainDefinition *wanted, VbMachineGroups groups, sd_bus_error *reterr) {
        g_auto(QemuLimits) limits = { 0 };
        int r;

        if (!qemu->unit)
                return sd_bus_error_setf(reterr, VB_ERROR_MACHINE_FAILED,
                                         "domain '%s': the guest has no scope whose limits could be changed", wanted->name);
        qemu_limits_init(&limits, wanted);
        r = vb_machine_set_resources(&qemu->scope_call, vb_daemon_bus(qemu->driver->daemon), qemu->unit, groups, &limits.resources,
                                     on_scope_set, qemu, COMMAND_TIMEOUT_USEC);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_MACHINE_FAILED, "domain '%s': its scope's limits cannot be changed: %s",
                                         wanted->name, g_strerror(-r));
        return 0;
}

static int apply_cpu(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        return apply_scope(qemu, wanted, VB_MACHINE_CPU, reterr);
}

static int apply_limits(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        return apply_scope(qemu, wanted, VB_MACHINE_MEMORY, reterr);
}

static int apply_block(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        return apply_scope(qemu, wanted, VB_MACHINE_IO, reterr);
}

static int apply_numa(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        return apply_scope(qemu, wanted, VB_MACHINE_NODES, reterr);
}

/* -------------------------------------------------------------------------------------------------------------------- */

int qemu_apply(VbDomain *domain, VbResource what, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        static int (*const how[])(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) = {
                [VB_RESOURCE_MEMORY] = apply_memory,
                [VB_RESOURCE_MEMORY_STATS] = apply_memory_stats,
                [VB_RESOURCE_VCPUS] = apply_vcpus,
                [VB_RESOURCE_VCPU_PIN] = apply_vcpu_pin,
                [VB_RESOURCE_EMULATOR_PIN] = apply_emulator_pin,
                [VB_RESOURCE_IOTHREADS] = qemu_apply_iothreads,
                [VB_RESOURCE_IOTHREAD_PIN] = qemu_apply_iothread_pin,
                [VB_RESOURCE_IOTHREAD_TUNING] = qemu_apply_iothread_tuning,
                [VB_RESOURCE_CPU_TUNING] = apply_cpu,
                [VB_RESOURCE_MEMORY_TUNING] = apply_limits,
                [VB_RESOURCE_BLOCK_TUNING] = apply_block,
                [VB_RESOURCE_NUMA_TUNING] = apply_numa,
                [VB_RESOURCE_DISK_TUNING] = qemu_apply_disk,
                [VB_RESOURCE_INTERFACE_TUNING] = qemu_apply_interface,
                [VB_RESOURCE_LIFECYCLE] = apply_lifecycle,
        };

        if ((size_t) what >= G_N_ELEMENTS(how) || !how[what])
                return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED,
                                         "domain '%s': this cannot be changed of a guest that runs by virtbus yet", domain->name);
        return how[what](qemu_domain_of(domain), wanted, part, reterr);
}
