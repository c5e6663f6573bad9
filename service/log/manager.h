/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What virtlogd has: its settings, the logs that are open, and who follows them. */

#include "bus/daemon.h"
#include "log/follow.h"
#include "log/log.h"

#define LOG_FOLLOWS_MAX 1024u
#define LOG_FOLLOWS_PER_USER 32u

typedef struct LogSettings {
        uint64_t max_size;     /* of a file, in bytes */
        uint64_t max_backups;
        uint64_t max_age_days; /* of logs that are not open; 0: for ever */
        uint64_t max_rate;     /* bytes a second of each log; 0: as fast as it goes */
        uint64_t max_burst;
        uint64_t max_logs;
} LogSettings;

typedef struct LogManager {
        VbDaemon *daemon;
        LogSettings settings;
        LogContext context;
        char *directory; /* "/var/log/virtbus" */
        char *records;   /* "/run/virtbus/log/open": log/keep.h */
        unsigned last_record;

        GHashTable *logs;    /* owns: log_name_path() → Log */
        GPtrArray *follows;  /* owns */
        VbIdleHold *hold;    /* while there is any of them */
        sd_event_source *age_timer;
} LogManager;

/* Takes up the logs that the last daemon had open. */
VB_MUST_USE int log_manager_new(LogManager **ret, VbDaemon *daemon, sd_bus_error *reterr);
/* Logs stay open for the next daemon. Takes NULL, returns NULL. */
LogManager *log_manager_free(LogManager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogManager, log_manager_free)

/* Reads the settings anew; they are for logs that are opened from then on, but for the rate. */
VB_MUST_USE int log_manager_reload(LogManager *manager, sd_bus_error *reterr);

/* NULL: it is not open. */
Log *log_manager_find(LogManager *manager, const LogName *name);

/* Opens a log; takes what is in spec, also on failure. Gives the end to write to, which does not block. */
VB_MUST_USE int log_manager_open(LogManager *manager, LogSpec *spec, bool append, Log **ret, int *ret_fd, sd_bus_error *reterr);
/* The same with the end to read from of a pipe that there is already. */
VB_MUST_USE int log_manager_take_up(LogManager *manager, LogSpec *spec, int fd, Log **ret);
/* What is in its pipe is written. */
void log_manager_close(LogManager *manager, Log *log);

/* Gives the pipe's end to read from. */
VB_MUST_USE int log_manager_follow(LogManager *manager, const LogName *name, LogPosition position, uid_t uid, int *ret_fd, sd_bus_error *reterr);

/* The same with the end to write to of a pipe that there is already; it is taken, also on failure. */
VB_MUST_USE int log_manager_go_on(LogManager *manager, const LogName *name, LogPosition position, uid_t uid, int fd);

/* For reading: the files of a log, open or not. To be given to log_files_done(). */
void log_manager_init_files(LogManager *manager, LogFiles *files, const LogName *name);

/* LogManager1's handlers. */
extern const VbObjectInterface log_manager_interfaces[];
