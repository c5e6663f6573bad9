/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/tuning.h"

#include <inttypes.h>
#include <string.h>

#include "base/cpus.h"
#include "base/error.h"
#include "hypervisor/values.h"
#include "model/vcpus.h"

#define KIB UINT64_C(1024)
#define BLKIO_DEVICES_MAX 256u

/* --- memory and vCPUs ------------------------------------------------------------------------------------------------ */

int vb_tuning_set_memory(VbDomainDefinition *definition, uint64_t bytes, bool maximum, sd_bus_error *reterr) {
        uint64_t kib = bytes / KIB + (bytes % KIB > 0);

        if (kib == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': a guest cannot be without memory",
                                         definition->name);
        if (!maximum && kib > definition->memory)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': cannot set memory higher than max memory: %" PRIu64 " > %" PRIu64 " bytes",
                                         definition->name, bytes, definition->memory * KIB);
        if (maximum) {
                definition->memory = kib;
                definition->current_memory = MIN(definition->current_memory, kib);
        } else
                definition->current_memory = kib;
        return 0;
}

static void forget_pins_from(VbDomainDefinition *definition, uint32_t vcpus) {
        VbCputune *tune = definition->cputune;

        /* They are sorted. */
        while (tune && tune->vcpupins.n > 0 && tune->vcpupins.items[tune->vcpupins.n - 1]->vcpu.value >= vcpus) {
                VbVcpuPin *pin = VB_LIST_STEAL(&tune->vcpupins, tune->vcpupins.n - 1);

                g_free(pin->cpuset);
                g_free(pin);
        }
        vb_domain_definition_tidy(definition);
}

static int set_max_vcpus(VbDomainDefinition *definition, uint32_t vcpus, sd_bus_error *reterr) {
        const VbCpuTopology *t = definition->cpu ? definition->cpu->topology : NULL;
        uint64_t product = t ? (uint64_t) t->sockets * t->dies * t->cores * t->threads : vcpus;

        if (product != vcpus)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': its CPU topology is of %" PRIu64 " vCPUs, not %u", definition->name, product,
                                         vcpus);
        vb_vcpus_set_maximum(definition, vcpus);
        forget_pins_from(definition, vcpus);
        return 0;
}

static int no_such_vcpu(const VbDomainDefinition *definition, uint32_t vcpu, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': it has no vCPU %u; they are 0 to %u", definition->name,
                                 vcpu, definition->vcpus - 1);
}

/* One by one: the first that is off, or the last that may go. */
static int set_vcpus_singly(VbDomainDefinition *definition, uint32_t vcpus, const VbVcpusChange *change, sd_bus_error *reterr) {
        vb_vcpus_spell_out(definition);
        for (uint32_t i = 0; i < definition->vcpus && vb_domain_definition_vcpus(definition) < vcpus; i++)
                vb_vcpu_set_enabled(definition, i, /* enabled= */ true, change->hotpluggable || change->live);
        for (uint32_t i = definition->vcpus; i-- > 1 && vb_domain_definition_vcpus(definition) > vcpus;)
                if (vb_vcpu_is_hotpluggable(definition, i) || !change->live)
                        vb_vcpu_set_enabled(definition, i, /* enabled= */ false, /* hotpluggable= */ true);
        if (vb_domain_definition_vcpus(definition) != vcpus)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': failed to find appropriate hotpluggable vcpus to reach the desired target vcpu count: "
                                         "%u vCPUs have been there from its start, and stay", definition->name,
                                         vb_vcpus_count_fixed(definition));
        return 0;
}

