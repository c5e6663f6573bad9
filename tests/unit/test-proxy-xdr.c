/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "proxy/rpc.h"
#include "proxy/xdr.h"

/* What one walks through for every body that there is: program, procedure, and its arguments or results. */
typedef void (*ForType)(const RpcType *type, GRand *random);

static void for_each_body(ForType check) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        unsigned n = 0;

        for (unsigned p = 0; p < _RPC_PROGRAM_MAX; p++)
                for (uint32_t i = 0; i < rpc_programs[p].n_procedures; i++) {
                        const RpcProcedure *procedure = &rpc_programs[p].procedures[i];

                        if (!procedure->name)
                                continue;
                        check(procedure->args, random);
                        check(procedure->ret, random);
                        n++;
                }
        g_assert_cmpuint(n, ==, RPC_N_PROCEDURES);
}

/* ---- bodies made by chance, by another way than xdr.c's */

static void write_word(GByteArray *out, uint32_t word) {
        word = GUINT32_TO_BE(word);
        g_byte_array_append(out, (uint8_t *) &word, 4);
}

static void write_bytes(GByteArray *out, GRand *random, uint32_t n, bool is_text) {
        for (uint32_t i = 0; i < n; i++)
                g_byte_array_append(
                        out, &(uint8_t){ (uint8_t) g_rand_int_range(random, is_text ? 1 : 0, 256) }, 1);
        while (n++ % 4)
                g_byte_array_append(out, &(uint8_t){ 0 }, 1);
}

static void write_text(GByteArray *out, GRand *random) {
        uint32_t n = (uint32_t) g_rand_int_range(random, 0, 10);

        write_word(out, n);
        write_bytes(out, random, n, true);
}

static void write_body(GByteArray *out, const RpcType *type, GRand *random);

static void write_element(GByteArray *out, const RpcField *field, GRand *random) {
        uint32_t kind;

        switch (field->kind) {
        case RPC_INT:
        case RPC_UINT: write_word(out, g_rand_int(random)); break;
        case RPC_HYPER:
        case RPC_UHYPER:
        case RPC_DOUBLE:
                write_word(out, g_rand_int(random));
                write_word(out, g_rand_int(random));
                break;
        case RPC_CHAR: write_word(out, (uint32_t) g_rand_int_range(random, -128, 128)); break;
        case RPC_UCHAR: write_word(out, (uint32_t) g_rand_int_range(random, 0, 256)); break;
        case RPC_USHORT: write_word(out, (uint32_t) g_rand_int_range(random, 0, 65536)); break;
        case RPC_STRING: write_text(out, random); break;
        case RPC_STRUCT: write_body(out, field->type, random); break;
        case RPC_VALUE:
                kind = (uint32_t) g_rand_int_range(random, VIR_TYPED_PARAM_INT, VIR_TYPED_PARAM_STRING + 1);
                write_word(out, kind);
                if (kind == VIR_TYPED_PARAM_STRING) {
                        write_text(out, random);
                        break;
                }
                write_word(out, g_rand_int(random));
                if (kind == VIR_TYPED_PARAM_LLONG || kind == VIR_TYPED_PARAM_ULLONG ||
                    kind == VIR_TYPED_PARAM_DOUBLE)
                        write_word(out, g_rand_int(random));
                break;
        default: g_assert_not_reached();
        }
}

static void write_field(GByteArray *out, const RpcField *field, GRand *random) {
        uint32_t n = 1;

        if (field->arity == RPC_COUNTED) {
                n = (uint32_t) g_rand_int_range(random, 0, 4);
                write_word(out, n);
        } else if (field->arity == RPC_FIXED)
                n = field->limit;
        else if (field->arity == RPC_OPTIONAL) {
                n = (uint32_t) g_rand_int_range(random, 0, 2);
                write_word(out, n);
        }
        if (field->kind == RPC_OPAQUE)
                write_bytes(out, random, field->arity == RPC_COUNTED ? n : field->limit, false);
        else
                for (uint32_t i = 0; i < n; i++)
                        write_element(out, field, random);
}

static void write_body(GByteArray *out, const RpcType *type, GRand *random) {
        for (unsigned i = 0; i < type->n_fields; i++)
                write_field(out, &type->fields[i], random);
}

/* ---- every body, there and back */

