/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest's machine is forgotten by machined, or its scope by the user's service manager. That takes milliseconds, and is waited for, so that
 * who hears of a guest's end finds nothing of it. One that hangs is waited for a second only, and as long as it has not answered, not at
 * all: it has the request, and it goes on in the background. */

#include "qemu/domain.h"

typedef struct QemuLeave QemuLeave;

/* QemuDriver.leaves */
GPtrArray *qemu_leaves_new(void);

/* It is done, or not waited for any more. */
typedef void (*QemuLeft)(void *userdata);

/* 1: left() follows, never from within. 0: there is nothing to wait for; whatever failed is logged. */
VB_MUST_USE int qemu_leave_machine(QemuDomain *qemu, QemuLeft left, void *userdata);

/* Nobody waits any more for what would have been told to this userdata. */
void qemu_leave_forget(QemuDriver *driver, const void *userdata);

/* The manager has answered something else, or has not in time. */
void qemu_leave_note_answer(QemuDriver *driver, bool answered);
