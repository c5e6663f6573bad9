/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log-filters.h"

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
        VbLogRules rules;

        vb_log_init("qemu", LOG_NOTICE);
        CAPTURE_STDERR(text, vb_log_info("not to be seen"));
        g_assert_cmpstr(text, ==, "");
        g_assert_false(vb_log_enabled(LOG_DEBUG, NULL));
        vb_log_get_rules(&rules);
        g_assert_cmpint(rules.level, ==, LOG_NOTICE);
        g_assert_cmpint(rules.threshold, ==, LOG_DEBUG);
        rules.level = LOG_DEBUG;
        g_assert_cmpint(vb_log_set_rules(&rules, NULL), ==, 0);
        g_assert_true(vb_log_enabled(LOG_DEBUG, NULL));
        rules.level = LOG_DEBUG + 1;
        g_assert_cmpint(vb_log_set_rules(&rules, NULL), ==, -EINVAL);
        g_assert_true(vb_log_enabled(LOG_DEBUG, NULL));
}

static void set_filters(const char *filters, int level, int threshold) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbLogRules rules = { .level = level, .threshold = threshold };

        g_strlcpy(rules.filters, filters, sizeof rules.filters);
        if (vb_log_set_rules(&rules, &error) < 0)
                g_error("%s", error.message);
}

static void test_filters(void) {
        static const struct {
                const char *filters;
                int level, threshold;
                const char *file;
                int written; /* the least urgent level */
        } cases[] = {
                { "", LOG_INFO, LOG_DEBUG, "../service/qemu/monitor.c", LOG_INFO },
                { "1:qemu", LOG_INFO, LOG_DEBUG, "../service/qemu/monitor.c", LOG_DEBUG },
                { "1:qemu", LOG_INFO, LOG_DEBUG, "../service/bus/link.c", LOG_INFO },
                { "1:qemu/mon", LOG_INFO, LOG_DEBUG, "service/qemu/monitor.c", LOG_DEBUG },
                { "1:qemu/mon", LOG_INFO, LOG_DEBUG, "service/qemu/open.c", LOG_INFO },
                { "1:q*or", LOG_INFO, LOG_DEBUG, "service/qemu/monitor.c", LOG_DEBUG },
                { "1:bus/lin[jk]", LOG_INFO, LOG_DEBUG, "service/bus/link-open.c", LOG_DEBUG },
                /* The first that fits counts. */
                { "4:qemu/monitor 1:qemu", LOG_INFO, LOG_DEBUG, "service/qemu/monitor.c", LOG_ERR },
                { "4:qemu/monitor 1:qemu", LOG_INFO, LOG_DEBUG, "service/qemu/open.c", LOG_DEBUG },
                { "3:bus 1:*", LOG_INFO, LOG_DEBUG, "service/bus/link.c", LOG_WARNING },
                { "3:bus 1:*", LOG_INFO, LOG_DEBUG, "service/base/file.c", LOG_DEBUG },
                { "2:bus", LOG_ERR, LOG_DEBUG, "service/bus/link.c", LOG_INFO },
                /* The folders above are no part of the module, nor is the suffix. */
                { "1:service", LOG_INFO, LOG_DEBUG, "/usr/src/service/bus/link.c", LOG_INFO },
                { "1:.c", LOG_INFO, LOG_DEBUG, "service/bus/link.c", LOG_INFO },
                /* Whatever they say. */
                { "1:qemu", LOG_INFO, LOG_WARNING, "service/qemu/monitor.c", LOG_WARNING },
                { "4:qemu", LOG_INFO, LOG_WARNING, "service/qemu/monitor.c", LOG_ERR },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("%zu: %s", i, cases[i].filters);
                set_filters(cases[i].filters, cases[i].level, cases[i].threshold);
                for (int level = LOG_ERR; level <= LOG_DEBUG; level++)
                        g_assert_cmpint(vb_log_enabled(level, cases[i].file), ==, level <= cases[i].written);
        }
        vb_log_init("qemu", LOG_INFO);
}

