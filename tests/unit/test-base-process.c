/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "test-util.h"

/* A uid that the user database does not know. */
#define NOBODYS_UID 64321u

typedef struct Run {
        sd_event *event;
        VbProcess *process;
        unsigned n_started, n_exited;
        int started_r;
        char *message;
        VbProcessExit exit;
        char *output, *errors;
        bool free_in_started, free_in_exited;
} Run;

static void on_started(VbProcess *process, int r, const sd_bus_error *error, void *userdata) {
        Run *run = userdata;

        g_assert_cmpuint(run->n_exited, ==, 0);
        run->n_started++;
        run->started_r = r;
        run->message = g_strdup(error->message);
        if (run->free_in_started)
                run->process = vb_process_free(process);
}

static void on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        Run *run = userdata;

        run->n_exited++;
        run->exit = *exit;
        run->output = g_strdup(vb_process_get_output(process));
        run->errors = g_strdup(vb_process_get_errors(process));
        if (run->free_in_exited)
                run->process = vb_process_free(process);
}

static void begin(Run *run, VbProcessSpec spec) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (!run->event)
                run->event = test_event_new();
        spec.started = on_started;
        spec.exited = on_exited;
        spec.userdata = run;
        g_assert_cmpint(vb_process_spawn(&run->process, run->event, &spec, &error), ==, 0);
        g_assert_null(error.message);
}

static void run_done(Run *run) {
        run->process = vb_process_free(run->process);
        sd_event_unref(run->event);
        g_free(run->message);
        g_free(run->output);
        g_free(run->errors);
}

static Run run_shell(VbProcessSpec spec, const char *script) {
        const char *argv[] = { "sh", "-c", script, NULL };
        Run run = { 0 };

        spec.path = "/bin/sh";
        spec.argv = (char **) argv;
        spec.out.kind = spec.err.kind = VB_STREAM_CAPTURE;
        begin(&run, spec);
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        g_assert_cmpuint(run.n_started, ==, 1);
        return run;
}

static void test_output_and_status(void) {
        Run run = run_shell((VbProcessSpec) { 0 }, "echo out; printf 'e\\0r\\033r\\n\\n' >&2; exit 7");
        g_autofree char *text = vb_process_exit_to_string(&run.exit);

        g_assert_cmpint(run.started_r, ==, 0);
        g_assert_cmpstr(run.output, ==, "out");
        g_assert_cmpstr(run.errors, ==, "e?r?r");
        g_assert_cmpstr(text, ==, "exited with status 7");
        g_assert_true(vb_process_has_exited(run.process));
        g_assert_cmpint(vb_process_kill(run.process, SIGKILL), ==, -ESRCH);
        run_done(&run);
}

static void test_capture_is_bounded(void) {
        Run run = run_shell((VbProcessSpec) { .capture_size = 100 },
                            "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done");

        g_assert_cmpuint(strlen(run.output), <=, 100);
        g_assert_true(g_str_has_suffix(run.output, "\nline 2999"));
        run_done(&run);
}

/* One of those that the C library keeps to itself: ignored by whoever started us, as some programs that start services do. */
static void ignore_reserved_signal(void) {
        const unsigned long action[8] = { 1 /* SIG_IGN, in the kernel's struct */ };

        g_assert_cmpint(syscall(SYS_rt_sigaction, 32, action, NULL, _NSIG / 8), ==, 0);
}

