/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/xdr.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "proxy/rpc.h"

/* Both directions walk the table with a stack of their own: a frame for each table entered, of which the
 * generator has counted how deep they go. So no input can make them recurse. */
typedef struct Frame {
        const RpcType *type;
        char *base; /* the struct that is being filled or read */
        uint32_t left; /* structs of this array that follow it */
        unsigned next; /* field */
} Frame;

typedef struct Stack {
        Frame frames[RPC_DEPTH_MAX];
        unsigned n;
} Stack;

static void push(Stack *stack, const RpcType *type, const void *base, uint32_t n) {
        assert(stack->n < RPC_DEPTH_MAX);

        if (n > 0 && type->n_fields > 0)
                stack->frames[stack->n++] = (Frame){ .type = type, .base = (char *) base, .left = n - 1 };
}

/* The next field to be looked at, and where its memory is; NULL at the end. */
static const RpcField *next_field(Stack *stack, char **ret_at) {
        while (stack->n > 0) {
                Frame *frame = &stack->frames[stack->n - 1];

                if (frame->next < frame->type->n_fields) {
                        const RpcField *field = &frame->type->fields[frame->next++];

                        *ret_at = frame->base + field->offset;
                        return field;
                }
                if (frame->left > 0) {
                        frame->left--;
                        frame->base += frame->type->size;
                        frame->next = 0;
                } else
                        stack->n--;
        }
        return NULL;
}

/* What one element takes in memory, and at least on the wire. */
static size_t memory_size(const RpcField *field) {
        static const uint8_t sizes[_RPC_KIND_MAX] = {
                [RPC_INT] = 4,
                [RPC_UINT] = 4,
                [RPC_HYPER] = 8,
                [RPC_UHYPER] = 8,
                [RPC_DOUBLE] = 8,
                [RPC_CHAR] = 1,
                [RPC_UCHAR] = 1,
                [RPC_USHORT] = 2,
                [RPC_STRING] = sizeof(char *),
                [RPC_OPAQUE] = 1,
                [RPC_VALUE] = sizeof(RpcTypedValue),
        };

        return field->kind == RPC_STRUCT ? field->type->size : sizes[field->kind];
}

static size_t wire_min(const RpcField *field) {
        switch (field->kind) {
        case RPC_STRUCT: return field->type->wire_min;
        case RPC_HYPER:
        case RPC_UHYPER:
        case RPC_DOUBLE:
        case RPC_VALUE: return 8;
        case RPC_OPAQUE: return 1;
        default: return 4;
        }
}

static size_t padding(size_t size) {
        return -size & 3;
}

/* ---- from bytes */

typedef struct Decoder {
        const uint8_t *bytes;
        size_t left;
        ProxyArena *arena;
        const char *what; /* is wrong */
        Stack stack;
} Decoder;

static int bad(Decoder *decoder, const char *what) {
        decoder->what = what;
        return -EBADMSG;
}

static int take(Decoder *decoder, size_t size, const uint8_t **ret) {
        if (decoder->left < size)
                return bad(decoder, "ends early");
        *ret = decoder->bytes;
        decoder->bytes += size;
        decoder->left -= size;
        return 0;
}

static int take_word(Decoder *decoder, uint32_t *ret) {
        const uint8_t *bytes;
        uint32_t word;
        int r;

        r = take(decoder, sizeof(word), &bytes);
        if (r < 0)
                return r;
        memcpy(&word, bytes, sizeof(word));
        *ret = be32toh(word);
        return 0;
}

static int take_double_word(Decoder *decoder, void *ret) {
        const uint8_t *bytes;
        uint64_t word;
        int r;

        r = take(decoder, sizeof(word), &bytes);
        if (r < 0)
                return r;
        memcpy(&word, bytes, sizeof(word));
        word = be64toh(word);
        memcpy(ret, &word, sizeof(word));
        return 0;
}

static int take_padded(Decoder *decoder, size_t size, const uint8_t **ret) {
        const uint8_t *unused;
        int r;

        r = take(decoder, size, ret);
        if (r < 0)
                return r;
        return take(decoder, padding(size), &unused);
}

static int take_string(Decoder *decoder, const char **ret) {
        const uint8_t *bytes;
        uint32_t size;
        int r;

        r = take_word(decoder, &size);
        if (r < 0)
                return r;
        if (size > XDR_STRING_MAX)
                return bad(decoder, "is too long");
        r = take_padded(decoder, size, &bytes);
        if (r < 0)
                return r;
        if (memchr(bytes, '\0', size))
                return bad(decoder, "has a NUL in it");
        *ret = proxy_arena_strndup(decoder->arena, bytes, size);
        return 0;
}

