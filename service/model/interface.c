/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/interface.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_interface_type, VbInterfaceType, VB_INTERFACE_TYPE_MAX,
                [VB_INTERFACE_USER] = "user",
                [VB_INTERFACE_ETHERNET] = "ethernet",
                [VB_INTERFACE_BRIDGE] = "bridge",
                [VB_INTERFACE_DIRECT] = "direct")
VB_STRING_TABLE(vb_interface_mode, VbInterfaceMode, VB_INTERFACE_MODE_MAX,
                [VB_INTERFACE_MODE_VEPA] = "vepa",
                [VB_INTERFACE_MODE_PRIVATE] = "private",
                [VB_INTERFACE_MODE_BRIDGE] = "bridge",
                [VB_INTERFACE_MODE_PASSTHROUGH] = "passthrough")
VB_STRING_TABLE(vb_link_state, VbLinkState, VB_LINK_STATE_MAX,
                [VB_LINK_STATE_UP] = "up",
                [VB_LINK_STATE_DOWN] = "down")
VB_STRING_TABLE(vb_net_driver, VbNetDriver, VB_NET_DRIVER_MAX,
                [VB_NET_DRIVER_QEMU] = "qemu",
                [VB_NET_DRIVER_VHOST] = "vhost")
VB_STRING_TABLE(vb_net_txmode, VbNetTxmode, VB_NET_TXMODE_MAX,
                [VB_NET_TXMODE_IOTHREAD] = "iothread",
                [VB_NET_TXMODE_TIMER] = "timer")
VB_STRING_TABLE(vb_ip_family, VbIpFamily, VB_IP_FAMILY_MAX,
                [VB_IP_FAMILY_IPV4] = "ipv4",
                [VB_IP_FAMILY_IPV6] = "ipv6")

#define F(field) VB_XML_FIELD(VbInterface, field)
#define OF(name) VB_XML_WHEN(VbInterface, type, VB_XML_BIT(VB_INTERFACE_##name))

static const VbXmlRow ip_rows[] = {
        VB_XML_ATTRIBUTE("address", VB_XML_STRING, VB_XML_FIELD(VbInterfaceIp, address),
                         .flags = VB_XML_REQUIRED, .max = INET6_ADDRSTRLEN),
        VB_XML_ATTRIBUTE("family", VB_XML_ENUM(vb_ip_family), VB_XML_FIELD(VbInterfaceIp, family)),
        VB_XML_ATTRIBUTE("prefix", VB_XML_OPT_UINT, VB_XML_FIELD(VbInterfaceIp, prefix),
                         VB_XML_RANGE(0, 128)),
        VB_XML_UNBUILT_ATTRIBUTES("peer"),
        {},
};

static int ip_finish(void *item, VbXmlReader *reader) {
        VbInterfaceIp *ip = item;
        struct in6_addr address;

        if (ip->family == VB_IP_FAMILY_ABSENT)
                ip->family = strchr(ip->address, ':') ? VB_IP_FAMILY_IPV6 : VB_IP_FAMILY_IPV4;
        if (inet_pton(ip->family == VB_IP_FAMILY_IPV6 ? AF_INET6 : AF_INET, ip->address, &address) != 1)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "address '%s': not an %s address", ip->address,
                                   vb_ip_family_to_string(ip->family));
        if (ip->family == VB_IP_FAMILY_IPV4 && ip->prefix.set && ip->prefix.value > 32)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "prefix %u: an ipv4 address has 32 bits",
                                   ip->prefix.value);
        return 0;
}

static const VbXmlTable ip_table = { "ip", sizeof(VbInterfaceIp), ip_rows, ip_finish };

static const VbXmlRow mac_rows[] = {
        VB_XML_ATTRIBUTE("address", VB_XML_MAC, F(mac)),
        VB_XML_UNBUILT_ATTRIBUTES("type check"),
        {},
};

static const VbXmlRow bridge_source_rows[] = {
        VB_XML_ATTRIBUTE("bridge", VB_XML_STRING, F(bridge), .flags = VB_XML_REQUIRED, .max = IF_NAMESIZE - 1),
        {},
};

static const VbXmlRow direct_source_rows[] = {
        VB_XML_ATTRIBUTE("dev", VB_XML_STRING, F(source_dev), .flags = VB_XML_REQUIRED, .max = IF_NAMESIZE - 1),
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_interface_mode), F(source_mode), .fallback = "vepa"),
        {},
};

/* Host-side addresses and routes would be set in the host's own network. */
static const VbXmlRow ethernet_source_rows[] = {
        VB_XML_UNBUILT_ELEMENTS("ip route"),
        {},
};

static const VbXmlRow user_source_rows[] = {
        VB_XML_UNBUILT_ATTRIBUTES("dev"),
        {},
};

/* A name like those the daemon chooses would collide with one of them at the next start; such names are
 * dropped from definitions, as libvirt does. */
