/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/plug.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/netlink.h"
#include "qemu/plug-private.h"

#define TUN_DEVICE "/dev/net/tun"
#define VHOST_DEVICE "/dev/vhost-net"

#define SMALL_FILE_MAX 4096u

/* How long udev may take for the device file of a macvtap. */
#define UDEV_TRIES 250
#define UDEV_PAUSE_NSEC (20 * 1000 * 1000)

static int fail(const QemuPlug *plug, sd_bus_error *reterr, const char *what, const char *name, int r) {
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "interface '%s': cannot %s '%s': %s", plug->alias, what,
                                 name, g_strerror(-r));
}

static int fail_name_taken(const QemuPlug *plug, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                 "interface '%s': there is a network interface '%s' on this host already%s", plug->alias,
                                 plug->target,
                                 plug->type == VB_INTERFACE_ETHERNET ? "; managed='no' would use it as it is" : "");
}

static int *new_fds(unsigned n) {
        int *fds = g_new(int, n);

        for (unsigned i = 0; i < n; i++)
                fds[i] = -EBADF;
        return fds;
}

static void plug_init(QemuPlug *plug, const QemuTap *tap) {
        const VbInterface *interface = tap->interface;

        *plug = (QemuPlug){
                .alias = g_strdup(interface->info.alias),
                .type = interface->type,
                .source = g_strdup(interface->type == VB_INTERFACE_DIRECT ? interface->source_dev : interface->bridge),
                .mode = interface->source_mode,
                .target = g_strdup(interface->target),
                .existing = interface->type == VB_INTERFACE_ETHERNET && interface->target_managed == VB_TRISTATE_NO,
                .isolated = interface->port_isolated == VB_TRISTATE_YES,
                .mtu = interface->mtu,
                .mac = interface->mac,
                .queues = tap->queues,
                .vnet_header = tap->vnet_header,
                .vhost = tap->vhost,
                .traffic = qemu_traffic_of(interface),
                .fds = new_fds(tap->queues),
                .vhost_fds = new_fds(tap->queues),
        };
}

QemuPlugs *qemu_plugs_new(const QemuResources *resources, const VbUuid *uuid) {
        QemuPlugs *plugs = g_new(QemuPlugs, 1);

        *plugs = (QemuPlugs){ .plugs = g_new(QemuPlug, resources->n_taps), .n = resources->n_taps, .uuid = *uuid };
        for (size_t i = 0; i < plugs->n; i++)
                plug_init(&plugs->plugs[i], &resources->taps[i]);
        return plugs;
}

static void close_all(int *fds, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                vb_closep(&fds[i]);
}

/* A tap goes with its last descriptor, a macvtap does not. */
static void unplug(const QemuPlug *plug) {
        vb_autofd netlink = -EBADF;

        if (plug->type != VB_INTERFACE_DIRECT || plug->ifindex <= 0 || plug->taken)
                return;
        netlink = vb_netlink_open();
        if (netlink >= 0)
                qemu_macvtap_remove(netlink, plug->ifindex, plug->name);
}

QemuPlugs *qemu_plugs_free(QemuPlugs *plugs) {
        if (!plugs)
                return NULL;
        for (size_t i = 0; i < plugs->n; i++) {
                QemuPlug *plug = &plugs->plugs[i];

                unplug(plug);
                close_all(plug->fds, plug->queues);
                close_all(plug->vhost_fds, plug->queues);
                g_free(plug->fds);
                g_free(plug->vhost_fds);
                g_free(plug->alias);
                g_free(plug->source);
                g_free(plug->target);
        }
        g_free(plugs->plugs);
        g_free(plugs);
        return NULL;
}

/* --- taps ----------------------------------------------------------------------------------------------------------- */

static short tap_flags(const QemuPlug *plug) {
        return (short) (IFF_TAP | IFF_NO_PI | (plug->vnet_header ? IFF_VNET_HDR : 0) |
                        (plug->queues > 1 ? IFF_MULTI_QUEUE : 0));
}

