/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/route.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "proxy/call-private.h"
#include "proxy/error.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

/* Any integer of either side; so nothing is lost or wraps before it has been checked. */
typedef __int128 Number;

/* ---- numbers */

static Number get_number(const ProxyRouteField *field, const void *args) {
        const void *at = (const char *) args + field->offset;

        switch (field->kind) {
        case RPC_INT: return *(const int32_t *) at;
        case RPC_UINT: return *(const uint32_t *) at;
        case RPC_HYPER: return *(const int64_t *) at;
        case RPC_UHYPER: return *(const uint64_t *) at;
        case RPC_CHAR: return *(const signed char *) at;
        case RPC_UCHAR: return *(const uint8_t *) at;
        case RPC_USHORT: return *(const uint16_t *) at;
        default: g_assert_not_reached();
        }
}

static void put_number(const ProxyRouteField *field, void *ret, Number number) {
        void *at = (char *) ret + field->offset;

        switch (field->kind) {
        case RPC_INT: *(int32_t *) at = (int32_t) number; break;
        case RPC_UINT: *(uint32_t *) at = (uint32_t) number; break;
        case RPC_HYPER: *(int64_t *) at = (int64_t) number; break;
        case RPC_UHYPER: *(uint64_t *) at = (uint64_t) number; break;
        case RPC_CHAR: *(signed char *) at = (signed char) number; break;
        case RPC_UCHAR: *(uint8_t *) at = (uint8_t) number; break;
        case RPC_USHORT: *(uint16_t *) at = (uint16_t) number; break;
        default: g_assert_not_reached();
        }
}

/* Of a field's kind, or of a type of the bus. */
static bool is_within(Number number, bool is_signed, unsigned bits) {
        Number one = 1;

        if (is_signed)
                return number >= -(one << (bits - 1)) && number < one << (bits - 1);
        return number >= 0 && number < one << bits;
}

static bool fits_field(Number number, int kind) {
        static const struct {
                bool is_signed;
                uint8_t bits;
        } ranges[_RPC_KIND_MAX] = {
                [RPC_INT] = { true, 32 },     [RPC_UINT] = { false, 32 }, [RPC_HYPER] = { true, 64 },
                [RPC_UHYPER] = { false, 64 }, [RPC_CHAR] = { true, 8 },   [RPC_UCHAR] = { false, 8 },
                [RPC_USHORT] = { false, 16 },
        };

        return is_within(number, ranges[kind].is_signed, ranges[kind].bits);
}

static bool fits_type(Number number, char type) {
        switch (type) {
        case 'y': return is_within(number, false, 8);
        case 'n': return is_within(number, true, 16);
        case 'q': return is_within(number, false, 16);
        case 'i': return is_within(number, true, 32);
        case 'u': return is_within(number, false, 32);
        case 'x': return is_within(number, true, 64);
        case 't': return is_within(number, false, 64);
        case 'b': return true;
        default: return false;
        }
}

static Number scaled(const ProxyRouteField *field, Number number) {
        if (field->factor > 0)
                return number * field->factor;
        if (field->factor < 0)
                return number / -field->factor;
        return number;
}

static const char *word_of(const ProxyRouteField *field, Number number) {
        for (const ProxyRouteWord *w = field->words; w->word; w++)
                if (w->number == number)
                        return w->word;
        return NULL;
}

static Number literal_number(const char *literal) {
        if (strcmp(literal, "true") == 0)
                return 1;
        return literal[0] == '-' ? (Number) g_ascii_strtoll(literal, NULL, 10)
                                 : (Number) g_ascii_strtoull(literal, NULL, 10);
}

/* ---- arguments to the bus */

static int append_number(sd_bus_message *message, char type, Number number) {
        switch (type) {
        case 'y': return sd_bus_message_append_basic(message, type, &(uint8_t){ (uint8_t) number });
        case 'n':
        case 'q': return sd_bus_message_append_basic(message, type, &(uint16_t){ (uint16_t) number });
        case 'i':
        case 'u': return sd_bus_message_append_basic(message, type, &(uint32_t){ (uint32_t) number });
        case 'x':
        case 't': return sd_bus_message_append_basic(message, type, &(uint64_t){ (uint64_t) number });
        case 'b': return sd_bus_message_append_basic(message, type, &(int){ number != 0 });
        default: g_assert_not_reached();
        }
}

static int append_text(sd_bus_message *message, char type, const char *name, const char *text,
                       sd_bus_error *reterr) {
        int r;

        r = sd_bus_message_append_basic(message, type, text ?: "");
        return r == -EINVAL ? proxy_error_set_text(reterr, name) : r;
}

