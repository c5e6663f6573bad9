/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a client is still there: one that does not open its connection in time is not; later, if it asked for it, one that is silent is
 * pinged, and given up when it does not answer. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum {
        PROXY_OPEN_WITHIN_SEC = 30,
        /* As libvirt's daemon by default. */
        PROXY_KEEPALIVE_INTERVAL_SEC = 5,
        PROXY_KEEPALIVE_COUNT = 5,
};

typedef struct ProxyKeepalive {
        sd_event_source *timer;
        uint64_t heard_usec; /* when anything last came */
        unsigned unanswered;
        bool open, pings;
        void (*ping)(void *userdata);
        void (*gone)(const char *why, void *userdata);
        void *userdata;
} ProxyKeepalive;

/* Waits for the opening. The callbacks and userdata are set. */
VB_MUST_USE int proxy_keepalive_init(ProxyKeepalive *keepalive, sd_event *event);
void proxy_keepalive_done(ProxyKeepalive *keepalive);

/* The connection is open: no hurry any more. */
void proxy_keepalive_opened(ProxyKeepalive *keepalive);
/* From now on it is pinged. */
void proxy_keepalive_start(ProxyKeepalive *keepalive);
/* Something has come, or nothing could, as we do not read. */
void proxy_keepalive_heard(ProxyKeepalive *keepalive);
