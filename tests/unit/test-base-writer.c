/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "test-util.h"

typedef struct Fixture {
        sd_event *event;
        VbWriter *writer;
        TestFolder *folder;
        GArray *results; /* int, as callbacks come */
} Fixture;

static void begin(Fixture *f) {
        f->event = test_event_new();
        g_assert_cmpint(vb_writer_new(&f->writer, f->event), ==, 0);
        f->folder = test_folder_new();
        f->results = g_array_new(false, false, sizeof(int));
}

static void end(Fixture *f) {
        f->writer = vb_writer_free(f->writer);
        sd_event_unref(f->event);
        test_folder_free(f->folder);
        g_array_unref(f->results);
}

static void on_done(int r, void *userdata) {
        g_array_append_val((GArray *) userdata, r);
}

static char *path_of(Fixture *f, const char *name) {
        return g_build_filename(f->folder, name, NULL);
}

static void ask_write(Fixture *f, const char *name, const char *text) {
        g_autofree char *path = path_of(f, name);
        g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

        vb_writer_write(f->writer, path, bytes, 0640, on_done, f->results);
}

static char *text_of(Fixture *f, const char *name) {
        g_autofree char *path = path_of(f, name);
        char *text = NULL;

        return vb_file_read(AT_FDCWD, path, 1000, &text, NULL) < 0 ? g_strdup("(none)") : text;
}

#define ASSERT_TEXT(f, name, expected)                        \
        do {                                                  \
                g_autofree char *_text = text_of(f, name);    \
                g_assert_cmpstr(_text, ==, expected);         \
        } while (0)
#define RESULT(f, i) g_array_index((f)->results, int, i)

/* Nothing but these names, no temporary files. */
static void assert_listing(Fixture *f, size_t n) {
        g_autoptr(GDir) folder = g_dir_open(f->folder, 0, NULL);
        size_t count = 0;

        while (g_dir_read_name(folder))
                count++;
        g_assert_cmpuint(count, ==, n);
}

static void test_order(void) {
        Fixture f;

        begin(&f);
        for (unsigned i = 0; i < 500; i++) {
                g_autofree char *text = g_strdup_printf("%u", i);

                ask_write(&f, i % 2 ? "a" : "b", text);
        }
        g_assert_cmpuint(f.results->len, ==, 0);
        g_assert_cmpuint(vb_writer_get_pending(f.writer), ==, 500);
        TEST_RUN_UNTIL(f.event, f.results->len == 500);
        g_assert_cmpuint(vb_writer_get_pending(f.writer), ==, 0);
        ASSERT_TEXT(&f, "a", "499");
        ASSERT_TEXT(&f, "b", "498");
        assert_listing(&f, 2);
        end(&f);
}

