/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/trim.h"

#include <malloc.h>

#include "base/log.h"

/* So long after the last work. Guests have started and large replies have been sent by then. */
#define QUIET_USEC (UINT64_C(5) * 1000000)

struct VbTrim {
        sd_event_source *timer;
        bool planned; /* the timer runs */
        bool touched; /* since it was set */
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void plan(VbTrim *trim, sd_event_source *timer) {
        int r;

        trim->touched = false;
        r = sd_event_source_set_time_relative(timer, QUIET_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
        trim->planned = r >= 0;
        if (r < 0)
                (void) vb_log_debug_errno(r, "cannot plan to give memory back: %m");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        VbTrim *trim = userdata;

        trim->planned = false;
        if (trim->touched)
                plan(trim, source);
        else
                (void) malloc_trim(0);
        return 0;
}

void vb_trim_touch(VbTrim *trim) {
        if (!trim)
                return;
        trim->touched = true;
        if (!trim->planned)
                plan(trim, trim->timer);
}

int vb_trim_new(VbTrim **ret, sd_event *event) {
        g_autoptr(VbTrim) trim = g_new0(VbTrim, 1);
        int r;

        r = sd_event_add_time_relative(event, &trim->timer, CLOCK_MONOTONIC, QUIET_USEC, QUIET_USEC / 2, on_timer, trim);
        if (r < 0)
                return r;
        trim->planned = true;
        (void) sd_event_source_set_description(trim->timer, "trim");
        *ret = g_steal_pointer(&trim);
        return 0;
}

VbTrim *vb_trim_free(VbTrim *trim) {
        if (!trim)
                return NULL;
        sd_event_source_disable_unref(trim->timer);
        g_free(trim);
        return NULL;
}
