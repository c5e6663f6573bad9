/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/stream-fd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ZEROS_SIZE 65536

int proxy_stream_fd_prepare(int fd) {
        struct stat st;
        int flags;

        if (fstat(fd, &st) < 0)
                return -errno;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? 1 : 0;
}

/* How far it is to the next data; *size is cut at the next hole. */
static int look_for_hole(int fd, size_t *size, uint64_t *ret_hole) {
        off_t here = lseek(fd, 0, SEEK_CUR), data, hole, end;

        if (here < 0)
                return errno == ESPIPE ? 0 : -errno;
        data = lseek(fd, here, SEEK_DATA);
        if (data < 0) {
                if (errno != ENXIO)
                        return lseek(fd, here, SEEK_SET) < 0 ? -errno : 0; /* a file system that tells no holes */
                /* Nothing but a hole follows, or nothing at all. */
                end = lseek(fd, 0, SEEK_END);
                if (end < 0)
                        return -errno;
                *ret_hole = end > here ? (uint64_t) (end - here) : 0;
                return 0;
        }
        if (data > here) {
                *ret_hole = (uint64_t) (data - here);
                return 0;
        }
        hole = lseek(fd, here, SEEK_HOLE);
        if (lseek(fd, here, SEEK_SET) < 0)
                return -errno;
        if (hole > here)
                *size = MIN(*size, (uint64_t) (hole - here));
        return 0;
}

ssize_t proxy_stream_fd_read(int fd, void *buffer, size_t size, uint64_t *ret_hole) {
        ssize_t n;
        int r;

        if (ret_hole) {
                *ret_hole = 0;
                r = look_for_hole(fd, &size, ret_hole);
                if (r < 0 || *ret_hole > 0)
                        return r;
        }
        do
                n = read(fd, buffer, size);
        while (n < 0 && errno == EINTR);
        if (n >= 0)
                return n;
        /* A terminal whose other end has been closed. */
        return errno == EIO && isatty(fd) ? 0 : -errno;
}

ssize_t proxy_stream_fd_write(int fd, const void *buffer, size_t size) {
        ssize_t n;

        do {
                n = send(fd, buffer, size, MSG_NOSIGNAL);
                if (n < 0 && errno == ENOTSOCK)
                        n = write(fd, buffer, size); /* workers ignore SIGPIPE, which a pipe may bring */
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static int64_t write_zeros(int fd, uint64_t length) {
        static const char zeros[ZEROS_SIZE];

        return proxy_stream_fd_write(fd, zeros, MIN(length, sizeof(zeros)));
}

int64_t proxy_stream_fd_write_hole(int fd, uint64_t length) {
        off_t here = lseek(fd, 0, SEEK_CUR), after;
        struct stat st;

        if (here < 0)
                return errno == ESPIPE ? write_zeros(fd, length) : -errno;
        if (length > (uint64_t) INT64_MAX || __builtin_add_overflow(here, (off_t) length, &after))
                return -EFBIG;
        if (fstat(fd, &st) < 0)
                return -errno;

        if (here < st.st_size &&
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, here, MIN((off_t) length, st.st_size - here)) < 0)
                return errno == EOPNOTSUPP ? write_zeros(fd, length) : -errno;
        if (after > st.st_size && ftruncate(fd, after) < 0)
                return -errno;
        if (lseek(fd, after, SEEK_SET) < 0)
                return -errno;
        return (int64_t) length;
}
