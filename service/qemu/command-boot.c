/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest boots: -boot, the kernel given directly, and what firmware tells about the machine (SMBIOS). */
#include "qemu/command-build.h"

#include "base/error.h"

static void build_boot_options(QemuBuild *build) {
        const VbOs *os = &build->context.definition->os;
        GString *options = qemu_options_new(NULL);

        if (os->bootmenu != VB_TRISTATE_ABSENT) {
                qemu_options_add_switch(options, "menu", os->bootmenu == VB_TRISTATE_YES);
                if (os->bootmenu == VB_TRISTATE_YES && os->bootmenu_timeout.set)
                        qemu_options_add_number(options, "splash-time", os->bootmenu_timeout.value);
        }
        if (os->bios_reboot_timeout.set)
                qemu_options_addf(options, "reboot-timeout", "%" PRIi32, os->bios_reboot_timeout.value);
        /* Devices without a place in the boot order are not tried. */
        qemu_options_add_switch(options, "strict", true);
        qemu_build_add_options(build, "-boot", options);
}

/* QEMU reads these with plain open(2), so no descriptor set serves. Its own descriptor's entry in /proc opens the very file
 * that the owner was allowed to open, and no other. */
static int build_boot_file(QemuBuild *build, const char *option, const char *id, sd_bus_error *reterr) {
        g_autofree char *path = NULL;
        VbOpenImage *image;
        int r;

        r = qemu_build_find_file(build, id, &image, reterr);
        if (r < 0)
                return r;

        path = g_strdup_printf("/proc/self/fd/%d", qemu_build_keep_fd(build, &image->fd));
        qemu_build_add(build, option, path);
        return 0;
}

static int build_kernel(QemuBuild *build, sd_bus_error *reterr) {
        const VbOs *os = &build->context.definition->os;
        const struct {
                const char *option, *id, *given;
        } files[] = {
                { "-kernel", "kernel", os->kernel },
                { "-initrd", "initrd", os->initrd },
                { "-dtb", "dtb", os->dtb },
        };
        int r;

        if (!os->kernel && (os->initrd || os->cmdline))
                return qemu_unsupported(&build->context, reterr, "an initrd or command line needs a kernel beside it");

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                if (!files[i].given)
                        continue;
                r = build_boot_file(build, files[i].option, files[i].id, reterr);
                if (r < 0)
                        return r;
        }
        if (os->cmdline)
                qemu_build_add(build, "-append", os->cmdline);
        return 0;
}

/* A block of the system's description. QEMU's keys are the format's names; others have no place in it. */
static const struct {
        unsigned type;
        const char *element, *names[9];
} smbios_blocks[] = {
        { 0, "bios", { "vendor", "version", "date", "release" } },
        { 1, "system", { "manufacturer", "product", "version", "serial", "uuid", "sku", "family" } },
        { 2, "baseBoard", { "manufacturer", "product", "version", "serial", "asset", "location" } },
        { 3, "chassis", { "manufacturer", "version", "serial", "asset", "sku" } },
        { 11, "oemStrings", { "value" } },
};

static bool smbios_has_name(size_t block, const char *name) {
        return g_strv_contains((const char *const *) smbios_blocks[block].names, name);
}

static int build_smbios_block(QemuBuild *build, size_t block, const void *list, sd_bus_error *reterr) {
        g_autoptr(GString) options = qemu_options_new(NULL);
        const VbList *entries = list;

        if (entries->n == 0)
                return 0;

        qemu_options_add_number(options, "type", smbios_blocks[block].type);
        for (size_t i = 0; i < entries->n; i++) {
                const VbSysinfoEntry *entry = entries->items[i];
                const char *name = entry->name ?: "value";

                if (!smbios_has_name(block, name))
                        return qemu_unsupported(&build->context, reterr, "<sysinfo>: <%s> has no entry '%s'",
                                                smbios_blocks[block].element, name);
                qemu_options_add(options, name, entry->value);
        }
        qemu_build_add_options(build, "-smbios", g_steal_pointer(&options));
        return 0;
}

static int build_sysinfo(QemuBuild *build, const VbSysinfo *sysinfo, sd_bus_error *reterr) {
        const void *lists[] = { &sysinfo->bios, &sysinfo->system, &sysinfo->base_board, &sysinfo->chassis,
                                &sysinfo->oem_strings };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                r = build_smbios_block(build, i, lists[i], reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int build_smbios(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        const VbSysinfo *sysinfo = definition->sysinfo;

        switch (definition->os.smbios) {
        case VB_SMBIOS_HOST:
                /* Serial numbers of the host are root's to read. */
                return qemu_unsupported(&build->context, reterr,
                                        "<smbios mode='host'/> is not supported: give a <sysinfo> and mode='sysinfo'");
        case VB_SMBIOS_SYSINFO:
                if (!sysinfo)
                        return qemu_unsupported(&build->context, reterr,
                                                "<smbios mode='sysinfo'/> needs a <sysinfo type='smbios'>");
                return build_sysinfo(build, sysinfo, reterr);
        default:
                return 0;
        }
}

int qemu_build_boot(QemuBuild *build, sd_bus_error *reterr) {
        int r;

        build_boot_options(build);
        r = build_kernel(build, reterr);
        if (r < 0)
                return r;
        return build_smbios(build, reterr);
}
