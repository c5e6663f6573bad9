/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Figures of many domains at once. What must be asked of emulators is asked of all of them together, and the answer is
 * given when all have told, or at a deadline with what is known: one that hangs costs its own fresh figures only. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef enum VbStatsGroups {
        VB_STATS_STATE = 1 << 0,
        VB_STATS_CPU = 1 << 1,
        VB_STATS_BALLOON = 1 << 2,
        VB_STATS_VCPU = 1 << 3,
        VB_STATS_BLOCK = 1 << 4,
        VB_STATS_INTERFACE = 1 << 5,
        VB_STATS_IOTHREAD = 1 << 6,
        VB_STATS_ALL = (1 << 7) - 1,
} VbStatsGroups;

/* Older figures than this are asked for anew, microseconds. */
#define VB_STATS_AGE_MAX UINT64_C(1000000)

/* One question that is being answered. The driver holds it once for each thing it waits for. */
typedef struct VbStatsBatch VbStatsBatch;

void vb_stats_batch_hold(VbStatsBatch *batch);
/* May answer, and so free the batch. */
void vb_stats_batch_release(VbStatsBatch *batch);

/* Figures known since this time (CLOCK_MONOTONIC, microseconds) are good enough. */
uint64_t vb_stats_batch_since(const VbStatsBatch *batch);

/* One entry each of a domain's a{sv}. Keys are libvirt's: "vcpu.0.time" is vb_stats_append_u64(m, time, "vcpu.%u.time", 0). */
VB_MUST_USE int vb_stats_append_string(sd_bus_message *m, const char *value, const char *key, ...)
        __attribute__((format(printf, 3, 4)));
VB_MUST_USE int vb_stats_append_u64(sd_bus_message *m, uint64_t value, const char *key, ...)
        __attribute__((format(printf, 3, 4)));
VB_MUST_USE int vb_stats_append_u32(sd_bus_message *m, uint32_t value, const char *key, ...)
        __attribute__((format(printf, 3, 4)));
VB_MUST_USE int vb_stats_append_bool(sd_bus_message *m, bool value, const char *key, ...)
        __attribute__((format(printf, 3, 4)));
