/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/host-settings.h"

#include <limits.h>
#include <stddef.h>

#define SECONDS(n) (UINT64_C(n) * 1000000)

VB_STRING_TABLE(vb_host_scope, VbHostScope, _VB_HOST_SCOPE_MAX,
                [VB_HOST_SCOPE_NONE] = "none",
                [VB_HOST_SCOPE_PERSISTENT] = "persistent",
                [VB_HOST_SCOPE_TRANSIENT] = "transient",
                [VB_HOST_SCOPE_ALL] = "all");

#define ROW(k, kind_, field, fallback_, ...) \
        { .key = (k), .kind = (kind_), .offset = offsetof(VbHostSettings, field), .fallback = (fallback_), __VA_ARGS__ }
#define SCOPE(k, field, fallback_, help_) ROW(k, VB_SETTING_WORD, field, fallback_, .words = &vb_host_scope_table, .help = (help_))

/* A session's user waits in front of the screen, and expects no guest that she has not asked for. */
#define ROWS(wait, parallel_, restore_)                                                                                              \
        SCOPE("auto_shutdown_try_save", try_save, "persistent", "Which guests are saved when the host goes down."),                  \
        SCOPE("auto_shutdown_try_shutdown", try_shutdown, "all", "Which guests are then asked to power off."),                       \
        SCOPE("auto_shutdown_poweroff", poweroff, "all", "Which guests are then powered off."),                                      \
        ROW("auto_shutdown_wait", VB_SETTING_DURATION, wait_usec, wait, .min = SECONDS(1), .max = SECONDS(24 * 3600),                                   \
            .help = "How long a guest may take that was asked to power off."),                                                       \
        ROW("auto_shutdown_parallel", VB_SETTING_NUMBER, parallel, parallel_, .max = UINT_MAX,                                       \
            .help = "How many guests are saved or shut down at once; 0 for all."),                                                   \
        ROW("auto_shutdown_restore", VB_SETTING_BOOL, restore, restore_,                                                             \
            .help = "Whether the guests that ran are started once at the next boot."),                                               \
        ROW("auto_save_bypass_cache", VB_SETTING_BOOL, save_bypass_cache, "no",                                                      \
            .help = "Whether guests are saved around the page cache."),                                                              \
        ROW("auto_save_stall", VB_SETTING_DURATION, save_stall_usec, "30", .min = SECONDS(1), .max = SECONDS(3600),                  \
            .help = "How long the saving of a guest may stand still before it is given up."),                                        \
        ROW("auto_start_bypass_cache", VB_SETTING_BOOL, start_bypass_cache, "no",                                                    \
            .help = "Whether saved guests that start with the host are read around the page cache."),                                \
        ROW("auto_start_delay", VB_SETTING_DELAY, start_delay_usec, "0", .max = SECONDS(3600),                                       \
            .help = "Milliseconds between the starts of two guests that start with the host."),                                      \
        ROW("auto_start_sync_time", VB_SETTING_BOOL, start_sync_time, "yes",                                                         \
            .help = "Whether the clock of a guest is set when it goes on from a saved state, or after the host's sleep."),           \
        SCOPE("auto_sleep_pause", sleep_pause, "all", "Which guests are paused while the host sleeps."),                             \
        { .key = NULL }

static const VbSetting system_table[] = { ROWS(/* wait= */ "90", /* parallel= */ "16", /* restore= */ "yes") };
static const VbSetting session_table[] = { ROWS(/* wait= */ "30", /* parallel= */ "4", /* restore= */ "no") };

_Static_assert(sizeof(VbHostScope) == sizeof(int), "a word's number is an int");

const VbSetting *vb_host_settings_table(bool session) {
        return session ? session_table : system_table;
}