static int append_strings(sd_bus_message *message, const char *name, const RpcStringArray *strings,
                          sd_bus_error *reterr) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "s");
        for (uint32_t i = 0; r >= 0 && i < strings->n; i++)
                r = append_text(message, 's', name, strings->items[i], reterr);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_none(sd_bus_message *message, const char *signature) {
        int r;

        r = sd_bus_message_open_container(message, 'a', signature + 1);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, const ProxyRouteInput *input, const void *args,
                        sd_bus_error *reterr) {
        const ProxyRouteField *field = &input->field;
        const void *at = (const char *) args + field->offset;
        char type = input->signature[0];
        bool is_text = type == 's' || type == 'o';
        const char *word;
        Number number;

        if (field->literal && type != 'a')
                return is_text ? sd_bus_message_append_basic(message, type, field->literal)
                               : append_number(message, type, literal_number(field->literal));
        if (type == 'a' && field->literal)
                return append_none(message, input->signature);
        if (type == 'a' && field->kind == RPC_STRING)
                return append_strings(message, field->name, at, reterr);
        if (type == 'a')
                return sd_bus_message_append_array(message, 'u', ((const RpcUintArray *) at)->items,
                                                   ((const RpcUintArray *) at)->n * sizeof(uint32_t));
        if (type == 'd')
                return sd_bus_message_append_basic(message, type, at);
        if (is_text && field->kind == RPC_STRING)
                return append_text(message, type, field->name, *(const char *const *) at, reterr);

        number = scaled(field, get_number(field, args));
        if (is_text) {
                word = word_of(field, number);
                if (!word)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                               "%s: %lld is not known", field->name, (long long) number);
                return sd_bus_message_append_basic(message, type, word);
        }
        if (!fits_type(number, type))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE, "%s is out of range",
                                       field->name);
        return append_number(message, type, number);
}

static bool is_absent(const ProxyRouteInput *input, const void *args) {
        const ProxyRouteField *field = &input->field;

        return !field->literal && field->kind == RPC_STRING && field->arity == RPC_OPTIONAL &&
               !*(const char *const *) ((const char *) args + field->offset);
}

static int open_option(sd_bus_message *message, const char *key, const char *signature) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(message, 's', key);
        if (r < 0)
                return r;
        return sd_bus_message_open_container(message, 'v', signature);
}

static int close_option(sd_bus_message *message) {
        int r;

        r = sd_bus_message_close_container(message);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_option(sd_bus_message *message, const ProxyRouteInput *input, const void *args,
                         sd_bus_error *reterr) {
        int r;

        if (is_absent(input, args))
                return 0;
        r = open_option(message, input->key, input->signature);
        if (r < 0)
                return r;
        r = append_value(message, input, args, reterr);
        return r < 0 ? r : close_option(message);
}

static int append_flag(sd_bus_message *message, const ProxyRouteFlag *flag) {
        int r;

        r = open_option(message, flag->option, flag->word ? "s" : "b");
        if (r < 0)
                return r;
        r = flag->word ? sd_bus_message_append_basic(message, 's', flag->word)
                       : sd_bus_message_append_basic(message, 'b', &(int){ flag->value });
        return r < 0 ? r : close_option(message);
}

/* ---- flags */

static const RpcDomain *called(const void *args, const ProxyRoute *route) {
        return (const RpcDomain *) ((const char *) args + route->object_offset);
}

static uint32_t flags_of(const ProxyRoute *route, const void *args) {
        return route->has_flags ? *(const uint32_t *) ((const char *) args + route->flags_offset) : 0;
}

/* The flags of the row that are set, each bit counted once; -EINVAL if one is not in the row, or two say
 * different things of the same option. */
static int find_flags(ProxyCall *call, const ProxyRoute *route, const void *args, const ProxyRouteFlag *set[],
                      unsigned *ret_n, sd_bus_error *reterr) {
        uint32_t left = flags_of(route, args);
        unsigned n = 0;

        for (unsigned i = 0; i < route->n_flags; i++) {
                const ProxyRouteFlag *flag = &route->flags[i];

                if (flag->bits == 0 || (left & flag->bits) != flag->bits)
                        continue;
                left &= ~flag->bits;
                for (unsigned k = 0; k < n; k++)
                        if (flag->option && g_strcmp0(flag->option, set[k]->option) == 0)
                                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                                       "Flags '%s' and '%s' are mutually exclusive",
                                                       set[k]->name, flag->name);
                set[n++] = flag;
        }
        *ret_n = n;
        return proxy_call_check_flags(call, left, 0, reterr);
}

/* ---- results from the bus */

