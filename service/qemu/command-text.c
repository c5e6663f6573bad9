/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/command-text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

GString *qemu_options_new(const char *first) {
        return g_string_new(first);
}

static void options_append_escaped(GString *options, const char *value) {
        for (const char *c = value; *c; c++) {
                if (*c == ',')
                        g_string_append_c(options, ',');
                g_string_append_c(options, *c);
        }
}

void qemu_options_add(GString *options, const char *key, const char *value) {
        if (!value)
                return;

        if (options->len > 0)
                g_string_append_c(options, ',');
        g_string_append_printf(options, "%s=", key);
        options_append_escaped(options, value);
}

void qemu_options_addf(GString *options, const char *key, const char *format, ...) {
        g_autofree char *value = NULL;
        va_list arguments;

        va_start(arguments, format);
        value = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        qemu_options_add(options, key, value);
}

void qemu_options_add_number(GString *options, const char *key, uint64_t value) {
        qemu_options_addf(options, key, "%" PRIu64, value);
}

void qemu_options_add_switch(GString *options, const char *key, bool on) {
        qemu_options_add(options, key, on ? "on" : "off");
}

VbJson *qemu_json_new(void) {
        VbJson *object = json_object_new_object();

        /* json-c is the one library here that may return NULL; everything else ends the process as glib does. */
        assert(object);
        return object;
}

VbJson *qemu_json_new_driver(const char *driver) {
        VbJson *object = qemu_json_new();

        qemu_json_add(object, "driver", driver);
        return object;
}

VbJson *qemu_json_new_object(const char *qom_type, const char *id) {
        VbJson *object = qemu_json_new();

        qemu_json_add(object, "qom-type", qom_type);
        qemu_json_add(object, "id", id);
        return object;
}

void qemu_json_add_json(VbJson *object, const char *key, VbJson *value) {
        int r;

        r = json_object_object_add(object, key, value);
        assert(r == 0);
}

void qemu_json_add(VbJson *object, const char *key, const char *value) {
        if (value)
                qemu_json_add_json(object, key, json_object_new_string(value));
}

void qemu_json_addf(VbJson *object, const char *key, const char *format, ...) {
        g_autofree char *value = NULL;
        va_list arguments;

        va_start(arguments, format);
        value = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        qemu_json_add(object, key, value);
}

void qemu_json_add_number(VbJson *object, const char *key, uint64_t value) {
        qemu_json_add_json(object, key, json_object_new_uint64(value));
}

void qemu_json_add_bool(VbJson *object, const char *key, bool value) {
        qemu_json_add_json(object, key, json_object_new_boolean(value));
}

const char *qemu_json_text(VbJson *object) {
        return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}