static int fail_open_tap(const QemuPlug *plug, sd_bus_error *reterr, const char *name, int r) {
        if (plug->existing)
                return fail(plug, reterr, "open tap device", name, r);
        if (plug->target && if_nametoindex(plug->target) > 0)
                return fail_name_taken(plug, reterr);
        return fail(plug, reterr, "make tap device", name, r);
}

/* The first queue makes the device, or takes the one that is there, but only when told so: it might be another guest's. The others
 * join it by its name. */
static int open_tap_queues(QemuPlug *plug, sd_bus_error *reterr) {
        struct ifreq request = { .ifr_flags = tap_flags(plug) };

        (void) g_strlcpy(request.ifr_name, plug->target ?: "vnet%d", sizeof(request.ifr_name));
        if (!plug->existing)
                request.ifr_flags |= IFF_TUN_EXCL;
        for (unsigned i = 0; i < plug->queues; i++) {
                plug->fds[i] = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
                if (plug->fds[i] < 0)
                        return fail(plug, reterr, "open", TUN_DEVICE, -errno);
                if (ioctl(plug->fds[i], TUNSETIFF, &request) < 0)
                        return fail_open_tap(plug, reterr, request.ifr_name, -errno);
                request.ifr_flags = tap_flags(plug);
        }
        memcpy(plug->name, request.ifr_name, sizeof(plug->name));
        plug->ifindex = (int) if_nametoindex(plug->name);
        return plug->ifindex > 0 ? 0 : fail(plug, reterr, "find tap device", plug->name, -errno);
}

/* A bridge takes the lowest address of its ports: ours must not be it, or the bridge's would change with every guest. Nor may it be
 * the guest's own, whose packets the bridge would then take for its own that came back. */
static VbMac host_side_mac(const QemuPlug *plug) {
        VbMac mac = plug->mac;

        mac.bytes[0] = mac.bytes[0] == 0xfe ? 0xfa : 0xfe;
        return mac;
}

static int attach_tap(QemuPlug *plug, int netlink, int bridge, sd_bus_error *reterr) {
        VbMac mac = host_side_mac(plug);
        VbLinkChange change = { .ifindex = plug->ifindex, .mtu = plug->mtu, .mac = mac.bytes };
        int r;

        /* In three, as the kernel would have it: an address and size first, then the port, then traffic. */
        r = vb_netlink_change(netlink, &change);
        if (r < 0)
                return fail(plug, reterr, "set up", plug->name, r);
        if (bridge > 0) {
                change = (VbLinkChange){ .ifindex = plug->ifindex, .controller = bridge };
                r = vb_netlink_change(netlink, &change);
                if (r < 0)
                        return fail(plug, reterr, "connect to bridge", plug->source, r);
                if (plug->isolated) {
                        r = vb_netlink_isolate_port(netlink, plug->ifindex, true);
                        if (r < 0)
                                return fail(plug, reterr, "isolate", plug->name, r);
                }
        }
        change = (VbLinkChange){ .ifindex = plug->ifindex, .up = true };
        r = vb_netlink_change(netlink, &change);
        return r < 0 ? fail(plug, reterr, "switch on", plug->name, r) : 0;
}

/* A bridge's size follows the smallest of its ports: a guest that wants none must not make it smaller for all. */
static uint32_t bridge_mtu(const char *name) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/mtu", name), *text = NULL;

        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
                return 0;
        return (uint32_t) g_ascii_strtoull(text, NULL, 10);
}

static bool is_bridge(const char *name) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/bridge", name);

        return !strchr(name, '/') && access(path, F_OK) == 0;
}

