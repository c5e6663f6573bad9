/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts what is to start with the host: once in each boot, not whenever the daemon starts. A stamp in /run remembers. */

#include "hypervisor/domain.h"

typedef struct VbAutostart VbAutostart;

VB_MUST_USE int vb_autostart_new(VbAutostart **ret, VbHypervisor *hypervisor);
/* What is being started goes on. Takes NULL, returns NULL. */
VbAutostart *vb_autostart_free(VbAutostart *autostart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbAutostart, vb_autostart_free)

/* If the host has booted since the last time: starts all such domains, a few at a time, from the loop. The daemon is not idle
 * meanwhile. */
VB_MUST_USE int vb_autostart_begin(VbAutostart *autostart);
