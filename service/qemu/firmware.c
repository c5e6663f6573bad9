/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/firmware.h"

#include <fnmatch.h>
#include <string.h>

#include "base/error.h"
#include "qemu/firmware-private.h"

QemuFirmware *qemu_firmware_free(QemuFirmware *firmware) {
        if (!firmware)
                return NULL;
        g_free(firmware->loader);
        g_free(firmware->loader_format);
        g_free(firmware->nvram_template);
        g_free(firmware->nvram_template_format);
        g_free(firmware);
        return NULL;
}

static void firmware_destroy(gpointer data) {
        (void) qemu_firmware_free(data);
}

static bool fits_wish(QemuFirmwareWish wish, bool has) {
        return wish == QEMU_FIRMWARE_ANY || (wish == QEMU_FIRMWARE_YES) == has;
}

static bool fits_target(const FirmwareDescription *description, const char *arch, const char *machine) {
        for (guint i = 0; i < description->targets->len; i++) {
                const FirmwareTarget *target = description->targets->pdata[i];

                if (!g_str_equal(target->arch, arch))
                        continue;
                for (char **pattern = target->machines; *pattern; pattern++)
                        if (fnmatch(*pattern, machine, 0) == 0)
                                return true;
        }
        return false;
}

static bool fits(const FirmwareDescription *description, const QemuFirmwareQuery *query) {
        const QemuFirmware *firmware = description->firmware;

        if (query->bios ? !description->bios : !description->uefi)
                return false;
        if (query->format &&
            (g_strcmp0(firmware->loader_format, query->format) != 0 ||
             (firmware->nvram_template && !g_str_equal(firmware->nvram_template_format, query->format))))
                return false;
        return fits_target(description, query->arch, query->machine) &&
               fits_wish(query->secure_boot, firmware->secure_boot) &&
               fits_wish(query->enrolled_keys, firmware->enrolled_keys) &&
               !(query->smm_off && firmware->requires_smm);
}

/* A description may be installed without what it describes. */
static bool is_installed(const QemuFirmware *firmware) {
        return access(firmware->loader, F_OK) == 0 &&
               (!firmware->nvram_template || access(firmware->nvram_template, F_OK) == 0);
}

GPtrArray *qemu_firmware_list(const QemuFirmwareQuery *query) {
        g_autoptr(GPtrArray) descriptions = firmware_descriptions_load(query->folders);
        GPtrArray *found = g_ptr_array_new_with_free_func(firmware_destroy);

        for (guint i = 0; i < descriptions->len; i++) {
                FirmwareDescription *description = descriptions->pdata[i];

                if (fits(description, query) && is_installed(description->firmware))
                        g_ptr_array_add(found, g_steal_pointer(&description->firmware));
        }
        return found;
}

static const char *wish_words(const QemuFirmwareQuery *query) {
        if (query->secure_boot == QEMU_FIRMWARE_YES)
                return query->smm_off ? " with secure boot and without SMM" : " with secure boot";
        if (query->enrolled_keys == QEMU_FIRMWARE_YES)
                return " with enrolled keys";
        if (query->secure_boot == QEMU_FIRMWARE_NO)
                return " without secure boot";
        if (query->enrolled_keys == QEMU_FIRMWARE_NO)
                return " without enrolled keys";
        return query->smm_off ? " without SMM" : "";
}

int qemu_firmware_find(const QemuFirmwareQuery *query, QemuFirmware **ret, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) found = qemu_firmware_list(query);

        if (found->len > 0) {
                *ret = g_ptr_array_steal_index(found, 0);
                return 0;
        }
        /* Nobody needs to describe the BIOS that is part of QEMU. */
        if (query->bios && query->secure_boot != QEMU_FIRMWARE_YES &&
            query->enrolled_keys != QEMU_FIRMWARE_YES && firmware_is_pc(query->arch)) {
                *ret = g_new0(QemuFirmware, 1);
                (*ret)->rom = true;
                return 0;
        }
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                 "no %s firmware%s%s%s for machine '%s' (%s) is installed",
                                 query->bios ? "BIOS" : "UEFI", wish_words(query),
                                 query->format ? " of format " : "", query->format ?: "", query->machine,
                                 query->arch);
}
