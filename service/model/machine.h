/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the model knows about QEMU's machines: which of the few kinds one is, and what comes soldered to its
 * board. */

#include "model/domain.h"

typedef enum VbMachineKind {
        VB_MACHINE_OTHER,  /* nothing is known: no implicit devices, no PCI addresses */
        VB_MACHINE_I440FX, /* pc: PCI; IDE and USB 1 on board */
        VB_MACHINE_Q35,    /* PCI Express; SATA on board */
        VB_MACHINE_ISAPC,  /* no PCI */
        VB_MACHINE_VIRT,   /* of arm, riscv and loongarch: PCI Express, nothing on board */
} VbMachineKind;

/* By the canonical name of the machine type and the architecture; an alias ("pc", "q35") does as well. */
VbMachineKind vb_machine_kind(const VbOs *os);

static inline bool vb_machine_has_pci(VbMachineKind kind) {
        return kind == VB_MACHINE_I440FX;
}

static inline bool vb_machine_has_pcie(VbMachineKind kind) {
        return kind == VB_MACHINE_Q35 || kind == VB_MACHINE_VIRT;
}

bool vb_arch_is_x86(const char *arch);
