/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a message to the member that it is for, on the bus as on links. All that is right is taken here, by the contract's
 * tables: calls of methods, Properties.Get, GetAll and Set, and GetManagedObjects. What is left (introspection, Peer, and
 * the errors for what does not exist or has wrong arguments) is sd-bus's, whose vtables are made of the same contract. */

#include "bus/call.h"
#include "bus/objects.h"
#include "bus/peer.h"

/* For a connection's filter. peer: who is at the other end of a link; NULL on the bus. Returns what a filter does: 0 leaves the
 * message to sd-bus. */
int vb_dispatch(VbObjects *objects, sd_bus_message *message, VbPeer *peer, sd_bus_error *reterr);
