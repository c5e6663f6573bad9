/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A delay lock of logind's: holds off the host's shutdown or sleep for as long as logind lets it (InhibitDelayMaxSec=), and tells when
 * one begins. Never waits for logind: a logind that is missing, hangs or is started anew is asked again when it comes. Without one, nothing is
 * held off and nothing is told. */

#include <stdbool.h>

#include "bus/daemon.h"

typedef struct VbInhibitor VbInhibitor;

typedef enum VbInhibitorKind {
        VB_INHIBITOR_SHUTDOWN,
        VB_INHIBITOR_SLEEP,
        _VB_INHIBITOR_KIND_MAX,
} VbInhibitorKind;

/* begins: the host is about to go down, or to sleep. Else it has woken up, or the shutdown was called off. Told also while no lock is wanted.
 * Who holds a lock gives it back by vb_inhibitor_want(…, false) when what had to be done is done. */
typedef void (*VbInhibitorPrepare)(VbInhibitor *inhibitor, bool begins, void *userdata);

/* why: for people, as in `systemd-inhibit --list`: "guests are brought to safety". */
VB_MUST_USE int vb_inhibitor_new(VbInhibitor **ret, VbDaemon *daemon, VbInhibitorKind kind, const char *why,
                                 VbInhibitorPrepare prepare, void *userdata);
/* Gives the lock back. Takes NULL, returns NULL. */
VbInhibitor *vb_inhibitor_free(VbInhibitor *inhibitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbInhibitor, vb_inhibitor_free)

/* Takes the lock, in a while; or gives it back at once. Cheap if nothing changes. */
void vb_inhibitor_want(VbInhibitor *inhibitor, bool want);

/* Before a restart by exec (bus/restart.h): takes the match rules back, which are the connection's; and makes them again, if there is none after all. */
void vb_inhibitor_unwatch(VbInhibitor *inhibitor);
VB_MUST_USE int vb_inhibitor_watch_again(VbInhibitor *inhibitor);

/* Whether logind has given the lock, and it is still held. */
bool vb_inhibitor_is_held(const VbInhibitor *inhibitor);
/* Between prepare(true) and prepare(false). */
bool vb_inhibitor_is_preparing(const VbInhibitor *inhibitor);
