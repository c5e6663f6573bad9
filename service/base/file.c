/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/compare.h"
#include "base/file-private.h"
#include "base/log.h"

#define REMOVE_DEPTH_MAX 64

int vb_openat2(int dir_fd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve) {
        struct open_how how = {
                .flags = flags | O_CLOEXEC,
                .mode = mode & 07777,
                .resolve = resolve,
        };
        int fd;

        do
                fd = (int) syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
        while (fd < 0 && (errno == EINTR || (errno == EAGAIN && resolve != 0))); /* EAGAIN: a rename raced with ".." */
        return fd < 0 ? -errno : fd;
}

int vb_file_read_fd(int fd, size_t max_size, char **ret, size_t *ret_size) {
        g_autofree char *data = NULL;
        size_t size = 0, room;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        /* A hint, no more: each file of sysfs says that it has a page, whatever is in it. */
        room = S_ISREG(st.st_mode) ? (size_t) st.st_size + 1 : 4096;
        room = CLAMP(room, 512, max_size + 1);
        data = g_malloc(room + 1);

        for (;;) {
                ssize_t n;

                if (size == room) {
                        if (size > max_size)
                                return -EFBIG;
                        room = room > max_size / 2 ? max_size + 1 : room * 2;
                        data = g_realloc(data, room + 1);
                }
                n = read(fd, data + size, room - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        if (size > max_size)
                return -EFBIG;

        data[size] = '\0';
        if (ret_size)
                *ret_size = size;
        *ret = g_steal_pointer(&data);
        return 0;
}

int vb_file_read(int dir_fd, const char *path, size_t max_size, char **ret, size_t *ret_size) {
        vb_autofd fd = -EBADF;
        struct stat st;

        /* O_NONBLOCK: whoever puts a FIFO there must not make us wait for a writer. */
        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOTSUP;
        return vb_file_read_fd(fd, max_size, ret, ret_size);
}

int vb_write_all(int fd, const void *data, size_t size) {
        const char *at = data;

        while (size > 0) {
                ssize_t n = write(fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                at += n;
                size -= (size_t) n;
        }
        return 0;
}

int vb_read_at(int fd, void *data, size_t size, uint64_t offset) {
        for (size_t done = 0; done < size;) {
                ssize_t n = pread(fd, (char *) data + done, size - done, (off_t) (offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENODATA;
                done += (size_t) n;
        }
        return 0;
}

int vb_write_at(int fd, const void *data, size_t size, uint64_t offset) {
        for (size_t done = 0; done < size;) {
                ssize_t n = pwrite(fd, (const char *) data + done, size - done, (off_t) (offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        return 0;
}

int vb_file_write_temporary(const char *path, const void *data, size_t size, mode_t mode, char **ret, int *ret_fd) {
        g_autofree char *temporary = NULL;
        vb_autofd fd = -EBADF;
        const char *name;
        int r;

        name = strrchr(path, '/');
        name = name ? name + 1 : path;
        if (name[0] == '\0')
                return -EISDIR;

        /* The random part goes in place of the end of an overlong name; the dot keeps it out of listings by suffix. */
        for (unsigned attempt = 0; attempt < 100; attempt++) {
                g_free(temporary);
                temporary = g_strdup_printf("%.*s.#%.200s%08x", (int) (name - path), path, name, g_random_int());
                fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
                if (fd >= 0 || errno != EEXIST)
                        break;
        }
        if (fd < 0)
                return -errno;

        r = vb_write_all(fd, data, size);
        if (r >= 0 && fchmod(fd, mode & 07777) < 0) /* whatever the umask is */
                r = -errno;
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }

        *ret = g_steal_pointer(&temporary);
        *ret_fd = vb_steal_fd(&fd);
        return 0;
}

bool vb_file_is_temporary(const char *name) {
        enum { PREFIX = 2, RANDOM = 8 };
        size_t length = strlen(name);

        return g_str_has_prefix(name, ".#") && length > PREFIX + RANDOM &&
               strspn(name + length - RANDOM, "0123456789abcdef") == RANDOM;
}

int vb_file_write(const char *path, const void *data, size_t size, mode_t mode) {
        g_autofree char *temporary = NULL;
        vb_autofd fd = -EBADF;
        int r;

        r = vb_file_write_temporary(path, data, size, mode, &temporary, &fd);
        if (r < 0)
                return r;
        if (fsync(fd) < 0 || rename(temporary, path) < 0) {
                r = -errno;
                (void) unlink(temporary);
                return r;
        }
        return vb_fsync_parent(path);
}

int vb_fsync_parent(const char *path) {
        g_autofree char *folder = g_path_get_dirname(path);
        vb_autofd fd = -EBADF;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int make_folder(const char *path, mode_t mode) {
        struct stat st;

        if (mkdir(path, 0700) >= 0)
                return chmod(path, mode & 07777) < 0 ? -errno : 0;
        if (errno != EEXIST)
                return -errno;
        if (lstat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int vb_mkdir(const char *path, mode_t mode) {
        g_autofree char *parent = NULL;
        struct stat st;
        int r;

        r = make_folder(path, mode);
        if (r != -ENOENT)
                return r;

        parent = g_path_get_dirname(path);
        if (strcmp(parent, path) == 0 || strcmp(parent, ".") == 0)
                return r;
        /* A parent may well be a link: /var/run is one. */
        if (stat(parent, &st) < 0) {
                r = errno == ENOENT ? vb_mkdir(parent, 0755) : -errno;
                if (r < 0)
                        return r;
        }
        return make_folder(path, mode);
}

static int remove_at(int dir_fd, const char *name, dev_t device, unsigned depth);

int vb_folder_list(const char *path, GPtrArray **ret) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        struct dirent *entry;
        DIR *folder = opendir(path);
        int r;

        if (!folder)
                return -errno;
        while (errno = 0, entry = readdir(folder)) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (vb_file_is_temporary(entry->d_name)) {
                        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0)
                                (void) vb_log_warning_errno(errno, "cannot remove '%s/%s': %m", path, entry->d_name);
                } else
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        }
        r = -errno;
        (void) closedir(folder);
        if (r < 0)
                return r;
        g_ptr_array_sort(names, vb_compare_texts);
        *ret = g_steal_pointer(&names);
        return 0;
}

/* Takes the descriptor over. */
static int remove_contents(int folder_fd, dev_t device, unsigned depth) {
        DIR *folder = fdopendir(folder_fd);
        struct dirent *entry;
        int r = 0;

        if (!folder) {
                r = -errno;
                (void) close(folder_fd);
                return r;
        }
        while (errno = 0, entry = readdir(folder)) {
                int q;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                q = remove_at(dirfd(folder), entry->d_name, device, depth);
                if (q < 0 && r >= 0)
                        r = q; /* the rest goes all the same */
        }
        if (errno != 0 && r >= 0)
                r = -errno;
        (void) closedir(folder);
        return r;
}

static int remove_at(int dir_fd, const char *name, dev_t device, unsigned depth) {
        vb_autofd fd = -EBADF;
        struct stat st;
        int r;

        /* Also right for links, which are removed and not followed. */
        if (unlinkat(dir_fd, name, 0) >= 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return -errno;
        if (depth == 0)
                return -ELOOP;

        fd = vb_openat2(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_dev != device)
                return -EXDEV;

        r = remove_contents(vb_steal_fd(&fd), device, depth - 1);
        if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r >= 0)
                r = -errno;
        return r;
}

int vb_remove_tree(int dir_fd, const char *path) {
        g_autofree char *parent = NULL, *name = NULL;
        vb_autofd parent_fd = -EBADF;
        struct stat st;

        name = g_path_get_basename(path);
        if (path[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0)
                return -EINVAL;

        parent = g_path_get_dirname(path);
        parent_fd = vb_openat2(dir_fd, parent, O_RDONLY | O_DIRECTORY, 0,
                               dir_fd == AT_FDCWD ? RESOLVE_NO_MAGICLINKS : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (parent_fd == -ENOENT)
                return 0;
        if (parent_fd < 0)
                return parent_fd;
        if (fstat(parent_fd, &st) < 0)
                return -errno;
        return remove_at(parent_fd, name, st.st_dev, REMOVE_DEPTH_MAX);
}

static int change_flag(int fd, int get, int set, int flag, bool on) {
        int flags = fcntl(fd, get);

        if (flags < 0)
                return -errno;
        if (((flags & flag) != 0) == on)
                return 0;
        return fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0 ? -errno : 0;
}

int vb_fd_set_nonblock(int fd, bool nonblock) {
        return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, nonblock);
}

int vb_fd_set_cloexec(int fd, bool cloexec) {
        return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, cloexec);
}
