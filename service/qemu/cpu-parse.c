/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A table of CPUs from what QEMU answers, and to the capabilities' file and back. */

#include <assert.h>
#include <string.h>

#include "base/compare.h"
#include "qemu/capabilities-private.h"
#include "qemu/cpu-private.h"
#include "qemu/json.h"

/* Interned, or NULL if it is NULL or no name. */
static const char *intern(QemuCpuTable *table, const char *name) {
        return name && *name && strlen(name) <= QEMU_NAME_MAX
                       ? g_string_chunk_insert_const(table->strings, name)
                       : NULL;
}

/* An array of strings, interned. NULL if it is none. */
static const char **parse_words(QemuCpuTable *table, VbJson *array) {
        g_autofree const char **words = NULL;
        size_t n = array ? json_object_array_length(array) : 0;

        if (n > QEMU_CPU_FEATURES_MAX)
                return NULL;
        words = g_new0(const char *, n + 1);
        for (size_t i = 0; i < n; i++) {
                words[i] = intern(table, json_object_get_string(json_object_array_get_idx(array, i)));
                if (!words[i])
                        return NULL;
        }
        return g_steal_pointer(&words);
}

static int add_definition(QemuCpuTable *table, QemuCpuDefinition *definition, VbJson *unavailable) {
        if (table->definitions->len >= QEMU_CPU_DEFINITIONS_MAX || !definition->name)
                return -EBADMSG;

        definition->unavailable = parse_words(table, unavailable);
        if (!definition->unavailable)
                return -EBADMSG;
        g_array_append_val(table->definitions, *definition);
        g_array_set_size(table->features, table->definitions->len);
        return 0;
}

int qemu_cpu_table_parse_definitions(QemuCpuTable *table, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                VbJson *json = json_object_array_get_idx(result, i);
                VbJson *unavailable = qemu_json_array(json, "unavailable-features");
                QemuCpuDefinition definition = {
                        .name = intern(table, qemu_json_string(json, "name")),
                        .alias_of = intern(table, qemu_json_string(json, "alias-of")),
                        .migration_safe = qemu_json_bool(json, "migration-safe"),
                        .deprecated = qemu_json_bool(json, "deprecated"),
                };
                int r;

                if (unavailable)
                        definition.usable = json_object_array_length(unavailable) == 0 ? QEMU_CPU_USABLE_YES
                                                                                       : QEMU_CPU_USABLE_NO;
                r = add_definition(table, &definition, unavailable);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The features there are: whatever can be on or off. */
static int parse_feature_names(QemuCpuTable *table, VbJson *properties) {
        json_object_object_foreach(properties, key, value) {
                const char *name;

                if (!json_object_is_type(value, json_type_boolean))
                        continue;
                name = intern(table, key);
                if (!name || table->names->len >= QEMU_CPU_FEATURES_MAX)
                        return -EBADMSG;
                g_ptr_array_add(table->names, (gpointer) name);
        }
        g_ptr_array_sort(table->names, vb_compare_texts);
        return 0;
}

static uint64_t *parse_features(const QemuCpuTable *table, VbJson *properties) {
        uint64_t *words = g_new0(uint64_t, qemu_cpu_set_words(table) + 1);

        for (guint i = 0; i < table->names->len; i++)
                if (qemu_json_bool(properties, table->names->pdata[i]))
                        words[i / QEMU_CPU_WORD_BITS] |= UINT64_C(1) << (i % QEMU_CPU_WORD_BITS);
        return words;
}

int qemu_cpu_table_parse_expansion(QemuCpuTable *table, const char *model, VbJson *result) {
        VbJson *properties = qemu_json_object(qemu_json_object(result, "model"), "props");
        const char *vendor = intern(table, qemu_json_string(properties, "vendor"));
        int i, r;

        if (!properties)
                return -EBADMSG;
        if (!model) {
                if (table->host.words)
                        return -EBADMSG;
                r = parse_feature_names(table, properties);
                if (r < 0)
                        return r;
                table->host.words = parse_features(table, properties);
                table->host_vendor = vendor;
                return 0;
        }

        i = qemu_cpu_table_find_index(table, model);
        if (i < 0)
                return i;
        g_free(g_array_index(table->features, QemuCpuFeatureSet, i).words);
        g_array_index(table->features, QemuCpuFeatureSet, i).words = parse_features(table, properties);
        g_array_index(table->definitions, QemuCpuDefinition, i).vendor = vendor;
        return 0;
}

/* --- The file: sets of features as hexadecimal words, as they are many --- */

static VbJson *format_words(const char *const *words) {
        VbJson *array = json_object_new_array();

        for (; *words; words++)
                (void) json_object_array_add(array, json_object_new_string(*words));
        return array;
}

static VbJson *format_set(const QemuCpuTable *table, QemuCpuFeatureSet set) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < qemu_cpu_set_words(table); i++)
                g_string_append_printf(text, "%016" G_GINT64_MODIFIER "x", set.words[i]);
        return json_object_new_string(text->str);
}