static void test_kinds(void) {
        g_autofree char *a = NULL, *b = NULL, *c = NULL, *link = NULL, *target = NULL, *folder = NULL;
        struct stat st;
        Fixture f;

        begin(&f);
        a = path_of(&f, "a");
        b = path_of(&f, "b");
        c = path_of(&f, "folder/c");
        link = path_of(&f, "link");
        folder = path_of(&f, "folder");
        g_assert_cmpint(vb_mkdir(folder, 0700), ==, 0);

        ask_write(&f, "a", "1");
        vb_writer_rename(f.writer, a, b, on_done, f.results);
        ask_write(&f, "a", "2");
        ask_write(&f, "folder/c", "3");
        vb_writer_link(f.writer, "old", link, on_done, f.results);
        vb_writer_link(f.writer, "b", link, on_done, f.results);
        vb_writer_unlink(f.writer, a, on_done, f.results);
        vb_writer_unlink(f.writer, a, on_done, f.results); /* there is none: fine */
        vb_writer_remove_tree(f.writer, folder, on_done, f.results);
        ask_write(&f, "folder/c", "4"); /* fails: the folder is gone */
        vb_writer_flush(f.writer);

        g_assert_cmpuint(f.results->len, ==, 10);
        for (unsigned i = 0; i < 9; i++)
                g_assert_cmpint(RESULT(&f, i), ==, 0);
        g_assert_cmpint(RESULT(&f, 9), ==, -ENOENT);
        ASSERT_TEXT(&f, "a", "(none)");
        ASSERT_TEXT(&f, "b", "1");
        target = g_file_read_link(link, NULL);
        g_assert_cmpstr(target, ==, "b");
        g_assert_cmpint(stat(b, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0640);
        assert_listing(&f, 2);
        end(&f);
}

static void test_failure_keeps_the_old(void) {
        g_autofree char *occupied = NULL;
        Fixture f;

        begin(&f);
        occupied = path_of(&f, "occupied/x");
        g_assert_cmpint(vb_mkdir(occupied, 0700), ==, 0);
        ask_write(&f, "fine", "1");
        ask_write(&f, "occupied", "1");
        ask_write(&f, "no/such/folder", "1");
        ask_write(&f, "fine", "2");
        vb_writer_flush(f.writer);
        g_assert_cmpint(RESULT(&f, 0), ==, 0);
        g_assert_cmpint(RESULT(&f, 1), ==, -EISDIR);
        g_assert_cmpint(RESULT(&f, 2), ==, -ENOENT);
        g_assert_cmpint(RESULT(&f, 3), ==, 0);
        ASSERT_TEXT(&f, "fine", "2");
        assert_listing(&f, 2);
        end(&f);
}

/* On a file system of a few pages, what does not fit fails, and what was there stays. */
static void test_full_disk(void) {
        g_autofree char *large = g_strnfill(200000, 'x');
        Fixture f;

        begin(&f);
        if (geteuid() != 0 || mount("tmpfs", f.folder, "tmpfs", 0, "size=64k") < 0) {
                g_test_skip("cannot mount");
                end(&f);
                return;
        }
        ask_write(&f, "a", "old");
        ask_write(&f, "a", large);
        vb_writer_flush(f.writer);
        g_assert_cmpint(RESULT(&f, 0), ==, 0);
        g_assert_cmpint(RESULT(&f, 1), ==, -ENOSPC);
        ASSERT_TEXT(&f, "a", "old");
        assert_listing(&f, 1);
        ask_write(&f, "a", "new");
        vb_writer_flush(f.writer);
        g_assert_cmpint(RESULT(&f, 2), ==, 0);
        ASSERT_TEXT(&f, "a", "new");
        (void) umount(f.folder);
        end(&f);
}

static void test_forget_and_free(void) {
        g_autofree char *path = NULL;
        g_autoptr(GBytes) bytes = g_bytes_new("x", 1);
        g_autoptr(GArray) gone = g_array_new(false, false, sizeof(int));
        Fixture f;

        begin(&f);
        path = path_of(&f, "forgotten");
        vb_writer_write(f.writer, path, bytes, 0600, on_done, gone);
        ask_write(&f, "kept", "1");
        vb_writer_forget(f.writer, gone);
        f.writer = vb_writer_free(f.writer); /* does what is queued */
        g_assert_cmpuint(gone->len, ==, 0);
        g_assert_cmpuint(f.results->len, ==, 1);
        ASSERT_TEXT(&f, "forgotten", "x");
        end(&f);
}

typedef struct Chain {
        Fixture *f;
        unsigned left;
} Chain;

static void on_link(int r, void *userdata) {
        Chain *chain = userdata;
        g_autofree char *path = path_of(chain->f, "chain");
        g_autoptr(GBytes) bytes = g_bytes_new("x", 1);

        g_assert_cmpint(r, ==, 0);
        if (chain->left-- > 0)
                vb_writer_write(chain->f->writer, path, bytes, 0600, on_link, chain);
}

/* A callback may ask for more, also while flushing. */
static void test_ask_in_callback(void) {
        Chain chain = { .left = 5 };
        Fixture f;

        begin(&f);
        chain.f = &f;
        on_link(0, &chain);
        vb_writer_flush(f.writer);
        g_assert_cmpuint(chain.left, ==, (unsigned) -1);
        end(&f);
}

/* A figure, not a promise: run with -m perf; TMPDIR says on which disk. */
static void test_speed(void) {
        unsigned n = g_test_perf() ? 2000 : 20;
        gint64 begun;
        Fixture f;

        begin(&f);
        begun = g_get_monotonic_time();
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("s%u", i);

                ask_write(&f, name, "<domain/>");
                TEST_RUN_UNTIL(f.event, f.results->len == i + 1);
        }
        g_test_message("%.0f writes a second, one after the other",
                       n / ((double) (g_get_monotonic_time() - begun) / 1e6));
        begun = g_get_monotonic_time();
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("t%u", i);

                ask_write(&f, name, "<domain/>");
        }
        TEST_RUN_UNTIL(f.event, f.results->len == 2 * n);
        g_test_message("%.0f writes a second, at once", n / ((double) (g_get_monotonic_time() - begun) / 1e6));
        end(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_log_init("test", LOG_ERR);
        g_test_add_func("/writer/order", test_order);
        g_test_add_func("/writer/kinds", test_kinds);
        g_test_add_func("/writer/failure-keeps-the-old", test_failure_keeps_the_old);
        g_test_add_func("/writer/full-disk", test_full_disk);
        g_test_add_func("/writer/forget-and-free", test_forget_and_free);
        g_test_add_func("/writer/ask-in-callback", test_ask_in_callback);
        g_test_add_func("/writer/speed", test_speed);
        return g_test_run();
}
