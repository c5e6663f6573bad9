/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* virtlockd over a restart by exec. */

#include "bus/restart.h"
#include "lock/manager.h"

VB_MUST_USE int lock_restart_save(LockManager *manager, VbRestart *restart, sd_bus_error *reterr);

/* All or nothing: what is bad in any part leaves the manager empty. */
VB_MUST_USE int lock_restart_load(LockManager *manager, VbRestart *restart, sd_bus_error *reterr);
