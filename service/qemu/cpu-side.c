/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/cpu-side.h"

#include <string.h>

#include "qemu/cpu-set.h"

static QemuCpuSide *side_new(const QemuCpuTable *table, const char *arch, const uint64_t *words) {
        QemuCpuSide *side = g_new0(QemuCpuSide, 1);

        side->arch = g_strdup(arch);
        side->features = qemu_cpu_set_copy(table, words);
        return side;
}

QemuCpuSide *qemu_cpu_side_of_emulator(const QemuCpuTable *table, const char *arch) {
        QemuCpuSide *side = side_new(table, arch, table->host.words);

        side->vendor = g_strdup(table->host_vendor);
        return side;
}

/* Linux has names of its own for some. Most others differ in '-' and '_' only. */
static const struct {
        const char *kernel;
        const char *qemu;
} kernel_names[] = {
        { "avx512_bitalg", "avx512bitalg" },
        { "avx512_vbmi2", "avx512vbmi2" },
        { "avx512_vnni", "avx512vnni" },
        { "cr8_legacy", "cr8legacy" },
        { "nonstop_tsc", "invtsc" },
        { "pausefilter", "pause-filter" },
        { "sse4_1", "sse4.1" },
        { "sse4_2", "sse4.2" },
        { "tsc_deadline_timer", "tsc-deadline" },
        { "vmx", "vmx" },
};

/* The kernel shows what controls speculation under names that stand for whatever the vendor calls it. */
static const struct {
        const char *kernel;
        const char *intel;
        const char *amd;
} speculation_names[] = {
        { "ibpb", NULL, "ibpb" },
        { "ibrs", "spec-ctrl", "ibrs" },
        { "ssbd", "ssbd", "amd-ssbd" },
        { "stibp", "stibp", "amd-stibp" },
};

static const char *kernel_to_qemu(const char *flag, bool intel) {
        for (size_t i = 0; i < G_N_ELEMENTS(kernel_names); i++)
                if (g_str_equal(kernel_names[i].kernel, flag))
                        return kernel_names[i].qemu;
        for (size_t i = 0; i < G_N_ELEMENTS(speculation_names); i++)
                if (g_str_equal(speculation_names[i].kernel, flag))
                        return intel ? speculation_names[i].intel : speculation_names[i].amd;
        return flag;
}

static void put_flag(const QemuCpuTable *table, uint64_t *set, const char *flag, bool intel) {
        const char *name = kernel_to_qemu(flag, intel);
        g_autofree char *spelled = g_strdelimit(g_strdup(name ?: ""), "_", '-');
        int feature;

        feature = name ? qemu_cpu_table_find_feature(table, name) : -ENOENT;
        if (feature < 0)
                feature = qemu_cpu_table_find_feature(table, spelled);
        if (feature >= 0)
                qemu_cpu_words_put(set, (unsigned) feature, true);
}

QemuCpuSide *qemu_cpu_side_of_processor(const QemuCpuTable *table, const VbHost *host) {
        QemuCpuSide *side = side_new(table, host->arch, NULL);

        side->vendor = host->cpu_vendor[0] ? g_strdup(host->cpu_vendor) : NULL;
        for (char **flag = host->cpu_flags; *flag; flag++)
                put_flag(table, side->features, *flag, g_str_equal(host->cpu_vendor, "GenuineIntel"));
        return side;
}

QemuCpuSide *qemu_cpu_side_free(QemuCpuSide *side) {
        if (!side)
                return NULL;
        g_free(side->arch);
        g_free(side->vendor);
        g_free(side->features);
        g_free(side);
        return NULL;
}

/* --- A model for a set --- */

/* The set may lack what the emulator adds to each model anyway. */
const QemuCpuDefinition *qemu_cpu_find_model(const QemuCpuTable *table, const uint64_t *set, const char *vendor,
                                             bool first) {
        g_autofree uint64_t *all = qemu_cpu_set_copy(table, set);

        for (guint i = 0; i < table->names->len; i++)
                if (qemu_cpu_is_emulators_own(qemu_cpu_feature_name(table, i)) || qemu_cpu_is_detail(qemu_cpu_feature_name(table, i)))
                        qemu_cpu_words_put(all, i, true);
        return qemu_cpu_table_find_closest(table, &(QemuCpuSearch){
                                                          .features = { all },
                                                          .vendor = vendor,
                                                          .within = true,
                                                          .well_known = true,
                                                          .first = first,
                                                  });
}

/* Ends with NULL; QEMU's names. */
GPtrArray *qemu_cpu_beyond_model(const QemuCpuTable *table, const uint64_t *set, const QemuCpuDefinition *model) {
        QemuCpuFeatureSet features = qemu_cpu_table_features(table, model);
        GPtrArray *names = g_ptr_array_new();

        for (guint i = 0; i < table->names->len; i++)
                if (qemu_cpu_words_have(set, i) && (!qemu_cpu_words_have(features.words, i) || qemu_cpu_is_emulators_own(qemu_cpu_feature_name(table, i))))
                        g_ptr_array_add(names, table->names->pdata[i]);
        g_ptr_array_add(names, NULL);
        return names;
}

const QemuCpuDefinition *qemu_cpu_side_model(const QemuCpuTable *table, const QemuCpuSide *side,
                                             GPtrArray **ret_required) {
        const QemuCpuDefinition *model = qemu_cpu_find_model(table, side->features, side->vendor, /* first= */ true);

        if (model)
                *ret_required = qemu_cpu_beyond_model(table, side->features, model);
        return model;
}
