/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/traffic.h"

#include "base/error.h"

#define KILOBYTE 1000
#define KIB 1024

static VbTrafficLimit limit_of(const VbBandwidthRate *rate) {
        return (VbTrafficLimit){
                .rate = (uint64_t) rate->average * KILOBYTE,
                .peak = (uint64_t) rate->peak * KILOBYTE,
                .burst = (uint64_t) rate->burst * KIB,
        };
}

QemuTraffic qemu_traffic_of(const VbInterface *interface) {
        const VbBandwidth *bandwidth = interface->bandwidth;
        QemuTraffic traffic = { .same_side = interface->type == VB_INTERFACE_DIRECT };

        if (bandwidth && bandwidth->inbound) {
                traffic.limits_inbound = true;
                traffic.inbound = limit_of(bandwidth->inbound);
        }
        if (bandwidth && bandwidth->outbound) {
                traffic.limits_outbound = true;
                traffic.outbound = limit_of(bandwidth->outbound);
        }
        return traffic;
}

static int fail(const char *alias, const char *direction, int r, sd_bus_error *reterr) {
        if (r == -ENOENT)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "interface '%s': %s: this host's kernel has no such limits (sch_htb, or sch_ingress, cls_u32 and "
                                         "act_police)",
                                         alias, direction);
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "interface '%s': cannot limit its traffic (%s): %s", alias, direction,
                                 g_strerror(-r));
}

/* all: limits that are not wanted are taken away; else nothing is said of them. */
static int set_limits(int netlink, int ifindex, const QemuTraffic *traffic, bool all, const char *alias, sd_bus_error *reterr) {
        const VbTrafficLimit *inbound = traffic->limits_inbound ? &traffic->inbound : NULL;
        const VbTrafficLimit *outbound = traffic->limits_outbound ? &traffic->outbound : NULL;
        const VbTrafficLimit *sent = traffic->same_side ? outbound : inbound, *received = traffic->same_side ? inbound : outbound;
        int r = 0;

        if (sent || all)
                r = vb_traffic_limit_sent(netlink, ifindex, sent);
        if (r < 0)
                return fail(alias, traffic->same_side ? "outbound" : "inbound", r, reterr);
        if (received || all)
                r = vb_traffic_limit_received(netlink, ifindex, received);
        return r < 0 ? fail(alias, traffic->same_side ? "inbound" : "outbound", r, reterr) : 0;
}

int qemu_traffic_limit(int netlink, int ifindex, const QemuTraffic *traffic, const char *alias, sd_bus_error *reterr) {
        return set_limits(netlink, ifindex, traffic, /* all= */ false, alias, reterr);
}

int qemu_traffic_set(int netlink, int ifindex, const QemuTraffic *traffic, const char *alias, sd_bus_error *reterr) {
        return set_limits(netlink, ifindex, traffic, /* all= */ true, alias, reterr);
}
