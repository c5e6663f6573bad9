/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A Job1 object: long work with progress, that can be cancelled. It exists from vb_job_new() to vb_job_end().
 *
 * At the end: change the object's state, vb_job_end(), then reply. The client hears of the changes, then of
 * the job's removal, then the reply. */

#include <stdint.h>

#include "bus/call.h"

typedef struct VbJob VbJob;

/* Asks the work to end early; it still ends by vb_job_end(), now or later. -EBUSY with reterr filled if it
 * cannot be cancelled now. */
typedef int (*VbJobCancel)(VbJob *job, void *userdata, sd_bus_error *reterr);

/* operation: "save". call: who asked for it; NULL for the daemon itself. cancel: NULL if it cannot be
 * cancelled. Never fails but for too many jobs (LimitExceeded). */
VB_MUST_USE int vb_job_new(VbJob **ret, VbDaemon *daemon, const char *operation, VbObject *object,
                           VbCall *call, VbJobCancel cancel, void *userdata, sd_bus_error *reterr);

/* Announced at most every 100 ms. total 0: not known. */
void vb_job_set_progress(VbJob *job, uint64_t bytes_done, uint64_t bytes_total);
/* For what is not measured in bytes: 0 to 1, or -1. */
void vb_job_set_fraction(VbJob *job, double fraction);
/* The work goes on, although the figures do not show it: what has been written is being synced, say. */
void vb_job_note_move(VbJob *job);
/* From which point on it is too late to cancel. */
void vb_job_set_cancelable(VbJob *job, bool cancelable);

/* As Job1.Cancel does: -EBUSY with reterr filled if it cannot be cancelled now. */
VB_MUST_USE int vb_job_cancel(VbJob *job, sd_bus_error *reterr);

/* How far it is, and since when (CLOCK_REALTIME). */
typedef struct VbJobFigures {
        const char *operation;
        uint64_t started_usec, bytes_done, bytes_total;
        uint64_t moves; /* grows with every sign that the work goes on */
} VbJobFigures;
VbJobFigures vb_job_figures(const VbJob *job);

/* For the Job property of what it works on: the path, or "/" for NULL. */
const char *vb_job_path(const VbJob *job);

/* Removes the object and frees it. Takes NULL, returns NULL. */
VbJob *vb_job_end(VbJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbJob, vb_job_end)
