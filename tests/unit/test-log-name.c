/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/name.h"

#include <string.h>

#include "log/record.h"

static void test_paths(void) {
        static const struct {
                const char *domain, *log;
                bool own;
                const char *wanted;
        } rows[] = {
                { "web", "qemu", true, "qemu/web.log" },
                { "web", "serial0", true, "qemu/console/web/serial0.log" },
                { "web", "qemu", false, "qemu/7/web.log" },
                { "web", "ua-front", false, "qemu/7/console/web/ua-front.log" },
                { "web.log", "serial0", true, "qemu/console/web.log/serial0.log" },
                { "7", "qemu", true, "qemu/7.log" },
                { "a b", "qemu", true, "qemu/a b.log" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(LogName) name = { 0 };
                g_autofree char *path = NULL;

                g_assert_cmpint(log_name_init(&name, "qemu", rows[i].own ? geteuid() : 7, rows[i].domain, rows[i].log, NULL), ==, 0);
                path = log_name_path(&name);
                g_assert_cmpstr(path, ==, rows[i].wanted);
        }
}

/* Of two names that differ only at their ends, each has its file, and so has its last backup. */
static void test_long_names(void) {
        g_autofree char *long_name = g_strnfill(LOG_NAME_DOMAIN_MAX, 'x'), *other = g_strdup(long_name), *first = NULL, *second = NULL;
        g_auto(LogName) one = { 0 }, two = { 0 };

        other[LOG_NAME_DOMAIN_MAX - 1] = 'y';
        g_assert_cmpint(log_name_init(&one, "qemu", 0, long_name, "qemu", NULL), ==, 0);
        g_assert_cmpint(log_name_init(&two, "qemu", 0, other, "qemu", NULL), ==, 0);
        first = log_name_file(&one);
        second = log_name_file(&two);
        g_assert_cmpstr(first, !=, second);
        g_assert_cmpuint(strlen(first) + strlen(".99"), <=, NAME_MAX);
}

static void test_refused(void) {
        g_autofree char *too_long = g_strnfill(LOG_NAME_DOMAIN_MAX + 1, 'x');
        const struct {
                const char *driver;
                uid_t owner;
                const char *domain, *log;
        } rows[] = {
                { "", 0, "web", "qemu" },      { "../qemu", 0, "web", "qemu" },  { "qemu", 0, "", "qemu" },         { "qemu", 0, "..", "qemu" },
                { "qemu", 0, ".", "serial0" }, { "qemu", 0, "a/b", "qemu" },     { "qemu", 0, "a\nb", "qemu" },     { "qemu", 0, too_long, "qemu" },
                { "qemu", 0, "web", "" },      { "qemu", 0, "web", "../other" }, { "qemu", 0, "web", ".serial0" },  { "qemu", 0, "web", "a b" },
                { "qemu", (uid_t) -1, "web", "qemu" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_auto(LogName) name = { 0 };

                g_assert_cmpint(log_name_init(&name, rows[i].driver, rows[i].owner, rows[i].domain, rows[i].log, &error), <, 0);
                g_assert_nonnull(error.message);
                g_assert_null(name.domain);
        }
}

static void test_record(void) {
        g_autofree char *text = NULL;
        g_auto(LogRecord) found = { 0 };
        g_auto(LogSpec) spec = {
                .uuid = g_strdup("0d6f9b1c-5c1e-4b0a-9a55-6a3c9d3d0001"), .wait = true, .max_size = 8192, .max_backups = 7,
        };

        g_assert_cmpint(log_name_init(&spec.name, "qemu", 1000, "a \"quoted\" name", "serial0", NULL), ==, 0);
        text = log_record_format(&spec, 11, 12345);
        g_assert_cmpint(log_record_parse(text, &found, NULL), ==, 0);
        g_assert_cmpstr(found.spec.name.domain, ==, spec.name.domain);
        g_assert_cmpstr(found.spec.name.log, ==, "serial0");
        g_assert_cmpstr(found.spec.uuid, ==, spec.uuid);
        g_assert_cmpuint(found.spec.name.owner, ==, 1000);
        g_assert_true(found.spec.wait);
        g_assert_cmpuint(found.spec.max_size, ==, 8192);
        g_assert_cmpuint(found.spec.max_backups, ==, 7);
        g_assert_cmpuint(found.device, ==, 11);
        g_assert_cmpuint(found.inode, ==, 12345);
}

static void test_bad_records(void) {
        static const char good[] = "{\"format\":1,\"driver\":\"qemu\",\"owner\":0,\"domain\":\"web\",\"uuid\":\"0d6f9b1c-5c1e-4b0a-9a55-6a3c9d3d0001\",\"log\":\"qemu\","
                                   "\"wait\":false,\"max-size\":4096,\"max-backups\":3,\"device\":1,\"inode\":2}";
        static const struct {
                const char *what, *with;
        } rows[] = {
                { "{", "[" },
                { "}", "" },
                { ":1,", ":2," },
                { "\"owner\":0", "\"owner\":4294967295" },
                { "\"owner\":0", "\"owner\":-1" },
                { "\"owner\":0", "\"owner\":\"0\"" },
                { "\"web\"", "\"../web\"" },
                { "\"web\"", "\"w\\u0000b\"" },
                { "0d6f", "xxxx" },
                { "\"log\":\"qemu\"", "\"log\":\"a/b\"" },
                { "4096", "1" },
                { "\"max-backups\":3", "\"max-backups\":100" },
                { "\"wait\":false", "\"wait\":0" },
                { ",\"inode\":2", "" },
        };
        g_auto(LogRecord) record = { 0 };

        g_assert_cmpint(log_record_parse(good, &record, NULL), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(GStrv) parts = g_strsplit(good, rows[i].what, 2);
                g_autofree char *bad = g_strjoinv(rows[i].with, parts);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_auto(LogRecord) none = { 0 };

                g_test_message("%s", bad);
                g_assert_cmpint(log_record_parse(bad, &none, &error), ==, -EBADMSG);
                g_assert_nonnull(error.message);
                g_assert_null(none.spec.uuid);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log/name/paths", test_paths);
        g_test_add_func("/log/name/long-names", test_long_names);
        g_test_add_func("/log/name/refused", test_refused);
        g_test_add_func("/log/record/round-trip", test_record);
        g_test_add_func("/log/record/bad", test_bad_records);
        return g_test_run();
}
