/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/error.h"

/* What thread and loop share; whoever lets go last frees it. */
typedef struct Task {
        atomic_int references;
        int done_fd; /* eventfd, written when the work is over */
        VbWork work;
        void *data;
        GDestroyNotify free_data;
        int result;
        sd_bus_error error;
} Task;

struct VbWorker {
        Task *task;
        sd_event_source *source;
        VbWorkDone done;
        void *userdata;
};

static atomic_uint running;

static void task_unref(Task *task) {
        if (atomic_fetch_sub(&task->references, 1) != 1)
                return;

        if (task->free_data)
                task->free_data(task->data);
        sd_bus_error_free(&task->error);
        task->done_fd = vb_close(task->done_fd);
        g_free(task);
}

static void *run(void *userdata) {
        Task *task = userdata;

        task->result = task->work(task->data, &task->error);
        atomic_fetch_sub(&running, 1);
        (void) eventfd_write(task->done_fd, 1);
        task_unref(task);
        return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        VbWorker *worker = userdata;
        Task *task = worker->task;

        worker->source = sd_event_source_disable_unref(worker->source);

        /* done() may free the worker, and with it the last reference. */
        atomic_fetch_add(&task->references, 1);
        worker->done(worker, task->result, &task->error, task->data, worker->userdata);
        task_unref(task);
        return 0;
}

/* The loop handles all signals; no thread may get one. */
static int start_thread(Task *task) {
        pthread_attr_t attributes;
        sigset_t all, old;
        pthread_t thread;
        int r;

        (void) sigfillset(&all);
        (void) pthread_attr_init(&attributes);
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attributes, (size_t) 256 * 1024);

        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&thread, &attributes, run, task);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void) pthread_attr_destroy(&attributes);
        return -r;
}

int vb_worker_start(VbWorker **ret, sd_event *event, VbWork work, void *data, GDestroyNotify free_data,
                    VbWorkDone done, void *userdata, sd_bus_error *reterr) {
        g_autoptr(VbWorker) worker = g_new0(VbWorker, 1);
        int r;

        worker->done = done;
        worker->userdata = userdata;
        worker->task = g_new0(Task, 1);
        worker->task->references = 1;
        worker->task->work = work;
        worker->task->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->task->done_fd < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot make an event descriptor: %m");

        r = sd_event_add_io(event, &worker->source, worker->task->done_fd, EPOLLIN, on_done, worker);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot watch an event descriptor: %m");

        if (atomic_fetch_add(&running, 1) >= VB_WORKERS_MAX) {
                atomic_fetch_sub(&running, 1);
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "%d files are being worked on already; try again later", VB_WORKERS_MAX);
        }

        worker->task->data = data;
        worker->task->free_data = free_data;
        worker->task->references = 2;
        r = start_thread(worker->task);
        if (r < 0) {
                worker->task->references = 1;
                worker->task->free_data = NULL;
                atomic_fetch_sub(&running, 1);
                return sd_bus_error_set_errnof(reterr, r, "cannot start a thread: %m");
        }

        *ret = g_steal_pointer(&worker);
        return 0;
}

VbWorker *vb_worker_free(VbWorker *worker) {
        if (!worker)
                return NULL;

        worker->source = sd_event_source_disable_unref(worker->source);
        task_unref(worker->task);
        g_free(worker);
        return NULL;
}
