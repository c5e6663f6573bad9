/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/settings.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "test-util.h"

typedef struct Settings {
        bool sandbox;
        uint64_t number, size, duration;
        char *user, *path;
        char **words;
        uint64_t delay;
        int color;
} Settings;

VB_STRING_TABLE_DECLARE(color, int);
VB_STRING_TABLE(color, int, 2, [0] = "red", [1] = "green");

static const VbSetting table[] = {
        { "sandbox", VB_SETTING_BOOL, offsetof(Settings, sandbox), "yes" },
        { "number", VB_SETTING_NUMBER, offsetof(Settings, number), "7", 1, 100 },
        { "size", VB_SETTING_SIZE, offsetof(Settings, size), "64K" },
        { "duration", VB_SETTING_DURATION, offsetof(Settings, duration), "30s", 0, 3600 * 1000000ull },
        { "user", VB_SETTING_STRING, offsetof(Settings, user), "virtbus-qemu" },
        { "path", VB_SETTING_PATH, offsetof(Settings, path) },
        { "words", VB_SETTING_LIST, offsetof(Settings, words), "a b" },
        { "delay", VB_SETTING_DELAY, offsetof(Settings, delay), "250" },
        { "color", VB_SETTING_WORD, offsetof(Settings, color), "green", .words = &color_table },
        { NULL },
};

static void put(const char *folder, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_assert_cmpint(vb_file_write(path, text, strlen(text), 0644), ==, 0);
}

static void test_fallbacks(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        Settings s = { 0 };

        g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, 0);
        g_assert_true(s.sandbox);
        g_assert_cmpuint(s.number, ==, 7);
        g_assert_cmpuint(s.size, ==, 65536);
        g_assert_cmpuint(s.duration, ==, 30000000);
        g_assert_cmpstr(s.user, ==, "virtbus-qemu");
        g_assert_null(s.path);
        g_assert_cmpstr(s.words[1], ==, "b");
        g_assert_cmpuint(s.delay, ==, 250000);
        g_assert_cmpint(s.color, ==, 1);
        vb_settings_done(table, &s);
        g_assert_null(s.user);
}

static void test_files(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *drop_ins = g_build_filename(folder, "qemu.conf.d", NULL);
        Settings s = { 0 };

        g_assert_cmpint(vb_mkdir(drop_ins, 0755), ==, 0);
        put(folder, "qemu.conf",
            "# comment\n\n  sandbox=off # why\nsize = 2G\nuser = \"a \\\"b\\\" # c\" # d\npath=/x#y\nwords = x, y  z\n");
        put(drop_ins, "20-later.conf", "number = 3\nduration = 500ms\ndelay = 2s\ncolor = red\n");
        put(drop_ins, "10-earlier.conf", "number = 2\nwords =\n");
        put(drop_ins, "30-not.txt", "number = 4\n");
        put(drop_ins, ".hidden.conf", "number = 5\n");
        g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, 0);
        g_assert_false(s.sandbox);
        g_assert_cmpuint(s.size, ==, 2ull << 30);
        g_assert_cmpstr(s.user, ==, "a \"b\" # c");
        g_assert_cmpstr(s.path, ==, "/x#y");
        g_assert_null(s.words[0]);
        g_assert_cmpuint(s.number, ==, 3);
        g_assert_cmpuint(s.duration, ==, 500000);
        g_assert_cmpuint(s.delay, ==, 2000000);
        g_assert_cmpint(s.color, ==, 0);

        /* Loaded again, what a file no longer says is as at first. */
        put(folder, "qemu.conf", "");
        g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, 0);
        g_assert_true(s.sandbox);
        g_assert_cmpstr(s.user, ==, "virtbus-qemu");
        vb_settings_done(table, &s);
}

/* Each line costs itself only, and the log names it. */
static void test_bad_lines(void) {
        static const char *const lines[] = {
                "nonsense",     "nosuchkey = 1",      "sandbox = maybe", "number = 0",    "number = 101", "number = -1",
                "number = 5x",  "number =",           "size = 1P",       "size = 99999999999T",
                "duration = 2h", "duration = 1 fortnight", "path = relative", "user = \"open", "user = \"a\" b", "= 5",
                "number = 99999999999999999999999", "color = blue", "color =", "delay = soon",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autoptr(TestFolder) folder = test_folder_new();
                g_autofree char *text = g_strdup_printf("words = before\n%s\nwords = after\n", lines[i]);
                Settings s = { 0 };

                g_test_message("%s", lines[i]);
                put(folder, "qemu.conf", text);
                g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, 1);
                g_assert_cmpstr(s.words[0], ==, "after");
                g_assert_cmpuint(s.number, ==, 7);
                g_assert_cmpuint(s.size, ==, 65536);
                g_assert_cmpuint(s.duration, ==, 30000000);
                g_assert_cmpstr(s.user, ==, "virtbus-qemu");
                g_assert_true(s.sandbox);
                g_assert_cmpint(s.color, ==, 1);
                vb_settings_done(table, &s);
        }
}

/* Two owners of one file: each gets its own keys, and neither takes the other's for unknown. */
static void test_parts(void) {
        static const VbSetting other_table[] = { { "other", VB_SETTING_NUMBER, 0, "1" }, { NULL } };
        g_autoptr(TestFolder) folder = test_folder_new();
        uint64_t other = 0;
        Settings s = { 0 };
        const VbSettingsPart parts[] = { { table, &s }, { other_table, &other }, { NULL } };

        put(folder, "qemu.conf", "other = 5\nnumber = 9\nneither = 1\n");
        g_assert_cmpint(vb_settings_load_parts(parts, folder, "qemu"), ==, 1);
        g_assert_cmpuint(s.number, ==, 9);
        g_assert_cmpuint(other, ==, 5);
        vb_settings_done(table, &s);
}

static void test_unreadable(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *large = g_strnfill(300000, '#'), *path = g_build_filename(folder, "qemu.conf.d/x.conf", NULL);
        Settings s = { 0 };

        put(folder, "qemu.conf", large);
        g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, -EFBIG);
        g_assert_cmpuint(s.number, ==, 7);

        put(folder, "qemu.conf", "number = 8\n");
        g_assert_cmpint(vb_mkdir(path, 0755), ==, 0);
        g_assert_cmpint(vb_settings_load(table, &s, folder, "qemu"), ==, -EISDIR);
        g_assert_cmpuint(s.number, ==, 8);
        vb_settings_done(table, &s);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_log_init("test", LOG_CRIT);
        g_test_add_func("/settings/fallbacks", test_fallbacks);
        g_test_add_func("/settings/files", test_files);
        g_test_add_func("/settings/bad-lines", test_bad_lines);
        g_test_add_func("/settings/parts", test_parts);
        g_test_add_func("/settings/unreadable", test_unreadable);
        return g_test_run();
}
