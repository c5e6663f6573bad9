/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/sandbox.h"

#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/privileges.h"

static int hide_files(int empty_fd) {
        if (fchdir(empty_fd) < 0 || chroot(".") < 0)
                return -errno;
        return 0;
}

/* The bounding set first: it takes a capability to lower it. */
static int become_user(const ProxyIdentity *identity) {
        int r;

        r = vb_drop_bounding_set();
        if (r < 0)
                return r;
        if (setgroups(identity->n_groups, identity->groups) < 0)
                return -errno;
        return vb_become_user(identity->uid, identity->gid);
}

/* Nobody's debugger, no core file that holds other people's secrets, and no process that outlives the listener. */
static int set_flags(void) {
        const struct rlimit none = { 0, 0 };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
            setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_MEMLOCK, &none) < 0)
                return -errno;
        /* The change of user has cleared it. A listener that ended before is noticed by the control socket. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

int proxy_sandbox_become(const ProxyIdentity *identity, bool session, int empty_fd) {
        int r;

        if (session) {
                if (identity->uid != getuid() || identity->uid != geteuid())
                        return vb_log_error_errno(EPERM, "a session serves its own user only, not %u", identity->uid);
        } else {
                if (identity->door != PROXY_DOOR_MAIN && empty_fd >= 0) {
                        r = hide_files(empty_fd);
                        if (r < 0)
                                return vb_log_error_errno(r, "cannot make an empty folder the worker's root: %m");
                }
                r = become_user(identity);
                if (r < 0)
                        return vb_log_error_errno(r, "cannot become user %u: %m", identity->uid);
        }
        r = vb_drop_capabilities();
        if (r >= 0)
                r = set_flags();
        if (r < 0)
                return vb_log_error_errno(r, "cannot give up privileges: %m");
        return 0;
}