static void test_filtered_line(void) {
        g_autofree char *text = NULL;

        set_filters("1:test-base-log 4:*", LOG_INFO, LOG_DEBUG);
        CAPTURE_STDERR(text, vb_log_debug("seen"));
        g_assert_cmpstr(text, ==, "seen\n");
        g_clear_pointer(&text, g_free);
        set_filters("4:test-base-log", LOG_DEBUG, LOG_DEBUG);
        CAPTURE_STDERR(text, vb_log_warning("not to be seen"));
        g_assert_cmpstr(text, ==, "");
        vb_log_init("qemu", LOG_INFO);
}

static void test_filters_spelling(void) {
        VbLogRules rules;

        set_filters("  1:qemu\t 3:bus/link\n", LOG_INFO, LOG_DEBUG);
        vb_log_get_rules(&rules);
        g_assert_cmpstr(rules.filters, ==, "1:qemu 3:bus/link");
        set_filters(" ", LOG_INFO, LOG_DEBUG);
        vb_log_get_rules(&rules);
        g_assert_cmpstr(rules.filters, ==, "");
}

static void test_bad_filters(void) {
        g_autofree char *many = g_strnfill(VB_LOG_FILTERS_SIZE - 1, ' '), *long_one = g_strnfill(70, 'a');
        g_autofree char *too_long = g_strconcat("2:", long_one, NULL);
        const struct {
                const char *filters, *words;
        } cases[] = {
                { "qemu", "log filter 1, 'qemu': must be a level from 1 (debug) to 4 (error)" },
                { "1:qemu 5:bus", "log filter 2, '5:bus': must be a level" },
                { "0:qemu", "log filter 1, '0:qemu'" },
                { "12:qemu", "log filter 1, '12:qemu'" },
                { "1:qemu 2: 3:bus", "log filter 2, '2:'" },
                { "1:+qemu", "log filter 1, '1:+qemu'" },
                { "1:qe\x01mu", "log filter 1" },
                { too_long, "of at most 63 characters" },
                { many, "log filter 65, '1:a': there may be 64 at most" },
        };

        for (unsigned i = 0; i < 65; i++)
                memcpy(many + 4 * (size_t) i, "1:a", 3);
        set_filters("1:qemu", LOG_INFO, LOG_DEBUG);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                VbLogRules rules = { .level = LOG_ERR, .threshold = LOG_ERR };

                g_strlcpy(rules.filters, cases[i].filters, sizeof rules.filters);
                g_assert_cmpint(vb_log_set_rules(&rules, &error), ==, -EINVAL);
                if (!strstr(error.message, cases[i].words))
                        g_error("%s: %s", cases[i].filters, error.message);
                vb_log_get_rules(&rules);
                g_assert_cmpstr(rules.filters, ==, "1:qemu");
                g_assert_cmpint(rules.level, ==, LOG_INFO);
        }
        vb_log_init("qemu", LOG_INFO);
}

static void test_unterminated_filters(void) {
        VbLogRules rules = { .level = LOG_INFO, .threshold = LOG_DEBUG };

        memset(rules.filters, ' ', sizeof rules.filters);
        g_assert_cmpint(vb_log_set_rules(&rules, NULL), ==, -EINVAL);
}

static void test_outputs(void) {
        int level = 0;

        g_assert_cmpint(vb_log_output_parse("3:journald", &level, NULL), ==, 0);
        g_assert_cmpint(level, ==, LOG_WARNING);
        for (char **bad = (char *[]){ (char *) "", (char *) "journald", (char *) "0:journald", (char *) "1:stderr", (char *) "1:file:/x",
                                      (char *) "1:journald 2:journald", NULL };
             *bad; bad++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                g_assert_cmpint(vb_log_output_parse(*bad, &level, &error), ==, -EINVAL);
                g_assert_nonnull(strstr(error.message, "log output '"));
                g_assert_cmpint(level, ==, LOG_WARNING);
        }
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
        g_test_add_func("/log/filters", test_filters);
        g_test_add_func("/log/filtered-line", test_filtered_line);
        g_test_add_func("/log/filters-spelling", test_filters_spelling);
        g_test_add_func("/log/bad-filters", test_bad_filters);
        g_test_add_func("/log/unterminated-filters", test_unterminated_filters);
        g_test_add_func("/log/outputs", test_outputs);
        g_test_add_func("/log/errno", test_errno);
        g_test_add_func("/log/forged-line", test_forged_line);
        g_test_add_func("/log/level-words", test_level_words);
        return g_test_run();
}
