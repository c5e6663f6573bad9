/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a daemon must know of a running guest that it did not start itself: RUN/UUID/state (JSON) and RUN/UUID/live.xml (the
 * guest's definition). RUN is in memory, so these are written in the loop. */

#include "qemu/domain.h"

#define QEMU_STATE_FORMAT 1

typedef struct QemuState {
        QemuProgress progress;
        int id;
        pid_t pid;
        uint64_t start_time; /* of the process; with pid, identifies it */
        pid_t tpm_pid; /* of the TPM emulator; 0: none */
        uint64_t tpm_start_time;
        uid_t owner;
        uid_t uid; /* whom it runs as */
        char *machine;
        char *unit;
        char *log_path;
        bool log_is_daemons;
        int32_t clock_adjustment;
        VbDomainState state;
        VbDomainReason reason;
        bool reboot_by_shutdown;
        bool goes_on;
        bool clock_behind;
        VbDomainReason suspend_reason;
        uint64_t agent_timeout_usec;
        VbClaims *claims; /* NULL: none */
} QemuState;

QemuState *qemu_state_free(QemuState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuState, qemu_state_free)

/* Of the domain as it is now. A failure is logged: the guest runs on, but a later daemon may not know it. */
void qemu_state_file_save(QemuDomain *qemu);
void qemu_state_file_save_live(QemuDomain *qemu);

/* -ENOENT if there is no such file, -EBADMSG if it makes no sense. */
VB_MUST_USE int qemu_state_file_load(const char *run_dir, QemuState **ret);
VB_MUST_USE int qemu_state_file_load_live(const char *run_dir, VbDomainDefinition **ret, sd_bus_error *reterr);
