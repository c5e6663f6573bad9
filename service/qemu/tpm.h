/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The TPM emulator beside a guest: swtpm, as the guest's own user, in the guest's scope. The two share a socket pair; when
 * the guest's end of it closes, swtpm ends by itself. So it needs no daemon, and goes on without one. What the TPM remembers is in a folder of
 * its own, STATE/tpm/UUID. */

#include "qemu/domain.h"

typedef struct QemuTpmSpec {
        int channel; /* its end of the socket pair; stays the caller's */
        int log;     /* where its complaints go; likewise */
        uid_t uid;   /* (uid_t) -1: the daemon's own user */
        gid_t gid;
} QemuTpmSpec;

/* Makes the folder if there is none, and a process that waits at its gate, qemu->tpm. Its end is told to qemu_start_tpm_exited() while the
 * guest starts, to qemu_stop_tpm_exited() when the guest has ended, else to the log. */
VB_MUST_USE int qemu_tpm_spawn(QemuDomain *qemu, const VbTpm *tpm, const QemuTpmSpec *spec, sd_bus_error *reterr);

/* Of a guest that another daemon has started. */
VB_MUST_USE int qemu_tpm_adopt(QemuDomain *qemu, pid_t pid, uint64_t start_time);

/* The guest has ended. True: its TPM emulator has not yet, and qemu_stop_tpm_exited() follows. */
bool qemu_tpm_end(QemuDomain *qemu);

/* Removes what the domain's TPM remembers, in the background. */
void qemu_tpm_forget(const VbDomain *domain);
