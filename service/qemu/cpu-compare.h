/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CPUs beside one another, as sets of features: does one have what another needs, and what do several have in common. What a model consists
 * of is what QEMU says; all of its models must have been learned (qemu_capabilities_learn_models()). */

#include "qemu/cpu-description.h"
#include "qemu/cpu-side.h"

typedef enum QemuCpuRelation {
        QEMU_CPU_IDENTICAL,
        QEMU_CPU_SUPERSET, /* the side has all of it, and more */
        QEMU_CPU_INCOMPATIBLE,
} QemuCpuRelation;

/* ret_lacking: libvirt's names of features, "vendor", "arch"; ends with NULL; to be freed with g_ptr_array_unref().
 * UnsupportedConfiguration for a model or feature that is not known. */
int qemu_cpu_compare(const QemuCpuTable *table, const QemuCpuSide *side, const QemuCpuDescription *description,
                     QemuCpuRelation *ret, GPtrArray **ret_lacking, sd_bus_error *reterr) VB_MUST_USE;

typedef struct QemuCpuBaselineOptions {
        const QemuCpuSide *limit; /* the result has nothing that this lacks; or NULL */
        bool expand_features;
        bool migratable;
} QemuCpuBaselineOptions;

/* A <cpu> for a domain's definition, to be freed. UnsupportedConfiguration also if they have no model in common. */
int qemu_cpu_baseline(const QemuCpuTable *table, QemuCpuDescription *const *descriptions, size_t n,
                      const QemuCpuBaselineOptions *options, char **ret, sd_bus_error *reterr) VB_MUST_USE;
