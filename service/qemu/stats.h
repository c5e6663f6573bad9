/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Figures of a running guest. What the kernel knows is read when it is asked for; what only the emulator knows is kept as it
 * last told it, with the time. */

#include "base/cleanup.h"
#include "hypervisor/stats.h"

typedef struct QemuDomain QemuDomain;
typedef struct VbDomain VbDomain;

typedef struct QemuStats {
        /* as the emulator told them; NULL: never */
        VbJson *balloon;     /* query-balloon */
        VbJson *guest_memory; /* the balloon's guest-stats */
        VbJson *blocks;      /* query-block */
        VbJson *blockstats;  /* query-blockstats */
        VbJson *iothreads;   /* query-iothreads */
        uint64_t updated_usec; /* CLOCK_REALTIME; 0: never */
        uint64_t asked_usec;   /* CLOCK_MONOTONIC, when the answers above were asked for */

        /* under way */
        unsigned asking;    /* answers that are still to come */
        uint64_t asking_usec;
        GPtrArray *batches; /* of VbStatsBatch that wait for them; NULL: none */
} QemuStats;

/* VbDriver.collect, append_stats, append_vcpu */
void qemu_stats_collect(VbDomain *domain, VbStatsGroups groups, VbStatsBatch *batch);
int qemu_stats_append(VbDomain *domain, VbStatsGroups groups, sd_bus_message *m);
int qemu_stats_append_vcpu(VbDomain *domain, uint32_t vcpu, sd_bus_message *m);

/* Something that the emulator tells was just changed: what it told before is no answer any more. */
void qemu_stats_outdate(QemuDomain *qemu);

/* The guest is gone: forgets its figures, and lets go of who waits. */
void qemu_stats_clear(QemuDomain *qemu);
