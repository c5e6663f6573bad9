/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file of a save or dump, in threads that have all of their own: it may hang longer than the guest lives. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/direct.h"
#include "base/error.h"
#include "qemu/save-private.h"

#define MOVES_USEC (UINT64_C(500) * 1000)

/* What it is called where the daemon looks; for people. */
static char *name_of(int fd) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd), *path = g_file_read_link(link, NULL);

        return path ? g_strdup_printf("'%s'", path) : g_strdup("the file");
}

/* --- header, sync: a function of the file as a step ------------------------------------------------------------------ */

typedef struct FileWork {
        QemuSaveWork work;
        int fd;
        char *xml;
        bool resume_running, bypass_cache;
        int moves;
} FileWork;

static void file_work_free(gpointer data) {
        FileWork *file = data;

        file->fd = vb_close(file->fd);
        g_free(file->xml);
        g_free(file);
}

static int run_file_work(void *data, sd_bus_error *reterr) {
        FileWork *file = data;

        g_autofree char *name = NULL;
        int r;

        r = file->work(file->fd, file->xml, file->resume_running, file->bypass_cache, &file->moves, reterr);
        if (r >= 0)
                return r;
        name = name_of(file->fd);
        (void) vb_error_prefix(reterr, "%s", name);
        return r;
}

/* As long as the file takes more, the work is not stuck. */
static int on_moves_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuSave *save = userdata;
        int moves = g_atomic_int_get(save->moves);

        if (moves != save->moves_noted)
                vb_job_note_move(save->job);
        save->moves_noted = moves;
        (void) sd_event_source_set_time_relative(source, MOVES_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_file_work_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuSave *save = userdata;

        save->moves_timer = sd_event_source_disable_unref(save->moves_timer);
        save->moves = NULL;
        vb_operation_step_done(save->operation, r, r < 0 ? error : NULL);
        save->worker = vb_worker_free(save->worker);
}

int qemu_save_run(QemuSave *save, QemuSaveWork work, sd_bus_error *reterr) {
        FileWork *file = g_new0(FileWork, 1);
        int r;

        *file = (FileWork){
                .work = work,
                .fd = fcntl(save->fd, F_DUPFD_CLOEXEC, 3),
                .xml = g_strdup(save->xml),
                .resume_running = save->resume_running,
                .bypass_cache = save->bypass_cache,
        };
        r = vb_worker_start(&save->worker, qemu_driver_event(save->qemu->driver), run_file_work, file, file_work_free,
                            on_file_work_done, save, reterr);
        if (r < 0) {
                file_work_free(file);
                return r;
        }
        save->moves = &file->moves;
        save->moves_noted = 0;
        r = sd_event_add_time_relative(qemu_driver_event(save->qemu->driver), &save->moves_timer, CLOCK_MONOTONIC, MOVES_USEC,
                                       /* accuracy= */ 0, on_moves_timer, save);
        if (r < 0)
                vb_log_debug("the progress of syncing is not watched: %s", g_strerror(-r));
        return VB_STEP_PENDING;
}

/* --- memory: what the emulator writes, and why it could not ----------------------------------------------------------- */

typedef struct Stream {
        int fd;
        int source; /* where it comes from, if around the cache */
        uint64_t offset;
} Stream;

static void stream_free(void *data) {
        Stream *stream = data;

        stream->fd = vb_close(stream->fd);
        stream->source = vb_close(stream->source);
        g_free(stream);
}

static int set_write_error(int fd, int r, sd_bus_error *reterr) {
        g_autofree char *name = name_of(fd);

        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "%s: cannot write the guest's memory: %s", name, g_strerror(-r));
}

static int run_stream(QemuSave *save, VbWorker **ret, VbWork work, VbWorkDone done, int source, sd_bus_error *reterr) {
        Stream *stream = g_new(Stream, 1);
        int r;

        *stream = (Stream){
                .fd = fcntl(save->fd, F_DUPFD_CLOEXEC, 3),
                .source = source,
                .offset = (uint64_t) MAX(lseek(save->fd, 0, SEEK_CUR), 0),
        };
        r = vb_worker_start(ret, qemu_driver_event(save->qemu->driver), work, stream, stream_free, done, save, reterr);
        if (r < 0)
                stream_free(stream);
        return r;
}

static int copy(void *data, sd_bus_error *reterr) {
        Stream *stream = data;
        int r;

        r = vb_direct_write(stream->fd, stream->offset, stream->source);
        /* So that the emulator does not wait for who reads no more. */
        stream->source = vb_close(stream->source);
        return r < 0 ? set_write_error(stream->fd, r, reterr) : 0;
}

static void on_copied(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuSave *save = userdata;

        save->copier = vb_worker_free(save->copier);
        if (r < 0)
                (void) sd_bus_error_copy(&save->stream_error, error);
        save->stream_result = r;
        if (save->waits_for_copier)
                vb_operation_step_done(save->operation, r, r < 0 ? &save->stream_error : NULL);
}

int qemu_save_open_stream(QemuSave *save, int *ret, sd_bus_error *reterr) {
        vb_autofd reader = -EBADF, writer = -EBADF;
        struct stat st;
        int fds[2], r;

        /* Only what is stored is cached. */
        if (!save->bypass_cache || fstat(save->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                *ret = fcntl(save->fd, F_DUPFD_CLOEXEC, 3);
                return *ret < 0 ? sd_bus_error_set_errnof(reterr, errno, "cannot duplicate a descriptor: %m") : 0;
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot make a pipe: %m");
        reader = fds[0];
        writer = fds[1];
        /* Fewer turns between emulator and thread; as much as is allowed will do. */
        (void) fcntl(writer, F_SETPIPE_SZ, 1 << 20);
        r = run_stream(save, &save->copier, copy, on_copied, vb_steal_fd(&reader), reterr);
        if (r < 0)
                return r;
        *ret = vb_steal_fd(&writer);
        return 0;
}

/* The emulator's words do not tell a full disk from anything else; the file does, if it is asked to take a little more. */
static int find_cause(void *data, sd_bus_error *reterr) {
        static const char zeros[65536];
        Stream *stream = data;
        struct stat st;
        ssize_t n;

        if (fstat(stream->fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        n = pwrite(stream->fd, zeros, sizeof(zeros), st.st_size);
        if (n >= 0 && (size_t) n < sizeof(zeros))
                return set_write_error(stream->fd, -ENOSPC, reterr);
        return n < 0 || fdatasync(stream->fd) < 0 ? set_write_error(stream->fd, -errno, reterr) : 0;
}

static void on_cause_found(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuSave *save = userdata;

        if (r >= 0) {
                r = save->stream_result;
                error = &save->stream_error;
        }
        vb_operation_step_done(save->operation, r, error);
        save->worker = vb_worker_free(save->worker);
}

void qemu_save_stream_ended(QemuSave *save, int r, const sd_bus_error *error) {
        if (r >= 0 && save->copier) {
                save->waits_for_copier = true;
                return;
        }
        /* Why the pipe was closed is the cause, and not that it was. */
        if (save->stream_result < 0) {
                vb_operation_step_done(save->operation, save->stream_result, &save->stream_error);
                return;
        }
        if (r < 0 && sd_bus_error_has_name(error, VB_ERROR_MONITOR_FAILED) && !save->copier) {
                save->stream_result = r;
                (void) sd_bus_error_copy(&save->stream_error, error);
                if (run_stream(save, &save->worker, find_cause, on_cause_found, -EBADF, NULL) >= 0)
                        return;
        }
        vb_operation_step_done(save->operation, r, r < 0 ? error : NULL);
}
