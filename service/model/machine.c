/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/machine.h"

bool vb_arch_is_x86(const char *arch) {
        return arch && (g_str_equal(arch, "x86_64") || g_str_equal(arch, "i686"));
}

VbMachineKind vb_machine_kind(const VbOs *os) {
        const char *machine = os->machine ?: "";

        if (vb_arch_is_x86(os->arch)) {
                if (g_str_equal(machine, "q35") || g_str_has_prefix(machine, "pc-q35"))
                        return VB_MACHINE_Q35;
                if (g_str_equal(machine, "pc") || g_str_has_prefix(machine, "pc-0.") ||
                    g_str_has_prefix(machine, "pc-1.") || g_str_has_prefix(machine, "pc-i440fx-"))
                        return VB_MACHINE_I440FX;
                if (g_str_equal(machine, "isapc"))
                        return VB_MACHINE_ISAPC;
                return VB_MACHINE_OTHER;
        }
        if (g_str_equal(machine, "virt") || g_str_has_prefix(machine, "virt-"))
                return VB_MACHINE_VIRT;
        return VB_MACHINE_OTHER;
}
