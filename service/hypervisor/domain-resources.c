/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: what a guest has and gets of the host. Each change is a function that edits a definition; the rest is the same for all. */

#include "base/error.h"
#include "hypervisor/change.h"
#include "hypervisor/disk-tuning.h"
#include "hypervisor/handlers.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/interface-tuning.h"
#include "hypervisor/tuning.h"
#include "model/host-stats.h"
#include "model/vcpus.h"

/* --- memory --------------------------------------------------------------------------------------------------------- */

static int edit_memory(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1SetMemoryArgs *args = data;

        if (live && args->options.maximum)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s': how much a guest can be given cannot be changed while it runs",
                                         definition->name);
        return vb_tuning_set_memory(definition, args->memory, args->options.maximum, reterr);
}

int vb_domain_on_set_memory(VbCall *call, VbObject *object, const VbDomain1SetMemoryArgs *args, sd_bus_error *reterr) {
        /* The guest may do so slowly, or in part. */
        static const VbChangeSpec spec = { "set the memory", edit_memory, VB_RESOURCE_MEMORY, .told_by_events = true };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int edit_stats_period(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1SetMemoryStatsPeriodArgs *args = data;
        VbMemballoon *balloon = vb_domain_definition_balloon(definition);

        if (!balloon)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest has no balloon that tells figures",
                                         definition->name);
        balloon->stats_period = args->period;
        return 0;
}

int vb_domain_on_set_memory_stats_period(VbCall *call, VbObject *object, const VbDomain1SetMemoryStatsPeriodArgs *args,
                                         sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the period of memory figures", edit_stats_period, VB_RESOURCE_MEMORY_STATS };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

/* --- vCPUs ---------------------------------------------------------------------------------------------------------- */

static int edit_vcpus(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1SetVcpusArgs *args = data;

        if (live && args->options.maximum)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s': how many vCPUs a guest can have cannot be changed while it runs",
                                         definition->name);
        return vb_tuning_set_vcpus(definition, args->vcpus,
                                   &(VbVcpusChange){ live, args->options.maximum, args->options.hotpluggable }, reterr);
}

