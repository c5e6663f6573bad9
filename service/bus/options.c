/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum {
        TIMEOUT_MAX_SEC = 7 * 24 * 3600,
};

static void print_help(const VbDaemonInfo *info) {
        printf("%s [OPTION…]\n\n"
               "%s; serves %s on the bus.\n\n"
               "  --session          serve this user on the session bus, without privileges\n"
               "  --timeout=SECONDS  end when there has been nothing to do for so long; 0: never\n"
               "  --log-level=LEVEL  error, warning, notice, info (the default) or debug\n"
               "  -v --verbose       the same as --log-level=debug\n"
               "  -h --help          show this and end\n"
               "  --version          show the version and end\n",
               info->program, info->description, info->bus_name);
}

static int parse_timeout(const char *text, uint64_t *ret) {
        char *end;
        double seconds;

        errno = 0;
        seconds = strtod(text, &end);
        if (errno != 0 || end == text || *end != '\0' || !(seconds >= 0 && seconds <= TIMEOUT_MAX_SEC))
                return -EINVAL;
        *ret = (uint64_t) (seconds * G_USEC_PER_SEC);
        return 0;
}

static int complain(const VbDaemonInfo *info, const char *option, const char *value, const char *right) {
        fprintf(stderr, "%s: %s=%s: must be %s\n", info->program, option, value, right);
        return -EINVAL;
}

int vb_daemon_options_parse(const VbDaemonInfo *info, int argc, char **argv, VbDaemonOptions *ret) {
        enum { OPTION_SESSION = 256, OPTION_TIMEOUT, OPTION_LOG_LEVEL, OPTION_VERSION };
        static const struct option known[] = {
                { "session", no_argument, NULL, OPTION_SESSION },
                { "timeout", required_argument, NULL, OPTION_TIMEOUT },
                { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
                { "verbose", no_argument, NULL, 'v' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                {},
        };
        VbDaemonOptions options = { .log_level = -1 };
        int c;

        while ((c = getopt_long(argc, argv, "vh", known, NULL)) >= 0)
                switch (c) {
                case OPTION_SESSION: options.session = true; break;
                case OPTION_TIMEOUT:
                        if (parse_timeout(optarg, &options.timeout_usec) < 0)
                                return complain(info, "--timeout", optarg,
                                                "a number of seconds, at most a week");
                        break;
                case OPTION_LOG_LEVEL:
                        options.log_level = vb_log_level_from_string(optarg);
                        if (options.log_level < 0)
                                return complain(info, "--log-level", optarg,
                                                "error, warning, notice, info or debug");
                        break;
                case 'v': options.log_level = LOG_DEBUG; break;
                case 'h': print_help(info); return 0;
                case OPTION_VERSION: printf("%s %s\n", info->program, VB_VERSION); return 0;
                default: return -EINVAL;
                }

        if (optind < argc) {
                fprintf(stderr, "%s: '%s': no arguments are expected\n", info->program, argv[optind]);
                return -EINVAL;
        }
        *ret = options;
        return 1;
}
