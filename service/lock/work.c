/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/work.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "interfaces/lock-manager1.h"

#include "base/error.h"
#include "base/log.h"
#include "base/worker.h"
#include "bus/store.h"

/* The way of a piece of work: it waits until it is the first of its owner's; collect() takes the leases out of the owner's list; a thread does
 * what may have to wait for a file server; finish() puts back what is held, writes the record, tells the service manager, and
 * answers. A lease that is held lies in the record and in the store before anyone is told. */

/* What the thread works with. */
typedef struct Task {
        int (*work)(struct Task *task);
        GPtrArray *leases; /* owned */
        LeasePlaces places;
        guint failed; /* index */
} Task;

typedef struct WorkKind {
        void (*collect)(LockWork *work);
        int (*work)(Task *task); /* NULL: there is nothing to wait for */
        int (*finish)(LockWork *work, int r, sd_bus_error *reterr);
} WorkKind;

struct LockWork {
        const WorkKind *kind;
        LockOwner *owner;
        LockProcess other; /* of a transfer */
        VbCall *call;
        char **names;
        char *state;
        Task *task; /* the worker's while that is there */
        VbWorker *worker;
        bool collected;
};

static void free_lease(void *lease) {
        lease_free(lease);
}

static void task_free(void *data) {
        Task *task = data;

        if (!task)
                return;
        g_ptr_array_unref(task->leases);
        g_free(task->places.file);
        g_free(task->places.lvm);
        g_free(task->places.scsi);
        g_free(task);
}

static LockWork *work_new(const WorkKind *kind, LockOwner *owner, VbCall *call) {
        LockManager *manager = owner->manager;
        LockWork *work = g_new0(LockWork, 1);

        work->kind = kind;
        work->owner = owner;
        work->call = call ? vb_call_ref(call) : NULL;
        work->task = g_new0(Task, 1);
        work->task->work = kind->work;
        work->task->leases = g_ptr_array_new_with_free_func(free_lease);
        work->task->places = (LeasePlaces){
                .file = g_strdup(manager->places.file),
                .lvm = g_strdup(manager->places.lvm),
                .scsi = g_strdup(manager->places.scsi),
        };
        return work;
}

static void work_free(LockWork *work) {
        if (work->worker)
                vb_worker_free(work->worker);
        else
                task_free(work->task);
        vb_call_unref(work->call);
        g_strfreev(work->names);
        g_free(work->state);
        g_free(work);
}

static void begin(LockWork *work);

/* Moves a lease from one list to another. */
static void move_lease(GPtrArray *from, guint i, GPtrArray *to) {
        g_ptr_array_add(to, g_ptr_array_steal_index(from, i));
}

static void move_all(GPtrArray *from, GPtrArray *to) {
        while (from->len > 0)
                move_lease(from, 0, to);
}

static void reply(LockWork *work, int r, const sd_bus_error *error) {
        VbCall *call = g_steal_pointer(&work->call);

        if (!call)
                return;
        if (r < 0)
                (void) vb_call_fail(call, r, error);
        vb_call_unref(call);
}

/* The next of the same owner, and one of another's for which there was no thread. */
static void go_on(LockOwner *owner) {
        LockManager *manager = owner->manager;
        LockWork *delayed = g_queue_pop_head(&manager->delayed), *next = g_queue_peek_head(&owner->waiting);

        if (next)
                begin(next);
        else
                lock_owner_drop_if_idle(owner);
        if (delayed)
                begin(delayed);
}

static void finish(LockWork *work, int r) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        LockOwner *owner = work->owner;

        r = work->kind->finish(work, r, &error);
        reply(work, r, &error);
        (void) g_queue_remove(&owner->waiting, work);
        work_free(work);
        go_on(owner);
}

static int do_work(void *data, sd_bus_error *reterr) {
        Task *task = data;

        return task->work(task);
}

static void on_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        finish(userdata, r);
}