static int connect_bridge(QemuPlug *plug, int netlink, sd_bus_error *reterr) {
        int bridge = plug->source ? (int) if_nametoindex(plug->source) : 0, r;

        if (bridge <= 0 || !is_bridge(plug->source))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "interface '%s': there is no bridge '%s' on this host", plug->alias,
                                         plug->source ?: "");
        if (plug->mtu == 0)
                plug->mtu = bridge_mtu(plug->source);
        r = open_tap_queues(plug, reterr);
        return r < 0 ? r : attach_tap(plug, netlink, bridge, reterr);
}

static int connect_ethernet(QemuPlug *plug, int netlink, sd_bus_error *reterr) {
        int r;

        if (plug->existing && (!plug->target || if_nametoindex(plug->target) == 0))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "interface '%s': there is no tap device '%s' on this host, and managed='no' says that there is",
                                         plug->alias, plug->target ?: "");
        r = open_tap_queues(plug, reterr);
        if (r < 0 || plug->existing)
                return r;
        return attach_tap(plug, netlink, /* bridge= */ 0, reterr);
}

/* --- macvtap -------------------------------------------------------------------------------------------------------- */

static VbMacvlanMode macvlan_mode(VbInterfaceMode mode) {
        switch (mode) {
        case VB_INTERFACE_MODE_PRIVATE:
                return VB_MACVLAN_PRIVATE;
        case VB_INTERFACE_MODE_BRIDGE:
                return VB_MACVLAN_BRIDGE;
        case VB_INTERFACE_MODE_PASSTHROUGH:
                return VB_MACVLAN_PASSTHRU;
        default:
                return VB_MACVLAN_VEPA;
        }
}

/* The device file is there a little after the kernel has made the interface, if udev or another in its place has to make it. Its name
 * counts the interfaces of one network namespace, and so may be that of another's. */
static int open_macvtap(const char *path, dev_t device) {
        const struct timespec pause = { .tv_nsec = UDEV_PAUSE_NSEC };
        struct stat st;

        for (unsigned i = 0; i < UDEV_TRIES; i++) {
                vb_autofd fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

                if (fd >= 0) {
                        if (fstat(fd, &st) < 0)
                                return -errno;
                        return S_ISCHR(st.st_mode) && st.st_rdev == device ? vb_steal_fd(&fd) : -ENXIO;
                }
                if (errno != ENOENT)
                        return -errno;
                (void) nanosleep(&pause, NULL);
        }
        return -ENOENT;
}

static int open_macvtap_queues(QemuPlug *plug, sd_bus_error *reterr) {
        g_autofree char *path = g_strdup_printf("/dev/tap%d", plug->ifindex);
        struct ifreq request = { .ifr_flags = tap_flags(plug) };
        dev_t device;
        int r;

        r = qemu_macvtap_device(plug->name, plug->ifindex, &device);
        if (r < 0)
                return fail(plug, reterr, "find the device file of", plug->name, r);
        (void) g_strlcpy(request.ifr_name, plug->name, sizeof(request.ifr_name));
        for (unsigned i = 0; i < plug->queues; i++) {
                plug->fds[i] = open_macvtap(path, device);
                if (plug->fds[i] < 0)
                        return fail(plug, reterr, "open", path, plug->fds[i]);
                if (ioctl(plug->fds[i], TUNSETIFF, &request) < 0)
                        return fail(plug, reterr, "set up", path, -errno);
        }
        return 0;
}

