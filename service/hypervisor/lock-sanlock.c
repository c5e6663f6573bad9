/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sanlock: leases on storage that several hosts share, kept there by its daemon. That one watches each guest by a connection of the guest's own
 * process, and ends the guest if the storage, and with it the lease, is lost.
 *
 * Its library waits for its daemon, which waits for the storage; so every request has a thread of its own, which sees nothing but a copy of what is
 * asked. */

#include "hypervisor/sanlock-disk.h" /* first: sanlock's own headers need what it includes */

#include <inttypes.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/worker.h"
#include "hypervisor/lock-private.h"

/* Storage that answers late, and the first guest of a host, who waits for that to be taken into the lockspace. */
#define ASK_USEC (UINT64_C(180) * 1000000)
#define RELEASE_USEC (UINT64_C(2) * 1000000)
/* How often it is looked whether what a process had is free. */
#define LOOK_USEC (UINT64_C(10) * 1000)

typedef struct SanlockLease {
        struct sanlk_resource *resource;
        char *device; /* for people: "disk vda" */
        char *name;   /* … an image's path, or the lease's key */
        bool is_disk; /* in our own folder: made when it is first needed */
} SanlockLease;

/* What the thread has. */
typedef struct Task {
        char *domain;
        const char *purpose; /* reads on from "cannot" */
        pid_t pid;
        bool held; /* all of them, as far as is known */
        SanlockLease *leases;
        size_t n;
        char *folder;
        uint64_t host_id;
        uint32_t io_timeout;
        char *token; /* in: what was held when it was given up; out: what is */
} Task;

static void task_free(void *data) {
        Task *task = data;

        for (size_t i = 0; i < task->n; i++) {
                g_free(task->leases[i].resource);
                g_free(task->leases[i].device);
                g_free(task->leases[i].name);
        }
        g_free(task->leases);
        g_free(task->domain);
        g_free(task->folder);
        g_free(task->token);
        g_free(task);
}

/* --- in the thread: what goes wrong ---------------------------------------------------------------------------------- */

static const char *reason_of(int rv) {
        return rv <= SANLK_ERROR ? sanlock_strerror(rv) : g_strerror(-rv);
}

static bool is_held(int rv) {
        return rv == -EEXIST || rv == -EAGAIN || rv == -EBUSY || (rv <= SANLK_ACQUIRE_IDLIVE && rv >= SANLK_ACQUIRE_OWNED_RETRY);
}

/* Whether the host of the lease's owner, as it stands on the disk, is another one; then that is its number. */
static uint64_t find_other_host(const Task *task, const struct sanlk_resource *resource) {
        g_autofree struct sanlk_resource *copy = g_memdup2(resource, sizeof(*resource) + sizeof(struct sanlk_disk));
        struct sanlk_host *owners = NULL;
        uint64_t found = 0;
        int n = 0;

        if (sanlock_read_resource_owners(copy, 0, &owners, &n) >= 0)
                for (int i = 0; i < n && found == 0; i++)
                        found = owners[i].host_id == task->host_id ? 0 : owners[i].host_id;
        free(owners);
        return found;
}

static int refuse_held(const Task *task, const SanlockLease *lease, int rv, sd_bus_error *reterr) {
        uint64_t host = rv == -EEXIST ? 0 : find_other_host(task, lease->resource);

        if (host == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY, "domain '%s': cannot %s: %s: '%s' is in use by another guest of this host",
                                         task->domain, task->purpose, lease->device, lease->name);
        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                 "domain '%s': cannot %s: %s: '%s' is in use by a guest of another host, whose number is %" PRIu64, task->domain,
                                 task->purpose, lease->device, lease->name, host);
}

