/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

enum {
        RECORD_MAX = 16 * 1024 * 1024,
        NAME_BYTES_MAX = 4096,
        FORMAT = 1,
};

/* JSON */

void lock_json_put_lease(VbJson *object, const Lease *lease) {
        vb_restart_put_string(object, "name", lease->name);
        vb_restart_put_string(object, "path", lease->path);
        vb_restart_put_string(object, "kind", lease_kind_to_string(lease->kind));
        vb_restart_put_bool(object, "lockHeld", !lease->suspended);
        vb_restart_put_number(object, "flags", lease->shared ? 1 : 0);
        vb_restart_put_bool(object, "created", lease->created);
        vb_restart_put_number(object, "device", lease->device);
        vb_restart_put_number(object, "inode", lease->inode);
        vb_restart_put_number(object, "slot", lease->slot);
}

int lock_json_get_lease(VbJson *object, Lease **ret, sd_bus_error *reterr) {
        uint64_t flags, device, inode, slot;
        const char *name, *path, *word;
        g_autoptr(Lease) lease = NULL;
        bool held, created;
        int kind, r;

        r = vb_restart_get_string(object, "name", NAME_BYTES_MAX, &name, reterr);
        if (r >= 0)
                r = vb_restart_get_string(object, "path", NAME_BYTES_MAX, &path, reterr);
        if (r >= 0)
                r = vb_restart_get_string(object, "kind", 16, &word, reterr);
        if (r >= 0)
                r = vb_restart_get_bool(object, "lockHeld", &held, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "flags", 1, &flags, reterr);
        if (r >= 0)
                r = vb_restart_get_bool(object, "created", &created, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "device", UINT64_MAX, &device, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "inode", UINT64_MAX, &inode, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "slot", LEASES_MAX - 1, &slot, reterr);
        if (r < 0)
                return r;
        kind = lease_kind_from_string(word);
        if (kind < 0 || !lock_path_is_good(path)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'kind' is '%s' and 'path' is '%s', which no lease has", word, path);
                return -EBADMSG;
        }
        lease = lease_new(name, /* shared= */ flags == 1);
        lease->kind = (LeaseKind) kind;
        lease->in_lockspace = kind == LEASE_LOCKSPACE;
        lease->path = g_strdup(path);
        lease->suspended = !held;
        lease->created = created;
        lease->device = (dev_t) device;
        lease->inode = (ino_t) inode;
        lease->slot = (unsigned) slot;
        *ret = g_steal_pointer(&lease);
        return 0;
}

void lock_json_put_owner(VbJson *object, const LockOwner *owner) {
        vb_restart_put_number(object, "ownerPid", (uint64_t) owner->key.pid);
        vb_restart_put_number(object, "ownerStartTime", owner->key.start_time);
        (void) json_object_object_add(object, "ownerId", json_object_new_int(owner->id));
        vb_restart_put_string(object, "ownerName", owner->name);
        vb_restart_put_string(object, "ownerUUID", owner->uuid);
        vb_restart_put_number(object, "ownerUid", owner->uid);
}

int lock_json_get_owner(VbJson *object, LockOwnerRecord *ret, sd_bus_error *reterr) {
        LockOwnerRecord record = { .guest = { .has_id = true, .has_uid = true } };
        uint64_t pid, uid;
        VbJson *id;
        int r;

        r = vb_restart_get_number(object, "ownerPid", INT32_MAX, &pid, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "ownerStartTime", UINT64_MAX, &record.key.start_time, reterr);
        if (r >= 0)
                r = vb_restart_get_string(object, "ownerName", NAME_BYTES_MAX, &record.guest.name, reterr);
        if (r >= 0)
                r = vb_restart_get_string(object, "ownerUUID", VB_UUID_STRING_SIZE - 1, &record.guest.uuid, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "ownerUid", UINT32_MAX, &uid, reterr);
        if (r < 0)
                return r;
        if (pid == 0 || !json_object_object_get_ex(object, "ownerId", &id) || !json_object_is_type(id, json_type_int)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'ownerPid' or 'ownerId' is not a number of sane size");
                return -EBADMSG;
        }
        record.key.pid = (pid_t) pid;
        record.guest.id = json_object_get_int(id);
        record.guest.uid = (uid_t) uid;
        *ret = record;
        return 0;
}

