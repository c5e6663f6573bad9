/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a log is called, and where it lies. "qemu" of root's domain web is qemu/web.log below the folder of logs, its first serial port
 * qemu/console/web/serial0.log; those of user 1000's domain are in qemu/1000/. Owners' logs are apart so that what a guest has said is never in the log of another user's guest
 * that was given the same name later. A console has a folder of its own as no separator between domain and alias would be
 * unambiguous: domains' names may have anything in them but "/". */

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define LOG_NAME_DRIVER_MAX 16u
#define LOG_NAME_DOMAIN_MAX 250u /* the model's */
#define LOG_NAME_LOG_MAX 64u

/* The log that is the emulator's own, of drivers of every kind: what has the driver's name is no console. */
typedef struct LogName {
        char *driver; /* "qemu" */
        uid_t owner;
        char *domain;
        char *log; /* the driver's name, or a device's alias */
} LogName;

/* Copies, after all that makes a name one of a file has been checked: InvalidArgument. */
VB_MUST_USE int log_name_init(LogName *name, const char *driver, uid_t owner, const char *domain, const char *log,
                              sd_bus_error *reterr);
void log_name_done(LogName *name);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogName, log_name_done)

/* "qemu/1000/console/web", below the folder of logs; to be freed. */
char *log_name_folder(const LogName *name);
/* "web.log"; to be freed. So much of a name that is too long for a file with a backup's number behind it is replaced by its hash. */
char *log_name_file(const LogName *name);

/* One string for both, as a key; to be freed. */
char *log_name_path(const LogName *name);
