/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a running guest can be asked or made to do, by its emulator's monitor or its own agent. All end with
 * vb_domain_finish(). See VbDriver. */

#include "qemu/domain.h"

int qemu_shutdown(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr);
int qemu_reboot(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr);
int qemu_reset(VbDomain *domain, sd_bus_error *reterr);
int qemu_suspend(VbDomain *domain, VbDomainReason reason, sd_bus_error *reterr);
int qemu_resume(VbDomain *domain, sd_bus_error *reterr);

/* It runs, by whatever made it: if its leases were given up, they are taken again, and if another has one, it is paused again. */
void qemu_take_leases_again(QemuDomain *qemu);

/* The guest has powered itself off or died, and shall boot anew: resets it and lets it run for this reason. */
void qemu_power_restart(QemuDomain *qemu, VbDomainReason reason);
