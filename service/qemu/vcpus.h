/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vCPUs that come and go while the emulator runs. */

#include "qemu/domain.h"

typedef struct QemuVcpus QemuVcpus;

/* How it has ended: r is 0, or negative with error. What was done until then, the live definition says. */
typedef void (*QemuVcpusDone)(QemuDomain *qemu, int r, const sd_bus_error *error);

/* Plugs vCPUs in and out until the guest has those that wanted says, and then gives each new one its place on the host. The live
 * definition says at each moment which are there. done comes from the loop, unless the domain is reset before. MonitorFailed if there
 * is no monitor. */
VB_MUST_USE int qemu_vcpus_change(QemuDomain *qemu, const VbDomainDefinition *wanted, QemuVcpusDone done, sd_bus_error *reterr);

/* The emulator tells that a device has gone, or that the guest keeps it. Returns whether it was a vCPU. */
bool qemu_vcpus_handle_gone(QemuDomain *qemu, const char *device);
bool qemu_vcpus_handle_refused(QemuDomain *qemu, const char *device);

/* The guest's firmware tells what has become of a request: info of ACPI_DEVICE_OST. */
void qemu_vcpus_handle_ost(QemuDomain *qemu, VbJson *info);

/* Takes what query-cpus-fast told: the threads; and which vCPUs there are, for the live definition. */
void qemu_vcpus_take(QemuDomain *qemu, VbJson *answer);

QemuVcpus *qemu_vcpus_free(QemuVcpus *vcpus);
