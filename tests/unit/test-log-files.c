/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test-util.h"

typedef struct Fixture {
        char *root;
        int root_fd;
        LogName name;
        LogFiles files;
} Fixture;

static void set_up(Fixture *fixture, const void *data) {
        fixture->root = test_folder_new();
        fixture->root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(log_name_init(&fixture->name, "qemu", geteuid(), "web", "qemu", NULL), ==, 0);
        log_files_init(&fixture->files, fixture->root_fd, &fixture->name, /* max_size= */ 10, /* max_backups= */ 2);
}

static void tear_down(Fixture *fixture, const void *data) {
        log_files_done(&fixture->files);
        log_name_done(&fixture->name);
        (void) vb_close(fixture->root_fd);
        test_folder_free(fixture->root);
}

static char *content(const Fixture *fixture, const char *name) {
        g_autofree char *path = g_build_filename(fixture->root, name, NULL);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static void assert_content(const Fixture *fixture, const char *name, const char *wanted) {
        g_autofree char *text = content(fixture, name);

        g_assert_cmpstr(text, ==, wanted);
}

static void append(Fixture *fixture, const char *text) {
        g_assert_cmpint(log_files_append(&fixture->files, text, strlen(text)), ==, 0);
}

/* No file is larger than allowed, none more than allowed are kept, and lines stay whole where they can. */
static void test_rotates(Fixture *fixture, const void *data) {
        g_assert_cmpint(log_files_open(&fixture->files), ==, 0);
        append(fixture, "one\ntwo\n");
        assert_content(fixture, "qemu/web.log", "one\ntwo\n");
        append(fixture, "three\n");
        assert_content(fixture, "qemu/web.log.0", "one\ntwo\n");
        assert_content(fixture, "qemu/web.log", "three\n");
        append(fixture, "a line that is too long\n");
        assert_content(fixture, "qemu/web.log.1", "a line tha");
        assert_content(fixture, "qemu/web.log.0", "t is too l");
        assert_content(fixture, "qemu/web.log", "ong\n");
        assert_content(fixture, "qemu/web.log.2", NULL);
}

static void test_keeps_no_backup(Fixture *fixture, const void *data) {
        fixture->files.max_backups = 0;
        g_assert_cmpint(log_files_open(&fixture->files), ==, 0);
        append(fixture, "12345678\n12345678\n");
        assert_content(fixture, "qemu/web.log", "12345678\n");
        assert_content(fixture, "qemu/web.log.0", NULL);
}

/* What the last daemon left, also in the midst of a rotation, is gone on with. */
static void test_goes_on(Fixture *fixture, const void *data) {
        test_put(fixture->root, "/qemu/web.log.1", "old\n");
        test_put(fixture->root, "/qemu/web.log", "new\n");
        g_assert_cmpint(log_files_open(&fixture->files), ==, 0);
        g_assert_cmpint(fixture->files.size, ==, 4);
        append(fixture, "more\nmore\n");
        assert_content(fixture, "qemu/web.log", "more\n");
        assert_content(fixture, "qemu/web.log.0", "new\nmore\n");
        assert_content(fixture, "qemu/web.log.1", NULL);
        append(fixture, "longer\n");
        assert_content(fixture, "qemu/web.log.1", "new\nmore\n");
}

static void assert_read(Fixture *fixture, LogPosition *position, size_t max, const char *wanted) {
        char buffer[64];
        size_t size = 0;

        g_assert_cmpint(log_files_read(&fixture->files, position, buffer, max, &size), ==, 0);
        g_assert_cmpmem(buffer, size, wanted, strlen(wanted));
}

static void test_reads_on_over_rotations(Fixture *fixture, const void *data) {
        LogPosition position = { 0 }, early;

        g_assert_cmpint(log_files_open(&fixture->files), ==, 0);
        append(fixture, "1234\n");
        assert_read(fixture, &position, 2, "12");
        early = position;
        append(fixture, "56789\n");
        append(fixture, "abc\n");
        assert_read(fixture, &position, 64, "34\n56789\nabc\n");
        assert_read(fixture, &position, 64, "");
        append(fixture, "defghi\n");
        assert_read(fixture, &position, 64, "defghi\n");
        /* The file is gone in which this one was. */
        append(fixture, "jklmnopq\n");
        append(fixture, "rstuvwxy\n");
        assert_read(fixture, &early, 64, "defghi\njklmnopq\nrstuvwxy\n");
}

static void test_skips_and_ends(Fixture *fixture, const void *data) {
        static const struct {
                uint64_t skip, tail;
                const char *wanted;
        } rows[] = {
                { 0, 100, "12345678\nabcdefgh\n" }, { 4, 100, "5678\nabcdefgh\n" }, { 9, 100, "abcdefgh\n" }, { 11, 100, "cdefgh\n" },
                { 18, 100, "" },                    { 99, 100, "" },                 { 0, 3, "gh\n" },         { 0, 11, "8\nabcdefgh\n" },
                { 16, 11, "h\n" },                  { 0, 0, "" },
        };

        g_assert_cmpint(log_files_open(&fixture->files), ==, 0);
        append(fixture, "12345678\nabcdefgh\n");
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                LogPosition position = { 0 };

                g_assert_cmpint(log_files_advance(&fixture->files, &position, rows[i].skip), ==, 0);
                g_assert_cmpint(log_files_to_tail(&fixture->files, &position, rows[i].tail), ==, 0);
                assert_read(fixture, &position, 64, rows[i].wanted);
        }
}

