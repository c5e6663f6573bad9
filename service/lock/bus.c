/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/bus.h"

#include <fcntl.h>
#include <string.h>

#include "interfaces/lock-manager1.h"

#include "base/error.h"
#include "lock/manager.h"
#include "lock/work.h"

static LockManager *manager_of(VbCall *call) {
        return vb_daemon_userdata(vb_call_daemon(call));
}

static LockManager *manager_of_object(VbObject *object) {
        return vb_daemon_userdata(vb_objects_daemon(object->objects));
}

static uint32_t get_leases(VbObject *object) {
        LockManager *manager = manager_of_object(object);

        return manager ? lock_manager_count_leases(manager) : 0;
}

static uint32_t get_owners(VbObject *object) {
        LockManager *manager = manager_of_object(object);

        return manager ? g_hash_table_size(manager->owners) : 0;
}

/* The options of an owner are the same fields wherever they are. */
#define IDENTIFY(member, options, ret, reterr)                                                                              \
        lock_process_identify(member, (options)->has_pid, (options)->pid, (options)->has_start_time, (options)->start_time, \
                              (options)->has_process ? (options)->process : -EBADF, ret, reterr)
#define GUEST_OF(options)                                                                                        \
        (LockGuest) {                                                                                            \
                .name = (options)->has_name ? (options)->name : NULL,                                            \
                .uuid = (options)->has_uuid ? (options)->uuid : NULL, .id = (options)->id,                       \
                .has_id = (options)->has_id, .uid = (options)->uid, .has_uid = (options)->has_uid,               \
        }

/* Acquire */

/* Finds the owner, or makes one. */
static int owner_for(LockManager *manager, const char *member, const LockProcess *key, const LockGuest *guest, LockOwner **ret,
                     sd_bus_error *reterr) {
        LockOwner *owner = lock_manager_find(manager, key);
        int r = 0;

        if (!owner)
                r = lock_owner_new(&owner, manager, key);
        if (r == -ESRCH || (owner && owner->ended))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: process %d: there is no such process (any more)", member,
                                         (int) key->pid);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "%s: process %d: cannot be watched: %s", member, (int) key->pid, g_strerror(-r));
        r = lock_owner_describe(owner, guest, reterr);
        if (r < 0) {
                if (owner->leases->len == 0)
                        lock_owner_changed(owner);
                return r;
        }
        *ret = owner;
        return 0;
}

/* What a call asks for, while it is read. */
typedef struct Wanted {
        LockManager *manager;
        const VbLockManager1AcquireArgs *args;
        GHashTable *names;
        GPtrArray *leases;
} Wanted;

static int add_name(Wanted *wanted, const char *name, Lease **ret, sd_bus_error *reterr) {
        bool shared = false;
        Lease *lease;

        if (strlen(name) > 4096 || !lock_path_is_good(name))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "Acquire: '%.256s': an absolute path without empty parts, '.' and '..' is needed", name);
        if (!g_hash_table_add(wanted->names, (char *) name))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "Acquire: '%s' is there twice", name);
        if (wanted->leases->len >= LEASES_PER_CALL)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "Acquire: more than %d leases in one call", LEASES_PER_CALL);
        for (size_t i = 0; i < wanted->args->options.shared.n; i++)
                shared = shared || strcmp(wanted->args->options.shared.values[i], name) == 0;
        lease = lease_new(name, shared);
        g_ptr_array_add(wanted->leases, lease);
        *ret = lease;
        return 0;
}

static int add_image(Wanted *wanted, const VbFile *image, sd_bus_error *reterr) {
        Lease *lease;
        int r;

        r = add_name(wanted, image->name, &lease, reterr);
        if (r < 0)
                return r;
        /* Who has not opened a file has not shown that it may; O_PATH asks for no right on it. */
        if (fcntl(image->fd, F_GETFL) & O_PATH)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "Acquire: %s: its descriptor is not open for reading", image->name);
        lease->given = fcntl(image->fd, F_DUPFD_CLOEXEC, 3);
        return lease->given < 0 ? sd_bus_error_set_errnof(reterr, errno, "Acquire: %s: cannot be kept open: %s", image->name,
                                                          g_strerror(errno))
                                : 0;
}

static int add_in_lockspace(Wanted *wanted, const char *name, sd_bus_error *reterr) {
        Lease *lease;
        int r;

        r = add_name(wanted, name, &lease, reterr);
        if (r < 0)
                return r;
        if (!lock_manager_has_lockspace_of(wanted->manager, name))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LOCKSPACE, "Acquire: '%s' is in no lockspace; see AddLockspace", name);
        lease->in_lockspace = true;
        lease->may_create = wanted->args->options.create;
        return 0;
}