static void begin(LockWork *work) {
        LockManager *manager = work->owner->manager;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        if (work->kind->collect && !work->collected)
                work->kind->collect(work);
        work->collected = true;
        if (!work->kind->work || work->task->leases->len == 0) {
                finish(work, 0);
                return;
        }
        r = vb_worker_start(&work->worker, vb_daemon_event(manager->daemon), do_work, work->task, task_free, on_done, work, &error);
        if (r == -EAGAIN)
                g_queue_push_tail(&manager->delayed, work);
        else if (r < 0)
                finish(work, r);
}

static void add(LockWork *work) {
        g_queue_push_tail(&work->owner->waiting, work);
        if (work->owner->waiting.length == 1)
                begin(work);
}

void lock_work_forget(LockOwner *owner) {
        LockWork *work;

        while ((work = g_queue_pop_head(&owner->waiting))) {
                (void) g_queue_remove(&owner->manager->delayed, work);
                work_free(work);
        }
}

/* Held leases */

static void store(const LockOwner *owner, const Lease *lease) {
        char name[LEASE_SLOT_NAME_SIZE];
        int r;

        r = vb_store_add(vb_daemon_store(owner->manager->daemon), lease_slot_name(lease, name), lease->fd);
        if (r < 0)
                (void) vb_log_error_errno(r, "%s: cannot give its lock to the service manager; a crash would lose it: %m", lease->name);
}

static void unstore(const LockOwner *owner, const Lease *lease) {
        char name[LEASE_SLOT_NAME_SIZE];

        vb_store_remove(vb_daemon_store(owner->manager->daemon), lease_slot_name(lease, name));
}

/* They are not held any more. */
static void forget_all(LockWork *work, bool stored) {
        GPtrArray *leases = work->task->leases;

        for (guint i = 0; i < leases->len; i++) {
                if (stored)
                        unstore(work->owner, leases->pdata[i]);
                lock_manager_free_slot(work->owner, leases->pdata[i]);
        }
        g_ptr_array_set_size(leases, 0);
}

static int give_back_all(Task *task) {
        for (guint i = 0; i < task->leases->len; i++)
                lease_give_back(task->leases->pdata[i]);
        return 0;
}

/* Errors */

static int explain_busy(LockWork *work, const Lease *lease, sd_bus_error *reterr) {
        LockOwner *holder = lock_manager_find_holder(work->owner->manager, lease);
        g_autofree char *who = NULL;

        /* Within the call itself: the same file by two names. */
        for (guint i = 0; i < work->task->failed; i++) {
                const Lease *other = work->task->leases->pdata[i];

                if (other->device == lease->device && other->inode == lease->inode)
                        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY, "%s: it is the same file as %s, and not to be shared",
                                                 lease->name, other->name);
        }
        who = holder ? lock_owner_to_string(holder) : g_strdup("another host, or a program of this one");
        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY, "%s: %s is held by %s", lease->name,
                                 lease->shared ? "the lease (to be shared)" : "the lease", who);
}

static int explain(LockWork *work, int r, sd_bus_error *reterr) {
        const Lease *lease;

        if (work->task->failed >= work->task->leases->len)
                return sd_bus_error_set_errnof(reterr, r, "cannot work on leases: %s", g_strerror(-r));
        lease = work->task->leases->pdata[work->task->failed];
        switch (-r) {
        case EBUSY: return explain_busy(work, lease, reterr);
        case EMEDIUMTYPE:
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: neither a regular file nor a block device", lease->name);
        case ENOENT: return sd_bus_error_setf(reterr, VB_ERROR_NO_FILE, "%s: there is no such file%s%s", lease->path ?: lease->name,
                                              lease->path && strcmp(lease->path, lease->name) != 0 ? ", for the lease on " : "",
                                              lease->path && strcmp(lease->path, lease->name) != 0 ? lease->name : "");
        case EACCES:
        case EPERM:
        case EROFS:
        case ELOOP:
                return sd_bus_error_setf(reterr, VB_ERROR_NO_PERMISSION, "%s: cannot be opened %s: %s", lease->path ?: lease->name,
                                         lease->shared ? "for reading" : "for writing, which an exclusive lease needs", g_strerror(-r));
        default:
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "%s: cannot be locked: %s", lease->path ?: lease->name,
                                         g_strerror(-r));
        }
}

