/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/save.h"

#include <fcntl.h>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "qemu/ask.h"
#include "qemu/save-private.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"

#define COMMAND_TIMEOUT_USEC ((uint64_t) 30 * G_USEC_PER_SEC)

QemuSave *qemu_save_new(QemuDomain *qemu, int fd) {
        QemuSave *save = g_new0(QemuSave, 1);

        *save = (QemuSave){ .qemu = qemu, .fd = fd < 0 ? -EBADF : fcntl(fd, F_DUPFD_CLOEXEC, 3) };
        return save;
}

/* What was not put into place, or is just being put there although the guest has ended in another way. */
static void remove_unfinished(QemuSave *save) {
        VbWriter *writer = save->qemu->driver->hypervisor->writer;

        if (!save->new_path)
                return;
        vb_writer_forget(writer, save);
        vb_writer_unlink(writer, save->new_path, NULL, NULL);
        if (save->keeping)
                vb_writer_unlink(writer, save->path, NULL, NULL);
}

QemuSave *qemu_save_free(QemuSave *save) {
        if (!save)
                return NULL;

        remove_unfinished(save);
        if (save->job)
                vb_domain_set_job(save->qemu->domain, NULL);
        save->operation = vb_operation_free(save->operation);
        save->moves_timer = sd_event_source_disable_unref(save->moves_timer);
        save->worker = vb_worker_free(save->worker);
        save->copier = vb_worker_free(save->copier);
        sd_bus_error_free(&save->stream_error);
        save->migration = qemu_migration_free(save->migration);
        save->dump = qemu_dump_free(save->dump);
        if (save->command && save->qemu->monitor)
                qmp_monitor_forget(save->qemu->monitor, save->command);
        save->job = vb_job_end(save->job);
        save->fd = vb_close(save->fd);
        g_free(save->xml);
        g_free(save->new_path);
        g_free(save->path);
        g_free(save);
        return NULL;
}

void qemu_save_handle_event(QemuSave *save) {
        if (save->migration)
                qemu_migration_handle_event(save->migration);
        if (save->dump)
                qemu_dump_handle_event(save->dump);
}

/* Stopping the guest's vCPUs, and letting them run again */

static void on_answered(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuSave *save = userdata;

        save->command = 0;
        vb_operation_step_done(save->operation, reply->r, reply->r < 0 ? &reply->error : NULL);
}

int qemu_save_pause(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;

        save->was_running = save->qemu->domain->state == VB_DOMAIN_RUNNING;
        if (!save->was_running)
                return VB_STEP_DONE;
        save->qemu->pause_reason = save->paused_reason;
        /* Before it stands still: a daemon that comes after this one must know why. */
        save->qemu->goes_on = true;
        qemu_state_file_save(save->qemu);
        /* The emulator itself pauses it for the last of its memory. Not so for a dump in a format of its own: there it would do so, too, and end at
         * once if the guest resets itself at that very moment (QEMU 7.2: "invalid runstate transition: 'save-vm' -> 'prelaunch'"); a guest that was
         * paused may. */
        if (save->live && !save->format)
                return VB_STEP_DONE;
        save->command = qmp_monitor_send(save->qemu->monitor, "stop", NULL, on_answered, save, COMMAND_TIMEOUT_USEC);
        return VB_STEP_PENDING;
}

static void on_continued(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuSave *save = userdata;

        save->command = 0;
        vb_operation_undo_done(save->operation, reply->r);
}

int qemu_save_pause_undo(VbOperation *operation, void *userdata) {
        QemuSave *save = userdata;

        if (!save->was_running || !save->qemu->monitor)
                return VB_STEP_DONE;
        /* Whether it has stopped is of no interest any more: it is told what comes next in order. */
        if (save->command)
                qmp_monitor_forget(save->qemu->monitor, save->command);
        save->qemu->resume_reason = VB_REASON_SAVE_CANCELED;
        save->command = qmp_monitor_send(save->qemu->monitor, "cont", NULL, on_continued, save, COMMAND_TIMEOUT_USEC);
        return VB_STEP_PENDING;
}

/* Memory */

static void on_progress(QemuSave *save, uint64_t done, uint64_t total) {
        vb_job_set_progress(save->job, done, total);
}

static void on_migration_progress(QemuMigration *migration, uint64_t done, uint64_t total, void *userdata) {
        on_progress(userdata, done, total);
}

static void on_dump_progress(QemuDump *dump, uint64_t done, uint64_t total, void *userdata) {
        on_progress(userdata, done, total);
}

/* Either as a step, or, when it was cancelled, on the way back. */
static void memory_ended(QemuSave *save, int r, const sd_bus_error *error) {
        if (vb_operation_is_undoing(save->operation))
                vb_operation_undo_done(save->operation, 0);
        else
                qemu_save_stream_ended(save, r, error);
}