static int take_value(Decoder *decoder, RpcTypedValue *value) {
        uint32_t type;
        int r;

        r = take_word(decoder, &type);
        if (r < 0)
                return r;
        value->type = (int32_t) type;
        switch (value->type) {
        case VIR_TYPED_PARAM_INT:
        case VIR_TYPED_PARAM_UINT:
        case VIR_TYPED_PARAM_BOOLEAN: return take_word(decoder, &value->ui);
        case VIR_TYPED_PARAM_LLONG:
        case VIR_TYPED_PARAM_ULLONG:
        case VIR_TYPED_PARAM_DOUBLE: return take_double_word(decoder, &value->ul);
        case VIR_TYPED_PARAM_STRING: return take_string(decoder, &value->s);
        default: return bad(decoder, "is of a type that there is not");
        }
}

static int take_one(Decoder *decoder, const RpcField *field, void *at) {
        uint32_t word;
        int r;

        switch (field->kind) {
        case RPC_INT:
        case RPC_UINT: return take_word(decoder, at);
        case RPC_HYPER:
        case RPC_UHYPER:
        case RPC_DOUBLE: return take_double_word(decoder, at);
        case RPC_CHAR:
        case RPC_UCHAR:
        case RPC_USHORT:
                r = take_word(decoder, &word);
                if (r < 0)
                        return r;
                if (field->kind == RPC_USHORT)
                        *(uint16_t *) at = (uint16_t) word;
                else
                        *(uint8_t *) at = (uint8_t) word;
                return 0;
        case RPC_STRING: return take_string(decoder, at);
        case RPC_VALUE: return take_value(decoder, at);
        default: g_assert_not_reached();
        }
}

