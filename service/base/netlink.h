/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few things virtbus does to network interfaces, by rtnetlink. Each is one request that waits for the kernel's answer, and for
 * the kernel's lock on all networks: not for the loop. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef enum VbMacvlanMode {
        VB_MACVLAN_PRIVATE = 1, /* as linux/if_link.h counts */
        VB_MACVLAN_VEPA = 2,
        VB_MACVLAN_BRIDGE = 4,
        VB_MACVLAN_PASSTHRU = 8,
} VbMacvlanMode;

/* A socket for requests; to be closed. */
VB_MUST_USE int vb_netlink_open(void);

/* What is 0 or NULL stays as it is. */
typedef struct VbLinkChange {
        int ifindex;
        int controller;     /* index of the bridge that it becomes a port of */
        uint32_t mtu;
        const uint8_t *mac; /* 6 bytes */
        const char *alias;  /* what it is for, for people; /sys/class/net/NAME/ifalias */
        const uint32_t *group;
        bool up;
} VbLinkChange;
VB_MUST_USE int vb_netlink_change(int fd, const VbLinkChange *change);

/* Whether ports of a bridge can talk to a port. */
VB_MUST_USE int vb_netlink_isolate_port(int fd, int ifindex, bool isolated);

/* Makes a macvtap interface on lower, down, in a group from the first moment. name may hold "%d". mac: 6 bytes. Returns its index. */
VB_MUST_USE int vb_netlink_add_macvtap(int fd, int lower, const char *name, VbMacvlanMode mode, const uint8_t *mac,
                                       uint32_t group);

/* 0 also if there is none. */
VB_MUST_USE int vb_netlink_remove(int fd, int ifindex);

/* What the host knows of a machine on its networks: which hardware address an address was last seen at. */
typedef struct VbNeighbor {
        int family; /* AF_INET, AF_INET6 */
        int ifindex;
        uint8_t address[16]; /* 4 bytes of it for AF_INET */
        uint8_t mac[6];
} VbNeighbor;

/* Appends those that have answered to an array of VbNeighbor; 65536 at most. */
VB_MUST_USE int vb_netlink_list_neighbors(int fd, GArray *neighbors);
