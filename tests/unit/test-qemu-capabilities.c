/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Facts from recorded answers, and their file. */

#include <string.h>

#include "qemu-fixture.h"

static void test_tables(void) {
        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++)
                g_assert_cmpint(qemu_set_from_string(qemu_set_to_string(set)), ==, (int) set);
        for (QemuFeature feature = 0; feature < _QEMU_FEATURE_MAX; feature++)
                g_assert_cmpint(qemu_feature_from_string(qemu_feature_to_string(feature)), ==, (int) feature);
}

static void check_facts(const QemuCapabilities *capabilities) {
        static const struct {
                QemuSet set;
                const char *name;
                bool there;
        } rows[] = {
                { QEMU_SET_TYPE, "virtio-blk-pci", true },
                { QEMU_SET_TYPE, "memory-backend-memfd", true },
                { QEMU_SET_TYPE, "chardev-spicevmc", true },
                { QEMU_SET_TYPE, "pc-q35-7.2-machine", false },
                { QEMU_SET_TYPE, "Nehalem-v1-x86_64-cpu", false },
                { QEMU_SET_TYPE, "", false },
                { QEMU_SET_COMMAND, "blockdev-add", true },
                { QEMU_SET_COMMAND, "SHUTDOWN", false },
                { QEMU_SET_EVENT, "SHUTDOWN", true },
                { QEMU_SET_OPTION, "sandbox", true },
                { QEMU_SET_OPTION, "sandbox.spawn", true },
                { QEMU_SET_OPTION, "sandbox.nonsense", false },
                { QEMU_SET_PROPERTY, "virtio-blk-pci.iothread-vq-mapping", false },
                { QEMU_SET_NETDEV, "user", true },
                { QEMU_SET_NETDEV, "stream", true },
                { QEMU_SET_NETDEV, "passt", false },
                { QEMU_SET_CHARDEV, "spicevmc", true },
                { QEMU_SET_CHARDEV, "qemu-vdagent", true },
                { QEMU_SET_DISPLAY, "dbus", true },
                { QEMU_SET_DISPLAY, "egl-headless", true },
                { QEMU_SET_TPM_BACKEND, "emulator", true },
                { QEMU_SET_TPM_MODEL, "tpm-crb", true },
                { QEMU_SET_BLOCK_DRIVER, "qcow2", true },
                { QEMU_SET_BLOCK_AIO, "io_uring", true },
                { QEMU_SET_BLOCK_AIO, "nonsense", false },
                { QEMU_SET_MIGRATION_CAPABILITY, "postcopy-ram", true },
        };
        const QemuMachine *machine;
        size_t n;

        g_assert_cmpstr(qemu_capabilities_arch(capabilities), ==, "x86_64");
        g_assert_cmpuint(qemu_capabilities_version(capabilities), ==, 7002022);
        g_assert_cmpstr(qemu_capabilities_package(capabilities), ==, "Debian 1:7.2+dfsg-7");
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                if (qemu_capabilities_offers(capabilities, rows[i].set, rows[i].name) != rows[i].there)
                        g_error("row %zu: %s '%s'", i, qemu_set_to_string(rows[i].set), rows[i].name);

        g_assert_true(qemu_capabilities_has(capabilities, QEMU_FEATURE_DEVICE_JSON_HOTPLUG));
        g_assert_true(qemu_capabilities_has(capabilities, QEMU_FEATURE_SCREENDUMP_PNG));
        g_assert_true(qemu_capabilities_has(capabilities, QEMU_FEATURE_DISPLAY_DBUS_P2P));
        g_assert_true(qemu_capabilities_has(capabilities, QEMU_FEATURE_SET_PASSWORD_DISPLAY));
        g_assert_false(qemu_capabilities_has(capabilities, QEMU_FEATURE_NETDEV_STREAM_RECONNECT)); /* 8.0 */
        g_assert_false(qemu_capabilities_has(capabilities, QEMU_FEATURE_CHARDEV_RECONNECT_MS)); /* 9.2 */
        g_assert_false(qemu_capabilities_has(capabilities, QEMU_FEATURE_QCOW2_DISCARD_NO_UNREF)); /* 8.1 */

        machine = qemu_capabilities_find_machine(capabilities, "q35");
        g_assert_nonnull(machine);
        g_assert_cmpstr(machine->name, ==, "pc-q35-7.2");
        g_assert_true(machine == qemu_capabilities_find_machine(capabilities, "pc-q35-7.2"));
        g_assert_cmpuint(machine->max_cpus, ==, 288);
        g_assert_cmpstr(machine->default_ram_id, ==, "pc.ram");
        g_assert_true(machine->hotpluggable_cpus);
        g_assert_false(machine->deprecated);
        g_assert_cmpstr(qemu_capabilities_find_machine(capabilities, NULL)->name, ==, "pc-i440fx-7.2");
        g_assert_true(qemu_capabilities_find_machine(capabilities, "pc-i440fx-1.7")->deprecated);
        g_assert_null(qemu_capabilities_find_machine(capabilities, "none"));
        (void) qemu_capabilities_machines(capabilities, &n);
        g_assert_cmpuint(n, ==, 6);

        g_assert_true(qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_TCG));
        g_assert_false(qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_KVM));
        g_assert_cmpstr(qemu_cpu_table_host_model(qemu_capabilities_cpus(capabilities, QEMU_ACCEL_TCG))->name,
                        ==, "EPYC-v1");
}

