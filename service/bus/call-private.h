/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call's own state, between its way (call.c) and its rights (call-rights.c). */

#include "bus/authorization.h"
#include "bus/call.h"
#include "bus/peer.h"
#include "bus/turn-private.h"

struct VbCall {
        unsigned n_refs;
        VbDaemon *daemon;
        sd_bus_message *message;
        const VbMethod *method;
        const VbObjectKind *kind;
        void *args;

        GList link; /* among the daemon's calls */
        VbPeer *peer; /* NULL for a public member */
        VbPeerListener known; /* … is waited for */
        VbPeerListener gone; /* … while anything is waited for */
        VbAuthorizationWaiter waiter;
        VbTurn turn;
        char *asked; /* the question that waits */
        GHashTable *granted; /* the questions answered with yes */
        GHashTable *left_out; /* those of vb_call_may() answered with no */
        bool leaves_out; /* the question that waits is vb_call_may()'s */
        unsigned n_asked;
        bool counted; /* among the link's calls under way */
        bool suspended; /* something is waited for, which holds a reference */
        bool entered; /* counted among the user's calls that wait */
        bool checked; /* a handler asked, or said that there is nothing to ask */
        bool replied;
        bool cancelled; /* replied in the handler's place: what it has to say comes too late */
};

/* Something is waited for from now on, which holds a reference. */
void vb_call_suspend(VbCall *call);

/* … which is given up when the caller leaves: then there is nobody to tell. */
void vb_call_suspend_while_there(VbCall *call);

/* Waits for nothing any more. Returns the reference that the waiting held, if there was one. */
VbCall *vb_call_wake(VbCall *call);

/* Begins at its top. */
void vb_call_run(VbCall *call);

/* The same, of one that has waited for its turn. */
void vb_call_run_in_turn(VbCall *call);

/* All that the member and the options given ask for. As vb_call_require(). */
VB_MUST_USE int vb_call_authorize(VbCall *call, VbObject *object, sd_bus_error *reterr);
