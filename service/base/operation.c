/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/operation.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"

/* The runner is a small state machine that only ever moves in its own defer source: what others call
 * (step_done, cancel, …) notes what happened and wakes it. So no callback runs on a caller's stack. */

/* An undo that is asked for nothing but never ends must not hold the object for ever. */
#define UNDO_TIMEOUT_USEC (30 * G_USEC_PER_SEC)

typedef enum OperationState {
        OPERATION_RUN,       /* call the next step */
        OPERATION_WAIT,      /* for step_done() */
        OPERATION_ANSWERED,  /* step_done() was called */
        OPERATION_UNDO,      /* call the next undo */
        OPERATION_UNDO_WAIT, /* for undo_done() */
        OPERATION_UNDONE,    /* undo_done() was called */
        OPERATION_FINISH,    /* call done() */
        OPERATION_OVER,
} OperationState;

struct VbOperation {
        /* configured */
        char *title;
        char *object;
        char *uuid;
        const VbStep *steps;
        size_t n_steps;
        void (*entered)(VbOperation *operation, const VbStep *step, void *userdata);
        VbOperationDone done;
        void *userdata;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while the runner is on the stack */
        bool freed;
        OperationState state;
        size_t current;
        uint64_t step_begin, begin;
        int result;
        sd_bus_error error;

        sd_event *event;
        sd_event_source *wake;
        sd_event_source *timer;
};

static VbOperation *operation_unref(VbOperation *operation) {
        if (--operation->n_ref > 0)
                return NULL;
        sd_event_source_disable_unref(operation->wake);
        sd_event_source_disable_unref(operation->timer);
        sd_event_unref(operation->event);
        sd_bus_error_free(&operation->error);
        g_free(operation->title);
        g_free(operation->object);
        g_free(operation->uuid);
        g_free(operation);
        return NULL;
}
typedef VbOperation OperationRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OperationRef, operation_unref)

static const VbStep *current_step(const VbOperation *operation) {
        return &operation->steps[operation->current];
}

static uint64_t now_usec(void) {
        return (uint64_t) g_get_monotonic_time();
}

static void log_step(VbOperation *operation, const char *what) {
        vb_log_debug_for(VB_LOG_FIELDS(.domain = operation->object, .uuid = operation->uuid, .job = operation->title),
                         "%s: step '%s' %s after %" G_GUINT64_FORMAT " us", operation->title,
                         current_step(operation)->name, what, now_usec() - operation->step_begin);
}

static void wake(VbOperation *operation) {
        if (operation->wake)
                (void) sd_event_source_set_enabled(operation->wake, SD_EVENT_ONESHOT);
}

static void disarm(VbOperation *operation) {
        if (operation->timer)
                (void) sd_event_source_set_enabled(operation->timer, SD_EVENT_OFF);
}

/* The first failure counts; what comes on the way back does not replace it. */
static void fail(VbOperation *operation, int r, const sd_bus_error *error) {
        if (operation->result < 0)
                return;
        operation->result = r;
        if (error && sd_bus_error_is_set(error))
                (void) sd_bus_error_copy(&operation->error, error);
        else
                (void) sd_bus_error_set_errnof(&operation->error, r, "cannot %s: step '%s': %s", operation->title,
                                               current_step(operation)->name, g_strerror(-r));
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        VbOperation *operation = userdata;

        if (operation->state == OPERATION_UNDO_WAIT) {
                vb_log_warning_for(VB_LOG_FIELDS(.domain = operation->object, .uuid = operation->uuid),
                                   "%s: undoing step '%s' did not end in time; going on", operation->title,
                                   current_step(operation)->name);
                operation->state = OPERATION_UNDONE;
        } else if (operation->state == OPERATION_WAIT) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                const VbStep *step = current_step(operation);

                (void) sd_bus_error_setf(&error, VB_ERROR_TIMEOUT, "cannot %s: step '%s': no answer within %.4g s",
                                         operation->title, step->name, (double) step->timeout_usec / G_USEC_PER_SEC);
                fail(operation, -ETIMEDOUT, &error);
                operation->state = OPERATION_UNDO;
        }
        wake(operation);
        return 0;
}

