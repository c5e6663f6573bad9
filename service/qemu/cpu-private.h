/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a table of CPUs is built; see qemu/capabilities-private.h, of which it is a part. */

#include <stdint.h>

#include "qemu/cpu.h"

#define QEMU_CPU_DEFINITIONS_MAX 4096u
#define QEMU_CPU_FEATURES_MAX 4096u

/* A set of features, by their number in the table's list. */
typedef struct QemuCpuFeatureSet {
        uint64_t *words; /* NULL: not known */
} QemuCpuFeatureSet;

struct QemuCpuTable {
        GStringChunk *strings;
        GArray *definitions; /* of QemuCpuDefinition */
        GArray *features; /* of QemuCpuFeatureSet, one for each definition */

        GPtrArray *names; /* every feature name QEMU knows, sorted: the numbers of the sets */
        QemuCpuFeatureSet host;
        const char *host_vendor;

        /* worked out by seal() */
        bool has_host_model, has_host_base;
        QemuCpuModel host_model, host_base;
        GPtrArray *host_features;
        GPtrArray *model_required, *model_disabled, *base_required,
                *base_disabled; /* of const char *, NULL-terminated */
};

#define QEMU_CPU_WORD_BITS 64

size_t qemu_cpu_set_words(const QemuCpuTable *table);
bool qemu_cpu_set_has(QemuCpuFeatureSet set, unsigned feature);

QemuCpuTable *qemu_cpu_table_new(void);
QemuCpuTable *qemu_cpu_table_free(QemuCpuTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCpuTable, qemu_cpu_table_free)

/* Its number, or -ENOENT. */
int qemu_cpu_table_find_index(const QemuCpuTable *table, const char *name);

/* Answers of QMP. The first expansion must be the one of the best CPU ("max", "host"), by model NULL: it says
 * which feature names there are. -EBADMSG for what QEMU must not answer. */
int qemu_cpu_table_parse_definitions(QemuCpuTable *table, VbJson *result) VB_MUST_USE;
int qemu_cpu_table_parse_expansion(QemuCpuTable *table, const char *model, VbJson *result) VB_MUST_USE;

/* Which definitions are worth expanding next, to find the closest one to the host: first the one of each
 * family with the lowest version, then, once these are known, the other versions of the best family. Empty
 * when that is done. */
GPtrArray *qemu_cpu_table_next_expansions(const QemuCpuTable *table);

/* All that are no other's alias, and whose features are not known: names, borrowed. */
GPtrArray *qemu_cpu_table_unknown(const QemuCpuTable *table);

/* The definition whose features are closest to a set, or NULL. vendor: of this one only, if it is not NULL. within: only what has no feature
 * that the set lacks. well_known: only those that have a name without a version. first: only the first versions of families. */
typedef struct QemuCpuSearch {
        QemuCpuFeatureSet features;
        const char *vendor;
        bool within;
        bool well_known;
        bool first;
} QemuCpuSearch;

const QemuCpuDefinition *qemu_cpu_table_find_closest(const QemuCpuTable *table, const QemuCpuSearch *search);

/* The features of a definition or of the one it is an alias of; words is NULL if they are not known. */
QemuCpuFeatureSet qemu_cpu_table_features(const QemuCpuTable *table, const QemuCpuDefinition *definition);

/* The number of a feature, by QEMU's name, or -ENOENT. */
int qemu_cpu_table_find_feature(const QemuCpuTable *table, const char *name);

/* Works out the host model. Nothing changes afterwards. */
void qemu_cpu_table_seal(QemuCpuTable *table);

VbJson *qemu_cpu_table_format(const QemuCpuTable *table);
int qemu_cpu_table_parse(VbJson *json, QemuCpuTable **ret) VB_MUST_USE;
