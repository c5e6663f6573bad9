/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which emulator and machine type serve a kind of guest: what GetDomainCapabilities, GetHypervisorInfo and the comparison of CPUs
 * begin with. */

#include "qemu/capabilities.h"

/* Everything may be NULL: then it is the host's architecture, its emulator, the emulator's default machine
 * (or that of the architecture's, where QEMU names none), and KVM where the host has it. */
typedef struct QemuEmulatorQuery {
        const char *emulator;
        const char *arch;
        const char *machine;
        const char *virttype; /* "kvm", "qemu" */
} QemuEmulatorQuery;

typedef struct QemuChoice {
        QemuCapabilities *capabilities;
        const char *arch;
        const QemuMachine *machine;
        QemuAccel accel;
} QemuChoice;

/* choice (borrowed), or if it is NULL the error. Comes later, from the loop, exactly once unless the request is freed first; it may free
 * the request. */
typedef void (*QemuChoiceCallback)(const QemuChoice *choice, const sd_bus_error *error, void *userdata);

typedef struct QemuChoiceRequest QemuChoiceRequest;

/* InvalidArgument (at once, or as the answer) if there is no such architecture, emulator, machine or virtualization type. */
int qemu_choose(QemuCapabilitiesManager *manager, const QemuEmulatorQuery *query, QemuChoiceCallback callback, void *userdata,
                QemuChoiceRequest **ret, sd_bus_error *reterr) VB_MUST_USE;

/* Cancels if it is not answered yet. Takes NULL, returns NULL. Must be called after the answer, too. */
QemuChoiceRequest *qemu_choice_request_free(QemuChoiceRequest *request);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuChoiceRequest, qemu_choice_request_free)
