/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns: of several calls that change the same object, each waits for those before it. Which calls do is in the contract
 * (annotation org.virtbus.Turn), or the handler takes its turn itself, where the arguments decide. A call that waits is
 * run again from its top when its turn has come, so nothing that was looked at before counts any more.
 *
 * The queue knows nothing of what is done in a turn; its owner says what is under way, and tells when that has ended. */

#include <stdint.h>

#include "base/cleanup.h"
#include "bus/object.h"

typedef struct VbTurn VbTurn;

enum {
        VB_TURNS_WAITING_MAX = 64, /* calls of one queue */
};

typedef struct VbTurnOwner {
        VbDaemon *daemon;
        const char *noun; /* "domain" */
        /* What is under way: none of the calls that need one of these may go on. ret_what, if anything is: a short name of it
         * that reads on from "domain 'web': ". */
        VbTurns (*busy)(void *userdata, const char **ret_what);
        VbSubject (*describe)(void *userdata);
        void *userdata;
        const uint64_t *turn_timeout_usec; /* how long a call waits; 0: it is refused at once */
} VbTurnOwner;

VbTurnQueue *vb_turn_queue_new(const VbTurnOwner *owner);

/* Who still waits is told that the object has gone. Takes NULL, returns NULL. */
VbTurnQueue *vb_turn_queue_free(VbTurnQueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbTurnQueue, vb_turn_queue_free)

/* Something that was under way has ended: those who wait are looked at, in the order in which they came, in the next turns
 * of the loop. */
void vb_turn_queue_advance(VbTurnQueue *queue);

/* For handlers, as vb_call_require():
 *   1: it is this call's turn.
 *   0: it waits. The handler must change nothing and return 0; it is run again from its top, or the caller is told that it
 *      took too long (Timeout).
 *   negative: too many wait already (LimitExceeded), or nobody may (InvalidState). */
VB_MUST_USE int vb_turn_take(VbTurnQueue *queue, VbCall *call, VbTurns turns, sd_bus_error *reterr);
