/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/cpu-compare.h"

#include <string.h>

#include "base/error.h"
#include "qemu/capabilities-output.h"
#include "qemu/cpu-private.h"
#include "qemu/cpu-set.h"

/* --- Descriptions as sets --- */

/* What other hosts' capabilities have that no guest is given by name: QEMU sets or leaves it by itself. */
static bool is_no_choice(const char *feature) {
        static const char *const names[] = { "cmt", "mbm_local", "mbm_total", "osxsave", "ospke", NULL };

        return g_strv_contains(names, feature);
}

static int put_feature(const QemuCpuTable *table, const VbCpuFeature *wish, uint64_t *has, uint64_t *forbidden,
                       sd_bus_error *reterr) {
        int feature = qemu_cpu_table_find_feature(table, wish->name);

        if (is_no_choice(wish->name))
                return 0;
        if (feature < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "there is no CPU feature '%s'",
                                         qemu_cpu_feature_to_xml(wish->name));
        if (wish->policy == VB_CPU_POLICY_FORBID)
                qemu_cpu_words_put(forbidden, (unsigned) feature, true);
        if (wish->policy != VB_CPU_POLICY_OPTIONAL)
                qemu_cpu_words_put(has, (unsigned) feature,
                        wish->policy == VB_CPU_POLICY_REQUIRE || wish->policy == VB_CPU_POLICY_FORCE);
        return 0;
}

static int describe(const QemuCpuTable *table, const QemuCpuDescription *description, uint64_t **ret_has,
                    uint64_t **ret_forbidden, sd_bus_error *reterr) {
        const QemuCpuDefinition *definition = qemu_cpu_table_find(table, description->model);
        QemuCpuFeatureSet features = definition ? qemu_cpu_table_features(table, definition) : (QemuCpuFeatureSet){ NULL };
        g_autofree uint64_t *has = NULL, *forbidden = NULL;

        if (!features.words)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "CPU model '%s': the emulator has none of this name to compare with",
                                         description->model);
        has = qemu_cpu_set_copy(table, features.words);
        forbidden = qemu_cpu_set_copy(table, NULL);
        for (guint i = 0; i < table->names->len; i++)
                if (qemu_cpu_is_emulators_own(qemu_cpu_feature_name(table, i)) || qemu_cpu_is_detail(qemu_cpu_feature_name(table, i)))
                        qemu_cpu_words_put(has, i, false);
        for (guint i = 0; i < description->features->len; i++) {
                int r = put_feature(table, &g_array_index(description->features, VbCpuFeature, i), has, forbidden, reterr);

                if (r < 0)
                        return r;
        }
        *ret_has = g_steal_pointer(&has);
        *ret_forbidden = g_steal_pointer(&forbidden);
        return 0;
}

/* --- One with another --- */

int qemu_cpu_compare(const QemuCpuTable *table, const QemuCpuSide *side, const QemuCpuDescription *description,
                     QemuCpuRelation *ret, GPtrArray **ret_lacking, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) lacking = g_ptr_array_new();
        g_autofree uint64_t *has = NULL, *forbidden = NULL;
        bool more = false;
        int r;

        r = describe(table, description, &has, &forbidden, reterr);
        if (r < 0)
                return r;
        if (description->arch && !g_str_equal(description->arch, side->arch))
                g_ptr_array_add(lacking, (char *) "arch");
        if (description->vendor && !g_str_equal(description->vendor, qemu_cpu_vendor_to_xml(side->vendor)))
                g_ptr_array_add(lacking, (char *) "vendor");
        for (guint i = 0; i < table->names->len; i++) {
                const char *name = qemu_cpu_feature_name(table, i);

                if (!qemu_cpu_words_have(has, i) && (qemu_cpu_is_detail(name) || qemu_cpu_is_emulators_own(name)))
                        continue; /* beyond what processors have */
                if (qemu_cpu_words_have(has, i) != qemu_cpu_words_have(side->features, i)) {
                        if (qemu_cpu_words_have(has, i))
                                g_ptr_array_add(lacking, (char *) qemu_cpu_feature_to_xml(name));
                        else
                                more = true;
                }
                if (qemu_cpu_words_have(forbidden, i) && qemu_cpu_words_have(side->features, i))
                        g_ptr_array_add(lacking, (char *) qemu_cpu_feature_to_xml(name));
        }
        *ret = lacking->len > 0 || (more && description->strict) ? QEMU_CPU_INCOMPATIBLE :
               more                                              ? QEMU_CPU_SUPERSET :
                                                                   QEMU_CPU_IDENTICAL;
        g_ptr_array_add(lacking, NULL);
        *ret_lacking = g_steal_pointer(&lacking);
        return 0;
}

