/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The header of a qcow2 image, as far as opening its chain needs it: see docs/interop/qcow2.txt of QEMU. The image is
 * its owner's, so every number in it is a lie until shown otherwise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QCOW2_BACKING_NAME_MAX 1023
#define QCOW2_FORMAT_NAME_MAX 63

typedef struct Qcow2Header {
        uint32_t version;
        uint64_t virtual_size;
        uint64_t incompatible; /* feature bits */
        bool external_data;
        char backing_name[QCOW2_BACKING_NAME_MAX + 1];    /* "": no backing image */
        char backing_format[QCOW2_FORMAT_NAME_MAX + 1]; /* "": not told */
} Qcow2Header;

/* NULL if it is well, else what is wrong with it: reads on from "the image …". */
const char *qcow2_header_read(int fd, Qcow2Header *ret);

/* The same from memory: what lies at the image's begin. */
const char *qcow2_header_parse(const uint8_t *data, size_t size, Qcow2Header *ret);
