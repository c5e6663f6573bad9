/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How logs outlive the daemon. Of each that is open there is a record, /run/virtbus/log/open/ID, and the service manager keeps its pipe under that
 * ID, so that nobody who writes is told that it has been closed, and what was written meanwhile is found in it. Crash and restart by exec
 * are the same here: the next daemon looks for each record's pipe among all that it was given or has inherited. Without a service manager, a
 * crash breaks the pipes. Followers outlive only the restart. */

#include "log/manager.h"

VB_MUST_USE int log_keep(LogManager *manager, Log *log);
void log_forget(LogManager *manager, Log *log);

/* Fails only if the folder of records cannot be used. */
VB_MUST_USE int log_keep_take_up_all(LogManager *manager, sd_bus_error *reterr);

/* VbDaemonInfo.save */
VB_MUST_USE int log_keep_save(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr);
