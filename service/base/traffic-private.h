/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The request that not every kernel grants, for those who want to see it all the same: tests. */

#include "base/netlink-private.h"
#include "base/traffic.h"

void vb_traffic_build_policeman(VbNetlinkRequest *request, int ifindex, const VbTrafficLimit *limit);
