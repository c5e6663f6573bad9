/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Giving up rights, for a process that is to be a user's. Between fork() and execve() these may be called, too. The order is: bounding set, groups,
 * user, capabilities. */

#include <sys/types.h>

#include "base/cleanup.h"

/* With it empty not even a program of root's would give a capability back. -EPERM: that takes CAP_SETPCAP, and nothing was done. */
VB_MUST_USE int vb_drop_bounding_set(void);

/* All ids; -EPERM also if the kernel said yes and any of them still is another. */
VB_MUST_USE int vb_become_user(uid_t uid, gid_t gid);

VB_MUST_USE int vb_drop_capabilities(void);
