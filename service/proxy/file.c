/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "base/worker.h"
#include "proxy/error.h"
#include "proxy/worker.h"

/* What the thread works on. */
typedef struct Opening {
        char *path;
        ProxyFileHow how;
        int fd;
        bool is_new;
} Opening;

/* What waits for it in the loop. */
typedef struct Waiting {
        ProxyCall *call;
        ProxyFileOpened opened;
        void *userdata;
        VbWorker *worker;
        sd_event *event;
} Waiting;

static void opening_free(void *data) {
        Opening *opening = data;

        (void) vb_close(opening->fd);
        g_free(opening->path);
        g_free(opening);
}

static void waiting_free(Waiting *waiting) {
        vb_worker_free(waiting->worker);
        proxy_call_unref(waiting->call);
        g_free(waiting);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Waiting, waiting_free)

static int open_path(Opening *opening) {
        int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

        if (opening->how == PROXY_FILE_READ)
                return opening->fd = open(opening->path, flags | O_RDONLY);
        if (opening->how == PROXY_FILE_EDIT)
                return opening->fd = open(opening->path, flags | O_RDWR);
        opening->fd = open(opening->path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (opening->fd >= 0)
                opening->is_new = true;
        else if (errno == EEXIST)
                opening->fd = open(opening->path, flags | O_RDWR);
        return opening->fd;
}

static int work_open(void *data, sd_bus_error *reterr) {
        Opening *opening = data;
        struct stat st;

        if (open_path(opening) < 0 || fstat(opening->fd, &st) < 0)
                return proxy_error_set(reterr, VIR_ERR_SYSTEM_ERROR, VIR_FROM_NONE,
                                       "cannot open file '%s': %s", opening->path, g_strerror(errno));
        if (!S_ISREG(st.st_mode))
                return proxy_error_set(reterr, VIR_ERR_OPERATION_FAILED, VIR_FROM_NONE,
                                       "'%s' is not a regular file", opening->path);
        if (opening->how == PROXY_FILE_CREATE && ftruncate(opening->fd, 0) < 0)
                return proxy_error_set(reterr, VIR_ERR_SYSTEM_ERROR, VIR_FROM_NONE,
                                       "cannot empty file '%s': %s", opening->path, g_strerror(errno));
        return 0;
}

/* ---- giving up */

/* What waits for the thread. */
typedef struct Discarding {
        ProxyCall *call;
        int r;
        sd_bus_error error; /* that the call fails of */
} Discarding;

static void discarding_free(Discarding *discarding) {
        proxy_call_unref(discarding->call);
        sd_bus_error_free(&discarding->error);
        g_free(discarding);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Discarding, discarding_free)

static int work_unlink(void *path, sd_bus_error *reterr) {
        if (unlink(path) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot remove '%s': %m", (const char *) path);
        return 0;
}

static void on_unlinked(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_autoptr(Discarding) discarding = userdata;

        if (r < 0)
                vb_log_warning("%s", error->message);
        vb_worker_free(worker);
        (void) proxy_call_fail(discarding->call, discarding->r, &discarding->error);
}

static int discard(ProxyCall *call, void *userdata, int r, const sd_bus_error *error) {
        const ProxyFile *file = userdata;
        g_auto(sd_bus_error) failure = SD_BUS_ERROR_NULL;
        g_autoptr(Discarding) discarding = NULL;
        VbWorker *worker;
        char *path;

        discarding = g_new0(Discarding, 1);
        discarding->call = proxy_call_ref(call);
        discarding->r = r;
        (void) sd_bus_error_copy(&discarding->error, error);
        path = g_strdup(file->path);
        if (vb_worker_start(&worker, file->event, work_unlink, path, g_free, on_unlinked, discarding, &failure) < 0) {
                vb_log_warning("'%s' is left behind: %s", path, failure.message);
                g_free(path);
                return proxy_call_fail(call, r, error);
        }
        (void) g_steal_pointer(&discarding); /* on_unlinked()'s */
        return 0;
}

/* ---- opening */

static ProxyFile *take_file(ProxyCall *call, Opening *opening, sd_event *event) {
        ProxyFile *file = proxy_call_alloc(call, sizeof(ProxyFile));

        *file = (ProxyFile){ .path = proxy_call_strdup(call, opening->path),
                             .fd = opening->fd,
                             .is_new = opening->is_new,
                             .event = event };
        proxy_call_keep_fd(call, vb_steal_fd(&opening->fd));
        if (file->is_new)
                proxy_call_set_undo(call, discard, file);
        return file;
}

static void on_opened(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_autoptr(Waiting) waiting = userdata;
        g_auto(sd_bus_error) failure = SD_BUS_ERROR_NULL;
        ProxyFile *file;

        if (r < 0) {
                (void) proxy_call_fail(waiting->call, r, error);
                return;
        }
        file = take_file(waiting->call, data, waiting->event);
        if (proxy_call_is_orphan(waiting->call)) {
                if (file->is_new)
                        (void) discard(waiting->call, file, -ECANCELED, NULL);
                return;
        }
        r = waiting->opened(waiting->call, file, waiting->userdata, &failure);
        if (r < 0)
                (void) proxy_call_fail(waiting->call, r, &failure);
}

int proxy_file_open(ProxyCall *call, const char *path, ProxyFileHow how, ProxyFileOpened opened,
                    void *userdata, sd_bus_error *reterr) {
        g_autoptr(Waiting) waiting = NULL;
        Opening *opening;
        int r;

        if (!g_path_is_absolute(path))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                       "'%s' is not an absolute path", path);

        opening = g_new0(Opening, 1);
        *opening = (Opening){ .path = g_strdup(path), .how = how, .fd = -EBADF };
        waiting = g_new0(Waiting, 1);
        *waiting = (Waiting){
                .call = proxy_call_ref(call),
                .opened = opened,
                .userdata = userdata,
                .event = proxy_worker_event(proxy_connection_worker(proxy_call_connection(call))),
        };
        r = vb_worker_start(&waiting->worker, waiting->event, work_open, opening, opening_free, on_opened,
                            waiting, reterr);
        if (r < 0) {
                opening_free(opening);
                return r;
        }
        (void) g_steal_pointer(&waiting); /* on_opened()'s */
        return 0;
}
