/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An operation is a table of steps, each with what undoes it. The runner goes through them as their answers come in;
 * at a failure, a cancel or a time limit it goes back through the undos. Progress, time limits and logging are
 * told here, once.
 *
 * - run() returns a negative errno with reterr filled (then it has left nothing behind, and its own undo is not
 *   called), VB_STEP_DONE, or VB_STEP_PENDING. What is pending ends by vb_operation_step_done(), which may come
 *   at any time, even from within run().
 * - undo() is called in reverse order for each step whose run() returned DONE or PENDING, so also for a step that was under
 *   way when the operation was cancelled, or that failed later: it must cope with half. It returns
 *   VB_STEP_DONE or VB_STEP_PENDING (then vb_operation_undo_done() follows); a failure is logged, and the way back goes on.
 * - Everything happens in the loop: neither vb_operation_start() nor step_done(), undo_done() or cancel() calls anything of the
 *   caller's before it returns. done() is called exactly once, unless the operation is freed before. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct VbOperation VbOperation;

enum { VB_STEP_DONE = 0, VB_STEP_PENDING = 1 };

typedef struct VbStep {
        const char *name;
        int (*run)(VbOperation *operation, void *userdata, sd_bus_error *reterr);
        int (*undo)(VbOperation *operation, void *userdata); /* NULL: nothing to undo */
        uint64_t timeout_usec;                               /* 0: no limit */
} VbStep;

/* r is 0, or negative with error filled. May free the operation. */
typedef void (*VbOperationDone)(VbOperation *operation, int r, const sd_bus_error *error, void *userdata);

typedef struct VbOperationSpec {
        const char *title;   /* reads on from "cannot": "start domain 'web'" */
        const char *object;  /* for the log's DOMAIN= and UUID=; may be NULL */
        const char *uuid;
        const VbStep *steps; /* must outlive the operation: a static table */
        size_t n_steps;
        void (*entered)(VbOperation *operation, const VbStep *step, void *userdata); /* before each run(); may be NULL */
        VbOperationDone done;
        void *userdata;
} VbOperationSpec;

/* Begins in the loop's next turn. */
VB_MUST_USE int vb_operation_start(VbOperation **ret, sd_event *event, const VbOperationSpec *spec);

/* At any time, from any callback. Neither undos nor done() are called any more. Takes NULL, returns NULL. */
VbOperation *vb_operation_free(VbOperation *operation);

/* The pending step has ended: r >= 0 well, r < 0 with error (copied; NULL: made from r). Ignored if no step is pending, as
 * when the answer comes after the time limit. */
void vb_operation_step_done(VbOperation *operation, int r, const sd_bus_error *error);

/* The pending undo has ended. Ignored if none is pending. */
void vb_operation_undo_done(VbOperation *operation, int r);

/* Goes back: "cannot start domain 'web': REASON", with VB_ERROR_CANCELED. Ignored once it goes back already, and after the
 * last step. */
void vb_operation_cancel(VbOperation *operation, const char *reason);

/* The step that runs or is undone; NULL before the first and after the last. */
const VbStep *vb_operation_get_step(const VbOperation *operation);
bool vb_operation_is_undoing(const VbOperation *operation);
const char *vb_operation_get_title(const VbOperation *operation);
void *vb_operation_get_userdata(const VbOperation *operation);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbOperation, vb_operation_free)
