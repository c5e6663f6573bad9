/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/crash-dump.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/operation.h"
#include "base/worker.h"
#include "bus/job.h"
#include "hypervisor/hypervisor.h"
#include "qemu/domain.h"
#include "qemu/dump.h"

#define SECONDS(n) (UINT64_C(n) * 1000000)

/* Beside the guest's memory: headers, firmware and video memory. */
#define OVERHEAD_BYTES (UINT64_C(64) << 20)

struct QemuCrashDump {
        QemuDomain *qemu;
        VbLifecycleAction then;
        QemuCrashDumpDone done;
        VbJob *job;

        /* under way */
        VbOperation *operation;
        VbWorker *worker;
        QemuDump *dump;
        int fd;
};

/* --- the file, in a thread ------------------------------------------------------------------------------------------ */

/* The folder is the owner's, who may do in it what she likes: nothing in it is followed, or taken for ours. */
typedef struct File {
        char *folder; /* "/var/lib/virtbus/qemu/dump/1000" */
        char *name, *new_name;
        uid_t owner;
        uint64_t size; /* what it may need at most */
        int fd;
} File;

static void file_free(void *data) {
        File *file = data;

        file->fd = vb_close(file->fd);
        g_free(file->folder);
        g_free(file->name);
        g_free(file->new_name);
        g_free(file);
}

static char *folder_of(const VbDomain *domain) {
        return g_strdup_printf("%s/dump/%u", domain->hypervisor->state_dir, (unsigned) domain->owner);
}

static File *file_new(const QemuDomain *qemu) {
        const VbDomain *domain = qemu->domain;
        File *file = g_new(File, 1);

        *file = (File){
                .folder = folder_of(domain),
                .name = g_strdup_printf("%s.elf", domain->uuid_string),
                .new_name = g_strdup_printf("%s.elf.new", domain->uuid_string),
                .owner = domain->owner,
                .size = vb_domain_max_memory(domain) + OVERHEAD_BYTES,
                .fd = -EBADF,
        };
        return file;
}

static int open_folder(const File *file) {
        int fd = open(file->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Made by root below a folder of root's, then given away, while it is empty. */
static int make_folder(const File *file) {
        g_autofree char *base = g_path_get_dirname(file->folder);
        vb_autofd fd = -EBADF;
        struct stat st;
        int r;

        r = vb_mkdir(base, 0711);
        if (r >= 0)
                r = vb_mkdir(file->folder, 0700);
        if (r < 0)
                return r;
        fd = open_folder(file);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_uid != file->owner && (st.st_uid != geteuid() || fchown(fd, file->owner, (gid_t) -1) < 0))
                return -EPERM;
        return vb_steal_fd(&fd);
}

static int check_space(const File *file, int folder, sd_bus_error *reterr) {
        struct statvfs st;
        uint64_t size, available;

        if (fstatvfs(folder, &st) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot look at '%s': %m", file->folder);
        available = (uint64_t) st.f_bavail * st.f_frsize;
        size = (uint64_t) st.f_blocks * st.f_frsize;
        if (available >= size / 10 && available - size / 10 >= file->size)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED,
                                 "'%s' has too little space: a dump may take %" PRIu64 " MiB, and a tenth of the file system "
                                 "stays free", file->folder, file->size >> 20);
}

static int open_file(void *data, sd_bus_error *reterr) {
        File *file = data;
        vb_autofd folder = -EBADF;
        int r;

        folder = make_folder(file);
        if (folder < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make folder '%s': %s", file->folder,
                                         g_strerror(-folder));
        /* What an earlier daemon has left does not count. */
        (void) unlinkat(folder, file->new_name, 0);
        r = check_space(file, folder, reterr);
        if (r < 0)
                return r;
        file->fd = openat(folder, file->new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->fd < 0 || (file->owner != geteuid() && fchown(file->fd, file->owner, (gid_t) -1) < 0))
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make '%s/%s': %s", file->folder, file->new_name,
                                         g_strerror(errno));
        return 0;
}

static int keep_file(void *data, sd_bus_error *reterr) {
        File *file = data;
        vb_autofd folder = open_folder(file);

        if (folder < 0 || fsync(file->fd) < 0 || renameat(folder, file->new_name, folder, file->name) < 0 || fsync(folder) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot keep '%s/%s': %s", file->folder, file->name,
                                         g_strerror(errno));
        return 0;
}

static int remove_file(void *data, sd_bus_error *unused) {
        File *file = data;
        vb_autofd folder = open_folder(file);

        if (folder >= 0)
                (void) unlinkat(folder, file->new_name, 0);
        return 0;
}

static void on_file_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuCrashDump *dump = userdata;
        File *file = data;

        if (r >= 0 && dump->fd < 0)
                dump->fd = vb_steal_fd(&file->fd);
        vb_operation_step_done(dump->operation, r, r < 0 ? error : NULL);
        dump->worker = vb_worker_free(dump->worker);
}

static int run_file(QemuCrashDump *dump, VbWork work, sd_bus_error *reterr) {
        File *file = file_new(dump->qemu);
        int r;

        if (dump->fd >= 0)
                file->fd = fcntl(dump->fd, F_DUPFD_CLOEXEC, 3);
        r = vb_worker_start(&dump->worker, qemu_driver_event(dump->qemu->driver), work, file, file_free, on_file_done, dump,
                            reterr);
        if (r < 0) {
                file_free(file);
                return r;
        }
        return VB_STEP_PENDING;
}

