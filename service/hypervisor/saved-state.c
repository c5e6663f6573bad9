/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/saved-state.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"

#define SYNC_PIECE ((off_t) 32 * 1024 * 1024)
#define MAGIC "virtbus saved\n\0"
#define FORMAT 1u
#define ALIGNMENT ((uint64_t) 4096)
#define ROOM_TO_GROW ((size_t) 16384)

enum { STATE_PARTIAL = 1, STATE_COMPLETE = 2 };
enum { FLAG_RUNNING = 1 << 0 };

/* Little endian on disk, whatever the host. */
typedef struct Header {
        char magic[16];
        uint32_t format;
        uint32_t state;
        uint32_t flags;
        uint32_t xml_length;
        uint64_t stream_offset;
        uint64_t xml_offset;
} Header;

_Static_assert(sizeof(MAGIC) == sizeof(((Header *) NULL)->magic), "the magic fills its field");

static uint64_t stream_offset_for(size_t xml_length) {
        return ALIGNMENT + 2 * ((xml_length + ROOM_TO_GROW + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

/* Of one of the two. */
static uint64_t place_size(uint64_t stream_offset) {
        return (stream_offset - ALIGNMENT) / 2;
}

static int set_storage_error(sd_bus_error *reterr, int r, const char *what) {
        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot %s: %s", what, strerror(-r));
}

int vb_saved_state_begin(int fd, const char *xml, bool running, sd_bus_error *reterr) {
        size_t length = strlen(xml);
        Header header = {
                .magic = MAGIC,
                .format = htole32(FORMAT),
                .state = htole32(STATE_PARTIAL),
                .flags = htole32(running ? FLAG_RUNNING : 0),
                .xml_length = htole32((uint32_t) length),
                .stream_offset = htole64(stream_offset_for(length)),
                .xml_offset = htole64(ALIGNMENT),
        };
        struct stat st;
        int r;

        if (length > VB_SAVED_STATE_XML_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "the definition has %zu bytes; at most %zu can be saved", length,
                                         VB_SAVED_STATE_XML_MAX);
        if (fstat(fd, &st) < 0)
                return set_storage_error(reterr, -errno, "look at the file to save to");
        if (!S_ISREG(st.st_mode))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file to save to is not a regular file; give one opened for reading and writing");

        if (ftruncate(fd, 0) < 0)
                return set_storage_error(reterr, -errno, "empty the file to save to");
        r = vb_write_at(fd, &header, sizeof(header), 0);
        if (r >= 0)
                r = vb_write_at(fd, xml, length, ALIGNMENT);
        if (r >= 0 && ftruncate(fd, (off_t) stream_offset_for(length)) < 0)
                r = -errno;
        if (r >= 0 && lseek(fd, (off_t) stream_offset_for(length), SEEK_SET) < 0)
                r = -errno;
        return r < 0 ? set_storage_error(reterr, r, "write the saved guest's header") : 0;
}

/* A large part of a guest's memory may be in the cache yet, and take minutes. In pieces, it can be told from a disk that hangs. Where the file
 * system cannot do so, fdatasync() still does all. */
static void sync_pieces(int fd, int *moves) {
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        for (off_t offset = 0; offset < st.st_size; offset += SYNC_PIECE) {
                if (sync_file_range(fd, offset, SYNC_PIECE,
                                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) < 0)
                        return;
                g_atomic_int_inc(moves);
        }
}

int vb_saved_state_finish(int fd, bool bypass_cache, int *moves, sd_bus_error *reterr) {
        uint32_t state = htole32(STATE_COMPLETE);
        int r = 0;

        if (moves)
                sync_pieces(fd, moves);
        /* The stream first: the mark of completeness must never reach the disk before what it speaks of. */
        if (fdatasync(fd) < 0)
                return set_storage_error(reterr, -errno, "sync the saved guest");
        r = vb_write_at(fd, &state, sizeof(state), offsetof(Header, state));
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                return set_storage_error(reterr, r, "complete the saved guest");

        if (bypass_cache)
                (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        return 0;
}

static int header_check(const Header *header, uint64_t file_size, sd_bus_error *reterr) {
        uint64_t stream = le64toh(header->stream_offset), xml = le64toh(header->xml_offset);
        uint32_t length = le32toh(header->xml_length);

        if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file holds no saved guest: it does not begin as one");
        if (le32toh(header->format) != FORMAT)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "the file holds a saved guest of format %u; this version reads format %u",
                                         le32toh(header->format), FORMAT);
        if (le32toh(header->state) != STATE_COMPLETE)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file holds only part of a guest: saving it was cut short");
        if (length == 0 || length > VB_SAVED_STATE_XML_MAX || stream % ALIGNMENT != 0 || stream <= ALIGNMENT ||
            stream > stream_offset_for(VB_SAVED_STATE_XML_MAX) || stream >= file_size || length > place_size(stream) ||
            (xml != ALIGNMENT && xml != ALIGNMENT + place_size(stream)))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file holds no saved guest: its header is damaged");
        return 0;
}

static int read_header(int fd, Header *ret, sd_bus_error *reterr) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return set_storage_error(reterr, -errno, "look at the saved guest");
        if (!S_ISREG(st.st_mode))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the saved guest is not in a regular file");

        r = vb_read_at(fd, ret, sizeof(*ret), 0);
        if (r < 0 && r != -ENODATA)
                return set_storage_error(reterr, r, "read the saved guest");
        if (r == -ENODATA)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file holds no saved guest: it is too short");
        return header_check(ret, (uint64_t) st.st_size, reterr);
}

int vb_saved_state_read(int fd, VbSavedState **ret, sd_bus_error *reterr) {
        g_autoptr(VbSavedState) state = g_new0(VbSavedState, 1);
        Header header;
        int r;

        r = read_header(fd, &header, reterr);
        if (r < 0)
                return r;

        state->running = le32toh(header.flags) & FLAG_RUNNING;
        state->stream_offset = le64toh(header.stream_offset);
        state->xml = g_malloc0((size_t) le32toh(header.xml_length) + 1);
        r = vb_read_at(fd, state->xml, le32toh(header.xml_length), le64toh(header.xml_offset));
        if (r < 0)
                return set_storage_error(reterr, r, "read the saved guest's definition");
        if (lseek(fd, (off_t) state->stream_offset, SEEK_SET) < 0)
                return set_storage_error(reterr, -errno, "find the saved guest's memory");

        *ret = g_steal_pointer(&state);
        return 0;
}

int vb_saved_state_replace_xml(int fd, const char *xml, bool running, sd_bus_error *reterr) {
        size_t length = strlen(xml);
        uint64_t size, place;
        Header header;
        int r;

        r = read_header(fd, &header, reterr);
        if (r < 0)
                return r;
        size = place_size(le64toh(header.stream_offset));
        if (length > size)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "the definition has %zu bytes; the saved guest has room for %" PRIu64, length, size);

        place = le64toh(header.xml_offset) == ALIGNMENT ? ALIGNMENT + size : ALIGNMENT;
        header.xml_offset = htole64(place);
        header.xml_length = htole32((uint32_t) length);
        header.flags = htole32(running ? FLAG_RUNNING : 0);
        r = vb_write_at(fd, xml, length, place);
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        if (r >= 0)
                r = vb_write_at(fd, &header, sizeof(header), 0);
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        return r < 0 ? set_storage_error(reterr, r, "write the saved guest's definition") : 0;
}

VbSavedState *vb_saved_state_free(VbSavedState *state) {
        if (!state)
                return NULL;

        g_free(state->xml);
        g_free(state);
        return NULL;
}
