/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/cpu.h"

#include <assert.h>
#include <string.h>

#include "base/compare.h"
#include "qemu/cpu-private.h"

size_t qemu_cpu_set_words(const QemuCpuTable *table) {
        return (table->names->len + QEMU_CPU_WORD_BITS - 1) / QEMU_CPU_WORD_BITS;
}

bool qemu_cpu_set_has(QemuCpuFeatureSet set, guint feature) {
        return set.words[feature / QEMU_CPU_WORD_BITS] >> (feature % QEMU_CPU_WORD_BITS) & 1;
}

/* In how many features two sets differ. */
static unsigned set_distance(const QemuCpuTable *table, QemuCpuFeatureSet a, QemuCpuFeatureSet b) {
        unsigned distance = 0;

        for (size_t i = 0; i < qemu_cpu_set_words(table); i++)
                distance += (unsigned) __builtin_popcountll(a.words[i] ^ b.words[i]);
        return distance;
}

QemuCpuTable *qemu_cpu_table_new(void) {
        QemuCpuTable *table = g_new0(QemuCpuTable, 1);

        table->strings = g_string_chunk_new(2048);
        table->definitions =
                g_array_new(/* zero_terminated= */ FALSE, /* clear= */ TRUE, sizeof(QemuCpuDefinition));
        table->features =
                g_array_new(/* zero_terminated= */ FALSE, /* clear= */ TRUE, sizeof(QemuCpuFeatureSet));
        table->names = g_ptr_array_new();
        table->host_features = g_ptr_array_new();
        table->model_required = g_ptr_array_new();
        table->model_disabled = g_ptr_array_new();
        table->base_required = g_ptr_array_new();
        table->base_disabled = g_ptr_array_new();
        return table;
}

QemuCpuTable *qemu_cpu_table_free(QemuCpuTable *table) {
        if (!table)
                return NULL;

        for (guint i = 0; i < table->definitions->len; i++) {
                g_free((gpointer) g_array_index(table->definitions, QemuCpuDefinition, i).unavailable);
                g_free(g_array_index(table->features, QemuCpuFeatureSet, i).words);
        }
        g_array_unref(table->definitions);
        g_array_unref(table->features);
        g_free(table->host.words);
        g_ptr_array_unref(table->names);
        g_ptr_array_unref(table->host_features);
        g_ptr_array_unref(table->model_required);
        g_ptr_array_unref(table->model_disabled);
        g_ptr_array_unref(table->base_required);
        g_ptr_array_unref(table->base_disabled);
        g_string_chunk_free(table->strings);
        g_free(table);
        return NULL;
}

const QemuCpuDefinition *qemu_cpu_table_definitions(const QemuCpuTable *table, size_t *ret_n) {
        *ret_n = table->definitions->len;
        return (const QemuCpuDefinition *) table->definitions->data;
}

int qemu_cpu_table_find_index(const QemuCpuTable *table, const char *name) {
        for (guint i = 0; i < table->definitions->len; i++)
                if (g_str_equal(g_array_index(table->definitions, QemuCpuDefinition, i).name, name))
                        return (int) i;
        return -ENOENT;
}

const QemuCpuDefinition *qemu_cpu_table_find(const QemuCpuTable *table, const char *name) {
        int i = qemu_cpu_table_find_index(table, name);

        return i >= 0 ? &g_array_index(table->definitions, QemuCpuDefinition, i) : NULL;
}

const QemuCpuModel *qemu_cpu_table_host_model(const QemuCpuTable *table) {
        return table->has_host_model ? &table->host_model : NULL;
}

const QemuCpuModel *qemu_cpu_table_host_base(const QemuCpuTable *table) {
        return table->has_host_base ? &table->host_base : NULL;
}

const char *const *qemu_cpu_table_host_features(const QemuCpuTable *table) {
        return (const char *const *) table->host_features->pdata;
}

/* --- The closest definition --- */

/* "EPYC" for "EPYC-v2", "EPYC" for "EPYC". ret_version is 0 where there is none. */
static size_t family_length(const char *name, unsigned *ret_version) {
        const char *dash = strrchr(name, '-');
        guint64 version = 0;

        if (dash && dash[1] == 'v' && g_ascii_string_to_unsigned(dash + 2, 10, 1, 9999, &version, NULL)) {
                *ret_version = (unsigned) version;
                return (size_t) (dash - name);
        }
        *ret_version = 0;
        return strlen(name);
}

static bool same_family(const char *a, const char *b) {
        unsigned version;
        size_t n = family_length(a, &version);

        return n == family_length(b, &version) && strncmp(a, b, n) == 0;
}

/* Names that stand for another definition, and those that QEMU gives out no guarantee for ("max", "host",
 * "base"), are not candidates. */
