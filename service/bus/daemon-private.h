/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this layer know of the daemon, and nobody else. */

#include "bus/authorization.h"
#include "bus/call.h"
#include "bus/daemon.h"
#include "bus/idle.h"
#include "bus/link.h"
#include "bus/peer.h"
#include "bus/preserve.h"

VbPeers *vb_daemon_peers(VbDaemon *daemon);
VbAuthorization *vb_daemon_authorization(VbDaemon *daemon);
VbLinks *vb_daemon_links(VbDaemon *daemon);
const VbDaemonInfo *vb_daemon_info(VbDaemon *daemon);
VbPreserve *vb_daemon_preserve(VbDaemon *daemon);
int vb_daemon_log_level_option(VbDaemon *daemon); /* --log-level; -1: not given */
bool vb_daemon_is_inhibited(VbDaemon *daemon);

bool vb_daemon_is_leaving(VbDaemon *daemon);
int vb_daemon_lock_fd(VbDaemon *daemon);

/* Calls under way. */
unsigned vb_daemon_count_calls(VbDaemon *daemon);
/* Answers all of them with this error. */
void vb_daemon_cancel_calls(VbDaemon *daemon, const char *why);

/* Whether this reply is kept for later, as the daemon is about to restart; peer may be NULL. */
bool vb_daemon_hold_reply(VbDaemon *daemon, sd_bus_message *reply, VbPeer *peer);

/* link is in the call, whose data it points to. */
void vb_daemon_call_began(VbDaemon *daemon, GList *link);
void vb_daemon_call_ended(VbDaemon *daemon, GList *link);

/* SIGHUP and Daemon1.Reload. */
int vb_daemon_reload(VbDaemon *daemon, sd_bus_error *reterr);

/* A message has come that asks for something. */
void vb_daemon_touch(VbDaemon *daemon);

/* Begins a call of method (or property's setter) on object, with the message's arguments still to be read. peer: who calls, where that is
 * known without asking the bus, else NULL. Returns what a filter does. */
int vb_call_dispatch(sd_bus_message *message, VbObject *object, const VbMethod *method, VbPeer *peer,
                     sd_bus_error *reterr);

/* For members that are public, and yet must know who calls. Like vb_call_require(): 1 when it is known, 0 when the handler will be run
 * again. */
VB_MUST_USE int vb_call_identify(VbCall *call, sd_bus_error *reterr);
/* Who calls; not NULL where it is known. */
VbPeer *vb_call_peer(VbCall *call);

/* Answers with an error if there has been no answer, and waits for polkit no more. */
void vb_call_cancel(VbCall *call, const sd_bus_error *error);

/* The interface of every root object, and its handlers. */
extern const VbObjectInterface vb_daemon_root_interface;
