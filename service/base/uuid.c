/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/uuid.h"

#include <string.h>
#include <systemd/sd-id128.h>

VbUuid vb_uuid_new(void) {
        VbUuid uuid;
        sd_id128_t id;
        int r;

        /* Fails only where the kernel has no random source at all. */
        r = sd_id128_randomize(&id);
        g_assert(r >= 0);
        memcpy(uuid.bytes, id.bytes, sizeof uuid.bytes);
        return uuid;
}

int vb_uuid_parse(const char *text, VbUuid *ret) {
        VbUuid uuid;
        const char *at = text;

        if (!text)
                return -EINVAL;
        for (size_t i = 0; i < sizeof uuid.bytes; i++) {
                int high, low;

                /* Hyphens stand between bytes, never first, last or doubled. */
                if (i > 0 && *at == '-')
                        at++;
                high = g_ascii_xdigit_value(at[0]);
                low = high < 0 ? -1 : g_ascii_xdigit_value(at[1]);
                if (low < 0)
                        return -EINVAL;
                uuid.bytes[i] = (uint8_t) (high << 4 | low);
                at += 2;
        }
        if (*at != '\0')
                return -EINVAL;
        *ret = uuid;
        return 0;
}

static void format_with(const VbUuid *uuid, char separator, char *at) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < sizeof uuid->bytes; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *at++ = separator;
                *at++ = digits[uuid->bytes[i] >> 4];
                *at++ = digits[uuid->bytes[i] & 15];
        }
        *at = '\0';
}

char *vb_uuid_format(const VbUuid *uuid, char buffer[static VB_UUID_STRING_SIZE]) {
        format_with(uuid, '-', buffer);
        return buffer;
}

char *vb_uuid_path_format(const VbUuid *uuid, char buffer[static VB_UUID_PATH_SIZE]) {
        buffer[0] = '_';
        format_with(uuid, '_', buffer + 1);
        return buffer;
}

int vb_uuid_path_parse(const char *label, VbUuid *ret) {
        char hyphens[VB_UUID_STRING_SIZE], again[VB_UUID_PATH_SIZE];
        VbUuid uuid;
        int r;

        if (!label || label[0] != '_' || strlen(label) != VB_UUID_PATH_SIZE - 1)
                return -EINVAL;
        memcpy(hyphens, label + 1, sizeof hyphens);
        g_strdelimit(hyphens, "_", '-');
        r = vb_uuid_parse(hyphens, &uuid);
        if (r < 0)
                return r;
        /* One object has one path. */
        if (strcmp(vb_uuid_path_format(&uuid, again), label) != 0)
                return -EINVAL;
        *ret = uuid;
        return 0;
}

bool vb_uuid_is_null(const VbUuid *uuid) {
        static const VbUuid null;

        return memcmp(uuid, &null, sizeof null) == 0;
}

unsigned vb_uuid_hash(const void *uuid) {
        const VbUuid *u = uuid;
        unsigned hash = 2166136261u;

        /* Users choose UUIDs, so all bytes count; FNV-1a. */
        for (size_t i = 0; i < sizeof u->bytes; i++)
                hash = (hash ^ u->bytes[i]) * 16777619u;
        return hash;
}

int vb_uuid_equal(const void *a, const void *b) {
        return memcmp(a, b, sizeof(VbUuid)) == 0;
}
