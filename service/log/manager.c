/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/manager.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bus/settings.h"
#include "log/age.h"
#include "log/keep.h"

#define SETTING(k, kind_, field, ...) { .key = (k), .kind = (kind_), .offset = offsetof(LogSettings, field), __VA_ARGS__ }

static const VbSetting settings_table[] = {
        SETTING("max_size", VB_SETTING_SIZE, max_size, .fallback = "2M", .min = LOG_SIZE_MIN, .max = INT64_MAX,
                .help = "How large a log's file becomes before it is made a backup."),
        SETTING("max_backups", VB_SETTING_NUMBER, max_backups, .fallback = "3", .max = LOG_BACKUPS_MAX,
                .help = "How many backups are kept of each log."),
        SETTING("max_age_days", VB_SETTING_NUMBER, max_age_days, .fallback = "0", .max = 36500,
                .help = "After how many days without a change files of logs that are not open are removed; 0: never."),
        SETTING("max_rate", VB_SETTING_SIZE, max_rate, .fallback = "256K", .max = UINT64_C(1) << 40,
                .help = "How many bytes a second a guest may write to each of its logs, in the long run; 0: as many as it can."),
        SETTING("max_burst", VB_SETTING_SIZE, max_burst, .fallback = "8M", .min = LOG_SIZE_MIN, .max = UINT64_C(1) << 40,
                .help = "How many bytes a guest may write to a log at once, faster than max_rate."),
        SETTING("max_logs", VB_SETTING_NUMBER, max_logs, .fallback = "20000", .min = 1, .max = 1000000,
                .help = "How many logs can be open at the same time."),
        { .key = NULL },
};

static void hold_as_needed(LogManager *manager) {
        bool needed = g_hash_table_size(manager->logs) > 0 || manager->follows->len > 0;

        if (needed && !manager->hold)
                manager->hold = vb_idle_hold(manager->daemon, "logs are open");
        else if (!needed)
                manager->hold = vb_idle_release(manager->hold);
}

/* --- Logs --- */

static char *key_of(const LogName *name) {
        return log_name_path(name);
}

Log *log_manager_find(LogManager *manager, const LogName *name) {
        g_autofree char *key = key_of(name);

        return g_hash_table_lookup(manager->logs, key);
}

static void remove_log(LogManager *manager, Log *log) {
        g_autofree char *key = key_of(&log_get_spec(log)->name);

        log_forget(manager, log);
        (void) g_hash_table_remove(manager->logs, key);
        hold_as_needed(manager);
}

static void on_ended(Log *log, void *userdata) {
        remove_log(userdata, log);
}

void log_manager_close(LogManager *manager, Log *log) {
        log_drain(log);
        remove_log(manager, log);
}

int log_manager_take_up(LogManager *manager, LogSpec *spec, int fd, Log **ret) {
        g_autofree char *key = key_of(&spec->name);
        Log *log;
        int r;

        r = log_new(&log, &manager->context, spec, fd, on_ended, manager);
        if (r < 0)
                return r;
        g_hash_table_insert(manager->logs, g_steal_pointer(&key), log);
        hold_as_needed(manager);
        *ret = log;
        return 0;
}

/* A log that is open already: of the same domain it is replaced, as a guest that was restarted at once may be ahead of the news that the old one has ended. */
static int make_way(LogManager *manager, const LogSpec *spec, sd_bus_error *reterr) {
        Log *log = log_manager_find(manager, &spec->name);

        if (log && log_has_writer(log) && strcmp(log_get_spec(log)->uuid, spec->uuid) != 0)
                return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY, "log '%s' of domain '%s': the guest with UUID %s writes to it", spec->name.log,
                                         spec->name.domain, log_get_spec(log)->uuid);
        if (log)
                log_manager_close(manager, log);
        if (g_hash_table_size(manager->logs) >= manager->settings.max_logs)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "log '%s' of domain '%s': %u logs are open, as many as max_logs in log.conf allows", spec->name.log,
                                         spec->name.domain, g_hash_table_size(manager->logs));
        return 0;
}

static int begin_anew(LogManager *manager, const LogSpec *spec) {
        g_auto(LogFiles) files = { .fd = -EBADF };
        unsigned backups;
        uint64_t size;
        int r;

        log_files_init(&files, manager->context.root_fd, &spec->name, spec->max_size, spec->max_backups);
        r = log_files_stat(&files, &size, &backups);
        if (r == -ENOENT || (r >= 0 && size == 0))
                return 0;
        return r < 0 ? r : log_files_rotate(&files);
}

int log_manager_open(LogManager *manager, LogSpec *spec, bool append, Log **ret, int *ret_fd, sd_bus_error *reterr) {
        g_auto(LogSpec) own = *spec;
        g_autofree char *key = key_of(&own.name);
        vb_autofd write_fd = -EBADF;
        int fds[2], r = 0;
        Log *log;

        *spec = (LogSpec){ 0 };
        r = make_way(manager, &own, reterr);
        if (r < 0)
                return r;
        if (!append)
                r = begin_anew(manager, &own);
        if (r >= 0 && pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                r = -errno;
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "log '%s/%s': %s", manager->directory, key, g_strerror(-r));
        write_fd = fds[1];
        r = log_manager_take_up(manager, &own, fds[0], &log);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot open log '%s/%s': %s", manager->directory, key,
                                         r == -EPERM || r == -ELOOP || r == -EXDEV ? "something is there that is no log of virtlogd's" : g_strerror(-r));
        r = log_keep(manager, log);
        if (r < 0) {
                remove_log(manager, log);
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot keep log '%s/%s' for the next virtlogd: %s", manager->directory, key,
                                         g_strerror(-r));
        }
        *ret = log;
        *ret_fd = vb_steal_fd(&write_fd);
        return 0;
}

