/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "log/follow.h"
#include "test-util.h"

/* Nobody's test waits for so long: what has to wait for the rate never goes on. */
#define SLOW UINT64_C(1)

typedef struct Fixture {
        sd_event *event;
        char *root;
        LogContext context;
        Log *log;
        int fd; /* to write to */
        int ended;
        LogFollow *follow;
        int follow_fd; /* to read from */
        int follow_ended;
} Fixture;

static void set_up(Fixture *fixture, const void *data) {
        *fixture = (Fixture){ .event = test_event_new(), .root = test_folder_new(), .fd = -EBADF, .follow_fd = -EBADF };
        g_assert_cmpint(log_context_init(&fixture->context, fixture->event, fixture->root), ==, 0);
        fixture->context.max_burst = 1 << 20;
}

static void tear_down(Fixture *fixture, const void *data) {
        (void) log_follow_free(fixture->follow);
        (void) log_free(fixture->log);
        log_context_done(&fixture->context);
        sd_event_unref(fixture->event);
        fixture->fd = vb_close(fixture->fd);
        fixture->follow_fd = vb_close(fixture->follow_fd);
        test_folder_free(fixture->root);
}

static void on_ended(Log *log, void *userdata) {
        Fixture *fixture = userdata;

        fixture->ended++;
        fixture->log = log_free(log);
}

static void on_follow_ended(LogFollow *follow, void *userdata) {
        Fixture *fixture = userdata;

        fixture->follow_ended++;
        fixture->follow = log_follow_free(follow);
}

static void begin(Fixture *fixture, bool wait, uint64_t max_size) {
        g_auto(LogSpec) spec = { .wait = wait, .max_size = max_size, .max_backups = 3, .uuid = g_strdup("a UUID") };
        int fds[2];

        g_assert_cmpint(log_name_init(&spec.name, "qemu", geteuid(), "web", "qemu", NULL), ==, 0);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
        fixture->fd = fds[1];
        g_assert_cmpint(log_new(&fixture->log, &fixture->context, &spec, fds[0], on_ended, fixture), ==, 0);
}

static void put(const Fixture *fixture, const char *text) {
        g_assert_cmpint(write(fixture->fd, text, strlen(text)), ==, strlen(text));
}