static void test_what_a_child_inherits(void) {
        vb_autofd kept = open("/etc/passwd", O_RDONLY | O_CLOEXEC), other = open("/etc/passwd", O_RDONLY);
        VbProcessLimit limit = { RLIMIT_NOFILE, { 77, 77 } };
        Run run;

        (void) signal(SIGUSR1, SIG_IGN);
        ignore_reserved_signal();
        (void) umask(0);
        g_assert_cmpint(other, >=, 0);
        /* The signal mask is read by a child of the shell, as the shell blocks signals while it forks. */
        run = run_shell((VbProcessSpec) { .keep_fds = &kept, .n_keep_fds = 1, .limits = &limit, .n_limits = 1,
                                          .new_session = true, .no_new_privileges = true, .directory = "/proc",
                                          .set_oom_score_adjust = true, .oom_score_adjust = 321 },
                        "exec /bin/sh -c 'ls -x /proc/$$/fd; umask; ulimit -n; pwd; cat /proc/$$/oom_score_adj;"
                        "grep -E \"SigIgn|SigBlk|NoNewPrivs\" /proc/self/status; cut -d\" \" -f6 /proc/$$/stat; echo $$;"
                        "env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e OLDPWD'");
        g_assert_cmpstr(run.errors, ==, "");
        {
                g_autofree char *pid = g_strdup_printf("%d", vb_process_get_pid(run.process));
                g_autofree char *expected = g_strdup_printf(
                        "0  1  2  %d\n0077\n77\n/proc\n321\nNoNewPrivs:\t1\nSigBlk:\t0000000000000000\n"
                        "SigIgn:\t0000000000000000\n%s\n%s\n"
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C.UTF-8",
                        kept, pid, pid);
                g_auto(GStrv) got = g_strsplit(run.output, "\n", -1), want = g_strsplit(expected, "\n", -1);

                g_assert_cmpstr(got[0], ==, want[0]); /* the descriptors */
                for (size_t i = 1; want[i]; i++)
                        if (!g_strv_contains((const char *const *) got, want[i]))
                                g_error("no line '%s' in:\n%s", want[i], run.output);
        }
        run_done(&run);
        (void) signal(SIGUSR1, SIG_DFL);
}

static void test_user(void) {
        Run run;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        g_assert_cmpint(setgroups(2, (gid_t[]) { 0, 6 }), ==, 0); /* root's groups must not go along */
        run = run_shell((VbProcessSpec) { .change_user = true, .uid = NOBODYS_UID, .gid = NOBODYS_UID,
                                          .drop_capabilities = true, .no_new_privileges = true },
                        "grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status | tr -s ' \\t' ' '");
        g_assert_cmpstr(run.output, ==,
                        "Uid: 64321 64321 64321 64321\nGid: 64321 64321 64321 64321\nGroups: 64321 \n"
                        "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n"
                        "CapBnd: 0000000000000000\nCapAmb: 0000000000000000");
        run_done(&run);

        /* All groups of a user that has some: "daemon" has at least its own. */
        run = run_shell((VbProcessSpec) { .change_user = true, .uid = 1, .gid = 1 }, "id -G; id -Gn daemon");
        {
                g_auto(GStrv) lines = g_strsplit(run.output, "\n", -1);

                g_assert_cmpuint(g_strv_length(lines), ==, 2);
                g_assert_true(g_str_has_prefix(lines[0], "1"));
        }
        run_done(&run);
        g_assert_cmpint(setgroups(1, (gid_t[]) { 0 }), ==, 0);
}

static void test_root_without_capabilities(void) {
        Run run;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        run = run_shell((VbProcessSpec) { .drop_capabilities = true, .no_new_privileges = true },
                        "grep -E '^Cap(Eff|Bnd)' /proc/self/status | tr -s ' \\t' ' '");
        g_assert_cmpstr(run.output, ==, "CapEff: 0000000000000000\nCapBnd: 0000000000000000");
        run_done(&run);
}

