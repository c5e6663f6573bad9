/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is sent goes through a queue of kind htb with a single class, which has the limit; within it flows share fairly where the kernel has sfq.
 * What is received cannot be queued: a filter that all packets match has a policeman, who drops what is too much. Rates are told to the
 * kernel by how long a number of bytes takes, in ticks of 64 ns. */

#include "base/traffic.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <sys/param.h>

#include "base/netlink-private.h"
#include "base/traffic-private.h"

#define TICK_NSEC_SHIFT 6
#define NSEC_PER_SEC UINT64_C(1000000000)

#define HTB_HANDLE TC_H_MAKE(1U << 16, 0)
#define HTB_CLASS TC_H_MAKE(1U << 16, 1)
#define SFQ_HANDLE TC_H_MAKE(2U << 16, 0)
#define HTB_VERSION 3
#define SFQ_PERTURB_SEC 10
#define PACKET_SIZE 1600u
#define QUANTUM_MAX 200000u /* the kernel warns of more */

/* Packets are handed over together, up to this size; a policeman with less would drop these whole. */
#define LARGEST_PACKET 65536u

static uint32_t ticks(uint64_t rate, uint64_t bytes) {
        double nsec = (double) bytes * NSEC_PER_SEC / (double) rate;

        return (uint32_t) MIN(nsec / (1u << TICK_NSEC_SHIFT), (double) UINT32_MAX);
}

static uint32_t rate_32(uint64_t rate) {
        return (uint32_t) MIN(rate, UINT32_MAX);
}

/* A millisecond's worth, and a packet. */
static uint64_t usual_burst(uint64_t rate) {
        return rate / 1000 + PACKET_SIZE;
}

static void request_init(VbNetlinkRequest *request, uint16_t type, uint16_t flags, int ifindex, uint32_t parent, uint32_t handle) {
        const struct tcmsg message = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent, .tcm_handle = handle };

        vb_netlink_request_init(request, type, flags, &message, sizeof(message));
}

static void add_kind(VbNetlinkRequest *request, const char *kind) {
        (void) vb_netlink_add(request, TCA_KIND, kind, strlen(kind) + 1);
}

/* 0 also if there is none, which the kernel says in two ways. */
static int remove_queue(int netlink, int ifindex, uint32_t parent, uint32_t handle) {
        VbNetlinkRequest request;
        int r;

        request_init(&request, RTM_DELQDISC, 0, ifindex, parent, handle);
        r = vb_netlink_talk(netlink, &request);
        return r == -ENOENT || r == -EINVAL ? 0 : r;
}

/* --- sent ----------------------------------------------------------------------------------------------------------- */

static int add_htb(int netlink, int ifindex) {
        const struct tc_htb_glob options = { .version = HTB_VERSION, .rate2quantum = 10, .defcls = TC_H_MIN(HTB_CLASS) };
        VbNetlinkRequest request;
        struct rtattr *nest;

        request_init(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_ROOT, HTB_HANDLE);
        add_kind(&request, "htb");
        nest = vb_netlink_begin(&request, TCA_OPTIONS);
        (void) vb_netlink_add(&request, TCA_HTB_INIT, &options, sizeof(options));
        vb_netlink_end(&request, nest);
        return vb_netlink_talk(netlink, &request);
}

/* With the link layer said, the kernel needs no table of rates. */
static int set_class(int netlink, int ifindex, const VbTrafficLimit *limit) {
        uint64_t ceil = MAX(limit->peak, limit->rate), burst = limit->burst > 0 ? limit->burst : usual_burst(limit->rate);
        const struct tc_htb_opt options = {
                .rate = { .rate = rate_32(limit->rate), .linklayer = TC_LINKLAYER_ETHERNET },
                .ceil = { .rate = rate_32(ceil), .linklayer = TC_LINKLAYER_ETHERNET },
                .buffer = ticks(limit->rate, burst),
                .cbuffer = ticks(ceil, usual_burst(ceil)),
                .quantum = (uint32_t) CLAMP(limit->rate / 10, PACKET_SIZE, QUANTUM_MAX),
        };
        VbNetlinkRequest request;
        struct rtattr *nest;

        request_init(&request, RTM_NEWTCLASS, NLM_F_CREATE | NLM_F_REPLACE, ifindex, HTB_HANDLE, HTB_CLASS);
        add_kind(&request, "htb");
        nest = vb_netlink_begin(&request, TCA_OPTIONS);
        (void) vb_netlink_add(&request, TCA_HTB_RATE64, &limit->rate, sizeof(limit->rate));
        (void) vb_netlink_add(&request, TCA_HTB_CEIL64, &ceil, sizeof(ceil));
        (void) vb_netlink_add(&request, TCA_HTB_PARMS, &options, sizeof(options));
        vb_netlink_end(&request, nest);
        return vb_netlink_talk(netlink, &request);
}

