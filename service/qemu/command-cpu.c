/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -cpu and -smp. A CPU is a name and a list of feature=on|off; the paravirtual features of KVM and Hyper-V and the
 * guest's clocks are features of it, too. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"
#include "model/vcpus.h"

static bool contains(const char *const *names, const char *name) {
        for (; names && *names; names++)
                if (strcmp(*names, name) == 0)
                        return true;
        return false;
}

static const VbCpuFeature *find_feature(const VbCpu *cpu, const char *name) {
        for (size_t i = 0; i < cpu->features.n; i++)
                if (strcmp(qemu_cpu_feature_from_xml(cpu->features.items[i]->name), name) == 0)
                        return cpu->features.items[i];
        return NULL;
}

/* libvirt's rule: unless told otherwise, a guest does not start with less than what was asked for. */
static bool must_check(const VbCpu *cpu) {
        return cpu->check != VB_CPU_CHECK_NONE;
}

static bool wants_feature(const VbCpuFeature *feature) {
        return feature->policy == VB_CPU_POLICY_ABSENT || feature->policy == VB_CPU_POLICY_REQUIRE ||
               feature->policy == VB_CPU_POLICY_FORCE;
}

/* --- The model --- */

static int check_definition(const QemuContext *context, const VbCpu *cpu, const QemuCpuDefinition *definition,
                            sd_bus_error *reterr) {
        for (const char *const *name = definition->unavailable; name && *name; name++) {
                const VbCpuFeature *feature = find_feature(cpu, *name);

                if (!feature || wants_feature(feature))
                        return qemu_unsupported(context, reterr,
                                                "CPU model '%s' needs feature '%s', which this host has not; disable it, "
                                                "or allow less with <cpu check='none'>",
                                                cpu->model, qemu_cpu_feature_to_xml(*name));
        }
        return 0;
}

static int check_vendor(const QemuContext *context, const VbCpu *cpu, const QemuCpuTable *table,
                        sd_bus_error *reterr) {
        const QemuCpuModel *host = qemu_cpu_table_host_model(table);
        /* The format's names for what CPUID says. */
        static const struct {
                const char *word, *vendor;
        } vendors[] = {
                { "Intel", "GenuineIntel" },
                { "AMD", "AuthenticAMD" },
                { "Hygon", "HygonGenuine" },
        };

        if (!cpu->vendor || !host || !host->vendor)
                return 0;

        for (size_t i = 0; i < G_N_ELEMENTS(vendors); i++)
                if (strcmp(cpu->vendor, vendors[i].word) == 0 && strcmp(host->vendor, vendors[i].vendor) != 0)
                        return qemu_unsupported(context, reterr, "CPU vendor '%s': this host's is '%s'", cpu->vendor,
                                                host->vendor);
        return 0;
}

/* Nothing more and nothing less than what the host has. */
static int check_strict(const QemuContext *context, const VbCpu *cpu, const QemuCpuTable *table,
                        sd_bus_error *reterr) {
        const QemuCpuModel *host = qemu_cpu_table_host_model(table);

        if (!host || strcmp(host->name, cpu->model) != 0)
                return qemu_unsupported(context, reterr, "CPU model '%s' with match='strict': this host's is '%s'",
                                        cpu->model, host ? host->name : "unknown");
        for (const char *const *name = host->required; *name; name++)
                if (!find_feature(cpu, *name))
                        return qemu_unsupported(context, reterr,
                                                "CPU model '%s' with match='strict': this host has feature '%s', too",
                                                cpu->model, qemu_cpu_feature_to_xml(*name));
        return 0;
}

static int add_custom_model(const QemuContext *context, const VbCpu *cpu, const QemuCpuTable *table, GString *options,
                            sd_bus_error *reterr) {
        const QemuCpuDefinition *definition;
        int r;

        if (!cpu->model)
                return qemu_unsupported(context, reterr, "<cpu mode='custom'> names no <model>");
        definition = qemu_cpu_table_find(table, cpu->model);
        if (!definition)
                return qemu_not_offered(context, reterr, "CPU model '%s'", cpu->model);

        if (must_check(cpu)) {
                r = check_definition(context, cpu, definition, reterr);
                if (r < 0)
                        return r;
                r = check_vendor(context, cpu, table, reterr);
                if (r < 0)
                        return r;
        }
        if (cpu->match == VB_CPU_MATCH_STRICT) {
                r = check_strict(context, cpu, table, reterr);
                if (r < 0)
                        return r;
        }

        g_string_append(options, cpu->model);
        if (cpu->match == VB_CPU_MATCH_MINIMUM)
                for (const char *const *name = qemu_cpu_table_host_features(table); name && *name; name++)
                        if (!find_feature(cpu, *name))
                                qemu_options_add_switch(options, *name, true);
        return 0;
}

