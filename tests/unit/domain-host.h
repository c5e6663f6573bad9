/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host for tests of the domain model: x86_64 and aarch64 with QEMU 7.2, all devices there. It is the host that the
 * expected files in domain-xml/ come from. */

#include <string.h>

#include "model/domain.h"

static inline int test_find_emulator(void *userdata,
                                     VbDomainType type,
                                     const char *arch,
                                     char **ret_path,
                                     sd_bus_error *reterr) {
        *ret_path = g_strdup_printf("/usr/bin/qemu-system-%s", g_str_equal(arch, "i686") ? "i386" : arch);
        return 0;
}

static inline int test_resolve_machine(void *userdata,
                                       const char *emulator,
                                       const char *arch,
                                       const char *machine,
                                       char **ret_machine,
                                       sd_bus_error *reterr) {
        bool x86 = g_str_equal(arch, "x86_64") || g_str_equal(arch, "i686");

        if (!machine || g_str_equal(machine, "pc"))
                *ret_machine = g_strdup(x86 ? "pc-i440fx-7.2" : "virt-7.2");
        else if (g_str_equal(machine, "q35"))
                *ret_machine = g_strdup("pc-q35-7.2");
        else if (g_str_equal(machine, "virt"))
                *ret_machine = g_strdup("virt-7.2");
        else
                *ret_machine = g_strdup(machine);
        return 0;
}

static inline const char *test_default_cpu(void *userdata, const char *emulator, const char *machine) {
        if (!g_str_has_prefix(machine, "pc"))
                return NULL;
        return g_str_has_suffix(emulator, "i386") ? "qemu32-i386-cpu" : "qemu64-x86_64-cpu";
}

static const VbDomainHost test_host = {
        .find_emulator = test_find_emulator,
        .resolve_machine = test_resolve_machine,
        .default_cpu = test_default_cpu,
        .arch = "x86_64",
};
