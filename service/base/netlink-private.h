/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How requests to rtnetlink are made and sent, for the files that know what they ask for. */

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

#include "base/cleanup.h"

/* One request: header, the family's struct, attributes. All that is asked for fits by far. */
typedef struct VbNetlinkRequest {
        struct nlmsghdr header;
        char rest[2048];
} VbNetlinkRequest;

/* body: struct ifinfomsg, struct tcmsg, … */
void vb_netlink_request_init(VbNetlinkRequest *request, uint16_t type, uint16_t flags, const void *body, size_t size);

struct rtattr *vb_netlink_add(VbNetlinkRequest *request, uint16_t type, const void *data, size_t size);
/* An attribute of attributes: those that are added until its end. */
struct rtattr *vb_netlink_begin(VbNetlinkRequest *request, uint16_t type);
void vb_netlink_end(VbNetlinkRequest *request, struct rtattr *nest);

/* Sends it, and returns the kernel's answer: 0 or a negative errno. */
VB_MUST_USE int vb_netlink_talk(int fd, VbNetlinkRequest *request);
