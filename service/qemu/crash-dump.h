/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* on_crash='coredump-…': before a guest that has panicked is ended or restarted, its memory is written to
 * STATE/dump/OWNER/UUID.elf. That folder and file are the owner's. There is one file for each domain, of its last crash; it is not begun if
 * it would leave less than a tenth of the file system free, and not kept if it was cut short. */

#include "hypervisor/domain.h"

typedef struct QemuCrashDump QemuCrashDump;
typedef struct QemuDomain QemuDomain;

/* Called when the dump is made, or has failed, which is logged; not if the guest ends before that. */
typedef void (*QemuCrashDumpDone)(QemuDomain *qemu, VbLifecycleAction then);

/* Begins, as the domain's operation, which a job shows. Negative, with reterr: nothing was begun. */
VB_MUST_USE int qemu_crash_dump_begin(QemuDomain *qemu, VbLifecycleAction then, QemuCrashDumpDone done, sd_bus_error *reterr);

/* The guest is gone: what was written so far is removed. Takes NULL, returns NULL. */
QemuCrashDump *qemu_crash_dump_free(QemuCrashDump *dump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCrashDump, qemu_crash_dump_free)
