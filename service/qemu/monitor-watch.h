/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those who hear what a domain's emulator announces (Domain1.WatchMonitor): each has one end of a socket that keeps packets apart.
 * One who does not read loses the connection, and so knows that something was missed; the daemon keeps nothing for it. */

#include <stdint.h>

#include "base/cleanup.h"
#include "bus/daemon.h"

typedef struct QemuMonitorWatches QemuMonitorWatches; /* a domain's; NULL: nobody has watched yet */

enum {
        QEMU_MONITOR_WATCHES_MAX = 16,
};

/* One more, and the descriptor for it. *watches comes to be with the first. -ENOSPC: there are too many. */
VB_MUST_USE int qemu_monitor_watches_add(QemuMonitorWatches **watches, VbDaemon *daemon, int *ret_fd);

/* As the monitor has told it. data may be NULL; timestamp_usec 0: not known. */
void qemu_monitor_watches_tell(QemuMonitorWatches *watches, const char *event, VbJson *data, uint64_t timestamp_usec);

/* Everyone's connection ends. Takes NULL, returns NULL. */
QemuMonitorWatches *qemu_monitor_watches_free(QemuMonitorWatches *watches);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuMonitorWatches, qemu_monitor_watches_free)
