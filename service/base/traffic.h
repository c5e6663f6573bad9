/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits on the traffic of a network interface, by the kernel's traffic control; `tc qdisc show` and `tc filter show … ingress` tell them.
 * As base/netlink: not for the loop. */

#include "base/cleanup.h"

typedef struct VbTrafficLimit {
        uint64_t rate;  /* bytes in a second, not 0 */
        uint64_t peak;  /* the same, at most, while there is unused rate to make up for; 0: rate. Only of what is sent */
        uint64_t burst; /* bytes that may go at once; 0: a usual number */
} VbTrafficLimit;

/* What the interface sends to whatever is behind it (of a tap: what the guest receives): queued where it is too much. NULL: no limit. A limit
 * that is there already is changed without a packet lost. */
VB_MUST_USE int vb_traffic_limit_sent(int netlink, int ifindex, const VbTrafficLimit *limit);

/* What it receives: dropped where it is too much. NULL: no limit. -ENOENT if the kernel has none of what that takes (act_police). */
VB_MUST_USE int vb_traffic_limit_received(int netlink, int ifindex, const VbTrafficLimit *limit);