static int target_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (text[0] == '\0' ||
            (!(mode & VB_XML_LIVE) && (g_str_has_prefix(text, "vnet") || g_str_has_prefix(text, "macvtap") ||
                                       g_str_has_prefix(text, "macvlan"))))
                return 0;
        if (strchr(text, '/') || strchr(text, ' ')) {
                *ret_why = g_strdup("not a network interface's name");
                return -EINVAL;
        }
        return vb_xml_string_parse(row, mode, text, field, ret_why);
}

static bool target_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const char *name = *(char *const *) field;

        return name && ((mode & VB_XML_LIVE) ||
                        !(g_str_has_prefix(name, "vnet") || g_str_has_prefix(name, "macvtap") ||
                          g_str_has_prefix(name, "macvlan")));
}

static const VbXmlType target_type = { "name of a network interface of the host", sizeof(char *), target_parse,
                                       target_is_set, vb_xml_string_format, true };

static const VbXmlRow target_rows[] = {
        VB_XML_ATTRIBUTE("dev", .type = &target_type, F(target), .max = IF_NAMESIZE - 1),
        VB_XML_ATTRIBUTE("managed", VB_XML_YES_NO, F(target_managed), OF(ETHERNET)),
        {},
};

static const VbXmlRow guest_rows[] = {
        VB_XML_ATTRIBUTE("dev", VB_XML_STRING, F(guest_dev), .max = IF_NAMESIZE - 1),
        VB_XML_UNBUILT_ATTRIBUTES("actual"),
        {},
};

static const VbXmlRow model_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_STRING, F(model), .flags = VB_XML_REQUIRED, .max = 64),
        {},
};

static const VbXmlRow host_rows[] = {
#define O(field) VB_XML_FIELD(VbInterfaceOffloads, field)
        VB_XML_ATTRIBUTE("csum", VB_XML_ON_OFF, O(csum)),
        VB_XML_ATTRIBUTE("gso", VB_XML_ON_OFF, O(gso)),
        VB_XML_ATTRIBUTE("tso4", VB_XML_ON_OFF, O(tso4)),
        VB_XML_ATTRIBUTE("tso6", VB_XML_ON_OFF, O(tso6)),
        VB_XML_ATTRIBUTE("ecn", VB_XML_ON_OFF, O(ecn)),
        VB_XML_ATTRIBUTE("ufo", VB_XML_ON_OFF, O(ufo)),
        VB_XML_ATTRIBUTE("mrg_rxbuf", VB_XML_ON_OFF, O(mrg_rxbuf)),
        {},
};

static const VbXmlRow guest_offload_rows[] = {
        VB_XML_ATTRIBUTE("csum", VB_XML_ON_OFF, O(csum)),
        VB_XML_ATTRIBUTE("tso4", VB_XML_ON_OFF, O(tso4)),
        VB_XML_ATTRIBUTE("tso6", VB_XML_ON_OFF, O(tso6)),
        VB_XML_ATTRIBUTE("ecn", VB_XML_ON_OFF, O(ecn)),
        VB_XML_ATTRIBUTE("ufo", VB_XML_ON_OFF, O(ufo)),
        {},
};

static const VbXmlTable host_table = { "host", sizeof(VbInterfaceOffloads), host_rows };
static const VbXmlTable guest_table = { "guest", sizeof(VbInterfaceOffloads), guest_offload_rows };

static const VbXmlRow rate_rows[] = {
#define R(field) VB_XML_FIELD(VbBandwidthRate, field)
        VB_XML_ATTRIBUTE("average", VB_XML_UINT, R(average), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("peak", VB_XML_UINT, R(peak)),
        VB_XML_ATTRIBUTE("floor", VB_XML_UINT, R(floor)),
        VB_XML_ATTRIBUTE("burst", VB_XML_UINT, R(burst)),
        {},
};

static int rate_finish(void *item, VbXmlReader *reader) {
        const VbBandwidthRate *rate = item;

        if (rate->floor > 0)
                return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                   "floor attribute is supported only for inbound of interfaces of type network");
        if (rate->average == 0 && (rate->peak > 0 || rate->burst > 0))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "'peak' and 'burst' require 'average' attribute");
        return 0;
}

static const VbXmlTable inbound_table = { "inbound", sizeof(VbBandwidthRate), rate_rows, rate_finish };
static const VbXmlTable outbound_table = { "outbound", sizeof(VbBandwidthRate), rate_rows, rate_finish };

static const VbXmlRow bandwidth_rows[] = {
        VB_XML_SINGLE("inbound", inbound_table, VB_XML_FIELD(VbBandwidth, inbound)),
        VB_XML_SINGLE("outbound", outbound_table, VB_XML_FIELD(VbBandwidth, outbound)),
        {},
};