static void arm(VbOperation *operation, uint64_t usec) {
        uint64_t due;
        int r;

        if (usec == 0 || __builtin_add_overflow(now_usec(), usec, &due))
                return;
        if (operation->timer) {
                r = sd_event_source_set_time(operation->timer, due);
                if (r >= 0)
                        r = sd_event_source_set_enabled(operation->timer, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time(operation->event, &operation->timer, CLOCK_MONOTONIC, due,
                                      MIN(usec / 20, 100000u), on_timeout, operation);
        if (r < 0)
                (void) vb_log_warning_errno(r, "%s: no time limit for step '%s': %m", operation->title,
                                            current_step(operation)->name);
}

static void run_step(VbOperation *operation) {
        const VbStep *step = current_step(operation);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        operation->step_begin = now_usec();
        if (operation->entered)
                operation->entered(operation, step, operation->userdata);
        if (operation->freed || operation->state != OPERATION_RUN)
                return; /* entered() cancelled or freed it */

        operation->state = OPERATION_WAIT;
        r = step->run(operation, operation->userdata, &error);
        if (operation->freed)
                return;

        if (r < 0) {
                fail(operation, r, &error);
                log_step(operation, "failed");
                operation->state = operation->current-- > 0 ? OPERATION_UNDO : OPERATION_FINISH;
                return;
        }
        if (operation->state != OPERATION_WAIT)
                return; /* step_done() or cancel() came from within run() */
        if (r == VB_STEP_DONE)
                operation->state = OPERATION_ANSWERED;
        else
                arm(operation, step->timeout_usec);
}

static void take_answer(VbOperation *operation) {
        disarm(operation);
        if (operation->result < 0) {
                log_step(operation, "failed");
                operation->state = OPERATION_UNDO;
                return;
        }
        log_step(operation, "done");
        operation->state = ++operation->current < operation->n_steps ? OPERATION_RUN : OPERATION_FINISH;
}

static void undo_step(VbOperation *operation) {
        const VbStep *step = current_step(operation);
        int r = VB_STEP_DONE;

        disarm(operation);
        operation->step_begin = now_usec();
        operation->state = OPERATION_UNDO_WAIT;
        if (step->undo)
                r = step->undo(operation, operation->userdata);
        if (operation->freed)
                return;
        if (r < 0)
                (void) vb_log_at(LOG_WARNING, r,
                                 VB_LOG_FIELDS(.domain = operation->object, .uuid = operation->uuid),
                                 "%s: undoing step '%s' failed: %m", operation->title, step->name);
        if (operation->state != OPERATION_UNDO_WAIT)
                return;
        if (r == VB_STEP_PENDING)
                arm(operation, UNDO_TIMEOUT_USEC);
        else
                operation->state = OPERATION_UNDONE;
}

static void finish(VbOperation *operation) {
        VbOperationDone done = g_steal_pointer(&operation->done);

        disarm(operation);
        operation->state = OPERATION_OVER;
        vb_log_debug_for(VB_LOG_FIELDS(.domain = operation->object, .uuid = operation->uuid, .job = operation->title),
                         "%s: %s after %" G_GUINT64_FORMAT " us", operation->title,
                         operation->result < 0 ? "failed" : "done", now_usec() - operation->begin);
        if (done)
                done(operation, operation->result, &operation->error, operation->userdata);
}

static int on_wake(sd_event_source *source, void *userdata) {
        g_autoptr(OperationRef) operation = userdata;

        operation->n_ref++;
        while (!operation->freed)
                switch (operation->state) {
                case OPERATION_RUN: run_step(operation); break;
                case OPERATION_ANSWERED: take_answer(operation); break;
                case OPERATION_UNDO: undo_step(operation); break;
                case OPERATION_UNDONE:
                        log_step(operation, "undone");
                        operation->state = operation->current-- > 0 ? OPERATION_UNDO : OPERATION_FINISH;
                        break;
                case OPERATION_FINISH: finish(operation); break;
                case OPERATION_WAIT:
                case OPERATION_UNDO_WAIT:
                case OPERATION_OVER: return 0;
                }
        return 0;
}

int vb_operation_start(VbOperation **ret, sd_event *event, const VbOperationSpec *spec) {
        g_autoptr(OperationRef) operation = NULL;
        int r;

        g_assert(spec->n_steps > 0 && spec->done);
        vb_error_init();
        operation = g_new0(VbOperation, 1);
        *operation = (VbOperation) {
                .title = g_strdup(spec->title),
                .object = g_strdup(spec->object),
                .uuid = g_strdup(spec->uuid),
                .steps = spec->steps,
                .n_steps = spec->n_steps,
                .entered = spec->entered,
                .done = spec->done,
                .userdata = spec->userdata,
                .n_ref = 1,
                .state = OPERATION_RUN,
                .begin = now_usec(),
                .event = sd_event_ref(event),
        };
        r = sd_event_add_defer(event, &operation->wake, on_wake, operation);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&operation);
        return 0;
}

VbOperation *vb_operation_free(VbOperation *operation) {
        if (!operation || operation->freed)
                return NULL;
        operation->freed = true;
        operation->wake = sd_event_source_disable_unref(operation->wake);
        operation->timer = sd_event_source_disable_unref(operation->timer);
        return operation_unref(operation);
}

void vb_operation_step_done(VbOperation *operation, int r, const sd_bus_error *error) {
        if (operation->freed || operation->state != OPERATION_WAIT)
                return;
        if (r < 0)
                fail(operation, r, error);
        operation->state = OPERATION_ANSWERED;
        wake(operation);
}

void vb_operation_undo_done(VbOperation *operation, int r) {
        if (operation->freed || operation->state != OPERATION_UNDO_WAIT)
                return;
        if (r < 0)
                (void) vb_log_at(LOG_WARNING, r,
                                 VB_LOG_FIELDS(.domain = operation->object, .uuid = operation->uuid),
                                 "%s: undoing step '%s' failed: %m", operation->title,
                                 current_step(operation)->name);
        operation->state = OPERATION_UNDONE;
        disarm(operation);
        wake(operation);
}

void vb_operation_cancel(VbOperation *operation, const char *reason) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (operation->freed || operation->result < 0 || operation->state >= OPERATION_UNDO)
                return;
        (void) sd_bus_error_setf(&error, VB_ERROR_CANCELED, "cannot %s: %s", operation->title, reason);
        fail(operation, -ECANCELED, &error);
        disarm(operation);

        if (operation->state == OPERATION_RUN)
                /* The next step was not entered: back from the one before, if there is one. */
                operation->state = operation->current-- > 0 ? OPERATION_UNDO : OPERATION_FINISH;
        else
                operation->state = OPERATION_UNDO;
        wake(operation);
}

const VbStep *vb_operation_get_step(const VbOperation *operation) {
        switch (operation->state) {
        case OPERATION_FINISH:
        case OPERATION_OVER: return NULL;
        default: return operation->current < operation->n_steps ? current_step(operation) : NULL;
        }
}

bool vb_operation_is_undoing(const VbOperation *operation) {
        return operation->state == OPERATION_UNDO || operation->state == OPERATION_UNDO_WAIT ||
               operation->state == OPERATION_UNDONE;
}

const char *vb_operation_get_title(const VbOperation *operation) {
        return operation->title;
}

void *vb_operation_get_userdata(const VbOperation *operation) {
        return operation->userdata;
}