/* Nobody waits for it. */
static void remove_later(QemuCrashDump *dump) {
        File *file = file_new(dump->qemu);
        VbWorker *worker = NULL;

        if (vb_worker_start(&worker, qemu_driver_event(dump->qemu->driver), remove_file, file, file_free, NULL, NULL,
                            /* reterr= */ NULL) < 0)
                file_free(file);
        (void) vb_worker_free(worker);
}

/* --- the steps ------------------------------------------------------------------------------------------------------- */

static int step_open(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        return run_file(userdata, open_file, reterr);
}

static int step_open_undo(VbOperation *operation, void *userdata) {
        QemuCrashDump *dump = userdata;

        dump->worker = vb_worker_free(dump->worker);
        remove_later(dump);
        return VB_STEP_DONE;
}

static void on_progress(QemuDump *dump, uint64_t done, uint64_t total, void *userdata) {
        QemuCrashDump *crash_dump = userdata;

        vb_job_set_progress(crash_dump->job, done, total);
}

static void on_written(QemuDump *dump, int r, const sd_bus_error *error, void *userdata) {
        QemuCrashDump *crash_dump = userdata;

        vb_operation_step_done(crash_dump->operation, r, r < 0 ? error : NULL);
        crash_dump->dump = qemu_dump_free(crash_dump->dump);
}

static int step_write(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuCrashDump *dump = userdata;
        const QemuDumpSpec spec = {
                .event = qemu_driver_event(dump->qemu->driver),
                .monitor = dump->qemu->monitor,
                .fd = dump->fd,
                .format = "elf",
                .progressed = on_progress,
                .done = on_written,
                .userdata = dump,
        };
        int r;

        if (!dump->qemu->monitor)
                return sd_bus_error_set(reterr, VB_ERROR_MONITOR_FAILED, "the emulator's monitor is not connected");
        r = qemu_dump_new(&dump->dump, &spec, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

static int step_keep(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        return run_file(userdata, keep_file, reterr);
}

static const VbStep steps[] = {
        { "open the file", step_open, step_open_undo, SECONDS(60) },
        { "write the memory", step_write, NULL, 0 },
        { "keep the file", step_keep, NULL, 0 },
};

static void on_done(VbOperation *operation, int r, const sd_bus_error *error, void *userdata) {
        QemuCrashDump *dump = userdata;
        QemuDomain *qemu = dump->qemu;
        g_autofree char *folder = folder_of(qemu->domain);
        QemuCrashDumpDone done = dump->done;
        VbLifecycleAction then = dump->then;

        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': no dump of its crash: %s", qemu->domain->name,
                                   error->message);
        else
                vb_log_notice_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': its memory was dumped to '%s/%s.elf'",
                                  qemu->domain->name, folder, qemu->domain->uuid_string);
        vb_domain_tell_job(qemu->domain, r, error);
        dump->operation = vb_operation_free(dump->operation);
        qemu->crash_dump = qemu_crash_dump_free(dump);
        vb_domain_finish(qemu->domain, 0, NULL);
        if (!qemu->ending)
                done(qemu, then);
}

int qemu_crash_dump_begin(QemuDomain *qemu, VbLifecycleAction then, QemuCrashDumpDone done, sd_bus_error *reterr) {
        VbDomain *domain = qemu->domain;
        g_autofree char *title = g_strdup_printf("dump the crash of domain '%s'", domain->name);
        QemuCrashDump *dump = g_new(QemuCrashDump, 1);
        const VbOperationSpec spec = {
                .title = title,
                .object = domain->name,
                .uuid = domain->uuid_string,
                .steps = steps,
                .n_steps = G_N_ELEMENTS(steps),
                .done = on_done,
                .userdata = dump,
        };
        int r;

        *dump = (QemuCrashDump){ .qemu = qemu, .then = then, .done = done, .fd = -EBADF };
        r = vb_domain_begin(domain, "crash dump", /* done= */ NULL, /* userdata= */ NULL, reterr);
        if (r < 0) {
                g_free(dump);
                return r;
        }

        r = vb_job_new(&dump->job, qemu->driver->daemon, "dump", &domain->object, /* call= */ NULL, /* cancel= */ NULL, dump,
                       reterr);
        if (r >= 0)
                r = vb_operation_start(&dump->operation, qemu_driver_event(qemu->driver), &spec);
        if (r < 0) {
                dump->job = vb_job_end(dump->job);
                g_free(dump);
                vb_domain_abandon(domain);
                return r;
        }
        vb_domain_set_job(domain, dump->job);
        qemu->crash_dump = dump;
        return 0;
}

QemuCrashDump *qemu_crash_dump_free(QemuCrashDump *dump) {
        if (!dump)
                return NULL;

        /* While there is an operation, the file is not yet in its place. */
        if (dump->operation)
                remove_later(dump);
        dump->operation = vb_operation_free(dump->operation);
        dump->worker = vb_worker_free(dump->worker);
        dump->dump = qemu_dump_free(dump->dump);
        vb_domain_set_job(dump->qemu->domain, NULL);
        dump->job = vb_job_end(dump->job);
        dump->fd = vb_close(dump->fd);
        g_free(dump);
        return NULL;
}
