/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line that all daemons understand. */

#include "bus/daemon.h"

typedef struct VbDaemonOptions {
        bool session;
        uint64_t timeout_usec; /* 0: stays for ever */
        int log_level; /* -1: not given */
} VbDaemonOptions;

/* 1: go on; 0: help or version has been printed; negative: the mistake has been told on stderr. */
VB_MUST_USE int vb_daemon_options_parse(const VbDaemonInfo *info, int argc, char **argv,
                                        VbDaemonOptions *ret);