static int take_elements(Decoder *decoder, const RpcField *field, void *at, uint32_t n) {
        int r;

        if (field->kind == RPC_STRUCT) {
                push(&decoder->stack, field->type, at, n);
                return 0;
        }
        for (uint32_t i = 0; i < n; i++) {
                r = take_one(decoder, field, (char *) at + i * memory_size(field));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_counted(Decoder *decoder, const RpcField *field, RpcArray *array) {
        void *items;
        uint32_t n;
        int r;

        r = take_word(decoder, &n);
        if (r < 0)
                return r;
        if (n > field->limit)
                return bad(decoder, "is too long");
        if (n > decoder->left / wire_min(field))
                return bad(decoder, "ends early");
        array->n = n;
        if (field->kind == RPC_OPAQUE)
                return take_padded(decoder, n, (const uint8_t **) &array->items);
        if (n == 0)
                return 0;
        items = proxy_arena_alloc(decoder->arena, n * memory_size(field));
        array->items = items;
        return take_elements(decoder, field, items, n);
}

static int take_optional(Decoder *decoder, const RpcField *field, void **at) {
        uint32_t is_there;
        int r;

        r = take_word(decoder, &is_there);
        if (r < 0)
                return r;
        if (is_there > 1)
                return bad(decoder, "is neither there nor not");
        if (!is_there)
                return 0;
        if (field->kind == RPC_STRING)
                return take_one(decoder, field, at);
        *at = proxy_arena_alloc(decoder->arena, memory_size(field));
        return take_elements(decoder, field, *at, 1);
}

static int take_field(Decoder *decoder, const RpcField *field, void *at) {
        const uint8_t *bytes;
        int r;

        switch (field->arity) {
        case RPC_COUNTED: return take_counted(decoder, field, at);
        case RPC_OPTIONAL: return take_optional(decoder, field, at);
        case RPC_FIXED: return take_elements(decoder, field, at, field->limit);
        default:
                if (field->kind != RPC_OPAQUE)
                        return take_one(decoder, field, at);
                r = take_padded(decoder, field->limit, &bytes);
                if (r < 0)
                        return r;
                memcpy(at, bytes, field->limit);
                return 0;
        }
}

ssize_t xdr_decode(const RpcType *type, const void *bytes, size_t size, ProxyArena *arena, void *value,
                   XdrProblem *ret_problem) {
        Decoder decoder = { .bytes = bytes, .left = size, .arena = arena };
        const RpcField *field;
        char *at;
        int r;

        memset(value, 0, type->size);
        push(&decoder.stack, type, value, 1);
        while ((field = next_field(&decoder.stack, &at))) {
                r = take_field(&decoder, field, at);
                if (r < 0) {
                        *ret_problem = (XdrProblem){ field->name, decoder.what };
                        return r;
                }
        }
        return (ssize_t) (size - decoder.left);
}

/* ---- to bytes */

typedef struct Encoder {
        GByteArray *out;
        const char *what;
        Stack stack;
} Encoder;

static int cannot(Encoder *encoder, int r, const char *what) {
        encoder->what = what;
        return r;
}

static void put_word(Encoder *encoder, uint32_t word) {
        word = htobe32(word);
        g_byte_array_append(encoder->out, (const uint8_t *) &word, sizeof(word));
}

static void put_double_word(Encoder *encoder, const void *from) {
        uint64_t word;

        memcpy(&word, from, sizeof(word));
        word = htobe64(word);
        g_byte_array_append(encoder->out, (const uint8_t *) &word, sizeof(word));
}

static void put_padded(Encoder *encoder, const void *bytes, uint32_t size) {
        if (size > 0)
                g_byte_array_append(encoder->out, bytes, size);
        g_byte_array_append(encoder->out, (const uint8_t[4]){}, padding(size));
}

static int put_string(Encoder *encoder, const char *text) {
        size_t size;

        if (!text)
                return cannot(encoder, -EINVAL, "is missing");
        size = strlen(text);
        if (size > XDR_STRING_MAX || encoder->out->len > XDR_BODY_MAX)
                return cannot(encoder, -EMSGSIZE, "is too long");
        put_word(encoder, (uint32_t) size);
        put_padded(encoder, text, (uint32_t) size);
        return 0;
}

static int put_value(Encoder *encoder, const RpcTypedValue *value) {
        put_word(encoder, (uint32_t) value->type);
        switch (value->type) {
        case VIR_TYPED_PARAM_INT:
        case VIR_TYPED_PARAM_UINT:
        case VIR_TYPED_PARAM_BOOLEAN: put_word(encoder, value->ui); return 0;
        case VIR_TYPED_PARAM_LLONG:
        case VIR_TYPED_PARAM_ULLONG:
        case VIR_TYPED_PARAM_DOUBLE: put_double_word(encoder, &value->ul); return 0;
        case VIR_TYPED_PARAM_STRING: return put_string(encoder, value->s);
        default: return cannot(encoder, -EINVAL, "is of a type that there is not");
        }
}

static int put_one(Encoder *encoder, const RpcField *field, const void *at) {
        switch (field->kind) {
        case RPC_INT:
        case RPC_UINT: put_word(encoder, *(const uint32_t *) at); return 0;
        case RPC_HYPER:
        case RPC_UHYPER:
        case RPC_DOUBLE: put_double_word(encoder, at); return 0;
        case RPC_CHAR: put_word(encoder, (uint32_t) * (const signed char *) at); return 0;
        case RPC_UCHAR: put_word(encoder, *(const uint8_t *) at); return 0;
        case RPC_USHORT: put_word(encoder, *(const uint16_t *) at); return 0;
        case RPC_STRING: return put_string(encoder, *(const char *const *) at);
        case RPC_VALUE: return put_value(encoder, at);
        default: g_assert_not_reached();
        }
}

static int put_elements(Encoder *encoder, const RpcField *field, const void *at, uint32_t n) {
        int r;

        if (field->kind == RPC_STRUCT) {
                push(&encoder->stack, field->type, at, n);
                return 0;
        }
        for (uint32_t i = 0; i < n; i++) {
                r = put_one(encoder, field, (const char *) at + i * memory_size(field));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int put_counted(Encoder *encoder, const RpcField *field, const RpcArray *array) {
        if (array->n > field->limit)
                return cannot(encoder, -EMSGSIZE, "has too many");
        put_word(encoder, array->n);
        if (field->kind == RPC_OPAQUE) {
                put_padded(encoder, array->items, array->n);
                return 0;
        }
        return put_elements(encoder, field, array->items, array->n);
}

static int put_optional(Encoder *encoder, const RpcField *field, const void *at) {
        const void *item = *(const void *const *) at;

        put_word(encoder, item ? 1 : 0);
        if (!item)
                return 0;
        return field->kind == RPC_STRING ? put_string(encoder, item) : put_elements(encoder, field, item, 1);
}

static int put_field(Encoder *encoder, const RpcField *field, const void *at) {
        if (encoder->out->len > XDR_BODY_MAX)
                return cannot(encoder, -EMSGSIZE, "makes it too long");
        switch (field->arity) {
        case RPC_COUNTED: return put_counted(encoder, field, at);
        case RPC_OPTIONAL: return put_optional(encoder, field, at);
        case RPC_FIXED: return put_elements(encoder, field, at, field->limit);
        default:
                if (field->kind != RPC_OPAQUE)
                        return put_one(encoder, field, at);
                put_padded(encoder, at, field->limit);
                return 0;
        }
}

int xdr_encode(const RpcType *type, const void *value, GByteArray *out, XdrProblem *ret_problem) {
        Encoder encoder = { .out = out };
        const RpcField *field;
        guint start = out->len;
        char *at;
        int r;

        push(&encoder.stack, type, value, 1);
        while ((field = next_field(&encoder.stack, &at))) {
                r = put_field(&encoder, field, at);
                if (r < 0) {
                        *ret_problem = (XdrProblem){ field->name, encoder.what };
                        g_byte_array_set_size(out, start);
                        return r;
                }
        }
        return 0;
}
