/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/restart.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "lock/record.h"

/* The file's members:
 *
 *     "defaultLockspace": { "resources": [ … ] }       leases on images, wherever they are
 *     "lockspaces": [ { "directory": "/…", "resources": [ … ] } ]
 *     "owners": [ { "ownerPid": 1722, "ownerId": 6, "ownerName": "f18x86_64", "ownerUUID": "…", … } ]
 *
 * A resource is a lease: name, path, descriptor, whether the lock is held, flags (1: shared), and the pid of its owner. */

/* Saving */

static int save_lease(VbRestart *restart, VbJson *resources, const LockOwner *owner, const Lease *lease) {
        VbJson *object = json_object_new_object(), *owners = json_object_new_array();

        (void) json_object_array_add(resources, object);
        lock_json_put_lease(object, lease);
        (void) json_object_array_add(owners, json_object_new_int(owner->key.pid));
        (void) json_object_object_add(object, "owners", owners);
        vb_restart_put_number(object, "ownerStartTime", owner->key.start_time);
        return vb_restart_put_fd(restart, object, "fd", lease->fd);
}

/* folder NULL: the default lockspace. */
static int save_lockspace(LockManager *manager, VbRestart *restart, VbJson *object, const char *folder) {
        VbJson *resources = json_object_new_array();
        GHashTableIter iterator;
        LockOwner *owner;

        (void) json_object_object_add(object, "resources", resources);
        g_hash_table_iter_init(&iterator, manager->owners);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &owner))
                for (guint i = 0; i < owner->leases->len; i++) {
                        const Lease *lease = owner->leases->pdata[i];
                        g_autofree char *its_folder = g_path_get_dirname(lease->name);
                        int r;

                        if (folder ? !lease->in_lockspace || strcmp(its_folder, folder) != 0 : lease->in_lockspace)
                                continue;
                        r = save_lease(restart, resources, owner, lease);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int lock_restart_save(LockManager *manager, VbRestart *restart, sd_bus_error *reterr) {
        VbJson *root = vb_restart_root(restart), *by_default = json_object_new_object(), *lockspaces = json_object_new_array(),
               *owners = json_object_new_array();
        GHashTableIter iterator;
        const char *folder;
        LockOwner *owner;
        int r;

        (void) json_object_object_add(root, "defaultLockspace", by_default);
        (void) json_object_object_add(root, "lockspaces", lockspaces);
        (void) json_object_object_add(root, "owners", owners);
        r = save_lockspace(manager, restart, by_default, /* folder= */ NULL);
        g_hash_table_iter_init(&iterator, manager->lockspaces);
        while (r >= 0 && g_hash_table_iter_next(&iterator, (void **) &folder, NULL)) {
                VbJson *object = json_object_new_object();

                (void) json_object_array_add(lockspaces, object);
                vb_restart_put_string(object, "directory", folder);
                r = save_lockspace(manager, restart, object, folder);
        }
        g_hash_table_iter_init(&iterator, manager->owners);
        while (r >= 0 && g_hash_table_iter_next(&iterator, NULL, (void **) &owner)) {
                VbJson *object = json_object_new_object();

                (void) json_object_array_add(owners, object);
                lock_json_put_owner(object, owner);
        }
        return r < 0 ? sd_bus_error_set_errnof(reterr, r, "cannot describe what is held: %s", g_strerror(-r)) : 0;
}

/* Loading */

/* An owner that has ended meanwhile is there without a process to watch; so it is left out, and its leases with it. */
static int load_owner(LockManager *manager, VbJson *object, GHashTable *gone, sd_bus_error *reterr) {
        LockOwnerRecord record;
        LockOwner *owner;
        int r;

        r = lock_json_get_owner(object, &record, reterr);
        if (r < 0)
                return r;
        if (lock_manager_find(manager, &record.key)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "process %d is there twice", (int) record.key.pid);
                return -EBADMSG;
        }
        r = lock_owner_new(&owner, manager, &record.key);
        if (r == -ESRCH) {
                (void) g_hash_table_add(gone, GINT_TO_POINTER(record.key.pid));
                return 0;
        }
        return r < 0 ? r : lock_owner_describe(owner, &record.guest, reterr);
}