static bool is_candidate(const QemuCpuDefinition *definition) {
        return !definition->alias_of && definition->migration_safe && !definition->deprecated;
}

static bool set_is_within(const QemuCpuTable *table, QemuCpuFeatureSet small, QemuCpuFeatureSet large) {
        for (size_t i = 0; i < qemu_cpu_set_words(table); i++)
                if (small.words[i] & ~large.words[i])
                        return false;
        return true;
}

static bool is_lowest_version(const QemuCpuTable *table, const QemuCpuDefinition *definition) {
        unsigned version, other_version;

        (void) family_length(definition->name, &version);
        for (guint i = 0; i < table->definitions->len; i++) {
                const QemuCpuDefinition *other = &g_array_index(table->definitions, QemuCpuDefinition, i);

                if (!is_candidate(other) || !same_family(other->name, definition->name))
                        continue;
                (void) family_length(other->name, &other_version);
                if (other_version < version)
                        return false;
        }
        return true;
}

/* An alias without a version, by which libvirt knows it, too. */
static bool is_well_known(const QemuCpuTable *table, const QemuCpuDefinition *definition) {
        return qemu_cpu_table_well_known_name(table, definition->name) != definition->name;
}

/* Between equally close ones the higher version wins, as it is the one that lacks fewer fixes. */
static bool is_closer(const QemuCpuDefinition *definition, unsigned distance, const QemuCpuDefinition *best,
                      unsigned best_distance) {
        unsigned version, best_version;

        if (!best || distance != best_distance)
                return !best || distance < best_distance;
        (void) family_length(definition->name, &version);
        (void) family_length(best->name, &best_version);
        return version > best_version;
}

const QemuCpuDefinition *qemu_cpu_table_find_closest(const QemuCpuTable *table, const QemuCpuSearch *search) {
        const QemuCpuDefinition *best = NULL;
        unsigned best_distance = 0;

        for (guint i = 0; search->features.words && i < table->definitions->len; i++) {
                const QemuCpuDefinition *definition =
                        &g_array_index(table->definitions, QemuCpuDefinition, i);
                QemuCpuFeatureSet features = g_array_index(table->features, QemuCpuFeatureSet, i);
                unsigned distance;

                if (!features.words || !is_candidate(definition) ||
                    (search->vendor && g_strcmp0(definition->vendor, search->vendor) != 0) ||
                    (search->within && !set_is_within(table, features, search->features)) ||
                    (search->well_known && !is_well_known(table, definition)) ||
                    (search->first && !is_lowest_version(table, definition)))
                        continue;
                distance = set_distance(table, features, search->features);
                if (is_closer(definition, distance, best, best_distance)) {
                        best = definition;
                        best_distance = distance;
                }
        }
        return best;
}

/* To the host. It has the host's vendor: much of a guest depends on that. */
static const QemuCpuDefinition *find_closest(const QemuCpuTable *table, bool within) {
        return qemu_cpu_table_find_closest(table, &(QemuCpuSearch){
                                                          .features = table->host,
                                                          .vendor = table->host_vendor,
                                                          .within = within,
                                                  });
}

GPtrArray *qemu_cpu_table_unknown(const QemuCpuTable *table) {
        GPtrArray *names = g_ptr_array_new();

        for (guint i = 0; table->host.words && i < table->definitions->len; i++) {
                const QemuCpuDefinition *definition =
                        &g_array_index(table->definitions, QemuCpuDefinition, i);

                if (!definition->alias_of && definition->migration_safe &&
                    !g_array_index(table->features, QemuCpuFeatureSet, i).words)
                        g_ptr_array_add(names, (gpointer) definition->name);
        }
        return names;
}

QemuCpuFeatureSet qemu_cpu_table_features(const QemuCpuTable *table, const QemuCpuDefinition *definition) {
        int i = qemu_cpu_table_find_index(table, definition->alias_of ?: definition->name);

        return i >= 0 ? g_array_index(table->features, QemuCpuFeatureSet, i) : (QemuCpuFeatureSet){ NULL };
}

int qemu_cpu_table_find_feature(const QemuCpuTable *table, const char *name) {
        void **found = bsearch(&name, table->names->pdata, table->names->len, sizeof(void *), vb_compare_texts);

        return found ? (int) (found - table->names->pdata) : -ENOENT;
}

