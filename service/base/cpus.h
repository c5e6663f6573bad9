/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists of CPUs, "0-3,6", as masks of bits. */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define VB_CPUS_MAX 8192u
#define VB_CPUS_MASK_SIZE (VB_CPUS_MAX / 8)

/* Fills the mask, lowest CPU in the lowest bit of the first byte; ret_size is how many bytes of it count. -EINVAL. */
VB_MUST_USE int vb_cpus_parse(const char *list, uint8_t mask[static VB_CPUS_MASK_SIZE], size_t *ret_size);
