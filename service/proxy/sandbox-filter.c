/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/sandbox.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "base/log.h"

/* What a worker may ask of the kernel. Everything else fails with EPERM: no program is executed, no process made, no socket connected, no
 * memory made executable. Names of calls that an architecture lacks are left out there by libseccomp. */

/* Sockets that it was given, time, memory, threads. newfstatat() is how the C library says fstat(); where there are no files to be seen, it shows
 * none. */
static const char *const every_door[] = {
        "brk", "clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep", "close", "close_range", "dup", "dup2", "dup3",
        "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "exit", "exit_group", "fcntl",
        "fcntl64", "fstat", "fstat64", "futex", "futex_time64", "futex_waitv", "getegid", "geteuid", "getgid", "getgroups",
        "getpeername", "getpid", "getppid", "getrandom", "getrusage", "getsockname", "getsockopt", "gettid", "gettimeofday",
        "getuid", "lseek", "madvise", "membarrier", "mremap", "munmap", "nanosleep", "newfstatat", "pipe2", "poll", "ppoll", "pread64", "pwrite64", "read", "readv",
        "recvfrom", "recvmmsg", "recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
        "rt_sigtimedwait", "sched_getaffinity", "sched_yield", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "setsockopt",
        "shutdown", "sigaltstack", "signalfd4", "socketpair", "sysinfo", "tgkill", "time", "timerfd_create", "timerfd_gettime",
        "timerfd_settime", "uname", "write", "writev",
};

/* Files that clients name: a saved state, a dump, a screenshot. With the user's rights, as she could open them herself. */
static const char *const main_door[] = {
        "access", "copy_file_range", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod", "fdatasync", "flock", "fstatfs",
        "fsync", "ftruncate", "getcwd", "getdents64", "ioctl", "lstat", "memfd_create", "open", "openat", "openat2", "readlink",
        "readlinkat", "rename", "renameat", "renameat2", "sendfile", "splice", "stat", "stat64", "statfs", "statx", "sync_file_range", "umask",
        "unlink", "unlinkat",
};

static int allow_all(scmp_filter_ctx filter, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++) {
                int number = seccomp_syscall_resolve_name(names[i]), r;

                if (number == __NR_SCMP_ERROR)
                        continue; /* newer than this libseccomp */
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
                if (r < 0 && r != -EDOM)
                        return r;
        }
        return 0;
}

/* Memory, but never to be executed; threads, but no processes. The flags of clone3() lie in memory, where no filter sees them: the
 * C library takes ENOSYS for an old kernel and uses clone(). */
static int allow_some(scmp_filter_ctx filter) {
        int r;

        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        /* What it may have of itself, not of others; and it cannot raise any. */
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
        /* A thread's name. */
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, 15 /* PR_SET_NAME */));
        return r;
}

#ifdef __SANITIZE_ADDRESS__
/* Its search for leaks traces the process from a new one. */
static const bool is_filtered = false;
#else
static const bool is_filtered = true;
#endif

int proxy_sandbox_filter(ProxyDoor door) {
        scmp_filter_ctx filter;
        int r;

        if (!is_filtered)
                return 0;
        filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        if (!filter)
                return vb_log_error_errno(ENOMEM, "cannot make the system call filter: %m");
        r = allow_all(filter, every_door, G_N_ELEMENTS(every_door));
        if (r >= 0 && door == PROXY_DOOR_MAIN)
                r = allow_all(filter, main_door, G_N_ELEMENTS(main_door));
        if (r >= 0)
                r = allow_some(filter);
        if (r >= 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r < 0 ? vb_log_error_errno(r, "cannot set the system call filter: %m") : 0;
}
