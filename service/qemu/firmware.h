/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which firmware image a guest boots with. Distributions describe theirs in JSON files (QEMU's interop
 * document firmware.json); an administrator adds to, replaces or masks them in /etc. Where nothing is
 * described, the paths that distributions have used for OVMF and AAVMF are tried. */

#include <stdbool.h>

#include "base/cleanup.h"

typedef enum QemuFirmwareWish {
        QEMU_FIRMWARE_ANY,
        QEMU_FIRMWARE_YES,
        QEMU_FIRMWARE_NO,
} QemuFirmwareWish;

typedef struct QemuFirmwareQuery {
        const char *arch; /* "x86_64" */
        const char *machine; /* full name: "pc-q35-7.2" */
        const char *format; /* "raw", "qcow2"; NULL: any */
        QemuFirmwareWish secure_boot;
        QemuFirmwareWish enrolled_keys;
        bool smm_off; /* the definition forbids SMM: what requires it does not fit */
        bool bios; /* firmware='bios' */

        /* Where descriptions are, the most important folder last; NULL: the system's and the administrator's.
         * A session adds the user's own. */
        const char *const *folders;
} QemuFirmwareQuery;

typedef struct QemuFirmware {
        char *loader; /* executable: path of the code image; NULL: what QEMU has built in (bios only) */
        char *loader_format;
        char *nvram_template; /* NULL: no variables (memory- or stateless-mapped) */
        char *nvram_template_format;
        bool rom; /* mapped as memory (-bios), not as write-protected flash */
        bool secure_boot;
        bool enrolled_keys;
        bool requires_smm;
} QemuFirmware;

QemuFirmware *qemu_firmware_free(QemuFirmware *firmware);

/* The first firmware, in order of precedence, that does what is asked. Reads a handful of small local files.
 * Fails with UnsupportedConfiguration and a sentence that says which wish could not be met. */
int qemu_firmware_find(const QemuFirmwareQuery *query, QemuFirmware **ret, sd_bus_error *reterr) VB_MUST_USE;

/* All that fit (QemuFirmware *), in order of precedence; may be empty. Free with g_ptr_array_unref(). */
GPtrArray *qemu_firmware_list(const QemuFirmwareQuery *query);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuFirmware, qemu_firmware_free)
