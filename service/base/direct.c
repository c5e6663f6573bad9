/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/direct.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

#define BLOCK ((size_t) 1 << 20)
/* What every device and file system takes: buffer, length and position are multiples of it. */
#define ALIGNMENT ((size_t) 4096)

/* The same file, with a position and flags of its own: the caller's descriptor keeps what it has. */
static int reopen_direct(int file, int flags) {
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        fd = open(path, flags | O_DIRECT | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Less than size only at the end. */
static ssize_t read_block(int source, char *buffer, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(source, buffer + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t) n;
        }
        return (ssize_t) done;
}

/* What is no multiple, and all that a file system does not take directly, goes through the cache. */
static int write_around(int file, int *direct, const char *buffer, size_t size, uint64_t offset) {
        size_t whole = *direct >= 0 && offset % ALIGNMENT == 0 ? size - size % ALIGNMENT : 0;
        int r;

        r = whole > 0 ? vb_write_at(*direct, buffer, whole, offset) : 0;
        if (r == -EINVAL) {
                *direct = vb_close(*direct);
                whole = 0;
                r = 0;
        }
        return r < 0 ? r : vb_write_at(file, buffer + whole, size - whole, offset + whole);
}

int vb_direct_write(int file, uint64_t offset, int source) {
        g_autofree char *memory = g_malloc(BLOCK + ALIGNMENT);
        char *buffer = memory + (ALIGNMENT - (uintptr_t) memory % ALIGNMENT);
        vb_autofd direct = reopen_direct(file, O_WRONLY);
        ssize_t n;
        int r;

        do {
                n = read_block(source, buffer, BLOCK);
                if (n < 0)
                        return (int) n;
                r = write_around(file, &direct, buffer, (size_t) n, offset);
                if (r < 0)
                        return r;
                offset += (uint64_t) n;
        } while ((size_t) n == BLOCK);

        /* Only what is on disk can be given back. */
        if (fdatasync(file) < 0)
                return -errno;
        (void) posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        return 0;
}

static ssize_t read_around(int file, int *direct, char *buffer, uint64_t offset) {
        ssize_t n;

        do {
                n = pread(*direct >= 0 ? *direct : file, buffer, BLOCK, (off_t) offset);
                if (n < 0 && errno == EINVAL && *direct >= 0) {
                        *direct = vb_close(*direct);
                        errno = EINTR;
                }
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

int vb_direct_read(int file, uint64_t offset, int target) {
        g_autofree char *memory = g_malloc(BLOCK + ALIGNMENT);
        char *buffer = memory + (ALIGNMENT - (uintptr_t) memory % ALIGNMENT);
        vb_autofd direct = offset % ALIGNMENT == 0 ? reopen_direct(file, O_RDONLY) : -EBADF;
        ssize_t n;
        int r;

        while ((n = read_around(file, &direct, buffer, offset)) > 0) {
                r = vb_write_all(target, buffer, (size_t) n);
                if (r < 0)
                        return r;
                offset += (uint64_t) n;
        }
        if (n < 0)
                return (int) n;
        if (direct < 0)
                (void) posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        return 0;
}
