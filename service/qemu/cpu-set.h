/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sets of CPU features that are worked with, beside those of a table (qemu/cpu-private.h): as many words, freed with g_free(). */

#include <string.h>

#include "qemu/cpu-private.h"

/* words NULL: an empty one. */
static inline uint64_t *qemu_cpu_set_copy(const QemuCpuTable *table, const uint64_t *words) {
        uint64_t *set = g_new0(uint64_t, qemu_cpu_set_words(table) + 1);

        if (words)
                memcpy(set, words, qemu_cpu_set_words(table) * sizeof(*set));
        return set;
}

static inline bool qemu_cpu_words_have(const uint64_t *set, unsigned feature) {
        return set[feature / QEMU_CPU_WORD_BITS] >> (feature % QEMU_CPU_WORD_BITS) & 1;
}

static inline void qemu_cpu_words_put(uint64_t *set, unsigned feature, bool value) {
        uint64_t bit = UINT64_C(1) << (feature % QEMU_CPU_WORD_BITS);

        if (value)
                set[feature / QEMU_CPU_WORD_BITS] |= bit;
        else
                set[feature / QEMU_CPU_WORD_BITS] &= ~bit;
}

static inline const char *qemu_cpu_feature_name(const QemuCpuTable *table, unsigned feature) {
        return table->names->pdata[feature];
}

/* What QEMU adds to each model, being no part of any processor. */
static inline bool qemu_cpu_is_emulators_own(const char *feature) {
        return g_str_equal(feature, "hypervisor") || g_str_has_prefix(feature, "kvm");
}

/* Details of features that the table has as a whole: the parts of VMX, of which a guest has none without VMX. */
static inline bool qemu_cpu_is_detail(const char *feature) {
        return g_str_has_prefix(feature, "vmx-");
}

/* The model that is closest to a set and has nothing that it lacks, but for what the emulator adds to each model anyway; NULL if there is none. vendor
 * NULL: of any. first: the first version of its family, which is known without asking further. */
const QemuCpuDefinition *qemu_cpu_find_model(const QemuCpuTable *table, const uint64_t *set, const char *vendor,
                                             bool first);

/* What a set has beyond a model: QEMU's names, sorted, ends with NULL. To be freed with g_ptr_array_unref(). */
GPtrArray *qemu_cpu_beyond_model(const QemuCpuTable *table, const uint64_t *set, const QemuCpuDefinition *model);