int vb_domain_on_set_vcpus(VbCall *call, VbObject *object, const VbDomain1SetVcpusArgs *args, sd_bus_error *reterr) {
        /* They come and go one by one, and the guest may keep what it was asked for. */
        static const VbChangeSpec spec = { "set the number of vCPUs", edit_vcpus, VB_RESOURCE_VCPUS, .told_by_events = true };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int edit_enabled_vcpus(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1EnableVcpusArgs *args = data;

        return vb_tuning_enable_vcpus(definition, args->vcpus, args->enabled, live, reterr);
}

int vb_domain_on_enable_vcpus(VbCall *call, VbObject *object, const VbDomain1EnableVcpusArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "plug vCPUs", edit_enabled_vcpus, VB_RESOURCE_VCPUS, .told_by_events = true };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int append_vcpu(sd_bus_message *m, VbDomain *domain, const VbDomainDefinition *definition, uint32_t number,
                       const char *all) {
        bool enabled = vb_vcpu_is_enabled(definition, number);
        bool running = definition == domain->live && enabled;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "number", "u", number, "state", "s", enabled ? "running" : "offline",
                                  "affinity", "s", vb_tuning_vcpu_cpus(definition, number) ?: all, "hotpluggable", "b",
                                  vb_vcpu_is_hotpluggable(definition, number));
        if (r < 0)
                return r;
        if (running && domain->hypervisor->driver->append_vcpu) {
                r = domain->hypervisor->driver->append_vcpu(domain, number, m);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

int vb_domain_on_list_vcpus(VbCall *call, VbObject *object, const VbDomain1ListVcpusArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autofree char *all = vb_host_online_cpus(domain->hypervisor->host_root);
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int r;

        r = vb_domain_choose_definition(domain, args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        r = vb_call_new_reply(call, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (uint32_t i = 0; r >= 0 && i < definition->vcpus; i++)
                r = append_vcpu(reply, domain, definition, i, all);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

static int edit_vcpu_pin(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1PinVcpuArgs *args = data;
        int r;

        r = vb_tuning_pin_vcpu(definition, args->vcpu, args->cpus, reterr);
        return r < 0 ? r : (int) args->vcpu;
}

int vb_domain_on_pin_vcpu(VbCall *call, VbObject *object, const VbDomain1PinVcpuArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "pin a vCPU", edit_vcpu_pin, VB_RESOURCE_VCPU_PIN };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int edit_emulator_pin(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1PinEmulatorArgs *args = data;

        return vb_tuning_pin_emulator(definition, args->cpus, reterr);
}

int vb_domain_on_pin_emulator(VbCall *call, VbObject *object, const VbDomain1PinEmulatorArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "pin the emulator", edit_emulator_pin, VB_RESOURCE_EMULATOR_PIN };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_get_emulator_affinity(VbCall *call, VbObject *object, const VbDomain1GetEmulatorAffinityArgs *args,
                                       sd_bus_error *reterr) {
        g_autofree char *all = vb_host_online_cpus(vb_domain_of(object)->hypervisor->host_root);
        const VbDomainDefinition *definition;
        int r;

        r = vb_domain_choose_definition(vb_domain_of(object), args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        return vb_domain1_reply_get_emulator_affinity(call, vb_tuning_emulator_cpus(definition) ?: all);
}

/* --- what the host gives -------------------------------------------------------------------------------------------- */

#define DEFINE_EDIT(name, Args, expression)                                                                           \
        static int name(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {          \
                const Args *args = data;                                                                              \
                                                                                                                      \
                return (expression);                                                                                  \
        }

DEFINE_EDIT(edit_cpu, VbDomain1SetCpuTuningArgs, vb_tuning_set_cpu(definition, args, reterr))
DEFINE_EDIT(edit_limits, VbDomain1SetMemoryTuningArgs, vb_tuning_set_limits(definition, args, reterr))
DEFINE_EDIT(edit_block, VbDomain1SetBlockTuningArgs, vb_tuning_set_block(definition, args, reterr))
DEFINE_EDIT(edit_numa, VbDomain1SetNumaTuningArgs, vb_tuning_set_numa(definition, args, live, reterr))
DEFINE_EDIT(edit_interface, VbDomain1SetInterfaceTuningArgs, vb_interface_tuning_set(definition, args, reterr))
DEFINE_EDIT(edit_disk, VbDomain1SetDiskTuningArgs, vb_disk_tuning_set(definition, args, reterr))

int vb_domain_on_set_cpu_tuning(VbCall *call, VbObject *object, const VbDomain1SetCpuTuningArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the CPU tuning", edit_cpu, VB_RESOURCE_CPU_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_set_memory_tuning(VbCall *call, VbObject *object, const VbDomain1SetMemoryTuningArgs *args,
                                   sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the memory tuning", edit_limits, VB_RESOURCE_MEMORY_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_set_block_tuning(VbCall *call, VbObject *object, const VbDomain1SetBlockTuningArgs *args,
                                  sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the block tuning", edit_block, VB_RESOURCE_BLOCK_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_set_numa_tuning(VbCall *call, VbObject *object, const VbDomain1SetNumaTuningArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the NUMA tuning", edit_numa, VB_RESOURCE_NUMA_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_set_disk_tuning(VbCall *call, VbObject *object, const VbDomain1SetDiskTuningArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the disk tuning", edit_disk, VB_RESOURCE_DISK_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

int vb_domain_on_set_interface_tuning(VbCall *call, VbObject *object, const VbDomain1SetInterfaceTuningArgs *args,
                                      sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the interface tuning", edit_interface, VB_RESOURCE_INTERFACE_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

/* Replies what append() makes of the definition that a question is about. */
static int reply_appended(VbCall *call, VbObject *object, bool live, bool config,
                          int (*append)(sd_bus_message *m, const VbDomainDefinition *definition), sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int r;

        r = vb_domain_choose_definition(vb_domain_of(object), live, config, &definition, reterr);
        if (r < 0)
                return r;
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = append(reply, definition);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

int vb_domain_on_get_cpu_tuning(VbCall *call, VbObject *object, const VbDomain1GetCpuTuningArgs *args, sd_bus_error *reterr) {
        return reply_appended(call, object, args->options.live, args->options.config, vb_tuning_append_cpu, reterr);
}

int vb_domain_on_get_memory_tuning(VbCall *call, VbObject *object, const VbDomain1GetMemoryTuningArgs *args,
                                   sd_bus_error *reterr) {
        return reply_appended(call, object, args->options.live, args->options.config, vb_tuning_append_limits, reterr);
}

int vb_domain_on_get_block_tuning(VbCall *call, VbObject *object, const VbDomain1GetBlockTuningArgs *args,
                                  sd_bus_error *reterr) {
        return reply_appended(call, object, args->options.live, args->options.config, vb_tuning_append_block, reterr);
}

int vb_domain_on_get_numa_tuning(VbCall *call, VbObject *object, const VbDomain1GetNumaTuningArgs *args, sd_bus_error *reterr) {
        return reply_appended(call, object, args->options.live, args->options.config, vb_tuning_append_numa, reterr);
}

int vb_domain_on_get_disk_tuning(VbCall *call, VbObject *object, const VbDomain1GetDiskTuningArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int index, r;

        r = vb_domain_choose_definition(vb_domain_of(object), args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        index = vb_disk_find(definition, args->disk, reterr);
        if (index < 0)
                return index;
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = vb_disk_tuning_append(reply, definition->disks.items[index]);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

int vb_domain_on_get_interface_tuning(VbCall *call, VbObject *object, const VbDomain1GetInterfaceTuningArgs *args,
                                      sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int index, r;

        r = vb_domain_choose_definition(vb_domain_of(object), args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        index = vb_interface_find(definition, args->interface, reterr);
        if (index < 0)
                return index;
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = vb_interface_tuning_append(reply, definition->interfaces.items[index]);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

/* --- what follows --------------------------------------------------------------------------------------------------- */

static const VbLifecycleAction actions[] = {
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_DESTROY] = VB_LIFECYCLE_DESTROY,
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_RESTART] = VB_LIFECYCLE_RESTART,
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_RENAME_RESTART] = VB_LIFECYCLE_RENAME_RESTART,
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_PRESERVE] = VB_LIFECYCLE_PRESERVE,
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_COREDUMP_DESTROY] = VB_LIFECYCLE_COREDUMP_DESTROY,
        [VB_DOMAIN1_SET_LIFECYCLE_ACTION_ACTION_COREDUMP_RESTART] = VB_LIFECYCLE_COREDUMP_RESTART,
};

static int edit_lifecycle(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1SetLifecycleActionArgs *args = data;
        VbLifecycleAction action = actions[args->action];
        bool dumps = action == VB_LIFECYCLE_COREDUMP_DESTROY || action == VB_LIFECYCLE_COREDUMP_RESTART;

        if (dumps && args->event != VB_DOMAIN1_SET_LIFECYCLE_ACTION_EVENT_CRASH)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "action '%s': only a crash can be followed by it",
                                         vb_lifecycle_action_to_string(action));
        switch (args->event) {
        case VB_DOMAIN1_SET_LIFECYCLE_ACTION_EVENT_POWEROFF: definition->on_poweroff = action; break;
        case VB_DOMAIN1_SET_LIFECYCLE_ACTION_EVENT_REBOOT: definition->on_reboot = action; break;
        default: definition->on_crash = action;
        }
        return 0;
}

int vb_domain_on_set_lifecycle_action(VbCall *call, VbObject *object, const VbDomain1SetLifecycleActionArgs *args,
                                      sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the action", edit_lifecycle, VB_RESOURCE_LIFECYCLE };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}
