/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks one emulator binary what it can do, by starting it without a guest. */

#include "qemu/capabilities.h"

typedef struct QemuProbe QemuProbe;

typedef struct QemuProbeSpec {
        const char *path;
        uid_t uid; /* (uid_t) -1: as the daemon */
        gid_t gid;
        bool kvm; /* ask for KVM, too; else /dev/kvm is not touched */
        uint64_t timeout_usec; /* for everything; 0: 30 s */

        /* Ask about nothing but the features of those CPU models that this table does not know yet, with this accelerator, and
         * add them to it. */
        QemuCpuTable *learn;
        QemuAccel accel;
} QemuProbeSpec;

/* capabilities are the callback's to unref, or NULL: then error says why; of a probe that learns, both are NULL when all went well. Called
 * exactly once, never from within qemu_probe_new(). May free the probe, and must in the end. */
typedef void (*QemuProbeCallback)(QemuProbe *probe, QemuCapabilities *capabilities, const sd_bus_error *error,
                                  void *userdata);

int qemu_probe_new(QemuProbe **ret, sd_event *event, const QemuProbeSpec *spec, QemuProbeCallback callback,
                   void *userdata, sd_bus_error *reterr) VB_MUST_USE;

/* Ends what still runs. Takes NULL, returns NULL. */
QemuProbe *qemu_probe_free(QemuProbe *probe);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuProbe, qemu_probe_free)