static int connect_direct(QemuPlug *plug, const VbUuid *uuid, int netlink, sd_bus_error *reterr) {
        int lower = plug->source ? (int) if_nametoindex(plug->source) : 0, r;
        VbLinkChange change;

        if (lower <= 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "interface '%s': there is no network interface '%s' on this host", plug->alias,
                                         plug->source ?: "");
        r = vb_netlink_add_macvtap(netlink, lower, plug->target ?: "macvtap%d", macvlan_mode(plug->mode), plug->mac.bytes,
                                   qemu_macvtap_group());
        if (r == -EEXIST && plug->target)
                return fail_name_taken(plug, reterr);
        if (r < 0)
                return fail(plug, reterr, "make a macvtap on", plug->source, r);
        plug->ifindex = r;
        if (!if_indextoname((unsigned) plug->ifindex, plug->name))
                return fail(plug, reterr, "find the macvtap on", plug->source, -errno);
        r = qemu_macvtap_mark(netlink, plug->ifindex, uuid);
        if (r < 0)
                return fail(plug, reterr, "mark", plug->name, r);

        r = open_macvtap_queues(plug, reterr);
        if (r < 0)
                return r;
        /* A passthrough begins with the address of the interface below, and hands on to that the guest's. */
        change = (VbLinkChange){ .ifindex = plug->ifindex, .mtu = plug->mtu, .mac = plug->mac.bytes, .up = true };
        r = vb_netlink_change(netlink, &change);
        return r < 0 ? fail(plug, reterr, "switch on", plug->name, r) : 0;
}

/* --- all of a guest ------------------------------------------------------------------------------------------------- */

static int open_vhost(QemuPlug *plug, sd_bus_error *reterr) {
        for (unsigned i = 0; plug->vhost != QEMU_VHOST_NO && i < plug->queues; i++) {
                plug->vhost_fds[i] = open(VHOST_DEVICE, O_RDWR | O_CLOEXEC);
                if (plug->vhost_fds[i] >= 0)
                        continue;
                if (plug->vhost == QEMU_VHOST_REQUIRED)
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "interface '%s': driver 'vhost': cannot open '%s': %s", plug->alias,
                                                 VHOST_DEVICE, g_strerror(errno));
                close_all(plug->vhost_fds, i);
                break;
        }
        return 0;
}

static int plug_connect(QemuPlug *plug, const VbUuid *uuid, int netlink, sd_bus_error *reterr) {
        int r;

        switch (plug->type) {
        case VB_INTERFACE_BRIDGE:
                r = connect_bridge(plug, netlink, reterr);
                break;
        case VB_INTERFACE_DIRECT:
                r = connect_direct(plug, uuid, netlink, reterr);
                break;
        default:
                r = connect_ethernet(plug, netlink, reterr);
        }
        if (r >= 0)
                r = qemu_traffic_limit(netlink, plug->ifindex, &plug->traffic, plug->alias, reterr);
        return r < 0 ? r : open_vhost(plug, reterr);
}

int qemu_plugs_connect(QemuPlugs *plugs, sd_bus_error *reterr) {
        vb_autofd netlink = vb_netlink_open();
        int r = 0;

        if (netlink < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot ask the kernel about networks: %s",
                                         g_strerror(-netlink));
        for (size_t i = 0; r >= 0 && i < plugs->n; i++)
                r = plug_connect(&plugs->plugs[i], &plugs->uuid, netlink, reterr);
        return r;
}

static VbInterface *find_interface(const VbDomainDefinition *live, const char *alias) {
        for (size_t i = 0; i < live->interfaces.n; i++)
                if (g_strcmp0(live->interfaces.items[i]->info.alias, alias) == 0)
                        return live->interfaces.items[i];
        return NULL;
}

void qemu_plugs_take(QemuPlugs *plugs, QemuResources *resources, VbDomainDefinition *live) {
        for (size_t i = 0; i < plugs->n; i++) {
                QemuPlug *plug = &plugs->plugs[i];
                QemuTap *tap = qemu_resources_find_tap(resources, plug->alias);
                VbInterface *interface = find_interface(live, plug->alias);

                for (unsigned j = 0; j < plug->queues; j++) {
                        tap->fds[j] = vb_steal_fd(&plug->fds[j]);
                        tap->vhost_fds[j] = vb_steal_fd(&plug->vhost_fds[j]);
                }
                g_free(interface->target);
                interface->target = g_strdup(plug->name);
                plug->taken = true;
        }
}
