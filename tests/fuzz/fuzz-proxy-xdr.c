/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a classic client may send as the body of any procedure, and what may stand in a reply. The first three
 * bytes choose the body.
 *
 * What is read is written again and read once more: nothing may get lost or change on the way. */

#include <glib.h>
#include <string.h>

#include "fuzz.h"
#include "proxy/rpc.h"
#include "proxy/xdr.h"

enum { MEMORY_FOR_A_BYTE = 16 };

/* Body number n of all that there are: arguments and results of every procedure, and what stands in packets
 * beside them. */
static const RpcType *choose(unsigned n) {
        static const RpcType *types[2 * RPC_N_PROCEDURES + 2];
        static unsigned n_types = 0;

        if (n_types == 0) {
                types[n_types++] = &rpc_type_error;
                types[n_types++] = &rpc_type_stream_hole;
                for (unsigned p = 0; p < _RPC_PROGRAM_MAX; p++)
                        for (uint32_t i = 0; i < rpc_programs[p].n_procedures; i++)
                                if (rpc_programs[p].procedures[i].name) {
                                        types[n_types++] = rpc_programs[p].procedures[i].args;
                                        types[n_types++] = rpc_programs[p].procedures[i].ret;
                                }
                g_assert_cmpuint(n_types, ==, G_N_ELEMENTS(types));
        }
        return types[n % n_types];
}

static GByteArray *encoded(const RpcType *type, const void *value) {
        GByteArray *bytes = g_byte_array_new();
        XdrProblem problem;

        g_assert_cmpint(xdr_encode(type, value, bytes, &problem), ==, 0);
        return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GByteArray) once = NULL, twice = NULL;
        g_auto(ProxyArena) arena = {};
        g_autofree uint8_t *body = NULL;
        g_autofree void *value = NULL;
        XdrProblem problem = {};
        const RpcType *type;
        ssize_t n;

        if (size < 3)
                return 0;
        type = choose((unsigned) (data[0] << 16 | data[1] << 8 | data[2]));
        /* Of its own, so that reading beyond the end is seen. */
        body = g_memdup2(data + 3, size - 3);
        value = g_malloc(MAX(type->size, 1));

        n = xdr_decode(type, body, size - 3, &arena, value, &problem);
        g_assert_cmpuint(arena.size, <=, MEMORY_FOR_A_BYTE * (size + 1));
        if (n < 0) {
                g_assert_nonnull(problem.field);
                g_assert_nonnull(problem.what);
                return 0;
        }
        g_assert_cmpint(n, <=, size - 3);
        once = encoded(type, value);
        g_assert_cmpuint(once->len, ==, n);
        g_assert_cmpint(xdr_decode(type, once->data, once->len, &arena, value, &problem), ==, once->len);
        twice = encoded(type, value);
        g_assert_cmpmem(once->data, once->len, twice->data, twice->len);
        return 0;
}
