/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The log: the journal with searchable fields where stderr is connected to it, else readable lines on stderr.
 *
 *     vb_log_info("loaded %u definitions", n);
 *     vb_log_warning_for(VB_LOG_FIELDS(.domain = name, .uuid = uuid), "monitor closed");
 *     return vb_log_error_errno(r, "cannot watch '%s': %m", path);
 *
 * error: we gave up; warning: we went on without; notice: rare and worth knowing; info: what; debug: why.
 * A function logs its error or returns it, never both. Never log secrets: no passwords, no definitions. */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "base/cleanup.h"

/* The object a line is about. What is NULL is left out. */
typedef struct VbLogFields {
        const char *domain;     /* DOMAIN=: the domain's name */
        const char *uuid;       /* UUID=: the object's UUID */
        const char *job;        /* JOB=: number of a job, or name of an operation */
        const char *message_id; /* MESSAGE_ID=: 32 hex digits, for what an administrator may have to act upon */
} VbLogFields;

#define VB_LOG_FIELDS(...) (&(const VbLogFields){ __VA_ARGS__ })

enum {
        VB_LOG_FILTERS_SIZE = 8192, /* bytes of a list of filters, NUL included */
};

/* What is written. Levels are the least urgent ones (LOG_DEBUG writes all). */
typedef struct VbLogRules {
        int32_t level; /* of what no filter is about */
        int32_t threshold; /* what is less urgent is not written, whatever level and filters say */
        char filters[VB_LOG_FILTERS_SIZE]; /* base/log-filters.h */
} VbLogRules;

/* Sets DRIVER= for all lines to come, and the level; without filters and threshold. */
void vb_log_init(const char *driver, int max_level);
void vb_log_get_rules(VbLogRules *ret);
/* All or nothing. -EINVAL: a filter or a level is none; reterr says which. */
VB_MUST_USE int vb_log_set_rules(const VbLogRules *rules, sd_bus_error *reterr);
/* A line of that level may be written, of this source file (__FILE__) or, with NULL, of some. */
bool vb_log_enabled(int level, const char *file);

/* "debug", "info", "notice", "warning", "error" or 7…3 to a syslog level; -EINVAL for others. */
int vb_log_level_from_string(const char *word);

/* For the macros below. error is an errno of either sign that %m stands for; returns -abs(error). fields may be
 * NULL. May be called from any thread. */
int vb_log_full(int level, int error, const VbLogFields *fields, const char *file, int line, const char *function,
                const char *format, ...) __attribute__((format(printf, 7, 8)));

#define vb_log_at(level, error, fields, ...)                                                                  \
        (vb_log_enabled(level, NULL)                                                                            \
                 ? vb_log_full((level), (error), (fields), __FILE__, __LINE__, __func__, __VA_ARGS__)         \
                 : ((error) < 0 ? (error) : -(error)))

#define vb_log_error(...) ((void) vb_log_at(LOG_ERR, 0, NULL, __VA_ARGS__))
#define vb_log_warning(...) ((void) vb_log_at(LOG_WARNING, 0, NULL, __VA_ARGS__))
#define vb_log_notice(...) ((void) vb_log_at(LOG_NOTICE, 0, NULL, __VA_ARGS__))
#define vb_log_info(...) ((void) vb_log_at(LOG_INFO, 0, NULL, __VA_ARGS__))
#define vb_log_debug(...) ((void) vb_log_at(LOG_DEBUG, 0, NULL, __VA_ARGS__))

#define vb_log_error_for(fields, ...) ((void) vb_log_at(LOG_ERR, 0, fields, __VA_ARGS__))
#define vb_log_warning_for(fields, ...) ((void) vb_log_at(LOG_WARNING, 0, fields, __VA_ARGS__))
#define vb_log_notice_for(fields, ...) ((void) vb_log_at(LOG_NOTICE, 0, fields, __VA_ARGS__))
#define vb_log_info_for(fields, ...) ((void) vb_log_at(LOG_INFO, 0, fields, __VA_ARGS__))
#define vb_log_debug_for(fields, ...) ((void) vb_log_at(LOG_DEBUG, 0, fields, __VA_ARGS__))

/* These return the negative errno, and %m in the format is its text. */
#define vb_log_error_errno(error, ...) vb_log_at(LOG_ERR, error, NULL, __VA_ARGS__)
#define vb_log_warning_errno(error, ...) vb_log_at(LOG_WARNING, error, NULL, __VA_ARGS__)
#define vb_log_notice_errno(error, ...) vb_log_at(LOG_NOTICE, error, NULL, __VA_ARGS__)
#define vb_log_debug_errno(error, ...) vb_log_at(LOG_DEBUG, error, NULL, __VA_ARGS__)
