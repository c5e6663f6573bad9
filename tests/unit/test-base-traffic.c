/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With the real kernel, in a network of the test's own, and asked of tc: where one of them cannot be had, that is skipped. Not every
 * kernel has policemen; what is asked of them is compared with what tc asks. */
#include "base/traffic-private.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/netlink.h"

typedef struct Tap {
        int fd, ifindex, netlink;
} Tap;

static bool have_network;

static bool tap_init(Tap *tap) {
        struct ifreq request = { .ifr_name = "t0", .ifr_flags = IFF_TAP | IFF_NO_PI };
        g_autofree char *tc = g_find_program_in_path("tc");

        if (!have_network || !tc) {
                g_test_skip("there is no network of its own, or no tc");
                return false;
        }
        tap->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        g_assert_cmpint(tap->fd, >=, 0);
        g_assert_cmpint(ioctl(tap->fd, TUNSETIFF, &request), ==, 0);
        tap->ifindex = (int) if_nametoindex("t0");
        tap->netlink = vb_netlink_open();
        g_assert_cmpint(tap->netlink, >=, 0);
        return true;
}

static void tap_done(Tap *tap) {
        vb_closep(&tap->fd);
        vb_closep(&tap->netlink);
}

static char *tc(const char *what) {
        g_autofree char *command = g_strdup_printf("tc %s", what);
        char *output = NULL;
        int status;

        g_assert_true(g_spawn_command_line_sync(command, &output, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
        return output;
}

static void assert_tells(const char *what, const char *words) {
        g_autofree char *output = tc(what);

        if (!strstr(output, words))
                g_error("tc %s: no '%s' in: %s", what, words, output);
}

static void assert_tells_not(const char *what, const char *words) {
        g_autofree char *output = tc(what);

        if (strstr(output, words))
                g_error("tc %s: '%s' in: %s", what, words, output);
}

static bool has_queues(const Tap *tap) {
        const VbTrafficLimit limit = { .rate = 1000000 };
        int r = vb_traffic_limit_sent(tap->netlink, tap->ifindex, &limit);

        if (r == -ENOENT)
                g_test_skip("this kernel has no sch_htb");
        else
                g_assert_cmpint(r, ==, 0);
        return r == 0;
}

static void test_sent(void) {
        VbTrafficLimit limit = { .rate = 1000000, .peak = 2000000, .burst = 20480 };
        Tap tap;

        if (!tap_init(&tap))
                return;
        if (has_queues(&tap)) {
                assert_tells("-d qdisc show dev t0", "htb 1: root");
                assert_tells("-d class show dev t0", "rate 8Mbit ceil 8Mbit");

                /* Changed in its place: the queue is the same. */
                g_assert_cmpint(vb_traffic_limit_sent(tap.netlink, tap.ifindex, &limit), ==, 0);
                assert_tells("-d class show dev t0", "rate 8Mbit ceil 16Mbit");
                assert_tells("-d class show dev t0", "burst 20Kb");

                /* More than 32 bits hold. */
                limit = (VbTrafficLimit){ .rate = UINT64_C(12500000000) };
                g_assert_cmpint(vb_traffic_limit_sent(tap.netlink, tap.ifindex, &limit), ==, 0);
                assert_tells("-d class show dev t0", "rate 100Gbit ceil 100Gbit");

                g_assert_cmpint(vb_traffic_limit_sent(tap.netlink, tap.ifindex, NULL), ==, 0);
                assert_tells_not("qdisc show dev t0", "htb");
                g_assert_cmpint(vb_traffic_limit_sent(tap.netlink, tap.ifindex, NULL), ==, 0);
        }
        tap_done(&tap);
}

/* What somebody else has put there makes room. */
static void test_another_queue(void) {
        const VbTrafficLimit limit = { .rate = 1000000 };
        Tap tap;

        if (!tap_init(&tap))
                return;
        if (has_queues(&tap)) {
                g_free(tc("qdisc replace dev t0 root handle 7: pfifo"));
                assert_tells("qdisc show dev t0", "pfifo 7: root");
                g_assert_cmpint(vb_traffic_limit_sent(tap.netlink, tap.ifindex, &limit), ==, 0);
                assert_tells("class show dev t0", "rate 8Mbit");
        }
        tap_done(&tap);
}

static void test_received(void) {
        VbTrafficLimit limit = { .rate = 500000, .burst = 512000 };
        Tap tap;
        int r;

        if (!tap_init(&tap))
                return;
        r = vb_traffic_limit_received(tap.netlink, tap.ifindex, &limit);
        if (r == -ENOENT)
                g_test_skip("this kernel has no policemen");
        else {
                g_assert_cmpint(r, ==, 0);
                assert_tells("filter show dev t0 ingress", "rate 4Mbit");
                limit.rate = 1000000;
                g_assert_cmpint(vb_traffic_limit_received(tap.netlink, tap.ifindex, &limit), ==, 0);
                assert_tells("filter show dev t0 ingress", "rate 8Mbit");
        }
        g_assert_cmpint(vb_traffic_limit_received(tap.netlink, tap.ifindex, NULL), ==, 0);
        assert_tells_not("qdisc show dev t0", "ingress");
        g_assert_cmpint(vb_traffic_limit_received(tap.netlink, tap.ifindex, NULL), ==, 0);
        tap_done(&tap);
}

/* From tc, of `filter add dev t0 parent ffff: protocol all u32 match u32 0 0 police rate 500kbps burst 500kb mtu 64kb drop flowid :1`: the
 * options up to the first four of the 256 numbers of the table. */
static const uint8_t by_tc[] = {
        0x44, 0x04, 0x06, 0x00, 0x3c, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x24, 0xf4, 0x00, 0x00, 0x00, 0x01, 0x00, 0x09, 0x01, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x20, 0xa1, 0x07, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x04, 0x04, 0x02, 0x00, 0x80, 0x3e, 0x00, 0x00, 0x00, 0x7d, 0x00, 0x00, 0x80, 0xbb, 0x00, 0x00,
        0x00, 0xfa, 0x00, 0x00,
};

static void test_policeman(void) {
        const VbTrafficLimit limit = { .rate = 500000, .burst = 512000 };
        const struct rtattr *kind, *options;
        const struct tcmsg *message;
        VbNetlinkRequest request;

        if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
                g_test_skip("what tc asks is known for little-endian machines only");
                return;
        }
        vb_traffic_build_policeman(&request, 3, &limit);
        message = NLMSG_DATA(&request.header);
        g_assert_cmpint(message->tcm_ifindex, ==, 3);
        g_assert_cmphex(message->tcm_parent, ==, 4294901760);
        g_assert_cmphex(message->tcm_info, ==, 768);
        kind = TCA_RTA(message);
        g_assert_cmpint(kind->rta_type, ==, TCA_KIND);
        g_assert_cmpstr(RTA_DATA(kind), ==, "u32");
        options = (const struct rtattr *) (const void *) ((const char *) kind + RTA_ALIGN(kind->rta_len));
        g_assert_cmpint(options->rta_type, ==, TCA_OPTIONS);
        g_assert_cmpmem(RTA_DATA(options), MIN(sizeof(by_tc), RTA_PAYLOAD(options)), by_tc, sizeof(by_tc));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        have_network = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
        g_test_add_func("/base/traffic/sent", test_sent);
        g_test_add_func("/base/traffic/another-queue", test_another_queue);
        g_test_add_func("/base/traffic/received", test_received);
        g_test_add_func("/base/traffic/policeman", test_policeman);
        return g_test_run();
}