static int read_wanted(Wanted *wanted, sd_bus_error *reterr) {
        const VbLockManager1AcquireArgs *args = wanted->args;
        Lease *lease;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < args->images.n; i++)
                r = add_image(wanted, &args->images.values[i], reterr);
        for (size_t i = 0; r >= 0 && i < args->options.paths.n; i++)
                r = add_name(wanted, args->options.paths.values[i], &lease, reterr);
        for (size_t i = 0; r >= 0 && i < args->options.leases.n; i++)
                r = add_in_lockspace(wanted, args->options.leases.values[i], reterr);
        for (size_t i = 0; r >= 0 && i < args->options.shared.n; i++)
                if (!g_hash_table_contains(wanted->names, args->options.shared.values[i]))
                        r = sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "Acquire: shared: '%.256s' is not among what is asked for",
                                              args->options.shared.values[i]);
        return r;
}

/* All of them or none. */
static int take_slots(LockOwner *owner, GPtrArray *leases, sd_bus_error *reterr) {
        if (owner->n_slots + leases->len > LEASES_PER_OWNER)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "Acquire: process %d has %u leases and asks for %u more, but one process can have %d leases",
                                         (int) owner->key.pid, owner->n_slots, leases->len, LEASES_PER_OWNER);
        for (guint i = 0; i < leases->len; i++)
                if (lock_manager_take_slot(owner, leases->pdata[i]) < 0) {
                        while (i > 0)
                                lock_manager_free_slot(owner, leases->pdata[--i]);
                        return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                                 "Acquire: %u leases are held, %u more are asked for, and there can be %d in all",
                                                 owner->manager->n_slots, leases->len, LEASES_MAX);
                }
        return 0;
}

static void free_lease(void *lease) {
        lease_free(lease);
}

static int on_acquire(VbCall *call, VbObject *object, const VbLockManager1AcquireArgs *args, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) leases = g_ptr_array_new_with_free_func(free_lease);
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        Wanted wanted = { .manager = manager_of(call), .args = args, .names = names, .leases = leases };
        const LockGuest guest = GUEST_OF(&args->owner);
        LockOwner *owner;
        LockProcess key;
        int r;

        r = IDENTIFY("Acquire", &args->owner, &key, reterr);
        if (r >= 0)
                r = read_wanted(&wanted, reterr);
        if (r >= 0)
                r = owner_for(wanted.manager, "Acquire", &key, &guest, &owner, reterr);
        if (r < 0)
                return r;
        r = take_slots(owner, leases, reterr);
        if (r < 0) {
                if (owner->leases->len == 0)
                        lock_owner_changed(owner);
                return r;
        }
        lock_work_acquire(owner, leases, call, args->options.has_state ? args->options.state : NULL);
        return 0;
}

/* The others */

static int on_release(VbCall *call, VbObject *object, const VbLockManager1ReleaseArgs *args, sd_bus_error *reterr) {
        LockOwner *owner;
        LockProcess key;
        int r;

        r = IDENTIFY("Release", &args->owner, &key, reterr);
        if (r < 0)
                return r;
        owner = lock_manager_find(manager_of(call), &key);
        if (!owner)
                return vb_lock_manager1_reply_release(call);
        lock_work_release(owner, args->names.n > 0 ? args->names.values : NULL, call);
        return 0;
}

static int on_suspend(VbCall *call, VbObject *object, const VbLockManager1SuspendArgs *args, sd_bus_error *reterr) {
        LockOwner *owner;
        LockProcess key;
        int r;

        r = IDENTIFY("Suspend", &args->owner, &key, reterr);
        if (r < 0)
                return r;
        owner = lock_manager_find(manager_of(call), &key);
        if (!owner)
                return vb_lock_manager1_reply_suspend(call, "");
        lock_work_suspend(owner, call);
        return 0;
}

static int on_resume(VbCall *call, VbObject *object, const VbLockManager1ResumeArgs *args, sd_bus_error *reterr) {
        LockOwner *owner;
        LockProcess key;
        int r;

        r = IDENTIFY("Resume", &args->owner, &key, reterr);
        if (r < 0)
                return r;
        owner = lock_manager_find(manager_of(call), &key);
        if (!owner)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LEASE, "Resume: process %d has no leases", (int) key.pid);
        lock_work_resume(owner, call, args->options.has_state ? args->options.state : NULL);
        return 0;
}

static int on_transfer(VbCall *call, VbObject *object, const VbLockManager1TransferArgs *args, sd_bus_error *reterr) {
        const LockGuest guest = GUEST_OF(&args->to);
        LockManager *manager = manager_of(call);
        LockProcess from_key, to_key;
        LockOwner *from, *to;
        int r;

        r = IDENTIFY("Transfer", &args->from, &from_key, reterr);
        if (r >= 0)
                r = IDENTIFY("Transfer", &args->to, &to_key, reterr);
        if (r < 0)
                return r;
        from = lock_manager_find(manager, &from_key);
        if (!from || from->leases->len == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LEASE, "Transfer: process %d has no leases", (int) from_key.pid);
        r = owner_for(manager, "Transfer", &to_key, &guest, &to, reterr);
        if (r < 0)
                return r;
        if (to == from)
                return vb_lock_manager1_reply_transfer(call);
        lock_work_transfer(from, to, call);
        return 0;
}

