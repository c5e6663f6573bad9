/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One daemon per driver works on its files. The lock is taken before anything is read, and held until the
 * process ends. */

#include "base/cleanup.h"

typedef struct VbDaemonLock VbDaemonLock;

/* RUN_DIR/DRIVER/daemon.lock. A daemon that is just leaving is waited for. Logs what is wrong; -EBUSY if
 * another one stays. */
VB_MUST_USE int vb_daemon_lock_take(VbDaemonLock **ret, const char *run_dir, const char *driver);
/* Of the run before, which took this process's place (bus/restart.h): takes the descriptor over. */
VbDaemonLock *vb_daemon_lock_adopt(int fd);
int vb_daemon_lock_get_fd(const VbDaemonLock *lock);
VbDaemonLock *vb_daemon_lock_release(VbDaemonLock *lock);
