/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a guest comes to be: steps, each with what undoes it (see docs/architecture.md). */

#include "qemu/domain.h"

/* VbDriver.start: ends with vb_domain_finish() if the guest is there, else with vb_domain_stopped(). */
int qemu_start(VbDomain *domain, const VbStartOptions *options, sd_bus_error *reterr);

/* Goes back; the domain ends as destroyed. */
void qemu_start_cancel(QemuStart *start);

/* The emulator has ended while it was being started. */
void qemu_start_process_exited(QemuStart *start, const VbProcessExit *exit);

/* The monitor's MIGRATION event: the saved state is read, or cannot be. */
void qemu_start_handle_migration(QemuStart *start);

/* Forgets about it, undoes nothing: the daemon ends, and the next one finds half a guest. Takes NULL, returns NULL. */
QemuStart *qemu_start_free(QemuStart *start);

/* The TPM emulator has ended while its guest was being started. */
void qemu_start_tpm_exited(QemuStart *start, const char *how);
