/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of CPUs, from recorded answers: which definition is the closest, and what is different about it.
 */

#include <string.h>

#include "qemu-fixture.h"

static QemuCpuTable *table_from_fixture(void) {
        g_autoptr(VbJson) fixture = qemu_fixture_load();
        QemuCpuTable *table = qemu_fixture_cpus(fixture);

        qemu_cpu_table_seal(table);
        return table;
}

static void test_definitions(void) {
        g_autoptr(QemuCpuTable) table = table_from_fixture();
        const QemuCpuDefinition *definition;
        size_t n;

        (void) qemu_cpu_table_definitions(table, &n);
        g_assert_cmpuint(n, >, 20);

        definition = qemu_cpu_table_find(table, "Nehalem-v1");
        g_assert_nonnull(definition);
        g_assert_cmpint(definition->usable, ==, QEMU_CPU_USABLE_YES);
        g_assert_null(definition->unavailable[0]);
        g_assert_cmpstr(definition->vendor, ==, "GenuineIntel");
        g_assert_null(definition->alias_of);
        g_assert_true(definition->migration_safe);

        definition = qemu_cpu_table_find(table, "EPYC");
        g_assert_cmpstr(definition->alias_of, ==, "EPYC-v1");
        g_assert_cmpint(definition->usable, ==, QEMU_CPU_USABLE_NO);
        g_assert_true(g_strv_contains(definition->unavailable, "sha-ni"));

        g_assert_false(qemu_cpu_table_find(table, "max")->migration_safe);
        g_assert_null(qemu_cpu_table_find(table, "Pentium-CXX"));
}

/* TCG's "max" calls itself an AMD; EPYC differs from it in 24 features, EPYC-IBPB (v2) in 25. */
static void test_host_model(void) {
        g_autoptr(QemuCpuTable) table = table_from_fixture();
        const QemuCpuModel *model = qemu_cpu_table_host_model(table);

        g_assert_nonnull(model);
        g_assert_cmpstr(model->name, ==, "EPYC-v1");
        g_assert_cmpstr(model->vendor, ==, "AuthenticAMD");
        g_assert_true(g_strv_contains(model->required, "la57"));
        g_assert_false(g_strv_contains(model->required, "sha-ni"));
        g_assert_true(g_strv_contains(model->disabled, "sha-ni"));
        g_assert_false(g_strv_contains(model->disabled, "la57"));
        g_assert_cmpuint(g_strv_length((char **) model->required), ==, 15);
        g_assert_cmpuint(g_strv_length((char **) model->disabled), ==, 9);
        g_assert_true(g_strv_contains(qemu_cpu_table_host_features(table), "sse2"));
        g_assert_false(g_strv_contains(qemu_cpu_table_host_features(table), "pcid"));
}

/* A host that is exactly a definition is that definition, without any differences, whichever it is. */
static void test_host_is_definition(void) {
        static const struct {
                const char *host;
                const char *model;
        } rows[] = {
                { "Haswell-v1", "Haswell-v1" }, { "Haswell-v3", "Haswell-v3" },
                { "Haswell-v4", "Haswell-v4" }, { "Nehalem-v2", "Nehalem-v2" },
                { "EPYC-v3", "EPYC-v3" },       { "486-v1", "486-v1" },
        };
        g_autoptr(VbJson) fixture = qemu_fixture_load();
        VbJson *expansions = qemu_json_object(fixture, "expansions");

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(QemuCpuTable) table = NULL;
                VbJson *host = NULL;

                g_assert_cmpint(
                        json_object_deep_copy(qemu_json_object(expansions, rows[i].host), &host, NULL), ==,
                        0);
                (void) json_object_object_add(expansions, "max", host);
                table = qemu_fixture_cpus(fixture);
                qemu_cpu_table_seal(table);
                g_assert_cmpstr(qemu_cpu_table_host_model(table)->name, ==, rows[i].model);
                g_assert_null(qemu_cpu_table_host_model(table)->required[0]);
                g_assert_null(qemu_cpu_table_host_model(table)->disabled[0]);
        }
}

