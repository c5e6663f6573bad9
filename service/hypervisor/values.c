/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/values.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

/* A number of any of the types: two's complement where it may be negative. */
static uint64_t read_number(const void *at, VbValueType type) {
        uint32_t small;
        uint64_t large;

        if (type == VB_VALUE_U32) {
                memcpy(&small, at, sizeof(small));
                return small;
        }
        memcpy(&large, at, sizeof(large));
        return large;
}

static void write_number(void *at, VbValueType type, uint64_t value) {
        uint32_t small = (uint32_t) value;

        if (type == VB_VALUE_U32)
                memcpy(at, &small, sizeof(small));
        else
                memcpy(at, &value, sizeof(value));
}

static bool is_given(const VbValueRow *row, const void *args) {
        bool has;

        memcpy(&has, (const char *) args + row->has, sizeof(has));
        return has;
}

static int check_range(const VbValueRow *row, uint64_t value, sd_bus_error *reterr) {
        bool negative = row->type == VB_VALUE_I64 && (int64_t) value < 0;

        if (value == 0 || negative || (value >= row->min && (row->max == 0 || value <= row->max)))
                return 0;
        if (row->max == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "value '%s': %" PRIu64 " is less than %" PRIu64, row->key,
                                         value, row->min);
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "value '%s': %" PRIu64 " is not from %" PRIu64 " to %" PRIu64,
                                 row->key, value, row->min, row->max);
}

static int take(const VbValueRow *row, const void *args, void *fields, sd_bus_error *reterr) {
        uint64_t value = read_number((const char *) args + row->given, row->type);
        int r;

        r = check_range(row, value, reterr);
        if (r < 0)
                return r;
        /* One negative number is as good as another: no limit. */
        if (row->type == VB_VALUE_I64 && (int64_t) value < 0)
                value = (uint64_t) -1;
        else if (row->unit > 1)
                value = value / row->unit + (value % row->unit > 0);
        write_number((char *) fields + row->field, row->type, value);
        return 0;
}

int vb_values_take(const VbValueRow *rows, const void *args, void *fields, sd_bus_error *reterr) {
        int n = 0, r;

        for (const VbValueRow *row = rows; row->key; row++) {
                if (!is_given(row, args))
                        continue;
                r = take(row, args, fields, reterr);
                if (r < 0)
                        return r;
                n++;
        }
        return n;
}

static int append(sd_bus_message *m, const VbValueRow *row, uint64_t value) {
        if (row->unit > 1 && __builtin_mul_overflow(value, row->unit, &value))
                value = UINT64_MAX;
        if (row->type == VB_VALUE_U32)
                return sd_bus_message_append(m, "{sv}", row->key, "u", (uint32_t) value);
        return sd_bus_message_append(m, "{sv}", row->key, (const char[]){ (char) row->type, '\0' }, value);
}

int vb_values_append(sd_bus_message *m, const VbValueRow *rows, const void *fields) {
        int r = 0;

        for (const VbValueRow *row = rows; r >= 0 && row->key; row++) {
                uint64_t value = read_number((const char *) fields + row->field, row->type);

                if (value != 0)
                        r = append(m, row, value);
        }
        return r;
}

bool vb_values_are_unset(const VbValueRow *rows, const void *fields) {
        for (const VbValueRow *row = rows; row->key; row++)
                if (read_number((const char *) fields + row->field, row->type) != 0)
                        return false;
        return true;
}

int vb_values_none(sd_bus_error *reterr) {
        return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "no value was given");
}

int vb_value_append_string(sd_bus_message *m, const char *key, const char *value) {
        return sd_bus_message_append(m, "{sv}", key, "s", value);
}
