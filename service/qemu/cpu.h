/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The CPUs a QEMU binary can give to guests, as it tells them itself: its definitions, which of them run on
 * this host, and which features the best possible CPU has. There is no list of CPU models in virtbus. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

typedef enum QemuAccel {
        QEMU_ACCEL_TCG,
        QEMU_ACCEL_KVM,
        _QEMU_ACCEL_MAX,
        _QEMU_ACCEL_INVALID = -EINVAL,
} QemuAccel;

typedef struct QemuCpuTable QemuCpuTable;

typedef enum QemuCpuUsable {
        QEMU_CPU_USABLE_UNKNOWN, /* QEMU does not tell for this architecture */
        QEMU_CPU_USABLE_YES,
        QEMU_CPU_USABLE_NO,
        _QEMU_CPU_USABLE_MAX,
} QemuCpuUsable;

typedef struct QemuCpuDefinition {
        const char *name; /* "EPYC-v1" */
        const char *alias_of; /* the versioned definition this name stands for now, or NULL */
        const char *vendor; /* "AuthenticAMD"; NULL if QEMU was not asked */
        const char *const *unavailable; /* features that this host or accelerator lacks for it; never NULL */
        QemuCpuUsable usable;
        bool migration_safe;
        bool deprecated;
} QemuCpuDefinition;

/* A named definition with features added and taken away. */
typedef struct QemuCpuModel {
        const char *name;
        const char *vendor;
        const char *const *required; /* QEMU's names; sorted; never NULL */
        const char *const *disabled;
} QemuCpuModel;

const QemuCpuDefinition *qemu_cpu_table_definitions(const QemuCpuTable *table, size_t *ret_n);
const QemuCpuDefinition *qemu_cpu_table_find(const QemuCpuTable *table, const char *name);

/* What "host-model" means with this accelerator: the definition of QEMU's own that is closest to what the
 * host (TCG: the translator) can do, and the differences. NULL where the architecture has no such thing. */
const QemuCpuModel *qemu_cpu_table_host_model(const QemuCpuTable *table);

/* The definition that has the most of what the host has and nothing that it lacks, and what the host has
 * beyond it; NULL likewise. Its disabled is empty. */
const QemuCpuModel *qemu_cpu_table_host_base(const QemuCpuTable *table);

/* Features that the best CPU ("host" or "max") has here. Sorted, NULL-terminated. */
const char *const *qemu_cpu_table_host_features(const QemuCpuTable *table);

/* The name by which a definition is best known: an unversioned or descriptive alias ("EPYC-IBPB" for
 * "EPYC-v2") if it has one. */
const char *qemu_cpu_table_well_known_name(const QemuCpuTable *table, const char *name);

/* As QEMU says it; of a definition that QEMU was not asked about, that of its family. NULL if that is not
 * known either. */
const char *qemu_cpu_table_vendor(const QemuCpuTable *table, const QemuCpuDefinition *definition);

/* "Intel" for "GenuineIntel"; "unknown" for whom libvirt has no word. */
const char *qemu_cpu_vendor_to_xml(const char *vendor);

/* libvirt's definitions write a few feature names differently ("lahf_lm" for QEMU's "lahf-lm"). Both return
 * the other's spelling, or the name itself where there is no difference. */
const char *qemu_cpu_feature_to_xml(const char *name);
const char *qemu_cpu_feature_from_xml(const char *name);
