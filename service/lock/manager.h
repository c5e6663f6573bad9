/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What virtlockd knows: owners with their leases, lockspaces, settings. */

#include "bus/daemon.h"
#include "lock/owner.h"

enum {
        LEASES_MAX = 16384, /* 4096 guests with 4 disks */
        LEASES_PER_OWNER = 1024,
        LEASES_PER_CALL = 256,
        LOCKSPACES_MAX = 256,
};

struct LockManager {
        VbDaemon *daemon;
        char *run_dir; /* records; "/run/virtbus/lock" */
        LeasePlaces places;

        GHashTable *owners; /* LockProcess → LockOwner, owned */
        GHashTable *lockspaces; /* path, a set */
        GQueue delayed; /* LockWork for which there was no thread */
        bool stopping;

        uint8_t slots[LEASES_MAX]; /* taken or not */
        unsigned next_slot, n_slots;
};

VB_MUST_USE int lock_manager_new(LockManager **ret, VbDaemon *daemon);
/* Nothing is given back: it lies in the store, or goes with the process. */
LockManager *lock_manager_free(LockManager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LockManager, lock_manager_free)

VB_MUST_USE int lock_manager_load_settings(LockManager *manager, sd_bus_error *reterr);

LockOwner *lock_manager_find(LockManager *manager, const LockProcess *key);

/* For counting, and the store: each lease has a slot, from before it is taken until it has been given back. -E2BIG: there are no more. */
VB_MUST_USE int lock_manager_take_slot(LockOwner *owner, Lease *lease);
/* This very one; -EEXIST: it is taken. */
VB_MUST_USE int lock_manager_claim_slot(LockOwner *owner, unsigned slot);
void lock_manager_free_slot(LockOwner *owner, const Lease *lease);

unsigned lock_manager_count_leases(LockManager *manager);
/* How many of a kind; of lockspaces: in folder. */
unsigned lock_manager_count_in(LockManager *manager, LeaseKind kind, const char *folder);
/* Who holds what keeps a lease from being taken; NULL: nobody here. */
LockOwner *lock_manager_find_holder(LockManager *manager, const Lease *wanted);

/* Properties have changed. */
void lock_manager_changed(LockManager *manager);

/* Whether the path is absolute, without empty parts, "." and "..". */
bool lock_path_is_good(const char *path);
VB_MUST_USE int lock_manager_add_lockspace(LockManager *manager, const char *path, bool create, sd_bus_error *reterr);
VB_MUST_USE int lock_manager_remove_lockspace(LockManager *manager, const char *path, sd_bus_error *reterr);
bool lock_manager_has_lockspace_of(LockManager *manager, const char *lease_name);
