/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Settings: /etc/virtbus/DRIVER.conf and its drop-ins DRIVER.conf.d/NAME.conf, in the order of their names; what is read later wins.
 * Lines are "key = value", "#" begins a comment, values may stand in double quotes. A table says which keys there are. An unknown key
 * or a bad value costs that line only, with a warning that names file and line; the key keeps what it had. */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/string-table.h"

typedef enum VbSettingKind {
        VB_SETTING_BOOL,     /* bool: yes, no, true, false, on, off, 1, 0 */
        VB_SETTING_NUMBER,   /* uint64_t */
        VB_SETTING_SIZE,     /* uint64_t, bytes: 512, 64K, 10M, 2G, 1T */
        VB_SETTING_DURATION, /* uint64_t, microseconds: 30, 30s, 500ms, 2min, 1h; a bare number is seconds */
        VB_SETTING_DELAY,    /* the same, but a bare number is milliseconds */
        VB_SETTING_WORD,     /* int: a number of the string table */
        VB_SETTING_STRING,   /* char * */
        VB_SETTING_PATH,     /* char *, absolute */
        VB_SETTING_LIST,     /* char **, words; an empty value empties it */
        _VB_SETTING_KIND_MAX,
} VbSettingKind;

typedef struct VbSetting {
        const char *key;
        VbSettingKind kind;
        size_t offset;        /* in the target struct */
        const char *fallback; /* in the spelling of the file; NULL: zero, NULL */
        uint64_t min, max;    /* of numbers, sizes and durations in their unit; max 0: no bound */
        const char *help;     /* one sentence for the manual */
        const VbStringTable *words; /* of a word */
        int (*check)(const char *value, sd_bus_error *reterr); /* of a string; may be NULL. Negative, with what is wrong: it is ignored */
} VbSetting;

/* Settings of several owners that stand in the same files; a list of these ends with one whose table is NULL. */
typedef struct VbSettingsPart {
        const VbSetting *table;
        void *target;
} VbSettingsPart;

/* Fills target from the fallbacks and then the files in directory ("/etc/virtbus"). A missing file is fine. Every table ends with a row
 * whose key is NULL. target must be zeroed or filled by an earlier load, whose values are freed. Returns the
 * number of lines that were not understood (each logged), or a negative errno if a file could not be read; target is whole in any case. */
VB_MUST_USE int vb_settings_load(const VbSetting *table, void *target, const char *directory, const char *driver);
VB_MUST_USE int vb_settings_load_parts(const VbSettingsPart *parts, const char *directory, const char *driver);

/* Frees the strings and lists, and zeroes all of the table's keys. */
void vb_settings_done(const VbSetting *table, void *target);
