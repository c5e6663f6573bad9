/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest's memory as a core for debuggers: ELF, or kdump's compressed format. The emulator cannot be stopped in this. */

#include <stdint.h>

#include "qemu/monitor.h"

typedef struct QemuDump QemuDump;

typedef void (*QemuDumpProgressed)(QemuDump *dump, uint64_t bytes_done, uint64_t bytes_total, void *userdata);

/* Called once; the dump may be freed in it, and must be in the end. */
typedef void (*QemuDumpDone)(QemuDump *dump, int r, const sd_bus_error *error, void *userdata);

typedef struct QemuDumpSpec {
        sd_event *event;
        QmpMonitor *monitor;
        int fd;             /* open for writing; passed on, stays the caller's */
        const char *format; /* "elf", "kdump-zlib", "kdump-lzo", "kdump-snappy" */
        QemuDumpProgressed progressed; /* may be NULL */
        QemuDumpDone done;
        void *userdata;
} QemuDumpSpec;

VB_MUST_USE int qemu_dump_new(QemuDump **ret, const QemuDumpSpec *spec, sd_bus_error *reterr);

/* The monitor's DUMP_COMPLETED event came. */
void qemu_dump_handle_event(QemuDump *dump);

/* Before the monitor is freed. Takes NULL, returns NULL. */
QemuDump *qemu_dump_free(QemuDump *dump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDump, qemu_dump_free)
