/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links: private connections to this daemon, opened over the bus by Daemon1.OpenLink, on which a call goes without the bus daemon between.
 * Objects, members, rights and errors are those of the bus: both lead to vb_dispatch(), and what is announced goes to the
 * bus and to each link that wants signals, before the reply that follows from it is sent on any of them.
 *
 * For whom a link speaks is said once, when it is opened: for the caller who opened it, with whom it ends, or for a process that root
 * names. Such a link is closed by its other end only; once the process has ended, nothing that polkit would have to be asked about is allowed
 * any more.
 *
 * Bounds: LINKS_MAX in all, LINKS_PER_USER of each user who opens them and is not privileged. While a link has something to
 * write that its reader does not take, it is not read from; so only signals can pile up, and with SIGNALS_QUEUED_MAX of them the
 * link is closed. One that does not end its handshake or a message within HALF_DONE_USEC is closed, too; how large a message can be sd-bus bounds (128 MiB). */

#include "base/cleanup.h"
#include "bus/peer.h"
#include "interfaces/daemon1.h"

typedef struct VbLink VbLink;
typedef struct VbLinks VbLinks;

VB_MUST_USE int vb_links_new(VbLinks **ret, VbDaemon *daemon);
/* Closes all; those with replies still to write get a moment for it. No call may be under way. */
VbLinks *vb_links_free(VbLinks *links);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbLinks, vb_links_free)

/* Takes no more: what has been sent is served, and who sends more is told by the kernel that nobody reads it. Calls under way
 * still get their answers. Links that are opened from now on are born so. */
void vb_links_shut(VbLinks *links);

/* Serves whoever connects to this listening socket and may do everything, by what the kernel says of them (SO_PEERCRED); others are turned
 * away. Takes fd over. The links are as those of OpenLink, without signals, and end with their connection. */
VB_MUST_USE int vb_links_listen(VbLinks *links, int fd);

/* Sends one signal on all links that want signals. */
void vb_links_signal(VbLinks *links, sd_bus_message *message);

/* A reply has been sent on it. What its socket does not take at once is written later. */
void vb_link_replied(VbLink *link);

/* Daemon1.OpenLink */
int vb_links_on_open(VbCall *call, VbObject *object, const VbDaemon1OpenLinkArgs *args, sd_bus_error *reterr);
