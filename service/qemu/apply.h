/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes of a guest that runs: by its monitor, by its scope, or by the kernel's word to its threads. */

#include "qemu/domain.h"

/* VbDriver.apply */
VB_MUST_USE int qemu_apply(VbDomain *domain, VbResource what, const VbDomainDefinition *wanted, unsigned part,
                           sd_bus_error *reterr);

/* apply-disk.c: gives the disk at this place the limits of wanted. A disk that had none gets a node between image and device, as
 * if it had been started with limits; one that has none any more loses it. */
VB_MUST_USE int qemu_apply_disk(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr);
QemuDiskApply *qemu_disk_apply_free(QemuDiskApply *apply);

/* apply-interface.c: gives the network card at this place the limits of wanted. */
VB_MUST_USE int qemu_apply_interface(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr);
/* UnsupportedConfiguration if a card has limits and the daemon is a session's, which has no rights to networks. */
VB_MUST_USE int qemu_check_traffic(const QemuDomain *qemu, const VbInterface *interface, sd_bus_error *reterr);