int vb_tuning_enable_vcpus(VbDomainDefinition *definition, const char *vcpus, bool enabled, bool live, sd_bus_error *reterr) {
        uint8_t mask[VB_CPUS_MASK_SIZE] = { 0 };
        g_autofree char *list = NULL;
        size_t size;
        int r;

        list = vb_cpuset_normalize(vcpus);
        r = list ? vb_cpus_parse(list, mask, &size) : -EINVAL;
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not a list of vCPUs such as 0-3,^2,7", vcpus);
        for (uint32_t i = 0; i < VB_CPUS_MAX; i++) {
                if (!(mask[i / 8] >> i % 8 & 1))
                        continue;
                if (i >= definition->vcpus)
                        return no_such_vcpu(definition, i, reterr);
                if (i == 0 && !enabled)
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': a guest cannot be without vCPU 0",
                                                 definition->name);
                if (live && vb_vcpu_is_enabled(definition, i) == enabled)
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': vcpu '%u' is already in requested state",
                                                 definition->name, i);
                if (live && !enabled && !vb_vcpu_is_hotpluggable(definition, i))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                                 "domain '%s': vCPU %u has been there from its start, and stays", definition->name, i);
                vb_vcpu_set_enabled(definition, i, enabled, /* hotpluggable= */ true);
        }
        return 0;
}

int vb_tuning_set_vcpus(VbDomainDefinition *definition, uint32_t vcpus, const VbVcpusChange *change, sd_bus_error *reterr) {
        if (vcpus == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': a guest cannot be without vCPUs",
                                         definition->name);
        if (change->maximum)
                return set_max_vcpus(definition, vcpus, reterr);
        if (vcpus > definition->vcpus)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "requested vcpus is greater than max allowable vcpus of domain '%s': %u > %u", definition->name,
                                         vcpus, definition->vcpus);
        if (definition->vcpu_list.n > 0 || change->hotpluggable || change->live)
                return set_vcpus_singly(definition, vcpus, change, reterr);
        definition->vcpus_current = vcpus < definition->vcpus ? (VbOptUint) VB_OPT(vcpus) : (VbOptUint) {};
        return 0;
}

/* --- pins ----------------------------------------------------------------------------------------------------------- */

static VbCputune *need_cputune(VbDomainDefinition *definition) {
        if (!definition->cputune)
                definition->cputune = g_new0(VbCputune, 1);
        return definition->cputune;
}

/* NULL for "". */
static int parse_cpus(const char *cpus, char **ret, sd_bus_error *reterr) {
        *ret = NULL;
        if (cpus[0] == '\0')
                return 0;
        *ret = vb_cpuset_normalize(cpus);
        if (*ret)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not a list of CPUs such as 0-3,^2,7", cpus);
}

/* Where the pin of a vCPU is among the others, or has its place. */
static size_t find_pin(const VbCputune *tune, uint32_t vcpu) {
        size_t i = 0;

        while (i < tune->vcpupins.n && tune->vcpupins.items[i]->vcpu.value < vcpu)
                i++;
        return i;
}

static bool is_pin_of(const VbCputune *tune, size_t i, uint32_t vcpu) {
        return i < tune->vcpupins.n && tune->vcpupins.items[i]->vcpu.value == vcpu;
}

int vb_tuning_pin_vcpu(VbDomainDefinition *definition, uint32_t vcpu, const char *cpus, sd_bus_error *reterr) {
        g_autofree char *list = NULL;
        VbCputune *tune;
        VbVcpuPin *pin;
        size_t i;
        int r;

        if (vcpu >= definition->vcpus)
                return no_such_vcpu(definition, vcpu, reterr);
        r = parse_cpus(cpus, &list, reterr);
        if (r < 0)
                return r;

        tune = need_cputune(definition);
        i = find_pin(tune, vcpu);
        if (is_pin_of(tune, i, vcpu)) {
                pin = VB_LIST_STEAL(&tune->vcpupins, i);
                g_free(pin->cpuset);
                g_free(pin);
        }
        if (list) {
                pin = g_new(VbVcpuPin, 1);
                *pin = (VbVcpuPin){ .vcpu = VB_OPT(vcpu), .cpuset = g_steal_pointer(&list) };
                VB_LIST_INSERT(&tune->vcpupins, i, pin);
        }
        vb_domain_definition_tidy(definition);
        return 0;
}

int vb_tuning_pin_emulator(VbDomainDefinition *definition, const char *cpus, sd_bus_error *reterr) {
        VbCputune *tune;
        char *list;
        int r;

        r = parse_cpus(cpus, &list, reterr);
        if (r < 0)
                return r;
        tune = need_cputune(definition);
        g_free(tune->emulatorpin);
        tune->emulatorpin = list;
        vb_domain_definition_tidy(definition);
        return 0;
}

