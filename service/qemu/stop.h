/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a guest comes to its end: asked or not, its process ends, and then nothing of it stays. */

#include "qemu/domain.h"

/* VbDriver.destroy */
int qemu_destroy(VbDomain *domain, bool graceful, sd_bus_error *reterr);

/* The guest is off (or dead), and its emulator may go; the state will say this reason. */
void qemu_stop_end(QemuDomain *qemu, VbDomainReason reason);

/* The same at the end of an operation that wanted it: it has succeeded then. */
void qemu_stop_end_as_wanted(QemuDomain *qemu, VbDomainReason reason);

/* The end of the emulator's process, by whoever's hand; for VbProcessSpec.exited and vb_process_adopt(). */
void qemu_stop_on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata);

/* What is left when the process has ended: takes leave of machined, removes the run folder; vb_domain_stopped() follows. */
void qemu_stop_clean_up(QemuDomain *qemu);

/* The TPM emulator has ended while its guest was being ended. */
void qemu_stop_tpm_exited(QemuDomain *qemu);
