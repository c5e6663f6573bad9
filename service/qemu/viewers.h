/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who connects to guests' displays, and from where. The signal says only that somebody does, and a number, by which those who may read the
 * domain are told the rest. The last few are kept, over all runs of the guest. */

#include <stdint.h>

#include "base/cleanup.h"

typedef struct QemuViewers QemuViewers;

/* Keeps what an event of the emulator says; the first makes *viewers. Returns its number. */
uint64_t qemu_viewers_note(QemuViewers **viewers, VbJson *data);

QemuViewers *qemu_viewers_free(QemuViewers *viewers);
