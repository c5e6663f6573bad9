/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/migration.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

#define COMMAND_TIMEOUT_USEC ((uint64_t) 30 * G_USEC_PER_SEC)
#define POLL_USEC ((uint64_t) 100 * 1000)
#define SETTLE_USEC ((uint64_t) 10 * 1000)
#define FD_NAME "virtbus-migration"

struct QemuMigration {
        QmpMonitor *monitor;
        int fd; /* a duplicate: it shares its position with the emulator's */
        off_t start;
        bool incoming;
        bool cancelled;
        bool queried_again; /* an event came while a query was under way */
        uint64_t command;   /* the one whose answer is waited for, 0: none */
        sd_event_source *poll;

        /* it has ended, well or not, and the emulator tidies up */
        bool settling;
        bool failed;
        char *why; /* it failed */
        QemuMigrationProgressed progressed;
        QemuMigrationDone done;
        void *userdata;
};

static void migration_query(QemuMigration *migration);

static void migration_end(QemuMigration *migration, int r, const sd_bus_error *error) {
        migration->poll = sd_event_source_disable_unref(migration->poll);
        migration->done(migration, r, error, migration->userdata);
}

static void migration_fail(QemuMigration *migration, const char *why) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        if (migration->cancelled)
                r = sd_bus_error_set(&error, VB_ERROR_CANCELED, "it was cancelled");
        else
                r = sd_bus_error_setf(&error, VB_ERROR_MONITOR_FAILED, "the emulator could not %s the guest's state: %s",
                                      migration->incoming ? "read" : "write", why ?: "it does not say why");
        migration_end(migration, r, &error);
}

static uint64_t transferred(VbJson *result) {
        VbJson *ram, *bytes;

        if (!json_object_object_get_ex(result, "ram", &ram) || !json_object_object_get_ex(ram, "transferred", &bytes))
                return 0;
        return (uint64_t) MAX(json_object_get_int64(bytes), 0);
}

/* What the emulator has still to send; 0 also while it has not yet looked how much there is. */
static uint64_t remaining(VbJson *result) {
        VbJson *ram, *bytes;

        if (!json_object_object_get_ex(result, "ram", &ram) || !json_object_object_get_ex(ram, "remaining", &bytes))
                return 0;
        return (uint64_t) MAX(json_object_get_int64(bytes), 0);
}

/* Outgoing, the emulator knows how much there is: at the very beginning not yet, when it says that nothing remains. Incoming, only the
 * file does. */
