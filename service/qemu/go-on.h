/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest that was paused to be saved or dumped, and whose daemon ended before that was done. Nobody will end the work, so the guest goes
 * on: the emulator is told to stop writing, a managed save that was just put into place is removed (the memory in it belongs
 * to disks that will change), and the vCPUs run again. To all others it is an operation under way. */

typedef struct QemuDomain QemuDomain;
typedef struct QemuGoOn QemuGoOn;

/* The monitor answers, and qemu->goes_on says that it must. */
void qemu_go_on(QemuDomain *qemu);

/* Takes NULL, returns NULL. */
QemuGoOn *qemu_go_on_free(QemuGoOn *go_on);