static int find_owner(LockManager *manager, VbJson *object, GHashTable *gone, LockOwner **ret, sd_bus_error *reterr) {
        VbJson *owners, *pid;
        LockProcess key = {};
        int r;

        r = vb_restart_get_array(object, "owners", 1, &owners, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "ownerStartTime", UINT64_MAX, &key.start_time, reterr);
        if (r < 0)
                return r;
        pid = json_object_array_get_idx(owners, 0);
        key.pid = json_object_is_type(pid, json_type_int) ? json_object_get_int(pid) : 0;
        *ret = lock_manager_find(manager, &key);
        if (!*ret && !g_hash_table_contains(gone, GINT_TO_POINTER(key.pid))) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "a lease belongs to process %d, which is not among the owners",
                                         (int) key.pid);
                return -EBADMSG;
        }
        return 0;
}

static int load_lease(LockManager *manager, VbRestart *restart, VbJson *object, GHashTable *gone, sd_bus_error *reterr) {
        g_autoptr(Lease) lease = NULL;
        char slot[LEASE_SLOT_NAME_SIZE];
        struct stat st;
        LockOwner *owner;
        int r;

        r = lock_json_get_lease(object, &lease, reterr);
        if (r >= 0)
                r = find_owner(manager, object, gone, &owner, reterr);
        if (r >= 0)
                r = vb_restart_take_fd(restart, object, "fd", /* type= */ 0, &lease->fd, reterr);
        if (r < 0)
                return r;
        if (fstat(lease->fd, &st) < 0 || st.st_dev != lease->device || st.st_ino != lease->inode ||
            (owner && lock_manager_claim_slot(owner, lease->slot) < 0)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: its descriptor is not that of the lease, or its slot is taken",
                                         lease->name);
                return -EBADMSG;
        }
        if (owner) {
                vb_store_claim(vb_daemon_store(manager->daemon), lease_slot_name(lease, slot));
                g_ptr_array_add(owner->leases, g_steal_pointer(&lease));
        } else
                lease_give_back(lease);
        return 0;
}

static int load_resources(LockManager *manager, VbRestart *restart, VbJson *lockspace, GHashTable *gone, sd_bus_error *reterr) {
        VbJson *resources, *object;
        int r;

        r = vb_restart_get_array(lockspace, "resources", LEASES_MAX, &resources, reterr);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(resources); i++) {
                r = vb_restart_get_entry(resources, "resources", i, &object, reterr);
                if (r >= 0)
                        r = load_lease(manager, restart, object, gone, reterr);
        }
        return r;
}

static int load_lockspace(LockManager *manager, VbRestart *restart, VbJson *object, GHashTable *gone, sd_bus_error *reterr) {
        const char *folder;
        int r;

        r = vb_restart_get_string(object, "directory", 4096, &folder, reterr);
        if (r < 0)
                return r;
        if (!lock_path_is_good(folder)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is no folder that could be a lockspace", folder);
                return -EBADMSG;
        }
        (void) g_hash_table_add(manager->lockspaces, g_strdup(folder));
        return load_resources(manager, restart, object, gone, reterr);
}

static int load_all(LockManager *manager, VbRestart *restart, sd_bus_error *reterr) {
        g_autoptr(GHashTable) gone = g_hash_table_new(/* hash_func= */ NULL, /* key_equal_func= */ NULL);
        VbJson *root = vb_restart_root(restart), *owners, *by_default, *lockspaces, *object;
        int r;

        r = vb_restart_get_array(root, "owners", LEASES_MAX, &owners, reterr);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(owners); i++) {
                r = vb_restart_get_entry(owners, "owners", i, &object, reterr);
                if (r >= 0)
                        r = load_owner(manager, object, gone, reterr);
        }
        if (r >= 0)
                r = vb_restart_get_object(root, "defaultLockspace", &by_default, reterr);
        if (r >= 0)
                r = load_resources(manager, restart, by_default, gone, reterr);
        if (r >= 0)
                r = vb_restart_get_array(root, "lockspaces", LOCKSPACES_MAX, &lockspaces, reterr);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(lockspaces); i++) {
                r = vb_restart_get_entry(lockspaces, "lockspaces", i, &object, reterr);
                if (r >= 0)
                        r = load_lockspace(manager, restart, object, gone, reterr);
        }
        return r;
}

int lock_restart_load(LockManager *manager, VbRestart *restart, sd_bus_error *reterr) {
        int r;

        r = load_all(manager, restart, reterr);
        if (r < 0) {
                /* Closes duplicates only: what was inherited is still open. */
                g_hash_table_remove_all(manager->owners);
                g_hash_table_remove_all(manager->lockspaces);
        }
        return r;
}
