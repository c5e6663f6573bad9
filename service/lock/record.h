/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the next process must know after a crash: a file for each owner, RUN_DIR/owners/PID-START.json, and one with the lockspaces. Written
 * before a lease is told to be held. They lie in memory, so writing does not wait for a disk. */

#include "bus/restart.h"
#include "lock/manager.h"

VB_MUST_USE int lock_record_write(LockOwner *owner);
void lock_record_remove(LockOwner *owner);
VB_MUST_USE int lock_record_write_lockspaces(LockManager *manager);

/* Takes up what the last process held: its descriptors, which came from the service manager or over exec, by what the records say of them; where
 * there is none, the file itself, if it is still the same one and free. What cannot be had is told in the log. */
VB_MUST_USE int lock_records_load(LockManager *manager, VbDescriptors *descriptors);

/* One lease and one owner as JSON, here and in the state of a restart; without descriptors. */
void lock_json_put_lease(VbJson *object, const Lease *lease);
VB_MUST_USE int lock_json_get_lease(VbJson *object, Lease **ret, sd_bus_error *reterr);
void lock_json_put_owner(VbJson *object, const LockOwner *owner);
typedef struct LockOwnerRecord {
        LockProcess key;
        LockGuest guest; /* strings are the object's */
} LockOwnerRecord;
VB_MUST_USE int lock_json_get_owner(VbJson *object, LockOwnerRecord *ret, sd_bus_error *reterr);
