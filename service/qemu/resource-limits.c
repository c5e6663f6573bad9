/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/resource-limits.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/error.h"
#include "hypervisor/tuning.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define PERIOD_DEFAULT_USEC UINT64_C(100000)
#define ALL_CPUS "0-8191" /* VB_CPUS_MAX; the kernel takes those that are there */

/* The default of shares in libvirt's documents, and of weights in the service manager. */
static uint64_t shares_to_weight(uint64_t shares) {
        return CLAMP(shares, UINT64_C(1), UINT64_C(10000));
}

/* CPU time per second of wall time, of one thread with this quota; UINT64_MAX: no limit. */
static uint64_t quota_to_usec(int64_t quota, uint64_t period) {
        uint64_t product;

        if (quota <= 0 || __builtin_mul_overflow((uint64_t) quota, USEC_PER_SEC, &product))
                return UINT64_MAX;
        return MAX(product / (period > 0 ? period : PERIOD_DEFAULT_USEC), UINT64_C(1));
}

static uint64_t add_limits(uint64_t a, uint64_t b) {
        uint64_t sum;

        return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* A scope has one quota for all: what was said of the whole guest, or else what its vCPUs may use together, and the
 * emulator's own where that is limited, too. Of an emulator without a limit of its own, what it does itself counts with
 * its vCPUs: a limit that was asked for is never left out because another was not. */
static uint64_t cpu_quota(const VbDomainDefinition *definition) {
        const VbCputune *tune = definition->cputune;
        uint64_t vcpu, all, emulator;

        if (tune->global_quota != 0)
                return quota_to_usec(tune->global_quota, tune->global_period);

        vcpu = quota_to_usec(tune->quota, tune->period);
        if (vcpu == UINT64_MAX || __builtin_mul_overflow(vcpu, (uint64_t) definition->vcpus, &all))
                return UINT64_MAX;
        emulator = quota_to_usec(tune->emulator_quota, tune->emulator_period);
        return emulator == UINT64_MAX ? all : add_limits(all, emulator);
}

static uint64_t kib_to_bytes(uint64_t kib) {
        uint64_t bytes;

        return kib == 0 || __builtin_mul_overflow(kib, UINT64_C(1024), &bytes) ? UINT64_MAX : bytes;
}

static int check_memory(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        const VbMemtune *memory = definition->memtune;

        /* It could be promised only with as much for every slice above the scope. */
        if (memory->min_guarantee > 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': <memtune><min_guarantee>: not supported by virtbus yet",
                                         definition->name);
        if (memory->swap_hard_limit == 0)
                return 0;
        /* The kernel limits memory and swap each for itself. */
        if (memory->hard_limit == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': <memtune><swap_hard_limit>: only with a <hard_limit> beside it",
                                         definition->name);
        if (memory->swap_hard_limit < memory->hard_limit)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                         "domain '%s': <memtune><swap_hard_limit> counts memory, too: it cannot be less than "
                                         "<hard_limit>", definition->name);
        return 0;
}

int qemu_limits_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        const VbNumatune *numa = definition->numatune;
        const VbBlkiotune *io = definition->blkiotune;
        int r;

        r = definition->memtune ? check_memory(definition, reterr) : 0;
        if (r < 0)
                return r;
        if (numa && numa->mode == VB_NUMA_MODE_PREFERRED && numa->nodes && strpbrk(numa->nodes, ",-"))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': NUMA memory tuning in 'preferred' mode only supports single node, not '%s'",
                                         definition->name, numa->nodes);
        for (size_t i = 0; io && i < io->devices.n; i++)
                if (!g_str_has_prefix(io->devices.items[i]->path, "/dev/"))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "domain '%s': <blkiotune><device>: '%s' is not a block device of the host's, below /dev",
                                                 definition->name, io->devices.items[i]->path);
        return 0;
}

static uint64_t or_none(uint64_t value) {
        return value > 0 ? value : UINT64_MAX;
}

static void add_devices(QemuLimits *limits, const VbBlkiotune *io) {
        limits->devices = g_new(VbMachineDevice, io->devices.n);
        for (size_t i = 0; i < io->devices.n; i++) {
                const VbBlkioDevice *device = io->devices.items[i];

                limits->devices[i] = (VbMachineDevice){
                        .path = device->path,
                        .weight = or_none(device->weight),
                        .read_bytes_sec = or_none(device->read_bytes_sec),
                        .write_bytes_sec = or_none(device->write_bytes_sec),
                        .read_iops_sec = or_none(device->read_iops_sec),
                        .write_iops_sec = or_none(device->write_iops_sec),
                };
        }
        limits->resources.devices = limits->devices;
        limits->resources.n_devices = io->devices.n;
}