/* What goes wrong in the child arrives as a sentence. */
static void test_failures(void) {
        static const struct {
                const char *path, *directory;
                int r;
                const char *message;
        } rows[] = {
                { "/no/such/program", NULL, -ENOENT,
                  "program '/no/such/program': cannot execute it: No such file or directory" },
                { "/etc/passwd", NULL, -EACCES, "program '/etc/passwd': cannot execute it: Permission denied" },
                { "/bin/true", "/no/such", -ENOENT,
                  "program '/bin/true': cannot change to its working directory: No such file or directory" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const char *argv[] = { "x", NULL };
                Run run = { 0 };

                begin(&run, (VbProcessSpec) { .path = rows[i].path, .argv = (char **) argv,
                                              .directory = rows[i].directory });
                TEST_RUN_UNTIL(run.event, run.n_exited > 0);
                g_assert_cmpuint(run.n_started, ==, 1);
                g_assert_cmpint(run.started_r, ==, rows[i].r);
                g_assert_cmpstr(run.message, ==, rows[i].message);
                g_assert_cmpint(run.exit.code, ==, CLD_EXITED);
                run_done(&run);
        }
}

static void test_gate(void) {
        const char *argv[] = { "true", NULL };
        VbProcessSpec spec = { .path = "/bin/true", .argv = (char **) argv, .gated = true };
        Run run = { 0 };

        begin(&run, spec);
        for (int i = 0; i < 20; i++)
                g_assert_cmpint(sd_event_run(run.event, 5000), >=, 0);
        g_assert_cmpuint(run.n_started, ==, 0);
        g_assert_cmpint(vb_process_release(run.process), ==, 0);
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        g_assert_cmpint(run.started_r, ==, 0);
        g_assert_cmpint(vb_process_release(run.process), ==, -ESRCH);
        run_done(&run);

        /* Killed at the gate: it never was started. */
        run = (Run) { 0 };
        begin(&run, spec);
        g_assert_cmpint(vb_process_kill(run.process, SIGKILL), ==, 0);
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        g_assert_cmpuint(run.n_started, ==, 1);
        g_assert_cmpint(run.started_r, ==, -ECANCELED);
        g_assert_cmpint(run.exit.code, ==, CLD_KILLED);
        run_done(&run);
}

typedef struct AtGate {
        Run run;
        unsigned n_at_gate;
} AtGate;

/* Nothing of the program has happened yet. */
static void on_at_gate(VbProcess *process, void *userdata) {
        AtGate *gate = userdata;

        gate->n_at_gate++;
        g_assert_cmpuint(gate->run.n_started, ==, 0);
        g_assert_cmpint(vb_process_release(process), ==, 0);
}

static void test_at_gate(void) {
        const char *argv[] = { "true", NULL };
        AtGate gate = { .n_at_gate = 0 };

        begin(&gate.run, (VbProcessSpec) { .path = "/bin/true", .argv = (char **) argv, .gated = true, .at_gate = on_at_gate });
        TEST_RUN_UNTIL(gate.run.event, gate.run.n_exited > 0);
        g_assert_cmpuint(gate.n_at_gate, ==, 1);
        g_assert_cmpint(gate.run.started_r, ==, 0);
        run_done(&gate.run);
}

static int open_something(void) {
        int fd = open("/dev/full", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int open_nothing(void) {
        return -ECONNREFUSED;
}

/* What it enrolled by stays open in the program, though it was opened close-on-exec; and who cannot enroll is not started. */
static void test_enroll(void) {
        const char *argv[] = { "sh", "-c", "ls -l /proc/self/fd", NULL };
        Run run = { 0 };

        begin(&run, (VbProcessSpec) { .path = "/bin/sh", .argv = (char **) argv, .out = { VB_STREAM_CAPTURE }, .enroll = open_something });
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        g_assert_nonnull(strstr(vb_process_get_output(run.process), " -> /dev/full"));
        run_done(&run);

        run = (Run) { 0 };
        begin(&run, (VbProcessSpec) { .path = "/bin/sh", .argv = (char **) argv, .enroll = open_nothing, .enroll_with = "nobody" });
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        g_assert_cmpint(run.started_r, ==, -ECONNREFUSED);
        g_assert_cmpstr(run.message, ==, "program '/bin/sh': cannot enroll with nobody: Connection refused");
        run_done(&run);
}

/* Freed before its gate opens, the child goes away, and no zombie stays. */
static void test_free_at_gate(void) {
        const char *argv[] = { "sleep", "1000", NULL };
        Run run = { 0 };
        siginfo_t info;

        begin(&run, (VbProcessSpec) { .path = "/bin/sleep", .argv = (char **) argv, .gated = true });
        run.process = vb_process_free(run.process);
        while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) >= 0)
                g_assert_cmpint(sd_event_run(run.event, 10000), >=, 0);
        g_assert_cmpint(errno, ==, ECHILD);
        g_assert_cmpuint(run.n_exited, ==, 0);
        run_done(&run);
}

static void test_free_in_callbacks(void) {
        const char *argv[] = { "true", NULL };
        VbProcessSpec spec = { .path = "/bin/true", .argv = (char **) argv, .err.kind = VB_STREAM_CAPTURE };
        Run run = { .free_in_started = true };
        siginfo_t info;

        begin(&run, spec);
        TEST_RUN_UNTIL(run.event, run.n_started > 0);
        while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) >= 0)
                g_assert_cmpint(sd_event_run(run.event, 10000), >=, 0);
        g_assert_cmpuint(run.n_exited, ==, 0);
        run_done(&run);

        run = (Run) { .free_in_exited = true };
        begin(&run, spec);
        TEST_RUN_UNTIL(run.event, run.n_exited > 0);
        run_done(&run);
}