static void on_migrated(QemuMigration *migration, int r, const sd_bus_error *error, void *userdata) {
        QemuSave *save = userdata;

        memory_ended(save, r, error);
        save->migration = qemu_migration_free(save->migration);
}

static void on_dumped(QemuDump *dump, int r, const sd_bus_error *error, void *userdata) {
        QemuSave *save = userdata;

        memory_ended(save, r, error);
        save->dump = qemu_dump_free(save->dump);
}

int qemu_save_write_memory(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;
        sd_event *event = qemu_driver_event(save->qemu->driver);
        vb_autofd stream = -EBADF;
        int r;

        r = qemu_save_open_stream(save, &stream, reterr);
        if (r < 0)
                return r;
        if (save->format)
                r = qemu_dump_new(&save->dump,
                                  &(QemuDumpSpec){ event, save->qemu->monitor, stream, save->format, on_dump_progress, on_dumped,
                                                   save },
                                  reterr);
        else
                r = qemu_migration_save(&save->migration,
                                        &(QemuMigrationSpec){ event, save->qemu->monitor, stream, on_migration_progress,
                                                              on_migrated, save },
                                        reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

/* The guest must not go on before the emulator has let go of its memory. */
int qemu_save_write_memory_undo(VbOperation *operation, void *userdata) {
        QemuSave *save = userdata;

        if (!save->migration)
                return VB_STEP_DONE;
        qemu_migration_cancel(save->migration);
        return VB_STEP_PENDING;
}

/* The whole */

/* Also a guest that was to run meanwhile: the emulator stops it to write the last of its memory. */
int qemu_save_continue(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;
        QmpMonitor *monitor = save->qemu->monitor;

        if (save->then == QEMU_SAVE_THEN_CRASH)
                return VB_STEP_DONE;
        if (save->then == QEMU_SAVE_THEN_RESET)
                save->command = qmp_monitor_send(monitor, "system_reset", NULL, save->was_running ? NULL : on_answered, save,
                                                 COMMAND_TIMEOUT_USEC);
        if (save->was_running)
                save->command = qmp_monitor_send(monitor, "cont", NULL, on_answered, save, COMMAND_TIMEOUT_USEC);
        return save->command ? VB_STEP_PENDING : VB_STEP_DONE;
}

static void on_done(VbOperation *operation, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;
        QemuSave *save = userdata;
        QemuDomain *qemu = save->qemu;
        QemuSaveThen then = save->then;

        if (r < 0)
                (void) sd_bus_error_copy(&kept, error);
        else if (save->path) {
                g_clear_pointer(&save->new_path, g_free);
                vb_domain_set_managed_save(qemu->domain, true);
        }

        vb_domain_tell_job(qemu->domain, r, error);
        qemu->save = qemu_save_free(save);

        /* A guest that is being ended takes this with it, and says so: vb_domain_stopped(). */
        if (r < 0 && qemu->ending)
                return;
        if (r >= 0 && then == QEMU_SAVE_THEN_END)
                qemu_stop_end_as_wanted(qemu, VB_REASON_SAVED);
        else if (r >= 0 && then == QEMU_SAVE_THEN_CRASH)
                qemu_stop_end_as_wanted(qemu, VB_REASON_CRASHED);
        else
                vb_domain_finish(qemu->domain, r, r < 0 ? &kept : NULL);
}

static void on_step_entered(VbOperation *operation, const VbStep *step, void *userdata) {
        QemuSave *save = userdata;

        vb_job_note_move(save->job);
}

static int on_cancel(VbJob *job, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;

        if (save->dump)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s': the emulator cannot stop a memory dump once it has begun",
                                         save->qemu->domain->name);
        vb_operation_cancel(save->operation, "its job was cancelled");
        return 0;
}

int qemu_save_begin(QemuSave *given, const char *what, VbCall *call, const VbStep *steps, size_t n_steps, VbDone done,
                    void *userdata, sd_bus_error *reterr) {
        g_autoptr(QemuSave) save = given;
        QemuDomain *qemu = save->qemu;
        VbDomain *domain = qemu->domain;
        g_autofree char *title = g_strdup_printf("%s domain '%s'", what, domain->name);
        const VbOperationSpec spec = {
                .title = title,
                .object = domain->name,
                .uuid = domain->uuid_string,
                .steps = steps,
                .n_steps = n_steps,
                .entered = on_step_entered,
                .done = on_done,
                .userdata = save,
        };
        int r;

        r = qemu_ask_find_monitor(domain, /* ret= */ NULL, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, what, done, userdata, reterr);
        if (r < 0)
                return r;

        r = vb_job_new(&save->job, qemu->driver->daemon, what, &domain->object, call, on_cancel, save, reterr);
        if (r >= 0)
                r = vb_operation_start(&save->operation, qemu_driver_event(qemu->driver), &spec);
        if (r < 0) {
                vb_domain_abandon(domain);
                return r;
        }

        vb_domain_set_job(domain, save->job);
        qemu->save = g_steal_pointer(&save);
        return 0;
}
