/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The emulator's I/O threads. */

#include "qemu/domain.h"

/* The number of the one of which the emulator says "iothread7"; 0: it is none of ours. */
uint32_t qemu_iothread_number(const char *name);

/* Takes what query-iothreads told. */
void qemu_iothreads_take(QemuDomain *qemu, VbJson *answer);

/* Gives each the CPUs of the host that the definition says. InvalidArgument if there are none of them. */
VB_MUST_USE int qemu_iothreads_pin(const QemuDomain *qemu, const VbDomainDefinition *definition, sd_bus_error *reterr);

/* Of VbDriver.apply: adds or removes the one of this number, gives it its place, or its properties (apply-iothread.c). */
VB_MUST_USE int qemu_apply_iothreads(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr);
VB_MUST_USE int qemu_apply_iothread_pin(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr);
VB_MUST_USE int qemu_apply_iothread_tuning(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr);
QemuIothreadChange *qemu_iothread_change_free(QemuIothreadChange *change);
