/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* <interface>: network cards and what they are plugged into. */

#include "model/device.h"

typedef enum __attribute__((packed)) VbInterfaceType {
        VB_INTERFACE_ABSENT,
        VB_INTERFACE_USER,
        VB_INTERFACE_ETHERNET,
        VB_INTERFACE_BRIDGE,
        VB_INTERFACE_DIRECT,
        VB_INTERFACE_TYPE_MAX,
} VbInterfaceType;
VB_STRING_TABLE_DECLARE(vb_interface_type, VbInterfaceType);

typedef enum __attribute__((packed)) VbInterfaceMode {
        VB_INTERFACE_MODE_ABSENT,
        VB_INTERFACE_MODE_VEPA,
        VB_INTERFACE_MODE_PRIVATE,
        VB_INTERFACE_MODE_BRIDGE,
        VB_INTERFACE_MODE_PASSTHROUGH,
        VB_INTERFACE_MODE_MAX,
} VbInterfaceMode;
VB_STRING_TABLE_DECLARE(vb_interface_mode, VbInterfaceMode);

typedef enum __attribute__((packed)) VbLinkState {
        VB_LINK_STATE_ABSENT, /* up */
        VB_LINK_STATE_UP,
        VB_LINK_STATE_DOWN,
        VB_LINK_STATE_MAX,
} VbLinkState;
VB_STRING_TABLE_DECLARE(vb_link_state, VbLinkState);

typedef enum __attribute__((packed)) VbNetDriver {
        VB_NET_DRIVER_ABSENT, /* vhost if the host has it */
        VB_NET_DRIVER_QEMU,
        VB_NET_DRIVER_VHOST,
        VB_NET_DRIVER_MAX,
} VbNetDriver;
VB_STRING_TABLE_DECLARE(vb_net_driver, VbNetDriver);

typedef enum __attribute__((packed)) VbNetTxmode {
        VB_NET_TXMODE_ABSENT,
        VB_NET_TXMODE_IOTHREAD, /* a bottom half */
        VB_NET_TXMODE_TIMER,
        VB_NET_TXMODE_MAX,
} VbNetTxmode;
VB_STRING_TABLE_DECLARE(vb_net_txmode, VbNetTxmode);

typedef enum __attribute__((packed)) VbIpFamily {
        VB_IP_FAMILY_ABSENT, /* ipv4 */
        VB_IP_FAMILY_IPV4,
        VB_IP_FAMILY_IPV6,
        VB_IP_FAMILY_MAX,
} VbIpFamily;
VB_STRING_TABLE_DECLARE(vb_ip_family, VbIpFamily);

/* An address the guest shall see, of type user. */
typedef struct VbInterfaceIp {
        char *address;
        VbIpFamily family;
        VbOptUint prefix;
} VbInterfaceIp;

/* Offloads of virtio-net, <host> and <guest> below <driver>. */
typedef struct VbInterfaceOffloads {
        VbTristate csum;
        VbTristate gso;
        VbTristate tso4;
        VbTristate tso6;
        VbTristate ecn;
        VbTristate ufo;
        VbTristate mrg_rxbuf; /* host only */
} VbInterfaceOffloads;

/* One direction of <bandwidth>. */
typedef struct VbBandwidthRate {
        uint32_t average; /* kilobytes (1000 bytes) in a second; 0: no limit */
        uint32_t peak;    /* the same, for a burst */
        uint32_t floor;   /* the same, that is sure; only on networks that are shared out, of what comes in */
        uint32_t burst;   /* KiB */
} VbBandwidthRate;

typedef struct VbBandwidth {
        VbBandwidthRate *inbound;  /* what the guest receives; or NULL */
        VbBandwidthRate *outbound; /* … and sends */
} VbBandwidth;

typedef struct VbInterface {
        VbDeviceInfo info;

        VbInterfaceType type;
        VbMac mac; /* always set after vb_domain_definition_complete() */

        char *bridge;     /* type bridge */
        char *source_dev; /* type direct */
        VbInterfaceMode source_mode;
        VbBandwidth *bandwidth;     /* or NULL */
        VB_LIST(VbInterfaceIp) ips; /* type user */

        char *target;             /* the host's side: "vnet0"; names that the daemon chose are live only */
        VbTristate target_managed; /* type ethernet: no if target exists already */
        char *guest_dev;
        char *model; /* "virtio", "e1000e", … whatever QEMU has as network device */

        /* <driver> */
        VbNetDriver driver_name;
        VbNetTxmode txmode;
        VbTristate ioeventfd;
        VbTristate event_idx;
        uint32_t queues;
        uint32_t rx_queue_size;
        uint32_t tx_queue_size;
        VbVirtioOptions virtio;
        VbInterfaceOffloads *host_offloads;  /* or NULL */
        VbInterfaceOffloads *guest_offloads; /* or NULL */

        VbLinkState link;
        VbTristate port_isolated; /* type bridge */
        uint32_t mtu;             /* 0: not given */
        VbOptUint sndbuf;
} VbInterface;

/* Takes away what of <bandwidth> limits nothing. */
void vb_interface_tidy(VbInterface *interface);

/* Whether a card is plugged into the host's networks, where its traffic can be limited; of the others <bandwidth> is kept, as libvirt
 * does, and no more. */
static inline bool vb_interface_has_host_side(const VbInterface *interface) {
        return interface->type != VB_INTERFACE_USER;
}
