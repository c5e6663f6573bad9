/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process-child.h"

#define CAPTURE_SIZE_DEFAULT (16u * 1024)
#define CAPTURE_SIZE_MAX (16u * 1024 * 1024)
#define READ_SIZE 4096u
#define READS_PER_TURN 16

/* One captured stream: the last max bytes of what came. */
typedef struct Capture {
        int fd;
        sd_event_source *source;
        GString *data;
        size_t max;
} Capture;

struct VbProcess {
        /* configured */
        char *path;
        bool child; /* of ours, so ours to reap */
        bool kill_on_free;
        const char *enroll_with;
        VbProcessAtGate at_gate;
        VbProcessStarted started;
        VbProcessExited exited;
        void *userdata;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while a callback runs */
        bool freed;
        bool executing;  /* the child said that it is about to */
        bool start_told; /* started() was called */
        bool exit_told;
        pid_t pid;
        uint64_t start_time;
        int pidfd;
        int status_fd;
        int gate_fd;
        Capture captures[2]; /* of stdout and stderr */
        char *text;          /* what get_output() and get_errors() lend out */

        sd_event *event;
        sd_event_source *pid_source;
        sd_event_source *status_source;
};

static void capture_done(Capture *capture) {
        capture->source = sd_event_source_disable_unref(capture->source);
        capture->fd = vb_close(capture->fd);
}

static VbProcess *process_unref(VbProcess *process) {
        if (--process->n_ref > 0)
                return NULL;
        sd_event_source_disable_unref(process->pid_source);
        sd_event_source_disable_unref(process->status_source);
        for (int i = 0; i < 2; i++) {
                capture_done(&process->captures[i]);
                if (process->captures[i].data)
                        (void) g_string_free(process->captures[i].data, true);
        }
        vb_close(process->pidfd);
        vb_close(process->status_fd);
        vb_close(process->gate_fd);
        sd_event_unref(process->event);
        g_free(process->text);
        g_free(process->path);
        g_free(process);
        return NULL;
}
typedef VbProcess ProcessRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProcessRef, process_unref)

static VbProcess *process_ref(VbProcess *process) {
        process->n_ref++;
        return process;
}

static VbProcess *process_new(sd_event *event) {
        VbProcess *process = g_new0(VbProcess, 1);

        process->n_ref = 1;
        process->event = sd_event_ref(event);
        process->pidfd = process->status_fd = process->gate_fd = -EBADF;
        process->captures[0].fd = process->captures[1].fd = -EBADF;
        return process;
}

/* Field 22 of /proc/PID/stat. The second field, the name in parentheses, may hold anything. */
int vb_process_read_start_time(pid_t pid, uint64_t *ret) {
        g_autofree char *text = NULL;
        char path[64], *at;
        int r;

        (void) snprintf(path, sizeof path, "/proc/%d/stat", pid);
        r = vb_file_read(AT_FDCWD, path, 4096, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        at = strrchr(text, ')');
        for (int field = 2; at && field < 22; field++) {
                at = strchr(at, ' ');
                at = at ? at + 1 : NULL;
        }
        return at && sscanf(at, "%" G_GUINT64_FORMAT, ret) == 1 ? 0 : -EBADMSG;
}

/* false when there is nothing more for now */
static bool capture_read(Capture *capture) {
        char data[READ_SIZE];
        ssize_t n;

        n = read(capture->fd, data, sizeof data);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return errno == EINTR;
        if (n <= 0) {
                capture_done(capture);
                return false;
        }
        (void) g_string_append_len(capture->data, data, n);
        if (capture->data->len > 2 * capture->max) /* seldom, so that moving the rest stays cheap */
                (void) g_string_erase(capture->data, 0, (gssize) (capture->data->len - capture->max));
        return true;
}

static int on_capture(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Capture *capture = userdata;

        for (int i = 0; i < READS_PER_TURN && capture_read(capture); i++)
                ;
        return 0;
}

/* What the child wrote before its end; not what its own children go on to write. */
static void capture_drain(Capture *capture) {
        for (int i = 0; capture->fd >= 0 && i < 1024 && capture_read(capture); i++)
                ;
        capture_done(capture);
}

static void tell_started(VbProcess *process, int r, int step) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        process->status_source = sd_event_source_disable_unref(process->status_source);
        process->status_fd = vb_close(process->status_fd);
        process->gate_fd = vb_close(process->gate_fd);
        process->start_told = true;
        if (!process->started)
                return;
        if (r < 0)
                (void) sd_bus_error_setf(&error, VB_ERROR_OPERATION_FAILED, "program '%s': cannot %s%s: %s", process->path,
                                         vb_child_step_to_string(step), step == VB_CHILD_ENROLL ? process->enroll_with : "",
                                         g_strerror(-r));
        process->started(process, r, &error, process->userdata);
}

