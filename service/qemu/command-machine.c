/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -machine, -accel, -cpu, memory, what is done at the guest's end, and the globals that belong to the board. */
#include "qemu/command-build.h"

#include "base/cpus.h"
#include "base/error.h"
#include "model/iothreads.h"
#include "qemu/command-device.h"

static void add_switch_if_given(GString *options, const char *key, VbTristate value) {
        if (value != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, key, value == VB_TRISTATE_YES);
}

static const VbTimer *find_timer(const VbDomainDefinition *definition, VbTimerName name) {
        for (size_t i = 0; i < definition->clock.timers.n; i++)
                if (definition->clock.timers.items[i]->name == name)
                        return definition->clock.timers.items[i];
        return NULL;
}

static int check_machine(const QemuContext *context, const QemuMachine **ret, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = context->definition;
        const QemuMachine *machine;

        machine = qemu_capabilities_find_machine(context->capabilities, definition->os.machine);
        if (!machine)
                return qemu_not_offered(context, reterr, "machine type '%s'", definition->os.machine ?: "(default)");
        if (machine->max_cpus > 0 && definition->vcpus > machine->max_cpus)
                return qemu_unsupported(context, reterr, "%u vCPUs: machine type '%s' takes at most %u",
                                        definition->vcpus, machine->name, machine->max_cpus);

        *ret = machine;
        return 0;
}

static int build_accel(QemuBuild *build, sd_bus_error *reterr) {
        const VbFeatures *features = build->context.definition->features;
        QemuAccel accel = qemu_context_accel(&build->context);
        GString *options;

        if (!qemu_capabilities_has_accel(build->context.capabilities, accel))
                return accel == QEMU_ACCEL_KVM ?
                               qemu_not_offered(&build->context, reterr,
                                                "domain type 'kvm'") :
                               qemu_not_offered(&build->context, reterr, "domain type 'qemu'");

        options = qemu_options_new(accel == QEMU_ACCEL_KVM ? "kvm" : "tcg");
        if (accel == QEMU_ACCEL_KVM && features && features->ioapic != VB_IOAPIC_ABSENT)
                qemu_options_add(options, "kernel-irqchip", features->ioapic == VB_IOAPIC_KVM ? "on" : "split");
        qemu_build_add_options(build, "-accel", options);
        return 0;
}

/* The sound of the loudspeaker that every PC has goes to a backend by a property of the machine. */
static void add_speaker(const VbDomainDefinition *definition, GString *options) {
        for (size_t i = 0; i < definition->sounds.n; i++)
                if (definition->sounds.items[i]->model == VB_SOUND_PCSPK)
                        qemu_options_addf(options, "pcspk-audiodev", "audio%u",
                                          MAX(definition->sounds.items[i]->audio_id, 1));
}

static void add_x86_options(const QemuContext *context, GString *options) {
        const VbDomainDefinition *definition = context->definition;
        const VbFeatures *features = definition->features;
        const VbTimer *hpet = find_timer(definition, VB_TIMER_HPET);

        if (features)
                add_switch_if_given(options, "vmport", features->vmport);
        if (features && features->smm != VB_TRISTATE_ABSENT)
                add_switch_if_given(options, "smm", features->smm);
        else if (definition->os.loader_secure == VB_TRISTATE_YES)
                qemu_options_add_switch(options, "smm", true);
        if (!features || !features->acpi)
                qemu_options_add_switch(options, "acpi", false);
        if (hpet)
                add_switch_if_given(options, "hpet", hpet->present);
        /* A SeaBIOS that finds no graphics talks on the first serial port. */
        if (definition->os.bios_useserial == VB_TRISTATE_YES)
                qemu_options_add_switch(options, "graphics", false);
        add_speaker(definition, options);
}

static int build_machine_options(QemuBuild *build, const QemuMachine *machine, sd_bus_error *reterr) {
        const QemuContext *context = &build->context;
        g_autoptr(GString) options = qemu_options_new(machine->name);
        int r;

        if (qemu_context_is_x86(context)) {
                qemu_options_add_switch(options, "usb", false);
                add_x86_options(context, options);
        }
        qemu_options_add_switch(options, "dump-guest-core", false);
        qemu_options_add(options, "memory-backend", machine->default_ram_id);
        r = qemu_build_firmware(build, options, reterr);
        if (r < 0)
                return r;

        qemu_build_add_options(build, "-machine", g_steal_pointer(&options));
        return 0;
}

