/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/age.h"

#include <inttypes.h>
#include <time.h>

#include "base/log.h"
#include "log/list.h"

#define DAY_SECONDS (UINT64_C(24) * 3600)

static int remove_if_old(LogManager *manager, const LogName *name, void *userdata) {
        const time_t *oldest = userdata;
        g_auto(LogFiles) files = { .fd = -EBADF };
        int r;

        if (log_manager_find(manager, name))
                return 0;
        log_manager_init_files(manager, &files, name);
        r = log_files_remove_older(&files, *oldest);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot remove what is old of log '%s/%s': %m", files.folder, files.file);
        return 0;
}

static void remove_old(LogManager *manager) {
        static const LogFilter all = { 0 };
        time_t oldest = time(NULL) - (time_t) (manager->settings.max_age_days * DAY_SECONDS);
        int r;

        r = log_list_walk(manager, &all, remove_if_old, &oldest);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot look for old logs: %m");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        log_age_begin(userdata);
        return 0;
}

void log_age_begin(LogManager *manager) {
        int r;

        manager->age_timer = sd_event_source_disable_unref(manager->age_timer);
        if (manager->settings.max_age_days == 0)
                return;
        remove_old(manager);
        r = sd_event_add_time_relative(manager->context.event, &manager->age_timer, CLOCK_BOOTTIME, DAY_SECONDS * 1000000,
                                       /* accuracy= */ UINT64_C(60) * 1000000, on_timer, manager);
        if (r < 0)
                (void) vb_log_warning_errno(r, "old logs are not looked for every day: %m");
}