static size_t find_iothread_pin(const VbCputune *tune, uint32_t id) {
        size_t i = 0;

        while (i < tune->iothreadpins.n && tune->iothreadpins.items[i]->iothread.value != id)
                i++;
        return i;
}

int vb_tuning_pin_iothread(VbDomainDefinition *definition, uint32_t id, const char *cpus, sd_bus_error *reterr) {
        VbCputune *tune;
        VbIothreadPin *pin;
        char *list;
        size_t i;
        int r;

        r = parse_cpus(cpus, &list, reterr);
        if (r < 0)
                return r;
        tune = need_cputune(definition);
        i = find_iothread_pin(tune, id);
        if (i < tune->iothreadpins.n) {
                pin = VB_LIST_STEAL(&tune->iothreadpins, i);
                g_free(pin->cpuset);
                g_free(pin);
        }
        if (list) {
                pin = g_new(VbIothreadPin, 1);
                *pin = (VbIothreadPin){ .iothread = VB_OPT(id), .cpuset = list };
                VB_LIST_APPEND(&tune->iothreadpins, pin);
        }
        vb_domain_definition_tidy(definition);
        return 0;
}

const char *vb_tuning_iothread_cpus(const VbDomainDefinition *definition, uint32_t id) {
        const VbCputune *tune = definition->cputune;
        size_t i = tune ? find_iothread_pin(tune, id) : 0;

        return tune && i < tune->iothreadpins.n ? tune->iothreadpins.items[i]->cpuset : definition->vcpu_cpuset;
}

const char *vb_tuning_vcpu_cpus(const VbDomainDefinition *definition, uint32_t vcpu) {
        const VbCputune *tune = definition->cputune;
        size_t i = tune ? find_pin(tune, vcpu) : 0;

        return tune && is_pin_of(tune, i, vcpu) ? tune->vcpupins.items[i]->cpuset : definition->vcpu_cpuset;
}

const char *vb_tuning_emulator_cpus(const VbDomainDefinition *definition) {
        return definition->cputune && definition->cputune->emulatorpin ? definition->cputune->emulatorpin :
                                                                         definition->vcpu_cpuset;
}

/* --- <cputune> ------------------------------------------------------------------------------------------------------ */

#define CPU(key, type, name, field, ...) VB_VALUE_ROW(key, type, VbDomain1SetCpuTuningArgs, name, VbCputune, field, __VA_ARGS__)
#define PERIOD(key, name, field) CPU(key, VB_VALUE_U64, name, field, .min = 1000, .max = 1000000)
#define QUOTA(key, name, field) CPU(key, VB_VALUE_I64, name, field, .min = 1000, .max = UINT64_C(17592186044415))

static const VbValueRow cpu_rows[] = {
        CPU("shares", VB_VALUE_U64, shares, shares, .min = 1, .max = 262144),
        PERIOD("period-usec", period_usec, period),
        QUOTA("quota-usec", quota_usec, quota),
        PERIOD("global-period-usec", global_period_usec, global_period),
        QUOTA("global-quota-usec", global_quota_usec, global_quota),
        PERIOD("emulator-period-usec", emulator_period_usec, emulator_period),
        QUOTA("emulator-quota-usec", emulator_quota_usec, emulator_quota),
        {},
};

int vb_tuning_set_cpu(VbDomainDefinition *definition, const VbDomain1SetCpuTuningArgs *args, sd_bus_error *reterr) {
        int n;

        n = vb_values_take(cpu_rows, args, need_cputune(definition), reterr);
        if (n <= 0)
                return n < 0 ? n : vb_values_none(reterr);
        vb_domain_definition_tidy(definition);
        return 0;
}

/* --- <memtune> ------------------------------------------------------------------------------------------------------ */

#define LIMIT(key, name, field) \
        VB_VALUE_ROW(key, VB_VALUE_U64, VbDomain1SetMemoryTuningArgs, name, VbMemtune, field, .unit = KIB)

