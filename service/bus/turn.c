/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/turn.h"

#include <assert.h>
#include <inttypes.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/call-private.h"
#include "bus/daemon.h"
#include "bus/turn-private.h"

struct VbTurnQueue {
        VbTurnOwner owner;
        GQueue waiting; /* of VbTurn */
        sd_event_source *advance;
};

static VbTurn *first_of(const VbTurnQueue *queue) {
        return queue->waiting.head ? queue->waiting.head->data : NULL;
}

/* Whether a call that needs these has to wait: for what is under way, or for one that came before it (all of them: before NULL). */
static bool must_wait(const VbTurnQueue *queue, VbTurns turns, const VbTurn *before) {
        const char *what = NULL;

        if (queue->owner.busy(queue->owner.userdata, &what) & turns)
                return true;
        for (const GList *l = queue->waiting.head; l && l->data != before; l = l->next)
                if (((const VbTurn *) l->data)->turns & turns)
                        return true;
        return false;
}

/* What is waited for at the moment: what is under way, else the call that goes first. */
static const char *name_cause(const VbTurnQueue *queue) {
        const char *what = NULL;

        (void) queue->owner.busy(queue->owner.userdata, &what);
        if (!what && queue->waiting.head)
                what = vb_call_member(vb_turn_call(first_of(queue)));
        return what ?: "something else";
}

void vb_turn_leave(VbTurn *turn) {
        if (!turn->queue)
                return;
        g_queue_unlink(&turn->queue->waiting, &turn->link);
        turn->timer = sd_event_source_disable_unref(turn->timer);
        /* Others may have waited for this one only. */
        vb_turn_queue_advance(turn->queue);
        turn->queue = NULL;
}

static int on_too_long(sd_event_source *source, uint64_t usec, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbTurn *turn = userdata;
        const VbTurnQueue *queue = turn->queue;
        g_autoptr(VbCall) call = vb_call_ref(vb_turn_call(turn));
        VbSubject subject = queue->owner.describe(queue->owner.userdata);
        int r;

        r = sd_bus_error_setf(&error, VB_ERROR_TIMEOUT, "%s '%s': %s has waited %" PRIu64 " s for its turn, and %s is still under way",
                              queue->owner.noun, subject.name, vb_call_member(call), *queue->owner.turn_timeout_usec / UINT64_C(1000000), name_cause(queue));
        (void) vb_call_fail(call, r, &error);
        return 0;
}

/* One in each turn of the loop: what it begins decides whether the next one may. */
static int on_advance(sd_event_source *source, void *userdata) {
        VbTurnQueue *queue = userdata;

        for (GList *l = queue->waiting.head; l; l = l->next) {
                VbTurn *turn = l->data;

                if (must_wait(queue, turn->turns, turn))
                        continue;
                /* Leaving looks to it that the next one is thought of. The queue may be gone afterwards. */
                vb_call_run_in_turn(vb_turn_call(turn));
                break;
        }
        return 0;
}

VbTurnQueue *vb_turn_queue_new(const VbTurnOwner *owner) {
        VbTurnQueue *queue = g_new(VbTurnQueue, 1);

        *queue = (VbTurnQueue){ .owner = *owner };
        return queue;
}

VbTurnQueue *vb_turn_queue_free(VbTurnQueue *queue) {
        VbTurn *turn;

        if (!queue)
                return NULL;
        while ((turn = first_of(queue))) {
                g_autoptr(VbCall) call = vb_call_ref(vb_turn_call(turn));
                VbSubject subject = queue->owner.describe(queue->owner.userdata);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                int r = sd_bus_error_setf(&error, VB_ERROR_CANCELED, "%s '%s': it has gone", queue->owner.noun, subject.name);

                (void) vb_call_fail(call, r, &error);
        }
        (void) sd_event_source_disable_unref(queue->advance);
        g_free(queue);
        return NULL;
}

void vb_turn_queue_advance(VbTurnQueue *queue) {
        int r = 0;

        if (!queue->waiting.head)
                return;
        if (!queue->advance)
                r = sd_event_add_defer(vb_daemon_event(queue->owner.daemon), &queue->advance, on_advance, queue);
        if (r >= 0)
                r = sd_event_source_set_enabled(queue->advance, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_error_errno(r, "calls that wait for their turn go on waiting: %m");
}

static int refuse(const VbTurnQueue *queue, sd_bus_error *reterr) {
        VbSubject subject = queue->owner.describe(queue->owner.userdata);

        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "%s '%s': %s is under way", queue->owner.noun, subject.name, name_cause(queue));
}

static int join(VbTurnQueue *queue, VbCall *call, VbTurns turns, sd_bus_error *reterr) {
        VbTurn *turn = &call->turn;
        int r;

        if (*queue->owner.turn_timeout_usec == 0)
                return refuse(queue, reterr);
        if (queue->waiting.length >= VB_TURNS_WAITING_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%s '%s': %u calls wait already until %s has ended", queue->owner.noun,
                                         queue->owner.describe(queue->owner.userdata).name, queue->waiting.length, name_cause(queue));
        if (vb_call_is_orphan(call))
                return sd_bus_error_set(reterr, VB_ERROR_CANCELED, "the caller has left the bus");
        if (turn->until == 0)
                turn->until = (uint64_t) g_get_monotonic_time() + *queue->owner.turn_timeout_usec;
        r = sd_event_add_time(vb_daemon_event(queue->owner.daemon), &turn->timer, CLOCK_MONOTONIC, turn->until, /* accuracy= */ 0,
                              on_too_long, turn);
        if (r < 0)
                return r;
        turn->queue = queue;
        turn->turns = turns;
        turn->link.data = turn;
        g_queue_push_tail_link(&queue->waiting, &turn->link);
        vb_call_suspend_while_there(call);
        return 0;
}

int vb_turn_take(VbTurnQueue *queue, VbCall *call, VbTurns turns, sd_bus_error *reterr) {
        assert(!call->turn.queue);

        /* Who was let through goes ahead of those that wait on; but not if meanwhile, while polkit was asked anew, another began. */
        if (!must_wait(queue, turns, call->turn.has_come ? first_of(queue) : NULL))
                return 1;
        return join(queue, call, turns, reterr);
}
