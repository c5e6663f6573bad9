/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the steps of saving and dumping share. */

#include "base/operation.h"
#include "base/worker.h"
#include "qemu/domain.h"
#include "qemu/save.h"

/* What becomes of the guest when all is written. */
typedef enum QemuSaveThen {
        QEMU_SAVE_THEN_CONTINUE, /* as it was */
        QEMU_SAVE_THEN_END,      /* off: saved */
        QEMU_SAVE_THEN_CRASH,    /* off: crashed */
        QEMU_SAVE_THEN_RESET,
} QemuSaveThen;

struct QemuSave {
        QemuDomain *qemu;
        VbJob *job;
        VbOperation *operation;
        QemuSaveThen then;
        VbDomainReason paused_reason; /* of the guest meanwhile */

        int fd;
        char *xml;
        bool resume_running; /* what the file says of the restored guest */
        bool bypass_cache;
        bool live;           /* the guest runs meanwhile */
        const char *format;  /* of a dump of memory only; NULL: the emulator's whole state */
        char *new_path, *path; /* a managed save is made beside its place, and then put there */
        bool keeping;           /* just now */

        /* under way */
        bool was_running;
        uint64_t command;
        VbWorker *worker;
        const int *moves;       /* of the function that it runs; NULL: it runs none */
        int moves_noted;
        sd_event_source *moves_timer;
        VbWorker *copier; /* of the memory, around the cache */
        bool waits_for_copier;
        int stream_result; /* … of the copier, or of the emulator's writing */
        sd_bus_error stream_error;
        QemuMigration *migration;
        QemuDump *dump;
};

/* fd is duplicated. */
QemuSave *qemu_save_new(QemuDomain *qemu, int fd);

/* Begins the domain's operation ("save", "dump"), its job and the steps. save is taken, also on failure. */
VB_MUST_USE int qemu_save_begin(QemuSave *save, const char *what, VbCall *call, const VbStep *steps, size_t n_steps,
                                VbDone done, void *userdata, sd_bus_error *reterr);

/* Steps */
int qemu_save_pause(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_save_pause_undo(VbOperation *operation, void *userdata);
int qemu_save_write_memory(VbOperation *operation, void *userdata, sd_bus_error *reterr);
int qemu_save_write_memory_undo(VbOperation *operation, void *userdata);
int qemu_save_continue(VbOperation *operation, void *userdata, sd_bus_error *reterr);

/* Where the emulator writes to: the file, or a pipe to a thread that writes it around the page cache. */
VB_MUST_USE int qemu_save_open_stream(QemuSave *save, int *ret, sd_bus_error *reterr);
/* The emulator has written all, or failed: ends the step, now or when the thread has ended, and with the file's own reason if it has one. */
void qemu_save_stream_ended(QemuSave *save, int r, const sd_bus_error *error);

/* Runs a function on the file in a thread, as the step that is under way. What it says of a failure gets the file's name;
 * moves, which it counts up atomically, become the job's. */
typedef int (*QemuSaveWork)(int fd, const char *xml, bool resume_running, bool bypass_cache, int *moves, sd_bus_error *reterr);
VB_MUST_USE int qemu_save_run(QemuSave *save, QemuSaveWork work, sd_bus_error *reterr);
