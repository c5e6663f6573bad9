/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* <cputune>, <memtune>, <blkiotune> and <vcpu cpuset='…'>: as properties of the guest's scope, and as the CPUs that its threads may
 * use. */

#include "bus/machine.h"
#include "model/domain.h"

/* UnsupportedConfiguration for limits that nothing here would hold: rather no guest than one that has less of a limit than was asked. */
VB_MUST_USE int qemu_limits_check(const VbDomainDefinition *definition, sd_bus_error *reterr);

/* What points somewhere points into the definition, or at devices. */
typedef struct QemuLimits {
        VbMachineResources resources;
        VbMachineDevice *devices;
} QemuLimits;

void qemu_limits_init(QemuLimits *limits, const VbDomainDefinition *definition);
void qemu_limits_done(QemuLimits *limits);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuLimits, qemu_limits_done)

/* Binds the emulator's threads to the CPUs that the definition gives them: vcpus[i] is the thread of vCPU i. Fails with
 * UnsupportedConfiguration if none of them is there. */
VB_MUST_USE int qemu_limits_pin(const VbDomainDefinition *definition, pid_t emulator, const pid_t *vcpus, size_t n_vcpus,
                                sd_bus_error *reterr);

/* The same of one vCPU's thread. */
VB_MUST_USE int qemu_limits_pin_vcpu(const VbDomainDefinition *definition, pid_t emulator, uint32_t vcpu, pid_t thread,
                                     sd_bus_error *reterr);

/* One thread; or all of the emulator's but its vCPUs'. cpus NULL: all that the guest may use. -EINVAL: none of them is there; -ESRCH: the thread
 * is not the emulator's. */
VB_MUST_USE int qemu_limits_pin_thread(pid_t emulator, pid_t thread, const char *cpus);
VB_MUST_USE int qemu_limits_pin_emulator(pid_t emulator, const pid_t *vcpus, size_t n_vcpus, const char *cpus);
