/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image a guest's processor starts in: chosen from what the host has, and mapped as flash or memory. */
#include "qemu/command-build.h"

#include "base/error.h"
#include "qemu/firmware.h"

static QemuFirmwareWish feature_wish(const VbOs *os, VbFirmwareFeatureName name) {
        for (size_t i = 0; i < os->firmware_features.n; i++) {
                const VbFirmwareFeature *feature = os->firmware_features.items[i];

                if (feature->name == name && feature->enabled != VB_TRISTATE_ABSENT)
                        return feature->enabled == VB_TRISTATE_YES ? QEMU_FIRMWARE_YES : QEMU_FIRMWARE_NO;
        }
        return QEMU_FIRMWARE_ANY;
}

static QemuFirmwareWish secure_boot_wish(const VbOs *os) {
        QemuFirmwareWish wish = feature_wish(os, VB_FIRMWARE_FEATURE_SECURE_BOOT);

        if (wish == QEMU_FIRMWARE_ANY && os->loader_secure != VB_TRISTATE_ABSENT)
                return os->loader_secure == VB_TRISTATE_YES ? QEMU_FIRMWARE_YES : QEMU_FIRMWARE_NO;
        return wish;
}

static void set_if_absent(char **member, const char *value) {
        if (!*member && value)
                *member = g_strdup(value);
}

static void apply_firmware(VbDomainDefinition *live, const QemuFirmware *firmware) {
        VbOs *os = &live->os;

        set_if_absent(&os->loader, firmware->loader);
        set_if_absent(&os->nvram_template, firmware->nvram_template);
        os->loader_type = firmware->rom ? VB_LOADER_ROM : VB_LOADER_PFLASH;
        if (os->loader_readonly == VB_TRISTATE_ABSENT && !firmware->rom)
                os->loader_readonly = VB_TRISTATE_YES;
        if (firmware->requires_smm) {
                os->loader_secure = VB_TRISTATE_YES;
                if (!live->features) {
                        live->features = g_new0(VbFeatures, 1);
                        live->features->acpi = true;
                }
                live->features->smm = VB_TRISTATE_YES;
        }
}

static int find_firmware(VbDomainDefinition *live, sd_bus_error *reterr) {
        g_autoptr(QemuFirmware) firmware = NULL;
        const QemuFirmwareQuery query = {
                .arch = live->os.arch,
                .machine = live->os.machine,
                .format = "raw",
                .secure_boot = secure_boot_wish(&live->os),
                .enrolled_keys = feature_wish(&live->os, VB_FIRMWARE_FEATURE_ENROLLED_KEYS),
                .smm_off = live->features && live->features->smm == VB_TRISTATE_NO,
                .bios = live->os.firmware == VB_FIRMWARE_BIOS,
        };
        int r;

        r = qemu_firmware_find(&query, &firmware, reterr);
        if (r < 0) {
                (void) vb_error_prefix(reterr, "domain '%s'", live->name);
                return r;
        }

        apply_firmware(live, firmware);
        return 0;
}

char *qemu_command_nvram_path(const char *folder, const VbDomainDefinition *definition) {
        return g_strdup_printf("%s/" SD_ID128_UUID_FORMAT_STR "_VARS.fd", folder, SD_ID128_FORMAT_VAL(definition->uuid));
}

int qemu_command_choose_firmware(VbDomainDefinition *live, const char *nvram_directory, sd_bus_error *reterr) {
        VbOs *os = &live->os;
        int r;

        /* A loader that is named is the administrator's choice, with or without firmware=. SeaBIOS is QEMU's default. */
        if (os->firmware == VB_FIRMWARE_EFI && !os->loader) {
                r = find_firmware(live, reterr);
                if (r < 0)
                        return r;
        }

        if (os->loader_type == VB_LOADER_PFLASH && os->loader_stateless != VB_TRISTATE_YES && os->nvram_template &&
            !os->nvram)
                os->nvram = qemu_command_nvram_path(nvram_directory, live);
        return 0;
}

/* A flash chip as two nodes, NAME-storage and NAME-format, as disks have them. */
static int build_flash(QemuBuild *build, GString *machine, const char *name, const char *id, bool readonly,
                       sd_bus_error *reterr) {
        g_autofree char *path = NULL, *storage = NULL, *format = NULL;
        VbJson *node;
        int r;

        r = qemu_build_file_path(build, id, &path, reterr);
        if (r < 0)
                return r;

        storage = g_strdup_printf("%s-storage", name);
        node = qemu_json_new_driver("file");
        qemu_json_add(node, "filename", path);
        qemu_json_add(node, "node-name", storage);
        qemu_json_add_bool(node, "read-only", readonly);
        qemu_build_add_json(build, "-blockdev", node);

        format = g_strdup_printf("%s-format", name);
        node = qemu_json_new_driver("raw");
        qemu_json_add(node, "file", storage);
        qemu_json_add(node, "node-name", format);
        qemu_json_add_bool(node, "read-only", readonly);
        qemu_build_add_json(build, "-blockdev", node);

        qemu_options_add(machine, name, format);
        return 0;
}

int qemu_build_firmware(QemuBuild *build, GString *machine, sd_bus_error *reterr) {
        const VbOs *os = &build->context.definition->os;
        g_autofree char *path = NULL;
        VbOpenImage *image;
        int r;

        if (!os->loader)
                return 0;

        if (os->loader_type != VB_LOADER_PFLASH) {
                /* Read with open(2), like a kernel. */
                r = qemu_build_find_file(build, "loader", &image, reterr);
                if (r < 0)
                        return r;
                path = g_strdup_printf("/proc/self/fd/%d", qemu_build_keep_fd(build, &image->fd));
                qemu_build_add(build, "-bios", path);
                return 0;
        }

        r = build_flash(build, machine, "pflash0", "loader", os->loader_readonly != VB_TRISTATE_NO, reterr);
        if (r < 0 || !os->nvram)
                return r;
        return build_flash(build, machine, "pflash1", "nvram", /* readonly= */ false, reterr);
}
