/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cpus.h"

#include <stdlib.h>
#include <string.h>

int vb_cpus_parse(const char *list, uint8_t mask[static VB_CPUS_MASK_SIZE], size_t *ret_size) {
        const char *at = list;
        size_t size = 0;

        memset(mask, 0, VB_CPUS_MASK_SIZE);
        while (*at) {
                unsigned long first, last;
                char *end;

                if (!g_ascii_isdigit(*at))
                        return -EINVAL;
                first = last = strtoul(at, &end, 10);
                if (*end == '-') {
                        if (!g_ascii_isdigit(end[1]))
                                return -EINVAL;
                        last = strtoul(end + 1, &end, 10);
                }
                if (first > last || last >= VB_CPUS_MAX || (*end != '\0' && *end != ','))
                        return -EINVAL;
                for (unsigned long bit = first; bit <= last; bit++)
                        mask[bit / 8] |= (uint8_t) (1u << bit % 8);
                size = MAX(size, last / 8 + 1);
                at = *end == ',' ? end + 1 : end;
        }
        *ret_size = size;
        return 0;
}
