/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lock managers: who sees to it that two guests never write to one image. A guest's claims (hypervisor/claims.h) are granted, all or none, between
 * the making of its process and the execution of the emulator; they end with the process, whatever becomes of the daemon.
 *
 * There are three: none; "lockd", which is virtlockd, over the bus; and "sanlock", for clusters, by its library. Which one is a setting. */

#include "base/settings.h"
#include "hypervisor/domain.h"

typedef struct VbLockSettings {
        char *lock_manager;
        bool auto_disk_leases;
        bool require_lease_for_disks;
        bool release_leases_on_pause;
        uint64_t host_id;           /* sanlock */
        char *disk_lease_dir;       /* sanlock */
        uint64_t sanlock_io_timeout; /* µs */
} VbLockSettings;

/* Rows for a driver's table of settings; prefix is where in its struct the VbLockSettings are: offsetof(QemuSettings, locks). */
#define VB_LOCK_SETTING(k, kind_, prefix, field, ...) \
        { .key = (k), .kind = (kind_), .offset = (prefix) + offsetof(VbLockSettings, field), __VA_ARGS__ }
#define VB_LOCK_SETTING_ROWS(prefix)                                                                                            \
        VB_LOCK_SETTING("lock_manager", VB_SETTING_STRING, prefix, lock_manager, .fallback = "lockd",                           \
                        .help = "Who keeps two guests from writing to one image: none, lockd or sanlock."),                     \
        VB_LOCK_SETTING("auto_disk_leases", VB_SETTING_BOOL, prefix, auto_disk_leases, .fallback = "yes",                       \
                        .help = "Whether each disk that a guest writes to is claimed; else only what definitions name as leases."), \
        VB_LOCK_SETTING("require_lease_for_disks", VB_SETTING_BOOL, prefix, require_lease_for_disks, .fallback = "yes",         \
                        .help = "With auto_disk_leases = no: whether a guest that writes to disks must name a lease."),         \
        VB_LOCK_SETTING("release_leases_on_pause", VB_SETTING_BOOL, prefix, release_leases_on_pause, .fallback = "no",          \
                        .help = "Whether a guest that is suspended gives up what it holds until it is resumed."),               \
        VB_LOCK_SETTING("host_id", VB_SETTING_NUMBER, prefix, host_id, .max = 2000,                                             \
                        .help = "sanlock: this host's number, which no other that shares its storage has; 1 to 2000."),         \
        VB_LOCK_SETTING("disk_lease_dir", VB_SETTING_PATH, prefix, disk_lease_dir, .fallback = "/var/lib/virtbus/sanlock",      \
                        .help = "sanlock: the folder, shared by all hosts, in which the leases on disks are kept."),            \
        VB_LOCK_SETTING("sanlock_io_timeout", VB_SETTING_DURATION, prefix, sanlock_io_timeout, .max = 300000000,                \
                        .help = "sanlock: after what time storage that does not answer counts as lost; 0 for sanlock's own.")

/* "lockd"; NULL for NULL. */
const char *vb_lock_manager_name(const VbLockManager *manager);
/* NULL if there is none of this name, or not in this build. */
const VbLockManager *vb_lock_manager_find(const char *name);

/* Finds out what the guest that is about to be started has to claim, and of whom: domain->claims, NULL if nothing. Fails if the lock manager
 * cannot grant that, whoever else wants it. Whoever starts the guest fills in images' descriptors, process and start time. */
VB_MUST_USE int vb_lock_prepare(VbDomain *domain, sd_bus_error *reterr);

/* What the guest's process must do for itself before it changes its user, and is at the gate: VbProcessSpec.enroll. NULL: nothing. */
int (*vb_lock_get_enroll(const VbDomain *domain))(void);

/* One request for all of a domain's claims. Freeing it forgets it: done() is not called any more, and what became of it is not known. */
typedef struct VbLockCall VbLockCall;
VbLockCall *vb_lock_call_free(VbLockCall *call); /* takes NULL, returns NULL */

/* r = 0, or negative with error: of a claim that another holds ResourceBusy, "domain 'web': cannot start: disk vda: …". The domain's LeaseState is
 * what it is by then. Once, from the loop. May free the call, and must in the end. */
typedef void (*VbLockDone)(VbLockCall *call, int r, const sd_bus_error *error, void *userdata);

/* Each returns 1: done() follows. 0: there is nothing to do. Negative, with reterr: it could not be asked.
 *
 * Takes all or none. */
VB_MUST_USE int vb_lock_acquire(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr);
/* Gives all back; a manager that is not there has nothing to be told. Replies when others can have it, or after two seconds. */
VB_MUST_USE int vb_lock_release(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr);
/* Gives all up for a while, if the settings want that of guests that are paused; and takes it again, all or none. From when the first was asked
 * to when the second has succeeded it counts as given up. */
VB_MUST_USE int vb_lock_suspend(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int vb_lock_resume(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbLockCall, vb_lock_call_free)