static const VbValueRow limit_rows[] = {
        LIMIT("hard-limit", hard_limit, hard_limit),
        LIMIT("soft-limit", soft_limit, soft_limit),
        LIMIT("swap-hard-limit", swap_hard_limit, swap_hard_limit),
        {},
};

int vb_tuning_set_limits(VbDomainDefinition *definition, const VbDomain1SetMemoryTuningArgs *args, sd_bus_error *reterr) {
        VbMemtune *memory;
        int n;

        if (!definition->memtune)
                definition->memtune = g_new0(VbMemtune, 1);
        memory = definition->memtune;
        n = vb_values_take(limit_rows, args, memory, reterr);
        if (n <= 0)
                return n < 0 ? n : vb_values_none(reterr);
        if (memory->swap_hard_limit > 0 && memory->swap_hard_limit < memory->hard_limit)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "value 'swap-hard-limit': memory and swap together cannot be less than 'hard-limit', %" PRIu64
                                         " bytes",
                                         memory->hard_limit * KIB);
        vb_domain_definition_tidy(definition);
        return 0;
}

/* --- <blkiotune> ---------------------------------------------------------------------------------------------------- */

#define DEVICE(key, type, name, ...) \
        VB_VALUE_ROW(key, type, VbDomain1SetBlockTuningArgs, name, VbBlkioDevice, name, __VA_ARGS__)

static const VbValueRow device_rows[] = {
        DEVICE("weight", VB_VALUE_U32, weight, .min = 1, .max = 1000),
        DEVICE("read-bytes-sec", VB_VALUE_U64, read_bytes_sec),
        DEVICE("write-bytes-sec", VB_VALUE_U64, write_bytes_sec),
        DEVICE("read-iops-sec", VB_VALUE_U32, read_iops_sec),
        DEVICE("write-iops-sec", VB_VALUE_U32, write_iops_sec),
        {},
};

static int set_weight(VbBlkiotune *io, const VbDomain1SetBlockTuningArgs *args, sd_bus_error *reterr) {
        if (args->values.has_read_bytes_sec || args->values.has_write_bytes_sec || args->values.has_read_iops_sec ||
            args->values.has_write_iops_sec)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "without a device, only 'weight' can be set; the other values are of one device");
        if (!args->values.has_weight)
                return vb_values_none(reterr);
        if (args->values.weight == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "value 'weight': 0 is not from 1 to 1000");
        io->weight = args->values.weight;
        return 0;
}

static size_t find_device(const VbBlkiotune *io, const char *path) {
        size_t i = 0;

        while (i < io->devices.n && !g_str_equal(io->devices.items[i]->path, path))
                i++;
        return i;
}

static int set_device(VbBlkiotune *io, const VbDomain1SetBlockTuningArgs *args, sd_bus_error *reterr) {
        size_t i = find_device(io, args->device);
        VbBlkioDevice *device;
        int n;

        if (!g_str_has_prefix(args->device, "/dev/") || strstr(args->device, "/../"))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not a block device of the host's, below /dev",
                                         args->device);
        if (i == io->devices.n) {
                if (i >= BLKIO_DEVICES_MAX)
                        return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%u devices have limits already", BLKIO_DEVICES_MAX);
                device = g_new(VbBlkioDevice, 1);
                *device = (VbBlkioDevice){ .path = g_strdup(args->device) };
                VB_LIST_APPEND(&io->devices, device);
        }
        device = io->devices.items[i];
        n = vb_values_take(device_rows, args, device, reterr);
        if (n <= 0)
                return n < 0 ? n : vb_values_none(reterr);

        if (vb_values_are_unset(device_rows, device)) {
                (void) VB_LIST_STEAL(&io->devices, i);
                g_free(device->path);
                g_free(device);
        }
        return 0;
}

int vb_tuning_set_block(VbDomainDefinition *definition, const VbDomain1SetBlockTuningArgs *args, sd_bus_error *reterr) {
        int r;

        if (!definition->blkiotune)
                definition->blkiotune = g_new0(VbBlkiotune, 1);
        r = args->device[0] == '\0' ? set_weight(definition->blkiotune, args, reterr) :
                                      set_device(definition->blkiotune, args, reterr);
        if (r < 0)
                return r;
        vb_domain_definition_tidy(definition);
        return 0;
}

