/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What logs there are, by the files and folders of log/name.h. */

#include "log/manager.h"

#define LOG_LIST_MAX 65536u

typedef struct LogFilter {
        const char *driver, *domain; /* NULL: any */
        bool has_owner;
        uid_t owner;
        bool has_open, open;
} LogFilter;

/* As ListLogs replies. */
VB_MUST_USE int log_list_append(LogManager *manager, const LogFilter *filter, sd_bus_message *reply);

/* Calls each for every log that the filter (without open) lets through. Names that no log has are passed over. */
typedef int (*LogEach)(LogManager *manager, const LogName *name, void *userdata);
VB_MUST_USE int log_list_walk(LogManager *manager, const LogFilter *filter, LogEach each, void *userdata);
