/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/opener/file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A file is first pinned (O_PATH), which has no effect on it, then looked at, and only then opened, as the very thing that was
 * looked at: so a FIFO never makes us wait, a device that is not wanted is never touched, and a path that is swapped meanwhile
 * changes nothing. */

static int open_path(const char *path, uint64_t flags, mode_t mode) {
        struct open_how how = {
                .flags = flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                .mode = mode,
                /* Links of /proc lead to what other processes have open. */
                .resolve = RESOLVE_NO_MAGICLINKS,
        };
        int fd;

        if (flags & O_PATH)
                how.flags = flags | O_CLOEXEC; /* openat2() takes nothing else with it */
        do
                fd = (int) syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
        while (fd < 0 && errno == EINTR);
        return fd;
}

static const char *kind_to_string(mode_t mode) {
        return S_ISREG(mode)   ? "a regular file"
               : S_ISBLK(mode) ? "a block device"
               : S_ISCHR(mode) ? "a character device"
               : S_ISDIR(mode) ? "a folder"
               : S_ISFIFO(mode) ? "a FIFO"
               : S_ISSOCK(mode) ? "a socket"
                                : "something else";
}

static unsigned kind_of(mode_t mode) {
        return S_ISREG(mode)   ? VB_OPEN_REGULAR
               : S_ISBLK(mode) ? VB_OPEN_BLOCK
               : S_ISCHR(mode) ? VB_OPEN_CHARACTER
               : S_ISDIR(mode) ? VB_OPEN_DIRECTORY
                               : 0u;
}

static const char *kinds_to_string(unsigned kinds) {
        switch (kinds) {
        case VB_OPEN_REGULAR: return "a regular file";
        case VB_OPEN_BLOCK: return "a block device";
        case VB_OPEN_CHARACTER: return "a character device";
        case VB_OPEN_DIRECTORY: return "a folder";
        case VB_OPEN_IMAGE: return "a regular file or a block device";
        default: return "something that can be opened";
        }
}

/* The first folder on the way that we may not enter, for the sentence; false if it is the file itself. */
static bool find_closed_folder(const char *path, char folder[static PATH_MAX]) {
        for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                size_t length = (size_t) (slash - path);

                if (length >= PATH_MAX)
                        return false;
                memcpy(folder, path, length);
                folder[length] = '\0';
                if (faccessat(AT_FDCWD, folder, X_OK, AT_EACCESS) < 0 && errno == EACCES)
                        return true;
        }
        return false;
}

static int explain(int error, const char *path, char sentence[static SENTENCE_MAX]) {
        char folder[PATH_MAX];

        switch (error) {
        case EACCES:
                if (find_closed_folder(path, folder))
                        (void) snprintf(sentence, SENTENCE_MAX,
                                        "%s: permission denied for uid %u, which may not enter the folder %s", path,
                                        (unsigned) geteuid(), folder);
                else
                        (void) snprintf(sentence, SENTENCE_MAX, "%s: permission denied for uid %u", path,
                                        (unsigned) geteuid());
                break;
        case EPERM:
                (void) snprintf(sentence, SENTENCE_MAX, "%s: operation not permitted for uid %u", path,
                                (unsigned) geteuid());
                break;
        case ENOENT: (void) snprintf(sentence, SENTENCE_MAX, "%s: no such file", path); break;
        case ELOOP:
                (void) snprintf(sentence, SENTENCE_MAX,
                                "%s: leads through too many links, or through one that is not followed", path);
                break;
        default: (void) snprintf(sentence, SENTENCE_MAX, "%s: %s", path, strerror(error));
        }
        return error;
}

static int check_kind(const char *path, mode_t mode, unsigned kinds, char sentence[static SENTENCE_MAX]) {
        if (kind_of(mode) & kinds)
                return 0;
        (void) snprintf(sentence, SENTENCE_MAX, "%s: is %s, but must be %s", path, kind_to_string(mode),
                        kinds_to_string(kinds));
        return EOPNOTSUPP;
}

static int flags_of(VbOpenAccess access, mode_t mode) {
        if (S_ISDIR(mode))
                return O_RDONLY | O_DIRECTORY;
        switch (access) {
        case VB_OPEN_WRITE:
        case VB_OPEN_CREATE: return O_RDWR;
        case VB_OPEN_APPEND: return O_WRONLY | O_APPEND;
        default: return O_RDONLY;
        }
}

