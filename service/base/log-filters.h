/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Filters of the log, as libvirt's log_filters writes them: "LEVEL:MODULE" entries, separated by spaces. LEVEL is 1 (debug), 2 (info), 3 (warning)
 * or 4 (error): the least urgent lines that are written of that module. A module is a source file by room and name ("qemu/monitor"); MODULE is a part
 * of that, in which "*", "?" and "[…]" stand for others as in file names. The first entry that fits counts.
 *
 * Only base/log uses this; lines may come from any thread. */

#include <stdbool.h>

#include "base/cleanup.h"

enum {
        VB_LOG_FILTERS_MAX = 64,
        VB_LOG_FILTER_MATCH_MAX = 63, /* characters of a MODULE */
};

typedef struct VbLogFilters VbLogFilters;

/* NULL for a text without entries. -EINVAL: reterr says which entry is wrong, and what would be right. */
VB_MUST_USE int vb_log_filters_parse(VbLogFilters **ret, const char *text, sd_bus_error *reterr);
VbLogFilters *vb_log_filters_free(VbLogFilters *filters);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbLogFilters, vb_log_filters_free)

/* In one spelling, with single spaces. */
char *vb_log_filters_format(const VbLogFilters *filters);

/* The least urgent level that any of them lets through; -1: there are none. */
int vb_log_filters_most(const VbLogFilters *filters);
/* The level of the first that fits the source file (__FILE__), or fallback. */
int vb_log_filters_level(const VbLogFilters *filters, const char *file, int fallback);

/* An output, "LEVEL:journald", which is the only one there is: the level below which it takes nothing. -EINVAL, reterr: it is none. */
VB_MUST_USE int vb_log_output_parse(const char *text, int *ret_level, sd_bus_error *reterr);

/* The word of Daemon1.LogLevel for a syslog level from LOG_ERR to LOG_DEBUG; "" for others. */
const char *vb_log_level_word(int level);
/* 1…4 to a syslog level and back; "notice" is 2, as "info". -EINVAL for others. */
int vb_log_level_from_classic(int classic);
int vb_log_level_to_classic(int level);
