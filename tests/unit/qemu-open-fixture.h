/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests to the opener, made by whoever runs the tests, for a made-up owner; and files of hers. */

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "qemu/open.h"
#include "test-util.h"

/* A made-up user; as root we drop to it, else we are whoever runs the tests. */
#define OWNER 64321u

typedef struct Fixture {
        sd_event *event;
        TestFolder *folder;
        VbOpenRequest *request;
        VbOpenResult *result;
        unsigned n_done;
        int r;
        char *name, *message;
        uint64_t timeout_usec;
        bool free_in_done;
} Fixture;

static char *program; /* a copy that any user may execute */

static inline char *path_of(Fixture *f, const char *name) {
        return g_build_filename(f->folder, name, NULL);
}

static inline uid_t owner(void) {
        return geteuid() == 0 ? OWNER : (uid_t) -1;
}

static inline void begin(Fixture *f) {
        *f = (Fixture) { .event = test_event_new(), .folder = test_folder_new() };
        g_assert_cmpint(chmod(f->folder, 0755), ==, 0);
        if (geteuid() == 0)
                g_assert_cmpint(chown(f->folder, OWNER, OWNER), ==, 0);
        g_assert_cmpint(vb_open_request_new(&f->request, f->event, owner(), OWNER), ==, 0);
}

static inline void clear(Fixture *f) {
        f->request = vb_open_request_free(f->request);
        f->result = vb_open_result_free(f->result);
        g_clear_pointer(&f->name, g_free);
        g_clear_pointer(&f->message, g_free);
        f->n_done = 0;
}

static inline void again(Fixture *f) {
        clear(f);
        g_assert_cmpint(vb_open_request_new(&f->request, f->event, owner(), OWNER), ==, 0);
}

static inline void end(Fixture *f) {
        clear(f);
        test_run_idle(f->event);
        sd_event_unref(f->event);
        test_folder_free(f->folder);
}

/* A file of the owner's. */
static inline char *make_file(Fixture *f, const char *name, const void *data, size_t size) {
        char *path = path_of(f, name);

        g_assert_cmpint(vb_file_write(path, data, size, 0600), ==, 0);
        if (geteuid() == 0)
                g_assert_cmpint(chown(path, OWNER, OWNER), ==, 0);
        return path;
}

static inline void put32(GByteArray *to, uint32_t value) {
        uint32_t big = GUINT32_TO_BE(value);
        (void) g_byte_array_append(to, (const uint8_t *) &big, 4);
}

static inline void put64(GByteArray *to, uint64_t value) {
        put32(to, (uint32_t) (value >> 32));
        put32(to, (uint32_t) value);
}

/* A version 3 image of 1 MiB whose header says this; format NULL: no such extension. */
static inline char *make_qcow2(Fixture *f, const char *name, const char *backing, const char *format, uint64_t incompatible) {
        g_autoptr(GByteArray) data = g_byte_array_new();
        static const uint8_t zeros[8];

        put32(data, 0x514649fb);
        put32(data, 3);
        put64(data, backing ? 1024 : 0);
        put32(data, backing ? (uint32_t) strlen(backing) : 0);
        put32(data, 16);
        put64(data, 1048576);
        for (int i = 0; i < 10; i++)
                put32(data, 0);
        put64(data, incompatible);
        put64(data, 0);
        put64(data, 0);
        put32(data, 4);
        put32(data, 104);
        g_assert_cmpuint(data->len, ==, 104);
        if (format) {
                put32(data, 0xe2792aca);
                put32(data, (uint32_t) strlen(format));
                (void) g_byte_array_append(data, (const uint8_t *) format, (guint) strlen(format));
                (void) g_byte_array_append(data, zeros, (8 - strlen(format) % 8) % 8);
        }
        put64(data, 0);
        while (data->len < 1024)
                (void) g_byte_array_append(data, zeros, 1);
        if (backing)
                (void) g_byte_array_append(data, (const uint8_t *) backing, (guint) strlen(backing));
        return make_file(f, name, data->data, data->len);
}

static inline void add(Fixture *f, VbOpenFile file) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(vb_open_request_add(f->request, &file, &error), ==, 0);
}

static inline void on_done(VbOpenRequest *request, int r, VbOpenResult *result, const sd_bus_error *error, void *userdata) {
        Fixture *f = userdata;

        f->n_done++;
        f->r = r;
        f->result = result;
        g_assert_true((r < 0) == (result == NULL));
        f->name = g_strdup(error ? error->name : NULL);
        f->message = g_strdup(error ? error->message : NULL);
        if (f->free_in_done)
                f->request = vb_open_request_free(request);
}

static inline void run(Fixture *f) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(vb_open_request_send(f->request, on_done, f, f->timeout_usec, &error), ==, 0);
        g_assert_cmpuint(f->n_done, ==, 0);
        TEST_RUN_UNTIL(f->event, f->n_done > 0);
        g_assert_cmpuint(f->n_done, ==, 1);
        if (f->message)
                g_test_message("%s", f->message);
}

static inline char *read_all(int fd) {
        char *text = NULL;

        g_assert_cmpint(vb_file_read_fd(fd, 100000, &text, NULL), ==, 0);
        return text;
}

/* The opener, where any user may execute it: the build tree may lie where others may not enter. */
static inline TestFolder *copy_opener(void) {
        TestFolder *folder = test_folder_new();
        const char *copy[] = { "cp", g_getenv("VIRTBUS_TEST_OPENER"), NULL, NULL };

        g_assert_cmpint(chmod(folder, 0755), ==, 0);
        program = g_build_filename(folder, "virtbus-opener", NULL);
        copy[2] = program;
        g_assert_true(g_spawn_sync(NULL, (char **) copy, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        vb_open_set_program(program);
        return folder;
}

/* What main() is, with the tests of a program. */
static inline int run_open_tests(int argc, char **argv, void (*add_tests)(void)) {
        TestFolder *folder;
        int r;

        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        vb_log_init("test", LOG_ERR);
        folder = copy_opener();
        add_tests();
        r = g_test_run();
        g_free(program);
        test_folder_free(folder);
        return r;
}
