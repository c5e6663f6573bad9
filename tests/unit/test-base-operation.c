/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/operation.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "test-util.h"

/* Each step's run and undo write their letter into a trace: "a" ran, "A" was undone, "." done() came. */
typedef struct Fixture {
        sd_event *event;
        GString *trace;
        unsigned n_done;
        int r;
        char *message;
        bool free_in_done;
        const char *cancel_in_entered; /* name of a step */
        VbOperation *operation;
} Fixture;

static void trace(void *userdata, char c) {
        (void) g_string_append_c(((Fixture *) userdata)->trace, c);
}

static int undo(VbOperation *operation, void *userdata) {
        trace(userdata, g_ascii_toupper(vb_operation_get_step(operation)->name[0]));
        g_assert_true(vb_operation_is_undoing(operation));
        return VB_STEP_DONE;
}

static int undo_fails(VbOperation *operation, void *userdata) {
        (void) undo(operation, userdata);
        return -EIO;
}

static int run(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        trace(userdata, vb_operation_get_step(operation)->name[0]);
        return VB_STEP_DONE;
}

static int run_fails(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        return sd_bus_error_setf(reterr, VB_ERROR_NO_FILE, "file 'x': missing");
}

static int run_fails_plainly(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        return -ENOMEM;
}

static int run_pends(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        return VB_STEP_PENDING;
}

static int run_answers_itself(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        vb_operation_step_done(operation, 0, NULL);
        vb_operation_step_done(operation, -EIO, NULL); /* too much: ignored */
        return VB_STEP_PENDING;
}

static int run_cancels(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        vb_operation_cancel(operation, "a step said so");
        return VB_STEP_DONE;
}

static int run_frees(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        (void) run(operation, userdata, reterr);
        ((Fixture *) userdata)->operation = vb_operation_free(operation);
        return VB_STEP_DONE;
}

static int undo_pends(VbOperation *operation, void *userdata) {
        (void) undo(operation, userdata);
        return VB_STEP_PENDING;
}

static int undo_frees(VbOperation *operation, void *userdata) {
        (void) undo(operation, userdata);
        ((Fixture *) userdata)->operation = vb_operation_free(operation);
        return VB_STEP_DONE;
}

static void entered(VbOperation *operation, const VbStep *step, void *userdata) {
        Fixture *f = userdata;

        if (f->cancel_in_entered && strcmp(step->name, f->cancel_in_entered) == 0)
                vb_operation_cancel(operation, "no longer wanted");
}

static void done(VbOperation *operation, int r, const sd_bus_error *error, void *userdata) {
        Fixture *f = userdata;

        trace(f, '.');
        f->n_done++;
        f->r = r;
        f->message = g_strdup(error->message);
        if (f->free_in_done)
                f->operation = vb_operation_free(operation);
}

static void begin(Fixture *f, const VbStep *steps, size_t n) {
        VbOperationSpec spec = { .title = "start domain 'web'", .object = "web", .steps = steps, .n_steps = n,
                                 .entered = entered, .done = done, .userdata = f };

        f->event = test_event_new();
        f->trace = g_string_new(NULL);
        g_assert_cmpint(vb_operation_start(&f->operation, f->event, &spec), ==, 0);
        g_assert_cmpstr(f->trace->str, ==, ""); /* nothing from within start */
}

static void end(Fixture *f) {
        f->operation = vb_operation_free(f->operation);
        test_run_idle(f->event);
        sd_event_unref(f->event);
        (void) g_string_free(f->trace, true);
        g_free(f->message);
}

/* What ends by itself. */
static const struct {
        const char *what;
        VbStep steps[3];
        const char *cancel_in_entered;
        const char *trace;
        int r;
        const char *message;
} rows[] = {
        { "all well", { { "a", run, undo }, { "b", run, undo }, { "c", run, undo } }, NULL, "abc.", 0, NULL },
        { "first fails", { { "a", run_fails, undo }, { "b", run, undo }, { "c", run, undo } }, NULL, "a.", -ENOENT,
          "file 'x': missing" },
        { "last fails", { { "a", run, undo }, { "b", run, NULL }, { "c", run_fails, undo } }, NULL, "abcA.",
          -ENOENT, "file 'x': missing" },
        { "without a sentence", { { "a", run, undo }, { "b", run_fails_plainly, undo }, { "c", run, undo } }, NULL,
          "abA.", -ENOMEM, "cannot start domain 'web': step 'b': Cannot allocate memory" },
        { "undo fails", { { "a", run, undo }, { "b", run, undo_fails }, { "c", run_fails, undo } }, NULL, "abcBA.",
          -ENOENT, "file 'x': missing" },
        { "answers from within", { { "a", run_answers_itself, undo }, { "b", run, undo }, { "c", run, undo } }, NULL,
          "abc.", 0, NULL },
        { "cancels from within", { { "a", run, undo }, { "b", run_cancels, undo }, { "c", run, undo } }, NULL,
          "abBA.", -ECANCELED, "cannot start domain 'web': a step said so" },
        { "cancelled before a step", { { "a", run, undo }, { "b", run, undo }, { "c", run, undo } }, "b", "aA.",
          -ECANCELED, "cannot start domain 'web': no longer wanted" },
        { "cancelled before all", { { "a", run, undo }, { "b", run, undo }, { "c", run, undo } }, "a", ".",
          -ECANCELED, "cannot start domain 'web': no longer wanted" },
        { "time limit", { { "a", run, undo }, { "greet", run_pends, undo, 1000 }, { "c", run, undo } }, NULL,
          "agGA.", -ETIMEDOUT, "cannot start domain 'web': step 'greet': no answer within 0.001 s" },
};

