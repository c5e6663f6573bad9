/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The descriptor's side of a stream: what is read of it and written to it without waiting, holes included. It may be a socket, a pipe, a
 * terminal or a file. A file is always ready; only it has holes of its own, and in anything else they are zeros. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Makes it non-blocking. 1: a regular file, for which nobody can wait. 0: anything else. */
VB_MUST_USE int proxy_stream_fd_prepare(int fd);

/* Bytes, 0 at the end, or -EAGAIN. With ret_hole, a hole that comes next is told there instead (and 0 is returned, which is then no end). */
VB_MUST_USE ssize_t proxy_stream_fd_read(int fd, void *buffer, size_t size, uint64_t *ret_hole);

/* As write(), but never a signal. */
VB_MUST_USE ssize_t proxy_stream_fd_write(int fd, const void *buffer, size_t size);

/* Some of a hole of this length: how much of it is done, or -EAGAIN. What a file has there is gone. */
VB_MUST_USE int64_t proxy_stream_fd_write_hole(int fd, uint64_t length);
