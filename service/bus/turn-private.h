/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call's place in a queue of turns, between call.c and turn.c. */

#include "bus/turn.h"

struct VbTurn {
        VbTurnQueue *queue; /* NULL: it does not wait */
        VbTurns turns;
        GList link;
        sd_event_source *timer;
        uint64_t until; /* from the first time on that it waited */
        bool has_come;
};

VbCall *vb_turn_call(VbTurn *turn);

/* Waits no more. No-op if it does not. */
void vb_turn_leave(VbTurn *turn);
