/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading small files below a root; for model/host*.c. */

#include "model/host.h"

#define HOST_CPUS_MAX 8192u
#define HOST_CELLS_MAX 1024u

/* The first line of a file without its newline, or NULL. To be freed. */
char *host_read_line(const char *root, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A number in such a file, or the fallback. */
uint64_t host_read_number(uint64_t fallback, const char *root, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* "0-3,8" to an array of unsigned; empty if it is no such list. Bounded by HOST_CPUS_MAX. */
GArray *host_parse_list(const char *text);

/* Of uint64_t, KiB: the base size and those of huge pages, smallest first. */
GArray *host_page_sizes(const char *root);

VbHostCell *host_cell_new(unsigned id);
void host_load_topology(VbHost *host, const char *root);
