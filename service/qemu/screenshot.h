/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A picture of a guest's screen, as a descriptor of an unnamed file in memory. */

#include "qemu/monitor.h"

typedef struct QemuScreenshot QemuScreenshot;

/* r = 0 and fd, which is the callback's from now on: PNG, open for reading, at its start, sealed. Or r < 0 with error. Called once; frees
 * nothing: the screenshot may be freed in it, and must be in the end. */
typedef void (*QemuScreenshotDone)(QemuScreenshot *screenshot, int r, int fd, const sd_bus_error *error, void *userdata);

/* device: QOM id or alias of the video device; NULL for the first one (screen is ignored then). */
VB_MUST_USE int qemu_screenshot_new(QemuScreenshot **ret, QmpMonitor *monitor, const char *device, unsigned screen,
                                    QemuScreenshotDone done, void *userdata, sd_bus_error *reterr);

/* Cancels. Before the monitor is freed. Takes NULL, returns NULL. */
QemuScreenshot *qemu_screenshot_free(QemuScreenshot *screenshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuScreenshot, qemu_screenshot_free)
