/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Orders for sorting. */

#include <string.h>

/* Of arrays of texts (qsort(), g_ptr_array_sort()): by their bytes, whatever the language. */
static inline int vb_compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}