void log_manager_init_files(LogManager *manager, LogFiles *files, const LogName *name) {
        Log *log = log_manager_find(manager, name);

        log_files_init(files, manager->context.root_fd, name, manager->settings.max_size,
                       log ? log_get_spec(log)->max_backups : (unsigned) manager->settings.max_backups);
}

/* --- Followers --- */

static void on_follow_ended(LogFollow *follow, void *userdata) {
        LogManager *manager = userdata;

        (void) g_ptr_array_remove_fast(manager->follows, follow);
        hold_as_needed(manager);
}

static int check_follows(const LogManager *manager, uid_t uid, sd_bus_error *reterr) {
        unsigned n = 0;

        for (unsigned i = 0; i < manager->follows->len; i++)
                if (log_follow_uid(manager->follows->pdata[i]) == uid)
                        n++;
        if (manager->follows->len >= LOG_FOLLOWS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%u logs are followed, which is the most", manager->follows->len);
        if (n >= LOG_FOLLOWS_PER_USER && uid != geteuid())
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "user %u follows %u logs, which is the most; close one of the descriptors first", uid, n);
        return 0;
}

int log_manager_go_on(LogManager *manager, const LogName *name, LogPosition position, uid_t uid, int fd) {
        Log *log = log_manager_find(manager, name);
        unsigned backups = log ? log_get_spec(log)->max_backups : (unsigned) manager->settings.max_backups;
        LogFollow *follow;
        int r;

        r = log_follow_new(&follow, &manager->context, name, backups, log, position, fd, uid, on_follow_ended, manager);
        if (r < 0)
                return r;
        g_ptr_array_add(manager->follows, follow);
        hold_as_needed(manager);
        return 0;
}

int log_manager_follow(LogManager *manager, const LogName *name, LogPosition position, uid_t uid, int *ret_fd, sd_bus_error *reterr) {
        vb_autofd read_fd = -EBADF, write_fd = -EBADF;
        int fds[2], r;

        r = check_follows(manager, uid, reterr);
        if (r < 0)
                return r;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot make a pipe: %s", g_strerror(errno));
        read_fd = fds[0];
        write_fd = fds[1];
        r = vb_fd_set_nonblock(write_fd, true);
        if (r >= 0)
                r = log_manager_go_on(manager, name, position, uid, vb_steal_fd(&write_fd));
        if (r < 0)
                return r;
        *ret_fd = vb_steal_fd(&read_fd);
        return 0;
}

/* --- The manager --- */

static int load_settings(LogManager *manager, sd_bus_error *reterr) {
        int r;

        r = vb_daemon_load_settings(manager->daemon, (const VbSettingsPart[]){ { settings_table, &manager->settings }, { NULL } }, reterr);
        if (r < 0)
                return r;
        manager->context.max_rate = manager->settings.max_rate;
        manager->context.max_burst = manager->settings.max_burst;
        return 0;
}

int log_manager_reload(LogManager *manager, sd_bus_error *reterr) {
        int r;

        r = load_settings(manager, reterr);
        if (r >= 0)
                log_age_begin(manager);
        return r;
}

static void free_log(void *log) {
        (void) log_free(log);
}

static void free_follow(void *follow) {
        (void) log_follow_free(follow);
}

int log_manager_new(LogManager **ret, VbDaemon *daemon, sd_bus_error *reterr) {
        g_autoptr(LogManager) manager = g_new(LogManager, 1);
        int r;

        *manager = (LogManager){
                .daemon = daemon,
                .directory = g_strdup(vb_daemon_log_dir(daemon)),
                .records = g_build_filename(vb_daemon_run_dir(daemon), "log", "open", NULL),
                .logs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_log),
                .follows = g_ptr_array_new_with_free_func(free_follow),
                .context = { .root_fd = -EBADF, .null_fd = -EBADF, .peek_fds = { -EBADF, -EBADF } },
        };
        r = log_context_init(&manager->context, vb_daemon_event(daemon), manager->directory);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot use folder '%s': %s", manager->directory, g_strerror(-r));
        r = load_settings(manager, reterr);
        if (r < 0)
                return r;
        r = log_keep_take_up_all(manager, reterr);
        if (r < 0)
                return r;
        log_age_begin(manager);
        *ret = g_steal_pointer(&manager);
        return 0;
}

LogManager *log_manager_free(LogManager *manager) {
        if (!manager)
                return NULL;
        g_ptr_array_free(manager->follows, TRUE);
        g_hash_table_destroy(manager->logs);
        (void) vb_idle_release(manager->hold);
        sd_event_source_disable_unref(manager->age_timer);
        log_context_done(&manager->context);
        vb_settings_done(settings_table, &manager->settings);
        g_free(manager->directory);
        g_free(manager->records);
        g_free(manager);
        return NULL;
}
