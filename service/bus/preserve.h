/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bringing what runs to safety before the host goes down: when it begins, and what follows. What it is, the daemon knows
 * (VbDaemonInfo.preserve).
 *
 * While something runs that would be lost (guests; jobs that must not be cut), logind's delay lock is held. It begins
 *
 * - when logind says that a shutdown is being prepared. The lock is given back when all is safe. logind waits for InhibitDelayMaxSec= only; then the
 *   service manager ends the daemon, which goes on until it is done. Where libvirt-guests.service sees to the same guests, it does not begin
 *   yet: that service goes first (its unit is ordered so), and what it leaves is the next case's;
 * - when the service manager ends the daemon, and the host or the session goes down (for who goes round logind). If it does not,
 *   it is a mere stop or restart, and everything is left alone;
 * - when somebody asks: Daemon1.Shutdown with "preserve". */

#include <stdbool.h>

#include "bus/daemon.h"

typedef struct VbPreserve VbPreserve;

VB_MUST_USE int vb_preserve_new(VbPreserve **ret, VbDaemon *daemon);
/* Takes NULL, returns NULL. */
VbPreserve *vb_preserve_free(VbPreserve *preserve);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbPreserve, vb_preserve_free)

/* See vb_inhibitor_unwatch(). */
void vb_preserve_unwatch(VbPreserve *preserve);
void vb_preserve_watch_again(VbPreserve *preserve);

/* One more, or one less, that would be lost; as vb_daemon_hold_shutdown(). Take NULL. */
void vb_preserve_busy(VbPreserve *preserve);
void vb_preserve_done(VbPreserve *preserve);

/* The service manager ends the daemon. true: vb_daemon_quit() follows by itself. */
bool vb_preserve_terminate(VbPreserve *preserve);

/* Somebody wants it, and then the daemon's end: vb_daemon_quit() follows. */
void vb_preserve_and_quit(VbPreserve *preserve);

/* VbDaemonInfo.preserve has done its work. */
void vb_preserve_finished(VbPreserve *preserve);
