/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/log.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "log/follow.h"

/* How long a pipe whose surplus is thrown away is left alone in between: long enough that a flood costs little, short enough for a writer who waits. */
#define DROP_PAUSE_USEC (UINT64_C(5) * 1000)
/* How long one that waits is left alone at most, and after a failure. */
#define WAIT_MIN_USEC (UINT64_C(1) * 1000)
#define WAIT_MAX_USEC (UINT64_C(1) * 1000000)

struct Log {
        LogContext *context;
        LogSpec spec;
        LogFiles files;
        LogEnded ended;
        void *userdata;

        int pipe_fd;
        sd_event_source *io, *timer;
        GQueue followers;
        char *kept;

        uint64_t tokens, tokens_usec; /* bytes that may come now; when that was reckoned */
        uint64_t dropping;            /* bytes of the flood that goes on; 0: there is none */
        bool failing;                 /* the files cannot be written, and that has been told */
};

/* --- What logs have in common --- */

int log_context_init(LogContext *context, sd_event *event, const char *root) {
        int r;

        *context = (LogContext){
                .event = sd_event_ref(event),
                .root_fd = -EBADF,
                .null_fd = -EBADF,
                .peek_fds = { -EBADF, -EBADF },
        };
        r = vb_mkdir(root, 0755);
        if (r < 0)
                return r;
        context->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        context->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (context->root_fd < 0 || context->null_fd < 0 || pipe2(context->peek_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        context->peek = g_malloc(LOG_TURN_MAX);
        return 0;
}

void log_context_done(LogContext *context) {
        context->root_fd = vb_close(context->root_fd);
        context->null_fd = vb_close(context->null_fd);
        vb_closep(&context->peek_fds[0]);
        vb_closep(&context->peek_fds[1]);
        g_free(context->peek);
        context->peek = NULL;
        context->event = sd_event_unref(context->event);
}

void log_spec_done(LogSpec *spec) {
        log_name_done(&spec->name);
        g_free(spec->uuid);
        *spec = (LogSpec){ 0 };
}

/* --- The pipe --- */

static size_t available(const Log *log) {
        int n = 0;

        return ioctl(log->pipe_fd, FIONREAD, &n) >= 0 && n > 0 ? (size_t) n : 0;
}

bool log_has_writer(const Log *log) {
        struct pollfd poll_fd = { .fd = log->pipe_fd, .events = POLLIN };

        return poll(&poll_fd, 1, 0) <= 0 || !(poll_fd.revents & POLLHUP);
}

static int splice_to_file(Log *log, size_t size) {
        while (size > 0) {
                off_t offset = (off_t) log->files.size;
                ssize_t n = splice(log->pipe_fd, NULL, log->files.fd, &offset, size, SPLICE_F_NONBLOCK);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                log->files.size += (uint64_t) n;
                log->spec.written += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

static int splice_to_nothing(Log *log, size_t size) {
        while (size > 0) {
                ssize_t n = splice(log->pipe_fd, NULL, log->context->null_fd, NULL, size, SPLICE_F_NONBLOCK);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                log->spec.dropped += (uint64_t) n;
                log->dropping += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

/* Copies the first bytes of the pipe, which stay in it. Gives how many. */
static ssize_t peek(Log *log, size_t size) {
        LogContext *context = log->context;
        ssize_t n = tee(log->pipe_fd, context->peek_fds[1], MIN(size, LOG_TURN_MAX), SPLICE_F_NONBLOCK);

        return n > 0 ? read(context->peek_fds[0], context->peek, (size_t) n) : n == 0 ? -EIO : -errno;
}

/* Moves so many bytes, which are there. */
static int write_some(Log *log, size_t size) {
        LogFiles *files = &log->files;

        while (size > 0) {
                size_t now = size;
                int r = 0;

                if (files->fd < 0)
                        r = log_files_open(files);
                if (r < 0)
                        return r;
                if (files->size + size > files->max_size) {
                        ssize_t n = peek(log, size);

                        if (n <= 0)
                                return n < 0 ? (int) n : -EIO;
                        now = log_files_room(files, log->context->peek, (size_t) n);
                        if (now < (size_t) n) {
                                r = splice_to_file(log, now);
                                if (r >= 0)
                                        r = log_files_rotate(files);
                                if (r < 0)
                                        return r;
                                size -= now;
                                continue;
                        }
                }
                r = splice_to_file(log, now);
                if (r < 0)
                        return r;
                size -= now;
        }
        return 0;
}

/* --- The rate --- */

static uint64_t now_usec(const Log *log) {
        uint64_t usec = 0;

        (void) sd_event_now(log->context->event, CLOCK_MONOTONIC, &usec);
        return usec;
}

static void reckon(Log *log) {
        const LogContext *context = log->context;
        uint64_t now = now_usec(log), passed = MIN(now - log->tokens_usec, UINT64_C(1000000) * 3600);
        uint64_t more = passed * context->max_rate / 1000000;

        if (context->max_rate == 0) {
                log->tokens = UINT64_MAX / 2;
                return;
        }
        /* What is too little to count as a byte is not forgotten. */
        if (more == 0)
                return;
        log->tokens_usec = now;
        log->tokens = MIN(log->tokens + more, context->max_burst);
}

/* After a flood, so many bytes are let through at once: not a few between each two lines that say what is missing. */
static uint64_t enough(const LogContext *context) {
        return MIN(context->max_rate, context->max_burst);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Log *log = userdata;

        return sd_event_source_set_enabled(log->io, SD_EVENT_ON);
}

static void pause_for(Log *log, uint64_t usec) {
        int r;

        if (log->timer) {
                r = sd_event_source_set_time_relative(log->timer, usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(log->timer, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(log->context->event, &log->timer, CLOCK_MONOTONIC, usec, /* accuracy= */ 1000, on_timer, log);
        if (r >= 0)
                r = sd_event_source_set_enabled(log->io, SD_EVENT_OFF);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot leave the log of '%s' alone for a moment: %m", log->spec.name.domain);
}

static void wait_for_tokens(Log *log) {
        uint64_t wanted = MIN(LOG_TURN_MAX, log->context->max_burst);
        uint64_t usec = log->tokens < wanted ? (wanted - log->tokens) * 1000000 / log->context->max_rate : 0;

        pause_for(log, CLAMP(usec, WAIT_MIN_USEC, WAIT_MAX_USEC));
}

/* --- A turn --- */

static void tell_failure(Log *log, int r) {
        if (!log->failing)
                (void) vb_log_warning_for(VB_LOG_FIELDS(.domain = log->spec.name.domain, .uuid = log->spec.uuid),
                                          "domain '%s': cannot write log '%s/%s', so that it is lost: %s", log->spec.name.domain,
                                          log->files.folder, log->files.file, g_strerror(-r));
        log->failing = true;
}

static int end_dropping(Log *log) {
        g_autofree char *line = g_strdup_printf("\n[%" G_GUINT64_FORMAT " bytes are missing here: they came too fast, or could not be written]\n",
                                                log->dropping);
        int r;

        if (log->files.fd < 0) {
                r = log_files_open(&log->files);
                if (r < 0)
                        return r;
        }
        r = log_files_append(&log->files, line, strlen(line));
        if (r >= 0)
                log->dropping = 0;
        return r;
}

/* Moves up to a turn's worth. Gives how much has left the pipe; less than was there: the rest has to wait. */
static size_t turn(Log *log) {
        size_t there = MIN(available(log), LOG_TURN_MAX), allowed;
        int r = 0;

        if (there == 0)
                return 0;
        reckon(log);
        if (log->dropping > 0 && log->tokens >= enough(log->context))
                r = end_dropping(log);
        allowed = log->dropping > 0 ? 0 : (size_t) MIN(there, log->tokens);
        if (r >= 0 && allowed > 0) {
                uint64_t before = log->spec.written;

                r = write_some(log, allowed);
                log->tokens -= MIN(log->tokens, log->spec.written - before);
                there -= log->spec.written - before;
                allowed = log->spec.written - before;
                log_wake_followers(log);
        }
        if (r < 0)
                tell_failure(log, r);
        else if (allowed > 0)
                log->failing = false;
        if (there == 0)
                return allowed;
        /* Whoever may still write is waited for; what the dead have left behind cannot wait for a disk that is full. */
        if (log->spec.wait && (r >= 0 || log_has_writer(log))) {
                if (r < 0)
                        pause_for(log, WAIT_MAX_USEC);
                else
                        wait_for_tokens(log);
                return allowed;
        }
        if (r < 0)
                log->tokens = 0; /* not again before a second has passed */
        r = splice_to_nothing(log, there);
        if (r < 0)
                (void) vb_log_debug_errno(r, "cannot empty a pipe: %m");
        pause_for(log, DROP_PAUSE_USEC);
        return allowed + there;
}

static void check_end(Log *log) {
        if (available(log) > 0 || log_has_writer(log))
                return;
        if (log->dropping > 0)
                (void) end_dropping(log);
        log->ended(log, log->userdata);
}

/* Edge-triggered: sd-event serves one source in a turn of the loop, and of thousands that are ready it would collect all anew in each. What is left
 * is asked for again. */
#define EVENTS (EPOLLIN | EPOLLET)

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Log *log = userdata;
        int enabled = SD_EVENT_ON;

        (void) turn(log);
        (void) sd_event_source_get_enabled(source, &enabled);
        if (enabled != SD_EVENT_OFF && available(log) > 0)
                return sd_event_source_set_io_events(source, EVENTS);
        if (revents & (EPOLLHUP | EPOLLERR))
                check_end(log);
        return 0;
}

void log_drain(Log *log) {
        size_t left = available(log);

        while (left > 0) {
                size_t n = turn(log);

                if (n == 0)
                        return;
                left -= MIN(n, left);
        }
}

/* --- The log --- */

int log_new(Log **ret, LogContext *context, LogSpec *spec, int pipe_fd, LogEnded ended, void *userdata) {
        g_autoptr(Log) log = g_new(Log, 1);
        int r;

        *log = (Log){
                .context = context,
                .spec = *spec,
                .ended = ended,
                .userdata = userdata,
                .pipe_fd = pipe_fd,
                .tokens = context->max_burst,
        };
        *spec = (LogSpec){ 0 };
        log->tokens_usec = now_usec(log);
        log_files_init(&log->files, context->root_fd, &log->spec.name, log->spec.max_size, log->spec.max_backups);
        r = log_files_open(&log->files);
        if (r < 0)
                return r;
        r = sd_event_add_io(context->event, &log->io, pipe_fd, EVENTS, on_io, log);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&log);
        return 0;
}

Log *log_free(Log *log) {
        LogFollow *follow;

        if (!log)
                return NULL;
        while ((follow = g_queue_pop_head(&log->followers)))
                log_follow_orphan(follow);
        sd_event_source_disable_unref(log->io);
        sd_event_source_disable_unref(log->timer);
        log->pipe_fd = vb_close(log->pipe_fd);
        log_files_done(&log->files);
        log_spec_done(&log->spec);
        g_free(log->kept);
        g_free(log);
        return NULL;
}

void log_set_kept(Log *log, const char *id) {
        g_free(log->kept);
        log->kept = g_strdup(id);
}

const char *log_get_kept(const Log *log) {
        return log->kept;
}

const LogSpec *log_get_spec(const Log *log) {
        return &log->spec;
}

LogFiles *log_get_files(Log *log) {
        return &log->files;
}

int log_get_pipe(const Log *log) {
        return log->pipe_fd;
}

void log_wake_followers(Log *log) {
        for (GList *link = log->followers.head; link; link = link->next)
                log_follow_wake(link->data);
}

void log_add_follower(Log *log, LogFollow *follow) {
        g_queue_push_tail(&log->followers, follow);
}

void log_remove_follower(Log *log, LogFollow *follow) {
        (void) g_queue_remove(&log->followers, follow);
}