static void tell_at_gate(VbProcess *process) {
        VbProcessAtGate at_gate = g_steal_pointer(&process->at_gate);

        if (at_gate && process->gate_fd >= 0)
                at_gate(process, process->userdata);
}

/* The status pipe: a failure, the notices at the gate and before exec, the end of file that exec's closing makes. */
static void read_status(VbProcess *process) {
        while (!process->start_told && !process->freed) {
                VbChildStatus status;
                ssize_t n;

                n = read(process->status_fd, &status, sizeof status);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n != sizeof status)
                        tell_started(process, process->executing ? 0 : -ECANCELED, _VB_CHILD_STEP_MAX);
                else if (status.error != 0)
                        tell_started(process, -status.error, status.step);
                else if (status.step == VB_CHILD_GATE)
                        tell_at_gate(process);
                else
                        process->executing = true;
        }
}

static int on_status(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        g_autoptr(ProcessRef) process = process_ref(userdata);

        read_status(process);
        return 0;
}

static void reap(VbProcess *process, VbProcessExit *ret) {
        siginfo_t info = { 0 };

        if (process->child && waitid(P_PIDFD, (id_t) process->pidfd, &info, WEXITED | WNOHANG) >= 0 &&
            info.si_pid != 0)
                *ret = (VbProcessExit) { .code = info.si_code, .status = info.si_status };
        else
                *ret = (VbProcessExit) { 0 };
}

static int on_exit_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        g_autoptr(ProcessRef) process = process_ref(userdata);
        VbProcessExit exit;

        /* The start is told before the end. The pipe's end of file may stay away only if exec went well. */
        if (!process->start_told) {
                read_status(process);
                if (!process->start_told && !process->freed)
                        tell_started(process, process->executing ? 0 : -ECANCELED, _VB_CHILD_STEP_MAX);
                if (process->freed)
                        return 0;
        }

        process->exit_told = true;
        process->pid_source = sd_event_source_disable_unref(process->pid_source);
        reap(process, &exit);
        for (int i = 0; i < 2; i++)
                capture_drain(&process->captures[i]);
        if (process->exited)
                process->exited(process, &exit, process->userdata);
        return 0;
}

/* For a child whose VbProcess is gone: only there so that no zombie stays. */
static int on_orphan_exit(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        siginfo_t info;

        (void) waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG);
        sd_event_source_disable_unref(source); /* drops the loop's reference, and closes fd */
        return 0;
}

static void leave_to_reaper(sd_event *event, int pidfd) {
        sd_event_source *source = NULL;

        if (sd_event_add_io(event, &source, pidfd, EPOLLIN, on_orphan_exit, NULL) < 0) {
                vb_close(pidfd);
                return;
        }
        (void) sd_event_source_set_description(source, "orphan");
        (void) sd_event_source_set_io_fd_own(source, true);
        (void) sd_event_source_set_floating(source, true);
        sd_event_source_unref(source); /* the loop holds it now */
}

VbProcess *vb_process_free(VbProcess *process) {
        if (!process || process->freed)
                return NULL;
        process->freed = true;
        process->gate_fd = vb_close(process->gate_fd);
        process->status_source = sd_event_source_disable_unref(process->status_source);
        process->pid_source = sd_event_source_disable_unref(process->pid_source);
        if (process->pidfd >= 0 && !process->exit_told) {
                if (process->kill_on_free)
                        (void) pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
                if (process->child)
                        leave_to_reaper(process->event, vb_steal_fd(&process->pidfd));
        }
        return process_unref(process);
}

static int make_capture(VbProcess *process, Capture *capture, size_t size, int *ret_child_end) {
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        *ret_child_end = ends[1];
        capture->fd = ends[0];
        capture->max = CLAMP(size ?: CAPTURE_SIZE_DEFAULT, 1, CAPTURE_SIZE_MAX);
        capture->data = g_string_new(NULL);
        r = vb_fd_set_nonblock(capture->fd, true);
        if (r < 0)
                return r;
        return sd_event_add_io(process->event, &capture->source, capture->fd, EPOLLIN, on_capture, capture);
}

