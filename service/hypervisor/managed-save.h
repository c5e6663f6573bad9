/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that ManagedSave leaves, STATE/save/NAME.save, as a daemon finds them when it starts. */

#include "hypervisor/domain.h"

/* Tells the domains that were loaded of theirs, and removes what a save that was cut short left behind. Blocks: only for the daemon's
 * start. */
void vb_managed_saves_load(VbHypervisor *hypervisor);
