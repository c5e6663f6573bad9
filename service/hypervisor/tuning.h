/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What of a definition says how much of the host a guest gets, and how that is changed and told on the bus: memory, vCPUs and their
 * places, <cputune>, <memtune>, <blkiotune>, <numatune>. Pure: neither domains nor guests are known here. Errors name what is
 * wrong; InvalidArgument where nothing else is said. */

#include <systemd/sd-bus.h>

#include "interfaces/domain1.h"
#include "model/domain.h"

VB_MUST_USE int vb_tuning_set_memory(VbDomainDefinition *definition, uint64_t bytes, bool maximum, sd_bus_error *reterr);

typedef struct VbVcpusChange {
        bool live;         /* of a guest that runs: only those come and go that can be plugged */
        bool maximum;      /* how many there can be; pins of those that can be no more go with them */
        bool hotpluggable; /* new ones can be taken away again while the guest runs */
} VbVcpusChange;

VB_MUST_USE int vb_tuning_set_vcpus(VbDomainDefinition *definition, uint32_t vcpus, const VbVcpusChange *change,
                                    sd_bus_error *reterr);
/* Single ones: a list of their numbers. */
VB_MUST_USE int vb_tuning_enable_vcpus(VbDomainDefinition *definition, const char *vcpus, bool enabled, bool live,
                                       sd_bus_error *reterr);

/* cpus "" takes the pin away. */
VB_MUST_USE int vb_tuning_pin_vcpu(VbDomainDefinition *definition, uint32_t vcpu, const char *cpus, sd_bus_error *reterr);
VB_MUST_USE int vb_tuning_pin_iothread(VbDomainDefinition *definition, uint32_t id, const char *cpus, sd_bus_error *reterr);
VB_MUST_USE int vb_tuning_pin_emulator(VbDomainDefinition *definition, const char *cpus, sd_bus_error *reterr);
/* Which CPUs of the host a vCPU, an I/O thread, or the emulator, may use; NULL: all. Borrowed. */
const char *vb_tuning_vcpu_cpus(const VbDomainDefinition *definition, uint32_t vcpu);
const char *vb_tuning_iothread_cpus(const VbDomainDefinition *definition, uint32_t id);
const char *vb_tuning_emulator_cpus(const VbDomainDefinition *definition);

VB_MUST_USE int vb_tuning_set_cpu(VbDomainDefinition *definition, const VbDomain1SetCpuTuningArgs *args, sd_bus_error *reterr);
VB_MUST_USE int vb_tuning_set_limits(VbDomainDefinition *definition, const VbDomain1SetMemoryTuningArgs *args,
                                     sd_bus_error *reterr);
VB_MUST_USE int vb_tuning_set_block(VbDomainDefinition *definition, const VbDomain1SetBlockTuningArgs *args,
                                    sd_bus_error *reterr);
VB_MUST_USE int vb_tuning_set_numa(VbDomainDefinition *definition, const VbDomain1SetNumaTuningArgs *args, bool live,
                                   sd_bus_error *reterr);

/* One a{sv} each, of what is set. For block, the weight and an a(sa{sv}). */
VB_MUST_USE int vb_tuning_append_cpu(sd_bus_message *m, const VbDomainDefinition *definition);
VB_MUST_USE int vb_tuning_append_limits(sd_bus_message *m, const VbDomainDefinition *definition);
VB_MUST_USE int vb_tuning_append_block(sd_bus_message *m, const VbDomainDefinition *definition);
VB_MUST_USE int vb_tuning_append_numa(sd_bus_message *m, const VbDomainDefinition *definition);