/* The descriptor each stream shall be in the child; owned ones are noted for closing. */
static int choose_streams(VbProcess *process, const VbProcessSpec *spec, int streams[static 3],
                          int owned[static 3]) {
        const VbProcessStream *wanted[] = { &spec->in, &spec->out, &spec->err };

        for (int i = 0; i < 3; i++) {
                int r;

                switch (wanted[i]->kind) {
                case VB_STREAM_NULL: streams[i] = -EBADF; break;
                case VB_STREAM_INHERIT: streams[i] = i; break;
                case VB_STREAM_FD: streams[i] = wanted[i]->fd; break;
                case VB_STREAM_CAPTURE:
                        g_assert(i > 0);
                        r = make_capture(process, &process->captures[i - 1], spec->capture_size, &owned[i]);
                        if (r < 0)
                                return r;
                        streams[i] = owned[i];
                        break;
                default: g_assert_not_reached();
                }
        }
        return 0;
}

static int watch(VbProcess *process) {
        int r;

        r = sd_event_add_io(process->event, &process->pid_source, process->pidfd, EPOLLIN, on_exit_event, process);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(process->pid_source, "process");
        if (process->status_fd < 0)
                return 0;
        return sd_event_add_io(process->event, &process->status_source, process->status_fd, EPOLLIN, on_status,
                               process);
}

/* Forks with all signals blocked, so that none of the daemon's handlers can run in the child. */
static int fork_child(VbProcess *process, const VbProcessSpec *spec, const int streams[static 3], int status_fd,
                      int gate_fd) {
        sigset_t all, before;
        pid_t parent = getpid(), pid;
        int saved;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = fork();
        saved = errno;
        if (pid == 0)
                vb_process_child(spec, streams, status_fd, gate_fd, parent);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (pid < 0)
                return -saved;

        process->pid = pid;
        process->child = true;
        process->pidfd = pidfd_open(pid, 0);
        if (process->pidfd < 0) {
                saved = errno;
                (void) kill(pid, SIGKILL); /* not reaped yet, so the number is still its own */
                (void) waitpid(pid, NULL, 0);
                process->child = false;
                return -saved;
        }
        return 0;
}

static int spawn(VbProcess *process, const VbProcessSpec *spec) {
        vb_autofd status_end = -EBADF, gate_end = -EBADF, owned_out = -EBADF, owned_err = -EBADF;
        int streams[3], owned[3] = { -EBADF, -EBADF, -EBADF }, ends[2], r;

        r = choose_streams(process, spec, streams, owned);
        owned_out = owned[1];
        owned_err = owned[2];
        if (r < 0)
                return r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        process->status_fd = ends[0];
        status_end = ends[1];
        r = vb_fd_set_nonblock(process->status_fd, true);
        if (r < 0)
                return r;
        if (spec->gated) {
                /* A socket, for its MSG_NOSIGNAL. */
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                        return -errno;
                gate_end = ends[0];
                process->gate_fd = ends[1];
        }

        r = fork_child(process, spec, streams, status_end, gate_end);
        if (r < 0)
                return r;
        r = watch(process);
        if (r < 0)
                process->kill_on_free = true; /* unwatched it must not run */
        return r;
}

int vb_process_spawn(VbProcess **ret, sd_event *event, const VbProcessSpec *spec, sd_bus_error *reterr) {
        g_autoptr(VbProcess) process = NULL;
        int r;

        g_assert(spec->path && spec->argv && spec->argv[0]);
        for (size_t i = 0; i < spec->n_keep_fds; i++)
                g_assert(spec->keep_fds[i] > 2);

        vb_error_init();
        process = process_new(event);
        process->path = g_strdup(spec->path);
        process->enroll_with = spec->enroll_with ?: "its watcher";
        process->at_gate = spec->at_gate;
        process->started = spec->started;
        process->exited = spec->exited;
        process->userdata = spec->userdata;
        process->kill_on_free = spec->kill_on_free;

        r = spawn(process, spec);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "program '%s': cannot start a process: %s", spec->path,
                                               g_strerror(-r));
        *ret = g_steal_pointer(&process);
        return 0;
}

