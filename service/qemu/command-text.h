/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's two argument languages: comma-separated options and JSON objects. Options written here are always
 * escaped and JSON is made by json-c, so no text of a definition can become a second option. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* --- Options: "first,key=value,…" --- */

/* Adds ",key=value" (or "key=value" to an empty list); commas in value are doubled. Nothing if value is NULL. */
void qemu_options_add(GString *options, const char *key, const char *value);
void qemu_options_addf(GString *options, const char *key, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void qemu_options_add_number(GString *options, const char *key, uint64_t value);
void qemu_options_add_switch(GString *options, const char *key, bool on);
/* Adds value alone, as the list's first item. */
GString *qemu_options_new(const char *first);

/* --- JSON: an object in the order its members were added --- */

VbJson *qemu_json_new(void);
/* {"driver": driver} and {"qom-type": type, "id": id}. */
VbJson *qemu_json_new_driver(const char *driver);
VbJson *qemu_json_new_object(const char *qom_type, const char *id);

/* Adds nothing if value is NULL. */
void qemu_json_add(VbJson *object, const char *key, const char *value);
void qemu_json_addf(VbJson *object, const char *key, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void qemu_json_add_number(VbJson *object, const char *key, uint64_t value);
void qemu_json_add_bool(VbJson *object, const char *key, bool value);
/* Takes over value. */
void qemu_json_add_json(VbJson *object, const char *key, VbJson *value);

/* One line, slashes as they are. The text lives as long as the object is not changed. */
const char *qemu_json_text(VbJson *object);
