/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors of the bus and of virtbus as classic clients know them: a code, a domain, and the sentence behind
 * the words that clients expect with that code. */

#include <systemd/sd-bus.h>

#include "proxy/arena.h"
#include "proxy/rpc.h"

/* What each of interfaces/errors.tsv becomes; ends with a name of NULL. Generated. */
typedef struct ProxyErrorCode {
        const char *name;
        int code; /* virErrorNumber */
} ProxyErrorCode;
extern const ProxyErrorCode proxy_error_codes[];

/* Fills ret; its strings are in the arena, or constant. r counts if error is not set. domain: of the
 * procedure's object; driver: to whom it was put (NULL: to nobody), as what a driver says is said in its
 * name. */
void proxy_error_translate(int r, const sd_bus_error *error, int domain, const char *driver,
                           ProxyArena *arena, RpcError *ret);

/* The domain in which a driver speaks of such an object. */
int proxy_error_domain(int domain, const char *driver);

/* As proxy_error_set(), but the sentence is all that is said. */
int proxy_error_set_whole(sd_bus_error *reterr, int code, int domain, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* A string that the bus cannot carry, as it is no UTF-8, for which sd-bus gives nothing but an errno. */
int proxy_error_set_text(sd_bus_error *reterr, const char *field);
