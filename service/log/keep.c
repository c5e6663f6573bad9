/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/keep.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "log/record.h"

/* As short as so many can be: the manager passes all names in one variable of the environment. */
#define ID_DIGITS "0123456789abcdefghijklmnopqrstuvwxyz"
#define ID_MAX 5

/* --- Keeping --- */

static void format_id(unsigned number, char buffer[static ID_MAX + 1]) {
        char *end = buffer + ID_MAX, *start = end;

        *end = '\0';
        do {
                *--start = ID_DIGITS[number % strlen(ID_DIGITS)];
                number /= (unsigned) strlen(ID_DIGITS);
        } while (number > 0 && start > buffer);
        memmove(buffer, start, (size_t) (end - start) + 1);
}

/* One that no record has. */
static char *next_path(LogManager *manager, char id[static ID_MAX + 1]) {
        g_autofree char *path = NULL;

        do {
                g_free(path);
                format_id(++manager->last_record, id);
                path = g_build_filename(manager->records, id, NULL);
        } while (g_file_test(path, G_FILE_TEST_EXISTS));
        return g_steal_pointer(&path);
}

int log_keep(LogManager *manager, Log *log) {
        g_autofree char *path = NULL, *record = NULL;
        char id[ID_MAX + 1];
        struct stat st;
        int r;

        if (fstat(log_get_pipe(log), &st) < 0)
                return -errno;
        record = log_record_format(log_get_spec(log), st.st_dev, st.st_ino);
        path = next_path(manager, id);
        r = vb_file_write(path, record, strlen(record), 0600);
        if (r < 0)
                return r;
        log_set_kept(log, id);
        return vb_store_add(vb_daemon_store(manager->daemon), id, log_get_pipe(log));
}

void log_forget(LogManager *manager, Log *log) {
        const char *id = log_get_kept(log);
        g_autofree char *path = id ? g_build_filename(manager->records, id, NULL) : NULL;

        if (!id)
                return;
        vb_store_remove(vb_daemon_store(manager->daemon), id);
        (void) unlink(path);
        log_set_kept(log, NULL);
}

/* --- Taking up --- */

static int take_pipe(VbDescriptors *descriptors, const LogRecord *record, int *ret) {
        struct stat st;
        int fd = vb_descriptors_take_file(descriptors, record->device, record->inode);

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
                (void) vb_close(fd);
                return -EBADMSG;
        }
        *ret = fd;
        return 0;
}

static int take_up(LogManager *manager, const char *id, const char *text, sd_bus_error *reterr) {
        g_auto(LogRecord) record = { 0 };
        Log *log;
        int fd, r;

        r = log_record_parse(text, &record, reterr);
        if (r < 0)
                return r;
        r = take_pipe(vb_daemon_descriptors(manager->daemon), &record, &fd);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "the pipe of log '%s' of domain '%s' is gone, and with it what was in it",
                                         record.spec.name.log, record.spec.name.domain);
        r = log_manager_take_up(manager, &record.spec, fd, &log);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "its file cannot be opened: %s", g_strerror(-r));
        log_set_kept(log, id);
        vb_store_claim(vb_daemon_store(manager->daemon), id);
        return 0;
}

static void take_up_record(LogManager *manager, const char *id) {
        g_autofree char *path = g_build_filename(manager->records, id, NULL), *text = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = vb_file_read(AT_FDCWD, path, LOG_RECORD_MAX, &text, NULL);
        if (r >= 0)
                r = take_up(manager, id, text, &error);
        if (r >= 0)
                return;
        vb_log_warning("%s cannot be taken up: %s", path, error.message ? error.message : g_strerror(-r));
        (void) unlink(path);
}

