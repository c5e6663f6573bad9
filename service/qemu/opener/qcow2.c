/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/opener/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x514649fbu /* "QFI\xfb" */
#define V2_SIZE 72u
#define V3_SIZE_MIN 104u
#define CLUSTER_BITS_MIN 9u
#define CLUSTER_BITS_MAX 21u

#define EXTENSION_END 0u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_DATA_FILE 0x44415441u
#define INCOMPATIBLE_DATA_FILE (1u << 2)

/* Header, extensions and backing name all lie in the first cluster, which is 2 MiB at most. */
#define READ_MAX (1u << CLUSTER_BITS_MAX)

static uint32_t get32(const uint8_t *at) {
        return (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
}

static uint64_t get64(const uint8_t *at) {
        return (uint64_t) get32(at) << 32 | get32(at + 4);
}

/* A text without NUL, of size bytes that are within bounds. */
static bool copy_text(char *to, size_t max, const uint8_t *from, size_t size) {
        if (size > max || memchr(from, '\0', size))
                return false;
        memcpy(to, from, size);
        to[size] = '\0';
        return true;
}

static const char *parse_extensions(const uint8_t *data, size_t at, size_t end, Qcow2Header *header) {
        while (end - at >= 8) {
                uint32_t type = get32(data + at), size = get32(data + at + 4);
                size_t padded;

                at += 8;
                if (type == EXTENSION_END)
                        return NULL;
                if (size > end - at)
                        return "has a header extension that goes beyond its header";
                if (type == EXTENSION_BACKING_FORMAT &&
                    !copy_text(header->backing_format, QCOW2_FORMAT_NAME_MAX, data + at, size))
                        return "has an unreadable format for its backing image";
                if (type == EXTENSION_DATA_FILE)
                        header->external_data = true;
                padded = ((size_t) size + 7) & ~(size_t) 7;
                at += padded < end - at ? padded : end - at;
        }
        return NULL;
}

const char *qcow2_header_parse(const uint8_t *data, size_t size, Qcow2Header *ret) {
        Qcow2Header header = { 0 };
        uint64_t backing_offset;
        uint32_t backing_size, cluster_bits;
        size_t header_size = V2_SIZE, cluster, extensions_end;
        const char *wrong;

        if (size < V2_SIZE || get32(data) != MAGIC)
                return "is not in qcow2 format";
        header.version = get32(data + 4);
        if (header.version != 2 && header.version != 3)
                return "has an unknown version of the qcow2 format";

        backing_offset = get64(data + 8);
        backing_size = get32(data + 16);
        cluster_bits = get32(data + 20);
        header.virtual_size = get64(data + 24);
        if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX)
                return "has an impossible cluster size";
        cluster = (size_t) 1 << cluster_bits;
        if (size > cluster)
                size = cluster;

        if (header.version >= 3) {
                if (size < V3_SIZE_MIN)
                        return "has a header that is cut short";
                header.incompatible = get64(data + 72);
                header_size = get32(data + 100);
                if (header_size < V3_SIZE_MIN || header_size > size || header_size % 8 != 0)
                        return "has an impossible header length";
        }

        extensions_end = size;
        if (backing_offset != 0 && backing_size != 0) {
                if (backing_size > QCOW2_BACKING_NAME_MAX)
                        return "has a backing image whose name is too long";
                if (backing_offset < header_size || backing_offset > size || backing_size > size - backing_offset)
                        return "has a backing image whose name lies beyond its header";
                if (!copy_text(header.backing_name, QCOW2_BACKING_NAME_MAX, data + backing_offset, backing_size))
                        return "has a backing image whose name holds a NUL";
                extensions_end = (size_t) backing_offset;
        }

        wrong = parse_extensions(data, header_size, extensions_end, &header);
        if (wrong)
                return wrong;
        header.external_data = header.external_data || (header.incompatible & INCOMPATIBLE_DATA_FILE);
        *ret = header;
        return NULL;
}

const char *qcow2_header_read(int fd, Qcow2Header *ret) {
        const char *wrong = "cannot be read";
        size_t size = 0, want = 65536;
        uint8_t *data;

        data = malloc(READ_MAX);
        if (!data)
                return "cannot be read: out of memory";

        /* The first 64 KiB hold it all unless clusters are larger, and even then mostly. */
        for (;;) {
                ssize_t n = pread(fd, data + size, want - size, (off_t) size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        break;
                size += (size_t) n;
                if (n > 0 && size < want)
                        continue;
                wrong = qcow2_header_parse(data, size, ret);
                if (!wrong || size < want || want == READ_MAX)
                        break;
                want = READ_MAX;
        }
        free(data);
        return wrong;
}
