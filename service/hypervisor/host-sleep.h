/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guests while the host sleeps. When logind says that it is about to (PrepareForSleep), the guests that run are paused, for the reason
 * "host-sleep", and a delay lock holds the sleep off until they are; when it has woken up, guests that are paused for this reason go on,
 * and their clocks are set. What was paused for another reason, or by a user, is none of it.
 *
 * The reason is in each guest's state file, so a daemon that is started while the host sleeps, or after, lets them go on, too. */

#include "hypervisor/domain.h"

typedef struct VbHostSleep VbHostSleep;

VB_MUST_USE int vb_host_sleep_new(VbHostSleep **ret, VbHypervisor *hypervisor);
/* Guests stay as they are. Takes NULL, returns NULL. */
VbHostSleep *vb_host_sleep_free(VbHostSleep *sleep);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbHostSleep, vb_host_sleep_free)

/* The daemon has taken up the guests that it has found: those that the last one paused go on, unless the host sleeps. */
void vb_host_sleep_begin(VbHostSleep *sleep);

/* There are guests, or no more; or the settings are others. Cheap if nothing changes. */
void vb_host_sleep_update(VbHostSleep *sleep);
