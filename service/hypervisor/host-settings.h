/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the administrator wants done with running guests when the host goes down, and with those that are to run when it is up again.
 * Keys and meanings are those of libvirt's qemu.conf, with a few more; docs/administration.md has them all. */

#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"

/* Which guests a step is for. */
typedef enum VbHostScope {
        VB_HOST_SCOPE_NONE = 0,
        VB_HOST_SCOPE_PERSISTENT = 1 << 0, /* guests with a definition on disk */
        VB_HOST_SCOPE_TRANSIENT = 1 << 1,  /* guests that are gone when they are off */
        VB_HOST_SCOPE_ALL = VB_HOST_SCOPE_PERSISTENT | VB_HOST_SCOPE_TRANSIENT,
        _VB_HOST_SCOPE_MAX,
} VbHostScope;
VB_STRING_TABLE_DECLARE(vb_host_scope, VbHostScope);

typedef struct VbHostSettings {
        /* when the host goes down; VbHostScope each */
        int try_save;     /* managed save; of a transient guest never, as nothing could start it again */
        int try_shutdown; /* ask it to power off, and wait */
        int poweroff;     /* pull its plug */
        uint64_t wait_usec;       /* how long a guest that was asked may take */
        uint64_t save_stall_usec; /* how long a save may stand still */
        uint64_t parallel;        /* how many guests at once; 0: all */
        bool restore;             /* what ran is started once at the next boot */
        bool save_bypass_cache;

        /* when the host is up */
        bool start_bypass_cache;
        uint64_t start_delay_usec; /* between the starts of two guests */
        bool start_sync_time;      /* set the clock of a guest that goes on from a saved state, or after the host's sleep */

        /* when the host sleeps; VbHostScope */
        int sleep_pause; /* these stand still meanwhile, and go on by themselves */
} VbHostSettings;

/* The rows for vb_settings_load_parts(). The defaults of a session are others. */
const VbSetting *vb_host_settings_table(bool session);
