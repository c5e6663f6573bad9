/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With the real kernel, in a network of the test's own: where that cannot be had, the tests are skipped. */
#include "qemu/plug.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "base/netlink.h"
#include "qemu/plug-private.h"

static bool have_network;
static const VbUuid owner = { .bytes = { 1, 2, 3 } };

/* /sys shows the network of the one who mounts it. */
static bool enter_network(void) {
        return unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("sysfs", "/sys", "sysfs", 0, NULL) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
}

static bool skip(void) {
        if (!have_network)
                g_test_skip("no network of its own is to be had");
        return !have_network;
}

static char *read_sys(const char *name, const char *file) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", name, file);
        char *text = NULL;

        g_assert_cmpint(vb_file_read(AT_FDCWD, path, 4096, &text, NULL), >=, 0);
        return g_strchomp(text);
}

static void assert_sys(const char *name, const char *file, const char *wanted) {
        g_autofree char *text = read_sys(name, file);

        g_assert_cmpstr(text, ==, wanted);
}

static void make_bridge(const char *name) {
        vb_autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ioctl(fd, SIOCBRADDBR, name), ==, 0);
}

static void remove_link(const char *name) {
        vb_autofd netlink = vb_netlink_open();

        g_assert_cmpint(netlink, >=, 0);
        g_assert_cmpint(vb_netlink_remove(netlink, (int) if_nametoindex(name)), ==, 0);
}

static void interface_init(VbInterface *interface, VbInterfaceType type) {
        *interface = (VbInterface){
                .info.alias = (char *) "net0",
                .type = type,
                .mac.bytes = { 0x52, 0x54, 0x00, 0x01, 0x02, 0x03 },
                .model = (char *) "virtio",
        };
}

static QemuPlugs *plugs_of(const VbInterface *interface, unsigned queues) {
        QemuTap tap = { .interface = interface, .queues = queues, .vnet_header = true };
        QemuResources resources = { .taps = &tap, .n_taps = 1 };

        return qemu_plugs_new(&resources, &owner);
}

static void assert_refused(const VbInterface *interface, unsigned queues, const char *name, const char *words) {
        g_autoptr(QemuPlugs) plugs = plugs_of(interface, queues);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(qemu_plugs_connect(plugs, &error), <, 0);
        g_assert_cmpstr(error.name, ==, name);
        g_assert_cmpstr(error.message, ==, words);
}

static QemuPlugs *connected(const VbInterface *interface, unsigned queues) {
        QemuPlugs *plugs = plugs_of(interface, queues);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = qemu_plugs_connect(plugs, &error);
        g_assert_cmpstr(error.message, ==, NULL);
        g_assert_cmpint(r, ==, 0);
        return plugs;
}

static void test_bridge(void) {
        g_autoptr(QemuPlugs) first = NULL, second = NULL;
        VbInterface interface;

        if (skip())
                return;
        interface_init(&interface, VB_INTERFACE_BRIDGE);
        interface.bridge = (char *) "br0";
        assert_refused(&interface, 1, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                       "interface 'net0': there is no bridge 'br0' on this host");
        interface.bridge = (char *) "lo";
        assert_refused(&interface, 1, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                       "interface 'net0': there is no bridge 'lo' on this host");

        make_bridge("br0");
        interface.bridge = (char *) "br0";
        interface.mtu = 9000;
        interface.port_isolated = VB_TRISTATE_YES;
        first = connected(&interface, 1);
        g_assert_cmpstr(first->plugs[0].name, ==, "vnet0");
        g_assert_cmpint(first->plugs[0].ifindex, ==, (int) if_nametoindex("vnet0"));
        assert_sys("vnet0", "address", "fe:54:00:01:02:03");
        assert_sys("vnet0", "mtu", "9000");
        assert_sys("vnet0", "brport/isolated", "1");

        /* Where nothing is said, the bridge's size, so that the bridge keeps it; and its own address must differ from the guest's. */
        interface.mtu = 0;
        interface.port_isolated = VB_TRISTATE_ABSENT;
        interface.mac.bytes[0] = 0xfe;
        second = connected(&interface, 4);
        g_assert_cmpstr(second->plugs[0].name, ==, "vnet1");
        assert_sys("vnet1", "address", "fa:54:00:01:02:03");
        assert_sys("vnet1", "mtu", "9000");
        assert_sys("vnet1", "brport/isolated", "0");
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpint(second->plugs[0].fds[i], >=, 0);

        first = qemu_plugs_free(g_steal_pointer(&first));
        second = qemu_plugs_free(g_steal_pointer(&second));
        g_assert_cmpuint(if_nametoindex("vnet0"), ==, 0);
        g_assert_cmpuint(if_nametoindex("vnet1"), ==, 0);
        remove_link("br0");
}

static void test_names_are_not_taken_over(void) {
        g_autoptr(QemuPlugs) first = NULL, joined = NULL;
        VbInterface interface;

        if (skip())
                return;
        interface_init(&interface, VB_INTERFACE_ETHERNET);
        interface.target = (char *) "web0";
        interface.target_managed = VB_TRISTATE_NO;
        assert_refused(&interface, 2, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                       "interface 'net0': there is no tap device 'web0' on this host, and managed='no' says that there is");
        g_assert_cmpuint(if_nametoindex("web0"), ==, 0);

        /* A device of many queues would let anyone in who knows its name. */
        interface.target_managed = VB_TRISTATE_ABSENT;
        first = connected(&interface, 2);
        g_assert_cmpstr(first->plugs[0].name, ==, "web0");
        assert_refused(&interface, 2, VB_ERROR_RESOURCE_BUSY,
                       "interface 'net0': there is a network interface 'web0' on this host already; managed='no' would use it as it is");
        g_assert_cmpuint(if_nametoindex("web0"), >, 0);

        interface.target_managed = VB_TRISTATE_NO;
        interface.mac.bytes[5] = 0x77;
        joined = connected(&interface, 2);
        assert_sys("web0", "address", "fe:54:00:01:02:03");
}

