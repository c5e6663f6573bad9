/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process-child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/privileges.h"

/* The daemon's only other thread (base/writer) takes no lock but malloc's, which fork() cares for, so the child may
 * use the C library, the user database included. That may block: it is one reason why it happens here. */

#define GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */

static char *const default_environment[] = {
        (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        (char *) "LANG=C.UTF-8",
        NULL,
};

const char *vb_child_step_to_string(int step) {
        static const char *const words[_VB_CHILD_STEP_MAX] = {
                [VB_CHILD_ENROLL] = "enroll with ",
                [VB_CHILD_LOOK_UP_GROUPS] = "look up the user's groups",
                [VB_CHILD_STREAMS] = "set up the standard streams",
                [VB_CHILD_DESCRIPTORS] = "pass descriptors",
                [VB_CHILD_LIMITS] = "set resource limits",
                [VB_CHILD_OOM_SCORE] = "adjust the OOM score",
                [VB_CHILD_SESSION] = "make a session",
                [VB_CHILD_CAPABILITIES] = "drop capabilities",
                [VB_CHILD_GROUPS] = "take on the user's groups",
                [VB_CHILD_USER] = "become the user",
                [VB_CHILD_NO_NEW_PRIVILEGES] = "forbid new privileges",
                [VB_CHILD_DIRECTORY] = "change to its working directory",
                [VB_CHILD_GATE] = "wait",
                [VB_CHILD_EXECUTE] = "execute it",
        };

        return step >= 0 && step < _VB_CHILD_STEP_MAX ? words[step] : "start it";
}

static void tell(int status_fd, int step, int error) {
        VbChildStatus status = { .step = step, .error = error };

        /* Smaller than PIPE_BUF, so whole. If the daemon is gone, nobody wants to know. */
        (void) !write(status_fd, &status, sizeof status);
}

/* By the system call: the C library keeps two signals to itself and does not let us at them, but what started the daemon may have had
 * them ignored, and then a thread of the child could never be cancelled. */
static void reset_signals(void) {
        static const unsigned long default_action[8]; /* the kernel's struct, whatever the architecture: zeros are SIG_DFL */
        sigset_t none;

        for (int signal = 1; signal < _NSIG; signal++)
                (void) syscall(SYS_rt_sigaction, signal, default_action, NULL, _NSIG / 8); /* fails for SIGKILL and SIGSTOP */
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All groups of the user; a uid without an entry in the user database has gid alone. */
static int look_up_groups(uid_t uid, gid_t gid, gid_t **ret, size_t *ret_n) {
        gid_t *groups;
        int n = 64;

        for (;;) {
                struct passwd *user;
                int room = n;

                errno = 0;
                user = getpwuid(uid);
                if (!user && errno != 0 && errno != ENOENT && errno != ESRCH && errno != EPERM)
                        return -errno;
                groups = calloc((size_t) n, sizeof *groups);
                if (!groups)
                        return -ENOMEM;
                if (!user) {
                        groups[0] = gid;
                        n = 1;
                        break;
                }
                if (getgrouplist(user->pw_name, gid, groups, &n) >= 0)
                        break;
                free(groups);
                if (n <= room || n > GROUPS_MAX)
                        return -E2BIG;
        }
        *ret = groups;
        *ret_n = (size_t) n;
        return 0;
}

/* Each source first goes above 2, so that no dup2() overwrites another's source. */
static int set_streams(const int streams[static 3]) {
        int sources[3];

        for (int i = 0; i < 3; i++) {
                if (streams[i] >= 0)
                        sources[i] = fcntl(streams[i], F_DUPFD_CLOEXEC, 3);
                else {
                        vb_autofd null = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC | O_NOCTTY);

                        sources[i] = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, 3);
                }
                if (sources[i] < 0)
                        return -errno;
        }
        for (int i = 0; i < 3; i++)
                if (dup2(sources[i], i) < 0)
                        return -errno;
        return 0; /* the sources go with all the others */
}

static int compare_fds(const void *a, const void *b) {
        return (*(const int *) a > *(const int *) b) - (*(const int *) a < *(const int *) b);
}

/* Closes all from first to last, without asking whether they are there. */
static int close_fds(int first, int last) {
        if (first > last)
                return 0;
        return close_range((unsigned) first, (unsigned) last, 0) < 0 ? -errno : 0;
}

static int keep_over_exec(int fd) {
        int flags = fcntl(fd, F_GETFD);

        return flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0 ? -errno : 0;
}

/* enrolled is kept for the program, the other two until it is executed; each may be none. */
static int keep_only(const VbProcessSpec *spec, int enrolled_fd, int status_fd, int gate_fd) {
        const int others[] = { enrolled_fd, status_fd, gate_fd };
        size_t n = spec->n_keep_fds;
        int *fds, next = 3, r = 0;

        fds = calloc(n + 3, sizeof *fds);
        if (!fds)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = keep_over_exec(spec->keep_fds[i]);
                fds[i] = spec->keep_fds[i];
        }
        if (r >= 0 && enrolled_fd >= 0)
                r = keep_over_exec(enrolled_fd);
        if (r < 0)
                return r;
        for (size_t i = 0; i < 3; i++)
                if (others[i] >= 0)
                        fds[n++] = others[i];
        qsort(fds, n, sizeof *fds, compare_fds);

        for (size_t i = 0; i < n; i++) {
                r = close_fds(next, fds[i] - 1);
                if (r < 0)
                        return r;
                next = fds[i] + 1;
        }
        r = close_range((unsigned) next, ~0u, 0) < 0 ? -errno : 0;
        free(fds);
        return r;
}

