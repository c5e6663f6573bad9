/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading members of JSON objects from outside. A member that is missing or of another type reads as the
 * given nothing: NULL, false, the fallback. A NULL object is fine and has no members. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

static inline VbJson *qemu_json_member(VbJson *json, const char *key, json_type type) {
        VbJson *member;

        if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, key, &member) ||
            !json_object_is_type(member, type))
                return NULL;
        return member;
}

static inline VbJson *qemu_json_object(VbJson *json, const char *key) {
        return qemu_json_member(json, key, json_type_object);
}

static inline VbJson *qemu_json_array(VbJson *json, const char *key) {
        return qemu_json_member(json, key, json_type_array);
}

/* A string with a NUL inside is none: what would be seen of it is not what was said. */
static inline const char *qemu_json_string(VbJson *json, const char *key) {
        VbJson *member = qemu_json_member(json, key, json_type_string);

        if (!member ||
            memchr(json_object_get_string(member), '\0', (size_t) json_object_get_string_len(member)))
                return NULL;
        return json_object_get_string(member);
}

static inline bool qemu_json_bool(VbJson *json, const char *key) {
        return json_object_get_boolean(qemu_json_member(json, key, json_type_boolean));
}

static inline int64_t qemu_json_number(VbJson *json, const char *key, int64_t fallback) {
        VbJson *member = qemu_json_member(json, key, json_type_int);

        return member ? json_object_get_int64(member) : fallback;
}
