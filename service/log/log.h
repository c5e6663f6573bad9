/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A log that is open: what comes through a pipe goes into files.
 *
 * The bytes are spliced, never read: they are in the pipe or in the file at any moment, and so a daemon that is killed at any moment has
 * lost none and written none twice. Only where a file is full is a copy looked at, for where its last line ends.
 *
 * Who writes must not be held up for ever, and must hold up nobody. Each log may bring so many bytes a second, after a burst; a turn of the
 * loop takes 64 KiB of one log at most. What comes faster depends on who writes:
 * - An emulator's own stderr does not wait: the pipe's end does not block, and what does not fit is lost.
 * - A console that is a file (flood "wait"): QEMU does not block on it, either; it looks at the pipe until there is room, and the guest waits
 *   for its port. So the pipe is left full until the rate allows more, and nothing is lost.
 * - The log of a console (flood "drop"): QEMU writes to it with its big lock held and repeats a write that has no room until it has, so that the whole guest and its monitor
 *   stand still (tried with 7.2). So the pipe is emptied all the same, a little every few milliseconds; what is too
 *   much is thrown away, and a line in the log says so. */

#include "log/files.h"

typedef struct Log Log;
typedef struct LogFollow LogFollow;

/* What all logs have in common. */
typedef struct LogContext {
        sd_event *event;
        int root_fd;    /* the folder of logs */
        int null_fd;    /* where to what is too much goes */
        int peek_fds[2]; /* a pipe through which a copy is looked at */
        char *peek;     /* LOG_TURN_MAX */
        uint64_t max_rate; /* bytes a second; 0: as many as come */
        uint64_t max_burst;
} LogContext;

#define LOG_TURN_MAX ((size_t) 65536)

VB_MUST_USE int log_context_init(LogContext *context, sd_event *event, const char *root);
void log_context_done(LogContext *context);

typedef struct LogSpec {
        LogName name;
        char *uuid; /* of the domain */
        bool wait;  /* flood */
        uint64_t max_size;
        unsigned max_backups;
        uint64_t written, dropped; /* until now */
} LogSpec;

void log_spec_done(LogSpec *spec);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogSpec, log_spec_done)

/* Nobody can write any more, and all that was written is in the files. May free the log. */
typedef void (*LogEnded)(Log *log, void *userdata);

/* Takes what is in spec, and pipe_fd, the end to read from; both also on failure. */
VB_MUST_USE int log_new(Log **ret, LogContext *context, LogSpec *spec, int pipe_fd, LogEnded ended, void *userdata);
/* Whoever follows it gets the rest, and then the end. Takes NULL, returns NULL. */
Log *log_free(Log *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Log, log_free)

/* Under which name its pipe is kept for the next daemon: log/keep.h. Copied; NULL before it is. */
void log_set_kept(Log *log, const char *id);
const char *log_get_kept(const Log *log);

const LogSpec *log_get_spec(const Log *log);
LogFiles *log_get_files(Log *log);
int log_get_pipe(const Log *log);

/* Moves what was in the pipe at this moment, except what the rate lets wait. */
void log_drain(Log *log);
/* Whether somebody can still write to it. */
bool log_has_writer(const Log *log);
/* Its files have grown by other ways. */
void log_wake_followers(Log *log);

/* For log/follow.c: follow is woken by log_follow_wake() when there is more, and by log_follow_orphan() at the end. */
void log_add_follower(Log *log, LogFollow *follow);
void log_remove_follower(Log *log, LogFollow *follow);