static void test_facts(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();

        check_facts(capabilities);
}

/* An answer of the wrong shape is refused, whatever the question. */
static void test_wrong_answers(void) {
        static const char *const rows[] = {
                "{}", "[1]", "[{}]", "\"x\"", "[[]]", "[{\"name\":1}]", "[{\"name\":\"a\\u0000b\"}]", "null",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(VbJson) json = json_tokener_parse(rows[i]);
                g_autoptr(QemuCapabilities) capabilities = qemu_capabilities_new("/x");
                g_autoptr(QemuCpuTable) cpus = qemu_cpu_table_new();

                g_assert_cmpint(qemu_capabilities_parse_target(capabilities, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_machines(capabilities, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_types(capabilities, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_options(capabilities, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_schema(capabilities, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_properties(capabilities, "x", json), ==, -EBADMSG);
                g_assert_cmpint(qemu_capabilities_parse_words(capabilities, QEMU_SET_TPM_MODEL, json), ==,
                                -EBADMSG);
                g_assert_cmpint(qemu_cpu_table_parse_definitions(cpus, json), ==, -EBADMSG);
                g_assert_cmpint(qemu_cpu_table_parse_expansion(cpus, NULL, json), ==, -EBADMSG);
                /* and what has not told its architecture is not worked with */
                g_assert_cmpint(qemu_capabilities_seal(capabilities), ==, -EBADMSG);
        }
}

static void test_too_much(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_capabilities_new("/x");
        g_autofree char *name = g_strnfill(QEMU_NAME_MAX + 1, 'x');
        int r = 0;

        g_assert_cmpint(qemu_capabilities_add(capabilities, QEMU_SET_TYPE, name), ==, -E2BIG);
        for (unsigned i = 0; i < QEMU_SET_SIZE_MAX && r >= 0; i++)
                r = qemu_capabilities_add(capabilities, QEMU_SET_TYPE, "same");
        g_assert_cmpint(r, ==, 0);
        g_assert_cmpint(qemu_capabilities_add(capabilities, QEMU_SET_TYPE, "one more"), ==, -E2BIG);
}

static const QemuBinaryIdentity identity = {
        .device = 1, .inode = UINT64_MAX, .size = 3, .mtime = 4, .ctime = -5
};

static int parse(GBytes *bytes, const QemuBinaryIdentity *of, const char *host, QemuCapabilities **ret) {
        size_t size;
        const char *text = g_bytes_get_data(bytes, &size);

        return qemu_capabilities_parse(text, size, "/usr/bin/qemu-system-x86_64", of, host, ret);
}

static void test_file(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities(), again = NULL;
        g_autoptr(GBytes) bytes = qemu_capabilities_format(capabilities, &identity, "tcg"), twice = NULL;

        g_assert_cmpint(parse(bytes, &identity, "tcg", &again), ==, 0);
        check_facts(again);
        twice = qemu_capabilities_format(again, &identity, "tcg");
        g_assert_true(g_bytes_equal(bytes, twice));
}

static void test_file_of_another(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        g_autoptr(GBytes) bytes = qemu_capabilities_format(capabilities, &identity, "tcg");
        QemuCapabilities *again = NULL;
        QemuBinaryIdentity other;

        g_assert_cmpint(parse(bytes, &identity, "kvm-0", &again), ==, -ESTALE);
        other = identity, other.device++;
        g_assert_cmpint(parse(bytes, &other, "tcg", &again), ==, -ESTALE);
        other = identity, other.inode--;
        g_assert_cmpint(parse(bytes, &other, "tcg", &again), ==, -ESTALE);
        other = identity, other.size++;
        g_assert_cmpint(parse(bytes, &other, "tcg", &again), ==, -ESTALE);
        other = identity, other.mtime++;
        g_assert_cmpint(parse(bytes, &other, "tcg", &again), ==, -ESTALE);
        other = identity, other.ctime++;
        g_assert_cmpint(parse(bytes, &other, "tcg", &again), ==, -ESTALE);
        g_assert_null(again);
}

/* Wherever the file is cut off, and whatever single value in it is replaced: refused or read whole, never a
 * crash. */
static void test_damaged_file(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        g_autoptr(GBytes) bytes = qemu_capabilities_format(capabilities, &identity, "tcg");
        size_t size;
        const char *text = g_bytes_get_data(bytes, &size);

        for (size_t n = 0; n < size; n += 1 + n / 64) {
                QemuCapabilities *again = NULL;

                g_assert_cmpint(qemu_capabilities_parse(text, n, "/usr/bin/qemu-system-x86_64", &identity,
                                                        "tcg", &again),
                                <, 0);
                g_assert_null(again);
        }
}

/* Each row replaces something in a good file, which is then refused. */
static void test_hostile_file(void) {
        static const struct {
                const char *what;
                const char *old;
                const char *new;
                int r;
        } rows[] = {
                { "format of the future", "\"format\":1", "\"format\":2", -ESTALE },
                { "format as string", "\"format\":1", "\"format\":\"1\"", -ESTALE },
                { "no binary", "\"binary\":", "\"binari\":", -ESTALE },
                { "path of another", "\"path\":\"/usr", "\"path\":\"/home", -ESTALE },
                { "not JSON at the end", "}}", "}]", -EBADMSG },
                { "version too old", "\"version\":7002022", "\"version\":6002022", -EBADMSG },
                { "version negative", "\"version\":7002022", "\"version\":-1", -EBADMSG },
                { "version huge", "\"version\":7002022", "\"version\":99999999999999999999", -EBADMSG },
                { "set missing", "\"netdev\":[", "\"netdew\":[", -EBADMSG },
                { "set of numbers", "\"netdev\":[", "\"netdev\":[1,", -EBADMSG },
                { "set no array", "\"tpm-model\":[", "\"tpm-model\":{},\"x\":[", -EBADMSG },
                { "unknown feature", "\"screendump-png\"", "\"screendump-gif\"", -EBADMSG },
                { "negative CPUs", "\"cpu-max\":288", "\"cpu-max\":-288", -EBADMSG },
                { "machine without a name", "{\"name\":\"pc-q35-7.2\"", "{\"nam\":\"pc-q35-7.2\"", -EBADMSG },
                { "features out of order", "\"features\":[\"3dnow\",\"3dnowext\"",
                  "\"features\":[\"3dnowext\",\"3dnow\"", -EBADMSG },
                { "features missing", "\"features\":[\"3dnow\"", "\"feature\":[\"3dnow\"", -EBADMSG },
                { "set of features too long", "\",\"host-vendor\"", "0\",\"host-vendor\"", -EBADMSG },
                { "set of features not hexadecimal", "\"usable\":2,\"unavailable\":[",
                  "\"usable\":2,\"features\":\"x\",\"unavailable\":[", -EBADMSG },
                { "usable out of range", "\"usable\":2", "\"usable\":3", -EBADMSG },
                { "usable negative", "\"usable\":2", "\"usable\":-2", -EBADMSG },
                { "architecture missing", "\"arch\":\"x86_64\"", "\"arch\":null", -EBADMSG },
                { "NUL in a name", "\"arch\":\"x86_64\"", "\"arch\":\"x86\\u000064\"", -EBADMSG },
        };
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        g_autoptr(GBytes) bytes = qemu_capabilities_format(capabilities, &identity, "tcg");
        size_t size;
        const char *text = g_bytes_get_data(bytes, &size);

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GString) changed = g_string_new_len(text, (gssize) size);
                QemuCapabilities *again = NULL;
                int r;

                if (g_string_replace(changed, rows[i].old, rows[i].new, 1) != 1)
                        g_error("row '%s' finds nothing to replace", rows[i].what);
                r = qemu_capabilities_parse(changed->str, changed->len, "/usr/bin/qemu-system-x86_64",
                                            &identity, "tcg", &again);
                if (r != rows[i].r || again)
                        g_error("row '%s': %d", rows[i].what, r);
        }
}

/* The host's key must not depend on what changes by itself. */
static void test_host_key(void) {
        g_autofree char *a = qemu_host_key(/* kvm= */ true), *b = qemu_host_key(/* kvm= */ true);
        g_autofree char *c = qemu_host_key(/* kvm= */ false);

        g_assert_cmpstr(a, ==, b);
        g_assert_cmpstr(c, ==, "tcg");
        g_assert_true(g_str_has_prefix(a, "kvm-"));
        g_assert_false(qemu_host_has_kvm(/* no_kvm= */ true));
        g_assert_true(g_setenv("VIRTBUS_KVM", "no", TRUE));
        g_assert_false(qemu_host_has_kvm(/* no_kvm= */ false));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qemu/capabilities/tables", test_tables);
        g_test_add_func("/qemu/capabilities/facts", test_facts);
        g_test_add_func("/qemu/capabilities/wrong-answers", test_wrong_answers);
        g_test_add_func("/qemu/capabilities/too-much", test_too_much);
        g_test_add_func("/qemu/capabilities/file", test_file);
        g_test_add_func("/qemu/capabilities/file-of-another", test_file_of_another);
        g_test_add_func("/qemu/capabilities/damaged-file", test_damaged_file);
        g_test_add_func("/qemu/capabilities/hostile-file", test_hostile_file);
        g_test_add_func("/qemu/capabilities/host-key", test_host_key);
        return g_test_run();
}