/* The part of macvtaps that needs no device files. */
static void test_macvtap(void) {
        const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x01, 0x02, 0x03 };
        VbInterface interface, *items[] = { &interface };
        VbDomainDefinition live = { .interfaces = { items, 1 } };
        vb_autofd netlink = -EBADF;
        int lower, first, second;

        if (skip())
                return;
        interface_init(&interface, VB_INTERFACE_DIRECT);
        interface.source_dev = (char *) "nosuch0";
        assert_refused(&interface, 1, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                       "interface 'net0': there is no network interface 'nosuch0' on this host");

        make_bridge("br1");
        lower = (int) if_nametoindex("br1");
        netlink = vb_netlink_open();
        g_assert_cmpint(netlink, >=, 0);
        first = vb_netlink_add_macvtap(netlink, lower, "macvtap%d", VB_MACVLAN_BRIDGE, mac, 0);
        if (first == -EOPNOTSUPP) {
                remove_link("br1");
                g_test_skip("this kernel has no macvtap");
                return;
        }
        g_assert_cmpint(first, ==, (int) if_nametoindex("macvtap0"));
        second = vb_netlink_add_macvtap(netlink, lower, "macvtap%d", VB_MACVLAN_BRIDGE, (const uint8_t[]){ 0x52, 0x54, 0, 1, 2, 4 }, 0);
        g_assert_cmpint(second, ==, (int) if_nametoindex("macvtap1"));
        g_assert_cmpint(vb_netlink_add_macvtap(netlink, lower, "macvtap1", VB_MACVLAN_BRIDGE, mac, 0), ==, -EEXIST);

        interface.source_dev = (char *) "br1";
        interface.target = (char *) "macvtap0";
        assert_refused(&interface, 1, VB_ERROR_RESOURCE_BUSY,
                       "interface 'net0': there is a network interface 'macvtap0' on this host already");
        g_assert_cmpuint(if_nametoindex("macvtap0"), >, 0);

        /* At a guest's end what has another kind or address stays, whatever its name. */
        interface.target = (char *) "macvtap1";
        g_assert_cmpint(qemu_plugs_disconnect_now(&live, NULL), ==, 0);
        g_assert_cmpuint(if_nametoindex("macvtap1"), >, 0);
        interface.target = (char *) "br1";
        g_assert_cmpint(qemu_plugs_disconnect_now(&live, NULL), ==, 0);
        g_assert_cmpuint(if_nametoindex("br1"), >, 0);
        interface.target = (char *) "macvtap0";
        g_assert_cmpint(qemu_plugs_disconnect_now(&live, NULL), ==, 0);
        g_assert_cmpuint(if_nametoindex("macvtap0"), ==, 0);

        g_assert_cmpint(vb_netlink_remove(netlink, second), ==, 0);
        g_assert_cmpint(vb_netlink_remove(netlink, second), ==, 0);
        remove_link("br1");
}

static bool is_owner(const VbUuid *uuid, void *userdata) {
        const bool *runs = userdata;

        return *runs && vb_uuid_equal(uuid, &owner);
}

/* What a daemon has left that ended while it made one, or before it wrote down what it had made. */
static void test_sweep(void) {
        const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x01, 0x02, 0x03 };
        vb_autofd netlink = vb_netlink_open();
        bool runs = true;
        int lower, marked;

        if (skip())
                return;
        make_bridge("br0");
        lower = (int) if_nametoindex("br0");
        marked = vb_netlink_add_macvtap(netlink, lower, "marked", VB_MACVLAN_BRIDGE, mac, qemu_macvtap_group());
        if (marked < 0 || qemu_macvtap_group() == 0) {
                remove_link("br0");
                g_test_skip("this kernel has no macvtap, or this host no identity");
                return;
        }
        g_assert_cmpint(qemu_macvtap_mark(netlink, marked, &owner), ==, 0);
        assert_sys("marked", "netdev_group", "0");
        g_assert_cmpint(vb_netlink_add_macvtap(netlink, lower, "half", VB_MACVLAN_BRIDGE, mac, qemu_macvtap_group()), >, 0);
        g_assert_cmpint(vb_netlink_add_macvtap(netlink, lower, "foreign", VB_MACVLAN_BRIDGE, mac, 0), >, 0);

        qemu_plugs_sweep(is_owner, &runs);
        g_assert_cmpuint(if_nametoindex("half"), ==, 0);
        g_assert_cmpuint(if_nametoindex("marked"), >, 0);
        runs = false;
        qemu_plugs_sweep(is_owner, &runs);
        g_assert_cmpuint(if_nametoindex("marked"), ==, 0);
        g_assert_cmpuint(if_nametoindex("foreign"), >, 0);
        g_assert_cmpuint(if_nametoindex("br0"), >, 0);
        remove_link("foreign");
        remove_link("br0");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        have_network = enter_network();
        g_test_add_func("/qemu/plug/bridge", test_bridge);
        g_test_add_func("/qemu/plug/names-are-not-taken-over", test_names_are_not_taken_over);
        g_test_add_func("/qemu/plug/macvtap", test_macvtap);
        g_test_add_func("/qemu/plug/sweep", test_sweep);
        return g_test_run();
}
