/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clock of a guest that stood still while the host's went on: it is set by the guest's agent, when the guest runs and as soon as there is
 * one. Nobody waits for that. A guest without an agent, or whose agent does not come or answer within a minute, keeps the time that it
 * has: what it makes of its hardware's clock, which has gone on, is its own affair. */

#include "qemu/domain.h"

/* The guest's clock is behind: sets it, or remembers to when the guest runs. For any guest, any time. */
void qemu_guest_clock_catch_up(QemuDomain *qemu);

/* A daemon that takes up the guest knows that its clock is behind; nothing is done yet. */
void qemu_guest_clock_remember(QemuDomain *qemu);

/* The guest runs or not, or its agent has come or gone: if its clock is behind, goes on with it. */
void qemu_guest_clock_changed(QemuDomain *qemu);

/* VbDriver.catch_up */
void qemu_catch_up(VbDomain *domain);

/* Forgets it. Takes NULL, returns NULL. */
QemuGuestClock *qemu_guest_clock_free(QemuGuestClock *clock);
