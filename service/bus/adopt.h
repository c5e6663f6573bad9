/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus connections that outlive an exec. sd-bus cannot take over a socket on which the handshake was done by another process (or by another run
 * of this one). So it does its handshake with a stand-in in this process, over a socket pair; then the real socket is put under the number of
 * the descriptor that it uses. The other end, bus daemon or client, notices nothing: a name stays owned, calls wait in the socket.
 *
 * The one who gives up the connection must have read whole messages only, and have nothing left to write. */

#include <systemd/sd-bus.h>

#include "base/cleanup.h"

/* A connection to a bus, which knows it by unique_name. fd is taken over, also on failure. */
VB_MUST_USE int vb_adopt_bus(sd_bus **ret, int fd, const char *unique_name, const char *description);

/* The serving end of a private connection. prepared is a new bus object, with all set but a descriptor, and not started. */
VB_MUST_USE int vb_adopt_link(sd_bus *prepared, int fd);
