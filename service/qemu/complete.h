/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions are completed with what the emulator can do, which may have to be asked first. */

#include "qemu/driver.h"

/* VbDriver.complete */
int qemu_complete(VbHypervisor *hypervisor, VbDomainDefinition *definition, VbDone done, void *userdata,
                  sd_bus_error *reterr);

/* The same with capabilities at hand: of the definition's own emulator. */
VB_MUST_USE int qemu_complete_with(QemuDriver *driver, VbDomainDefinition *definition, QemuCapabilities *capabilities,
                                   sd_bus_error *reterr);

/* Those that still wait are forgotten; their done() is told that they were cancelled. */
void qemu_complete_cancel_all(QemuDriver *driver);