static int add_sfq(int netlink, int ifindex) {
        const struct tc_sfq_qopt options = { .perturb_period = SFQ_PERTURB_SEC };
        VbNetlinkRequest request;

        request_init(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, HTB_CLASS, SFQ_HANDLE);
        add_kind(&request, "sfq");
        (void) vb_netlink_add(&request, TCA_OPTIONS, &options, sizeof(options));
        return vb_netlink_talk(netlink, &request);
}

int vb_traffic_limit_sent(int netlink, int ifindex, const VbTrafficLimit *limit) {
        int r;

        if (limit && set_class(netlink, ifindex, limit) == 0)
                return 0;
        r = remove_queue(netlink, ifindex, TC_H_ROOT, 0);
        if (r < 0 || !limit)
                return r;
        r = add_htb(netlink, ifindex);
        if (r >= 0)
                r = set_class(netlink, ifindex, limit);
        if (r >= 0)
                (void) add_sfq(netlink, ifindex); /* else the class has a queue of the simplest kind */
        return r;
}

/* --- received ------------------------------------------------------------------------------------------------------- */

/* How long packets of each size take. The table's cells are as large as is needed for the largest packet. */
static void fill_table(struct tc_ratespec *rate, uint64_t bytes_sec, uint32_t table[static TC_RTAB_SIZE / sizeof(uint32_t)]) {
        while ((LARGEST_PACKET >> rate->cell_log) >= TC_RTAB_SIZE / sizeof(uint32_t))
                rate->cell_log++;
        for (unsigned i = 0; i < TC_RTAB_SIZE / sizeof(uint32_t); i++)
                table[i] = ticks(bytes_sec, (i + UINT64_C(1)) << rate->cell_log);
        rate->cell_align = -1;
}

static void add_policeman(VbNetlinkRequest *request, const VbTrafficLimit *limit) {
        uint64_t burst = limit->burst > 0 ? limit->burst : limit->rate;
        struct tc_police police = {
                .action = TC_POLICE_SHOT,
                .rate = { .rate = rate_32(limit->rate), .linklayer = TC_LINKLAYER_ETHERNET },
                .burst = ticks(limit->rate, burst),
                .mtu = LARGEST_PACKET,
        };
        uint32_t table[TC_RTAB_SIZE / sizeof(uint32_t)];
        struct rtattr *nest;

        fill_table(&police.rate, limit->rate, table);
        nest = vb_netlink_begin(request, TCA_U32_POLICE);
        (void) vb_netlink_add(request, TCA_POLICE_TBF, &police, sizeof(police));
        (void) vb_netlink_add(request, TCA_POLICE_RATE, table, sizeof(table));
        if (limit->rate > UINT32_MAX)
                (void) vb_netlink_add(request, TCA_POLICE_RATE64, &limit->rate, sizeof(limit->rate));
        vb_netlink_end(request, nest);
}

void vb_traffic_build_policeman(VbNetlinkRequest *request, int ifindex, const VbTrafficLimit *limit) {
        const uint32_t flow = TC_H_MAKE(0, 1);
        const struct tcmsg message = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = ifindex,
                .tcm_parent = TC_H_MAKE(TC_H_INGRESS, 0),
                .tcm_info = TC_H_MAKE(0, htons(ETH_P_ALL)),
        };
        /* What all packets match: nothing of their first bytes. */
        const struct {
                struct tc_u32_sel selector;
                struct tc_u32_key key;
        } all = { .selector = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };
        struct rtattr *nest;

        vb_netlink_request_init(request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &message, sizeof(message));
        add_kind(request, "u32");
        nest = vb_netlink_begin(request, TCA_OPTIONS);
        add_policeman(request, limit);
        (void) vb_netlink_add(request, TCA_U32_CLASSID, &flow, sizeof(flow));
        (void) vb_netlink_add(request, TCA_U32_SEL, &all, sizeof(all));
        vb_netlink_end(request, nest);
}

static int add_ingress(int netlink, int ifindex) {
        VbNetlinkRequest request;

        request_init(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_INGRESS, TC_H_MAKE(TC_H_INGRESS, 0));
        add_kind(&request, "ingress");
        return vb_netlink_talk(netlink, &request);
}

int vb_traffic_limit_received(int netlink, int ifindex, const VbTrafficLimit *limit) {
        VbNetlinkRequest request;
        int r;

        r = remove_queue(netlink, ifindex, TC_H_INGRESS, TC_H_MAKE(TC_H_INGRESS, 0));
        if (r < 0 || !limit)
                return r;
        r = add_ingress(netlink, ifindex);
        if (r < 0)
                return r;
        vb_traffic_build_policeman(&request, ifindex, limit);
        return vb_netlink_talk(netlink, &request);
}
