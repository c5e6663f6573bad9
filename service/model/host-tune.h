/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can be changed of the host: huge pages, the merging of equal pages (KSM), the clock that wakes it. Setting blocks for as
 * long as the kernel takes, which for memory may be seconds: in a worker. As with model/host.h, root is put before every
 * path. */

#include "model/host.h"

#define VB_HOST_ALL_NODES (-1)

/* Makes it count pages of this size (in bytes) on one node, or spread over all; with add, so many more. The kernel gives what it
 * finds: ret_lacking is how many it did not. -ENXIO if there is no such size or node. */
VB_MUST_USE int vb_host_set_pages(const char *root, int node, uint64_t size, uint64_t count, bool add,
                                  uint64_t *ret_lacking);

/* Settings first. */
typedef struct VbPageMerging {
        bool run;
        bool merge_across_nodes;
        uint32_t pages_to_scan;
        uint64_t sleep_usec;

        uint64_t pages_shared;
        uint64_t pages_sharing;
        uint64_t pages_unshared;
        uint64_t pages_volatile;
        uint64_t full_scans;
} VbPageMerging;

/* -ENXIO if the kernel does no merging. */
VB_MUST_USE int vb_page_merging_load(const char *root, VbPageMerging *ret);

typedef enum VbPageMergingSetting {
        VB_PAGE_MERGING_RUN,
        VB_PAGE_MERGING_PAGES_TO_SCAN,
        VB_PAGE_MERGING_SLEEP_MSEC,
        VB_PAGE_MERGING_ACROSS_NODES,
        _VB_PAGE_MERGING_SETTING_MAX,
} VbPageMergingSetting;

/* -ENXIO likewise; -EBUSY for merge_across_nodes while pages are merged. */
VB_MUST_USE int vb_page_merging_set(const char *root, VbPageMergingSetting setting, uint64_t value);

/* Has the host's clock wake it after so many seconds; 0: not at all. -ENXIO if it has no clock that can. */
VB_MUST_USE int vb_host_set_wake_alarm(const char *root, uint64_t seconds);