/* Opens what a pinning descriptor stands for, whatever its path leads to by now. */
static int reopen(int pin, int flags) {
        char link[64];
        int fd;

        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", pin);
        do
                fd = open(link, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        while (fd < 0 && errno == EINTR);
        return fd;
}

/* Everything else about a file that is open; takes the descriptor over. */
static int complete(int fd, const char *path, OpenedFile *ret, char sentence[static SENTENCE_MAX]) {
        OpenedFile file = { .fd = fd };
        int flags = fcntl(fd, F_GETFL), read_only = 0, error;

        if (flags < 0 || fstat(fd, &file.st) < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
                error = errno;
                (void) close(fd);
                return explain(error, path, sentence);
        }
        file.writable = (flags & O_ACCMODE) != O_RDONLY;
        file.size = file.st.st_size > 0 ? (uint64_t) file.st.st_size : 0;
        if (S_ISBLK(file.st.st_mode)) {
                if (ioctl(fd, BLKGETSIZE64, &file.size) < 0)
                        file.size = 0; /* an empty drive */
                file.read_only_device = ioctl(fd, BLKROGET, &read_only) >= 0 && read_only;
        }
        *ret = file;
        return 0;
}

/* A new file; EEXIST if there is one after all, which may be a link that leads nowhere. */
static int create(const char *path, VbOpenAccess access, OpenedFile *ret, char sentence[static SENTENCE_MAX]) {
        int fd = open_path(path, (uint64_t) flags_of(access, S_IFREG) | O_CREAT | O_EXCL, 0600);

        return fd < 0 ? explain(errno, path, sentence) : complete(fd, path, ret, sentence);
}

static int open_pinned(int pin, const char *path, VbOpenAccess access, unsigned kinds, bool fallback, OpenedFile *ret,
                       char sentence[static SENTENCE_MAX]) {
        struct stat st;
        int error, fd;

        if (fstat(pin, &st) < 0)
                return explain(errno, path, sentence);
        error = check_kind(path, st.st_mode, kinds, sentence);
        if (error != 0)
                return error;
        fd = reopen(pin, flags_of(access, st.st_mode));
        if (fd < 0 && fallback && (errno == EACCES || errno == EPERM || errno == EROFS))
                fd = reopen(pin, O_RDONLY);
        return fd < 0 ? explain(errno, path, sentence) : complete(fd, path, ret, sentence);
}

int file_open(const char *path, VbOpenAccess access, unsigned kinds, bool fallback, OpenedFile *ret,
              char sentence[static SENTENCE_MAX]) {
        bool may_create = access == VB_OPEN_CREATE || access == VB_OPEN_APPEND;
        int error, pin;

        for (int attempt = 0; attempt < 3; attempt++) {
                pin = open_path(path, O_PATH, 0);
                if (pin < 0 && errno == ENOENT && may_create && (kinds & VB_OPEN_REGULAR)) {
                        error = create(path, access, ret, sentence);
                        if (error == EEXIST)
                                continue; /* somebody was faster */
                        return error;
                }
                if (pin < 0)
                        return explain(errno, path, sentence);
                error = open_pinned(pin, path, access, kinds, fallback, ret, sentence);
                (void) close(pin);
                return error;
        }
        return explain(ELOOP, path, sentence);
}

int file_take(int fd, const char *path, VbOpenAccess access, unsigned kinds, OpenedFile *ret,
              char sentence[static SENTENCE_MAX]) {
        int flags = fcntl(fd, F_GETFL), error;
        struct stat st;

        if (flags < 0 || fstat(fd, &st) < 0) {
                error = explain(errno, path, sentence);
                (void) close(fd);
                return error;
        }
        error = check_kind(path, st.st_mode, kinds, sentence);
        if (error == 0 && ((flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY ||
                           (access != VB_OPEN_READ && (flags & O_ACCMODE) != O_RDWR))) {
                (void) snprintf(sentence, SENTENCE_MAX, "%s: is not open for %s", path,
                                access == VB_OPEN_READ ? "reading" : "reading and writing");
                error = EACCES;
        }
        if (error != 0) {
                (void) close(fd);
                return error;
        }
        return complete(fd, path, ret, sentence);
}
