/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

/* A backup's number, or the file that is written. */
#define NEWEST (-1)

void log_files_init(LogFiles *files, int root_fd, const LogName *name, uint64_t max_size, unsigned max_backups) {
        *files = (LogFiles){
                .root_fd = root_fd,
                .folder = log_name_folder(name),
                .file = log_name_file(name),
                .fd = -EBADF,
                .max_size = max_size,
                .max_backups = MIN(max_backups, LOG_BACKUPS_MAX),
        };
}

static void close_file(LogFiles *files) {
        files->fd = vb_close(files->fd);
        files->size = 0;
        files->id = 0;
}

void log_files_done(LogFiles *files) {
        close_file(files);
        g_free(files->folder);
        g_free(files->file);
        *files = (LogFiles){ .fd = -EBADF };
}

static int open_folder(const LogFiles *files) {
        return vb_openat2(files->root_fd, files->folder, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* Only the daemon goes in: what it gives to others, it gives by its interface. */
static int make_folder(const LogFiles *files) {
        g_auto(GStrv) parts = g_strsplit(files->folder, "/", -1);
        vb_autofd dir = fcntl(files->root_fd, F_DUPFD_CLOEXEC, 3);

        for (char **part = parts; *part && dir >= 0; part++) {
                vb_autofd parent = vb_steal_fd(&dir);

                if (mkdirat(parent, *part, 0700) < 0 && errno != EEXIST)
                        return -errno;
                dir = vb_openat2(parent, *part, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
                if (dir < 0)
                        return dir;
        }
        return dir < 0 ? -errno : vb_steal_fd(&dir);
}

/* Into a buffer for a file's name. */
static const char *file_name(const LogFiles *files, int number, char buffer[static NAME_MAX + 1]) {
        if (number == NEWEST)
                return files->file;
        (void) snprintf(buffer, NAME_MAX + 1, "%s.%d", files->file, number);
        return buffer;
}

/* Never 0. Where a file system does not know when a file was born, it is the inode alone. */
static uint64_t id_of(const struct statx *stx) {
        uint64_t id = stx->stx_ino;

        if (stx->stx_mask & STATX_BTIME)
                id ^= ((uint64_t) stx->stx_btime.tv_sec * 1000000000 + stx->stx_btime.tv_nsec) * UINT64_C(0x9e3779b97f4a7c15);
        return id != 0 ? id : 1;
}

#define STATX_WANTED (STATX_TYPE | STATX_INO | STATX_NLINK | STATX_UID | STATX_SIZE | STATX_MTIME | STATX_BTIME)

static int open_one(const LogFiles *files, int dir, int number, uint64_t flags, mode_t mode, uint64_t *ret_id, uint64_t *ret_size) {
        char buffer[NAME_MAX + 1];
        struct statx stx;
        vb_autofd fd = vb_openat2(dir, file_name(files, number, buffer), flags | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, mode,
                                  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

        if (fd < 0)
                return fd;
        if (statx(fd, "", AT_EMPTY_PATH, STATX_WANTED, &stx) < 0)
                return -errno;
        /* A fifo, or a further name of a file from elsewhere, in a folder that is the daemon's own: somebody has led it here. */
        if (!S_ISREG(stx.stx_mode) || stx.stx_nlink > 1 || stx.stx_uid != geteuid())
                return -EPERM;
        *ret_id = id_of(&stx);
        *ret_size = stx.stx_size;
        return vb_steal_fd(&fd);
}

/* --- Writing --- */

/* Without O_APPEND, as splice() does not write to such files; nobody else writes to it. */
static int open_newest(LogFiles *files, int dir) {
        uint64_t id, size;
        int fd = open_one(files, dir, NEWEST, O_RDWR | O_CREAT, 0600, &id, &size);

        if (fd < 0)
                return fd;
        close_file(files);
        files->fd = fd;
        files->size = size;
        files->id = id;
        return 0;
}

int log_files_open(LogFiles *files) {
        vb_autofd dir = open_folder(files);

        if (dir == -ENOENT)
                dir = make_folder(files);
        if (dir < 0)
                return dir;
        return open_newest(files, dir);
}

static int rename_one(const LogFiles *files, int dir, int from, int to) {
        char from_buffer[NAME_MAX + 1], to_buffer[NAME_MAX + 1];

        if (renameat(dir, file_name(files, from, from_buffer), dir, file_name(files, to, to_buffer)) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

/* A crash in between leaves a number without a file: nothing is lost, and the next rotation fills it. */
int log_files_rotate(LogFiles *files) {
        bool was_open = files->fd >= 0;
        vb_autofd dir = open_folder(files);
        char buffer[NAME_MAX + 1];
        const char *last;
        int r;

        if (dir < 0)
                return dir;
        last = file_name(files, (int) files->max_backups - 1, buffer);
        if (unlinkat(dir, last, 0) < 0 && errno != ENOENT)
                return -errno;
        for (int i = (int) files->max_backups - 2; i >= NEWEST; i--) {
                r = rename_one(files, dir, i, i + 1);
                if (r < 0)
                        return r;
        }
        close_file(files);
        return was_open ? open_newest(files, dir) : 0;
}

static bool ends_with_line(const LogFiles *files) {
        char last;

        return files->size > 0 && pread(files->fd, &last, 1, (off_t) files->size - 1) == 1 && last == '\n';
}

size_t log_files_room(const LogFiles *files, const char *text, size_t size) {
        uint64_t room = files->size < files->max_size ? files->max_size - files->size : 0;
        const char *newline;

        if (size <= room)
                return size;
        newline = room > 0 ? memrchr(text, '\n', (size_t) room) : NULL;
        if (newline)
                return (size_t) (newline - text) + 1;
        return ends_with_line(files) ? 0 : (size_t) room;
}

int log_files_append(LogFiles *files, const char *text, size_t size) {
        while (size > 0) {
                size_t n = log_files_room(files, text, size);
                int r = n > 0 ? vb_write_at(files->fd, text, n, files->size) : 0;

                if (r < 0)
                        return r;
                files->size += n;
                text += n;
                size -= n;
                r = size > 0 ? log_files_rotate(files) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Reading --- */

/* Opens the first readable file from number on downwards: the next newer one. */
static int open_newer(const LogFiles *files, int dir, int number, LogPosition *ret, bool *ret_newest) {
        for (int i = number; i >= NEWEST; i--) {
                uint64_t id, size;
                int fd = open_one(files, dir, i, O_RDONLY, 0, &id, &size);

                if (fd < 0)
                        continue;
                *ret = (LogPosition){ .file = id };
                *ret_newest = i == NEWEST;
                return fd;
        }
        return -ENOENT;
}

/* The number of a file; -ENOENT: it is gone. Gaps are possible. */
static int find_number(const LogFiles *files, int dir, uint64_t id, int *ret) {
        for (int i = NEWEST; i < (int) LOG_BACKUPS_MAX; i++) {
                char buffer[NAME_MAX + 1];
                struct statx stx;

                if (statx(dir, file_name(files, i, buffer), AT_SYMLINK_NOFOLLOW, STATX_WANTED, &stx) < 0) {
                        if (errno == ENOENT && i >= (int) files->max_backups)
                                break;
                        continue;
                }
                if (id_of(&stx) == id) {
                        *ret = i;
                        return 0;
                }
        }
        return -ENOENT;
}

/* The number of the oldest. There may be more than are to be kept now: the setting was another one. */
static int find_oldest(const LogFiles *files, int dir) {
        int oldest = NEWEST;

        for (int i = 0; i < (int) LOG_BACKUPS_MAX; i++) {
                char buffer[NAME_MAX + 1];

                if (faccessat(dir, file_name(files, i, buffer), F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                        oldest = i;
                else if (i >= (int) files->max_backups)
                        break;
        }
        return oldest;
}

int log_files_open_at(const LogFiles *files, LogPosition *position, bool *ret_lost, bool *ret_newest) {
        vb_autofd dir = open_folder(files);
        int number;

        if (dir < 0)
                return dir;
        *ret_lost = false;
        if (position->file != 0 && find_number(files, dir, position->file, &number) >= 0) {
                LogPosition found;
                int fd = open_newer(files, dir, number, &found, ret_newest);

                if (fd >= 0 && found.file == position->file)
                        return fd;
                (void) vb_close(fd);
        }
        *ret_lost = position->file != 0;
        return open_newer(files, dir, find_oldest(files, dir), position, ret_newest);
}

int log_files_open_next(const LogFiles *files, LogPosition *position, bool *ret_lost, bool *ret_newest) {
        vb_autofd dir = open_folder(files);
        int number, fd;

        if (dir < 0)
                return dir;
        *ret_lost = find_number(files, dir, position->file, &number) < 0;
        if (*ret_lost)
                return open_newer(files, dir, find_oldest(files, dir), position, ret_newest);
        if (number == NEWEST)
                return -ENODATA;
        fd = open_newer(files, dir, number - 1, position, ret_newest);
        return fd == -ENOENT ? -ENODATA : fd;
}

/* Calls each with the files from position on, until it says that this is enough. */
typedef bool (*EachFile)(int fd, uint64_t size, LogPosition *position, void *userdata);

static int walk(const LogFiles *files, LogPosition *position, EachFile each, void *userdata) {
        bool lost, newest;
        int fd = log_files_open_at(files, position, &lost, &newest);

        /* Files may be rotated between two turns only by ourselves, never while this goes on: so it ends. */
        for (unsigned i = 0; fd >= 0 && i <= LOG_BACKUPS_MAX + 1; i++) {
                LogPosition next;
                struct stat st;

                if (fstat(fd, &st) < 0)
                        st.st_size = 0;
                position->offset = MIN(position->offset, (uint64_t) st.st_size);
                if (each(fd, (uint64_t) st.st_size, position, userdata)) {
                        (void) vb_close(fd);
                        return 0;
                }
                (void) vb_close(fd);
                next = *position;
                fd = log_files_open_next(files, &next, &lost, &newest);
                if (fd >= 0)
                        *position = next;
        }
        return fd == -ENODATA ? 0 : fd < 0 ? fd : 0;
}

static bool advance_in(int fd, uint64_t size, LogPosition *position, void *userdata) {
        uint64_t *left = userdata, step = MIN(*left, size - position->offset);

        position->offset += step;
        *left -= step;
        return *left == 0;
}

int log_files_advance(const LogFiles *files, LogPosition *position, uint64_t bytes) {
        return bytes > 0 ? walk(files, position, advance_in, &bytes) : 0;
}

static bool count_in(int fd, uint64_t size, LogPosition *position, void *userdata) {
        uint64_t *total = userdata;

        *total += size - position->offset;
        return false;
}

int log_files_to_tail(const LogFiles *files, LogPosition *position, uint64_t bytes) {
        LogPosition end = *position;
        uint64_t total = 0;
        int r;

        r = walk(files, &end, count_in, &total);
        if (r < 0)
                return r;
        return total > bytes ? log_files_advance(files, position, total - bytes) : 0;
}

typedef struct Reading {
        char *buffer;
        size_t max, size;
        int r;
} Reading;

static bool read_in(int fd, uint64_t size, LogPosition *position, void *userdata) {
        Reading *reading = userdata;

        while (reading->size < reading->max) {
                ssize_t n = pread(fd, reading->buffer + reading->size, reading->max - reading->size, (off_t) position->offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        reading->r = -errno;
                if (n <= 0)
                        break;
                reading->size += (size_t) n;
                position->offset += (uint64_t) n;
        }
        return reading->r < 0 || reading->size == reading->max;
}

int log_files_read(const LogFiles *files, LogPosition *position, void *buffer, size_t max, size_t *ret_size) {
        Reading reading = { .buffer = buffer, .max = max };
        int r;

        r = walk(files, position, read_in, &reading);
        if (r >= 0)
                r = reading.r;
        if (r < 0)
                return r;
        *ret_size = reading.size;
        return 0;
}

int log_files_stat(const LogFiles *files, uint64_t *ret_size, unsigned *ret_backups) {
        vb_autofd dir = open_folder(files);
        struct stat st = { 0 };
        bool has_newest;
        int oldest;

        if (dir < 0)
                return dir;
        has_newest = fstatat(dir, files->file, &st, AT_SYMLINK_NOFOLLOW) >= 0;
        oldest = find_oldest(files, dir);
        if (!has_newest && oldest == NEWEST)
                return -ENOENT;
        *ret_size = (uint64_t) st.st_size;
        *ret_backups = (unsigned) (oldest + 1);
        return 0;
}

int log_files_remove_older(const LogFiles *files, time_t time) {
        vb_autofd dir = open_folder(files);

        if (dir < 0)
                return dir;
        for (int i = find_oldest(files, dir); i >= NEWEST; i--) {
                char buffer[NAME_MAX + 1];
                const char *name = file_name(files, i, buffer);
                struct stat st;

                if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtim.tv_sec >= time)
                        continue;
                if (unlinkat(dir, name, 0) < 0)
                        return -errno;
        }
        return 0;
}