static void on_adopted_exit(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        *(VbProcessExit *) userdata = *exit;
        ((VbProcessExit *) userdata)->status = 4711;
}

static void test_adopt(void) {
        const char *argv[] = { "sleep", "1000", NULL };
        g_autoptr(VbProcess) adopted = NULL;
        VbProcessExit exit = { -1, 0 };
        uint64_t start_time;
        Run run = { 0 };
        pid_t pid;

        begin(&run, (VbProcessSpec) { .path = "/bin/sleep", .argv = (char **) argv });
        TEST_RUN_UNTIL(run.event, run.n_started > 0);
        pid = vb_process_get_pid(run.process);
        start_time = vb_process_get_start_time(run.process);
        g_assert_cmpuint(start_time, >, 0);

        g_assert_cmpint(vb_process_adopt(&adopted, run.event, pid, start_time + 1, on_adopted_exit, &exit), ==, -ESRCH);
        g_assert_cmpint(vb_process_adopt(&adopted, run.event, 0, 0, on_adopted_exit, &exit), ==, -ESRCH);
        g_assert_cmpint(vb_process_adopt(&adopted, run.event, pid, start_time, on_adopted_exit, &exit), ==, 0);
        g_assert_cmpint(vb_process_kill(adopted, SIGTERM), ==, 0);
        TEST_RUN_UNTIL(run.event, exit.status == 4711 && run.n_exited > 0);
        g_assert_cmpint(run.exit.code, ==, CLD_KILLED);

        g_clear_pointer(&adopted, vb_process_free);
        g_assert_cmpint(vb_process_adopt(&adopted, run.event, pid, start_time, on_adopted_exit, &exit), ==, -ESRCH);
        run_done(&run);
}

/* A figure, not a promise: run with -m perf. */
static void test_speed(void) {
        const char *argv[] = { "true", NULL };
        gint64 begun = g_get_monotonic_time();
        unsigned n = g_test_perf() ? 500 : 10;

        for (unsigned i = 0; i < n; i++) {
                Run run = { 0 };

                begin(&run, (VbProcessSpec) { .path = "/bin/true", .argv = (char **) argv });
                TEST_RUN_UNTIL(run.event, run.n_exited > 0);
                run_done(&run);
        }
        g_test_message("%.0f us to spawn, run and reap", (double) (g_get_monotonic_time() - begun) / n);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        g_test_add_func("/process/output-and-status", test_output_and_status);
        g_test_add_func("/process/capture-is-bounded", test_capture_is_bounded);
        g_test_add_func("/process/what-a-child-inherits", test_what_a_child_inherits);
        g_test_add_func("/process/user", test_user);
        g_test_add_func("/process/root-without-capabilities", test_root_without_capabilities);
        g_test_add_func("/process/failures", test_failures);
        g_test_add_func("/process/gate", test_gate);
        g_test_add_func("/process/at-gate", test_at_gate);
        g_test_add_func("/process/enroll", test_enroll);
        g_test_add_func("/process/free-at-gate", test_free_at_gate);
        g_test_add_func("/process/free-in-callbacks", test_free_in_callbacks);
        g_test_add_func("/process/adopt", test_adopt);
        g_test_add_func("/process/speed", test_speed);
        return g_test_run();
}
