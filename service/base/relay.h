/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries bytes between two descriptors, both ways, in the loop: a guest's console and the socket that a client was
 * handed. Buffers are bounded: who does not read stops only the direction towards itself. */

#include <stdbool.h>

#include "base/cleanup.h"

typedef struct VbRelay VbRelay;

/* One side has hung up, or failed with -r; what it had sent before has been delivered as far as the other side
 * took it. Called once, from the loop. May free the relay. */
typedef void (*VbRelayEnded)(VbRelay *relay, int r, void *userdata);

/* Both descriptors are made non-blocking and belong to the relay from now on (also if this fails). They may be sockets,
 * pipes or terminals. */
VB_MUST_USE int vb_relay_new(VbRelay **ret, sd_event *event, int left, int right, VbRelayEnded ended, void *userdata);

/* Whether the right side has hung up, be it that the loop has not noticed yet. What it had said before has then been delivered as far as
 * the left one takes it now, and freeing the relay loses nothing else. */
bool vb_relay_right_has_left(VbRelay *relay);

/* Closes both sides at once; ended() is not called any more. Takes NULL, returns NULL. */
VbRelay *vb_relay_free(VbRelay *relay);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbRelay, vb_relay_free)
