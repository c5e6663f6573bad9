/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network cards, and what they are plugged into. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

static bool is_virtio(const VbInterface *interface) {
        return interface->model && g_str_has_prefix(interface->model, "virtio");
}

/* Network cards are whatever QEMU has; only virtio has three names. */
static const char *interface_driver(const VbInterface *interface) {
        const char *model = interface->model ?: "rtl8139";

        if (strcmp(model, "virtio") == 0)
                return "virtio-net-pci";
        if (strcmp(model, "virtio-transitional") == 0)
                return "virtio-net-pci-transitional";
        if (strcmp(model, "virtio-non-transitional") == 0)
                return "virtio-net-pci-non-transitional";
        return model;
}

static void add_offloads(VbJson *device, const VbInterfaceOffloads *host, const VbInterfaceOffloads *guest) {
        if (host) {
                qemu_device_add_tristate(device, "csum", host->csum);
                qemu_device_add_tristate(device, "gso", host->gso);
                qemu_device_add_tristate(device, "host_tso4", host->tso4);
                qemu_device_add_tristate(device, "host_tso6", host->tso6);
                qemu_device_add_tristate(device, "host_ecn", host->ecn);
                qemu_device_add_tristate(device, "host_ufo", host->ufo);
                qemu_device_add_tristate(device, "mrg_rxbuf", host->mrg_rxbuf);
        }
        if (guest) {
                qemu_device_add_tristate(device, "guest_csum", guest->csum);
                qemu_device_add_tristate(device, "guest_tso4", guest->tso4);
                qemu_device_add_tristate(device, "guest_tso6", guest->tso6);
                qemu_device_add_tristate(device, "guest_ecn", guest->ecn);
                qemu_device_add_tristate(device, "guest_ufo", guest->ufo);
        }
}

static void add_virtio_net_options(VbJson *device, const VbInterface *interface) {
        if (interface->txmode != VB_NET_TXMODE_ABSENT)
                qemu_json_add(device, "tx", interface->txmode == VB_NET_TXMODE_TIMER ? "timer" : "bh");
        qemu_device_add_tristate(device, "ioeventfd", interface->ioeventfd);
        qemu_device_add_tristate(device, "event_idx", interface->event_idx);
        add_offloads(device, interface->host_offloads, interface->guest_offloads);
        if (interface->queues > 1) {
                qemu_json_add_bool(device, "mq", true);
                /* One for each queue's two directions, one for control, one for changes of configuration. */
                qemu_json_add_number(device, "vectors", (uint64_t) interface->queues * 2 + 2);
        }
        if (interface->rx_queue_size != 0)
                qemu_json_add_number(device, "rx_queue_size", interface->rx_queue_size);
        if (interface->tx_queue_size != 0)
                qemu_json_add_number(device, "tx_queue_size", interface->tx_queue_size);
        if (interface->mtu != 0)
                qemu_json_add_number(device, "host_mtu", interface->mtu);
        qemu_device_add_virtio(device, &interface->virtio);
}

int qemu_interface_device(const QemuContext *context, const VbInterface *interface, VbJson **ret,
                          sd_bus_error *reterr) {
        g_autofree char *what = g_strdup_printf("interface model '%s'", interface->model ?: "rtl8139");
        uint32_t order = qemu_boot_index(context, &interface->info);
        g_autoptr(VbJson) device = NULL;
        char mac[VB_MAC_STRING_MAX];
        int r;

        r = qemu_device_new(context, interface_driver(interface), &interface->info, what, &device, reterr);
        if (r < 0)
                return r;

        qemu_json_addf(device, "netdev", "host%s", interface->info.alias);
        qemu_json_add(device, "mac", vb_mac_format(&interface->mac, mac));
        if (is_virtio(interface))
                add_virtio_net_options(device, interface);
        if (order != 0)
                qemu_json_add_number(device, "bootindex", order);

        *ret = g_steal_pointer(&device);
        return 0;
}

