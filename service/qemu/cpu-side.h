/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The CPU of this host that others are compared with: what the emulator can give a guest, or the processor itself. In features of a
 * table of the emulator's. */

#include "model/host.h"
#include "qemu/cpu.h"

typedef struct QemuCpuSide {
        char *arch;
        char *vendor;       /* "GenuineIntel"; NULL if it is not known */
        uint64_t *features; /* of the table's numbers */
} QemuCpuSide;

/* The best CPU of the emulator. */
QemuCpuSide *qemu_cpu_side_of_emulator(const QemuCpuTable *table, const char *arch);
/* The processor by itself, as the kernel sees it: with KVM its emulator's best CPU says more. */
QemuCpuSide *qemu_cpu_side_of_processor(const QemuCpuTable *table, const VbHost *host);
/* Takes NULL, returns NULL. */
QemuCpuSide *qemu_cpu_side_free(QemuCpuSide *side);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCpuSide, qemu_cpu_side_free)

/* The named model that a processor is, for <capabilities>: the closest one that has nothing it lacks, and which features it has beyond that. NULL
 * if there is none. required is sorted, QEMU's names, and ends with NULL; free it with g_ptr_array_unref(). */
const QemuCpuDefinition *qemu_cpu_side_model(const QemuCpuTable *table, const QemuCpuSide *side,
                                             GPtrArray **ret_required);
