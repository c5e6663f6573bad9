/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/manager.h"

#include <string.h>
#include <sys/stat.h>

#include "interfaces/lock-manager1.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bus/settings.h"
#include "lock/record.h"
#include "lock/work.h"

static unsigned hash_process(const void *data) {
        const LockProcess *process = data;

        return (unsigned) process->pid * 31 + (unsigned) process->start_time;
}

static int same_process(const void *a, const void *b) {
        const LockProcess *one = a, *other = b;

        return one->pid == other->pid && one->start_time == other->start_time;
}

static void free_owner(void *owner) {
        lock_owner_free(owner);
}

/* Names and meanings are those of libvirt's qemu-lockd.conf. */
static const VbSetting settings[] = {
        { .key = "file_lockspace_dir",
          .kind = VB_SETTING_PATH,
          .offset = offsetof(LeasePlaces, file),
          .help = "A folder that all hosts share: leases on images are files there, named by the SHA-256 of the image's path. Unset: the "
                  "images themselves are locked." },
        { .key = "lvm_lockspace_dir",
          .kind = VB_SETTING_PATH,
          .offset = offsetof(LeasePlaces, lvm),
          .help = "The same for logical volumes, named by their UUIDs." },
        { .key = "scsi_lockspace_dir",
          .kind = VB_SETTING_PATH,
          .offset = offsetof(LeasePlaces, scsi),
          .help = "The same for SCSI disks, named by what udev knows as ID_SERIAL." },
        {},
};

int lock_manager_load_settings(LockManager *manager, sd_bus_error *reterr) {
        return vb_daemon_load_settings(manager->daemon, (const VbSettingsPart[]){ { settings, &manager->places }, { NULL } }, reterr);
}

int lock_manager_new(LockManager **ret, VbDaemon *daemon) {
        g_autoptr(LockManager) manager = g_new0(LockManager, 1);
        g_autofree char *records = NULL;
        int r;

        manager->daemon = daemon;
        manager->run_dir = g_build_filename(vb_daemon_run_dir(daemon), "lock", NULL);
        manager->owners = g_hash_table_new_full(hash_process, same_process, /* key_destroy_func= */ NULL, free_owner);
        manager->lockspaces = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, /* value_destroy_func= */ NULL);
        g_queue_init(&manager->delayed);
        records = g_build_filename(manager->run_dir, "owners", NULL);
        r = vb_mkdir(records, 0700);
        if (r < 0)
                return vb_log_error_errno(r, "cannot make %s: %m", records);
        *ret = g_steal_pointer(&manager);
        return 0;
}

LockManager *lock_manager_free(LockManager *manager) {
        GHashTableIter iterator;
        LockOwner *owner;

        if (!manager)
                return NULL;
        manager->stopping = true;
        g_hash_table_iter_init(&iterator, manager->owners);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &owner))
                lock_work_forget(owner);
        g_hash_table_unref(manager->owners);
        g_hash_table_unref(manager->lockspaces);
        vb_settings_done(settings, &manager->places);
        g_free(manager->run_dir);
        g_free(manager);
        return NULL;
}

LockOwner *lock_manager_find(LockManager *manager, const LockProcess *key) {
        return g_hash_table_lookup(manager->owners, key);
}

/* Slots */

int lock_manager_take_slot(LockOwner *owner, Lease *lease) {
        LockManager *manager = owner->manager;

        if (manager->n_slots >= LEASES_MAX)
                return -E2BIG;
        while (manager->slots[manager->next_slot])
                manager->next_slot = (manager->next_slot + 1) % LEASES_MAX;
        lease->slot = manager->next_slot;
        return lock_manager_claim_slot(owner, lease->slot);
}

int lock_manager_claim_slot(LockOwner *owner, unsigned slot) {
        LockManager *manager = owner->manager;

        if (slot >= LEASES_MAX)
                return -E2BIG;
        if (manager->slots[slot])
                return -EEXIST;
        manager->slots[slot] = 1;
        manager->n_slots++;
        owner->n_slots++;
        return 0;
}

void lock_manager_free_slot(LockOwner *owner, const Lease *lease) {
        LockManager *manager = owner->manager;

        manager->slots[lease->slot] = 0;
        manager->n_slots--;
        owner->n_slots--;
}

/* Looking */