/* Writing */

static int write_json(VbJson *json, const char *path) {
        const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        return text ? vb_file_write(path, text, strlen(text), 0600) : -ENOMEM;
}

static char *record_path(const LockOwner *owner) {
        return g_strdup_printf("%s/owners/%d-%" PRIu64 ".json", owner->manager->run_dir, (int) owner->key.pid, owner->key.start_time);
}

int lock_record_write(LockOwner *owner) {
        g_autoptr(VbJson) root = json_object_new_object();
        g_autofree char *path = record_path(owner);
        VbJson *leases = json_object_new_array();

        vb_restart_put_number(root, "format", FORMAT);
        lock_json_put_owner(root, owner);
        (void) json_object_object_add(root, "leases", leases);
        for (guint i = 0; i < owner->leases->len; i++) {
                VbJson *object = json_object_new_object();

                lock_json_put_lease(object, owner->leases->pdata[i]);
                (void) json_object_array_add(leases, object);
        }
        return write_json(root, path);
}

void lock_record_remove(LockOwner *owner) {
        g_autofree char *path = record_path(owner);

        if (unlink(path) < 0 && errno != ENOENT)
                (void) vb_log_warning_errno(errno, "cannot remove %s: %m", path);
}

int lock_record_write_lockspaces(LockManager *manager) {
        g_autofree char *path = g_build_filename(manager->run_dir, "lockspaces.json", NULL);
        g_autoptr(VbJson) root = json_object_new_object();
        VbJson *array = json_object_new_array();
        GHashTableIter iterator;
        const char *folder;

        vb_restart_put_number(root, "format", FORMAT);
        (void) json_object_object_add(root, "lockspaces", array);
        g_hash_table_iter_init(&iterator, manager->lockspaces);
        while (g_hash_table_iter_next(&iterator, (void **) &folder, NULL)) {
                VbJson *object = json_object_new_object();

                vb_restart_put_string(object, "directory", folder);
                (void) json_object_array_add(array, object);
        }
        return write_json(root, path);
}

/* Reading */

static int read_json(const char *path, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *text = NULL;
        g_autoptr(VbJson) root = NULL;
        uint64_t format;
        int r;

        r = vb_file_read(AT_FDCWD, path, RECORD_MAX, &text, /* ret_size= */ NULL);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot be read: %s", g_strerror(-r));
        root = json_tokener_parse(text);
        r = vb_restart_get_number(root, "format", FORMAT, &format, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&root);
        return 0;
}

/* By its name in the store, or by its file; the one must be the other. */
static int find_descriptor(Lease *lease, VbDescriptors *descriptors, bool *ret_stored) {
        char slot[LEASE_SLOT_NAME_SIZE];
        vb_autofd fd = -EBADF;
        struct stat st;

        fd = vb_descriptors_take_name(descriptors, lease_slot_name(lease, slot));
        *ret_stored = fd >= 0 && fstat(fd, &st) >= 0 && st.st_dev == lease->device && st.st_ino == lease->inode;
        if (*ret_stored)
                return vb_steal_fd(&fd);
        if (fd >= 0)
                vb_log_warning("what the service manager kept as %s is not the lease on %s", slot, lease->name);
        return vb_descriptors_take_file(descriptors, lease->device, lease->inode);
}

