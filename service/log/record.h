/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the next daemon must know of an open log beside its pipe, as JSON. */

#include "log/log.h"

typedef struct LogRecord {
        LogSpec spec;
        dev_t device; /* of the pipe */
        ino_t inode;
} LogRecord;

void log_record_done(LogRecord *record);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogRecord, log_record_done)

#define LOG_RECORD_MAX ((size_t) 4096)

/* To be freed. */
char *log_record_format(const LogSpec *spec, dev_t device, ino_t inode);

/* -EBADMSG: it is not such a record, or names what no log is called; reterr says what. */
VB_MUST_USE int log_record_parse(const char *text, LogRecord *ret, sd_bus_error *reterr);
