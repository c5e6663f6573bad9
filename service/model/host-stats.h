/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the host is like at this moment: its CPUs' time, its memory, as the kernel tells in /proc and /sys. As with
 * model/host.h, root is put before every path. */

#include "model/host.h"

/* In nanoseconds since the host started. */
typedef struct VbHostCpuTimes {
        uint64_t kernel; /* with interrupts */
        uint64_t user;   /* with guests */
        uint64_t idle;
        uint64_t iowait;
} VbHostCpuTimes;

#define VB_HOST_ALL_CPUS (-1)

/* -ENXIO if there is no such CPU, or it is offline. */
VB_MUST_USE int vb_host_cpu_times(const char *root, int cpu, VbHostCpuTimes *ret);

/* In bytes. */
typedef struct VbHostMemory {
        uint64_t total;
        uint64_t free;
        uint64_t buffers; /* this and the next: of the whole host only */
        uint64_t cached;
} VbHostMemory;

VB_MUST_USE int vb_host_memory(const char *root, VbHostMemory *ret);
/* Of one NUMA node; node 0 of a kernel without NUMA has all. -ENXIO if there is no such node. */
VB_MUST_USE int vb_host_node_memory(const char *root, unsigned node, VbHostMemory *ret);

typedef struct VbHostPageCount {
        uint64_t size; /* bytes */
        uint64_t total;
        uint64_t free;
} VbHostPageCount;

typedef struct VbHostNode {
        unsigned id;
        VbHostMemory memory;
        char *cpus;    /* "0-3,6"; those that are online */
        GArray *pages; /* of VbHostPageCount, smallest first */
} VbHostNode;

/* Of VbHostNode, in order; at least one. Free with g_ptr_array_unref(). */
GPtrArray *vb_host_nodes(const char *root);

/* A list, "0-3,6"; "0" where the kernel does not tell. To be freed. */
char *vb_host_online_cpus(const char *root);

typedef struct VbHostInfo {
        char *arch;
        char *online_cpus, *present_cpus; /* lists: "0-3,6" */
        uint64_t memory;                  /* bytes: what all nodes have */
        uint64_t frequency;               /* Hz; 0 if it is not known */
        unsigned cpus;                    /* online */

        /* Each one's number within the one before; their product is the number of CPUs that are present. Where the host is not
         * that even, all is one but the cores. */
        unsigned nodes, sockets, cores, threads;
} VbHostInfo;

/* Blocks as vb_host_load() does, and for the while that the kernel measures the frequency. */
VbHostInfo *vb_host_info_load(const char *root);
VbHostInfo *vb_host_info_free(VbHostInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbHostInfo, vb_host_info_free)
