/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LogManager1. */

#include <string.h>

#include "interfaces/actions.h"
#include "interfaces/log-manager1.h"

#include "base/error.h"
#include "base/uuid.h"
#include "log/list.h"
#include "log/manager.h"

static LogManager *manager_of(VbObject *object) {
        return vb_daemon_userdata(vb_objects_daemon(object->objects));
}

static uint32_t get_open_logs(VbObject *object) {
        return g_hash_table_size(manager_of(object)->logs);
}

/* --- What hypervisor daemons do --- */

static int check_bounds(bool has_max_size, uint64_t max_size, sd_bus_error *reterr) {
        if (has_max_size && (max_size < LOG_SIZE_MIN || max_size > INT64_MAX))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "max-size is %" G_GUINT64_FORMAT ", and must be at least %" G_GUINT64_FORMAT,
                                         max_size, LOG_SIZE_MIN);
        return 0;
}

static int make_spec(const LogManager *manager, const VbLogManager1OpenLogArgs *args, LogSpec *ret, sd_bus_error *reterr) {
        char uuid_string[VB_UUID_STRING_SIZE];
        VbUuid uuid;
        int r;

        if (vb_uuid_parse(args->uuid, &uuid) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not a UUID", args->uuid);
        r = check_bounds(args->options.has_max_size, args->options.max_size, reterr);
        if (r < 0)
                return r;
        *ret = (LogSpec){
                .wait = args->options.flood == VB_LOG_MANAGER1_OPEN_LOG_FLOOD_WAIT,
                .max_size = args->options.has_max_size ? args->options.max_size : manager->settings.max_size,
                .max_backups = args->options.has_max_backups ? args->options.max_backups : (unsigned) manager->settings.max_backups,
        };
        r = log_name_init(&ret->name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        ret->uuid = g_strdup(vb_uuid_format(&uuid, uuid_string));
        return 0;
}

static int on_open_log(VbCall *call, VbObject *object, const VbLogManager1OpenLogArgs *args, sd_bus_error *reterr) {
        LogManager *manager = manager_of(object);
        g_autofree char *path = NULL;
        g_auto(LogSpec) spec = { 0 };
        vb_autofd fd = -EBADF;
        const LogFiles *files;
        Log *log;
        int r;

        r = make_spec(manager, args, &spec, reterr);
        if (r < 0)
                return r;
        r = log_manager_open(manager, &spec, args->options.append, &log, &fd, reterr);
        if (r < 0)
                return r;
        files = log_get_files(log);
        path = g_build_filename(manager->directory, files->folder, files->file, NULL);
        return vb_log_manager1_reply_open_log(call, fd, path, files->id, files->size);
}

static int on_append_log(VbCall *call, VbObject *object, const VbLogManager1AppendLogArgs *args, sd_bus_error *reterr) {
        LogManager *manager = manager_of(object);
        g_auto(LogFiles) own = { .fd = -EBADF };
        g_auto(LogName) name = { 0 };
        LogFiles *files = &own;
        Log *log;
        int r;

        r = check_bounds(args->options.has_max_size, args->options.max_size, reterr);
        if (r >= 0)
                r = log_name_init(&name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        log = log_manager_find(manager, &name);
        if (log) {
                log_drain(log);
                files = log_get_files(log);
        } else {
                log_manager_init_files(manager, &own, &name);
                if (args->options.has_max_size)
                        own.max_size = args->options.max_size;
                if (args->options.has_max_backups)
                        own.max_backups = args->options.max_backups;
                r = log_files_open(&own);
        }
        if (r >= 0)
                r = log_files_append(files, args->text, strlen(args->text));
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot write log '%s/%s/%s': %s", manager->directory, files->folder,
                                         files->file, g_strerror(-r));
        if (log)
                log_wake_followers(log);
        return vb_log_manager1_reply_append_log(call, files->id, files->size);
}

static int no_log(const LogName *name, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_NO_LOG, "driver '%s' has no log '%s' of user %u's domain '%s'", name->driver, name->log, name->owner,
                                 name->domain);
}

static int on_rotate_log(VbCall *call, VbObject *object, const VbLogManager1RotateLogArgs *args, sd_bus_error *reterr) {
        LogManager *manager = manager_of(object);
        g_auto(LogFiles) own = { .fd = -EBADF };
        g_auto(LogName) name = { 0 };
        unsigned backups;
        uint64_t size;
        Log *log;
        int r;

        r = log_name_init(&name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        log = log_manager_find(manager, &name);
        if (log)
                log_drain(log);
        log_manager_init_files(manager, &own, &name);
        r = log_files_stat(&own, &size, &backups);
        if (r == -ENOENT)
                return no_log(&name, reterr);
        if (r >= 0 && size > 0)
                r = log_files_rotate(log ? log_get_files(log) : &own);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make '%s/%s/%s' a backup: %s", manager->directory, own.folder, own.file,
                                         g_strerror(-r));
        return vb_log_manager1_reply_rotate_log(call);
}

static int on_close_log(VbCall *call, VbObject *object, const VbLogManager1CloseLogArgs *args, sd_bus_error *reterr) {
        LogManager *manager = manager_of(object);
        g_auto(LogName) name = { 0 };
        Log *log;
        int r;

        r = log_name_init(&name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        log = log_manager_find(manager, &name);
        if (!log)
                return no_log(&name, reterr);
        log_manager_close(manager, log);
        return vb_log_manager1_reply_close_log(call);
}

/* --- What those do who may see the console --- */

/* Like vb_call_require(). */
static int require_open(VbCall *call, const LogManager *manager, const LogName *name, sd_bus_error *reterr) {
        const Log *log = log_manager_find((LogManager *) manager, name);

        return vb_call_require(call, &vb_action_domain_open,
                               (VbSubject){ .name = name->domain, .uuid = log ? log_get_spec(log)->uuid : NULL, .owner = name->owner }, reterr);
}

static int find_start(LogManager *manager, LogFiles *files, const LogName *name, bool has_tail, uint64_t tail, uint64_t skip, LogPosition *position,
                      sd_bus_error *reterr) {
        Log *log = log_manager_find(manager, name);
        int r;

        if (log)
                log_drain(log);
        log_manager_init_files(manager, files, name);
        r = log_files_advance(files, position, skip);
        if (r >= 0 && has_tail)
                r = log_files_to_tail(files, position, tail);
        if (r == -ENOENT)
                return no_log(name, reterr);
        return r < 0 ? sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot read log '%s/%s/%s': %s", manager->directory, files->folder, files->file,
                                         g_strerror(-r))
                     : 0;
}

static int reply_data(VbCall *call, const void *data, size_t size, LogPosition position) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, size);
        if (r >= 0)
                r = sd_bus_message_append(reply, "tt", position.file, position.offset);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}

