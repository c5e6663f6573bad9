/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Somebody who gets a log as it is written, through a pipe. What goes into the pipe next is read from the files when there is room: a
 * follower who does not read costs a descriptor or two, and nobody waits for it. */

#include "log/log.h"

typedef void (*LogFollowEnded)(LogFollow *follow, void *userdata);

/* Begins at position; copies name. log is what is open of it; NULL: nothing is, so that it ends when all has been given. fd is the pipe's end to write
 * to, and is taken, also on failure. ended() is never called from within. */
VB_MUST_USE int log_follow_new(LogFollow **ret, LogContext *context, const LogName *name, unsigned max_backups, Log *log, LogPosition position,
                               int fd, uid_t uid, LogFollowEnded ended, void *userdata);
/* Takes NULL, returns NULL. */
LogFollow *log_follow_free(LogFollow *follow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogFollow, log_follow_free)

/* Who follows what, and how far it is. */
uid_t log_follow_uid(const LogFollow *follow);
const LogName *log_follow_name(const LogFollow *follow);
LogPosition log_follow_position(const LogFollow *follow);
int log_follow_pipe(const LogFollow *follow);

/* The log has grown. */
void log_follow_wake(LogFollow *follow);
/* The log is closed, and forgets the follower. */
void log_follow_orphan(LogFollow *follow);