/* As libvirt does, memory is made whole MiB: machines refuse what does not fill their pages. */
static int memory_bytes(const QemuContext *context, uint64_t *ret, sd_bus_error *reterr) {
        uint64_t kib = context->definition->memory, mib;

        if (kib == 0 || kib > (UINT64_MAX >> 10) - 1023)
                return qemu_unsupported(context, reterr, "%" PRIu64 " KiB is no amount of memory a guest can have", kib);

        mib = (kib + 1023) / 1024;
        *ret = mib << 20;
        return 0;
}

static void add_nodes(VbJson *backend, const char *nodes) {
        VbJson *numbers = json_object_new_array();
        uint8_t mask[VB_CPUS_MASK_SIZE];
        size_t size = 0;

        if (vb_cpus_parse(nodes, mask, &size) >= 0)
                for (unsigned node = 0; node < size * 8; node++)
                        if (mask[node / 8] & 1u << node % 8)
                                (void) json_object_array_add(numbers, json_object_new_int64(node));
        qemu_json_add_json(backend, "host-nodes", numbers);
}

/* To nodes that are a must, the guest's scope confines it, which can be changed while it runs; these are the emulator's to ask for. */
static void add_policy(VbJson *backend, const VbNumatune *numa) {
        if (!numa || !numa->nodes || !vb_numa_mode_is_wish(numa->mode))
                return;
        add_nodes(backend, numa->nodes);
        qemu_json_add(backend, "policy", vb_numa_mode_to_string(numa->mode));
}

static int build_memory(QemuBuild *build, const QemuMachine *machine, sd_bus_error *reterr) {
        GString *options = qemu_options_new(NULL);
        uint64_t bytes = 0;
        VbJson *backend;
        int r;

        r = memory_bytes(&build->context, &bytes, reterr);
        if (r < 0) {
                g_string_free(options, TRUE);
                return r;
        }

        qemu_options_addf(options, "size", "%" PRIu64 "k", bytes / 1024);
        qemu_build_add_options(build, "-m", options);
        if (machine->default_ram_id) {
                backend = qemu_json_new_object("memory-backend-ram", machine->default_ram_id);
                qemu_json_add_number(backend, "size", bytes);
                add_policy(backend, build->context.definition->numatune);
                qemu_build_add_json(build, "-object", backend);
        }
        qemu_build_add(build, "-overcommit", "mem-lock=off");
        return 0;
}

static int build_processors(QemuBuild *build, sd_bus_error *reterr) {
        g_autofree char *cpu = NULL;
        GString *smp = NULL;
        int r;

        r = qemu_build_cpu(&build->context, &cpu, reterr);
        if (r < 0)
                return r;
        if (cpu)
                qemu_build_add(build, "-cpu", cpu);

        r = qemu_build_smp(&build->context, &smp, reterr);
        if (r < 0)
                return r;
        qemu_build_add_options(build, "-smp", smp);
        return 0;
}

static const char *watchdog_action(VbWatchdogAction action) {
        switch (action) {
        case VB_WATCHDOG_ACTION_SHUTDOWN:
                return "shutdown";
        case VB_WATCHDOG_ACTION_POWEROFF:
                return "poweroff";
        case VB_WATCHDOG_ACTION_PAUSE:
        case VB_WATCHDOG_ACTION_DUMP: /* the daemon dumps it when it stands */
                return "pause";
        case VB_WATCHDOG_ACTION_NONE:
                return "none";
        case VB_WATCHDOG_ACTION_INJECT_NMI:
                return "inject-nmi";
        default:
                return "reset";
        }
}

/* QEMU never ends by itself: it stands still and says so by an event, and the daemon does what on_poweroff, on_reboot or
 * on_crash ask for. Only the plain reboot needs nobody. */
static void build_actions(QemuBuild *build) {
        const VbDomainDefinition *definition = build->context.definition;
        bool restart = definition->on_reboot == VB_LIFECYCLE_RESTART || definition->on_reboot == VB_LIFECYCLE_ABSENT;
        GString *options = qemu_options_new(NULL);

        qemu_options_add(options, "shutdown", "pause");
        qemu_options_add(options, "reboot", restart ? "reset" : "shutdown");
        qemu_options_add(options, "panic", "pause");
        /* The action is the machine's, not the device's: all watchdogs of a domain have the same. */
        if (definition->watchdogs.n > 0)
                qemu_options_add(options, "watchdog", watchdog_action(definition->watchdogs.items[0]->action));
        qemu_build_add_options(build, "-action", options);
}

static void add_global(QemuBuild *build, const char *property, const char *value) {
        g_autofree char *text = g_strdup_printf("%s=%s", property, value);

        qemu_build_add(build, "-global", text);
}