static int take_up_follower(LogManager *manager, VbRestart *restart, VbJson *follow, sd_bus_error *reterr) {
        uint64_t owner, file, offset, uid;
        const char *driver, *domain, *log;
        g_auto(LogName) name = { 0 };
        int fd, r;

        r = vb_restart_get_string(follow, "driver", LOG_NAME_DRIVER_MAX, &driver, reterr);
        if (r >= 0)
                r = vb_restart_get_number(follow, "owner", UINT32_MAX - 1, &owner, reterr);
        if (r >= 0)
                r = vb_restart_get_string(follow, "domain", LOG_NAME_DOMAIN_MAX, &domain, reterr);
        if (r >= 0)
                r = vb_restart_get_string(follow, "log", LOG_NAME_LOG_MAX, &log, reterr);
        if (r >= 0)
                r = vb_restart_get_number(follow, "file", UINT64_MAX, &file, reterr);
        if (r >= 0)
                r = vb_restart_get_number(follow, "offset", INT64_MAX, &offset, reterr);
        if (r >= 0)
                r = vb_restart_get_number(follow, "uid", UINT32_MAX - 1, &uid, reterr);
        if (r >= 0)
                r = log_name_init(&name, driver, (uid_t) owner, domain, log, reterr);
        if (r >= 0)
                r = vb_restart_take_fd(restart, follow, "fd", S_IFIFO, &fd, reterr);
        if (r < 0)
                return r;
        return log_manager_go_on(manager, &name, (LogPosition){ file, offset }, (uid_t) uid, fd);
}

/* One that cannot be taken up ends, as after a crash. */
static void take_up_followers(LogManager *manager, VbRestart *restart) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbJson *follows, *follow;
        int r;

        r = vb_restart_get_array(vb_restart_root(restart), "follows", LOG_FOLLOWS_MAX, &follows, &error);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(follows); i++) {
                r = vb_restart_get_entry(follows, "follows", i, &follow, &error);
                if (r >= 0)
                        r = take_up_follower(manager, restart, follow, &error);
        }
        if (r < 0)
                vb_log_warning("not all who follow logs can be taken up: %s", error.message ? error.message : g_strerror(-r));
}

int log_keep_take_up_all(LogManager *manager, sd_bus_error *reterr) {
        VbRestart *restart = vb_daemon_restart(manager->daemon);
        g_autoptr(GPtrArray) ids = NULL;
        int r;

        r = vb_mkdir(manager->records, 0700);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make folder '%s': %s", manager->records, g_strerror(-r));
        r = vb_folder_list(manager->records, &ids);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot read folder '%s': %s", manager->records, g_strerror(-r));
        for (guint i = 0; i < ids->len; i++)
                take_up_record(manager, ids->pdata[i]);
        if (restart)
                take_up_followers(manager, restart);
        return 0;
}

/* --- Restart by exec --- */

static int save_follower(VbRestart *restart, VbJson *follows, const LogFollow *follow) {
        const LogName *name = log_follow_name(follow);
        LogPosition position = log_follow_position(follow);
        VbJson *json = json_object_new_object();

        (void) json_object_array_add(follows, json);
        vb_restart_put_string(json, "driver", name->driver);
        vb_restart_put_number(json, "owner", name->owner);
        vb_restart_put_string(json, "domain", name->domain);
        vb_restart_put_string(json, "log", name->log);
        vb_restart_put_number(json, "file", position.file);
        vb_restart_put_number(json, "offset", position.offset);
        vb_restart_put_number(json, "uid", log_follow_uid(follow));
        return vb_restart_put_fd(restart, json, "fd", log_follow_pipe(follow));
}

/* The pipes need only stay open: the records say what they are. */
static int save_log(VbRestart *restart, VbJson *logs, Log *log) {
        VbJson *json = json_object_new_object();

        (void) json_object_array_add(logs, json);
        vb_restart_put_string(json, "record", log_get_kept(log));
        return vb_restart_put_fd(restart, json, "fd", log_get_pipe(log));
}

int log_keep_save(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr) {
        LogManager *manager = vb_daemon_userdata(daemon);
        VbJson *logs = json_object_new_array(), *follows = json_object_new_array();
        GHashTableIter iter;
        void *log;
        int r = 0;

        (void) json_object_object_add(vb_restart_root(restart), "logs", logs);
        (void) json_object_object_add(vb_restart_root(restart), "follows", follows);
        g_hash_table_iter_init(&iter, manager->logs);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &log))
                r = save_log(restart, logs, log);
        for (unsigned i = 0; r >= 0 && i < manager->follows->len; i++)
                r = save_follower(restart, follows, manager->follows->pdata[i]);
        return r < 0 ? sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot save which logs are open: %s", g_strerror(-r)) : 0;
}
