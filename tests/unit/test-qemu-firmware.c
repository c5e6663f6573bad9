/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which firmware is taken, from folders of descriptions that each test makes. */

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "qemu/firmware-private.h"

typedef struct Place {
        char *root;
        char *vendor, *admin; /* folders of descriptions */
        const char *folders[3];
} Place;

static void put(const char *folder, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Images x.fd and x-vars.fd, and a description of them. */
static void describe(Place *place, const char *folder, const char *name, const char *image,
                     const char *machines, const char *features) {
        g_autofree char *text = NULL, *code = g_strconcat(image, ".fd", NULL),
                        *vars = g_strconcat(image, "-vars.fd", NULL);

        put(place->root, code, "code");
        put(place->root, vars, "vars");
        text = g_strdup_printf("{ \"description\": \"test\", \"interface-types\": [\"uefi\"], \"tags\": [], "
                               "\"features\": [%s],"
                               "  \"mapping\": { \"device\": \"flash\","
                               "    \"executable\": { \"filename\": \"%s/%s\", \"format\": \"raw\" },"
                               "    \"nvram-template\": { \"filename\": \"%s/%s\", \"format\": \"raw\" } },"
                               "  \"targets\": [ { \"architecture\": \"x86_64\", \"machines\": [%s] } ] }",
                               features, place->root, code, place->root, vars, machines);
        put(folder, name, text);
}

static void place_make(Place *place, gconstpointer data) {
        place->root = g_dir_make_tmp("virtbus-firmware-XXXXXX", NULL);
        place->vendor = g_build_filename(place->root, "vendor", NULL);
        place->admin = g_build_filename(place->root, "admin", NULL);
        g_assert_cmpint(g_mkdir(place->vendor, 0700), ==, 0);
        g_assert_cmpint(g_mkdir(place->admin, 0700), ==, 0);
        place->folders[0] = place->vendor;
        place->folders[1] = place->admin;
        describe(place, place->vendor, "40-enrolled.json", "enrolled", "\"pc-q35-*\"",
                 "\"secure-boot\", \"enrolled-keys\", \"requires-smm\"");
        describe(place, place->vendor, "50-secure.json", "secure", "\"pc-q35-*\"",
                 "\"secure-boot\", \"requires-smm\"");
        describe(place, place->vendor, "60-plain.json", "plain", "\"pc-q35-*\", \"pc-i440fx-*\"", "");
}

static void place_remove(Place *place, gconstpointer data) {
        g_autofree char *command = g_strdup_printf("rm -r '%s'", place->root);

        g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
        g_free(place->root);
        g_free(place->vendor);
        g_free(place->admin);
}

static void check(const Place *place, const char *what, const QemuFirmwareQuery *query,
                  const char *expected) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(QemuFirmware) firmware = NULL;
        g_autofree char *name = NULL;
        int r;

        r = qemu_firmware_find(query, &firmware, &error);
        if (!expected) {
                if (r != -EOPNOTSUPP || !strstr(error.message, query->machine))
                        g_error("%s: expected a refusal, got %s", what,
                                r < 0 ? error.message : firmware->loader);
                return;
        }
        if (r < 0)
                g_error("%s: %s", what, error.message);
        name = g_path_get_basename(firmware->loader);
        if (!g_str_equal(name, expected))
                g_error("%s: got %s", what, name);
        g_assert_true(g_str_has_prefix(firmware->loader, place->root));
}

static void test_choice(Place *place, gconstpointer data) {
        static const struct {
                const char *what;
                const char *expected;
                QemuFirmwareQuery query;
        } rows[] = {
                { "the first that fits", "enrolled.fd", { "x86_64", "pc-q35-7.2" } },
                { "machine", "plain.fd", { "x86_64", "pc-i440fx-7.2" } },
                { "secure boot",
                  "enrolled.fd",
                  { "x86_64", "pc-q35-7.2", .secure_boot = QEMU_FIRMWARE_YES } },
                { "secure boot without keys",
                  "secure.fd",
                  { "x86_64", "pc-q35-7.2", .secure_boot = QEMU_FIRMWARE_YES,
                    .enrolled_keys = QEMU_FIRMWARE_NO } },
                { "no secure boot", "plain.fd", { "x86_64", "pc-q35-7.2", .secure_boot = QEMU_FIRMWARE_NO } },
                { "no keys", "secure.fd", { "x86_64", "pc-q35-7.2", .enrolled_keys = QEMU_FIRMWARE_NO } },
                { "without SMM", "plain.fd", { "x86_64", "pc-q35-7.2", .smm_off = true } },
                { "raw", "enrolled.fd", { "x86_64", "pc-q35-7.2", .format = "raw" } },
                { "qcow2", NULL, { "x86_64", "pc-q35-7.2", .format = "qcow2" } },
                { "secure boot on an old machine",
                  NULL,
                  { "x86_64", "pc-i440fx-7.2", .secure_boot = QEMU_FIRMWARE_YES } },
                { "secure boot without SMM",
                  NULL,
                  { "x86_64", "pc-q35-7.2", .secure_boot = QEMU_FIRMWARE_YES, .smm_off = true } },
                { "architecture", NULL, { "aarch64", "virt-7.2" } },
                { "machine without firmware", NULL, { "x86_64", "microvm" } },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                QemuFirmwareQuery query = rows[i].query;

                query.folders = place->folders;
                check(place, rows[i].what, &query, rows[i].expected);
        }
}