static int add_host_model(const QemuContext *context, const QemuCpuTable *table, GString *options,
                          sd_bus_error *reterr) {
        const QemuCpuModel *model = qemu_cpu_table_host_model(table);

        if (!model)
                return qemu_not_offered(context, reterr, "<cpu mode='host-model'>");

        g_string_append(options, model->name);
        for (const char *const *name = model->required; *name; name++)
                qemu_options_add_switch(options, *name, true);
        for (const char *const *name = model->disabled; *name; name++)
                qemu_options_add_switch(options, *name, false);
        return 0;
}

static void add_migratable(const VbCpu *cpu, GString *options) {
        if (cpu->migratable != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, "migratable", cpu->migratable == VB_TRISTATE_YES);
}

/* "qemu64-x86_64-cpu" → "qemu64": the machine's own default, for features that need some -cpu to stand on. */
static void add_default_model(const QemuContext *context, GString *options) {
        const QemuMachine *machine;
        g_autofree char *suffix = NULL;

        machine = qemu_capabilities_find_machine(context->capabilities, context->definition->os.machine);
        suffix = g_strdup_printf("-%s-cpu", qemu_capabilities_arch(context->capabilities));
        if (machine && machine->default_cpu_type && g_str_has_suffix(machine->default_cpu_type, suffix))
                g_string_append_len(options, machine->default_cpu_type,
                                    (gssize) (strlen(machine->default_cpu_type) - strlen(suffix)));
        else
                g_string_append(options, "max");
}

static int add_model(const QemuContext *context, GString *options, sd_bus_error *reterr) {
        const VbCpu *cpu = context->definition->cpu;
        QemuAccel accel = qemu_context_accel(context);
        const QemuCpuTable *table = qemu_capabilities_cpus(context->capabilities, accel);

        if (!cpu || cpu->mode == VB_CPU_MODE_ABSENT) {
                add_default_model(context, options);
                return 0;
        }

        switch (cpu->mode) {
        case VB_CPU_MODE_HOST_PASSTHROUGH:
                if (accel != QEMU_ACCEL_KVM)
                        return qemu_unsupported(context, reterr,
                                                "<cpu mode='host-passthrough'> needs domain type 'kvm'; an emulated CPU with "
                                                "all there is has mode='maximum'");
                g_string_append(options, "host");
                add_migratable(cpu, options);
                return 0;
        case VB_CPU_MODE_MAXIMUM:
                g_string_append(options, "max");
                if (accel == QEMU_ACCEL_KVM)
                        add_migratable(cpu, options);
                return 0;
        default:
                if (!table)
                        return qemu_not_offered(context, reterr, "<cpu mode='%s'>", vb_cpu_mode_to_string(cpu->mode));
                return cpu->mode == VB_CPU_MODE_HOST_MODEL ? add_host_model(context, table, options, reterr) :
                                                             add_custom_model(context, cpu, table, options, reterr);
        }
}

/* --- Features --- */

/* Names become keys, which nothing escapes. */
static bool is_feature_name(const char *name) {
        return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(name);
}

