/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/job.h"

#include <time.h>

#include "interfaces/job1.h"

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon.h"

enum {
        JOBS_MAX = 1024,
        ANNOUNCE_USEC = 100 * 1000,
};

struct VbJob {
        VbObject object;
        VbDaemon *daemon;
        VbIdleHold *hold;

        char *operation;
        char *target; /* the path of what it works on */
        uid_t owner;
        uint64_t started_usec;
        VbJobCancel cancel;
        void *userdata;
        bool cancelable;

        double progress;
        uint64_t bytes_done, bytes_total;
        uint64_t moves;
        uint64_t announced_usec;
        sd_event_source *timer; /* runs while progress waits to be announced */
        uint64_t unannounced;
};

static VbJob *job_of(VbObject *object) {
        return vb_container_of(object, VbJob, object);
}

/* Its interface */

static const char *get_operation(VbObject *object) {
        return job_of(object)->operation;
}

static const char *get_object(VbObject *object) {
        return job_of(object)->target;
}

static uint32_t get_owner(VbObject *object) {
        return job_of(object)->owner;
}

static double get_progress(VbObject *object) {
        return job_of(object)->progress;
}

static uint64_t get_bytes_done(VbObject *object) {
        return job_of(object)->bytes_done;
}

static uint64_t get_bytes_total(VbObject *object) {
        return job_of(object)->bytes_total;
}

static uint64_t get_started(VbObject *object) {
        return job_of(object)->started_usec;
}

static bool get_cancelable(VbObject *object) {
        return job_of(object)->cancelable;
}

int vb_job_cancel(VbJob *job, sd_bus_error *reterr) {
        if (!job->cancelable)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "job '%s': cannot be cancelled now",
                                         job->operation);
        return job->cancel(job, job->userdata, reterr);
}

static int on_cancel(VbCall *call, VbObject *object, const VbJob1CancelArgs *args, sd_bus_error *reterr) {
        int r;

        r = vb_job_cancel(job_of(object), reterr);
        return r < 0 ? r : vb_job1_reply_cancel(call);
}

static void describe(VbObject *object, VbSubject *ret_subject) {
        *ret_subject = (VbSubject){ .name = job_of(object)->operation, .owner = job_of(object)->owner };
}

static const VbJob1Handlers handlers = {
        .get_operation = get_operation,
        .get_object = get_object,
        .get_owner = get_owner,
        .get_progress = get_progress,
        .get_bytes_done = get_bytes_done,
        .get_bytes_total = get_bytes_total,
        .get_started_usec = get_started,
        .get_cancelable = get_cancelable,
        .cancel = on_cancel,
};

static const VbObjectKind job_kind = {
        .noun = "job",
        .prefix = "job",
        .interfaces = (const VbObjectInterface[]){ { &vb_job1_interface, &handlers }, {} },
        .describe = describe,
};

/* Progress */

static void announce(VbJob *job, uint64_t now) {
        job->announced_usec = now;
        vb_job1_changed(&job->object, job->unannounced);
        job->unannounced = 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        announce(userdata, usec);
        return 0;
}

static void announce_soon(VbJob *job, uint64_t properties) {
        uint64_t now = 0;
        bool waits = job->unannounced != 0;
        int r;

        job->unannounced |= properties;
        if (waits)
                return;
        (void) sd_event_now(vb_daemon_event(job->daemon), CLOCK_MONOTONIC, &now);
        if (now >= job->announced_usec + ANNOUNCE_USEC) {
                announce(job, now);
                return;
        }
        r = sd_event_source_set_time(job->timer, job->announced_usec + ANNOUNCE_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(job->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                announce(job, now);
}

void vb_job_set_progress(VbJob *job, uint64_t bytes_done, uint64_t bytes_total) {
        if (bytes_done != job->bytes_done)
                job->moves++;
        job->bytes_done = bytes_done;
        job->bytes_total = bytes_total;
        job->progress = bytes_total == 0 ? -1 : MIN((double) bytes_done / bytes_total, 1);
        announce_soon(job, VB_JOB1_PROGRESS | VB_JOB1_BYTES_DONE | VB_JOB1_BYTES_TOTAL);
}

void vb_job_note_move(VbJob *job) {
        job->moves++;
}

void vb_job_set_fraction(VbJob *job, double fraction) {
        job->progress = fraction < 0 ? -1 : MIN(fraction, 1);
        announce_soon(job, VB_JOB1_PROGRESS);
}

void vb_job_set_cancelable(VbJob *job, bool cancelable) {
        cancelable = cancelable && job->cancel;
        if (job->cancelable == cancelable)
                return;
        job->cancelable = cancelable;
        vb_job1_changed(&job->object, VB_JOB1_CANCELABLE);
}

VbJobFigures vb_job_figures(const VbJob *job) {
        return (VbJobFigures){
                .operation = job->operation,
                .started_usec = job->started_usec,
                .bytes_done = job->bytes_done,
                .bytes_total = job->bytes_total,
                .moves = job->moves,
        };
}

const char *vb_job_path(const VbJob *job) {
        return job ? vb_object_path(&job->object) : "/";
}

/* Life */

static int export(VbJob *job) {
        static uint64_t last_number = 0;
        char id[24];

        (void) g_snprintf(id, sizeof(id), "%" G_GUINT64_FORMAT, ++last_number);
        return vb_object_export(&job->object, vb_daemon_objects(job->daemon), &job_kind, id);
}

int vb_job_new(VbJob **ret, VbDaemon *daemon, const char *operation, VbObject *object, VbCall *call,
               VbJobCancel cancel, void *userdata, sd_bus_error *reterr) {
        g_autoptr(VbJob) job = NULL;
        int r;

        if (vb_objects_count(vb_daemon_objects(daemon), &job_kind) >= JOBS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "more than %d jobs run already",
                                         JOBS_MAX);

        job = g_new0(VbJob, 1);
        job->daemon = daemon;
        job->operation = g_strdup(operation);
        job->target = g_strdup(object && vb_object_is_exported(object) ? vb_object_path(object) : "/");
        job->owner = call ? vb_call_uid(call) : 0;
        job->started_usec = g_get_real_time();
        job->cancel = cancel;
        job->userdata = userdata;
        job->cancelable = cancel != NULL;
        job->progress = -1;

        r = sd_event_add_time(vb_daemon_event(daemon), &job->timer, CLOCK_MONOTONIC, UINT64_MAX,
                              /* accuracy= */ 0, on_timer, job);
        if (r >= 0)
                r = sd_event_source_set_enabled(job->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = export(job);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot begin the job '%s': %m", operation);
        job->hold = vb_idle_hold(daemon, operation);
        vb_daemon_hold_shutdown(daemon);
        *ret = g_steal_pointer(&job);
        return 0;
}

VbJob *vb_job_end(VbJob *job) {
        if (!job)
                return NULL;
        if (job->unannounced != 0)
                announce(job, /* now= */ 0);
        vb_object_unexport(&job->object);
        sd_event_source_disable_unref(job->timer);
        if (job->hold)
                vb_daemon_release_shutdown(job->daemon);
        vb_idle_release(job->hold);
        g_free(job->operation);
        g_free(job->target);
        g_free(job);
        return NULL;
}