/* The network's address, as QEMU wants it, of a guest's address and prefix length. */
static void add_user_addresses(VbJson *netdev, const VbInterface *interface) {
        for (size_t i = 0; i < interface->ips.n; i++) {
                const VbInterfaceIp *ip = interface->ips.items[i];

                if (ip->family == VB_IP_FAMILY_IPV6) {
                        qemu_json_add(netdev, "ipv6-prefix", ip->address);
                        if (ip->prefix.set)
                                qemu_json_add_number(netdev, "ipv6-prefixlen", ip->prefix.value);
                } else if (ip->prefix.set)
                        qemu_json_addf(netdev, "net", "%s/%u", ip->address, ip->prefix.value);
                else
                        qemu_json_add(netdev, "net", ip->address);
        }
}

VbJson *qemu_interface_netdev(const VbInterface *interface, const char *fds, const char *vhost_fds) {
        VbJson *netdev = qemu_json_new();

        qemu_json_add(netdev, "type", interface->type == VB_INTERFACE_USER ? "user" : "tap");
        qemu_json_addf(netdev, "id", "host%s", interface->info.alias);
        if (interface->type == VB_INTERFACE_USER) {
                add_user_addresses(netdev, interface);
                return netdev;
        }

        qemu_json_add(netdev, fds && strchr(fds, ':') ? "fds" : "fd", fds);
        if (vhost_fds) {
                qemu_json_add_bool(netdev, "vhost", true);
                qemu_json_add(netdev, strchr(vhost_fds, ':') ? "vhostfds" : "vhostfd", vhost_fds);
        }
        if (interface->sndbuf.set)
                qemu_json_add_number(netdev, "sndbuf", interface->sndbuf.value);
        return netdev;
}

/* "5:6:7", taking the descriptors over; NULL if one of them is missing. */
static char *keep_fds(QemuBuild *build, int *fds, unsigned n) {
        GString *numbers;

        for (unsigned i = 0; i < n; i++)
                if (fds[i] < 0)
                        return NULL;

        numbers = g_string_new(NULL);
        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(numbers, "%s%d", i > 0 ? ":" : "", qemu_build_keep_fd(build, &fds[i]));
        return g_string_free(numbers, FALSE);
}

static int build_netdev(QemuBuild *build, const VbInterface *interface, sd_bus_error *reterr) {
        g_autofree char *fds = NULL, *vhost_fds = NULL;
        QemuTap *tap;

        if (interface->type == VB_INTERFACE_USER) {
                if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_NETDEV, "user"))
                        return qemu_not_offered(&build->context, reterr, "interface '%s' of type 'user'",
                                                interface->info.alias);
                qemu_build_add_json(build, "-netdev", qemu_interface_netdev(interface, NULL, NULL));
                return 0;
        }

        tap = qemu_resources_find_tap(build->resources, interface->info.alias);
        fds = tap ? keep_fds(build, tap->fds, tap->queues) : NULL;
        if (!fds)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': interface '%s' was not plugged in",
                                         build->context.definition->name, interface->info.alias);
        vhost_fds = tap->vhost != QEMU_VHOST_NO ? keep_fds(build, tap->vhost_fds, tap->queues) : NULL;
        if (!vhost_fds && tap->vhost == QEMU_VHOST_REQUIRED)
                return qemu_unsupported(&build->context, reterr,
                                        "interface '%s': driver 'vhost': /dev/vhost-net is not to be had",
                                        interface->info.alias);

        qemu_build_add_json(build, "-netdev", qemu_interface_netdev(interface, fds, vhost_fds));
        return 0;
}

int qemu_build_interfaces(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device, *arguments;
        int r;

        for (size_t i = 0; i < definition->interfaces.n; i++) {
                const VbInterface *interface = definition->interfaces.items[i];

                r = build_netdev(build, interface, reterr);
                if (r < 0)
                        return r;
                r = qemu_interface_device(&build->context, interface, &device, reterr);
                if (r < 0)
                        return r;
                qemu_build_add_json(build, "-device", device);

                if (interface->link == VB_LINK_STATE_DOWN) {
                        arguments = qemu_json_new();
                        qemu_json_add(arguments, "name", interface->info.alias);
                        qemu_json_add_bool(arguments, "up", false);
                        qemu_build_add_setup(build, "set_link", arguments);
                }
        }
        return 0;
}