static void add_sleep_states(QemuBuild *build) {
        const VbDomainDefinition *definition = build->context.definition;
        const char *chip = qemu_context_is_q35(&build->context)    ? "ICH9-LPC" :
                           qemu_context_is_i440fx(&build->context) ? "PIIX4_PM" :
                                                                     NULL;
        const struct {
                const char *property;
                VbTristate enabled;
        } states[] = {
                { "disable_s3", definition->suspend_to_mem },
                { "disable_s4", definition->suspend_to_disk },
        };

        for (size_t i = 0; chip && i < G_N_ELEMENTS(states); i++) {
                g_autofree char *property = g_strdup_printf("%s.%s", chip, states[i].property);

                if (states[i].enabled != VB_TRISTATE_ABSENT)
                        add_global(build, property, states[i].enabled == VB_TRISTATE_NO ? "1" : "0");
        }
}

/* Properties of what the board brings along, which no -device can name. */
static void build_globals(QemuBuild *build) {
        const VbDomainDefinition *definition = build->context.definition;
        const VbController *root = qemu_context_find_controller(&build->context, VB_CONTROLLER_PCI, 0);
        g_autofree char *number = NULL;

        add_sleep_states(build);

        if (root && root->pcihole64_kib > 0) {
                number = g_strdup_printf("%" PRIu64 "K", root->pcihole64_kib);
                if (qemu_context_is_q35(&build->context))
                        add_global(build, "q35-pcihost.pci-hole64-size", number);
                else if (qemu_context_is_i440fx(&build->context))
                        add_global(build, "i440FX-pcihost.pci-hole64-size", number);
                g_clear_pointer(&number, g_free);
        }
        if (definition->features && definition->features->smm_tseg_mib.set && qemu_context_is_q35(&build->context)) {
                number = g_strdup_printf("%u", definition->features->smm_tseg_mib.value);
                add_global(build, "mch.extended-tseg-mbytes", number);
        }
        if (definition->os.loader_secure == VB_TRISTATE_YES)
                qemu_build_add(build, "-global", "driver=cfi.pflash01,property=secure,value=on");
}

const QemuIothreadProperty qemu_iothread_properties[QEMU_IOTHREAD_PROPERTIES] = {
        { "poll-max-ns", offsetof(VbIothread, poll_max) },
        { "poll-grow", offsetof(VbIothread, poll_grow) },
        { "poll-shrink", offsetof(VbIothread, poll_shrink) },
        { "thread-pool-min", offsetof(VbIothread, pool_min) },
        { "thread-pool-max", offsetof(VbIothread, pool_max) },
};

VbOptUint qemu_iothread_property(const VbIothread *thread, const QemuIothreadProperty *property) {
        return thread ? *(const VbOptUint *) (const void *) ((const char *) thread + property->field) : (VbOptUint) {};
}

VbJson *qemu_iothread_object(const VbDomainDefinition *definition, uint32_t id) {
        const VbIothread *thread = vb_iothread_find(definition, id);
        g_autofree char *name = g_strdup_printf("iothread%u", id);
        VbJson *object = qemu_json_new_object("iothread", name);

        for (size_t i = 0; i < G_N_ELEMENTS(qemu_iothread_properties); i++) {
                VbOptUint value = qemu_iothread_property(thread, &qemu_iothread_properties[i]);

                if (value.set)
                        qemu_json_add_number(object, qemu_iothread_properties[i].name, value.value);
        }
        return object;
}

/* They wait for disks to be given to them. */
static void build_iothreads(QemuBuild *build) {
        const VbDomainDefinition *definition = build->context.definition;

        for (uint32_t i = 0; i < definition->iothreads; i++)
                qemu_build_add_json(build, "-object", qemu_iothread_object(definition, vb_iothread_id(definition, i)));
}

int qemu_build_machine(QemuBuild *build, sd_bus_error *reterr) {
        const QemuMachine *machine = NULL;
        char uuid[SD_ID128_UUID_STRING_MAX];
        int r;

        r = check_machine(&build->context, &machine, reterr);
        if (r < 0)
                return r;
        r = build_accel(build, reterr);
        if (r < 0)
                return r;
        r = build_machine_options(build, machine, reterr);
        if (r < 0)
                return r;
        r = build_processors(build, reterr);
        if (r < 0)
                return r;
        r = build_memory(build, machine, reterr);
        if (r < 0)
                return r;

        build_iothreads(build);
        qemu_build_add(build, "-uuid", sd_id128_to_uuid_string(build->context.definition->uuid, uuid));
        build_actions(build);
        build_globals(build);
        if (build->context.definition->features &&
            build->context.definition->features->vmcoreinfo == VB_TRISTATE_YES)
                qemu_build_add_json(build, "-device", qemu_json_new_driver("vmcoreinfo"));
        return 0;
}
