/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files: read with a bound, write whole or not at all, remove trees without ever following a link. These block;
 * in the daemon's loop use base/writer instead, except for small reads in /run, /proc and at start-up. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* openat2(2) with O_CLOEXEC added. resolve is a set of RESOLVE_*. Returns the descriptor. */
VB_MUST_USE int vb_openat2(int dir_fd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve);

/* Reads a whole regular file of at most max_size bytes, below dir_fd (or AT_FDCWD); the last component is not
 * followed if it is a link. A NUL is appended that ret_size (may be NULL) does not count.
 * -EFBIG if it is larger, -ENOTSUP if it is no regular file, -ELOOP if it is a link. */
VB_MUST_USE int vb_file_read(int dir_fd, const char *path, size_t max_size, char **ret, size_t *ret_size);

/* The same from an open descriptor, from its current position, of any kind that ends. */
VB_MUST_USE int vb_file_read_fd(int fd, size_t max_size, char **ret, size_t *ret_size);

/* Writes all of it to a blocking descriptor. */
VB_MUST_USE int vb_write_all(int fd, const void *data, size_t size);

/* Read and write exactly so much, at a place of a file. -ENODATA if there is less to read. */
VB_MUST_USE int vb_read_at(int fd, void *data, size_t size, uint64_t offset);
VB_MUST_USE int vb_write_at(int fd, const void *data, size_t size, uint64_t offset);

/* Makes path have these bytes and exactly this mode: a temporary file beside it, fsync, rename, fsync of the folder. After a
 * failure or crash the old file is there, whole. path's last component, if a link, is replaced and not followed. */
VB_MUST_USE int vb_file_write(const char *path, const void *data, size_t size, mode_t mode);

/* Whether a file of this name is one that vb_file_write() or the writer was about to rename: after a crash, nobody's. */
bool vb_file_is_temporary(const char *name);

/* The names in a folder, sorted (char *, freed with the array), without "." and ".." and without temporary files, which are removed (or it is
 * logged why not): for who changes what is in the folder as he goes through it; a folder that is read meanwhile may show a file twice that is
 * written anew. */
VB_MUST_USE int vb_folder_list(const char *path, GPtrArray **ret);

/* Makes the folder path with exactly this mode, its missing parents with 0755. An existing folder keeps its mode;
 * -ENOTDIR if something else (a link, too) is there. */
VB_MUST_USE int vb_mkdir(const char *path, mode_t mode);

/* Removes what is at path below dir_fd: a file, a link (not what it points to), or a folder with all that is in
 * it; never leaves dir_fd's tree (RESOLVE_BENEATH) nor enters another mount. 0 also if nothing was there. */
VB_MUST_USE int vb_remove_tree(int dir_fd, const char *path);

/* fsync of the folder that holds path. */
VB_MUST_USE int vb_fsync_parent(const char *path);

VB_MUST_USE int vb_fd_set_nonblock(int fd, bool nonblock);
VB_MUST_USE int vb_fd_set_cloexec(int fd, bool cloexec);
