/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest's memory and device state, written to a descriptor or read from one, by the emulator's migration. Saving to a file,
 * restoring from one and raw core dumps are this; migration to another host will be. */

#include <stdint.h>

#include "qemu/monitor.h"

typedef struct QemuMigration QemuMigration;

/* Several times a second. total is what is known by now; it grows when a running guest writes memory. */
typedef void (*QemuMigrationProgressed)(QemuMigration *migration, uint64_t bytes_done, uint64_t bytes_total, void *userdata);

/* r = 0: complete. The emulator has written all, or read all and waits to continue. r < 0 with error: MonitorFailed, or -ECANCELED with
 * Canceled; a guest that was to be saved can continue. Called once; the migration may be freed in it, and must be
 * in the end. When the monitor closes, what is pending ends with its error. */
typedef void (*QemuMigrationDone)(QemuMigration *migration, int r, const sd_bus_error *error, void *userdata);

typedef struct QemuMigrationSpec {
        sd_event *event;
        QmpMonitor *monitor;
        int fd; /* at the position where the stream begins; duplicated */
        QemuMigrationProgressed progressed; /* may be NULL */
        QemuMigrationDone done;
        void *userdata;
} QemuMigrationSpec;

/* Writes the state. The guest should be stopped, or its memory has to be written more than once. */
VB_MUST_USE int qemu_migration_save(QemuMigration **ret, const QemuMigrationSpec *spec, sd_bus_error *reterr);

/* Reads a state, in an emulator started with -incoming defer. */
VB_MUST_USE int qemu_migration_load(QemuMigration **ret, const QemuMigrationSpec *spec, sd_bus_error *reterr);

/* The monitor's MIGRATION event came: the state may have changed. */
void qemu_migration_handle_event(QemuMigration *migration);

/* Asks a save to end; done() follows. Too late, it completes. A load is ended by ending its emulator. */
void qemu_migration_cancel(QemuMigration *migration);

/* Before the monitor is freed. What runs in the emulator goes on. Takes NULL, returns NULL. */
QemuMigration *qemu_migration_free(QemuMigration *migration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuMigration, qemu_migration_free)