static void check_round_trip(const RpcType *type, GRand *random) {
        for (unsigned turn = 0; turn < 20; turn++) {
                g_autoptr(GByteArray) body = g_byte_array_new(), again = g_byte_array_new();
                g_autofree void *value = g_malloc0(MAX(type->size, 1));
                g_auto(ProxyArena) arena = {};
                XdrProblem problem;

                write_body(body, type, random);
                g_test_message("%s: %u bytes", type->name, body->len);
                g_assert_cmpint(xdr_decode(type, body->data, body->len, &arena, value, &problem), ==,
                                body->len);
                g_assert_cmpint(xdr_encode(type, value, again, &problem), ==, 0);
                g_assert_cmpmem(body->data, body->len, again->data, again->len);
        }
}

static void test_round_trip(void) {
        for_each_body(check_round_trip);
}

/* Cut off anywhere, it is refused, and nothing is read beyond its end: each is in memory of its own, for the
 * sanitizers. */
static void check_cut_off(const RpcType *type, GRand *random) {
        g_autoptr(GByteArray) body = g_byte_array_new();
        g_autofree void *value = g_malloc0(MAX(type->size, 1));

        write_body(body, type, random);
        for (guint size = 0; size < body->len; size++) {
                g_autofree uint8_t *part = g_memdup2(body->data, size);
                g_auto(ProxyArena) arena = {};
                XdrProblem problem = {};

                g_assert_cmpint(xdr_decode(type, part, size, &arena, value, &problem), ==, -EBADMSG);
                g_assert_nonnull(problem.field);
        }
}

static void test_cut_off(void) {
        for_each_body(check_cut_off);
}

static void check_wire_min(const RpcType *type, GRand *random) {
        g_autoptr(GByteArray) body = g_byte_array_new();

        write_body(body, type, random);
        g_assert_cmpuint(type->wire_min, <=, body->len);
}

static void test_wire_min(void) {
        for_each_body(check_wire_min);
}

/* ---- what is refused, and how it is said */

static const RpcType *args_of(unsigned program, unsigned number) {
        return rpc_programs[program].procedures[number].args;
}

static const RpcType *ret_of(unsigned program, unsigned number) {
        return rpc_programs[program].procedures[number].ret;
}

#define WORD(n)                                                                                   \
        (uint8_t)((uint32_t) (n) >> 24), (uint8_t) ((n) >> 16 & 255), (uint8_t) ((n) >> 8 & 255), \
                (uint8_t) ((n) &255)
#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void test_refused(void) {
        const struct {
                const char *what;
                unsigned procedure;
                bool is_ret;
                const uint8_t *bytes;
                size_t size;
                const char *field, *problem;
        } cases[] = {
                { "NUL in a string", RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME, false, BYTES(WORD(3), 'a', 0, 'b', 0),
                  "name", "has a NUL in it" },
                { "NUL at its end", RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME, false, BYTES(WORD(4), 'a', 'b', 'c', 0),
                  "name", "has a NUL in it" },
                { "a string without end", RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME, false, BYTES(WORD(0xffffffff)),
                  "name", "is too long" },
                { "a string over the limit", RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME, false, BYTES(WORD(4194305)),
                  "name", "is too long" },
                { "no padding", RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME, false, BYTES(WORD(1), 'a'), "name",
                  "ends early" },
                { "neither yes nor no", RPC_REMOTE_CONNECT_OPEN, false, BYTES(WORD(2), WORD(0), WORD(0)),
                  "name", "is neither there nor not" },
                { "a negative count", RPC_REMOTE_DOMAIN_SET_MEMORY_PARAMETERS, false,
                  BYTES(WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0xffffffff), WORD(0)),
                  "params", "is too long" },
                { "a count over the limit", RPC_REMOTE_DOMAIN_SET_MEMORY_PARAMETERS, false,
                  BYTES(WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(17), WORD(0)), "params",
                  "is too long" },
                { "a count over what is left", RPC_REMOTE_DOMAIN_SET_MEMORY_PARAMETERS, false,
                  BYTES(WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(16), WORD(0)), "params",
                  "ends early" },
                { "a value of no type", RPC_REMOTE_DOMAIN_SET_MEMORY_PARAMETERS, false,
                  BYTES(WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(1), WORD(0), WORD(8),
                        WORD(0), WORD(0)),
                  "value", "is of a type that there is not" },
                { "many domains in few bytes", RPC_REMOTE_CONNECT_LIST_ALL_DOMAINS, true,
                  BYTES(WORD(16384), WORD(0)), "domains", "ends early" },
                { "opaque data without end", RPC_REMOTE_DOMAIN_PIN_VCPU, false,
                  BYTES(WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(0), WORD(2048)), "cpumap",
                  "ends early" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const RpcType *type = cases[i].is_ret ? ret_of(RPC_PROGRAM_REMOTE, cases[i].procedure)
                                                      : args_of(RPC_PROGRAM_REMOTE, cases[i].procedure);
                g_autofree void *value = g_malloc0(type->size);
                g_auto(ProxyArena) arena = {};
                XdrProblem problem = {};

                g_test_message("%s", cases[i].what);
                g_assert_cmpint(xdr_decode(type, cases[i].bytes, cases[i].size, &arena, value, &problem), ==,
                                -EBADMSG);
                g_assert_cmpstr(problem.field, ==, cases[i].field);
                g_assert_cmpstr(problem.what, ==, cases[i].problem);
                g_assert_cmpuint(arena.size, <=, 1024);
        }
}

