/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is done with an owner's leases: one after another for each owner, beside the loop. Each takes the leases that it works with out of the owner's list
 * and, in the end, puts back what is still held. */

#include "bus/call.h"
#include "lock/manager.h"

/* Each takes a reference on the call, which may be NULL, and answers it in the end. */

/* leases: taken over. */
void lock_work_acquire(LockOwner *owner, GPtrArray *leases, VbCall *call, const char *state);
/* names: NULL for all. */
void lock_work_release(LockOwner *owner, const char *const *names, VbCall *call);
void lock_work_suspend(LockOwner *owner, VbCall *call);
void lock_work_resume(LockOwner *owner, VbCall *call, const char *state);
void lock_work_transfer(LockOwner *from, LockOwner *to, VbCall *call);

/* Forgets what is waiting and under way, at the daemon's end. */
void lock_work_forget(LockOwner *owner);

/* What was held, for who takes over; to be freed. */
char *lock_state_format(const GPtrArray *leases);
/* Whether all that state names is among leases. */
VB_MUST_USE int lock_state_check(const char *state, const GPtrArray *leases, sd_bus_error *reterr);
