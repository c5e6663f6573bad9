/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the rows need of a system under measurement. The same rows run on every backend; an operation that a system
 * does not have is NULL, and the row is then left out for it. Each returns a negative errno after saying on
 * standard error what failed: a benchmark that goes on after an error measures the error. */

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum StatsGroup {
        STATS_STATE, /* the state of each domain, nothing else */
        STATS_ALL,   /* every figure there is */
} StatsGroup;

typedef struct Backend {
        const char *name;
        const char *unit; /* the systemd unit of the daemon; NULL if it has none */

        /* Connects; called before everything but connect. Where connecting does not reach the daemon (a bus),
         * nothing of the daemon is needed for it. */
        int (*connect)(void);
        void (*disconnect)(void);

        int (*ping)(void);     /* the cheapest call there is */
        int (*first)(void);    /* a first answer that needs the daemon awake */
        int (*state)(unsigned index);    /* the state of one domain by a method */
        int (*property)(unsigned index); /* one property of a domain */

        /* All domains with what a client shows of them. The time at which the last reply had come, not yet read, is
         * told apart: reading a reply of a megabyte value by value costs a client as much as making it does the daemon. */
        int (*list)(unsigned *ret_n, uint64_t *ret_replied);
        int (*stats)(StatsGroup group, unsigned *ret_n);
        int (*names)(unsigned *ret_n); /* all domains, nothing but who they are */

        int (*hold)(unsigned n); /* has so many connections more, until the end */

        /* Suspends a guest and resumes it: when it was asked for, and when the event was heard. */
        int (*event)(unsigned index, uint64_t *ret_start, uint64_t *ret_heard);

        /* The domain that the next operation is about is looked up beforehand, outside of what is timed. */
        int (*find)(unsigned index);
        int (*define)(unsigned index, const char *xml);
        int (*undefine)(unsigned index);
        int (*create)(unsigned index, const char *xml, bool paused);
        int (*destroy)(unsigned index);

        int (*capabilities)(const char *emulator);
} Backend;

/* Defined by each program: its backends, ended by NULL. */
extern const Backend *const backends[];

/* The domains of the benchmark are numbered; names and UUIDs follow from the number. */
#define DOMAIN_NAME_FORMAT "bench-%05u"
#define DOMAIN_UUID_FORMAT "be9c0000-0000-4000-8000-%012u"
#define DOMAIN_PATH_FORMAT "be9c0000_0000_4000_8000_%012u"

int log_error(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
