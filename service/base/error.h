/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors for people. Code passes a negative errno; beside it, the function that knows the object fills a
 * sd_bus_error with one of the names below and a sentence. All layers use sd_bus_error as the carrier: it is
 * a plain struct of two strings, and so nobody has to translate on the way to the bus. */

#include <systemd/sd-bus.h>

#include "errors.h" /* VB_ERROR_*, generated from interfaces/errors.tsv */

/* The errno of each VB_ERROR_* name, for sd_bus_error_get_errno() and sd_bus_error_setf(). */
extern const sd_bus_error_map vb_error_map[];

/* Makes the names known to sd-bus; once, before the first use. Every main() and every test calls it. */
void vb_error_init(void);

/* Puts "CONTEXT: " (printf-like) before the message that error already has, keeping its name; for a caller who
 * knows the object where deep code knew only the cause. Returns the error's negative errno. No-op on an unset error. */
int vb_error_prefix(sd_bus_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