static int parse_set(const QemuCpuTable *table, const char *text, QemuCpuFeatureSet *ret) {
        g_autofree uint64_t *words = NULL;
        size_t n = qemu_cpu_set_words(table);

        if (strlen(text) != n * 16 || strspn(text, "0123456789abcdef") != n * 16)
                return -EBADMSG;
        words = g_new0(uint64_t, n + 1);
        for (size_t i = 0; i < n; i++) {
                char word[17] = { 0 };

                memcpy(word, text + i * 16, 16);
                words[i] = g_ascii_strtoull(word, NULL, 16);
        }
        /* Bits beyond the last name would count in distances. */
        if (table->names->len % QEMU_CPU_WORD_BITS != 0 &&
            words[n - 1] >> (table->names->len % QEMU_CPU_WORD_BITS) != 0)
                return -EBADMSG;
        ret->words = g_steal_pointer(&words);
        return 0;
}

static void add_string(VbJson *json, const char *key, const char *value) {
        if (value)
                (void) json_object_object_add(json, key, json_object_new_string(value));
}

static void add_true(VbJson *json, const char *key, bool value) {
        if (value)
                (void) json_object_object_add(json, key, json_object_new_boolean(value));
}

VbJson *qemu_cpu_table_format(const QemuCpuTable *table) {
        VbJson *json = json_object_new_object();
        VbJson *definitions = json_object_new_array();

        if (table->host.words) {
                VbJson *names = json_object_new_array();

                for (guint i = 0; i < table->names->len; i++)
                        (void) json_object_array_add(names, json_object_new_string(table->names->pdata[i]));
                (void) json_object_object_add(json, "features", names);
                (void) json_object_object_add(json, "host", format_set(table, table->host));
                add_string(json, "host-vendor", table->host_vendor);
        }
        for (guint i = 0; i < table->definitions->len; i++) {
                const QemuCpuDefinition *definition =
                        &g_array_index(table->definitions, QemuCpuDefinition, i);
                QemuCpuFeatureSet features = g_array_index(table->features, QemuCpuFeatureSet, i);
                VbJson *row = json_object_new_object();

                add_string(row, "name", definition->name);
                add_string(row, "alias-of", definition->alias_of);
                add_string(row, "vendor", definition->vendor);
                add_true(row, "migration-safe", definition->migration_safe);
                add_true(row, "deprecated", definition->deprecated);
                (void) json_object_object_add(row, "usable", json_object_new_int(definition->usable));
                if (definition->unavailable[0])
                        (void) json_object_object_add(row, "unavailable",
                                                      format_words(definition->unavailable));
                if (features.words)
                        (void) json_object_object_add(row, "features", format_set(table, features));
                (void) json_object_array_add(definitions, row);
        }
        (void) json_object_object_add(json, "definitions", definitions);
        return json;
}

static int parse_row(QemuCpuTable *table, VbJson *row) {
        const char *features = qemu_json_string(row, "features");
        int64_t usable = qemu_json_number(row, "usable", -1);
        QemuCpuDefinition definition = {
                .name = intern(table, qemu_json_string(row, "name")),
                .alias_of = intern(table, qemu_json_string(row, "alias-of")),
                .vendor = intern(table, qemu_json_string(row, "vendor")),
                .migration_safe = qemu_json_bool(row, "migration-safe"),
                .deprecated = qemu_json_bool(row, "deprecated"),
        };
        int r;

        if (usable < 0 || usable >= _QEMU_CPU_USABLE_MAX)
                return -EBADMSG;
        definition.usable = (QemuCpuUsable) usable;
        r = add_definition(table, &definition, qemu_json_array(row, "unavailable"));
        if (r < 0 || !features)
                return r;
        return parse_set(table, features,
                         &g_array_index(table->features, QemuCpuFeatureSet, table->features->len - 1));
}

int qemu_cpu_table_parse(VbJson *json, QemuCpuTable **ret) {
        g_autoptr(QemuCpuTable) table = qemu_cpu_table_new();
        VbJson *definitions = qemu_json_array(json, "definitions");
        VbJson *names = qemu_json_array(json, "features");
        const char *host = qemu_json_string(json, "host");
        int r;

        if (!definitions || !names != !host)
                return -EBADMSG;
        if (names) {
                g_autofree const char **words = parse_words(table, names);

                if (!words)
                        return -EBADMSG;
                for (size_t i = 0; words[i]; i++) {
                        /* Sorted, each once: as it was written. */
                        if (i > 0 && strcmp(words[i - 1], words[i]) >= 0)
                                return -EBADMSG;
                        g_ptr_array_add(table->names, (gpointer) words[i]);
                }
                r = parse_set(table, host, &table->host);
                if (r < 0)
                        return r;
                table->host_vendor = intern(table, qemu_json_string(json, "host-vendor"));
        }
        for (size_t i = 0; i < json_object_array_length(definitions); i++) {
                r = parse_row(table, json_object_array_get_idx(definitions, i));
                if (r < 0)
                        return r;
        }
        *ret = g_steal_pointer(&table);
        return 0;
}