static int take_up_lease(LockOwner *owner, VbJson *object, VbDescriptors *descriptors) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const VbLogFields fields = { .domain = owner->name, .uuid = owner->uuid };
        g_autofree char *who = lock_owner_to_string(owner);
        g_autoptr(Lease) lease = NULL;
        char slot[LEASE_SLOT_NAME_SIZE];
        bool stored, was_kept;
        int r;

        r = lock_json_get_lease(object, &lease, &error);
        if (r < 0) {
                vb_log_error_for(&fields, "a lease of %s is lost: %s", who, error.message);
                return r;
        }
        lease->fd = find_descriptor(lease, descriptors, &stored);
        was_kept = lease->fd >= 0;
        r = lease_retake(lease);
        if (r >= 0)
                r = lock_manager_claim_slot(owner, lease->slot);
        if (r < 0) {
                vb_log_error_for(&fields, "%s: the lease of %s is lost: %s", lease->name, who,
                                 r == -EBUSY ? "another has taken it" : g_strerror(-r));
                if (stored && r != -EEXIST)
                        vb_store_remove(vb_daemon_store(owner->manager->daemon), lease_slot_name(lease, slot));
                return r;
        }
        if (!was_kept)
                vb_log_warning_for(&fields, "%s: the lease of %s was not kept over the end of the last daemon, and has been taken again",
                                   lease->name, who);
        r = stored ? 0 : vb_store_add(vb_daemon_store(owner->manager->daemon), lease_slot_name(lease, slot), lease->fd);
        if (r < 0)
                (void) vb_log_error_errno(r, "%s: cannot give its lock to the service manager; a crash would lose it: %m", lease->name);
        g_ptr_array_add(owner->leases, g_steal_pointer(&lease));
        return 0;
}

/* -ESRCH: the process has ended meanwhile; what it had is let go. */
static int take_up_owner(LockManager *manager, const char *path, VbDescriptors *descriptors, sd_bus_error *reterr) {
        g_autoptr(LockOwner) owner = NULL;
        g_autoptr(VbJson) root = NULL;
        VbJson *leases, *object;
        LockOwnerRecord record;
        unsigned lost = 0;
        int r;

        r = read_json(path, &root, reterr);
        if (r >= 0)
                r = lock_json_get_owner(root, &record, reterr);
        if (r >= 0)
                r = vb_restart_get_array(root, "leases", LEASES_PER_OWNER, &leases, reterr);
        if (r < 0)
                return r;
        if (lock_manager_find(manager, &record.key))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "process %d has another record", (int) record.key.pid);
        r = lock_owner_new(&owner, manager, &record.key);
        if (r < 0)
                return r;
        if (lock_owner_describe(owner, &record.guest, reterr) < 0)
                vb_log_warning("%s: %s", path, reterr->message);
        for (size_t i = 0; i < json_object_array_length(leases); i++)
                if (vb_restart_get_entry(leases, "leases", i, &object, reterr) < 0 || take_up_lease(owner, object, descriptors) < 0)
                        lost++;
        if (lost > 0 || owner->leases->len == 0)
                lock_owner_changed(g_steal_pointer(&owner));
        else
                (void) g_steal_pointer(&owner);
        return 0;
}

static int load_lockspaces(LockManager *manager) {
        g_autofree char *path = g_build_filename(manager->run_dir, "lockspaces.json", NULL);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbJson) root = NULL;
        VbJson *array, *object;
        const char *folder;
        int r;

        if (access(path, F_OK) < 0)
                return 0;
        r = read_json(path, &root, &error);
        if (r >= 0)
                r = vb_restart_get_array(root, "lockspaces", LOCKSPACES_MAX, &array, &error);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(array); i++) {
                r = vb_restart_get_entry(array, "lockspaces", i, &object, &error);
                if (r >= 0)
                        r = vb_restart_get_string(object, "directory", NAME_BYTES_MAX, &folder, &error);
                if (r >= 0 && lock_path_is_good(folder))
                        (void) g_hash_table_add(manager->lockspaces, g_strdup(folder));
        }
        if (r < 0)
                vb_log_error("%s: lockspaces are lost: %s", path, error.message);
        return 0;
}

int lock_records_load(LockManager *manager, VbDescriptors *descriptors) {
        g_autofree char *folder = g_build_filename(manager->run_dir, "owners", NULL);
        g_autoptr(GPtrArray) names = NULL;
        int r;

        r = load_lockspaces(manager);
        if (r < 0)
                return r;
        r = vb_folder_list(folder, &names);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (guint i = 0; i < names->len; i++) {
                g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                r = take_up_owner(manager, path, descriptors, &error);
                if (r == -ESRCH)
                        vb_log_info("%s: this process has ended meanwhile, and its leases with it", path);
                else if (r < 0)
                        vb_log_error("%s: leases are lost: %s", path, error.message ? error.message : g_strerror(-r));
                if (r < 0)
                        (void) unlink(path);
        }
        return 0;
}
