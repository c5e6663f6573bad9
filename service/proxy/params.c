/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/params.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>


/* --- built ---------------------------------------------------------------------------------------------------------- */

static RpcTypedParam *add(ProxyParams *params, const char *name, int type) {
        RpcTypedParam *param;

        if (params->n == params->room) {
                RpcTypedParam *items;

                params->room = params->room == 0 ? 32 : params->room * 2;
                items = proxy_call_alloc_array(params->call, params->room, sizeof(*items));
                if (params->n > 0)
                        memcpy(items, params->items, params->n * sizeof(*items));
                params->items = items;
        }
        param = &params->items[params->n++];
        *param = (RpcTypedParam){ .field = proxy_call_strdup(params->call, name), .value = { .type = type } };
        return param;
}

void proxy_params_add_int(ProxyParams *params, const char *name, int32_t value) {
        add(params, name, VIR_TYPED_PARAM_INT)->value.i = value;
}

void proxy_params_add_uint(ProxyParams *params, const char *name, uint32_t value) {
        add(params, name, VIR_TYPED_PARAM_UINT)->value.ui = value;
}

void proxy_params_add_llong(ProxyParams *params, const char *name, int64_t value) {
        add(params, name, VIR_TYPED_PARAM_LLONG)->value.l = value;
}

void proxy_params_add_ullong(ProxyParams *params, const char *name, uint64_t value) {
        add(params, name, VIR_TYPED_PARAM_ULLONG)->value.ul = value;
}

void proxy_params_add_double(ProxyParams *params, const char *name, double value) {
        add(params, name, VIR_TYPED_PARAM_DOUBLE)->value.d = value;
}

void proxy_params_add_bool(ProxyParams *params, const char *name, bool value) {
        add(params, name, VIR_TYPED_PARAM_BOOLEAN)->value.b = value;
}

void proxy_params_add_string(ProxyParams *params, const char *name, const char *value) {
        add(params, name, VIR_TYPED_PARAM_STRING)->value.s = proxy_call_strdup(params->call, value ?: "");
}

RpcTypedParamArray proxy_params_array(const ProxyParams *params, int64_t most) {
        uint32_t n = most > 0 && most < params->n ? (uint32_t) most : params->n;

        return (RpcTypedParamArray){ .n = n, .items = params->items };
}

/* --- rows ----------------------------------------------------------------------------------------------------------- */

unsigned proxy_param_rows_count(const ProxyParamRow *rows) {
        unsigned n = 0;

        while (rows[n].name)
                n++;
        return n;
}

static const char *type_word(int type) {
        static const char *const words[] = {
                [VIR_TYPED_PARAM_INT] = "int",         [VIR_TYPED_PARAM_UINT] = "uint",     [VIR_TYPED_PARAM_LLONG] = "llong",
                [VIR_TYPED_PARAM_ULLONG] = "ullong",   [VIR_TYPED_PARAM_DOUBLE] = "double", [VIR_TYPED_PARAM_BOOLEAN] = "boolean",
                [VIR_TYPED_PARAM_STRING] = "string",
        };

        return type > 0 && (size_t) type < G_N_ELEMENTS(words) ? words[type] : "unknown";
}

static const ProxyParamRow *find_row(const ProxyParamRow *rows, const char *name) {
        for (; rows->name; rows++)
                if (strcmp(rows->name, name) == 0)
                        return rows;
        return NULL;
}

static int check_param(const RpcTypedParamArray *given, uint32_t i, const ProxyParamRow *row, sd_bus_error *reterr) {
        const RpcTypedParam *param = &given->items[i];

        if (!row)
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "parameter '%s' not supported", param->field);
        if (row->type != param->value.type)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "invalid type '%s' for parameter '%s', expected '%s'",
                                       type_word(param->value.type), param->field, type_word(row->type));
        for (uint32_t j = 0; j < i; j++)
                if (strcmp(given->items[j].field, param->field) == 0)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "parameter '%s' occurs multiple times", param->field);
        return 0;
}

static uint64_t number_of(const RpcTypedValue *value) {
        switch (value->type) {
        case VIR_TYPED_PARAM_INT: return (uint64_t) (int64_t) value->i;
        case VIR_TYPED_PARAM_UINT: return value->ui;
        case VIR_TYPED_PARAM_BOOLEAN: return value->b != 0;
        default: return value->ul;
        }
}

