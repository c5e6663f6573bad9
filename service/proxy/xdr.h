/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bodies of classic packets to structs and back, by table. Nothing of what arrives is believed: counts are
 * bounded by the table and by the bytes that are left before memory is taken for them, so a body takes no
 * more than a small multiple of its size. */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proxy/arena.h"
#include "proxy/table.h"

enum {
        XDR_STRING_MAX = 4194304,
        XDR_BODY_MAX = 33554408,
};

/* Fills value, a struct of this type, from the bytes; what it points to is in the arena, but for opaque data,
 * which stays where it is. Returns how many bytes it took (more may follow: they are the caller's), or
 * -EBADMSG with the name of the field that is wrong and what is wrong with it. A string with a NUL in it, a
 * count over its limit, a union of unknown type, a body that ends early. */
typedef struct XdrProblem {
        const char *field;
        const char *what;
} XdrProblem;
VB_MUST_USE ssize_t xdr_decode(const RpcType *type, const void *bytes, size_t size, ProxyArena *arena,
                               void *value, XdrProblem *ret_problem);

/* Appends a struct of this type. -EMSGSIZE: an array or string is longer than the protocol allows. -EINVAL:
 * the struct has no string where there must be one, or a value of unknown type, which is a mistake of who
 * made it. The problem says in which field; out has lost what was appended. */
VB_MUST_USE int xdr_encode(const RpcType *type, const void *value, GByteArray *out, XdrProblem *ret_problem);