static void test_nothing_is_there(Fixture *fixture, const void *data) {
        LogPosition position = { .file = 1, .offset = 5 };
        unsigned backups;
        uint64_t size;
        char byte;
        size_t n;

        g_assert_cmpint(log_files_read(&fixture->files, &position, &byte, 1, &n), ==, -ENOENT);
        g_assert_cmpint(log_files_stat(&fixture->files, &size, &backups), ==, -ENOENT);
        g_assert_cmpint(log_files_rotate(&fixture->files), ==, -ENOENT);
}

/* Whatever somebody put there: nothing outside is written, and nothing waits. */
static void test_planted(Fixture *fixture, const void *data) {
        g_autofree char *log = g_build_filename(fixture->root, "qemu", "web.log", NULL), *victim = g_build_filename(fixture->root, "victim", NULL),
                         *folder = g_build_filename(fixture->root, "qemu", NULL), *elsewhere = g_build_filename(fixture->root, "elsewhere", NULL);

        test_put(fixture->root, "/victim", "mine\n");
        g_assert_cmpint(mkdir(folder, 0700), ==, 0);
        g_assert_cmpint(symlink("../victim", log), ==, 0);
        g_assert_cmpint(log_files_open(&fixture->files), ==, -ELOOP);
        g_assert_cmpint(unlink(log), ==, 0);
        g_assert_cmpint(link(victim, log), ==, 0);
        g_assert_cmpint(log_files_open(&fixture->files), ==, -EPERM);
        g_assert_cmpint(unlink(log), ==, 0);
        g_assert_cmpint(mkfifo(log, 0600), ==, 0);
        g_assert_cmpint(log_files_open(&fixture->files), <, 0);
        g_assert_cmpint(unlink(log), ==, 0);
        g_assert_cmpint(rename(folder, elsewhere), ==, 0);
        g_assert_cmpint(symlink("elsewhere", folder), ==, 0);
        g_assert_cmpint(log_files_open(&fixture->files), ==, -ELOOP);
        assert_content(fixture, "victim", "mine\n");
}

static void test_removes_what_is_old(Fixture *fixture, const void *data) {
        const struct timespec times[] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        g_autofree char *old = g_build_filename(fixture->root, "qemu", "web.log.0", NULL);

        test_put(fixture->root, "/qemu/web.log.0", "old\n");
        test_put(fixture->root, "/qemu/web.log", "new\n");
        g_assert_cmpint(utimensat(AT_FDCWD, old, times, 0), ==, 0);
        g_assert_cmpint(log_files_remove_older(&fixture->files, 2000), ==, 0);
        assert_content(fixture, "qemu/web.log.0", NULL);
        assert_content(fixture, "qemu/web.log", "new\n");
}

static void add(const char *name, void (*run)(Fixture *fixture, const void *data)) {
        g_test_add(name, Fixture, NULL, set_up, run, tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("/log/files/rotates", test_rotates);
        add("/log/files/keeps-no-backup", test_keeps_no_backup);
        add("/log/files/goes-on", test_goes_on);
        add("/log/files/reads-on-over-rotations", test_reads_on_over_rotations);
        add("/log/files/skips-and-ends", test_skips_and_ends);
        add("/log/files/nothing-is-there", test_nothing_is_there);
        add("/log/files/planted", test_planted);
        add("/log/files/removes-what-is-old", test_removes_what_is_old);
        return g_test_run();
}
