/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guests outlive the daemon: what RUN says of them is taken up when it starts. */

#include "qemu/driver.h"

/* Looks at the run folder, after the definitions have been loaded: guests that run become live domains again (transient ones come
 * to be anew), what was half started is undone, what has ended is cleaned up after. The emulators' monitors answer later; until then
 * a domain shows what was last known. */
VB_MUST_USE int qemu_reconnect_all(QemuDriver *driver);