static bool runs(const VbProcess *process) {
        struct pollfd ended = { .fd = process->pidfd, .events = POLLIN };

        return poll(&ended, 1, 0) == 0;
}

int vb_process_adopt(VbProcess **ret, sd_event *event, pid_t pid, uint64_t start_time, VbProcessExited exited,
                     void *userdata) {
        g_autoptr(VbProcess) process = NULL;
        int r;

        if (pid <= 0)
                return -ESRCH;
        process = process_new(event);
        process->pid = pid;
        process->path = g_strdup_printf("process %d", pid);
        process->exited = exited;
        process->userdata = userdata;
        process->start_told = process->executing = true;

        process->pidfd = pidfd_open(pid, 0);
        if (process->pidfd < 0)
                return -errno;
        r = vb_process_read_start_time(pid, &process->start_time);
        if (r < 0)
                return r;
        if (start_time != 0 && process->start_time != start_time)
                return -ESRCH;
        /* If what pidfd stands for still runs, the time that we read is its own. */
        if (!runs(process))
                return -ESRCH;

        r = watch(process);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&process);
        return 0;
}

int vb_process_release(VbProcess *process) {
        ssize_t n;

        if (process->gate_fd < 0)
                return process->start_told || process->exit_told ? -ESRCH : -EALREADY;
        n = send(process->gate_fd, "", 1, MSG_NOSIGNAL);
        process->gate_fd = vb_close(process->gate_fd);
        if (n < 0)
                return errno == EPIPE ? -ESRCH : -errno;
        return 0;
}

int vb_process_kill(VbProcess *process, int signal) {
        if (process->exit_told)
                return -ESRCH;
        return pidfd_send_signal(process->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

pid_t vb_process_get_pid(const VbProcess *process) {
        return process->pid;
}

int vb_process_get_pidfd(const VbProcess *process) {
        return process->pidfd;
}

uint64_t vb_process_get_start_time(const VbProcess *process) {
        uint64_t start_time = process->start_time;

        /* A child keeps its number until it is reaped. */
        if (start_time == 0 && !process->exit_told && vb_process_read_start_time(process->pid, &start_time) >= 0)
                ((VbProcess *) process)->start_time = start_time;
        return start_time;
}

int vb_process_read_uid(const VbProcess *process, uid_t *ret) {
        g_autofree char *text = NULL;
        char path[64], *line;
        unsigned uid;
        int r;

        (void) snprintf(path, sizeof path, "/proc/%d/status", process->pid);
        r = vb_file_read(AT_FDCWD, path, 16 * 1024, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        line = strstr(text, "\nUid:");
        if (!line || sscanf(line, "\nUid: %*u %u", &uid) != 1)
                return -EBADMSG;
        /* What we read is its own if it runs still. */
        if (!runs(process))
                return -ESRCH;
        *ret = uid;
        return 0;
}

bool vb_process_has_exited(const VbProcess *process) {
        return process->exit_told;
}

static const char *lend_text(VbProcess *process, Capture *capture) {
        const char *data;
        size_t length;
        char *text;

        g_clear_pointer(&process->text, g_free);
        if (!capture->data)
                return "";
        length = MIN(capture->data->len, capture->max);
        data = capture->data->str + capture->data->len - length;
        while (length > 0 && g_ascii_isspace(data[length - 1]))
                length--;
        text = g_malloc0(length + 1);
        memcpy(text, data, length);
        for (size_t i = 0; i < length; i++)
                if ((unsigned char) text[i] < ' ' && text[i] != '\n' && text[i] != '\t')
                        text[i] = '?';
        process->text = text;
        return process->text;
}

const char *vb_process_get_output(VbProcess *process) {
        return lend_text(process, &process->captures[0]);
}

const char *vb_process_get_errors(VbProcess *process) {
        return lend_text(process, &process->captures[1]);
}

char *vb_process_exit_to_string(const VbProcessExit *exit) {
        switch (exit->code) {
        case CLD_EXITED: return g_strdup_printf("exited with status %d", exit->status);
        case CLD_KILLED:
        case CLD_DUMPED:
                return g_strdup_printf("was killed by signal %d (%s)", exit->status,
                                       strsignal(exit->status) ?: "unknown");
        default: return g_strdup("has ended");
        }
}
