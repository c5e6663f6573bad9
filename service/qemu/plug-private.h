/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What making macvtaps and removing them share. */

#include <stdint.h>
#include <sys/types.h>

#include "base/uuid.h"

/* The group that a macvtap of this host's is in until it is marked; 0: the host cannot tell its own. */
uint32_t qemu_macvtap_group(void);
/* Says whose it is, and takes it out of the group. */
VB_MUST_USE int qemu_macvtap_mark(int netlink, int ifindex, const VbUuid *uuid);

/* The number of a macvtap's device file. -ENOENT if the interface is none. */
VB_MUST_USE int qemu_macvtap_device(const char *name, int ifindex, dev_t *ret);
/* A failure is logged. */
void qemu_macvtap_remove(int netlink, int ifindex, const char *name);
