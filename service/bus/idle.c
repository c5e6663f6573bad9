/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/idle.h"

#include <assert.h>
#include <time.h>

#include "base/log.h"

/* The timer is not moved by each message or call: when it fires, it looks whether something has arrived
 * since, or holds us. In that case it stays off until the last hold ends, so that a daemon with a guest wakes
 * up once and then no more. */

struct VbIdleHold {
        VbIdle *idle;
        char *reason;
};

struct VbIdle {
        sd_event *event;
        sd_event_source *timer;
        uint64_t timeout_usec;
        uint64_t last_usec; /* when something arrived */
        unsigned n_held;
        bool stopped;
        void (*idle)(void *userdata);
        void *userdata;
};

static uint64_t now(VbIdle *idle) {
        uint64_t usec = 0;

        (void) sd_event_now(idle->event, CLOCK_MONOTONIC, &usec);
        return usec;
}

static void plan(VbIdle *idle) {
        int r;

        if (idle->timeout_usec == 0)
                return;
        r = sd_event_source_set_time(idle->timer, idle->last_usec + idle->timeout_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(idle->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch for idleness, so the daemon stays: %m");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        VbIdle *idle = userdata;

        if (idle->n_held > 0)
                return 0;
        if (now(idle) < idle->last_usec + idle->timeout_usec)
                plan(idle);
        else
                idle->idle(idle->userdata);
        return 0;
}

int vb_idle_new(VbIdle **ret, sd_event *event, uint64_t timeout_usec, void (*idle)(void *userdata),
                void *userdata) {
        g_autoptr(VbIdle) new = g_new0(VbIdle, 1);
        int r;

        new->event = event;
        new->timeout_usec = timeout_usec;
        new->idle = idle;
        new->userdata = userdata;
        new->last_usec = now(new);
        r = sd_event_add_time(event, &new->timer, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 0, on_timer,
                              new);
        if (r < 0)
                return r;
        /* What has arrived already is served first. */
        r = sd_event_source_set_priority(new->timer, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(new->timer, "idle");
        plan(new);
        *ret = g_steal_pointer(&new);
        return 0;
}

VbIdle *vb_idle_free(VbIdle *idle) {
        if (!idle)
                return NULL;
        assert(idle->n_held == 0);
        sd_event_source_disable_unref(idle->timer);
        g_free(idle);
        return NULL;
}

void vb_idle_set_timeout(VbIdle *idle, uint64_t timeout_usec) {
        if (idle->stopped)
                return;
        idle->timeout_usec = timeout_usec;
        (void) sd_event_source_set_enabled(idle->timer, SD_EVENT_OFF); /* planned when the last hold ends, if there is one */
        if (idle->n_held == 0)
                plan(idle);
}

void vb_idle_touch(VbIdle *idle) {
        idle->last_usec = now(idle);
}

void vb_idle_busy(VbIdle *idle) {
        idle->n_held++;
}

void vb_idle_done(VbIdle *idle) {
        int enabled = SD_EVENT_OFF;

        assert(idle->n_held > 0);
        if (--idle->n_held > 0)
                return;
        vb_idle_touch(idle);
        (void) sd_event_source_get_enabled(idle->timer, &enabled);
        if (enabled == SD_EVENT_OFF)
                plan(idle);
}

VbIdleHold *vb_idle_add(VbIdle *idle, const char *reason) {
        VbIdleHold *hold = g_new0(VbIdleHold, 1);

        hold->idle = idle;
        hold->reason = g_strdup(reason);
        vb_log_debug("stays up for %s", reason);
        vb_idle_busy(idle);
        return hold;
}

VbIdleHold *vb_idle_remove(VbIdleHold *hold) {
        if (!hold)
                return NULL;
        vb_log_debug("need not stay up for %s any more", hold->reason);
        vb_idle_done(hold->idle);
        g_free(hold->reason);
        g_free(hold);
        return NULL;
}

void vb_idle_stop(VbIdle *idle) {
        idle->timeout_usec = 0;
        idle->stopped = true;
        (void) sd_event_source_set_enabled(idle->timer, SD_EVENT_OFF);
}

unsigned vb_idle_count(const VbIdle *idle) {
        return idle->n_held;
}