static char *content(const Fixture *fixture, const char *name) {
        g_autofree char *path = g_build_filename(fixture->root, "qemu", name, NULL);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static void assert_content(const Fixture *fixture, const char *name, const char *wanted) {
        g_autofree char *text = content(fixture, name);

        g_assert_cmpstr(text, ==, wanted);
}

static size_t left_in_pipe(const Fixture *fixture) {
        int n = -1;

        g_assert_cmpint(ioctl(fixture->fd, FIONREAD, &n), ==, 0);
        return (size_t) n;
}

static void test_writes_and_ends(Fixture *fixture, const void *data) {
        begin(fixture, /* wait= */ false, 1 << 20);
        put(fixture, "one\n");
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log", "one\n");
        put(fixture, "two");
        fixture->fd = vb_close(fixture->fd);
        TEST_RUN_UNTIL(fixture->event, fixture->ended == 1);
        assert_content(fixture, "web.log", "one\ntwo");
}

static void test_rotates_at_lines(Fixture *fixture, const void *data) {
        begin(fixture, /* wait= */ false, 10);
        put(fixture, "one\ntwo\nthree\n");
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log.0", "one\ntwo\n");
        assert_content(fixture, "web.log", "three\n");
        put(fixture, "four\nfive\n");
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log.1", "one\ntwo\n");
        assert_content(fixture, "web.log.0", "three\n");
        assert_content(fixture, "web.log", "four\nfive\n");
}

/* A daemon that is killed has everything in the pipe or in the file, whenever it was: the next one goes on with both. */
static void test_goes_on_after_a_crash(Fixture *fixture, const void *data) {
        int read_fd;

        begin(fixture, /* wait= */ false, 1 << 20);
        put(fixture, "before\n");
        test_run_idle(fixture->event);
        put(fixture, "mean");
        read_fd = fcntl(log_get_pipe(fixture->log), F_DUPFD_CLOEXEC, 3);
        fixture->log = log_free(fixture->log);
        put(fixture, "while\n");
        {
                g_auto(LogSpec) spec = { .max_size = 1 << 20, .max_backups = 3, .uuid = g_strdup("a UUID") };

                g_assert_cmpint(log_name_init(&spec.name, "qemu", geteuid(), "web", "qemu", NULL), ==, 0);
                g_assert_cmpint(log_new(&fixture->log, &fixture->context, &spec, read_fd, on_ended, fixture), ==, 0);
        }
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log", "before\nmeanwhile\n");
}

/* Its writer waits, and nothing is lost. */
static void test_a_console_is_slowed(Fixture *fixture, const void *data) {
        fixture->context.max_rate = SLOW;
        fixture->context.max_burst = 4;
        begin(fixture, /* wait= */ true, 1 << 20);
        put(fixture, "1234567\n");
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log", "1234");
        g_assert_cmpuint(left_in_pipe(fixture), ==, 4);
        g_assert_cmpuint(log_get_spec(fixture->log)->dropped, ==, 0);
}

/* Its writer must not wait: the surplus is thrown away, and the log says so when it goes on or ends. */
static void test_a_flood_is_dropped(Fixture *fixture, const void *data) {
        g_autofree char *text = NULL;

        fixture->context.max_rate = SLOW;
        fixture->context.max_burst = 8;
        begin(fixture, /* wait= */ false, 1 << 20);
        put(fixture, "1234567\nand more than that\n");
        test_run_idle(fixture->event);
        g_assert_cmpuint(left_in_pipe(fixture), ==, 0);
        g_assert_cmpuint(log_get_spec(fixture->log)->dropped, ==, strlen("and more than that\n"));
        fixture->fd = vb_close(fixture->fd);
        TEST_RUN_UNTIL(fixture->event, fixture->ended == 1);
        text = content(fixture, "web.log");
        g_assert_true(g_str_has_prefix(text, "1234567\n"));
        g_assert_nonnull(strstr(text, "[19 bytes are missing here"));
}

/* The writer of one that floods never waits for long, while another's line comes through. */
static void test_neighbours(Fixture *fixture, const void *data) {
        g_auto(LogSpec) spec = { .max_size = 4096, .max_backups = 1, .uuid = g_strdup("a UUID") };
        g_autofree char *much = g_strnfill(65536, 'x'), *text = NULL;
        Fixture other = { 0 };
        size_t flooded = 0;
        int said = 0;
        int fds[2];

        fixture->context.max_rate = SLOW;
        begin(fixture, /* wait= */ false, 65536);
        g_assert_cmpint(log_name_init(&spec.name, "qemu", geteuid(), "quiet", "qemu", NULL), ==, 0);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
        g_assert_cmpint(log_new(&other.log, &fixture->context, &spec, fds[0], on_ended, &other), ==, 0);
        while (flooded < 8 << 20) {
                ssize_t n = write(fixture->fd, much, 65536);

                if (n > 0)
                        flooded += (size_t) n;
                else
                        g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >=, 0);
                if (flooded >= 4 << 20 && !said++)
                        g_assert_cmpint(write(fds[1], "here\n", 5), ==, 5);
        }
        test_run_idle(fixture->event);
        text = content(fixture, "quiet.log");
        g_assert_cmpstr(text, ==, "here\n");
        g_assert_cmpuint(log_get_spec(fixture->log)->written, <=, 1 << 20);
        (void) log_free(other.log);
        (void) vb_close(fds[1]);
}

/* A disk that takes nothing: what is there is no file that can be written. */
static void test_a_file_that_fails(Fixture *fixture, const void *data) {
        g_autofree char *path = g_build_filename(fixture->root, "qemu", "web.log", NULL);
        LogFiles *files;

        begin(fixture, /* wait= */ false, 1 << 20);
        files = log_get_files(fixture->log);
        (void) vb_close(files->fd);
        files->fd = open(path, O_RDONLY | O_CLOEXEC);
        put(fixture, "lost\n");
        test_run_idle(fixture->event);
        g_assert_cmpuint(left_in_pipe(fixture), ==, 0);
        g_assert_cmpuint(log_get_spec(fixture->log)->dropped, ==, 5);
}

