/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptions of firmware, as distributions and administrators write them; for firmware.c alone. */

#include "qemu/firmware.h"

typedef struct FirmwareTarget {
        char *arch;
        char **machines; /* patterns */
} FirmwareTarget;

typedef struct FirmwareDescription {
        QemuFirmware *firmware;
        bool uefi;
        bool bios;
        GPtrArray *targets; /* of FirmwareTarget, owned */
} FirmwareDescription;

/* All descriptions that can be used, in order of precedence; and where there are none, what stands at the
 * well-known places. What cannot be read is logged and left out. Owned; never NULL. */
GPtrArray *firmware_descriptions_load(const char *const *folders);

/* One description's text. -EBADMSG if it is not one, -EOPNOTSUPP if it is one that virtbus has no use for. */
int firmware_description_parse(const char *text, size_t size, FirmwareDescription **ret) VB_MUST_USE;
FirmwareDescription *firmware_description_free(FirmwareDescription *description);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FirmwareDescription, firmware_description_free)

bool firmware_is_pc(const char *arch);