static void test_rows(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                for (int free_in_done = 0; free_in_done < 2; free_in_done++) {
                        Fixture f = { .free_in_done = free_in_done, .cancel_in_entered = rows[i].cancel_in_entered };

                        g_test_message("%s", rows[i].what);
                        begin(&f, rows[i].steps, 3);
                        TEST_RUN_UNTIL(f.event, f.n_done > 0);
                        test_run_idle(f.event);
                        g_assert_cmpstr(f.trace->str, ==, rows[i].trace);
                        g_assert_cmpint(f.r, ==, rows[i].r);
                        g_assert_cmpstr(f.message, ==, rows[i].message);
                        g_assert_cmpuint(f.n_done, ==, 1);
                        end(&f);
                }
}

static const VbStep waiting[] = { { "a", run, undo }, { "b", run_pends, undo_pends }, { "c", run, undo } };

static void test_pending(void) {
        Fixture f = { 0 };

        begin(&f, waiting, G_N_ELEMENTS(waiting));
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "ab");
        vb_operation_step_done(f.operation, 0, NULL);
        g_assert_cmpstr(f.trace->str, ==, "ab"); /* not on our stack */
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abc.");
        vb_operation_step_done(f.operation, -EIO, NULL);
        vb_operation_cancel(f.operation, "too late");
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abc.");
        end(&f);
}

static void test_pending_fails_late_answer(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Fixture f = { 0 };

        begin(&f, waiting, G_N_ELEMENTS(waiting));
        test_run_idle(f.event);
        (void) sd_bus_error_setf(&error, VB_ERROR_MONITOR_FAILED, "domain 'web': no such command");
        vb_operation_step_done(f.operation, -EPROTO, &error);
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abB");
        vb_operation_step_done(f.operation, 0, NULL); /* must not pass for the undo's answer */
        vb_operation_cancel(f.operation, "again");    /* nor replace the error */
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abB");
        vb_operation_undo_done(f.operation, 0);
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abBA.");
        g_assert_cmpint(f.r, ==, -EPROTO);
        g_assert_cmpstr(f.message, ==, "domain 'web': no such command");
        end(&f);
}

static void test_cancel_pending(void) {
        Fixture f = { 0 };

        begin(&f, waiting, G_N_ELEMENTS(waiting));
        test_run_idle(f.event);
        vb_operation_cancel(f.operation, "destroyed");
        vb_operation_step_done(f.operation, 0, NULL);
        test_run_idle(f.event);
        vb_operation_undo_done(f.operation, -EIO);
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abBA.");
        g_assert_cmpint(f.r, ==, -ECANCELED);
        end(&f);
}

static void test_free_anywhere(void) {
        static const VbStep in_run[] = { { "a", run, undo }, { "b", run_frees, undo } };
        static const VbStep in_undo[] = { { "a", run, undo_frees }, { "b", run_fails, undo } };
        Fixture f = { 0 };

        begin(&f, in_run, 2);
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "ab");
        end(&f);

        f = (Fixture) { 0 };
        begin(&f, in_undo, 2);
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "abA");
        end(&f);

        f = (Fixture) { 0 };
        begin(&f, in_run, 2);
        f.operation = vb_operation_free(f.operation); /* before it began */
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "");
        end(&f);

        f = (Fixture) { 0 };
        begin(&f, waiting, 3);
        test_run_idle(f.event);
        f.operation = vb_operation_free(f.operation); /* while it waits */
        test_run_idle(f.event);
        g_assert_cmpstr(f.trace->str, ==, "ab");
        end(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        vb_log_init("test", LOG_ERR);
        g_test_add_func("/operation/rows", test_rows);
        g_test_add_func("/operation/pending", test_pending);
        g_test_add_func("/operation/pending-fails-late-answer", test_pending_fails_late_answer);
        g_test_add_func("/operation/cancel-pending", test_cancel_pending);
        g_test_add_func("/operation/free-anywhere", test_free_anywhere);
        return g_test_run();
}
