/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UUIDs, as 16 bytes and as text. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define VB_UUID_STRING_SIZE 37 /* with the NUL */

typedef struct VbUuid {
        uint8_t bytes[16];
} VbUuid;

/* A random one (version 4). */
VbUuid vb_uuid_new(void);

/* 32 hex digits of either case, with hyphens in the usual places, anywhere between them, or none, as libvirt reads them.
 * -EINVAL for all else. */
VB_MUST_USE int vb_uuid_parse(const char *text, VbUuid *ret);

/* Lower case with hyphens into a buffer of VB_UUID_STRING_SIZE; returns it. */
char *vb_uuid_format(const VbUuid *uuid, char buffer[static VB_UUID_STRING_SIZE]);

/* The last part of an object path: "_" and the UUID with "_" for each hyphen. path_parse refuses all other spellings. */
#define VB_UUID_PATH_SIZE (VB_UUID_STRING_SIZE + 1)
char *vb_uuid_path_format(const VbUuid *uuid, char buffer[static VB_UUID_PATH_SIZE]);
VB_MUST_USE int vb_uuid_path_parse(const char *label, VbUuid *ret);

bool vb_uuid_is_null(const VbUuid *uuid);

/* For a GHashTable keyed by const VbUuid*. */
unsigned vb_uuid_hash(const void *uuid);
int vb_uuid_equal(const void *a, const void *b);
