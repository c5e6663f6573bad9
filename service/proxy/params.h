/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Typed parameters, of which many classic calls take and give lists, and the flags that go with them. */

#include "proxy/call.h"

/* A list that is being built, in the call's memory. */
typedef struct ProxyParams {
        ProxyCall *call;
        RpcTypedParam *items;
        uint32_t n, room;
} ProxyParams;

/* name and text are copied. */
void proxy_params_add_int(ProxyParams *params, const char *name, int32_t value);
void proxy_params_add_uint(ProxyParams *params, const char *name, uint32_t value);
void proxy_params_add_llong(ProxyParams *params, const char *name, int64_t value);
void proxy_params_add_ullong(ProxyParams *params, const char *name, uint64_t value);
void proxy_params_add_double(ProxyParams *params, const char *name, double value);
void proxy_params_add_bool(ProxyParams *params, const char *name, bool value);
void proxy_params_add_string(ProxyParams *params, const char *name, const char *value);

/* The first so many of it; 0 or less: all. */
RpcTypedParamArray proxy_params_array(const ProxyParams *params, int64_t most);

/* How parameters of a call are called and typed there and on the bus. In a dictionary of the bus, numbers are of type t, x or u. */
typedef struct ProxyParamRow {
        const char *name; /* NULL: the end */
        int type;         /* virTypedParameterType */
        const char *key;  /* on the bus; NULL: there is none, and it is told as 0 */
        char bus_type;
        uint64_t unit;     /* the bus's number is the parameter's times this; 0: the same */
        uint64_t unlimited; /* this and more is no limit, which is 0 on the bus; 0: there is no such */
} ProxyParamRow;

/* Adds an a{sv} of what was given. Errors are libvirt's: of what is not known, of another type, given twice or not supported. */
VB_MUST_USE int proxy_params_put(const RpcTypedParamArray *given, const ProxyParamRow *rows, sd_bus_message *message,
                                 sd_bus_error *reterr);

/* Reads an a{sv} and adds all rows in their order; what is not there is 0, or what is unlimited. */
VB_MUST_USE int proxy_params_take(ProxyParams *params, const ProxyParamRow *rows, sd_bus_message *message);

unsigned proxy_param_rows_count(const ProxyParamRow *rows);

/* The a{sv} that says "live" and "config", of these flags' virDomainModificationImpact. */
VB_MUST_USE int proxy_put_impact(sd_bus_message *message, unsigned flags);
