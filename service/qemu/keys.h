/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys, by number. QEMU takes what it calls a qnum: the PC's set 1 scan code, with 0x80 added where that has an 0xe0 prefix. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/string-table.h"

#define QEMU_KEYS_MAX 16

/* Who has numbered the keys. */
typedef enum QemuKeyset {
        QEMU_KEYSET_LINUX,  /* KEY_* of linux/input-event-codes.h */
        QEMU_KEYSET_QNUM,   /* QEMU */
        QEMU_KEYSET_XT,     /* another name for the next */
        QEMU_KEYSET_ATSET1, /* scan codes of PC keyboards, 0xe01d with a prefix */
        QEMU_KEYSET_XT_KBD, /* the same, but 0x11d with the prefix */
        QEMU_KEYSET_ATSET2,
        QEMU_KEYSET_ATSET3,
        QEMU_KEYSET_OSX,
        QEMU_KEYSET_USB,
        QEMU_KEYSET_WIN32,
        _QEMU_KEYSET_MAX,
        _QEMU_KEYSET_INVALID = -EINVAL,
} QemuKeyset;
VB_STRING_TABLE_DECLARE(qemu_keyset, QemuKeyset);

/* The qnum of a key; -EINVAL if the set has none of this number that QEMU knows. */
VB_MUST_USE int qemu_key_to_qnum(QemuKeyset set, uint32_t code);

/* The arguments of QMP's send-key. InvalidArgument if one is no key, or there are none or too many. */
VB_MUST_USE int qemu_keys_to_arguments(const uint32_t *codes, size_t n_codes, QemuKeyset set, uint64_t hold_usec,
                                       VbJson **ret, sd_bus_error *reterr);
