/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a procedure does that is one call of the bus: a row of the tables in calls/, as the generator writes
 * it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/call.h"

typedef enum ProxyRouteKind {
        PROXY_ROUTE_METHOD,
        PROXY_ROUTE_GET,
        PROXY_ROUTE_SET,
        PROXY_ROUTE_RECORD, /* what is known of the domain without asking */
        PROXY_ROUTE_NOTHING, /* success */
} ProxyRouteKind;

/* What a row of that kind may tell. The generator has the same list. */
typedef enum ProxyRecordValue {
        PROXY_RECORD_STATE,
        PROXY_RECORD_REASON,
        PROXY_RECORD_ACTIVE,
        PROXY_RECORD_PERSISTENT,
        PROXY_RECORD_AUTOSTART,
        PROXY_RECORD_AUTOSTART_ONCE,
        PROXY_RECORD_MANAGED_SAVE,
        PROXY_RECORD_MAX_MEMORY,
} ProxyRecordValue;

/* A number and the word that says the same on the bus. */
typedef struct ProxyRouteWord {
        int32_t number;
        const char *word;
} ProxyRouteWord;

/* A field of arguments or results, and how it is made of the bus's value, or the other way. */
typedef struct ProxyRouteField {
        uint8_t kind; /* RpcKind */
        uint8_t arity; /* RpcArity */
        uint16_t offset;
        int32_t factor; /* by which it is multiplied on its way; negative: divided; 0: neither */
        const char *name;
        const ProxyRouteWord *words; /* ends with a word of NULL */
        const char *literal; /* instead of all that */
} ProxyRouteField;

typedef struct ProxyRouteInput {
        const char *key; /* of an option; NULL for an argument */
        const char *signature;
        ProxyRouteField field;
} ProxyRouteInput;

typedef struct ProxyRouteFlag {
        uint32_t bits; /* all of them; a row that says what several mean together stands before those that say
                          what each means */
        const char *name;
        const char *option; /* NULL: it is allowed, and means nothing */
        const char *word; /* NULL: the option is a boolean */
        bool value;
} ProxyRouteFlag;

typedef struct ProxyRouteOutput {
        int16_t index; /* of the result, or a ProxyRecordValue; -1: a literal, -2: the domain that was called */
        char type; /* of the result, on the bus; 'a' for strings */
        ProxyRouteField field;
} ProxyRouteOutput;

typedef struct ProxyRoute {
        ProxyRouteKind kind;
        const char *interface;
        const char *member;
        bool has_object; /* else the driver's root */
        bool has_options;
        bool has_flags;
        uint16_t object_offset; /* of the RpcDomain in the arguments */
        uint16_t flags_offset;
        uint8_t n_inputs; /* arguments, then options */
        uint8_t n_flags;
        uint8_t n_outputs; /* by index */
        const ProxyRouteInput *inputs;
        const ProxyRouteFlag *flags;
        const ProxyRouteOutput *outputs;
        const char *results; /* the types of all results, one letter each ('a': as) */
} ProxyRoute;

/* As a function of its own would do it. */
int proxy_route_call(ProxyCall *call, const ProxyRoute *route, const void *args, sd_bus_error *reterr);

/* What is done with each procedure, by its index; neither: the classic "not supported". Generated. */
typedef struct ProxyAction {
        int (*function)(ProxyCall *call, const void *args, sd_bus_error *reterr);
        const ProxyRoute *route;
} ProxyAction;

extern const ProxyAction proxy_actions[RPC_N_PROCEDURES];
