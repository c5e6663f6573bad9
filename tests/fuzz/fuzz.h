/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every fuzzer defines: reads one input, which may be anything, and returns 0. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
