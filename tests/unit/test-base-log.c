/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What the body writes to stderr. */
#define CAPTURE_STDERR(text, body)                                             \
        do {                                                                   \
                int ends[2], old = dup(STDERR_FILENO);                         \
                char buffer[8192];                                             \
                ssize_t n;                                                     \
                g_assert_cmpint(pipe2(ends, O_NONBLOCK | O_CLOEXEC), ==, 0);   \
                (void) dup2(ends[1], STDERR_FILENO);                           \
                body;                                                          \
                (void) dup2(old, STDERR_FILENO);                               \
                n = read(ends[0], buffer, sizeof buffer - 1);                  \
                buffer[MAX(n, 0)] = '\0';                                      \
                text = g_strdup(buffer);                                       \
                (void) close(old), (void) close(ends[0]), (void) close(ends[1]); \
        } while (0)

static void test_line(void) {
        g_autofree char *text = NULL;

        vb_log_init("qemu", LOG_INFO);
        CAPTURE_STDERR(text, vb_log_info("loaded %d definitions", 3));
        g_assert_cmpstr(text, ==, "loaded 3 definitions\n");
}

static void test_object(void) {
        g_autofree char *text = NULL;

        vb_log_init("qemu", LOG_INFO);
        CAPTURE_STDERR(text, vb_log_warning_for(VB_LOG_FIELDS(.domain = "web", .uuid = "x"), "monitor closed"));
        g_assert_cmpstr(text, ==, "[web] monitor closed\n");
}

static void test_level(void) {
        g_autofree char *text = NULL;

        vb_log_init("qemu", LOG_NOTICE);
        CAPTURE_STDERR(text, vb_log_info("not to be seen"));
        g_assert_cmpstr(text, ==, "");
        g_assert_false(vb_log_enabled(LOG_DEBUG));
        vb_log_set_max_level(LOG_DEBUG);
        g_assert_true(vb_log_enabled(LOG_DEBUG));
}

static void test_errno(void) {
        g_autofree char *text = NULL;
        int r, hidden;

        vb_log_init("qemu", LOG_NOTICE);
        errno = EIO;
        CAPTURE_STDERR(text, r = vb_log_error_errno(-ENOENT, "no '%s': %m", "x"));
        g_assert_cmpstr(text, ==, "no 'x': No such file or directory\n");
        g_assert_cmpint(r, ==, -ENOENT);
        g_assert_cmpint(errno, ==, EIO);

        hidden = vb_log_debug_errno(ENOENT, "not to be seen");
        g_assert_cmpint(hidden, ==, -ENOENT);
}

static void test_forged_line(void) {
        g_autofree char *text = NULL;

        vb_log_init("qemu", LOG_INFO);
        CAPTURE_STDERR(text, vb_log_info("name 'a\nforged \033[2J'"));
        g_assert_cmpstr(text, ==, "name 'a forged  [2J'\n");
}

static void test_level_words(void) {
        g_assert_cmpint(vb_log_level_from_string("debug"), ==, LOG_DEBUG);
        g_assert_cmpint(vb_log_level_from_string("3"), ==, LOG_ERR);
        g_assert_cmpint(vb_log_level_from_string("33"), ==, -EINVAL);
        g_assert_cmpint(vb_log_level_from_string("loud"), ==, -EINVAL);
        g_assert_cmpint(vb_log_level_from_string(NULL), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log/line", test_line);
        g_test_add_func("/log/object", test_object);
        g_test_add_func("/log/level", test_level);
        g_test_add_func("/log/errno", test_errno);
        g_test_add_func("/log/forged-line", test_forged_line);
        g_test_add_func("/log/level-words", test_level_words);
        return g_test_run();
}