static void migration_tell_progress(QemuMigration *migration, VbJson *result, bool completed) {
        struct stat st;
        off_t position = lseek(migration->fd, 0, SEEK_CUR);
        uint64_t done = position > migration->start ? (uint64_t) (position - migration->start) : 0, total = 0;

        if (position < 0)
                done = transferred(result); /* a pipe has none */

        if (!migration->progressed || (!migration->incoming && !completed && remaining(result) == 0))
                return;
        if (migration->incoming) {
                if (fstat(migration->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > migration->start)
                        total = (uint64_t) (st.st_size - migration->start);
        } else if (__builtin_add_overflow(done, remaining(result), &total))
                total = 0;
        migration->progressed(migration, done, MAX(done, total), migration->userdata);
}

static void migration_settle(QemuMigration *migration);

static void on_status(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuMigration *migration = userdata;
        VbJson *status;

        migration->command = 0;
        if (reply->r < 0)
                migration_end(migration, reply->r, &reply->error);
        else if (json_object_object_get_ex(reply->result, "status", &status) &&
                 g_strcmp0(json_object_get_string(status), "finish-migrate") == 0)
                (void) sd_event_source_set_time_relative(migration->poll, SETTLE_USEC);
        else if (migration->failed)
                migration_fail(migration, migration->why);
        else
                migration_end(migration, 0, NULL);
}

/* The emulator says that it is over a little before it is: until then it would not let the guest go on. */
static void migration_settle(QemuMigration *migration) {
        migration->settling = true;
        migration->command = qmp_monitor_send(migration->monitor, "query-status", NULL, on_status, migration,
                                              COMMAND_TIMEOUT_USEC);
}

static void migration_over(QemuMigration *migration, bool failed, const char *why) {
        migration->failed = failed;
        migration->why = g_strdup(why);
        if (!migration->incoming)
                migration_settle(migration);
        else if (failed)
                migration_fail(migration, why);
        else
                migration_end(migration, 0, NULL);
}

static void on_queried(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuMigration *migration = userdata;
        VbJson *object;
        const char *status = NULL, *why = NULL;

        migration->command = 0;
        if (reply->r < 0) {
                migration_end(migration, reply->r, &reply->error);
                return;
        }

        if (json_object_object_get_ex(reply->result, "status", &object))
                status = json_object_get_string(object);
        if (json_object_object_get_ex(reply->result, "error-desc", &object))
                why = json_object_get_string(object);

        if (status && strcmp(status, "completed") == 0) {
                migration_tell_progress(migration, reply->result, /* completed= */ true);
                migration_over(migration, /* failed= */ false, NULL);
        } else if (status && (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0))
                migration_over(migration, /* failed= */ true, why);
        else {
                migration_tell_progress(migration, reply->result, /* completed= */ false);
                if (migration->queried_again)
                        migration_query(migration);
        }
}

/* No time limit: an emulator that does not answer while it writes to a slow disk is not a broken one. */
static void migration_query(QemuMigration *migration) {
        migration->queried_again = migration->command;
        if (!migration->command)
                migration->command = qmp_monitor_send(migration->monitor, "query-migrate", NULL, on_queried, migration, 0);
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuMigration *migration = userdata;
        int r;

        if (!migration->command && migration->settling)
                migration_settle(migration);
        else if (!migration->command)
                migration_query(migration);
        r = sd_event_source_set_time_relative(source, POLL_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return r;
}

static void on_started(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuMigration *migration = userdata;

        migration->command = 0;
        if (reply->r < 0) {
                migration_end(migration, reply->r, &reply->error);
                return;
        }
        if (migration->cancelled)
                (void) qmp_monitor_send(migration->monitor, "migrate_cancel", NULL, NULL, NULL, COMMAND_TIMEOUT_USEC);
        migration_query(migration);
}

static VbJson *capabilities_arguments(void) {
        VbJson *arguments = json_object_new_object(), *array = json_object_new_array();
        VbJson *capability = qmp_arguments("capability", "events", NULL);

        (void) json_object_object_add(capability, "state", json_object_new_boolean(true));
        (void) json_object_array_add(array, capability);
        (void) json_object_object_add(arguments, "capabilities", array);
        return arguments;
}

/* As fast as the disk goes: the default limit is meant for a network. */
static VbJson *parameters_arguments(void) {
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, "max-bandwidth", json_object_new_int64(INT64_MAX));
        return arguments;
}

static int migration_start(QemuMigration **ret, const QemuMigrationSpec *spec, bool incoming, sd_bus_error *reterr) {
        g_autoptr(QemuMigration) migration = g_new0(QemuMigration, 1);
        QmpMonitor *monitor = spec->monitor;
        int r;

        *migration = (QemuMigration){
                .monitor = monitor,
                .fd = fcntl(spec->fd, F_DUPFD_CLOEXEC, 3),
                .start = lseek(spec->fd, 0, SEEK_CUR),
                .incoming = incoming,
                .progressed = spec->progressed,
                .done = spec->done,
                .userdata = spec->userdata,
        };
        if (migration->fd < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot duplicate a descriptor: %m");
        r = sd_event_add_time_relative(spec->event, &migration->poll, CLOCK_MONOTONIC, POLL_USEC, /* accuracy= */ 0, on_poll,
                                       migration);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot set a timer: %m");

        /* Sent at once, as the emulator answers in order; if one of the first fails, so does the last. */
        (void) qmp_monitor_send(monitor, "migrate-set-capabilities", capabilities_arguments(), NULL, NULL,
                                COMMAND_TIMEOUT_USEC);
        if (!incoming)
                (void) qmp_monitor_send(monitor, "migrate-set-parameters", parameters_arguments(), NULL, NULL,
                                        COMMAND_TIMEOUT_USEC);
        (void) qmp_monitor_send_fd(monitor, "getfd", qmp_arguments("fdname", FD_NAME, NULL), migration->fd, NULL, NULL,
                                   COMMAND_TIMEOUT_USEC);
        migration->command = qmp_monitor_send(monitor, incoming ? "migrate-incoming" : "migrate",
                                              qmp_arguments("uri", "fd:" FD_NAME, NULL), on_started, migration,
                                              COMMAND_TIMEOUT_USEC);

        *ret = g_steal_pointer(&migration);
        return 0;
}

int qemu_migration_save(QemuMigration **ret, const QemuMigrationSpec *spec, sd_bus_error *reterr) {
        return migration_start(ret, spec, /* incoming= */ false, reterr);
}

int qemu_migration_load(QemuMigration **ret, const QemuMigrationSpec *spec, sd_bus_error *reterr) {
        return migration_start(ret, spec, /* incoming= */ true, reterr);
}

void qemu_migration_handle_event(QemuMigration *migration) {
        if (!migration->settling)
                migration_query(migration);
}

void qemu_migration_cancel(QemuMigration *migration) {
        if (migration->cancelled || migration->incoming)
                return;

        /* If it is only being started, on_started() passes the wish on. */
        migration->cancelled = true;
        (void) qmp_monitor_send(migration->monitor, "migrate_cancel", NULL, NULL, NULL, COMMAND_TIMEOUT_USEC);
}

QemuMigration *qemu_migration_free(QemuMigration *migration) {
        if (!migration)
                return NULL;

        if (migration->command)
                qmp_monitor_forget(migration->monitor, migration->command);
        migration->poll = sd_event_source_disable_unref(migration->poll);
        migration->fd = vb_close(migration->fd);
        g_free(migration->why);
        g_free(migration);
        return NULL;
}