static int on_read_log(VbCall *call, VbObject *object, const VbLogManager1ReadLogArgs *args, sd_bus_error *reterr) {
        LogPosition position = { .file = args->file, .offset = args->offset };
        LogManager *manager = manager_of(object);
        g_auto(LogFiles) files = { .fd = -EBADF };
        g_auto(LogName) name = { 0 };
        g_autofree char *data = NULL;
        size_t size = 0;
        int r;

        r = log_name_init(&name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        r = require_open(call, manager, &name, reterr);
        if (r <= 0)
                return r;
        r = find_start(manager, &files, &name, args->options.has_tail, args->options.tail, args->options.skip, &position, reterr);
        if (r < 0)
                return r;
        data = g_malloc(MAX(args->options.size, 1u));
        r = log_files_read(&files, &position, data, args->options.size, &size);
        if (r == -ENOENT)
                return no_log(&name, reterr);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot read log '%s/%s/%s': %s", manager->directory, files.folder, files.file,
                                         g_strerror(-r));
        return reply_data(call, data, size, position);
}

static int on_follow_log(VbCall *call, VbObject *object, const VbLogManager1FollowLogArgs *args, sd_bus_error *reterr) {
        LogPosition position = { .file = args->file, .offset = args->offset };
        LogManager *manager = manager_of(object);
        g_auto(LogFiles) files = { .fd = -EBADF };
        g_auto(LogName) name = { 0 };
        vb_autofd fd = -EBADF;
        int r;

        r = log_name_init(&name, args->driver, args->owner, args->domain, args->log, reterr);
        if (r < 0)
                return r;
        r = require_open(call, manager, &name, reterr);
        if (r <= 0)
                return r;
        r = find_start(manager, &files, &name, args->options.has_tail, args->options.tail, /* skip= */ 0, &position, reterr);
        if (r < 0)
                return r;
        r = log_manager_follow(manager, &name, position, vb_call_uid(call), &fd, reterr);
        return r < 0 ? r : vb_log_manager1_reply_follow_log(call, fd);
}

/* Whose logs: of one user, by default the caller's; root's default is all. */
static int on_list_logs(VbCall *call, VbObject *object, const VbLogManager1ListLogsArgs *args, sd_bus_error *reterr) {
        LogManager *manager = manager_of(object);
        uid_t uid = vb_call_uid(call);
        LogFilter filter = {
                .driver = args->filters.has_driver ? args->filters.driver : NULL,
                .domain = args->filters.has_domain ? args->filters.domain : NULL,
                .has_owner = args->filters.has_owner || uid != geteuid(),
                .owner = args->filters.has_owner ? args->filters.owner : uid,
                .has_open = args->filters.has_open,
                .open = args->filters.open,
        };
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_require(call, &vb_action_domain_open, (VbSubject){ .name = filter.domain, .owner = filter.has_owner ? filter.owner : VB_UID_NOBODYS }, reterr);
        if (r <= 0)
                return r;
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = log_list_append(manager, &filter, reply);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}

static const VbLogManager1Handlers handlers = {
        .get_open_logs = get_open_logs,
        .open_log = on_open_log,
        .append_log = on_append_log,
        .rotate_log = on_rotate_log,
        .close_log = on_close_log,
        .read_log = on_read_log,
        .follow_log = on_follow_log,
        .list_logs = on_list_logs,
};

const VbObjectInterface log_manager_interfaces[] = { { &vb_log_manager1_interface, &handlers }, { 0 } };
