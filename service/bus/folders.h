/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a daemon's files are. */

#include <stdbool.h>

#include "base/cleanup.h"

typedef struct VbFolders {
        char *config, *state, *cache, *run, *log;
} VbFolders;

/* The system's, or those of the user's XDG environment. Where VIRTBUS_ROOT is set, the system's lie below it:
 * for tests. */
VB_MUST_USE int vb_folders_init(VbFolders *folders, bool session);
void vb_folders_done(VbFolders *folders);
