/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs one blocking function beside the loop: reading or syncing a file of the caller's that may lie on a dead network
 * mount. Each work has a thread of its own, as one that hangs must not hold up another; so it is for rare and
 * large work, and the number at once is bounded. Small files of the daemon's own go through base/writer.
 *
 * work must touch nothing but what data points to. If the worker is freed while work runs, the thread finishes in the
 * background and only then frees data. */

#include <stdint.h>

#include "base/cleanup.h"

#define VB_WORKERS_MAX 256

typedef struct VbWorker VbWorker;

/* In the thread. Returns 0 or a negative errno with reterr filled. */
typedef int (*VbWork)(void *data, sd_bus_error *reterr);

/* From the loop, once; data is still owned by the worker. May free the worker. */
typedef void (*VbWorkDone)(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata);

/* data is freed by free_data with the worker or after the work, whichever is later. On failure it is not taken over: -EAGAIN with
 * LimitExceeded if VB_WORKERS_MAX are at work. */
VB_MUST_USE int vb_worker_start(VbWorker **ret, sd_event *event, VbWork work, void *data, GDestroyNotify free_data,
                                VbWorkDone done, void *userdata, sd_bus_error *reterr);

/* done() is not called any more. Takes NULL, returns NULL. */
VbWorker *vb_worker_free(VbWorker *worker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbWorker, vb_worker_free)