/* Acquire */

static int take_all(Task *task) {
        for (guint i = 0; i < task->leases->len; i++) {
                int r;

                r = lease_take(task->leases->pdata[i], &task->places);
                if (r < 0) {
                        task->failed = i;
                        while (i > 0)
                                lease_give_back(task->leases->pdata[--i]);
                        return r;
                }
        }
        task->failed = task->leases->len;
        return 0;
}

/* Later than the thread, so that is another piece of work. */
static void give_back_later(LockWork *work);

/* One may have been removed meanwhile. */
static int check_lockspaces(LockWork *work, sd_bus_error *reterr) {
        for (guint i = 0; i < work->task->leases->len; i++) {
                const Lease *lease = work->task->leases->pdata[i];

                if (lease->in_lockspace && !lock_manager_has_lockspace_of(work->owner->manager, lease->name))
                        return sd_bus_error_setf(reterr, VB_ERROR_NO_LOCKSPACE, "Acquire: '%s' is in no lockspace any more", lease->name);
        }
        return 0;
}

static int finish_acquire(LockWork *work, int r, sd_bus_error *reterr) {
        LockOwner *owner = work->owner;
        GPtrArray *leases = work->task->leases;
        guint first = owner->leases->len;

        if (r < 0) {
                r = explain(work, r, reterr);
                forget_all(work, /* stored= */ false);
                return r;
        }
        if (owner->ended) {
                give_back_later(work);
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "Acquire: process %d has ended", (int) owner->key.pid);
        }
        r = check_lockspaces(work, reterr);
        if (r < 0) {
                give_back_later(work);
                return r;
        }
        for (guint i = 0; i < leases->len; i++)
                g_ptr_array_add(owner->leases, leases->pdata[i]);
        r = work->state ? lock_state_check(work->state, owner->leases, reterr) : 0;
        if (r < 0) {
                while (owner->leases->len > first)
                        (void) g_ptr_array_steal_index(owner->leases, first);
                give_back_later(work);
                return r;
        }
        while (leases->len > 0)
                (void) g_ptr_array_steal_index(leases, leases->len - 1);
        lock_owner_changed(owner);
        for (guint i = first; i < owner->leases->len; i++)
                store(owner, owner->leases->pdata[i]);
        if (work->call)
                (void) vb_lock_manager1_reply_acquire(work->call);
        return 0;
}

static const WorkKind acquire = { .work = take_all, .finish = finish_acquire };

void lock_work_acquire(LockOwner *owner, GPtrArray *leases, VbCall *call, const char *state) {
        LockWork *work = work_new(&acquire, owner, call);

        move_all(leases, work->task->leases);
        work->state = g_strdup(state);
        add(work);
}

/* Release */

static void collect_named(LockWork *work) {
        GPtrArray *leases = work->owner->leases;

        for (guint i = leases->len; i > 0; i--) {
                const Lease *lease = leases->pdata[i - 1];

                if (!work->names || g_strv_contains((const char *const *) work->names, lease->name))
                        move_lease(leases, i - 1, work->task->leases);
        }
}

static int finish_release(LockWork *work, int r, sd_bus_error *reterr) {
        /* If there was no thread: the locks go with their descriptors. */
        if (r < 0)
                (void) give_back_all(work->task);
        lock_owner_changed(work->owner);
        forget_all(work, /* stored= */ true);
        if (work->call)
                (void) vb_lock_manager1_reply_release(work->call);
        return 0;
}

static const WorkKind release = { .collect = collect_named, .work = give_back_all, .finish = finish_release };
static const WorkKind release_new = { .work = give_back_all, .finish = finish_release };

void lock_work_release(LockOwner *owner, const char *const *names, VbCall *call) {
        LockWork *work = work_new(&release, owner, call);

        work->names = g_strdupv((char **) names);
        add(work);
}

