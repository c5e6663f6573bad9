/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child processes: started with exactly the descriptors, user, rights and limits that are named, watched by pidfd
 * in the loop, killed by pidfd. Everything that may block (user database, path look-up) happens in the child. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct VbProcess VbProcess;

/* What a standard stream of the child is. All zeros is /dev/null. */
typedef enum VbProcessStreamKind {
        VB_STREAM_NULL,
        VB_STREAM_INHERIT, /* the daemon's own */
        VB_STREAM_FD,      /* fd, which stays the caller's */
        VB_STREAM_CAPTURE, /* output only: the last capture_size bytes are kept for vb_process_get_output() */
} VbProcessStreamKind;

typedef struct VbProcessStream {
        VbProcessStreamKind kind;
        int fd;
} VbProcessStream;

typedef struct VbProcessLimit {
        int resource; /* RLIMIT_… */
        struct rlimit limit;
} VbProcessLimit;

/* How it ended. code is CLD_EXITED (status: exit status), CLD_KILLED or CLD_DUMPED (status: signal), or 0 if that
 * cannot be known: an adopted process is not our child. */
typedef struct VbProcessExit {
        int code;
        int status;
} VbProcessExit;

/* The program runs (r = 0), or could not be executed (r < 0 and error names the step). Called once. With
 * r < 0 the exited callback follows. May free the process. */
typedef void (*VbProcessStarted)(VbProcess *process, int r, const sd_bus_error *error, void *userdata);

/* A gated child is set up, and waits for vb_process_release(). Called once, unless the child fails or is released before. May free the process. */
typedef void (*VbProcessAtGate)(VbProcess *process, void *userdata);

/* It has ended and is reaped; all captured output has been read. Called once, always from the loop. May free the process. */
typedef void (*VbProcessExited)(VbProcess *process, const VbProcessExit *exit, void *userdata);

/* All zeros is: daemon's user and rights, no descriptors but three times /dev/null, umask 0077. Everything is
 * copied or duplicated where it is needed later; the caller keeps its descriptors and may close them after the spawn. */
typedef struct VbProcessSpec {
        const char *path; /* of the program; not searched for */
        char *const *argv;
        char *const *envp; /* NULL: an empty environment with a plain PATH */

        VbProcessStream in, out, err;
        size_t capture_size; /* 0: 16 KiB */
        const int *keep_fds; /* open in the child under the same numbers (all > 2); everything else is closed */
        size_t n_keep_fds;

        bool change_user; /* to uid, gid and all groups the user database gives uid */
        uid_t uid;
        gid_t gid;
        bool drop_capabilities; /* all, out of the bounding set, too */
        bool no_new_privileges;

        /* In the child, first of all and with the daemon's rights: makes itself known to somebody who watches processes by their connection. Returns a
         * descriptor, which the program holds until its end, or a negative errno. NULL: nothing. */
        int (*enroll)(void);
        const char *enroll_with; /* who that is, for people; must stay */

        bool gated;           /* set up, but do not execute before vb_process_release(); ends if the daemon ends first */
        bool new_session;     /* setsid() */
        bool die_with_parent; /* SIGKILL when the daemon ends */
        bool kill_on_free;    /* SIGKILL at vb_process_free(); else it runs on unwatched */

        const char *directory; /* NULL: / */
        mode_t umask;          /* 0: 0077 */
        bool set_oom_score_adjust;
        int oom_score_adjust;
        const VbProcessLimit *limits;
        size_t n_limits;

        VbProcessAtGate at_gate;  /* may be NULL */
        VbProcessStarted started; /* may be NULL */
        VbProcessExited exited;   /* may be NULL */
        void *userdata;
} VbProcessSpec;

/* Forks. Fails only if that is not possible; what goes wrong in the child is told to started(). */
VB_MUST_USE int vb_process_spawn(VbProcess **ret, sd_event *event, const VbProcessSpec *spec, sd_bus_error *reterr);

/* Watches a running process that is not our child (the daemon was restarted). start_time is what vb_process_get_start_time()
 * gave when it was: -ESRCH if there is no such process or it is another one by now. start_time 0 takes any. */
VB_MUST_USE int vb_process_adopt(VbProcess **ret, sd_event *event, pid_t pid, uint64_t start_time,
                                 VbProcessExited exited, void *userdata);

/* Stops watching. A child that still runs is reaped when it ends, as long as the loop runs. Takes NULL, returns NULL. */
VbProcess *vb_process_free(VbProcess *process);

/* Lets a gated child go on to execute its program. */
VB_MUST_USE int vb_process_release(VbProcess *process);

/* Sends a signal by pidfd: never to another process that got the same number. -ESRCH if it has ended. */
VB_MUST_USE int vb_process_kill(VbProcess *process, int signal);

/* Of any process: clock ticks after boot, from /proc/PID/stat. -ESRCH: there is none. */
VB_MUST_USE int vb_process_read_start_time(pid_t pid, uint64_t *ret);

pid_t vb_process_get_pid(const VbProcess *process);
int vb_process_get_pidfd(const VbProcess *process);
/* Clock ticks after boot, from /proc/PID/stat: with the number, identifies the process. */
uint64_t vb_process_get_start_time(const VbProcess *process);
/* The effective uid that it has now; -ESRCH if it has ended. */
VB_MUST_USE int vb_process_read_uid(const VbProcess *process, uid_t *ret);
bool vb_process_has_exited(const VbProcess *process);

/* The last of what a captured stream said: NUL-terminated, trailing newlines cut, control characters replaced, "" if nothing.
 * Valid until the next call or the loop's next turn. */
const char *vb_process_get_output(VbProcess *process);
const char *vb_process_get_errors(VbProcess *process);

/* "exited with status 1", "was killed by signal 9 (Killed)", "has ended"; to be freed. */
char *vb_process_exit_to_string(const VbProcessExit *exit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbProcess, vb_process_free)
