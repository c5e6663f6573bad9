/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A daemon's restart by exec, from both sides: how this run ends, and what it took along from the run before. */

#include "bus/daemon-private.h"

typedef struct VbRestarter VbRestarter;

/* Before anything else is opened. argv: as main() got it. Logs why a state is refused; that is no failure. */
VB_MUST_USE int vb_restarter_new(VbRestarter **ret, VbDaemon *daemon, char **argv);
VbRestarter *vb_restarter_free(VbRestarter *restarter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbRestarter, vb_restarter_free)

/* What was taken along; NULL after vb_restarter_started(). */
VbRestart *vb_restarter_state(VbRestarter *restarter);
VbStore *vb_restarter_store(VbRestarter *restarter);
VbDescriptors *vb_restarter_descriptors(VbRestarter *restarter);

/* The run before's lock, or -ENOENT. */
VB_MUST_USE int vb_restarter_take_lock(VbRestarter *restarter);
/* The run before's connection, or -ENOENT. */
VB_MUST_USE int vb_restarter_take_bus(VbRestarter *restarter, sd_bus **ret);
/* Serves the links and the listening sockets that were taken along, or that the service manager gave. */
VB_MUST_USE int vb_restarter_take_links(VbRestarter *restarter);

/* The daemon has started: closes what nobody took, and hears SIGUSR1. */
VB_MUST_USE int vb_restarter_started(VbRestarter *restarter);

/* Whether this reply is kept until the restart, so that its caller has no reason to call again before. NULL is fine. */
bool vb_restarter_hold_reply(VbRestarter *restarter, sd_bus_message *reply, VbPeer *peer);

/* A call has been answered: what waited for that goes on. NULL is fine. */
void vb_restarter_poke(VbRestarter *restarter);