static int add_feature(const QemuContext *context, const VbCpu *cpu, const VbCpuFeature *feature, GString *options,
                       sd_bus_error *reterr) {
        const QemuCpuTable *table = qemu_capabilities_cpus(context->capabilities, qemu_context_accel(context));
        const char *name = qemu_cpu_feature_from_xml(feature->name);
        bool available = !table || contains(qemu_cpu_table_host_features(table), name);

        if (!is_feature_name(name))
                return qemu_unsupported(context, reterr, "CPU feature '%s' is no name of a feature", feature->name);

        switch (feature->policy) {
        case VB_CPU_POLICY_FORCE:
                qemu_options_add_switch(options, name, true);
                return 0;
        case VB_CPU_POLICY_OPTIONAL:
                if (available)
                        qemu_options_add_switch(options, name, true);
                return 0;
        case VB_CPU_POLICY_DISABLE:
                qemu_options_add_switch(options, name, false);
                return 0;
        case VB_CPU_POLICY_FORBID:
                if (table && available && must_check(cpu))
                        return qemu_unsupported(context, reterr, "CPU feature '%s' is forbidden, and this host has it",
                                                feature->name);
                qemu_options_add_switch(options, name, false);
                return 0;
        default:
                if (!available && must_check(cpu))
                        return qemu_unsupported(context, reterr, "CPU feature '%s' is required, and this host has it not",
                                                feature->name);
                qemu_options_add_switch(options, name, true);
                return 0;
        }
}

static int add_cpu_features(const QemuContext *context, GString *options, sd_bus_error *reterr) {
        const VbCpu *cpu = context->definition->cpu;
        int r;

        for (size_t i = 0; cpu && i < cpu->features.n; i++) {
                r = add_feature(context, cpu, cpu->features.items[i], options, reterr);
                if (r < 0)
                        return r;
        }
        if (cpu && cpu->vendor_id)
                qemu_options_add(options, "vendor", cpu->vendor_id);
        return 0;
}

/* Only the CPUs that show what there is can show the host's caches, and show them unless told otherwise. */
static int add_cache(const QemuContext *context, GString *options, sd_bus_error *reterr) {
        const VbCpu *cpu = context->definition->cpu;
        bool shows_host;

        if (!cpu || !cpu->cache || cpu->cache->mode == VB_CPU_CACHE_ABSENT)
                return 0;

        shows_host = cpu->mode == VB_CPU_MODE_HOST_PASSTHROUGH || cpu->mode == VB_CPU_MODE_MAXIMUM;
        if (cpu->cache->mode == VB_CPU_CACHE_PASSTHROUGH && !shows_host)
                return qemu_unsupported(context, reterr,
                                        "CPU cache mode 'passthrough' needs CPU mode 'host-passthrough' or 'maximum'");

        qemu_options_add_switch(options, "l3-cache", cpu->cache->mode == VB_CPU_CACHE_EMULATE);
        if (shows_host)
                qemu_options_add_switch(options, "host-cache-info", cpu->cache->mode == VB_CPU_CACHE_PASSTHROUGH);
        return 0;
}

static void add_tristate(GString *options, const char *name, VbTristate value) {
        if (value != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, name, value == VB_TRISTATE_YES);
}

static void add_hyperv(const VbHyperv *hyperv, GString *options) {
        if (!hyperv)
                return;

        const struct {
                const char *name;
                VbTristate value;
        } switches[] = {
                { "hv-passthrough", hyperv->mode == VB_HYPERV_MODE_PASSTHROUGH ? VB_TRISTATE_YES : VB_TRISTATE_ABSENT },
                { "hv-relaxed", hyperv->relaxed },
                { "hv-vapic", hyperv->vapic },
                { "hv-vpindex", hyperv->vpindex },
                { "hv-runtime", hyperv->runtime },
                { "hv-synic", hyperv->synic },
                { "hv-stimer", hyperv->stimer },
                { "hv-stimer-direct", hyperv->stimer_direct },
                { "hv-reset", hyperv->reset },
                { "hv-frequencies", hyperv->frequencies },
                { "hv-reenlightenment", hyperv->reenlightenment },
                { "hv-tlbflush", hyperv->tlbflush },
                { "hv-ipi", hyperv->ipi },
                { "hv-evmcs", hyperv->evmcs },
                { "hv-avic", hyperv->avic },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(switches); i++)
                if (switches[i].value == VB_TRISTATE_YES)
                        qemu_options_add_switch(options, switches[i].name, true);
        if (hyperv->spinlocks == VB_TRISTATE_YES)
                qemu_options_addf(options, "hv-spinlocks", "0x%x", hyperv->spinlock_retries);
        if (hyperv->vendor_id == VB_TRISTATE_YES)
                qemu_options_add(options, "hv-vendor-id", hyperv->vendor_id_value);
}