static int put_number(const RpcTypedParam *param, const ProxyParamRow *row, sd_bus_message *message, sd_bus_error *reterr) {
        uint64_t value = number_of(&param->value);

        if (!row->key)
                return value == 0 ? 0 :
                                    proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "parameter '%s' not supported", row->name);
        if (row->unlimited > 0 && value >= row->unlimited)
                value = 0;
        if (row->unit > 1 && __builtin_mul_overflow(value, row->unit, &value))
                return proxy_error_set(reterr, VIR_ERR_OVERFLOW, 0, "parameter '%s' is too large", row->name);
        if (row->bus_type == 'u')
                return sd_bus_message_append(message, "{sv}", row->key, "u", (uint32_t) value);
        return sd_bus_message_append(message, "{sv}", row->key, row->bus_type == 'x' ? "x" : "t", value);
}

int proxy_params_put(const RpcTypedParamArray *given, const ProxyParamRow *rows, sd_bus_message *message, sd_bus_error *reterr) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (uint32_t i = 0; r >= 0 && i < given->n; i++) {
                const RpcTypedParam *param = &given->items[i];
                const ProxyParamRow *row = find_row(rows, param->field);

                r = check_param(given, i, row, reterr);
                if (r < 0)
                        return r;
                r = row->type == VIR_TYPED_PARAM_STRING ? sd_bus_message_append(message, "{sv}", row->key, "s", param->value.s) :
                                                          put_number(param, row, message, reterr);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int read_number(sd_bus_message *message, char type, uint64_t *ret) {
        uint32_t small;
        int r;

        if (type != 'u')
                return sd_bus_message_read(message, "v", type == 'x' ? "x" : "t", ret);
        r = sd_bus_message_read(message, "v", "u", &small);
        *ret = r < 0 ? 0 : small;
        return r;
}

static void take_number(RpcTypedValue *value, const ProxyParamRow *row, uint64_t number) {
        if (row->unlimited > 0 && number == 0)
                number = row->unlimited;
        else if (row->unit > 1)
                number /= row->unit;
        switch (row->type) {
        case VIR_TYPED_PARAM_INT: value->i = (int32_t) number; break;
        case VIR_TYPED_PARAM_UINT: value->ui = (uint32_t) number; break;
        default: value->ul = number;
        }
}

static int take_entry(ProxyParams *params, RpcTypedParam *items, const ProxyParamRow *rows, sd_bus_message *message) {
        const char *key, *text;
        uint64_t number;
        int r;

        r = sd_bus_message_read_basic(message, 's', &key);
        if (r < 0)
                return r;
        for (size_t i = 0; rows[i].name; i++) {
                if (g_strcmp0(rows[i].key, key) != 0)
                        continue;
                if (rows[i].type == VIR_TYPED_PARAM_STRING) {
                        r = sd_bus_message_read(message, "v", "s", &text);
                        if (r >= 0)
                                items[i].value.s = proxy_call_strdup(params->call, text);
                        return r;
                }
                r = read_number(message, rows[i].bus_type, &number);
                if (r >= 0)
                        take_number(&items[i].value, &rows[i], number);
                return r;
        }
        return sd_bus_message_skip(message, "v");
}

int proxy_params_take(ProxyParams *params, const ProxyParamRow *rows, sd_bus_message *message) {
        unsigned first = params->n;
        int r;

        for (const ProxyParamRow *row = rows; row->name; row++) {
                if (row->type == VIR_TYPED_PARAM_STRING)
                        proxy_params_add_string(params, row->name, "");
                else
                        take_number(&add(params, row->name, row->type)->value, row, 0);
        }
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = take_entry(params, params->items + first, rows, message);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int proxy_put_impact(sd_bus_message *message, unsigned flags) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0 && (flags & VIR_DOMAIN_AFFECT_LIVE))
                r = sd_bus_message_append(message, "{sv}", "live", "b", 1);
        if (r >= 0 && (flags & VIR_DOMAIN_AFFECT_CONFIG))
                r = sd_bus_message_append(message, "{sv}", "config", "b", 1);
        return r < 0 ? r : sd_bus_message_close_container(message);
}
