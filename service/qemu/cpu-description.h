/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A <cpu> element as it is handed in for comparison: one of a domain's definition, or of a host's capabilities. What is no part of the
 * processor's kind (topology, caches, page sizes) is passed over. */

#include "base/cleanup.h"
#include "model/cpu.h"

typedef struct QemuCpuDescription {
        char *arch;   /* or NULL */
        char *model;  /* never NULL */
        char *vendor; /* libvirt's word, "Intel"; or NULL */
        bool strict;  /* a host must have nothing beyond it */
        GArray *features; /* of VbCpuFeature; QEMU's names */
} QemuCpuDescription;

/* InvalidXML; UnsupportedConfiguration if it names no model, as host-passthrough does not: there is nothing to compare then. */
int qemu_cpu_description_parse(QemuCpuDescription **ret, const char *xml, bool validate,
                               sd_bus_error *reterr) VB_MUST_USE;

/* Takes NULL, returns NULL. */
QemuCpuDescription *qemu_cpu_description_free(QemuCpuDescription *description);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCpuDescription, qemu_cpu_description_free)
