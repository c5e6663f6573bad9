/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* May a peer do something? root may, and in a session the session's user; of all others polkit is asked, by
 * the unique bus name of who calls, or for a link that speaks for a process by the process's number, start time and user; never by
 * the bare number, which another process could take over.
 *
 * What polkit says is remembered per peer, action and subject until polkit says that something changed (or
 * restarts), except for what was granted for once: after a password, or for a limited time. So a caller who
 * allows asking for a password is first asked about without that: a yes is then one that may be remembered,
 * and only a "challenge" leads to the second, interactive question.
 *
 * Equal questions under way are asked once. When the peer leaves, its questions are withdrawn, and the answer
 * is no. Without polkit, or without its answer in time, the answer is no. */

#include <stdbool.h>

#include "bus/object.h"
#include "bus/peer.h"

typedef struct VbAuthorization VbAuthorization;

typedef enum VbVerdict {
        VB_VERDICT_PENDING, /* the answer follows */
        VB_VERDICT_ALLOWED,
        VB_VERDICT_DENIED,
        VB_VERDICT_CHALLENGE, /* a password would help, and may not be asked for */
        VB_VERDICT_UNAVAILABLE, /* polkit is not there, or does not answer */
} VbVerdict;

/* Embedded by who waits for an answer. Told once, not waiting any more by then; not if the peer leaves. */
typedef struct VbAuthorizationWaiter VbAuthorizationWaiter;
struct VbAuthorizationWaiter {
        void (*answered)(VbAuthorizationWaiter *waiter, VbVerdict verdict);
        struct VbQuestion *question; /* NULL while not waiting */
        VbAuthorizationWaiter *previous, *next;
};

/* session: no polkit; all but this user are refused. */
VbAuthorization *vb_authorization_new(sd_bus *bus, VbPeers *peers, const char *driver, bool session);
VbAuthorization *vb_authorization_free(VbAuthorization *authorization);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbAuthorization, vb_authorization_free)

/* Whether this (known) peer may do everything. */
bool vb_authorization_is_privileged(const VbAuthorization *authorization, const VbPeer *peer);

/* The text that stands for a question, for who must know whether the same one is asked again. */
char *vb_authorization_key(const char *action, const VbSubject *subject);

/* Before a restart (bus/restart.h): takes the match rules back, which are the connection's; they are made again when polkit is next asked. */
void vb_authorization_unwatch(VbAuthorization *authorization);

/* The verdict, if it is known; else PENDING, and the waiter is told. The peer's uid must be known, and it
 * must not be gone. */
VbVerdict vb_authorization_check(VbAuthorization *authorization, VbPeer *peer, const char *action,
                                 const VbSubject *subject, bool interactive, VbAuthorizationWaiter *waiter);

/* The process that this peer, a link, speaks for has ended: nobody is there to be asked for a password, and who waits is told no. */
void vb_authorization_peer_ended(VbAuthorization *authorization, const VbPeer *peer);

/* Waits no more; a question for which nobody waits is withdrawn. No-op if it does not wait. */
void vb_authorization_cancel(VbAuthorizationWaiter *waiter);
