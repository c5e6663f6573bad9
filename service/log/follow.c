/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/follow.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"

struct LogFollow {
        LogName name;
        LogFiles files; /* for reading only */
        Log *log;       /* NULL: closed */
        uid_t uid;
        LogFollowEnded ended;
        void *userdata;

        int fd; /* the pipe */
        sd_event_source *io;
        bool waits; /* all has been given */

        /* What is read; kept open, so that it can be read to its end also when it is removed. */
        int file_fd; /* -EBADF: position is still to be found */
        LogPosition position;
};

/* Puts words of our own into the pipe; if there is no room, they are left out. */
static void say(LogFollow *follow, const char *words) {
        ssize_t n = write(follow->fd, words, strlen(words));

        if (n < 0)
                (void) vb_log_debug_errno(errno, "cannot tell a follower that something is missing: %m");
}

/* 1: there is a file to go on with; 0: not now. */
static int next_file(LogFollow *follow) {
        bool lost = false, newest;
        int fd;

        if (follow->file_fd < 0)
                fd = log_files_open_at(&follow->files, &follow->position, &lost, &newest);
        else
                fd = log_files_open_next(&follow->files, &follow->position, &lost, &newest);
        if (fd == -ENODATA || fd == -ENOENT)
                return 0;
        if (fd < 0)
                return fd;
        (void) vb_close(follow->file_fd);
        follow->file_fd = fd;
        if (lost)
                say(follow, "\n[what was here has been removed before it could be given]\n");
        return 1;
}

/* 1: go on when there is room; 0: all has been given. */
static int give(LogFollow *follow) {
        off_t offset = (off_t) follow->position.offset;
        ssize_t n = 0;

        if (follow->file_fd >= 0)
                n = splice(follow->file_fd, &offset, follow->fd, NULL, LOG_TURN_MAX, SPLICE_F_NONBLOCK);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        if (n == 0)
                return next_file(follow);
        follow->position.offset = (uint64_t) offset;
        return 1;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        LogFollow *follow = userdata;
        int r;

        r = revents & EPOLLERR ? -EPIPE : give(follow);
        if (r == 0 && follow->log) {
                follow->waits = true;
                r = sd_event_source_set_io_events(follow->io, 0); /* its end is told all the same */
                if (r >= 0)
                        return 0;
        }
        if (r > 0)
                return 0;
        if (r < 0 && r != -EPIPE)
                (void) vb_log_warning_errno(r, "cannot go on giving the log '%s/%s': %m", follow->files.folder, follow->files.file);
        follow->ended(follow, follow->userdata);
        return 0;
}

int log_follow_new(LogFollow **ret, LogContext *context, const LogName *name, unsigned max_backups, Log *log, LogPosition position, int fd,
                   uid_t uid, LogFollowEnded ended, void *userdata) {
        g_autoptr(LogFollow) follow = g_new(LogFollow, 1);
        int r;

        *follow = (LogFollow){
                .uid = uid,
                .ended = ended,
                .userdata = userdata,
                .fd = fd,
                .file_fd = -EBADF,
                .position = position,
        };
        r = log_name_init(&follow->name, name->driver, name->owner, name->domain, name->log, /* reterr= */ NULL);
        if (r < 0)
                return r;
        log_files_init(&follow->files, context->root_fd, name, /* max_size= */ 0, max_backups);
        r = sd_event_add_io(context->event, &follow->io, fd, EPOLLOUT, on_io, follow);
        if (r < 0)
                return r;
        if (log) {
                follow->log = log;
                log_add_follower(log, follow);
        }
        *ret = g_steal_pointer(&follow);
        return 0;
}

LogFollow *log_follow_free(LogFollow *follow) {
        if (!follow)
                return NULL;
        if (follow->log)
                log_remove_follower(follow->log, follow);
        sd_event_source_disable_unref(follow->io);
        follow->fd = vb_close(follow->fd);
        follow->file_fd = vb_close(follow->file_fd);
        log_files_done(&follow->files);
        log_name_done(&follow->name);
        g_free(follow);
        return NULL;
}

uid_t log_follow_uid(const LogFollow *follow) {
        return follow->uid;
}

const LogName *log_follow_name(const LogFollow *follow) {
        return &follow->name;
}

LogPosition log_follow_position(const LogFollow *follow) {
        return follow->position;
}

int log_follow_pipe(const LogFollow *follow) {
        return follow->fd;
}

void log_follow_wake(LogFollow *follow) {
        int r;

        if (!follow->waits)
                return;
        follow->waits = false;
        r = sd_event_source_set_io_events(follow->io, EPOLLOUT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot go on giving the log '%s/%s': %m", follow->files.folder, follow->files.file);
}

void log_follow_orphan(LogFollow *follow) {
        follow->log = NULL;
        log_follow_wake(follow);
}