static int refuse(const Task *task, const SanlockLease *lease, int rv, sd_bus_error *reterr) {
        if (is_held(rv))
                return refuse_held(task, lease, rv, reterr);
        if (rv == SANLK_ACQUIRE_LVER)
                return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                         "domain '%s': cannot %s: %s: '%s' has been in use by another guest meanwhile, who may have changed it",
                                         task->domain, task->purpose, lease->device, lease->name);
        if (rv == -ENOSPC)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_LOCKSPACE,
                                         "domain '%s': cannot %s: %s: this host is not in its lockspace, '%.*s'; sanlock client add_lockspace puts it there",
                                         task->domain, task->purpose, lease->device, SANLK_NAME_LEN, lease->resource->lockspace_name);
        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot %s: %s: '%s': sanlock: %s", task->domain, task->purpose,
                                 lease->device, lease->name, reason_of(rv));
}

/* --- in the thread: what is asked ------------------------------------------------------------------------------------ */

static int join(const Task *task, sd_bus_error *reterr) {
        int rv = vb_sanlock_join_disks(task->folder, task->host_id, task->io_timeout);

        if (rv >= 0)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED,
                                 "domain '%s': cannot %s: sanlock cannot take this host, as number %" PRIu64 ", into the lockspace in '%s': %s",
                                 task->domain, task->purpose, task->host_id, task->folder, reason_of(rv));
}

static int make_leases(const Task *task, sd_bus_error *reterr) {
        bool joined = false;
        int r;

        for (size_t i = 0; i < task->n; i++) {
                if (!task->leases[i].is_disk)
                        continue;
                r = joined ? 0 : join(task, reterr);
                if (r < 0)
                        return r;
                joined = true;
                r = vb_sanlock_make_disk(task->folder, task->leases[i].resource);
                if (r < 0)
                        return refuse(task, &task->leases[i], r, reterr);
        }
        return 0;
}

/* One after the other, so that it is known which one was refused. */
static int take_leases(const Task *task, sd_bus_error *reterr) {
        struct sanlk_options options = { .len = 0 };

        (void) g_strlcpy(options.owner_name, task->domain, sizeof(options.owner_name));
        for (size_t i = 0; i < task->n; i++) {
                int rv = sanlock_acquire(-1, task->pid, 0, 1, &task->leases[i].resource, &options);

                if (rv >= 0)
                        continue;
                (void) sanlock_release(-1, task->pid, SANLK_REL_ALL, 0, NULL);
                return refuse(task, &task->leases[i], rv, reterr);
        }
        return 0;
}

static int acquire_work(void *data, sd_bus_error *reterr) {
        int r = make_leases(data, reterr);

        return r < 0 ? r : take_leases(data, reterr);
}

static bool is_free(const Task *task, const struct sanlk_resource *resource) {
        g_autofree struct sanlk_resource *copy = g_memdup2(resource, sizeof(*resource) + sizeof(struct sanlk_disk));
        struct sanlk_host *owners = NULL;
        bool own = false;
        int n = 0;

        if (sanlock_read_resource_owners(copy, 0, &owners, &n) >= 0)
                for (int i = 0; i < n; i++)
                        own = own || owners[i].host_id == task->host_id;
        free(owners);
        return !own;
}

/* Of a process that has ended sanlock takes everything, when it comes to it. What the process did not get may be another's on this host. */
static int release_work(void *data, sd_bus_error *reterr) {
        gint64 late = g_get_monotonic_time() + (gint64) RELEASE_USEC;
        const Task *task = data;

        (void) sanlock_release(-1, task->pid, SANLK_REL_ALL, 0, NULL);
        for (size_t i = 0; task->held && i < task->n; i++)
                while (!is_free(task, task->leases[i].resource) && g_get_monotonic_time() < late)
                        g_usleep(LOOK_USEC);
        return 0;
}

static int suspend_work(void *data, sd_bus_error *reterr) {
        Task *task = data;
        char *state = NULL;
        int rv, count = 0;

        rv = sanlock_inquire(-1, task->pid, 0, &count, &state);
        if (rv >= 0)
                rv = sanlock_release(-1, task->pid, SANLK_REL_ALL, 0, NULL);
        task->token = g_strdup(state);
        free(state);
        return rv < 0 ? sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot %s: sanlock: %s", task->domain, task->purpose,
                                          reason_of(rv)) :
                        0;
}

