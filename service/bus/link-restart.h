/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links and listening sockets over a restart (bus/restart.h). */

#include "bus/link.h"
#include "bus/restart.h"

/* Whether each link has been read up to the end of a message, and has nothing left to write. */
bool vb_links_at_rest(const VbLinks *links);

/* Puts the listening sockets, and the links that are at rest. */
VB_MUST_USE int vb_links_save(VbLinks *links, VbRestart *restart, VbJson *server);

/* Serves them again. One that cannot be is closed, and the log says why. */
void vb_links_restore(VbLinks *links, VbRestart *restart, VbJson *server);
