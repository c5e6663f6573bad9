/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Long work on a guest that runs: saving its state to a file, dumping its memory. A Job1 object shows the progress; at most one
 * of them runs at a time, as it is the domain's operation. */

#include "hypervisor/driver.h"
#include "qemu/dump.h"
#include "qemu/migration.h"

typedef struct QemuDomain QemuDomain;
typedef struct QemuSave QemuSave;

/* VbDriver.managed_save */
int qemu_managed_save(VbDomain *domain, const VbSaveOptions *options, VbCall *call, VbDone done, void *userdata,
                      sd_bus_error *reterr);

/* The monitor's MIGRATION and DUMP_COMPLETED events. */
void qemu_save_handle_event(QemuSave *save);

/* Ends the job without a word: its guest is gone. Takes NULL, returns NULL. */
QemuSave *qemu_save_free(QemuSave *save);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuSave, qemu_save_free)