static void follow(Fixture *fixture, LogPosition position) {
        g_auto(LogName) name = { 0 };
        int fds[2];

        g_assert_cmpint(log_name_init(&name, "qemu", geteuid(), "web", "qemu", NULL), ==, 0);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
        fixture->follow_fd = fds[0];
        g_assert_cmpint(log_follow_new(&fixture->follow, &fixture->context, &name, 3, fixture->log, position, fds[1], 0, on_follow_ended, fixture), ==, 0);
}

static void assert_followed(const Fixture *fixture, const char *wanted) {
        char buffer[256];
        ssize_t n;

        test_run_idle(fixture->event);
        n = read(fixture->follow_fd, buffer, sizeof(buffer));
        g_assert_cmpmem(buffer, MAX(n, 0), wanted, strlen(wanted));
}

static void test_follows(Fixture *fixture, const void *data) {
        begin(fixture, /* wait= */ false, 10);
        put(fixture, "one\ntwo\nthree\n");
        test_run_idle(fixture->event);
        follow(fixture, (LogPosition){ 0 });
        assert_followed(fixture, "one\ntwo\nthree\n");
        put(fixture, "four\n");
        assert_followed(fixture, "four\n");
        put(fixture, "five\nsix\n");
        assert_followed(fixture, "five\nsix\n");
        put(fixture, "last");
        fixture->fd = vb_close(fixture->fd);
        TEST_RUN_UNTIL(fixture->event, fixture->follow_ended == 1);
        assert_followed(fixture, "last");
}

/* It costs nothing but its place; and is told what it has missed. */
static void test_a_follower_that_does_not_read(Fixture *fixture, const void *data) {
        g_autofree char *line = g_strnfill(1023, 'x'), *all = g_malloc0(1 << 20);
        size_t total = 0;
        ssize_t n;

        begin(fixture, /* wait= */ false, 65536);
        line = g_realloc(line, 1025);
        memcpy(line + 1023, "\n", 2);
        put(fixture, "first\n");
        test_run_idle(fixture->event);
        follow(fixture, (LogPosition){ 0 });
        for (unsigned i = 0; i < 1024; i++) {
                put(fixture, line);
                test_run_idle(fixture->event);
        }
        put(fixture, "the end\n");
        fixture->fd = vb_close(fixture->fd);
        while (fixture->follow_ended == 0 || total == 0) {
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >=, 0);
                while ((n = read(fixture->follow_fd, all + total, (1 << 20) - 1 - total)) > 0)
                        total += (size_t) n;
        }
        while ((n = read(fixture->follow_fd, all + total, (1 << 20) - 1 - total)) > 0)
                total += (size_t) n;
        g_assert_true(g_str_has_prefix(all, "first\n"));
        g_assert_true(g_str_has_suffix(all, "the end\n"));
        g_assert_nonnull(strstr(all, "has been removed before it could be given"));
}

static void test_a_follower_that_leaves(Fixture *fixture, const void *data) {
        begin(fixture, /* wait= */ false, 1 << 20);
        follow(fixture, (LogPosition){ 0 });
        test_run_idle(fixture->event);
        fixture->follow_fd = vb_close(fixture->follow_fd);
        TEST_RUN_UNTIL(fixture->event, fixture->follow_ended == 1);
        put(fixture, "on\n");
        test_run_idle(fixture->event);
        assert_content(fixture, "web.log", "on\n");
}

static void add(const char *name, void (*run)(Fixture *fixture, const void *data)) {
        g_test_add(name, Fixture, NULL, set_up, run, tear_down);
}

int main(int argc, char **argv) {
        (void) signal(SIGPIPE, SIG_IGN);
        g_test_init(&argc, &argv, NULL);
        add("/log/writes-and-ends", test_writes_and_ends);
        add("/log/rotates-at-lines", test_rotates_at_lines);
        add("/log/goes-on-after-a-crash", test_goes_on_after_a_crash);
        add("/log/a-console-is-slowed", test_a_console_is_slowed);
        add("/log/a-flood-is-dropped", test_a_flood_is_dropped);
        add("/log/neighbours", test_neighbours);
        add("/log/a-file-that-fails", test_a_file_that_fails);
        add("/log/follow/follows", test_follows);
        add("/log/follow/does-not-read", test_a_follower_that_does_not_read);
        add("/log/follow/leaves", test_a_follower_that_leaves);
        return g_test_run();
}
