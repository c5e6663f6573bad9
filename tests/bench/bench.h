/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of rows share. */

#include <glib.h>

#include "backend.h"
#include "measure.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Samples, samples_free)

typedef struct Options {
        const Backend *backend;
        const char *row;
        int samples;
        int warmup;
        int first;     /* number of the first domain */
        int count;     /* how many domains the row walks over */
        char *xml;     /* template of a definition: @NAME@, @UUID@ and @EMULATOR@ are filled in */
        char *emulator;
        int cpu;       /* bind this client to one CPU; -1 for any */
        gboolean running; /* create: do not leave the guests paused */
        gboolean keep;    /* create: leave them there */
        int clients;      /* parallel, hold: how many */
        char **units;     /* cold: these are stopped */
        char *command;    /* cold: and this is timed */
} Options;

typedef struct Row {
        const char *name;
        int (*run)(const Options *options);
        const char *what;
} Row;

/* For an operation that the backend does not have; returns a negative errno. */
int row_unsupported(const Options *options);

/* What is measured from a client's side: rows-client.c. */
int row_connect(const Options *options);
int row_parallel(const Options *options);
int row_hold(const Options *options);
int row_event(const Options *options);
int row_cold(const Options *options);