GPtrArray *qemu_cpu_table_next_expansions(const QemuCpuTable *table) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        const QemuCpuDefinition *closest = find_closest(table, /* within= */ false);

        if (!table->host.words)
                return g_steal_pointer(&names);
        for (guint i = 0; i < table->definitions->len; i++) {
                const QemuCpuDefinition *definition =
                        &g_array_index(table->definitions, QemuCpuDefinition, i);

                if (g_array_index(table->features, QemuCpuFeatureSet, i).words || !is_candidate(definition))
                        continue;
                if (closest ? same_family(definition->name, closest->name)
                            : is_lowest_version(table, definition))
                        g_ptr_array_add(names, (gpointer) definition->name);
        }
        return g_steal_pointer(&names);
}

/* What must be added to and taken from the definition to be the host. Returns whether there is a definition.
 */
static bool seal_model(const QemuCpuTable *table, const QemuCpuDefinition *definition, GPtrArray *required,
                       GPtrArray *disabled, QemuCpuModel *ret) {
        QemuCpuFeatureSet features;

        if (definition) {
                features = g_array_index(table->features, QemuCpuFeatureSet,
                                         definition - (const QemuCpuDefinition *) table->definitions->data);
                for (guint i = 0; i < table->names->len; i++) {
                        if (qemu_cpu_set_has(table->host, i) && !qemu_cpu_set_has(features, i))
                                g_ptr_array_add(required, table->names->pdata[i]);
                        if (!qemu_cpu_set_has(table->host, i) && qemu_cpu_set_has(features, i))
                                g_ptr_array_add(disabled, table->names->pdata[i]);
                }
        }
        g_ptr_array_add(required, NULL);
        g_ptr_array_add(disabled, NULL);
        *ret = (QemuCpuModel){
                .name = definition ? definition->name : NULL,
                .vendor = definition ? definition->vendor : NULL,
                .required = (const char *const *) required->pdata,
                .disabled = (const char *const *) disabled->pdata,
        };
        return definition != NULL;
}

void qemu_cpu_table_seal(QemuCpuTable *table) {
        for (guint i = 0; table->host.words && i < table->names->len; i++)
                if (qemu_cpu_set_has(table->host, i))
                        g_ptr_array_add(table->host_features, table->names->pdata[i]);
        g_ptr_array_add(table->host_features, NULL);
        table->has_host_model = seal_model(table, find_closest(table, /* within= */ false),
                                           table->model_required, table->model_disabled, &table->host_model);
        table->has_host_base = seal_model(table, find_closest(table, /* within= */ true),
                                          table->base_required, table->base_disabled, &table->host_base);
}

/* --- Names --- */

const char *qemu_cpu_table_well_known_name(const QemuCpuTable *table, const char *name) {
        for (guint i = 0; i < table->definitions->len; i++) {
                const QemuCpuDefinition *definition =
                        &g_array_index(table->definitions, QemuCpuDefinition, i);
                unsigned version;

                (void) family_length(definition->name, &version);
                if (version == 0 && g_strcmp0(definition->alias_of, name) == 0)
                        return definition->name;
        }
        return name;
}

const char *qemu_cpu_table_vendor(const QemuCpuTable *table, const QemuCpuDefinition *definition) {
        const char *name = definition->alias_of ?: definition->name;

        for (guint i = 0; !definition->vendor && i < table->definitions->len; i++) {
                const QemuCpuDefinition *other = &g_array_index(table->definitions, QemuCpuDefinition, i);

                if (other->vendor && same_family(other->name, name))
                        return other->vendor;
        }
        return definition->vendor;
}

const char *qemu_cpu_vendor_to_xml(const char *vendor) {
        static const struct {
                const char *qemu;
                const char *xml;
        } vendors[] = {
                { "AuthenticAMD", "AMD" },
                { "GenuineIntel", "Intel" },
                { "HygonGenuine", "Hygon" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(vendors); i++)
                if (g_strcmp0(vendors[i].qemu, vendor) == 0)
                        return vendors[i].xml;
        return "unknown";
}

/* Where the spelling in libvirt's definitions differs from QEMU's. */
static const struct {
        const char *qemu;
        const char *xml;
} feature_names[] = {
        { "cmp-legacy", "cmp_legacy" },     { "ds-cpl", "ds_cpl" },         { "fxsr-opt", "fxsr_opt" },
        { "lahf-lm", "lahf_lm" },           { "nodeid-msr", "nodeid_msr" }, { "pclmulqdq", "pclmuldq" },
        { "perfctr-core", "perfctr_core" }, { "perfctr-nb", "perfctr_nb" }, { "tsc-adjust", "tsc_adjust" },
};

const char *qemu_cpu_feature_to_xml(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(feature_names); i++)
                if (g_str_equal(feature_names[i].qemu, name))
                        return feature_names[i].xml;
        return name;
}

const char *qemu_cpu_feature_from_xml(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(feature_names); i++)
                if (g_str_equal(feature_names[i].xml, name))
                        return feature_names[i].qemu;
        return name;
}
