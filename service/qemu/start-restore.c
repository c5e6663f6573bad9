/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The part of a start that a guest with a saved state has: the emulator waits for it (-incoming defer), reads it from a descriptor, and
 * only then may the guest run. */

#include <fcntl.h>
#include <unistd.h>

#include "base/direct.h"
#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "qemu/start-private.h"

static int on_cancel(VbJob *job, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;

        vb_operation_cancel(start->operation, "its job was cancelled");
        return 0;
}

int qemu_start_prepare_restore(QemuStart *start, sd_bus_error *reterr) {
        VbDomain *domain = start->qemu->domain;
        int r;

        if (!start->options.restore)
                return 0;

        start->state_fd = fcntl(start->options.state_fd, F_DUPFD_CLOEXEC, 3);
        if (start->state_fd < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot duplicate a descriptor: %m");
        start->state_path = g_strdup(start->options.state_path);

        r = vb_job_new(&start->job, start->qemu->driver->daemon, "restore", &domain->object, start->options.call,
                       on_cancel, start, reterr);
        if (r < 0)
                return r;
        vb_domain_set_job(domain, start->job);
        return 0;
}

void qemu_start_forget_restore(QemuStart *start) {
        VbDomain *domain = start->qemu->domain;

        start->migration = qemu_migration_free(start->migration);
        start->copier = vb_worker_free(start->copier);
        if (start->job)
                vb_domain_set_job(domain, NULL);
        start->job = vb_job_end(start->job);
        vb_writer_forget(start->qemu->driver->hypervisor->writer, start);
        g_clear_pointer(&start->state_path, g_free);
        start->state_fd = vb_close(start->state_fd);
}

void qemu_start_handle_migration(QemuStart *start) {
        if (start->migration)
                qemu_migration_handle_event(start->migration);
}

static void on_progress(QemuMigration *migration, uint64_t done, uint64_t total, void *userdata) {
        QemuStart *start = userdata;

        vb_job_set_progress(start->job, done, total);
}

static void on_loaded(QemuMigration *migration, int r, const sd_bus_error *error, void *userdata) {
        QemuStart *start = userdata;

        /* An emulator that cannot read the state ends, and its last words say why; the monitor's end says less. */
        if (r != -ENOTCONN)
                vb_operation_step_done(start->operation, r, r < 0 ? error : NULL);
        start->migration = qemu_migration_free(start->migration);
}

/* --- around the page cache: a thread reads the file, and the emulator a pipe ------------------------------------------ */

typedef struct Stream {
        int fd;
        int target;
} Stream;

static void stream_free(void *data) {
        Stream *stream = data;

        stream->fd = vb_close(stream->fd);
        stream->target = vb_close(stream->target);
        g_free(stream);
}

static int copy(void *data, sd_bus_error *reterr) {
        Stream *stream = data;
        off_t offset = lseek(stream->fd, 0, SEEK_CUR);
        int r;

        r = offset < 0 ? -errno : vb_direct_read(stream->fd, (uint64_t) offset, stream->target);
        stream->target = vb_close(stream->target);
        return r < 0 ? sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot read the saved guest: %s", g_strerror(-r)) : 0;
}

/* An emulator that reads no more has its own reason; one that gets no more fails by that. */
static void on_copied(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuStart *start = userdata;

        if (r < 0)
                vb_log_info_for(VB_DOMAIN_LOG(start->qemu->domain), "domain '%s': %s", start->qemu->domain->name, error->message);
        start->copier = vb_worker_free(start->copier);
}

static int open_stream(QemuStart *start, int *ret, sd_bus_error *reterr) {
        Stream *stream;
        int fds[2], r;

        if (!start->options.bypass_cache) {
                *ret = fcntl(start->state_fd, F_DUPFD_CLOEXEC, 3);
                return *ret < 0 ? sd_bus_error_set_errnof(reterr, errno, "cannot duplicate a descriptor: %m") : 0;
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot make a pipe: %m");
        stream = g_new(Stream, 1);
        *stream = (Stream){ .fd = fcntl(start->state_fd, F_DUPFD_CLOEXEC, 3), .target = fds[1] };
        r = vb_worker_start(&start->copier, qemu_driver_event(start->qemu->driver), copy, stream, stream_free, on_copied, start,
                            reterr);
        if (r < 0) {
                stream_free(stream);
                (void) vb_close(fds[0]);
                return r;
        }
        *ret = fds[0];
        return 0;
}

int qemu_start_load(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        vb_autofd stream = -EBADF;
        int r;

        if (!start->options.restore)
                return VB_STEP_DONE;
        if (!start->qemu->monitor)
                return VB_STEP_PENDING; /* it has hung up: the process's end follows */

        r = open_stream(start, &stream, reterr);
        if (r < 0)
                return r;
        r = qemu_migration_load(&start->migration,
                                &(QemuMigrationSpec){ qemu_driver_event(start->qemu->driver), start->qemu->monitor,
                                                      stream, on_progress, on_loaded, start },
                                reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

static void on_saved_removed(int r, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuStart *start = userdata;

        if (r < 0)
                r = sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED,
                                      "the saved state cannot be removed, and must not be started twice: %s", g_strerror(-r));
        else
                vb_domain_set_managed_save(start->qemu->domain, false);
        vb_operation_step_done(start->operation, r, r < 0 ? &error : NULL);
}

/* Before the guest runs, and synced: from then on its disks change, and the saved memory would belong to other disks. */
int qemu_start_remove_saved(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;

        /* What would be undone now could not be done again. */
        if (start->job)
                vb_job_set_cancelable(start->job, false);
        if (!start->state_path)
                return VB_STEP_DONE;
        vb_writer_unlink(start->qemu->driver->hypervisor->writer, start->state_path, on_saved_removed, start);
        return VB_STEP_PENDING;
}
