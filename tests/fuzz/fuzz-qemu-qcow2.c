/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an owner may have written into the header of an image. */

#include <glib.h>
#include <string.h>

#include "fuzz.h"
#include "qemu/opener/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* Of its own, so that reading beyond the end is seen. */
        g_autofree uint8_t *copy = g_memdup2(data, size);
        g_autofree Qcow2Header *header = g_new0(Qcow2Header, 1);

        if (!qcow2_header_parse(copy, size, header)) {
                g_assert_cmpuint(strlen(header->backing_name), <=, QCOW2_BACKING_NAME_MAX);
                g_assert_cmpuint(strlen(header->backing_format), <=, QCOW2_FORMAT_NAME_MAX);
                g_assert_true(header->version == 2 || header->version == 3);
        }
        return 0;
}