static void give_back_later(LockWork *work) {
        LockWork *later = work_new(&release_new, work->owner, /* call= */ NULL);

        move_all(work->task->leases, later->task->leases);
        add(later); /* behind this one */
}

/* Suspend and resume */

static void collect_by_state(LockWork *work, bool suspended) {
        GPtrArray *leases = work->owner->leases;

        for (guint i = leases->len; i > 0; i--)
                if (((const Lease *) leases->pdata[i - 1])->suspended == suspended)
                        move_lease(leases, i - 1, work->task->leases);
}

static void collect_held(LockWork *work) {
        collect_by_state(work, /* suspended= */ false);
        work->state = lock_state_format(work->task->leases);
}

static void collect_suspended(LockWork *work) {
        collect_by_state(work, /* suspended= */ true);
}

static int unlock_all(Task *task) {
        for (task->failed = 0; task->failed < task->leases->len; task->failed++) {
                int r;

                r = lease_unlock(task->leases->pdata[task->failed]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int lock_all(Task *task) {
        for (guint i = 0; i < task->leases->len; i++) {
                int r;

                r = lease_lock(task->leases->pdata[i]);
                if (r < 0) {
                        task->failed = i;
                        while (i > 0)
                                if (lease_unlock(task->leases->pdata[--i]) < 0)
                                        vb_log_error("a lease stays locked that was to be given up again");
                        return r;
                }
        }
        return 0;
}

static int finish_suspend(LockWork *work, int r, sd_bus_error *reterr) {
        if (r < 0)
                r = explain(work, r, reterr);
        move_all(work->task->leases, work->owner->leases);
        lock_owner_changed(work->owner);
        if (r >= 0 && work->call)
                (void) vb_lock_manager1_reply_suspend(work->call, work->state);
        return r;
}

static int finish_resume(LockWork *work, int r, sd_bus_error *reterr) {
        GPtrArray *leases = work->task->leases;
        LockOwner *owner = work->owner;
        guint first = owner->leases->len;

        if (r < 0)
                r = explain(work, r, reterr);
        else if (owner->leases->len == 0 && leases->len == 0)
                r = sd_bus_error_setf(reterr, VB_ERROR_NO_LEASE, "Resume: process %d has no leases", (int) owner->key.pid);
        move_all(leases, owner->leases);
        if (r >= 0 && work->state)
                r = lock_state_check(work->state, owner->leases, reterr);
        if (r < 0)
                lock_work_suspend(owner, /* call= */ NULL); /* behind this one; nothing to do for those that are still suspended */
        lock_owner_changed(owner);
        /* The file may be another one by now. */
        for (guint i = first; r >= 0 && i < owner->leases->len; i++)
                store(owner, owner->leases->pdata[i]);
        if (r >= 0 && work->call)
                (void) vb_lock_manager1_reply_resume(work->call);
        return r;
}

static const WorkKind suspend = { .collect = collect_held, .work = unlock_all, .finish = finish_suspend };
static const WorkKind resume = { .collect = collect_suspended, .work = lock_all, .finish = finish_resume };

void lock_work_suspend(LockOwner *owner, VbCall *call) {
        add(work_new(&suspend, owner, call));
}

void lock_work_resume(LockOwner *owner, VbCall *call, const char *state) {
        LockWork *work = work_new(&resume, owner, call);

        work->state = g_strdup(state);
        add(work);
}

/* Transfer: only our books change. */

static int move_to_other(LockWork *work, LockOwner *to, sd_bus_error *reterr) {
        LockOwner *from = work->owner;

        if (!to || to->ended)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "Transfer: process %d has ended", (int) work->other.pid);
        if (from->leases->len == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LEASE, "Transfer: process %d has no leases", (int) from->key.pid);
        if (from->leases->len + to->n_slots > LEASES_PER_OWNER)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "Transfer: one process can have %d leases", LEASES_PER_OWNER);
        from->n_slots -= from->leases->len;
        to->n_slots += from->leases->len;
        move_all(from->leases, to->leases);
        return 0;
}

static int finish_transfer(LockWork *work, int r, sd_bus_error *reterr) {
        LockOwner *from = work->owner, *to = lock_manager_find(from->manager, &work->other);

        r = move_to_other(work, to, reterr);
        /* The new owner's first: a crash in between shows two owners, and not none. */
        if (to)
                lock_owner_changed(to);
        lock_owner_changed(from);
        if (r >= 0 && work->call)
                (void) vb_lock_manager1_reply_transfer(work->call);
        return r;
}

static const WorkKind transfer = { .finish = finish_transfer };

void lock_work_transfer(LockOwner *from, LockOwner *to, VbCall *call) {
        LockWork *work = work_new(&transfer, from, call);

        work->other = to->key;
        add(work);
}

/* What is handed over */

char *lock_state_format(const GPtrArray *leases) {
        g_autoptr(VbJson) root = NULL;
        VbJson *array;

        if (leases->len == 0)
                return g_strdup("");
        root = json_object_new_object();
        array = json_object_new_array();
        (void) json_object_object_add(root, "format", json_object_new_int(1));
        (void) json_object_object_add(root, "leases", array);
        for (guint i = 0; i < leases->len; i++) {
                const Lease *lease = leases->pdata[i];
                VbJson *object = json_object_new_object();
                g_autofree char *key = lease->kind == LEASE_LOCKSPACE || lease->kind == LEASE_IMAGE ? g_strdup(lease->path)
                                                                                                   : g_path_get_basename(lease->path);

                vb_restart_put_string(object, "kind", lease_kind_to_string(lease->kind));
                vb_restart_put_string(object, "key", key);
                vb_restart_put_bool(object, "shared", lease->shared);
                (void) json_object_array_add(array, object);
        }
        return g_strdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* An image that is locked itself may have another path on another host. */
static bool matches(const Lease *lease, LeaseKind kind, const char *key, bool shared) {
        g_autofree char *name = NULL;

        if (lease->kind != kind || lease->shared != shared || lease->suspended)
                return false;
        if (kind == LEASE_IMAGE)
                return true;
        name = g_path_get_basename(lease->path);
        return strcmp(kind == LEASE_LOCKSPACE ? lease->path : name, key) == 0;
}

static int check_entry(VbJson *object, const GPtrArray *leases, GHashTable *used, sd_bus_error *reterr) {
        const char *word, *key;
        bool shared;
        int kind, r;

        r = vb_restart_get_string(object, "kind", 16, &word, reterr);
        if (r >= 0)
                r = vb_restart_get_string(object, "key", 4096, &key, reterr);
        if (r >= 0)
                r = vb_restart_get_bool(object, "shared", &shared, reterr);
        if (r < 0)
                return r;
        kind = lease_kind_from_string(word);
        for (guint i = 0; kind >= 0 && i < leases->len; i++)
                if (matches(leases->pdata[i], (LeaseKind) kind, key, shared) && g_hash_table_add(used, leases->pdata[i]))
                        return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                 "state: the %s lease of kind '%s' on '%s' was held before, and is not among those that are taken over; "
                                 "do both hosts have the same settings?",
                                 shared ? "shared" : "exclusive", word, key);
}

int lock_state_check(const char *state, const GPtrArray *leases, sd_bus_error *reterr) {
        g_autoptr(GHashTable) used = g_hash_table_new(/* hash_func= */ NULL, /* key_equal_func= */ NULL);
        g_autoptr(VbJson) root = NULL;
        VbJson *array, *entry;
        uint64_t format;
        int r;

        if (*state == '\0')
                return 0;
        root = json_tokener_parse(state);
        r = vb_restart_get_number(root, "format", UINT64_MAX, &format, reterr);
        if (r >= 0 && format != 1)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "state: format %" PRIu64 " is not known", format);
        if (r >= 0)
                r = vb_restart_get_array(root, "leases", LEASES_PER_OWNER, &array, reterr);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(array); i++) {
                r = vb_restart_get_entry(array, "leases", i, &entry, reterr);
                if (r >= 0)
                        r = check_entry(entry, leases, used, reterr);
        }
        return r;
}