static int put_string(ProxyCall *call, const ProxyRouteField *field, void *ret, const char *text,
                      sd_bus_error *reterr) {
        if (field->kind == RPC_STRING) {
                *(const char **) ((char *) ret + field->offset) = proxy_call_strdup(call, text);
                return 0;
        }
        for (const ProxyRouteWord *w = field->words; w && w->word; w++)
                if (strcmp(w->word, text) == 0) {
                        put_number(field, ret, w->number);
                        return 0;
                }
        return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_NONE,
                               "%s: the word '%s' is not known", field->name, text);
}

static int put_integer(const ProxyRouteField *field, void *ret, Number number, sd_bus_error *reterr) {
        number = scaled(field, number);
        if (!fits_field(number, field->kind))
                return proxy_error_set(reterr, VIR_ERR_OVERFLOW, VIR_FROM_NONE,
                                       "%s is too large for the classic protocol", field->name);
        put_number(field, ret, number);
        return 0;
}

static int read_number(sd_bus_message *answer, char type, Number *ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i; /* of booleans, too */
                uint32_t u;
                int64_t x;
                uint64_t t;
        } value;
        int r;

        r = sd_bus_message_read_basic(answer, type, &value);
        if (r < 0)
                return r;
        switch (type) {
        case 'y': *ret = value.y; break;
        case 'n': *ret = value.n; break;
        case 'q': *ret = value.q; break;
        case 'b':
        case 'i': *ret = value.i; break;
        case 'u': *ret = value.u; break;
        case 'x': *ret = value.x; break;
        default: *ret = value.t;
        }
        return r;
}

static int read_result(ProxyCall *call, sd_bus_message *answer, const ProxyRouteOutput *output, void *ret,
                       sd_bus_error *reterr) {
        const char *text;
        Number number;
        int r;

        if (output->type == 'a')
                return proxy_call_read_strings(call, answer, (RpcStringArray *) ((char *) ret + output->field.offset));
        if (output->type == 's' || output->type == 'o') {
                r = sd_bus_message_read_basic(answer, output->type, &text);
                return r > 0 ? put_string(call, &output->field, ret, text, reterr) : r < 0 ? r : -EBADMSG;
        }
        r = read_number(answer, output->type, &number);
        return r > 0 ? put_integer(&output->field, ret, number, reterr) : r < 0 ? r : -EBADMSG;
}

static int put_literals(ProxyCall *call, const ProxyRoute *route, void *ret, sd_bus_error *reterr) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < route->n_outputs && route->outputs[i].index < 0; i++) {
                const ProxyRouteField *field = &route->outputs[i].field;

                r = field->kind == RPC_STRING
                            ? put_string(call, field, ret, field->literal, reterr)
                            : put_integer(field, ret, literal_number(field->literal), reterr);
        }
        return r;
}

