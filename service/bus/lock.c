/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include "base/file.h"
#include "base/log.h"

enum {
        WAIT_SEC = 20, /* less than the 25 s after which the bus gives up a start */
        TRIES_PER_SEC = 50,
};

struct VbDaemonLock {
        int fd;
};

VbDaemonLock *vb_daemon_lock_adopt(int fd) {
        VbDaemonLock *lock = g_new0(VbDaemonLock, 1);

        lock->fd = fd;
        return lock;
}

int vb_daemon_lock_get_fd(const VbDaemonLock *lock) {
        return lock->fd;
}

/* Nothing is served yet and no loop runs, so this may sleep. */
static int wait_for_lock(int fd, const char *path) {
        for (unsigned i = 0; i < WAIT_SEC * TRIES_PER_SEC; i++) {
                if (flock(fd, LOCK_EX | LOCK_NB) >= 0)
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return vb_log_error_errno(errno, "cannot lock %s: %m", path);
                if (i == 0)
                        vb_log_debug("waits for the daemon that holds %s", path);
                g_usleep(G_USEC_PER_SEC / TRIES_PER_SEC);
        }
        return vb_log_error_errno(EBUSY, "another daemon of this driver runs: it holds %s", path);
}

int vb_daemon_lock_take(VbDaemonLock **ret, const char *run_dir, const char *driver) {
        g_autofree char *directory = g_build_filename(run_dir, driver, NULL);
        g_autofree char *path = g_build_filename(directory, "daemon.lock", NULL);
        vb_autofd fd = -EBADF;
        int r;

        r = vb_mkdir(directory, 0755);
        if (r < 0)
                return vb_log_error_errno(r, "cannot make %s: %m", directory);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return vb_log_error_errno(errno, "cannot open %s: %m", path);
        r = wait_for_lock(fd, path);
        if (r < 0)
                return r;

        *ret = vb_daemon_lock_adopt(vb_steal_fd(&fd));
        return 0;
}

VbDaemonLock *vb_daemon_lock_release(VbDaemonLock *lock) {
        if (!lock)
                return NULL;
        (void) vb_close(lock->fd);
        g_free(lock);
        return NULL;
}