/* Only the families are asked for first, and then one family's versions; the whole table would take too long.
 */
static void test_few_expansions(void) {
        g_autoptr(VbJson) fixture = qemu_fixture_load();
        VbJson *expansions = qemu_json_object(fixture, "expansions");
        g_autoptr(QemuCpuTable) table = qemu_cpu_table_new();
        g_autoptr(GPtrArray) none = NULL, families = NULL, versions = NULL;

        g_assert_cmpint(
                qemu_cpu_table_parse_definitions(table, qemu_json_array(fixture, "query-cpu-definitions")),
                ==, 0);
        none = qemu_cpu_table_next_expansions(table);
        g_assert_cmpuint(none->len, ==, 0);

        g_assert_cmpint(qemu_cpu_table_parse_expansion(table, NULL, qemu_json_object(expansions, "max")), ==,
                        0);
        families = qemu_cpu_table_next_expansions(table);
        g_assert_true(g_ptr_array_find_with_equal_func(families, "EPYC-v1", g_str_equal, NULL));
        g_assert_false(g_ptr_array_find_with_equal_func(families, "EPYC-v2", g_str_equal, NULL));
        g_assert_false(g_ptr_array_find_with_equal_func(families, "max", g_str_equal, NULL));
        g_assert_false(g_ptr_array_find_with_equal_func(families, "EPYC", g_str_equal, NULL));
        for (guint i = 0; i < families->len; i++)
                g_assert_cmpint(
                        qemu_cpu_table_parse_expansion(table, families->pdata[i],
                                                       qemu_json_object(expansions, families->pdata[i])),
                        ==, 0);
        versions = qemu_cpu_table_next_expansions(table);
        g_assert_cmpuint(versions->len, ==, 2);
        g_assert_cmpint(
                qemu_cpu_table_parse_expansion(table, "no such model", qemu_json_object(expansions, "max")),
                ==, -ENOENT);
}

/* An architecture whose models are not made of named features: definitions, and no host model. */
static void test_without_features(void) {
        g_autoptr(VbJson) json =
                json_tokener_parse("[{\"name\": \"cortex-a57\", \"typename\": \"cortex-a57-arm-cpu\"}]");
        g_autoptr(QemuCpuTable) table = qemu_cpu_table_new(), again = NULL;
        g_autoptr(VbJson) file = NULL;
        size_t n;

        g_assert_cmpint(qemu_cpu_table_parse_definitions(table, json), ==, 0);
        qemu_cpu_table_seal(table);
        g_assert_null(qemu_cpu_table_host_model(table));
        g_assert_null(qemu_cpu_table_host_features(table)[0]);
        g_assert_cmpint(qemu_cpu_table_definitions(table, &n)->usable, ==, QEMU_CPU_USABLE_UNKNOWN);

        file = qemu_cpu_table_format(table);
        g_assert_cmpint(qemu_cpu_table_parse(file, &again), ==, 0);
        g_assert_nonnull(qemu_cpu_table_find(again, "cortex-a57"));
}

static void test_names(void) {
        g_assert_cmpstr(qemu_cpu_feature_to_xml("lahf-lm"), ==, "lahf_lm");
        g_assert_cmpstr(qemu_cpu_feature_from_xml("lahf_lm"), ==, "lahf-lm");
        g_assert_cmpstr(qemu_cpu_feature_from_xml("pclmuldq"), ==, "pclmulqdq");
        g_assert_cmpstr(qemu_cpu_feature_to_xml("sse4.1"), ==, "sse4.1");
        g_assert_cmpstr(qemu_cpu_feature_from_xml("nonsense"), ==, "nonsense");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qemu/cpu/definitions", test_definitions);
        g_test_add_func("/qemu/cpu/host-model", test_host_model);
        g_test_add_func("/qemu/cpu/host-is-definition", test_host_is_definition);
        g_test_add_func("/qemu/cpu/few-expansions", test_few_expansions);
        g_test_add_func("/qemu/cpu/without-features", test_without_features);
        g_test_add_func("/qemu/cpu/names", test_names);
        return g_test_run();
}
