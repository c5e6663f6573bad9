/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "base/error.h"

typedef struct Work {
        int start_fd; /* an eventfd that the work waits for; -1: none */
        int result;
        atomic_bool *freed;
} Work;

typedef struct Outcome {
        sd_event *event;
        VbWorker *worker;
        int calls, r;
        char *message;
} Outcome;

static int do_work(void *data, sd_bus_error *reterr) {
        Work *work = data;
        eventfd_t value;

        if (work->start_fd >= 0)
                (void) eventfd_read(work->start_fd, &value);
        if (work->result < 0)
                return sd_bus_error_set(reterr, VB_ERROR_STORAGE_FAILED, "the disk is on fire");
        return work->result;
}

static void free_work(void *data) {
        Work *work = data;

        atomic_store(work->freed, true);
        g_free(work);
}

static void on_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        Outcome *outcome = userdata;

        outcome->calls++;
        outcome->r = r;
        outcome->message = g_strdup(error->message);
        outcome->worker = vb_worker_free(worker);
        (void) sd_event_exit(outcome->event, 0);
}

static void start(Outcome *outcome, int start_fd, int result, atomic_bool *freed) {
        Work *work = g_new0(Work, 1);

        *work = (Work){ .start_fd = start_fd, .result = result, .freed = freed };
        g_assert_cmpint(sd_event_new(&outcome->event), >=, 0);
        g_assert_cmpint(
                vb_worker_start(&outcome->worker, outcome->event, do_work, work, free_work, on_done, outcome, NULL), ==, 0);
}

static void test_result(const void *data) {
        int result = GPOINTER_TO_INT(data);
        atomic_bool freed = false;
        Outcome outcome = {};

        start(&outcome, -1, result, &freed);
        g_assert_cmpint(sd_event_loop(outcome.event), ==, 0);
        g_assert_cmpint(outcome.calls, ==, 1);
        g_assert_cmpint(outcome.r < 0, ==, result < 0);
        g_assert_cmpstr(outcome.message, ==, result < 0 ? "the disk is on fire" : NULL);

        /* The thread may let go last. */
        while (!atomic_load(&freed))
                g_thread_yield();
        g_free(outcome.message);
        sd_event_unref(outcome.event);
}

/* Freed while the thread hangs: nobody is called, and the data stays until the thread is through. */
static void test_freed_early(void) {
        vb_autofd gate = eventfd(0, EFD_CLOEXEC);
        atomic_bool freed = false;
        Outcome outcome = {};

        start(&outcome, gate, 0, &freed);
        outcome.worker = vb_worker_free(outcome.worker);
        g_assert_false(atomic_load(&freed));

        g_assert_cmpint(eventfd_write(gate, 1), ==, 0);
        while (!atomic_load(&freed))
                g_thread_yield();
        g_assert_cmpint(outcome.calls, ==, 0);
        sd_event_unref(outcome.event);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();

        g_test_add_data_func("/worker/success", GINT_TO_POINTER(0), test_result);
        g_test_add_data_func("/worker/failure", GINT_TO_POINTER(-EIO), test_result);
        g_test_add_func("/worker/freed-early", test_freed_early);
        return g_test_run();
}
