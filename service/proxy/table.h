/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the classic protocol's bodies are described to xdr.c, and its procedures to call.c. The tables are
 * generated from protocol/ (see generate.py); structs that hold a body in memory are in proxy/rpc.h.
 *
 * A struct that stands in another one is laid flat, its fields with dots in their names. So only arrays and
 * optional structs lead from one table to the next, and at most RPC_DEPTH_MAX of them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum RpcKind {
        RPC_INT, /* int32_t, as all enumerations */
        RPC_UINT, /* uint32_t */
        RPC_HYPER, /* int64_t */
        RPC_UHYPER, /* uint64_t */
        RPC_DOUBLE,
        RPC_CHAR, /* char; like the next two, four bytes on the wire */
        RPC_UCHAR, /* uint8_t */
        RPC_USHORT, /* uint16_t */
        RPC_STRING, /* const char *, never NULL */
        RPC_OPAQUE, /* uint8_t[limit] alone, RpcBytes if counted */
        RPC_VALUE, /* RpcTypedValue */
        RPC_STRUCT, /* of the type */
        _RPC_KIND_MAX,
} RpcKind;

typedef enum RpcArity {
        RPC_ONE,
        RPC_FIXED, /* limit of them, in place */
        RPC_COUNTED, /* at most limit of them: RpcIntArray and its like */
        RPC_OPTIONAL, /* a pointer, NULL for none; a string stays what it is */
        _RPC_ARITY_MAX,
} RpcArity;

typedef struct RpcType RpcType;

typedef struct RpcField {
        const char *name; /* "dom.uuid" */
        uint8_t kind; /* RpcKind */
        uint8_t arity; /* RpcArity */
        uint16_t offset;
        uint32_t limit; /* bytes of a string or opaque, elements of an array */
        const RpcType *type; /* of RPC_STRUCT */
} RpcField;

struct RpcType {
        const char *name; /* "remote.domain_get_state_args", "typed_param" */
        uint16_t size; /* in memory */
        uint16_t wire_min; /* its bytes on the wire are at least so many */
        uint16_t n_fields;
        const RpcField *fields;
};

/* All arrays look alike. */
typedef struct RpcArray {
        uint32_t n;
        const void *items;
} RpcArray;

typedef struct RpcBytes {
        uint32_t n;
        const uint8_t *items;
} RpcBytes;

/* type is one of virTypedParameterType */
typedef struct RpcTypedValue {
        int32_t type;
        union {
                int32_t i;
                uint32_t ui;
                int64_t l;
                uint64_t ul;
                double d;
                int32_t b;
                const char *s;
        };
} RpcTypedValue;

/* May a read-only connection call it? */
typedef enum RpcReadOnly {
        RPC_READ_ONLY_REFUSED,
        RPC_READ_ONLY_ALLOWED,
        RPC_READ_ONLY_UNLESS_FLAGS, /* … the argument has one of these bits */
        RPC_READ_ONLY_UNLESS_EQUAL, /* … the argument is this */
} RpcReadOnly;

typedef enum RpcStream {
        RPC_STREAM_NONE,
        RPC_STREAM_READ, /* the client reads */
        RPC_STREAM_WRITE,
} RpcStream;

typedef enum RpcProcedureFlags {
        RPC_EVENT = 1 << 0, /* from the server; args is its body */
        RPC_TAKES_FDS = 1 << 1, /* CALL_WITH_FDS */
        RPC_GIVES_FDS = 1 << 2, /* REPLY_WITH_FDS */
        RPC_BEFORE_AUTH = 1 << 3, /* may be called by who is not authenticated */
        RPC_BEFORE_OPEN = 1 << 4, /* … before connect_open */
        RPC_HIGH_PRIORITY = 1 << 5, /* does not wait for a guest */
} RpcProcedureFlags;

typedef struct RpcProcedure {
        const char *name; /* "domain_get_state"; NULL: there is no such number */
        const char *function; /* as errors name it: "virDomainGetState" */
        const RpcType *args; /* never NULL; RpcNothing's has no fields */
        const RpcType *ret;
        uint16_t index; /* among those of all programs; proxy_actions[] goes by it */
        uint16_t number;
        uint8_t program; /* RpcProgramIndex */
        uint8_t flags; /* RpcProcedureFlags */
        uint8_t stream; /* RpcStream */
        uint8_t domain; /* virErrorDomain of its object */
        uint8_t read_only; /* RpcReadOnly */
        uint16_t read_only_offset; /* of the 32-bit argument that decides */
        uint32_t read_only_value;
        uint32_t sparse_flag; /* of the argument flags: holes are allowed in the stream; 0 if never */
} RpcProcedure;

typedef struct RpcProgram {
        const char *name;
        uint32_t id;
        uint32_t version;
        uint32_t n_procedures; /* by number; 0 is never one */
        const RpcProcedure *procedures;
} RpcProgram;