static const VbXmlTable bandwidth_table = { "bandwidth", sizeof(VbBandwidth), bandwidth_rows };

static const VbXmlRow driver_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_ENUM(vb_net_driver), F(driver_name), .unbuilt = "vfio kvm xen"),
        VB_XML_ATTRIBUTE("txmode", VB_XML_ENUM(vb_net_txmode), F(txmode)),
        VB_XML_ATTRIBUTE("ioeventfd", VB_XML_ON_OFF, F(ioeventfd)),
        VB_XML_ATTRIBUTE("event_idx", VB_XML_ON_OFF, F(event_idx)),
        VB_XML_ATTRIBUTE("queues", VB_XML_UINT, F(queues), VB_XML_RANGE(1, 256)),
        VB_XML_ATTRIBUTE("rx_queue_size", VB_XML_UINT, F(rx_queue_size), VB_XML_RANGE(1, 1024)),
        VB_XML_ATTRIBUTE("tx_queue_size", VB_XML_UINT, F(tx_queue_size), VB_XML_RANGE(1, 1024)),
        VB_VIRTIO_OPTION_ROWS(VbInterface),
        VB_XML_SINGLE("host", host_table, F(host_offloads)),
        VB_XML_SINGLE("guest", guest_table, F(guest_offloads)),
        VB_XML_UNBUILT_ATTRIBUTES("rss rss_hash_report"),
        {},
};

static const VbXmlRow link_rows[] = {
        VB_XML_ATTRIBUTE("state", VB_XML_ENUM(vb_link_state), F(link), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlRow mtu_rows[] = {
        VB_XML_ATTRIBUTE("size", VB_XML_UINT, F(mtu), .flags = VB_XML_REQUIRED, VB_XML_RANGE(68, 65535)),
        {},
};

static const VbXmlRow port_rows[] = {
        VB_XML_ATTRIBUTE("isolated", VB_XML_YES_NO, F(port_isolated)),
        {},
};

static const VbXmlRow tune_rows[] = {
        VB_XML_VALUE("sndbuf", VB_XML_OPT_UINT, F(sndbuf)),
        {},
};

static const VbXmlRow interface_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_interface_type), F(type), .flags = VB_XML_REQUIRED,
                         .unbuilt =
                                 "vhostuser server client mcast udp network internal hostdev vdpa vds null"),
        VB_XML_GROUP("mac", mac_rows),
        VB_XML_GROUP("source", bridge_source_rows, OF(BRIDGE), .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("source", direct_source_rows, OF(DIRECT), .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("source", ethernet_source_rows, OF(ETHERNET)),
        VB_XML_GROUP("source", user_source_rows, OF(USER)),
        VB_XML_SINGLE("bandwidth", bandwidth_table, F(bandwidth)),
        VB_XML_GROUP("port", port_rows, OF(BRIDGE)),
        VB_XML_LIST("ip", ip_table, F(ips), OF(USER), .max = 2),
        VB_XML_GROUP("target", target_rows),
        VB_XML_GROUP("guest", guest_rows),
        VB_XML_GROUP("model", model_rows),
        VB_XML_GROUP("driver", driver_rows),
        VB_XML_GROUP("tune", tune_rows),
        VB_XML_GROUP("link", link_rows),
        VB_XML_GROUP("mtu", mtu_rows),
        VB_BOOT_ROW,
        VB_ALIAS_ROW,
        VB_ROM_ROW,
        VB_ACPI_ROW,
        VB_ADDRESS_ROW,
        VB_XML_UNBUILT_ATTRIBUTES("managed trustGuestRxFilters"),
        VB_XML_UNBUILT_ELEMENTS("backend coalesce downscript filterref ip portForward route script "
                                "teaming virtualport vlan backenddomain"),
        {},
};

static void tidy_rate(VbBandwidthRate **rate) {
        if (*rate && (*rate)->average == 0)
                g_clear_pointer(rate, g_free);
}

void vb_interface_tidy(VbInterface *interface) {
        if (!interface->bandwidth)
                return;
        tidy_rate(&interface->bandwidth->inbound);
        tidy_rate(&interface->bandwidth->outbound);
        if (!interface->bandwidth->inbound && !interface->bandwidth->outbound)
                g_clear_pointer(&interface->bandwidth, g_free);
}

static int interface_finish(void *item, VbXmlReader *reader) {
        VbInterface *interface = item;

        if (interface->bridge && (strchr(interface->bridge, '/') || interface->bridge[0] == '\0'))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "bridge '%s': not a network interface's name",
                                   interface->bridge);
        if (interface->model &&
            strspn(interface->model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
                    strlen(interface->model))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "model '%s': not a device's name",
                                   interface->model);
        vb_interface_tidy(interface);
        return 0;
}

const VbXmlTable vb_interface_table = { "interface", sizeof(VbInterface), interface_rows, interface_finish };
