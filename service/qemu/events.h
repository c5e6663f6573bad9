/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the emulator tells by itself: events of the monitor become the domain's state, properties and signals. */

#include "qemu/domain.h"

/* QmpMonitorHandlers.event; userdata is the QemuDomain. */
void qemu_events_handle(QmpMonitor *monitor, const char *name, VbJson *data, uint64_t timestamp_usec, void *userdata);

/* The guest has powered itself off, or is dead: does what the definition wants. Also for a daemon that finds it so. */
void qemu_events_guest_off(QemuDomain *qemu);
void qemu_events_guest_panicked(QemuDomain *qemu);
