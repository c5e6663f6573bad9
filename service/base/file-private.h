/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first half of vb_file_write(), for base/writer, which does the second half for many files at once. */

#include "base/file.h"

/* Makes a new file beside path with these bytes and this mode, not yet synced. Name and descriptor are the caller's. */
VB_MUST_USE int vb_file_write_temporary(const char *path, const void *data, size_t size, mode_t mode, char **ret,
                                        int *ret_fd);