static void test_known_bytes(void) {
        static const uint8_t bytes[] = {
                WORD(2),
                'v',
                'm',
                0,
                0, /* name */
                0,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                9,
                10,
                11,
                12,
                13,
                14,
                15,
                WORD(-1), /* uuid, id */
                WORD(5), /* flags */
                WORD(0xdead), /* what follows is not ours */
        };
        const RpcType *type = args_of(RPC_PROGRAM_REMOTE, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS);
        RpcRemoteDomainCreateWithFlagsArgs args;
        g_auto(ProxyArena) arena = {};
        XdrProblem problem;

        g_assert_cmpuint(type->size, ==, sizeof(args));
        g_assert_cmpint(xdr_decode(type, bytes, sizeof(bytes), &arena, &args, &problem), ==,
                        sizeof(bytes) - 4);
        g_assert_cmpstr(args.dom.name, ==, "vm");
        g_assert_cmpuint(args.dom.uuid[15], ==, 15);
        g_assert_cmpint(args.dom.id, ==, -1);
        g_assert_cmpuint(args.flags, ==, 5);
}

static void test_cannot_be_sent(void) {
        const RpcType *domain = ret_of(RPC_PROGRAM_REMOTE, RPC_REMOTE_DOMAIN_LOOKUP_BY_NAME);
        const RpcType *list = ret_of(RPC_PROGRAM_REMOTE, RPC_REMOTE_CONNECT_LIST_ALL_DOMAINS);
        const RpcType *names = ret_of(RPC_PROGRAM_REMOTE, RPC_REMOTE_CONNECT_LIST_DEFINED_DOMAINS);
        g_autofree char *text = g_strnfill(XDR_STRING_MAX, 'x');
        g_autofree const char **many = g_new0(const char *, 16384);
        g_autoptr(GByteArray) out = g_byte_array_new();
        XdrProblem problem;

        g_byte_array_append(out, (const uint8_t *) "head", 4);
        g_assert_cmpint(xdr_encode(domain, &(RpcRemoteDomainLookupByNameRet){}, out, &problem), ==, -EINVAL);
        g_assert_cmpstr(problem.field, ==, "dom.name");
        g_assert_cmpint(
                xdr_encode(list, &(RpcRemoteConnectListAllDomainsRet){ .domains.n = 16385 }, out, &problem),
                ==, -EMSGSIZE);
        g_assert_cmpstr(problem.field, ==, "domains");

        /* Each is short enough, but not all of them. */
        for (unsigned i = 0; i < 16384; i++)
                many[i] = text;
        g_assert_cmpint(xdr_encode(names,
                                   &(RpcRemoteConnectListDefinedDomainsRet){ .names = { 16384, many } }, out,
                                   &problem),
                        ==, -EMSGSIZE);
        g_assert_cmpmem(out->data, out->len, "head", 4);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/proxy/xdr/known-bytes", test_known_bytes);
        g_test_add_func("/proxy/xdr/round-trip", test_round_trip);
        g_test_add_func("/proxy/xdr/cut-off", test_cut_off);
        g_test_add_func("/proxy/xdr/wire-min", test_wire_min);
        g_test_add_func("/proxy/xdr/refused", test_refused);
        g_test_add_func("/proxy/xdr/cannot-be-sent", test_cannot_be_sent);
        return g_test_run();
}
