/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/owner.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "lock/manager.h"
#include "lock/record.h"
#include "lock/work.h"

/* Which process */

/* The kernel tells by /proc whose pidfd it is; -1 there if that process has ended. */
static int pid_of(int pidfd, pid_t *ret) {
        g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", pidfd), *text = NULL;
        const char *line;
        long pid;
        int r;

        r = vb_file_read(AT_FDCWD, path, 4096, &text, /* ret_size= */ NULL);
        if (r < 0)
                return r;
        line = strstr(text, "\nPid:");
        if (!line)
                return -EBADF;
        pid = strtol(line + strlen("\nPid:"), NULL, 10);
        if (pid <= 0 || pid > INT32_MAX)
                return -ESRCH;
        *ret = (pid_t) pid;
        return 0;
}

static bool has_ended(int pidfd) {
        struct pollfd ready = { .fd = pidfd, .events = POLLIN };

        return poll(&ready, 1, 0) != 0;
}

static int identify_by_pidfd(const char *member, int pidfd, LockProcess *ret, sd_bus_error *reterr) {
        LockProcess process = {};
        int r;

        r = pid_of(pidfd, &process.pid);
        if (r >= 0)
                r = vb_process_read_start_time(process.pid, &process.start_time);
        /* Looked at last: as long as it has not ended, the number was its. */
        if (r >= 0 && has_ended(pidfd))
                r = -ESRCH;
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: 'process': %s", member,
                                         r == -ESRCH ? "the process has ended" : "not a pidfd");
        *ret = process;
        return 0;
}

int lock_process_identify(const char *member, bool has_pid, uint32_t pid, bool has_start_time, uint64_t start_time, int pidfd,
                          LockProcess *ret, sd_bus_error *reterr) {
        if (pidfd >= 0 && (has_pid || has_start_time))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: 'process' is given beside 'pid' and 'start-time'", member);
        if (pidfd >= 0)
                return identify_by_pidfd(member, pidfd, ret, reterr);
        if (!has_pid || !has_start_time || start_time == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "%s: the process is not said: 'process' or both 'pid' and 'start-time' are needed", member);
        if (pid == 0 || pid > INT32_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: pid %" PRIu32 ": not a process", member, pid);
        *ret = (LockProcess){ .pid = (pid_t) pid, .start_time = start_time };
        return 0;
}

/* Life */

static void free_lease(void *lease) {
        lease_free(lease);
}

static void on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        LockOwner *owner = userdata;

        owner->ended = true;
        if (owner->leases->len > 0)
                vb_log_info_for(VB_LOG_FIELDS(.domain = owner->name, .uuid = owner->uuid),
                                "process %d has ended; %u leases are given back", (int) owner->key.pid, owner->leases->len);
        lock_work_release(owner, /* names= */ NULL, /* call= */ NULL);
}

int lock_owner_new(LockOwner **ret, LockManager *manager, const LockProcess *key) {
        g_autoptr(LockOwner) owner = g_new0(LockOwner, 1);
        int r;

        owner->key = *key;
        owner->name = g_strdup("");
        owner->id = -1;
        owner->uid = VB_UID_NOBODYS;
        owner->leases = g_ptr_array_new_with_free_func(free_lease);
        g_queue_init(&owner->waiting);
        r = vb_process_adopt(&owner->process, vb_daemon_event(manager->daemon), key->pid, key->start_time, on_exited, owner);
        if (r < 0)
                return r;
        owner->manager = manager;
        owner->hold = vb_idle_hold(manager->daemon, "a guest's leases");
        (void) g_hash_table_insert(manager->owners, &owner->key, owner);
        *ret = g_steal_pointer(&owner);
        return 0;
}

LockOwner *lock_owner_free(LockOwner *owner) {
        if (!owner)
                return NULL;
        assert(owner->waiting.length == 0);
        for (guint i = 0; owner->manager && i < owner->leases->len; i++)
                lock_manager_free_slot(owner, owner->leases->pdata[i]);
        vb_process_free(owner->process);
        vb_idle_release(owner->hold);
        g_ptr_array_unref(owner->leases);
        g_free(owner->name);
        g_free(owner);
        return NULL;
}

int lock_owner_describe(LockOwner *owner, const LockGuest *guest, sd_bus_error *reterr) {
        VbUuid uuid;

        if (guest->uuid && *guest->uuid) {
                if (vb_uuid_parse(guest->uuid, &uuid) < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "uuid '%s': not a UUID", guest->uuid);
                (void) vb_uuid_format(&uuid, owner->uuid);
        }
        if (guest->name) {
                g_free(owner->name);
                owner->name = g_strdup(guest->name);
        }
        if (guest->has_id)
                owner->id = guest->id;
        if (guest->has_uid)
                owner->uid = guest->uid;
        return 0;
}

uid_t lock_owner_uid(const LockOwner *owner) {
        uid_t uid;

        if (owner->uid != VB_UID_NOBODYS)
                return owner->uid;
        return vb_process_read_uid(owner->process, &uid) < 0 ? VB_UID_NOBODYS : uid;
}

char *lock_owner_to_string(const LockOwner *owner) {
        return *owner->name ? g_strdup_printf("domain '%s' (process %d)", owner->name, (int) owner->key.pid)
                            : g_strdup_printf("process %d", (int) owner->key.pid);
}

Lease *lock_owner_find(LockOwner *owner, const char *name) {
        for (guint i = 0; i < owner->leases->len; i++) {
                Lease *lease = owner->leases->pdata[i];

                if (strcmp(lease->name, name) == 0)
                        return lease;
        }
        return NULL;
}

void lock_owner_changed(LockOwner *owner) {
        LockManager *manager = owner->manager;
        int r;

        if (owner->leases->len > 0) {
                r = lock_record_write(owner);
                if (r < 0)
                        (void) vb_log_error_errno(r, "cannot write down the leases of process %d; a crash would lose them: %m",
                                                  (int) owner->key.pid);
        } else
                lock_record_remove(owner);
        lock_manager_changed(manager);
        lock_owner_drop_if_idle(owner);
}

void lock_owner_drop_if_idle(LockOwner *owner) {
        LockManager *manager = owner->manager;

        if (owner->leases->len > 0 || owner->waiting.length > 0)
                return;
        (void) g_hash_table_remove(manager->owners, &owner->key);
        lock_manager_changed(manager);
}
