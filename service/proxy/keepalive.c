/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/keepalive.h"

#include <time.h>

#include "base/log.h"

/* One timer for both. It is not moved by each packet: when it fires, it looks what has come meanwhile. */

#define INTERVAL_USEC (PROXY_KEEPALIVE_INTERVAL_SEC * (uint64_t) G_USEC_PER_SEC)

static uint64_t now(ProxyKeepalive *keepalive) {
        uint64_t usec = 0;

        (void) sd_event_now(sd_event_source_get_event(keepalive->timer), CLOCK_MONOTONIC, &usec);
        return usec;
}

static void plan(ProxyKeepalive *keepalive, uint64_t usec) {
        int r;

        r = sd_event_source_set_time(keepalive->timer, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(keepalive->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch whether a client is still there: %m");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        ProxyKeepalive *keepalive = userdata;
        uint64_t next = keepalive->heard_usec + INTERVAL_USEC;

        if (!keepalive->open)
                keepalive->gone("it has not opened its connection in time", keepalive->userdata);
        else if (now(keepalive) < next)
                plan(keepalive, next);
        else if (keepalive->unanswered >= PROXY_KEEPALIVE_COUNT)
                keepalive->gone("it does not answer keepalive messages", keepalive->userdata);
        else {
                keepalive->unanswered++;
                plan(keepalive, now(keepalive) + INTERVAL_USEC);
                keepalive->ping(keepalive->userdata);
        }
        return 0;
}

int proxy_keepalive_init(ProxyKeepalive *keepalive, sd_event *event) {
        int r;

        /* Many clients' timers may fire together. */
        r = sd_event_add_time_relative(event, &keepalive->timer, CLOCK_MONOTONIC, PROXY_OPEN_WITHIN_SEC * (uint64_t) G_USEC_PER_SEC,
                                       G_USEC_PER_SEC, on_timer, keepalive);
        if (r >= 0)
                (void) sd_event_source_set_description(keepalive->timer, "keepalive");
        return r;
}

void proxy_keepalive_done(ProxyKeepalive *keepalive) {
        keepalive->timer = sd_event_source_disable_unref(keepalive->timer);
}

void proxy_keepalive_opened(ProxyKeepalive *keepalive) {
        keepalive->open = true;
        if (keepalive->pings)
                plan(keepalive, now(keepalive) + INTERVAL_USEC);
        else
                (void) sd_event_source_set_enabled(keepalive->timer, SD_EVENT_OFF);
}

void proxy_keepalive_start(ProxyKeepalive *keepalive) {
        if (keepalive->pings)
                return;
        keepalive->pings = true;
        if (keepalive->open)
                plan(keepalive, now(keepalive) + INTERVAL_USEC);
}

void proxy_keepalive_heard(ProxyKeepalive *keepalive) {
        keepalive->heard_usec = now(keepalive);
        keepalive->unanswered = 0;
}
