/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What this host is: processors and how they hang together, memory by NUMA node, caches, what it can do about
 * power. Read from /proc and /sys, once; it does not change while a daemon runs, except for hot-plugged
 * hardware. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct VbHostCpu {
        unsigned id;
        unsigned socket, die, core;
        char *siblings; /* CPUs that share its core, as a list: "0,4" */
} VbHostCpu;

/* Of one size, pages that were set aside at boot or later; for the base size, all. */
typedef struct VbHostPages {
        uint64_t size; /* KiB */
        uint64_t count;
} VbHostPages;

typedef struct VbHostCell {
        unsigned id;
        uint64_t memory; /* KiB */
        GArray *pages; /* of VbHostPages, smallest first */
        GArray *distances; /* of unsigned: to the host's first cell, second, … in the order of VbHost.cells */
        GArray *cpus; /* of VbHostCpu */
} VbHostCell;

/* A cache that several CPUs may share. */
typedef struct VbHostCache {
        unsigned id, level;
        uint64_t size; /* KiB */
        const char *type; /* "both", "data", "code" */
        char *cpus;
} VbHostCache;

typedef struct VbHost {
        char *arch; /* as uname says: "x86_64" */
        char uuid[37]; /* of the hardware, or made from the machine's id; "" if there is neither */

        /* The first processor; "" and 0 where the architecture does not tell. */
        char *cpu_vendor; /* "GenuineIntel" */
        unsigned cpu_family, cpu_model, cpu_stepping;
        unsigned cpu_microcode;
        unsigned cpu_physical_bits;
        uint64_t cpu_frequency; /* Hz, at the moment of reading */
        char *cpu_name;         /* "Intel(R) Xeon(R) …", or NULL */
        char **cpu_flags; /* the kernel's names; sorted */

        unsigned sockets, dies, cores, threads; /* each one's number within the one before */
        GArray *page_sizes; /* of uint64_t, KiB, smallest first */
        GPtrArray *cells; /* of VbHostCell; at least one */
        GArray *caches; /* of VbHostCache: the last level only, as the lower ones are each core's own */
        bool suspend_mem, suspend_disk, suspend_hybrid;
        bool iommu;
} VbHost;

/* root is put before every path: "" for this host, a folder for a test. Blocks for as long as some hundred
 * small reads in /proc and /sys take: on a large host, run it in a worker. What cannot be read is left at
 * nothing. */
VbHost *vb_host_load(const char *root);
/* The processor and architecture alone. */
VbHost *vb_host_load_cpu(const char *root);
VbHost *vb_host_free(VbHost *host);

bool vb_host_has_flag(const VbHost *host, const char *flag);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbHost, vb_host_free)