/* A lease that had another owner meanwhile has another version. */
static void want_version(const Task *task, const struct sanlk_resource *held) {
        for (size_t i = 0; i < task->n; i++) {
                struct sanlk_resource *resource = task->leases[i].resource;

                if (strncmp(resource->lockspace_name, held->lockspace_name, SANLK_NAME_LEN) != 0 ||
                    strncmp(resource->name, held->name, SANLK_NAME_LEN) != 0)
                        continue;
                resource->flags |= SANLK_RES_LVER;
                resource->lver = held->lver;
        }
}

static int resume_work(void *data, sd_bus_error *reterr) {
        struct sanlk_resource **held = NULL;
        Task *task = data;
        int n = 0;

        if (task->token && sanlock_state_to_args(task->token, &n, &held) >= 0)
                for (int i = 0; i < n; i++) {
                        want_version(task, held[i]);
                        free(held[i]);
                }
        free(held);
        /* What it may have still, if nobody knows how the giving up ended, would be taken for another's. */
        (void) sanlock_release(-1, task->pid, SANLK_REL_ALL, 0, NULL);
        return take_leases(task, reterr);
}

/* --- in the loop ----------------------------------------------------------------------------------------------------- */

typedef struct Sanlock {
        VbLockCall *call;
        VbWorker *worker;
        sd_event_source *timer;
} Sanlock;

static void sanlock_free(void *work) {
        Sanlock *sanlock = work;

        (void) vb_worker_free(sanlock->worker);
        sd_event_source_disable_unref(sanlock->timer);
        g_free(sanlock);
}

static void on_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        Sanlock *sanlock = userdata;
        VbClaims *claims = sanlock->call->claims;
        Task *task = data;

        if (r >= 0) {
                g_free(claims->token);
                claims->token = g_steal_pointer(&task->token);
        }
        vb_lock_call_end(sanlock->call, r, error);
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Sanlock *sanlock = userdata;
        VbLockCall *call = sanlock->call;
        int r;

        sanlock->worker = vb_worker_free(sanlock->worker); /* the thread goes on, and nobody hears of it */
        r = sd_bus_error_setf(&error, VB_ERROR_TIMEOUT, "domain '%s': cannot %s: sanlock does not answer", call->domain->name,
                              call->purpose);
        vb_lock_call_end(call, r, &error);
        return 0;
}

static int new_resource(const Task *task, const VbClaim *claim, struct sanlk_resource **ret) {
        struct sanlk_resource *resource;
        int r;

        if (!claim->folder) {
                r = vb_sanlock_disk_resource(task->folder, claim->name, &resource);
                if (r < 0)
                        return r;
        } else {
                /* check() has seen that all has its place. */
                resource = g_malloc0(sizeof(*resource) + sizeof(struct sanlk_disk));
                memcpy(resource->lockspace_name, claim->lockspace, strlen(claim->lockspace)); /* a NUL need not follow */
                memcpy(resource->name, claim->name, strlen(claim->name));
                resource->num_disks = 1;
                resource->disks[0].offset = claim->offset;
                (void) g_strlcpy(resource->disks[0].path, claim->folder, sizeof(resource->disks[0].path));
        }
        resource->flags |= claim->shared ? SANLK_RES_SHARED : 0;
        *ret = resource;
        return 0;
}

static int add_lease(Task *task, const VbClaim *claim) {
        struct sanlk_resource *resource;
        int r;

        r = new_resource(task, claim, &resource);
        if (r < 0)
                return r;
        task->leases[task->n++] = (SanlockLease){
                .resource = resource,
                .device = g_strdup(claim->device),
                .name = g_strdup(claim->name),
                .is_disk = !claim->folder,
        };
        return 0;
}