void qemu_limits_init(QemuLimits *limits, const VbDomainDefinition *definition) {
        VbMachineResources *resources = &limits->resources;
        const VbMemtune *memory = definition->memtune;

        *limits = (QemuLimits){ .resources = VB_MACHINE_RESOURCES_NONE };
        if (definition->cputune) {
                if (definition->cputune->shares > 0)
                        resources->cpu_weight = shares_to_weight(definition->cputune->shares);
                resources->cpu_quota_usec = cpu_quota(definition);
        }
        if (memory) {
                resources->memory_max = kib_to_bytes(memory->hard_limit);
                resources->memory_high = kib_to_bytes(memory->soft_limit);
                /* libvirt's is memory and swap together, the kernel's is swap alone: of two that are equal, none. */
                if (memory->swap_hard_limit > memory->hard_limit)
                        resources->memory_swap_max = kib_to_bytes(memory->swap_hard_limit - memory->hard_limit);
                else if (memory->swap_hard_limit > 0)
                        resources->memory_swap_max = 0;
        }
        if (definition->blkiotune) {
                if (definition->blkiotune->weight > 0)
                        resources->io_weight = CLAMP(definition->blkiotune->weight, 1u, 10000u);
                add_devices(limits, definition->blkiotune);
        }
        resources->allowed_cpus = definition->vcpu_cpuset;
        /* A scope confines memory to nodes, and cannot spread or prefer. */
        if (definition->numatune && !vb_numa_mode_is_wish(definition->numatune->mode))
                resources->allowed_memory_nodes = definition->numatune->nodes;
}

void qemu_limits_done(QemuLimits *limits) {
        g_clear_pointer(&limits->devices, g_free);
}

/* --- threads --------------------------------------------------------------------------------------------------------- */

/* The emulator says which threads are its own; the kernel knows. */
int qemu_limits_pin_thread(pid_t emulator, pid_t thread, const char *cpus) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d", emulator, thread);
        uint8_t mask[VB_CPUS_MASK_SIZE] = { 0 };
        size_t size;
        int r;

        if (access(path, F_OK) < 0)
                return -ESRCH;
        r = vb_cpus_parse(cpus ?: ALL_CPUS, mask, &size);
        if (r < 0)
                return r;
        /* The kernel wants whole words. */
        size = (size + sizeof(unsigned long) - 1) / sizeof(unsigned long) * sizeof(unsigned long);
        return sched_setaffinity(thread, size, (const cpu_set_t *) mask) < 0 ? -errno : 0;
}

static int pin_failed(const VbDomainDefinition *definition, const char *what, const char *cpus, int r, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "domain '%s': %s cannot be bound to CPUs %s: %s",
                                 definition->name, what, cpus,
                                 r == -EINVAL ? "the host has none of them for it" : g_strerror(-r));
}

static bool is_vcpu(pid_t thread, const pid_t *vcpus, size_t n_vcpus) {
        for (size_t i = 0; i < n_vcpus; i++)
                if (vcpus[i] == thread)
                        return true;
        return false;
}

/* All threads but the vCPUs'. Those that come later inherit it from the one that makes them. */
int qemu_limits_pin_emulator(pid_t emulator, const pid_t *vcpus, size_t n_vcpus, const char *cpus) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task", emulator);
        struct dirent *entry;
        DIR *dir;
        int r = 0;

        dir = opendir(path);
        if (!dir)
                return -errno;
        while (r >= 0 && (entry = readdir(dir))) {
                pid_t thread = (pid_t) atoi(entry->d_name);

                if (thread > 0 && !is_vcpu(thread, vcpus, n_vcpus))
                        r = qemu_limits_pin_thread(emulator, thread, cpus);
                if (r == -ESRCH)
                        r = 0; /* one that came and went */
        }
        closedir(dir);
        return r;
}

int qemu_limits_pin(const VbDomainDefinition *definition, pid_t emulator, const pid_t *vcpus, size_t n_vcpus,
                    sd_bus_error *reterr) {
        const VbCputune *tune = definition->cputune;
        int r;

        if (!tune)
                return 0;
        if (tune->emulatorpin) {
                r = qemu_limits_pin_emulator(emulator, vcpus, n_vcpus, tune->emulatorpin);
                if (r < 0)
                        return pin_failed(definition, "the emulator", tune->emulatorpin, r, reterr);
        }
        for (size_t i = 0; i < tune->vcpupins.n; i++) {
                const VbVcpuPin *wanted = tune->vcpupins.items[i];
                g_autofree char *what = g_strdup_printf("vCPU %u", wanted->vcpu.value);

                /* That of a vCPU which is not there yet waits for it. */
                if (wanted->vcpu.value >= n_vcpus || vcpus[wanted->vcpu.value] == 0)
                        continue;
                r = qemu_limits_pin_thread(emulator, vcpus[wanted->vcpu.value], wanted->cpuset);
                if (r < 0)
                        return pin_failed(definition, what, wanted->cpuset, r, reterr);
        }
        return 0;
}

int qemu_limits_pin_vcpu(const VbDomainDefinition *definition, pid_t emulator, uint32_t vcpu, pid_t thread, sd_bus_error *reterr) {
        const char *cpus = vb_tuning_vcpu_cpus(definition, vcpu);
        g_autofree char *what = g_strdup_printf("vCPU %u", vcpu);
        int r;

        r = qemu_limits_pin_thread(emulator, thread, cpus);
        return r < 0 ? pin_failed(definition, what, cpus ?: "all", r, reterr) : 0;
}
