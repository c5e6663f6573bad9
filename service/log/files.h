/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of one log: NAME.log, which is written, and its backups NAME.log.0 (the newest), NAME.log.1, … Nothing is kept but the
 * descriptor of the first, its size and number; the folder is opened anew for what is done seldom. No link is ever followed below the
 * folder of logs, and only a regular file of the daemon's own, with one name, is written: whatever somebody has put there. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/cleanup.h"
#include "log/name.h"

#define LOG_BACKUPS_MAX 99u
#define LOG_SIZE_MIN UINT64_C(4096)

typedef struct LogFiles {
        int root_fd; /* the folder of all logs; borrowed */
        char *folder, *file;

        int fd; /* of the file that is written; -EBADF: none is open */
        uint64_t size;
        uint64_t id; /* as in positions */

        uint64_t max_size;
        unsigned max_backups;
} LogFiles;

/* A place in a log. A file is known by its inode and time of birth, as the inode of one that is removed is soon another's; mixed into one
 * number, which stays when the file is renamed. 0: the beginning of the oldest file. */
typedef struct LogPosition {
        uint64_t file;
        uint64_t offset;
} LogPosition;

void log_files_init(LogFiles *files, int root_fd, const LogName *name, uint64_t max_size, unsigned max_backups);
void log_files_done(LogFiles *files);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogFiles, log_files_done)

/* Opens the file for writing at its end; makes it, and its folder, if it is not there. -ELOOP, -EPERM: what is there is not ours to write. */
VB_MUST_USE int log_files_open(LogFiles *files);

/* Makes the file that is written the first backup, and removes the oldest. Then begins a new one, if it was open. May be called when none is open, too. */
VB_MUST_USE int log_files_rotate(LogFiles *files);

/* Writes text at the end, in as many files as it takes. */
VB_MUST_USE int log_files_append(LogFiles *files, const char *text, size_t size);

/* How much of text (the next size bytes of the log) belongs into the file that is open; less than size only if the file has to be
 * rotated before the rest: after the last line that has room, or in the midst of one for which no file has. 0: rotate first. */
size_t log_files_room(const LogFiles *files, const char *text, size_t size);

/* --- Reading: works on what is there, also while another LogFiles writes --- */

/* Opens the file that position is in, sets its offset to what can be read next, and tells whether it is the one that is written. A file that is gone: the oldest one, with *ret_lost
 * set. -ENOENT: there is no file at all. */
VB_MUST_USE int log_files_open_at(const LogFiles *files, LogPosition *position, bool *ret_lost, bool *ret_newest);

/* Opens the file after that of position; -ENODATA: there is none yet. With a file that is gone: the oldest. */
VB_MUST_USE int log_files_open_next(const LogFiles *files, LogPosition *position, bool *ret_lost, bool *ret_newest);

/* Goes on by so many bytes; not beyond the end. */
VB_MUST_USE int log_files_advance(const LogFiles *files, LogPosition *position, uint64_t bytes);

/* Goes on to the last so many bytes; not back. */
VB_MUST_USE int log_files_to_tail(const LogFiles *files, LogPosition *position, uint64_t bytes);

/* Up to max bytes from position on; fewer only at the end. Sets position after them. */
VB_MUST_USE int log_files_read(const LogFiles *files, LogPosition *position, void *buffer, size_t max, size_t *ret_size);

/* What there is: size of the file, and how many backups. -ENOENT: nothing. */
VB_MUST_USE int log_files_stat(const LogFiles *files, uint64_t *ret_size, unsigned *ret_backups);

/* Removes those of its files that were changed last before that time. For a log that is not open. */
VB_MUST_USE int log_files_remove_older(const LogFiles *files, time_t time);