static int task_new(const VbLockCall *call, Task **ret) {
        const VbLockSettings *settings = call->domain->hypervisor->locks;
        Task *task = g_new(Task, 1);
        int r = 0;

        *task = (Task){
                .domain = g_strdup(call->domain->name),
                .purpose = call->purpose,
                .pid = call->claims->pid,
                .held = call->claims->state == VB_CLAIMS_HELD,
                .leases = g_new0(SanlockLease, call->claims->n),
                .folder = g_strdup(settings->disk_lease_dir),
                .host_id = settings->host_id,
                .io_timeout = (uint32_t) (settings->sanlock_io_timeout / G_USEC_PER_SEC),
                .token = g_strdup(call->claims->token),
        };
        for (size_t i = 0; r >= 0 && i < call->claims->n; i++)
                r = add_lease(task, &call->claims->items[i]);
        if (r < 0) {
                task_free(task);
                return r;
        }
        *ret = task;
        return 0;
}

static int ask(VbLockCall *call, VbWork work, uint64_t usec, sd_bus_error *reterr) {
        sd_event *event = vb_daemon_event(call->domain->hypervisor->daemon);
        Sanlock *sanlock = g_new0(Sanlock, 1);
        Task *task;
        int r;

        sanlock->call = call;
        call->work = sanlock;
        call->free_work = sanlock_free;
        r = task_new(call, &task);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': cannot %s: disk_lease_dir of the settings: %s",
                                         call->domain->name, call->purpose, g_strerror(-r));
        r = vb_worker_start(&sanlock->worker, event, work, task, task_free, on_done, sanlock, reterr);
        if (r < 0) {
                task_free(task);
                return r;
        }
        return sd_event_add_time_relative(event, &sanlock->timer, CLOCK_MONOTONIC, usec, /* accuracy= */ 0, on_late, sanlock);
}

static int acquire(VbLockCall *call, sd_bus_error *reterr) {
        return ask(call, acquire_work, ASK_USEC, reterr);
}

static int release(VbLockCall *call, sd_bus_error *reterr) {
        return ask(call, release_work, 2 * RELEASE_USEC, reterr);
}

static int suspend(VbLockCall *call, sd_bus_error *reterr) {
        return ask(call, suspend_work, ASK_USEC, reterr);
}

static int resume(VbLockCall *call, sd_bus_error *reterr) {
        return ask(call, resume_work, ASK_USEC, reterr);
}

/* --- before a guest is started --------------------------------------------------------------------------------------- */

static int check_lease(const VbDomain *domain, const VbClaim *claim, sd_bus_error *reterr) {
        if (!claim->lockspace)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': cannot start: %s: sanlock wants to know its <lockspace>", domain->name, claim->device);
        if (strlen(claim->lockspace) > SANLK_NAME_LEN || strlen(claim->name) > SANLK_NAME_LEN || strlen(claim->folder) >= SANLK_PATH_LEN)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': cannot start: %s: sanlock's names have at most %d bytes, its paths %d", domain->name,
                                         claim->device, SANLK_NAME_LEN, SANLK_PATH_LEN - 1);
        return 0;
}

static int check(const VbDomain *domain, sd_bus_error *reterr) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < domain->claims->n; i++) {
                const VbClaim *claim = &domain->claims->items[i];

                if (claim->folder)
                        r = check_lease(domain, claim, reterr);
                else if (domain->hypervisor->locks->host_id == 0)
                        r = sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                              "domain '%s': cannot start: sanlock needs to know this host's number: host_id in %s.conf, another for each "
                                              "host that shares disk_lease_dir",
                                              domain->name, domain->hypervisor->driver->name);
        }
        return r;
}

/* The guest's own process must be the one that connects. It may do nothing by that but be watched. */
static int enroll(void) {
        int fd = sanlock_register(), r;

        if (fd < 0)
                return fd;
        r = sanlock_restrict(fd, SANLK_RESTRICT_ALL);
        return r < 0 ? r : fd;
}

const VbLockManager vb_lock_manager_sanlock = {
        .name = "sanlock",
        .check = check,
        .enroll = enroll,
        .acquire = acquire,
        .release = release,
        .suspend = suspend,
        .resume = resume,
};
