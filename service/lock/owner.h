/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who holds leases: a process, which is watched by a pidfd; when it ends, its leases are given back. What is done with them is done one after
 * another (lock/work.h). */

#include "base/process.h"
#include "base/uuid.h"
#include "bus/daemon.h"
#include "lock/lease.h"

typedef struct LockManager LockManager;
typedef struct LockWork LockWork;

/* A process for ever: its number may become another's, but not together with the time of its start. */
typedef struct LockProcess {
        pid_t pid;
        uint64_t start_time; /* clock ticks after boot */
} LockProcess;

typedef struct LockOwner {
        LockManager *manager;
        LockProcess key;

        /* as it was said */
        char *name;
        char uuid[VB_UUID_STRING_SIZE]; /* or "" */
        int32_t id;
        uid_t uid; /* VB_UID_NOBODYS: that of the process */

        /* runtime */
        VbProcess *process;
        VbIdleHold *hold;
        GPtrArray *leases; /* Lease, owned */
        unsigned n_slots; /* leases, those that are worked on included */
        GQueue waiting; /* LockWork; the first is under way */
        bool ended; /* the process */
} LockOwner;

/* What is said of a guest where leases are taken. Strings may be NULL. */
typedef struct LockGuest {
        const char *name, *uuid;
        int32_t id;
        uid_t uid;
        bool has_id, has_uid;
} LockGuest;

/* Which process is meant by the options pid, start-time and process (a pidfd, or -EBADF). */
VB_MUST_USE int lock_process_identify(const char *member, bool has_pid, uint32_t pid, bool has_start_time, uint64_t start_time, int pidfd,
                                      LockProcess *ret, sd_bus_error *reterr);

/* -ESRCH: there is no such process. The manager has it from then on. */
VB_MUST_USE int lock_owner_new(LockOwner **ret, LockManager *manager, const LockProcess *key);
/* No work may be under way. Its leases are closed, not given back. */
LockOwner *lock_owner_free(LockOwner *owner);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LockOwner, lock_owner_free)

VB_MUST_USE int lock_owner_describe(LockOwner *owner, const LockGuest *guest, sd_bus_error *reterr);

/* Whose guest it is, as was said, or else as whom the process runs now; VB_UID_NOBODYS if it has ended. */
uid_t lock_owner_uid(const LockOwner *owner);

/* "domain 'web' (process 12)", to be freed. */
char *lock_owner_to_string(const LockOwner *owner);

Lease *lock_owner_find(LockOwner *owner, const char *name);

/* Something of it has changed: its record is written. Frees it if it has nothing and nothing is to be done. */
void lock_owner_changed(LockOwner *owner);
/* Frees it if it has nothing and nothing is to be done. */
void lock_owner_drop_if_idle(LockOwner *owner);
