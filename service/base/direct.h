/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between a pipe and a file around the page cache (O_DIRECT), for who writes or reads large files by small pieces, as an emulator does with a
 * guest's memory. Where the file system knows no O_DIRECT, through the cache, which is given back at the end. These block: run them in
 * a VbWorker. */

#include <stdint.h>

#include "base/cleanup.h"

/* All that comes from source, up to its end, goes to the file from offset on. The file may have been opened in any way that can write; its
 * position stays. Returns 0 or a negative errno. */
VB_MUST_USE int vb_direct_write(int file, uint64_t offset, int source);

/* The file from offset to its end goes to target. -EPIPE if nobody reads there any more. */
VB_MUST_USE int vb_direct_read(int file, uint64_t offset, int target);