static bool is_in(const Lease *lease, const char *folder) {
        size_t length = strlen(folder);

        return strncmp(lease->name, folder, length) == 0 && lease->name[length] == '/' && !strchr(lease->name + length + 1, '/');
}

static unsigned count(LockManager *manager, LeaseKind kind, const char *folder) {
        GHashTableIter iterator;
        LockOwner *owner;
        unsigned n = 0;

        g_hash_table_iter_init(&iterator, manager->owners);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &owner))
                for (guint i = 0; i < owner->leases->len; i++) {
                        const Lease *lease = owner->leases->pdata[i];

                        n += (kind == _LEASE_KIND_MAX ? !lease->suspended : lease->kind == kind) && (!folder || is_in(lease, folder));
                }
        return n;
}

unsigned lock_manager_count_leases(LockManager *manager) {
        return count(manager, _LEASE_KIND_MAX, /* folder= */ NULL);
}

unsigned lock_manager_count_in(LockManager *manager, LeaseKind kind, const char *folder) {
        return count(manager, kind, folder);
}

LockOwner *lock_manager_find_holder(LockManager *manager, const Lease *wanted) {
        GHashTableIter iterator;
        LockOwner *owner;

        g_hash_table_iter_init(&iterator, manager->owners);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &owner))
                for (guint i = 0; i < owner->leases->len; i++) {
                        const Lease *lease = owner->leases->pdata[i];

                        if (lease->device == wanted->device && lease->inode == wanted->inode && !lease->suspended &&
                            !(lease->shared && wanted->shared))
                                return owner;
                }
        return NULL;
}

void lock_manager_changed(LockManager *manager) {
        if (!manager->stopping)
                vb_lock_manager1_changed(vb_daemon_root(manager->daemon), VB_LOCK_MANAGER1_LEASES | VB_LOCK_MANAGER1_OWNERS);
}

/* Lockspaces */

bool lock_path_is_good(const char *path) {
        g_auto(GStrv) parts = NULL;

        if (path[0] != '/' || path[1] == '\0')
                return false;
        parts = g_strsplit(path + 1, "/", -1);
        for (char **part = parts; *part; part++)
                if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0 || strlen(*part) > NAME_MAX)
                        return false;
        return true;
}

static int check_folder(const char *path, bool create, sd_bus_error *reterr) {
        struct stat st;
        int r;

        r = create ? vb_mkdir(path, 0700) : stat(path, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
        if (r == -ENOENT || r == -ENOTDIR)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_FILE, "lockspace %s: there is no such folder", path);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "lockspace %s: cannot be made: %s", path, g_strerror(-r));
        return 0;
}

int lock_manager_add_lockspace(LockManager *manager, const char *path, bool create, sd_bus_error *reterr) {
        int r;

        if (!lock_path_is_good(path))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "lockspace '%s': an absolute path without empty parts, '.' and '..' is needed", path);
        if (g_hash_table_contains(manager->lockspaces, path))
                return 0;
        if (g_hash_table_size(manager->lockspaces) >= LOCKSPACES_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "lockspace %s: there are %d already", path, LOCKSPACES_MAX);
        r = check_folder(path, create, reterr);
        if (r < 0)
                return r;
        (void) g_hash_table_add(manager->lockspaces, g_strdup(path));
        r = lock_record_write_lockspaces(manager);
        if (r < 0) {
                (void) g_hash_table_remove(manager->lockspaces, path);
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "lockspace %s: cannot be written down: %s", path, g_strerror(-r));
        }
        return 0;
}

int lock_manager_remove_lockspace(LockManager *manager, const char *path, sd_bus_error *reterr) {
        unsigned n;

        if (!g_hash_table_contains(manager->lockspaces, path))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LOCKSPACE, "'%s' is no lockspace", path);
        n = lock_manager_count_in(manager, LEASE_LOCKSPACE, path);
        if (n > 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "lockspace %s: %u leases in it are held", path, n);
        (void) g_hash_table_remove(manager->lockspaces, path);
        if (lock_record_write_lockspaces(manager) < 0)
                vb_log_warning("lockspace %s: cannot write down that it is none any more", path);
        return 0;
}

bool lock_manager_has_lockspace_of(LockManager *manager, const char *lease_name) {
        g_autofree char *folder = g_path_get_dirname(lease_name);

        return g_hash_table_contains(manager->lockspaces, folder);
}
