/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values that a method takes as options and that a struct of the model has as numbers: tables say which is which, for taking what was given,
 * and for telling what is set. In the model, 0 is what was not given. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"

typedef enum VbValueType {
        VB_VALUE_U64 = 't',
        VB_VALUE_I64 = 'x',
        VB_VALUE_U32 = 'u',
} VbValueType;

typedef struct VbValueRow {
        const char *key; /* "read-bytes-sec" */
        VbValueType type;
        size_t given, has; /* of the option in the method's arguments, and of the bool that says whether it was given */
        size_t field; /* in the model's struct */
        uint64_t unit; /* the option's number is the model's times this; 0: the same */
        uint64_t min; /* the least but for 0 (and, of signed ones, less than 0), which is none; 0: none */
        uint64_t max; /* in the option's unit; 0: what the type holds */
} VbValueRow;

/* A row; Args is the method's struct of arguments, name the option in it. Further members of the row may follow. */
#define VB_VALUE_ROW(key_, type_, Args, name, Struct, field_, ...)                                                       \
        {                                                                                                                \
                .key = (key_), .type = (type_), .given = offsetof(Args, values.name), .has = offsetof(Args, values.has_##name), \
                .field = offsetof(Struct, field_), __VA_ARGS__                                                           \
        }

/* Rows end with one whose key is NULL. Returns how many were given; or InvalidArgument. */
VB_MUST_USE int vb_values_take(const VbValueRow *rows, const void *args, void *fields, sd_bus_error *reterr);

/* Entries {sv} of those that are not 0. */
VB_MUST_USE int vb_values_append(sd_bus_message *m, const VbValueRow *rows, const void *fields);

/* Whether all of them are 0. */
bool vb_values_are_unset(const VbValueRow *rows, const void *fields);

/* InvalidArgument: a method that sets values was given none. */
int vb_values_none(sd_bus_error *reterr);

/* One entry {sv}. */
VB_MUST_USE int vb_value_append_string(sd_bus_message *m, const char *key, const char *value);