static int on_add_lockspace(VbCall *call, VbObject *object, const VbLockManager1AddLockspaceArgs *args, sd_bus_error *reterr) {
        int r;

        r = lock_manager_add_lockspace(manager_of(call), args->path, args->options.create, reterr);
        return r < 0 ? r : vb_lock_manager1_reply_add_lockspace(call);
}

static int on_remove_lockspace(VbCall *call, VbObject *object, const VbLockManager1RemoveLockspaceArgs *args, sd_bus_error *reterr) {
        int r;

        r = lock_manager_remove_lockspace(manager_of(call), args->path, reterr);
        return r < 0 ? r : vb_lock_manager1_reply_remove_lockspace(call);
}

/* Telling */

static bool is_asked_for(const VbLockManager1GetLocksArgs *args, const char *uuid, const LockOwner *owner, const Lease *lease) {
        return (!uuid || strcmp(uuid, owner->uuid) == 0) && (!args->filters.has_pid || args->filters.pid == (uint32_t) owner->key.pid) &&
               (!args->filters.has_name || strcmp(args->filters.name, lease->name) == 0) &&
               (!args->filters.has_suspended || args->filters.suspended == lease->suspended);
}

static int append_lock(sd_bus_message *reply, const LockOwner *owner, uid_t uid, const Lease *lease) {
        return sd_bus_message_append(reply, "a{sv}", 11, "name", "s", lease->name, "kind", "s", lease_kind_to_string(lease->kind), "path",
                                     "s", lease->path, "mode", "s", lease->shared ? "shared" : "exclusive", "suspended", "b",
                                     (int) lease->suspended, "owner-pid", "u", (uint32_t) owner->key.pid, "owner-start-time", "t",
                                     owner->key.start_time, "owner-uid", "u", (uint32_t) uid, "owner-name", "s", owner->name, "owner-uuid",
                                     "s", owner->uuid, "owner-id", "i", owner->id);
}

static int append_locks(sd_bus_message *reply, LockManager *manager, const VbLockManager1GetLocksArgs *args, const char *uuid) {
        GHashTableIter iterator;
        LockOwner *owner;
        int r = 0;

        g_hash_table_iter_init(&iterator, manager->owners);
        while (r >= 0 && g_hash_table_iter_next(&iterator, NULL, (void **) &owner)) {
                uid_t uid = lock_owner_uid(owner);

                for (guint i = 0; r >= 0 && i < owner->leases->len; i++)
                        if (is_asked_for(args, uuid, owner, owner->leases->pdata[i]))
                                r = append_lock(reply, owner, uid, owner->leases->pdata[i]);
        }
        return r;
}

static int on_get_locks(VbCall *call, VbObject *object, const VbLockManager1GetLocksArgs *args, sd_bus_error *reterr) {
        char text[VB_UUID_STRING_SIZE], *uuid = NULL;
        g_autoptr(sd_bus_message) reply = NULL;
        VbUuid parsed;
        int r;

        if (args->filters.has_uuid) {
                if (vb_uuid_parse(args->filters.uuid, &parsed) < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "uuid '%s': not a UUID", args->filters.uuid);
                uuid = vb_uuid_format(&parsed, text);
        }
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_locks(reply, manager_of(call), args, uuid);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

static int append_lockspace(sd_bus_message *reply, LockManager *manager, LeaseKind kind, const char *path) {
        unsigned n = lock_manager_count_in(manager, kind, kind == LEASE_LOCKSPACE ? path : NULL);

        return sd_bus_message_append(reply, "a{sv}", 3, "kind", "s", lease_kind_to_string(kind), "path", "s", path, "leases", "u", n);
}

static int append_lockspaces(sd_bus_message *reply, LockManager *manager) {
        const struct {
                LeaseKind kind;
                const char *path;
        } by_settings[] = {
                { LEASE_IMAGE, "" },
                { LEASE_FILE, manager->places.file },
                { LEASE_LVM, manager->places.lvm },
                { LEASE_SCSI, manager->places.scsi },
        };
        GHashTableIter iterator;
        const char *path;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(by_settings); i++)
                if (by_settings[i].path)
                        r = append_lockspace(reply, manager, by_settings[i].kind, by_settings[i].path);
        g_hash_table_iter_init(&iterator, manager->lockspaces);
        while (r >= 0 && g_hash_table_iter_next(&iterator, (void **) &path, NULL))
                r = append_lockspace(reply, manager, LEASE_LOCKSPACE, path);
        return r;
}

static int on_get_lockspaces(VbCall *call, VbObject *object, const VbLockManager1GetLockspacesArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_lockspaces(reply, manager_of(call));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

static const VbLockManager1Handlers handlers = {
        .get_leases = get_leases,
        .get_owners = get_owners,
        .acquire = on_acquire,
        .release = on_release,
        .suspend = on_suspend,
        .resume = on_resume,
        .transfer = on_transfer,
        .add_lockspace = on_add_lockspace,
        .remove_lockspace = on_remove_lockspace,
        .get_locks = on_get_locks,
        .get_lockspaces = on_get_lockspaces,
};

const VbObjectInterface lock_manager_root_interface = { &vb_lock_manager1_interface, &handlers };
