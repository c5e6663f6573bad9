/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What unit tests with a loop share. */

#include <stdlib.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/cleanup.h"

/* Under sanitizers and beside other builds everything takes longer: no test waits for time, this is only when it gives up. */
#define TEST_DEADLINE_USEC (180 * G_USEC_PER_SEC)

static inline int test_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        g_error("the test did not end within its deadline");
        return 0;
}

static inline sd_event *test_event_new(void) {
        sd_event *event = NULL;
        sd_event_source *source = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(sd_event_add_time_relative(event, &source, CLOCK_MONOTONIC, TEST_DEADLINE_USEC, 0,
                                                   test_deadline, NULL),
                        >=, 0);
        g_assert_cmpint(sd_event_source_set_floating(source, true), >=, 0);
        sd_event_source_unref(source);
        return event;
}

/* Turns the loop until the condition holds. */
#define TEST_RUN_UNTIL(event, condition)                                     \
        do {                                                                 \
                while (!(condition))                                         \
                        g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0); \
        } while (0)

/* Turns the loop until nothing is left to do now. */
static inline void test_run_idle(sd_event *event) {
        while (sd_event_run(event, 0) > 0)
                ;
}

/* Microseconds that this process has computed: what a test may bound, as it does not grow with what else the machine does. */
static inline uint64_t test_cpu_usec(void) {
        struct timespec now;

        g_assert_cmpint(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), ==, 0);
        return (uint64_t) now.tv_sec * G_USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

/* A folder of the test's own, to be given to test_folder_free(). */
static inline char *test_folder_new(void) {
        g_autoptr(GError) error = NULL;
        char *path = g_dir_make_tmp("virtbus-test-XXXXXX", &error);

        g_assert_no_error(error);
        return path;
}

static inline void test_folder_free(char *path) {
        const char *argv[] = { "rm", "-rf", "--", path, NULL };

        (void) g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
        g_free(path);
}
typedef char TestFolder;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestFolder, test_folder_free)

/* A file of a made-up tree, such as those in /proc and /sys: its path begins with a slash. */
typedef struct TestFile {
        const char *path, *text;
} TestFile;

static inline void test_put(const char *root, const char *path, const char *text) {
        g_autofree char *full = g_strconcat(root, path, NULL), *folder = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static inline void test_put_files(const char *root, const TestFile *files, size_t n) {
        for (size_t i = 0; i < n; i++)
                test_put(root, files[i].path, files[i].text);
}
