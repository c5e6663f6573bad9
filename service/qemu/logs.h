/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The logs of a guest that starts: what its emulator says, and those of its character devices that virtlogd writes. They are asked for while the
 * guest's files are opened, and waited for before the command line is made, so that they cost a start next to nothing. */

#include "qemu/start-private.h"

/* Asks virtlogd for all of them, when the resources are listed. Without virtlogd (stdio_handler) there is nothing to ask. */
VB_MUST_USE int qemu_logs_begin(QemuStart *start, sd_bus_error *reterr);
/* Takes NULL, returns NULL. */
QemuLogs *qemu_logs_free(QemuLogs *logs);

/* The step that waits for them; without virtlogd it opens the file. */
int qemu_start_logs(VbOperation *operation, void *userdata, sd_bus_error *reterr);

/* Writes text into the log of what the emulator says, and notes where that begins. */
void qemu_logs_write(QemuStart *start, const char *text);
