/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Capabilities from recorded answers (tests/unit/record-qemu.py), for tests that shall not need the binary.
 */

#include <glib.h>

#include "qemu/capabilities-private.h"
#include "qemu/json.h"

static inline VbJson *qemu_fixture_load(void) {
        const char *path = g_getenv("VIRTBUS_TEST_FIXTURES");
        g_autofree char *file = g_build_filename(path, "qemu-7.2-x86_64.json", NULL);
        VbJson *json = json_object_from_file(file);

        g_assert_nonnull(json);
        return json;
}

static inline QemuCpuTable *qemu_fixture_cpus(VbJson *fixture) {
        QemuCpuTable *table = qemu_cpu_table_new();
        VbJson *expansions = qemu_json_object(fixture, "expansions");
        g_autoptr(GPtrArray) models = NULL;

        g_assert_cmpint(
                qemu_cpu_table_parse_definitions(table, qemu_json_array(fixture, "query-cpu-definitions")),
                ==, 0);
        g_assert_cmpint(qemu_cpu_table_parse_expansion(table, NULL, qemu_json_object(expansions, "max")), ==,
                        0);
        while ((models = qemu_cpu_table_next_expansions(table))->len > 0) {
                for (guint i = 0; i < models->len; i++)
                        g_assert_cmpint(qemu_cpu_table_parse_expansion(
                                                table, models->pdata[i],
                                                qemu_json_object(expansions, models->pdata[i])),
                                        ==, 0);
                g_ptr_array_unref(models);
        }
        return table;
}

static inline QemuCapabilities *qemu_fixture_capabilities(void) {
        QemuCapabilities *capabilities = qemu_capabilities_new("/usr/bin/qemu-system-x86_64");
        g_autoptr(VbJson) fixture = qemu_fixture_load();

        capabilities->version = QEMU_VERSION(7, 2, 22);
        capabilities->package = g_strdup("Debian 1:7.2+dfsg-7");
        g_assert_cmpint(
                qemu_capabilities_parse_target(capabilities, qemu_json_object(fixture, "query-target")), ==,
                0);
        g_assert_cmpint(
                qemu_capabilities_parse_machines(capabilities, qemu_json_array(fixture, "query-machines")),
                ==, 0);
        g_assert_cmpint(
                qemu_capabilities_parse_types(capabilities, qemu_json_array(fixture, "qom-list-types")), ==,
                0);
        g_assert_cmpint(qemu_capabilities_parse_options(
                                capabilities, qemu_json_array(fixture, "query-command-line-options")),
                        ==, 0);
        g_assert_cmpint(
                qemu_capabilities_parse_schema(capabilities, qemu_json_array(fixture, "query-qmp-schema")),
                ==, 0);
        g_assert_cmpint(qemu_capabilities_parse_words(capabilities, QEMU_SET_TPM_BACKEND,
                                                      qemu_json_array(fixture, "query-tpm-types")),
                        ==, 0);
        g_assert_cmpint(qemu_capabilities_parse_words(capabilities, QEMU_SET_TPM_MODEL,
                                                      qemu_json_array(fixture, "query-tpm-models")),
                        ==, 0);
        g_assert_cmpint(qemu_capabilities_parse_properties(
                                capabilities, "virtio-blk-pci",
                                qemu_json_array(qemu_json_object(fixture, "properties"), "virtio-blk-pci")),
                        ==, 0);
        capabilities->cpus[QEMU_ACCEL_TCG] = qemu_fixture_cpus(fixture);
        g_assert_cmpint(qemu_capabilities_seal(capabilities), ==, 0);
        return capabilities;
}
