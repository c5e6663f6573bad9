/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys, by number. QEMU takes what it calls a qnum: the PC's set 1 scan code, with 0x80 added where that has an 0xe0 prefix. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define QEMU_KEYS_MAX 16

/* The qnum of a KEY_* code of linux/input-event-codes.h; -EINVAL if no PC keyboard has that key. */
VB_MUST_USE int qemu_key_from_linux(uint32_t code);

/* The arguments of QMP's send-key. linux_codes: the codes are Linux's, else qnums. InvalidArgument if one is no key, or there are
 * none or too many. */
VB_MUST_USE int qemu_keys_to_arguments(const uint32_t *codes, size_t n_codes, bool linux_codes, uint64_t hold_usec,
                                       VbJson **ret, sd_bus_error *reterr);
