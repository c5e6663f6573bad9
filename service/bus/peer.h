/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who calls. A peer is either a connection to the bus, by its unique name, or the other end of a link.
 *
 * Of each connection to the bus that has called a member which is not public we ask the bus once for the uid, and watch
 * for its leaving. The most recently seen ones are kept; one that something still depends on is never dropped while it is
 * connected. Who is at the end of a link is known when the link is opened (bus/link.h).
 *
 * Bounds: the bus allows a connection 256 match rules (dbus-broker) and we need one for each peer; a user who
 * opens many connections must not keep others out. So PEERS_KEPT stay when idle, PEERS_MAX exist in all, and
 * one user has at most PEERS_BUSY_PER_USER with calls that wait and CALLS_WAITING_PER_USER of such calls. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct VbLink VbLink;
typedef struct VbPeer VbPeer;
typedef struct VbPeerListener VbPeerListener;
typedef struct VbPeers VbPeers;

/* Embedded by who waits for something of a peer. Told once, and no longer listening by then; may free
 * anything. */
struct VbPeerListener {
        void (*tell)(VbPeerListener *listener, const sd_bus_error *error);
        VbPeer *peer; /* NULL while not listening */
        VbPeerListener **list;
        VbPeerListener *previous, *next;
};

/* changed() is called when a peer came or left: the idle watch looks anew. */
VbPeers *vb_peers_new(sd_bus *bus, void (*changed)(void *userdata), void *userdata);
VbPeers *vb_peers_free(VbPeers *peers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbPeers, vb_peers_free)

/* How many are connected that have called. */
unsigned vb_peers_count(const VbPeers *peers);

/* The sender of a message that came over the bus, with a reference. Its uid may not be known yet. */
VB_MUST_USE int vb_peers_get(VbPeers *peers, sd_bus_message *message, VbPeer **ret, sd_bus_error *reterr);

/* A connection to the bus by its unique name. */
VB_MUST_USE int vb_peers_get_name(VbPeers *peers, const char *name, VbPeer **ret, sd_bus_error *reterr);

/* Before a restart (bus/restart.h): takes the match rules back, which are the connection's, and would stay. And makes them again, if there
 * is none after all. */
void vb_peers_unwatch(VbPeers *peers);
void vb_peers_watch_again(VbPeers *peers);

VbPeer *vb_peer_ref(VbPeer *peer);
VbPeer *vb_peer_unref(VbPeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbPeer, vb_peer_unref)

/* For whom a link speaks: a connection to the bus (by name), or a process (name NULL). */
typedef struct VbPeerIdentity {
        uid_t uid;
        const char *name;
        pid_t pid;
        uint64_t start_time;
        bool read_only;
} VbPeerIdentity;

/* The other end of a link; known at once. */
VbPeer *vb_peer_new_for_link(VbPeers *peers, VbLink *link, const VbPeerIdentity *identity);
/* The link is closed: those who watch are told. */
void vb_peer_close(VbPeer *peer);
/* The process for which it speaks has ended: its verdicts die with it, and polkit is asked no more. */
void vb_peer_set_ended(VbPeer *peer);
bool vb_peer_is_ended(const VbPeer *peer);

bool vb_peer_is_link(const VbPeer *peer);
VbLink *vb_peer_link(const VbPeer *peer); /* NULL if it is none, or closed */
bool vb_peer_is_read_only(const VbPeer *peer);

/* It has called a member that needs a right, so we stay as long as it is connected. */
void vb_peer_touch(VbPeer *peer);

bool vb_peer_is_known(const VbPeer *peer);
bool vb_peer_is_gone(const VbPeer *peer);
uid_t vb_peer_uid(const VbPeer *peer);
/* What tells it from all other peers that there ever were: its unique name, or a link's number. */
const char *vb_peer_label(const VbPeer *peer);
/* Whom polkit is asked about: the connection of this unique name, or if that is NULL, the process. */
const char *vb_peer_name(const VbPeer *peer);
pid_t vb_peer_pid(const VbPeer *peer);
uint64_t vb_peer_start_time(const VbPeer *peer);

/* What polkit has said about this peer, by question. The authorization's own. */
GHashTable *vb_peer_verdicts(VbPeer *peer);
void vb_peers_forget_verdicts(VbPeers *peers);

/* Tells when the uid is known (error NULL), or cannot be. Not for a peer that is known already. */
void vb_peer_wait(VbPeer *peer, VbPeerListener *listener);
/* Tells when the peer has left. Not for a peer that is gone already. */
void vb_peer_watch(VbPeer *peer, VbPeerListener *listener);
/* No more. No-op if it does not listen. */
void vb_peer_unlisten(VbPeerListener *listener);

/* Counts the calls under way of a link, as the bus does for its connections; LimitExceeded if there are too many. */
VB_MUST_USE int vb_peer_begin_call(VbPeer *peer, sd_bus_error *reterr);
void vb_peer_end_call(VbPeer *peer);

/* Counts a call that begins to wait for polkit; LimitExceeded if the user has too many of them. */
VB_MUST_USE int vb_peer_enter(VbPeer *peer, sd_bus_error *reterr);
void vb_peer_leave(VbPeer *peer);
