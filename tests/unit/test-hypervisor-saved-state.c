/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/saved-state.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

#define XML "<domain type='qemu'><name>web</name></domain>"

static int make_file(void) {
        int fd = memfd_create("saved", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static int make_saved(const char *xml) {
        int fd = make_file(), moves = 0;

        g_assert_cmpint(vb_saved_state_begin(fd, xml, /* running= */ true, NULL), ==, 0);
        g_assert_cmpint(write(fd, "stream", 6), ==, 6);
        g_assert_cmpint(vb_saved_state_finish(fd, /* bypass_cache= */ true, &moves, NULL), ==, 0);
        g_assert_cmpint(moves, >, 0);
        g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
        return fd;
}

static void test_round_trip(void) {
        const size_t sizes[] = { 1, 100, 4095, 4096, 4097, 70000 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *xml = g_strnfill(sizes[i], 'x');
                g_autoptr(VbSavedState) state = NULL;
                vb_autofd fd = make_saved(xml);
                char stream[16];

                g_assert_cmpint(vb_saved_state_read(fd, &state, NULL), ==, 0);
                g_assert_cmpstr(state->xml, ==, xml);
                g_assert_true(state->running);
                g_assert_cmpuint(state->stream_offset % 4096, ==, 0);
                g_assert_cmpint(read(fd, stream, sizeof(stream)), ==, 6);
                g_assert_cmpmem(stream, 6, "stream", 6);
        }
}

typedef struct Damage {
        const char *name;
        off_t offset; /* of what is overwritten */
        const char *bytes;
        size_t n_bytes;
        off_t truncate; /* 0: not */
        const char *message;
} Damage;

static const Damage damages[] = {
        { "empty", .truncate = -1, .message = "too short" },
        { "short-header", .truncate = 20, .message = "too short" },
        { "magic", 0, "QEVM", 4, .message = "does not begin as one" },
        { "format", 16, "\x07\0\0\0", 4, .message = "format 7; this version reads format 1" },
        { "partial", 20, "\x01\0\0\0", 4, .message = "cut short" },
        { "no-xml", 28, "\0\0\0\0", 4, .message = "header is damaged" },
        { "huge-xml", 28, "\xff\xff\xff\xff", 4, .message = "header is damaged" },
        { "offset-zero", 32, "\0\0\0\0\0\0\0\0", 8, .message = "header is damaged" },
        { "offset-huge", 32, "\0\0\0\0\0\0\0\x80", 8, .message = "header is damaged" },
        { "xml-nowhere", 40, "\0\0\0\0\0\0\0\0", 8, .message = "header is damaged" },
        { "xml-elsewhere", 40, "\0\x20\0\0\0\0\0\0", 8, .message = "header is damaged" },
        { "no-stream", .truncate = 8192, .message = "header is damaged" },
};

static void test_damage(const void *data) {
        const Damage *damage = data;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbSavedState *state = NULL;
        vb_autofd fd = make_saved(XML);

        if (damage->n_bytes > 0)
                g_assert_cmpint(pwrite(fd, damage->bytes, damage->n_bytes, damage->offset), ==, (int) damage->n_bytes);
        if (damage->truncate)
                g_assert_cmpint(ftruncate(fd, damage->truncate < 0 ? 0 : damage->truncate), ==, 0);

        g_assert_cmpint(vb_saved_state_read(fd, &state, &error), <, 0);
        g_assert_null(state);
        g_assert_cmpstr(error.name, ==, VB_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error.message, damage->message));
}

/* Once, and again: the places take turns, and the stream stays. */
static void test_replace(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *long_xml = g_strnfill(16384, 'y'), *too_long = g_strnfill(65536, 'z');
        const char *turns[] = { "<other/>", long_xml, "<x/>" };
        vb_autofd fd = make_saved(XML);

        for (size_t i = 0; i < G_N_ELEMENTS(turns); i++) {
                g_autoptr(VbSavedState) state = NULL;
                char stream[16];

                g_assert_cmpint(vb_saved_state_replace_xml(fd, turns[i], /* running= */ i == 1, NULL), ==, 0);
                g_assert_cmpint(vb_saved_state_read(fd, &state, NULL), ==, 0);
                g_assert_cmpstr(state->xml, ==, turns[i]);
                g_assert_cmpint(state->running, ==, i == 1);
                g_assert_cmpint(read(fd, stream, sizeof(stream)), ==, 6);
                g_assert_cmpmem(stream, 6, "stream", 6);
        }
        g_assert_cmpint(vb_saved_state_replace_xml(fd, too_long, true, &error), <, 0);
        g_assert_cmpstr(error.name, ==, VB_ERROR_LIMIT_EXCEEDED);
}

/* Begun and never finished, as after a crash. */
static void test_unfinished(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbSavedState *state = NULL;
        vb_autofd fd = make_file();

        g_assert_cmpint(vb_saved_state_begin(fd, XML, false, NULL), ==, 0);
        g_assert_cmpint(write(fd, "half", 4), ==, 4);
        g_assert_cmpint(vb_saved_state_read(fd, &state, &error), <, 0);
        g_assert_nonnull(strstr(error.message, "cut short"));
}

static void test_wrong_kind(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int pipes[2];

        g_assert_cmpint(pipe(pipes), ==, 0);
        g_assert_cmpint(vb_saved_state_begin(pipes[1], XML, false, &error), <, 0);
        g_assert_cmpstr(error.name, ==, VB_ERROR_INVALID_ARGUMENT);
        (void) close(pipes[0]);
        (void) close(pipes[1]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();

        g_test_add_func("/saved-state/round-trip", test_round_trip);
        for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
                g_autofree char *path = g_strdup_printf("/saved-state/damage/%s", damages[i].name);

                g_test_add_data_func(path, &damages[i], test_damage);
        }
        g_test_add_func("/saved-state/replace", test_replace);
        g_test_add_func("/saved-state/unfinished", test_unfinished);
        g_test_add_func("/saved-state/wrong-kind", test_wrong_kind);
        return g_test_run();
}
