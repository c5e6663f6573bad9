/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gives memory back to the system when the daemon has become quiet. What an emulator says about itself, a thousand definitions or
 * a reply about all domains leave megabytes of free heap behind, which libc keeps for a busier time; but a daemon is quiet
 * for most of its life. Wakes the loop once after the last work, and never while nothing happens. */

#include "base/cleanup.h"

typedef struct VbTrim VbTrim;

VB_MUST_USE int vb_trim_new(VbTrim **ret, sd_event *event);

/* Takes NULL, returns NULL. */
VbTrim *vb_trim_free(VbTrim *trim);

/* Something is being done. Cheap; takes NULL. */
void vb_trim_touch(VbTrim *trim);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbTrim, vb_trim_free)
