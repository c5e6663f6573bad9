/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that classic clients name by path. The worker is the user, so to open one is to have the user's
 * rights; drivers get the descriptor. It is opened in a thread, as it may lie on a mount that hangs. */

#include "proxy/call.h"

typedef enum ProxyFileHow {
        PROXY_FILE_READ,
        PROXY_FILE_EDIT, /* to be read and written; it must be there */
        PROXY_FILE_CREATE, /* to be read and written; what it held before is lost */
} ProxyFileHow;

typedef struct ProxyFile {
        char *path; /* as the call's memory */
        int fd; /* the call's, too: closed with it */
        bool is_new; /* it was not there before */
        sd_event *event; /* for the end */
} ProxyFile;

/* opened() runs as answered() does, but once. Only absolute paths of regular files. One that was not there before is removed again if the call
 * fails, before the client hears of that. */
typedef int (*ProxyFileOpened)(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int proxy_file_open(ProxyCall *call, const char *path, ProxyFileHow how, ProxyFileOpened opened,
                                void *userdata, sd_bus_error *reterr);
