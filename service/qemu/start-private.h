/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the steps of a start share. */

#include "base/worker.h"
#include "qemu/command.h"
#include "qemu/migration.h"
#include "qemu/open.h"
#include "qemu/resources.h"
#include "qemu/start.h"

typedef struct QemuLogs QemuLogs;

struct QemuStart {
        QemuDomain *qemu;
        VbOperation *operation;
        bool canceled;

        /* asked for */
        VbStartOptions options;

        /* what the steps make */
        uid_t uid; /* whom the guest runs as; (uid_t) -1: the daemon's own user */
        gid_t gid;
        QemuResources *resources;
        int *ifindexes; /* of the host's ends of the network cards */
        size_t n_ifindexes;
        QemuCommand *command;
        int log_fd;
        bool executed;
        bool has_scope;
        bool at_gate;        /* the emulator's process, and knows itself to the lock manager */
        bool waits_for_gate; /* … the step does */

        /* what they wait for */
        VbWorker *worker;
        QemuCapabilitiesRequest *capabilities_request;
        VbOpenRequest *open_request;
        VbMachineCall *machine_call;
        QemuLogs *logs;
        sd_bus_slot *words_slot; /* what the emulator said before its end */
        unsigned replies; /* of the monitor, that are still to come */

        /* a restore: start-restore.c */
        int state_fd;
        VbWorker *copier; /* of it, around the page cache */
        char *state_path;
        VbJob *job;
        QemuMigration *migration;
};

static inline VbDomainDefinition *qemu_start_live(const QemuStart *start) {
        return start->qemu->domain->live;
}

/* start-prepare.c: everything before there is a process */
int qemu_start_prepare(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_prepare_undo(VbOperation *operation, void *userdata);
int qemu_start_capabilities(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_open(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_command(VbOperation *operation, void *userdata, sd_bus_error *reterr);

/* start-lease.c */
int qemu_start_claim(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_claim_undo(VbOperation *operation, void *userdata);
int qemu_start_lease(VbOperation *operation, void *userdata, sd_bus_error *reterr);
void qemu_start_at_gate(VbProcess *process, void *userdata); /* userdata: the QemuDomain */

/* start-plug.c */
int qemu_start_plug(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_plug_undo(VbOperation *operation, void *userdata);

/* start-process.c: from the process to the running guest */
int qemu_start_tpm(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_tpm_undo(VbOperation *operation, void *userdata);
int qemu_start_spawn(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_spawn_undo(VbOperation *operation, void *userdata);
int qemu_start_scope(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_scope_undo(VbOperation *operation, void *userdata);
int qemu_start_greet(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_set_up(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_run(VbOperation *operation, void *userdata, sd_bus_error *reterr);

/* start-restore.c: the guest's state comes from a file. Steps that do nothing if it does not. */
VB_MUST_USE int qemu_start_prepare_restore(QemuStart *start, sd_bus_error *reterr);
void qemu_start_forget_restore(QemuStart *start);
int qemu_start_load(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_start_remove_saved(VbOperation *operation, void *userdata, sd_bus_error *reterr);
