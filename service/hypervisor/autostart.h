/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts what is to start with the host: once in each boot, not whenever the daemon starts.
 *
 * The list of what is still to be started is in RUN/autostarted, which a boot removes (units/tmpfiles.conf, where /run stays): a daemon that finds no such file makes the list, one
 * that finds it goes on where the last one was. A guest stays in it until its start has ended, and its mark for the next boot
 * (AutostartOnce) is gone from the disk; so neither a killed daemon nor a power cut loses one. A guest with whose start the
 * daemon has ended twice is not tried again.
 *
 * The order is that of hypervisor/start-order.h. A few are started at once; with a delay (auto_start_delay), one after the other. Who takes
 * very long holds up the others no more. A start that fails costs that guest only; its saved state stays. */

#include "hypervisor/domain.h"

typedef struct VbAutostart VbAutostart;

VB_MUST_USE int vb_autostart_new(VbAutostart **ret, VbHypervisor *hypervisor);
/* What is being started is for the next daemon to take up. Takes NULL, returns NULL. */
VbAutostart *vb_autostart_free(VbAutostart *autostart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbAutostart, vb_autostart_free)

/* If the host has booted since the last time, or the last daemon was not done: starts such domains, from the loop. The daemon is not idle
 * meanwhile. */
VB_MUST_USE int vb_autostart_begin(VbAutostart *autostart);

/* While the host goes down, nothing more is started. It stays up after all: goes on. */
void vb_autostart_go_on(VbAutostart *autostart);