/* --- <numatune> ----------------------------------------------------------------------------------------------------- */

static const VbNumaMode numa_modes[] = {
        [VB_DOMAIN1_SET_NUMA_TUNING_MODE_STRICT] = VB_NUMA_MODE_STRICT,
        [VB_DOMAIN1_SET_NUMA_TUNING_MODE_PREFERRED] = VB_NUMA_MODE_PREFERRED,
        [VB_DOMAIN1_SET_NUMA_TUNING_MODE_INTERLEAVE] = VB_NUMA_MODE_INTERLEAVE,
        [VB_DOMAIN1_SET_NUMA_TUNING_MODE_RESTRICTIVE] = VB_NUMA_MODE_RESTRICTIVE,
};

static VbNumaMode effective_mode(const VbNumatune *numa) {
        return numa->mode == VB_NUMA_MODE_ABSENT ? VB_NUMA_MODE_STRICT : numa->mode;
}

int vb_tuning_set_numa(VbDomainDefinition *definition, const VbDomain1SetNumaTuningArgs *args, bool live,
                       sd_bus_error *reterr) {
        g_autofree char *nodes = NULL;
        VbNumatune *numa;
        int r;

        if (!args->values.has_mode && !args->values.has_nodes)
                return vb_values_none(reterr);
        if (args->values.has_nodes) {
                r = parse_cpus(args->values.nodes, &nodes, reterr);
                if (r < 0)
                        return r;
        }
        if (!definition->numatune)
                definition->numatune = g_new0(VbNumatune, 1);
        numa = definition->numatune;

        if (args->values.has_mode) {
                if (live && effective_mode(numa) != numa_modes[args->values.mode])
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                                 "domain '%s': can't change numatune mode for running domain", definition->name);
                numa->mode = numa_modes[args->values.mode];
        }
        if (args->values.has_nodes) {
                if (live && vb_numa_mode_is_wish(numa->mode))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                                 "domain '%s': change of nodeset for running domain requires strict numa mode",
                                                 definition->name);
                g_free(numa->nodes);
                numa->nodes = g_steal_pointer(&nodes);
                if (numa->nodes)
                        numa->mode = effective_mode(numa);
        }
        vb_domain_definition_tidy(definition);
        return 0;
}

/* --- told ----------------------------------------------------------------------------------------------------------- */

static int append_rows(sd_bus_message *m, const VbValueRow *rows, const void *fields) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        if (fields) {
                r = vb_values_append(m, rows, fields);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

int vb_tuning_append_cpu(sd_bus_message *m, const VbDomainDefinition *definition) {
        return append_rows(m, cpu_rows, definition->cputune);
}

int vb_tuning_append_limits(sd_bus_message *m, const VbDomainDefinition *definition) {
        return append_rows(m, limit_rows, definition->memtune);
}

static int append_device(sd_bus_message *m, const VbBlkioDevice *device) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sa{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", device->path);
        if (r < 0)
                return r;
        r = append_rows(m, device_rows, device);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

int vb_tuning_append_block(sd_bus_message *m, const VbDomainDefinition *definition) {
        const VbBlkiotune *io = definition->blkiotune;
        int r;

        r = sd_bus_message_append(m, "u", io ? io->weight : 0);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(sa{sv})");
        if (r < 0)
                return r;
        for (size_t i = 0; io && i < io->devices.n; i++) {
                r = append_device(m, io->devices.items[i]);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

int vb_tuning_append_numa(sd_bus_message *m, const VbDomainDefinition *definition) {
        const VbNumatune *numa = definition->numatune;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        if (numa && numa->mode != VB_NUMA_MODE_ABSENT) {
                r = vb_value_append_string(m, "mode", vb_numa_mode_to_string(numa->mode));
                if (r < 0)
                        return r;
        }
        if (numa && numa->nodes) {
                r = vb_value_append_string(m, "nodes", numa->nodes);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}
