/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a daemon has nothing to do any more. It is idle when nobody holds it and nothing has arrived for the
 * timeout; then idle() is called, once. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct VbIdle VbIdle;
typedef struct VbIdleHold VbIdleHold;

/* timeout_usec 0: never idle. */
VB_MUST_USE int vb_idle_new(VbIdle **ret, sd_event *event, uint64_t timeout_usec,
                            void (*idle)(void *userdata), void *userdata);
/* All holds must have been released. */
VbIdle *vb_idle_free(VbIdle *idle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbIdle, vb_idle_free)

/* Something arrived: the timeout begins anew. Cheap. */
void vb_idle_touch(VbIdle *idle);

/* Counted holds, for what comes and goes often; reasons for the log only exist for vb_idle_add(). */
void vb_idle_busy(VbIdle *idle);
void vb_idle_done(VbIdle *idle);

VbIdleHold *vb_idle_add(VbIdle *idle, const char *reason);
VbIdleHold *vb_idle_remove(VbIdleHold *hold);

/* usec 0: never idle. Counts from what has arrived last. */
void vb_idle_set_timeout(VbIdle *idle, uint64_t timeout_usec);

/* From now on idle() is not called any more. */
void vb_idle_stop(VbIdle *idle);

/* How many hold it. */
unsigned vb_idle_count(const VbIdle *idle);
