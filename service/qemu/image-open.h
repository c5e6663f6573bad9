/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks at the image of one disk with the rights of the domain's owner, for a call that asks about it. Whether the guest runs does
 * not matter. */

#include "qemu/driver.h"
#include "qemu/open.h"

typedef struct QemuImageOpen QemuImageOpen;

/* r = 0 with the image, whose descriptor can be taken; or r < 0 with error. Called once, never from within qemu_image_open(). What it
 * does is over then. */
typedef void (*QemuImageOpened)(int r, VbOpenImage *image, const sd_bus_error *error, void *userdata);

/* owner is the domain's; disk is not needed longer than this call. */
VB_MUST_USE int qemu_image_open(QemuDriver *driver, uid_t owner, const VbDisk *disk, QemuImageOpened opened, void *userdata,
                                sd_bus_error *reterr);

/* At the daemon's end: all that are under way fail with Canceled. */
void qemu_image_open_cancel_all(QemuDriver *driver);