static void add_platform_features(const VbDomainDefinition *definition, GString *options) {
        const VbFeatures *features = definition->features;

        for (size_t i = 0; i < definition->clock.timers.n; i++) {
                const VbTimer *timer = definition->clock.timers.items[i];

                if (timer->name == VB_TIMER_KVMCLOCK)
                        add_tristate(options, "kvmclock", timer->present);
                else if (timer->name == VB_TIMER_HYPERVCLOCK && timer->present == VB_TRISTATE_YES)
                        qemu_options_add_switch(options, "hv-time", true);
                else if (timer->name == VB_TIMER_TSC && timer->frequency != 0)
                        qemu_options_add_number(options, "tsc-frequency", timer->frequency);
        }
        if (!features)
                return;

        add_tristate(options, "kvm-pv-eoi", features->apic_eoi);
        add_tristate(options, "kvm-pv-unhalt", features->pvspinlock);
        add_tristate(options, "pmu", features->pmu);
        add_hyperv(features->hyperv, options);
        for (size_t i = 0; i < definition->panics.n; i++)
                if (definition->panics.items[i]->model == VB_PANIC_HYPERV)
                        qemu_options_add_switch(options, "hv-crash", true);
        if (!features->kvm)
                return;

        if (features->kvm->hidden == VB_TRISTATE_YES)
                qemu_options_add_switch(options, "kvm", false);
        add_tristate(options, "kvm-hint-dedicated", features->kvm->hint_dedicated);
        add_tristate(options, "kvm-poll-control", features->kvm->poll_control);
        add_tristate(options, "kvm-pv-ipi", features->kvm->pv_ipi);
}

int qemu_build_cpu(const QemuContext *context, char **ret, sd_bus_error *reterr) {
        g_autoptr(GString) options = qemu_options_new(NULL);
        const VbCpu *cpu = context->definition->cpu;
        size_t model_length;
        int r;

        r = add_model(context, options, reterr);
        if (r < 0)
                return r;
        model_length = options->len;

        r = add_cpu_features(context, options, reterr);
        if (r < 0)
                return r;
        r = add_cache(context, options, reterr);
        if (r < 0)
                return r;
        if (qemu_context_is_x86(context))
                add_platform_features(context->definition, options);

        /* Who asks for nothing gets what the machine type has by itself. */
        if ((!cpu || cpu->mode == VB_CPU_MODE_ABSENT) && options->len == model_length)
                *ret = NULL;
        else
                *ret = g_string_free(g_steal_pointer(&options), FALSE);
        return 0;
}

int qemu_build_smp(const QemuContext *context, GString **ret, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = context->definition;
        const VbCpuTopology *given = definition->cpu ? definition->cpu->topology : NULL;
        VbCpuTopology topology = { definition->vcpus, 1, 1, 1 };
        /* The others are plugged in before the guest runs: only so can they be taken away again. */
        uint32_t current = vb_vcpus_count_fixed(definition);
        GString *options;
        uint64_t product;

        if (given)
                topology = (VbCpuTopology) { MAX(given->sockets, 1), MAX(given->dies, 1), MAX(given->cores, 1),
                                             MAX(given->threads, 1) };

        /* Clamped so that the product stays within 64 bits. */
        product = (uint64_t) MIN(topology.sockets, 65535) * MIN(topology.dies, 65535) * MIN(topology.cores, 65535) *
                  MIN(topology.threads, 65535);
        if (product != definition->vcpus)
                return qemu_unsupported(context, reterr,
                                        "CPU topology: %u sockets, %u dies, %u cores and %u threads are not %u vCPUs",
                                        topology.sockets, topology.dies, topology.cores, topology.threads,
                                        definition->vcpus);
        if (current == 0 || current > definition->vcpus)
                return qemu_unsupported(context, reterr, "%u vCPUs at start: not between 1 and %u", current,
                                        definition->vcpus);

        options = g_string_new(NULL);
        g_string_append_printf(options, "%u", current);
        if (current != definition->vcpus)
                qemu_options_add_number(options, "maxcpus", definition->vcpus);
        qemu_options_add_number(options, "sockets", topology.sockets);
        if (topology.dies > 1)
                qemu_options_add_number(options, "dies", topology.dies);
        qemu_options_add_number(options, "cores", topology.cores);
        qemu_options_add_number(options, "threads", topology.threads);
        *ret = options;
        return 0;
}
