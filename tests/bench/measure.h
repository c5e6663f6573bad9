/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Samples of one row, in microseconds, and how they are told to the runner. */

#include <stdint.h>

typedef struct Samples Samples;

Samples *samples_new(void);
Samples *samples_free(Samples *samples);

/* The monotonic clock, in nanoseconds. */
uint64_t now_nsec(void);

/* Adds the time from "start" to "end". */
void samples_add(Samples *samples, uint64_t start, uint64_t end);

/* Adds the time that has passed since "since" (from now_nsec()). */
void samples_add_since(Samples *samples, uint64_t since);

/* One line of JSON on standard output: {"row": …, "backend": …, "us": [ … ]}. */
void samples_print(const Samples *samples, const char *row, const char *backend);
