/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/dump.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"

#define COMMAND_TIMEOUT_USEC ((uint64_t) 30 * G_USEC_PER_SEC)
#define POLL_USEC ((uint64_t) 100 * 1000)
#define FD_NAME "virtbus-dump"

struct QemuDump {
        QmpMonitor *monitor;
        uint64_t command; /* the one whose answer is waited for, 0: none */
        bool started;
        sd_event_source *poll;
        QemuDumpProgressed progressed;
        QemuDumpDone done;
        void *userdata;
};

static void dump_end(QemuDump *dump, int r, const sd_bus_error *error) {
        dump->poll = sd_event_source_disable_unref(dump->poll);
        dump->done(dump, r, error, dump->userdata);
}

static uint64_t get_bytes(VbJson *result, const char *key) {
        VbJson *object;
        int64_t value;

        if (!json_object_object_get_ex(result, key, &object))
                return 0;
        value = json_object_get_int64(object);
        return value > 0 ? (uint64_t) value : 0;
}

static void on_queried(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDump *dump = userdata;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const char *status = NULL;
        VbJson *object;

        dump->command = 0;
        if (reply->r < 0) {
                dump_end(dump, reply->r, &reply->error);
                return;
        }

        if (dump->progressed)
                dump->progressed(dump, get_bytes(reply->result, "completed"), get_bytes(reply->result, "total"),
                                 dump->userdata);
        if (json_object_object_get_ex(reply->result, "status", &object))
                status = json_object_get_string(object);

        if (status && strcmp(status, "completed") == 0)
                dump_end(dump, 0, NULL);
        else if (!status || strcmp(status, "active") != 0)
                dump_end(dump,
                         sd_bus_error_set(&error, VB_ERROR_MONITOR_FAILED,
                                          "the emulator could not write the guest's memory; is the disk full?"),
                         &error);
}

static void dump_query(QemuDump *dump) {
        if (dump->started && !dump->command)
                dump->command = qmp_monitor_send(dump->monitor, "query-dump", NULL, on_queried, dump, 0);
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        int r;

        dump_query(userdata);
        r = sd_event_source_set_time_relative(source, POLL_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return r;
}

static void on_started(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDump *dump = userdata;

        dump->command = 0;
        dump->started = true;
        if (reply->r < 0)
                dump_end(dump, reply->r, &reply->error);
}

int qemu_dump_new(QemuDump **ret, const QemuDumpSpec *spec, sd_bus_error *reterr) {
        g_autoptr(QemuDump) dump = g_new0(QemuDump, 1);
        VbJson *arguments;
        int r;

        *dump = (QemuDump){
                .monitor = spec->monitor,
                .progressed = spec->progressed,
                .done = spec->done,
                .userdata = spec->userdata,
        };
        r = sd_event_add_time_relative(spec->event, &dump->poll, CLOCK_MONOTONIC, POLL_USEC, /* accuracy= */ 0, on_poll,
                                       dump);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot set a timer: %m");

        arguments = qmp_arguments("protocol", "fd:" FD_NAME, "format", spec->format, NULL);
        (void) json_object_object_add(arguments, "paging", json_object_new_boolean(false));
        (void) json_object_object_add(arguments, "detach", json_object_new_boolean(true));

        /* The second fails if the first does. */
        (void) qmp_monitor_send_fd(spec->monitor, "getfd", qmp_arguments("fdname", FD_NAME, NULL), spec->fd, NULL, NULL,
                                   COMMAND_TIMEOUT_USEC);
        dump->command = qmp_monitor_send(spec->monitor, "dump-guest-memory", arguments, on_started, dump,
                                         COMMAND_TIMEOUT_USEC);

        *ret = g_steal_pointer(&dump);
        return 0;
}

void qemu_dump_handle_event(QemuDump *dump) {
        dump_query(dump);
}

QemuDump *qemu_dump_free(QemuDump *dump) {
        if (!dump)
                return NULL;

        if (dump->command)
                qmp_monitor_forget(dump->monitor, dump->command);
        dump->poll = sd_event_source_disable_unref(dump->poll);
        g_free(dump);
        return NULL;
}
