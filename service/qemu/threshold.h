/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images that fill up (domain-threshold.c). */

#include "qemu/domain.h"

/* Tells of an event BLOCK_WRITE_THRESHOLD of the monitor's. */
void qemu_threshold_exceeded(QemuDomain *qemu, VbJson *data);
