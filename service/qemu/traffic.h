/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits of a network card's traffic, <bandwidth>, on the host's side of the card. What sets them is work for a thread; alias is for the
 * messages. UnsupportedConfiguration if the kernel cannot hold them. */

#include "base/traffic.h"
#include "model/domain.h"

/* As the guest sees it. */
typedef struct QemuTraffic {
        bool limits_inbound, limits_outbound;
        VbTrafficLimit inbound, outbound;
        bool same_side; /* the host's side sends what the guest sends: a macvtap. A tap sends what the guest receives */
} QemuTraffic;

/* Of a card that is plugged into the host's networks. */
QemuTraffic qemu_traffic_of(const VbInterface *interface);

/* Where the definition has none, what is there stays. */
VB_MUST_USE int qemu_traffic_limit(int netlink, int ifindex, const QemuTraffic *traffic, const char *alias, sd_bus_error *reterr);

/* Where the definition has none, there are none afterwards. */
VB_MUST_USE int qemu_traffic_set(int netlink, int ifindex, const QemuTraffic *traffic, const char *alias, sd_bus_error *reterr);