static int read_results(ProxyCall *call, sd_bus_message *answer, const ProxyRoute *route, void *ret,
                        sd_bus_error *reterr) {
        unsigned n = 0;
        int r;

        while (n < route->n_outputs && route->outputs[n].index < 0)
                n++;
        for (int index = 0; n < route->n_outputs; index++) {
                if (route->outputs[n].index == index)
                        r = read_result(call, answer, &route->outputs[n++], ret, reterr);
                else
                        r = sd_bus_message_skip(answer, route->results[index] == 'a'
                                                                ? "as"
                                                                : (char[2]){ route->results[index] });
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- results from the record */

static Number record_value(const ProxyDomain *domain, ProxyRecordValue value) {
        switch (value) {
        case PROXY_RECORD_STATE: return domain->state;
        case PROXY_RECORD_REASON: return domain->reason;
        case PROXY_RECORD_ACTIVE: return domain->id >= 0;
        case PROXY_RECORD_PERSISTENT: return domain->persistent;
        case PROXY_RECORD_AUTOSTART: return domain->autostart;
        case PROXY_RECORD_AUTOSTART_ONCE: return domain->autostart_once;
        case PROXY_RECORD_MANAGED_SAVE: return domain->managed_save;
        case PROXY_RECORD_MAX_MEMORY: return domain->max_memory;
        }
        g_assert_not_reached();
}

static int reply_record(ProxyCall *call, const ProxyRoute *route, const ProxyDomain *domain,
                        sd_bus_error *reterr) {
        void *ret = proxy_call_alloc(call, proxy_call_procedure(call)->ret->size);
        int r;

        r = put_literals(call, route, ret, reterr);
        for (unsigned i = 0; r >= 0 && i < route->n_outputs; i++)
                if (route->outputs[i].index >= 0)
                        r = put_integer(&route->outputs[i].field, ret,
                                        record_value(domain, (ProxyRecordValue) route->outputs[i].index), reterr);
        return r < 0 ? r : proxy_call_reply(call, ret);
}

/* The call may have changed the domain's number, so it is looked up anew. */
static int reply_called(ProxyCall *call, const ProxyRoute *route, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        RpcDomain rpc;
        int r;

        r = proxy_call_find_domain(call, called(call->args, route), &domain, reterr);
        if (r <= 0)
                return r;
        rpc = proxy_domain_to_rpc(domain);
        return proxy_call_reply(call, &rpc);
}

static bool gives_domain(const ProxyRoute *route) {
        return route->n_outputs == 1 && route->outputs[0].field.kind == RPC_STRUCT;
}

static int on_answer(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const ProxyRoute *route = userdata;
        const char *path;
        void *ret;
        int r;

        if (gives_domain(route) && route->outputs[0].index == -2)
                return reply_called(call, route, reterr);
        if (gives_domain(route)) {
                r = sd_bus_message_read_basic(answer, 'o', &path);
                return r < 0 ? r : proxy_call_reply_domain_at(call, path, reterr);
        }
        ret = proxy_call_alloc(call, proxy_call_procedure(call)->ret->size);
        if (route->kind == PROXY_ROUTE_GET) {
                r = sd_bus_message_enter_container(answer, 'v', (char[2]){ route->outputs[0].type });
                if (r <= 0)
                        return r < 0 ? r : -EBADMSG;
        }
        r = put_literals(call, route, ret, reterr);
        if (r >= 0)
                r = read_results(call, answer, route, ret, reterr);
        return r < 0 ? r : proxy_call_reply(call, ret);
}

/* ---- the call */

static int append_method(sd_bus_message *message, const ProxyRoute *route, const void *args,
                         const ProxyRouteFlag *const set[], unsigned n_set, sd_bus_error *reterr) {
        unsigned i = 0;
        int r;

        for (; i < route->n_inputs && !route->inputs[i].key; i++) {
                r = append_value(message, &route->inputs[i], args, reterr);
                if (r < 0)
                        return r;
        }
        if (!route->has_options)
                return 0;
        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (; r >= 0 && i < route->n_inputs; i++)
                r = append_option(message, &route->inputs[i], args, reterr);
        for (i = 0; r >= 0 && i < n_set; i++)
                if (set[i]->option)
                        r = append_flag(message, set[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_property(sd_bus_message *message, const ProxyRoute *route, const void *args,
                           sd_bus_error *reterr) {
        int r;

        r = sd_bus_message_append(message, "ss", route->interface, route->member);
        if (r < 0 || route->kind == PROXY_ROUTE_GET)
                return r;
        r = sd_bus_message_open_container(message, 'v', route->inputs[0].signature);
        if (r < 0)
                return r;
        r = append_value(message, &route->inputs[0], args, reterr);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int new_message(ProxyCall *call, sd_bus_message **ret, const ProxyRoute *route, const char *path,
                       sd_bus_error *reterr) {
        switch (route->kind) {
        case PROXY_ROUTE_GET: return proxy_call_new_method(call, ret, path, PROPERTIES, "Get", reterr);
        case PROXY_ROUTE_SET: return proxy_call_new_method(call, ret, path, PROPERTIES, "Set", reterr);
        default: return proxy_call_new_method(call, ret, path, route->interface, route->member, reterr);
        }
}

static int succeed(ProxyCall *call, const ProxyRoute *route, sd_bus_error *reterr) {
        void *ret = proxy_call_alloc(call, proxy_call_procedure(call)->ret->size);
        int r;

        r = put_literals(call, route, ret, reterr);
        return r < 0 ? r : proxy_call_reply(call, ret);
}

int proxy_route_call(ProxyCall *call, const ProxyRoute *route, const void *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyRouteFlag *set[32];
        const ProxyDomain *domain = NULL;
        unsigned n_set = 0;
        int r;

        r = find_flags(call, route, args, set, &n_set, reterr);
        if (r < 0)
                return r;
        if (route->kind == PROXY_ROUTE_NOTHING)
                return succeed(call, route, reterr);
        if (route->has_object) {
                r = proxy_call_find_domain(call, called(args, route), &domain, reterr);
                if (r <= 0)
                        return r;
        }
        if (route->kind == PROXY_ROUTE_RECORD)
                return reply_record(call, route, domain, reterr);
        r = new_message(call, &message, route, domain ? domain->path : NULL, reterr);
        if (r < 0)
                return r;
        r = route->kind == PROXY_ROUTE_METHOD ? append_method(message, route, args, set, n_set, reterr)
                                              : append_property(message, route, args, reterr);
        if (r < 0)
                return r;
        return proxy_call_send(call, message, on_answer, (void *) route, reterr);
}
