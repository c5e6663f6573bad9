/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/logs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "bus/names.h"
#include "interfaces/log-manager1.h"
#include "qemu/live.h"

/* A log daemon that does not answer must not hold up guests for ever; that it may have to be started first is reckoned in. */
#define OPEN_TIMEOUT_USEC (UINT64_C(10) * 1000000)

/* Of the emulator itself; else of one of the resources. */
typedef struct OpenLog {
        QemuLogs *logs;
        QemuLogPipe *pipe; /* NULL: the emulator's */
        sd_bus_slot *slot;
} OpenLog;

struct QemuLogs {
        QemuStart *start;
        OpenLog *opens;
        size_t n_opens, n_pending;
        bool waited_for; /* the step runs */
        int r;
        sd_bus_error error;
};

/* --- virtlogd --- */

static int take_descriptor(int fd, int *ret) {
        /* The command line keeps descriptors under their numbers, and 0 to 2 are taken. */
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return *ret < 0 ? -errno : 0;
}

static int take_reply(OpenLog *open, sd_bus_message *reply) {
        QemuStart *start = open->logs->start;
        uint64_t file, offset;
        const char *path;
        int fd, r;

        r = sd_bus_message_read(reply, "hstt", &fd, &path, &file, &offset);
        if (r < 0)
                return r;
        if (open->pipe) {
                VbChardev *device = qemu_live_find_chardev(qemu_start_live(start), open->pipe->alias);
                char **place = open->pipe->is_device ? &device->source.path : &device->source.log_file;

                g_free(*place);
                *place = g_strdup(path);
                return take_descriptor(fd, &open->pipe->fd);
        }
        g_free(start->qemu->log_path);
        start->qemu->log_path = g_strdup(path);
        start->qemu->log_is_daemons = true;
        start->qemu->log_file = file;
        start->qemu->log_start = offset;
        return take_descriptor(fd, &start->log_fd);
}

static const char *name_of(const OpenLog *open) {
        return open->pipe ? open->pipe->alias : "qemu";
}

static void fail(OpenLog *open, int r, const char *why) {
        QemuLogs *logs = open->logs;

        if (logs->r < 0)
                return;
        logs->r = sd_bus_error_setf(&logs->error, VB_ERROR_LOG_FAILED,
                                    "domain '%s': virtlogd did not open the log '%s': %s; with stdio_handler = \"file\" in qemu.conf guests do without it",
                                    logs->start->qemu->domain->name, name_of(open), why ?: g_strerror(-r));
}

static void finish_if_done(QemuLogs *logs) {
        if (logs->waited_for && (logs->n_pending == 0 || logs->r < 0)) {
                logs->waited_for = false;
                vb_operation_step_done(logs->start->operation, logs->r, &logs->error);
        }
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        OpenLog *open = userdata;
        int r;

        open->logs->n_pending--;
        if (error)
                fail(open, -sd_bus_error_get_errno(error), sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ? "no answer" : error->message);
        else {
                r = take_reply(open, reply);
                if (r < 0)
                        fail(open, r, NULL);
        }
        finish_if_done(open->logs);
        return 0;
}

static int ask(OpenLog *open) {
        const QemuDomain *qemu = open->logs->start->qemu;
        sd_bus *bus = vb_daemon_bus(qemu->driver->daemon);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, VB_LOG_NAME, VB_LOG_PATH, VB_INTERFACE_LOG_MANAGER1, "OpenLog");
        if (r >= 0)
                r = sd_bus_message_append(message, "susssa{sv}", "qemu", (uint32_t) qemu->domain->owner, qemu->domain->name, qemu->domain->uuid_string,
                                          name_of(open), 2, "append", "b", (int) (!open->pipe || open->pipe->append), "flood", "s",
                                          open->pipe && open->pipe->is_device ? "wait" : "drop");
        if (r >= 0)
                r = sd_bus_call_async(bus, &open->slot, message, on_reply, open, OPEN_TIMEOUT_USEC);
        return r;
}

int qemu_logs_begin(QemuStart *start, sd_bus_error *reterr) {
        QemuResources *resources = start->resources;
        QemuLogs *logs;

        if (!qemu_driver_has_logd(start->qemu->driver))
                return 0;
        logs = start->logs = g_new(QemuLogs, 1);
        *logs = (QemuLogs){
                .start = start,
                .opens = g_new0(OpenLog, resources->n_logs + 1),
                .error = SD_BUS_ERROR_NULL,
        };
        for (size_t i = 0; i <= resources->n_logs; i++) {
                OpenLog *open = &logs->opens[logs->n_opens++];
                int r;

                open->logs = logs;
                open->pipe = i > 0 ? &resources->logs[i - 1] : NULL;
                r = ask(open);
                if (r < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_LOG_FAILED, "domain '%s': cannot ask virtlogd for its log '%s': %s",
                                                 start->qemu->domain->name, name_of(open), g_strerror(-r));
                logs->n_pending++;
        }
        return 0;
}

QemuLogs *qemu_logs_free(QemuLogs *logs) {
        if (!logs)
                return NULL;
        for (size_t i = 0; i < logs->n_opens; i++)
                sd_bus_slot_unref(logs->opens[i].slot);
        g_free(logs->opens);
        sd_bus_error_free(&logs->error);
        g_free(logs);
        return NULL;
}

/* --- A file --- */

static int open_file(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;
        struct stat st;

        g_free(qemu->log_path);
        qemu->log_path = g_strdup_printf("%s/%s.log", qemu->driver->log_dir, qemu->domain->name);
        start->log_fd = open(qemu->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (start->log_fd < 0 || fstat(start->log_fd, &st) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot write log '%s': %s",
                                         qemu->domain->name, qemu->log_path, g_strerror(errno));
        return 0;
}

/* --- Both --- */

int qemu_start_logs(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuLogs *logs = start->logs;

        if (!logs)
                return open_file(start, reterr);
        if (logs->r < 0)
                return sd_bus_error_copy(reterr, &logs->error);
        if (logs->n_pending == 0)
                return VB_STEP_DONE;
        logs->waited_for = true;
        return VB_STEP_PENDING;
}

/* Into a pipe goes what has room: virtlogd may not have come to it yet, and nobody waits for that here. */
static int write_pipe(int fd, const char *text, size_t size, uint64_t *ret_written) {
        *ret_written = 0;
        while (size > *ret_written) {
                ssize_t n = write(fd, text + *ret_written, size - *ret_written);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                *ret_written += (uint64_t) n;
        }
        return 0;
}

void qemu_logs_write(QemuStart *start, const char *text) {
        QemuDomain *qemu = start->qemu;
        off_t end;
        int r;

        if (qemu->log_is_daemons)
                r = write_pipe(start->log_fd, text, strlen(text), &qemu->log_skip);
        else {
                r = vb_write_all(start->log_fd, text, strlen(text));
                end = lseek(start->log_fd, 0, SEEK_END);
                qemu->log_start = end > 0 ? (uint64_t) end : 0;
        }
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "cannot write '%s': %s", qemu->log_path, g_strerror(-r));
}