/* --- What several have in common --- */

/* The one vendor that is named; NULL if none is. */
static int common_vendor(QemuCpuDescription *const *descriptions, size_t n, const char **ret, sd_bus_error *reterr) {
        const char *vendor = NULL;

        for (size_t i = 0; i < n; i++) {
                const char *other = descriptions[i]->vendor;

                if (vendor && other && !g_str_equal(vendor, other))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "CPUs of '%s' and '%s' have no model in common", vendor, other);
                vendor = vendor ?: other;
        }
        *ret = vendor;
        return 0;
}

static int common_features(const QemuCpuTable *table, QemuCpuDescription *const *descriptions, size_t n,
                           const QemuCpuBaselineOptions *options, uint64_t **ret, sd_bus_error *reterr) {
        g_autofree uint64_t *common = NULL;

        for (size_t i = 0; i < n; i++) {
                g_autofree uint64_t *has = NULL, *forbidden = NULL;
                int r;

                r = describe(table, descriptions[i], &has, &forbidden, reterr);
                if (r < 0)
                        return r;
                if (!common)
                        common = qemu_cpu_set_copy(table, has);
                for (size_t j = 0; j < qemu_cpu_set_words(table); j++)
                        common[j] &= has[j];
        }
        for (size_t j = 0; options->limit && j < qemu_cpu_set_words(table); j++)
                common[j] &= options->limit->features[j];
        *ret = g_steal_pointer(&common);
        return 0;
}

static bool is_migratable(const char *feature) {
        return !g_str_equal(feature, "invtsc") && !g_str_equal(feature, "xsaves");
}

static void put_features(XmlOutput *output, const char *const *names) {
        for (; *names; names++) {
                xml_open(output, "feature");
                xml_attribute(output, "policy", "require");
                xml_attribute(output, "name", qemu_cpu_feature_to_xml(*names));
                xml_close(output);
        }
}

static char *format_baseline(const QemuCpuTable *table, const QemuCpuDefinition *model, const char *vendor,
                             const GPtrArray *features) {
        XmlOutput output;

        xml_output_begin(&output);
        xml_open(&output, "cpu");
        xml_attribute(&output, "mode", "custom");
        xml_attribute(&output, "match", "exact");
        xml_open(&output, "model");
        xml_attribute(&output, "fallback", "forbid");
        xml_text(&output, qemu_cpu_table_well_known_name(table, model->name));
        xml_close(&output);
        if (vendor)
                xml_element(&output, "vendor", vendor);
        put_features(&output, (const char *const *) features->pdata);
        xml_close(&output);
        return xml_output_end(&output);
}

static GPtrArray *all_features(const QemuCpuTable *table, const uint64_t *set) {
        GPtrArray *names = g_ptr_array_new();

        for (guint i = 0; i < table->names->len; i++)
                if (qemu_cpu_words_have(set, i))
                        g_ptr_array_add(names, table->names->pdata[i]);
        g_ptr_array_add(names, NULL);
        return names;
}

/* "GenuineIntel" for "Intel"; NULL for NULL. A vendor that no model has matches none. */
static const char *vendor_from_xml(const char *vendor) {
        static const char *const vendors[] = { "AuthenticAMD", "GenuineIntel", "HygonGenuine" };

        for (size_t i = 0; vendor && i < G_N_ELEMENTS(vendors); i++)
                if (g_str_equal(qemu_cpu_vendor_to_xml(vendors[i]), vendor))
                        return vendors[i];
        return vendor;
}

int qemu_cpu_baseline(const QemuCpuTable *table, QemuCpuDescription *const *descriptions, size_t n,
                      const QemuCpuBaselineOptions *options, char **ret, sd_bus_error *reterr) {
        g_autofree uint64_t *common = NULL;
        g_autoptr(GPtrArray) features = NULL;
        const QemuCpuDefinition *model;
        const char *vendor = NULL;
        int r;

        r = common_vendor(descriptions, n, &vendor, reterr);
        if (r >= 0)
                r = common_features(table, descriptions, n, options, &common, reterr);
        if (r < 0)
                return r;
        for (guint i = 0; options->migratable && i < table->names->len; i++)
                if (!is_migratable(qemu_cpu_feature_name(table, i)))
                        qemu_cpu_words_put(common, i, false);
        model = qemu_cpu_find_model(table, common, vendor_from_xml(vendor), /* first= */ false);
        if (!model)
                return sd_bus_error_set(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                        "these CPUs have too little in common: there is no model that all of them could be");
        features = options->expand_features ? all_features(table, common) : qemu_cpu_beyond_model(table, common, model);
        *ret = format_baseline(table, model, vendor, features);
        return 0;
}
