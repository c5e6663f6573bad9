/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An enumeration and its words. One table serves both directions:
 *
 *     VB_STRING_TABLE(disk_bus, DiskBus, DISK_BUS_MAX, [DISK_BUS_VIRTIO] = "virtio", …)
 *
 * defines disk_bus_to_string(value) (NULL if out of range) and disk_bus_from_string(word) (-EINVAL if unknown). The
 * latter gives an int, not the type: an enumeration without negative members cannot hold -EINVAL. */

#include <errno.h>
#include <stddef.h>
#include <string.h>

typedef struct VbStringTable {
        const char *const *words; /* may have holes (NULL) */
        int n_words;
} VbStringTable;

static inline const char *vb_string_table_get(const VbStringTable *table, int value) {
        return value >= 0 && value < table->n_words ? table->words[value] : NULL;
}

static inline int vb_string_table_find(const VbStringTable *table, const char *word) {
        for (int i = 0; word && i < table->n_words; i++)
                if (table->words[i] && strcmp(table->words[i], word) == 0)
                        return i;
        return -EINVAL;
}

#define VB_STRING_TABLE_DECLARE(prefix, Type)      \
        extern const VbStringTable prefix##_table; \
        const char *prefix##_to_string(Type value); \
        int prefix##_from_string(const char *word)

#define VB_STRING_TABLE(prefix, Type, max, ...)                                     \
        static const char *const prefix##_words[max] = { __VA_ARGS__ };             \
        const VbStringTable prefix##_table = { prefix##_words, max };               \
        const char *prefix##_to_string(Type value) {                                \
                return vb_string_table_get(&prefix##_table, (int) value);           \
        }                                                                           \
        int prefix##_from_string(const char *word) {                                \
                return vb_string_table_find(&prefix##_table, word);                 \
        }