static int set_limits(const VbProcessSpec *spec) {
        for (size_t i = 0; i < spec->n_limits; i++)
                if (setrlimit((__rlimit_resource_t) spec->limits[i].resource, &spec->limits[i].limit) < 0)
                        return -errno;
        return 0;
}

static int set_oom_score(int score) {
        vb_autofd fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        char text[16];
        int n;

        if (fd < 0)
                return -errno;
        n = snprintf(text, sizeof text, "%d", score);
        return write(fd, text, (size_t) n) < 0 ? -errno : 0;
}

/* While we still may: without CAP_SETPCAP (a session) the set cannot be lowered, nor has it anything to give with
 * no_new_privs. */
static int drop_bounding_set(void) {
        int r = vb_drop_bounding_set();

        return r == -EPERM && geteuid() != 0 ? 0 : r;
}

/* Whether we are that user already and may not (need not) change: the daemon of a session. */
static bool is_user_already(const VbProcessSpec *spec) {
        return geteuid() != 0 && geteuid() == spec->uid && getuid() == spec->uid;
}

static void wait_at_gate(int gate_fd) {
        ssize_t n;
        char byte;

        do
                n = read(gate_fd, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n != 1)
                _exit(EXIT_FAILURE); /* the daemon ended, or gave this child up */
}

/* Returns the errno of the step that failed, and which it was. */
static int set_up(const VbProcessSpec *spec, const int streams[static 3], int status_fd, int gate_fd, pid_t parent,
                  int *step) {
        bool change_user = spec->change_user && !is_user_already(spec);
        gid_t *groups = NULL;
        size_t n_groups = 0;
        int enrolled_fd = -EBADF, r = 0;

#define STEP(which, expression)         \
        do {                            \
                *step = (which);        \
                r = (expression);       \
                if (r < 0)              \
                        return r;       \
        } while (0)

        if (spec->enroll)
                STEP(VB_CHILD_ENROLL, enrolled_fd = spec->enroll());
        /* While the C library's own descriptors still are what it thinks they are. */
        if (change_user)
                STEP(VB_CHILD_LOOK_UP_GROUPS, look_up_groups(spec->uid, spec->gid, &groups, &n_groups));
        STEP(VB_CHILD_STREAMS, set_streams(streams));
        STEP(VB_CHILD_DESCRIPTORS, keep_only(spec, enrolled_fd, status_fd, gate_fd));
        STEP(VB_CHILD_LIMITS, set_limits(spec));
        if (spec->set_oom_score_adjust)
                STEP(VB_CHILD_OOM_SCORE, set_oom_score(spec->oom_score_adjust));
        if (spec->new_session)
                STEP(VB_CHILD_SESSION, setsid() < 0 ? -errno : 0);
        if (spec->drop_capabilities)
                STEP(VB_CHILD_CAPABILITIES, drop_bounding_set());
        if (change_user) {
                STEP(VB_CHILD_GROUPS, setgroups(n_groups, groups) < 0 ? -errno : 0);
                STEP(VB_CHILD_USER, vb_become_user(spec->uid, spec->gid));
        }
        if (spec->drop_capabilities)
                STEP(VB_CHILD_CAPABILITIES, vb_drop_capabilities());
        if (spec->no_new_privileges)
                STEP(VB_CHILD_NO_NEW_PRIVILEGES, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);

        /* With the user's rights, and after the change of user, which would clear the death signal. */
        STEP(VB_CHILD_DIRECTORY, chdir(spec->directory ?: "/") < 0 ? -errno : 0);
        (void) umask(spec->umask != 0 ? spec->umask : 0077);
        if (spec->die_with_parent) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE); /* it ended before we asked */
        }
#undef STEP
        free(groups);
        return 0;
}

_Noreturn void vb_process_child(const VbProcessSpec *spec, const int streams[static 3], int status_fd, int gate_fd,
                                pid_t parent) {
        int step = VB_CHILD_EXECUTE, r;

        reset_signals();
        r = set_up(spec, streams, status_fd, gate_fd, parent, &step);
        if (r >= 0) {
                if (gate_fd >= 0) {
                        tell(status_fd, VB_CHILD_GATE, 0);
                        wait_at_gate(gate_fd);
                }
                tell(status_fd, VB_CHILD_EXECUTE, 0);
                (void) execve(spec->path, spec->argv, spec->envp ?: default_environment);
                r = -errno;
                step = VB_CHILD_EXECUTE;
        }
        tell(status_fd, step, -r);
        _exit(127);
}