static void test_precedence(Place *place, gconstpointer data) {
        QemuFirmwareQuery query = { "x86_64", "pc-q35-7.2", .folders = place->folders };
        g_autofree char *link = g_build_filename(place->admin, "60-plain.json", NULL);

        describe(place, place->admin, "45-mine.json", "mine", "\"pc-q35-*\"", "");
        check(place, "between the vendor's by its name", &query, "enrolled.fd");
        put(place->admin, "40-enrolled.json", "");
        check(place, "masked by an empty file", &query, "mine.fd");
        describe(place, place->admin, "50-secure.json", "other", "\"pc-*\"", "\"secure-boot\"");
        query.secure_boot = QEMU_FIRMWARE_YES;
        check(place, "replaced by a file of the same name", &query, "other.fd");
        query.secure_boot = QEMU_FIRMWARE_ANY;
        query.machine = "pc-i440fx-7.2";
        g_assert_cmpint(symlink("/dev/null", link), ==, 0);
        check(place, "masked by a link to /dev/null", &query, "other.fd");
}

static void test_not_installed(Place *place, gconstpointer data) {
        QemuFirmwareQuery query = { "x86_64", "pc-q35-7.2", .folders = place->folders };
        g_autofree char *code = g_build_filename(place->root, "enrolled.fd", NULL);
        g_autofree char *vars = g_build_filename(place->root, "secure-vars.fd", NULL);
        g_autoptr(GPtrArray) all = qemu_firmware_list(&query), left = NULL;

        g_assert_cmpuint(all->len, ==, 3);
        g_assert_cmpint(g_unlink(code), ==, 0);
        g_assert_cmpint(g_unlink(vars), ==, 0);
        check(place, "neither code nor template missing", &query, "plain.fd");
        left = qemu_firmware_list(&query);
        g_assert_cmpuint(left->len, ==, 1);
}

static void test_bios(Place *place, gconstpointer data) {
        QemuFirmwareQuery query = { "x86_64", "pc-q35-7.2", .bios = true, .folders = place->folders };
        g_autoptr(QemuFirmware) built_in = NULL;

        g_assert_cmpint(qemu_firmware_find(&query, &built_in, NULL), ==, 0);
        g_assert_null(built_in->loader);

        put(place->root, "bios.bin", "code");
        {
                g_autofree char *text = g_strdup_printf(
                        "{ \"interface-types\": [\"bios\"], \"features\": [], \"mapping\": { \"device\": "
                        "\"memory\", "
                        "\"filename\": \"%s/bios.bin\" }, \"targets\": [ { \"architecture\": \"x86_64\", "
                        "\"machines\": [\"pc-*\"] } ] }",
                        place->root);

                put(place->admin, "80-bios.json", text);
        }
        check(place, "described", &query, "bios.bin");
        query.arch = "aarch64";
        check(place, "no BIOS on ARM", &query, NULL);
}

/* None of these is taken, and none keeps the good ones from being taken. */
static void test_hostile(Place *place, gconstpointer data) {
        static const struct {
                const char *text;
                int r;
        } rows[] = {
                { "[]", -EBADMSG },
                { "{", -EBADMSG },
                { "{}", -EBADMSG },
                { "\377\376", -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[]}", -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[{}],\"mapping\":{\"device\":"
                  "\"flash\"}}",
                  -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[],\"mapping\":{\"device\":"
                  "\"flash\"}}",
                  -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[],\"mapping\":{\"device\":"
                  "\"memory\","
                  "\"filename\":\"relative.fd\"}}",
                  -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[{\"architecture\":\"x86_64\","
                  "\"machines\":[1]}],"
                  "\"mapping\":{\"device\":\"memory\",\"filename\":\"/x\"}}",
                  -EBADMSG },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[],\"mapping\":{\"device\":"
                  "\"kernel\",\"filename\":\"/x\"}}",
                  -EOPNOTSUPP },
                { "{\"interface-types\":[\"uefi\"],\"features\":[],\"targets\":[],\"mapping\":{\"device\":"
                  "\"flash\",\"mode\":\"combined\","
                  "\"executable\":{\"filename\":\"/x\",\"format\":\"raw\"}}}",
                  -EOPNOTSUPP },
        };
        g_autofree char *deep = g_strnfill(100000, '['), *long_one = g_strnfill(70000, ' ');
        QemuFirmwareQuery query = { "x86_64", "pc-q35-7.2", .folders = place->folders };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                FirmwareDescription *description = NULL;
                g_autofree char *name = g_strdup_printf("00-%zu.json", i);

                g_assert_cmpint(firmware_description_parse(rows[i].text, strlen(rows[i].text), &description),
                                ==, rows[i].r);
                g_assert_null(description);
                put(place->admin, name, rows[i].text);
        }
        put(place->admin, "01-deep.json", deep);
        put(place->admin, "02-long.json", long_one);
        check(place, "beside broken ones", &query, "enrolled.fd");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        g_test_add("/qemu/firmware/choice", Place, NULL, place_make, test_choice, place_remove);
        g_test_add("/qemu/firmware/precedence", Place, NULL, place_make, test_precedence, place_remove);
        g_test_add("/qemu/firmware/not-installed", Place, NULL, place_make, test_not_installed, place_remove);
        g_test_add("/qemu/firmware/bios", Place, NULL, place_make, test_bios, place_remove);
        g_test_add("/qemu/firmware/hostile", Place, NULL, place_make, test_hostile, place_remove);
        return g_test_run();
}
