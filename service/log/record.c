/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/record.h"

#include <string.h>

#include "base/error.h"
#include "base/uuid.h"

#define FORMAT 1

static void add_string(VbJson *json, const char *key, const char *value) {
        (void) json_object_object_add(json, key, json_object_new_string(value));
}

static void add_number(VbJson *json, const char *key, uint64_t value) {
        (void) json_object_object_add(json, key, json_object_new_uint64(value));
}

void log_record_done(LogRecord *record) {
        log_spec_done(&record->spec);
}

char *log_record_format(const LogSpec *spec, dev_t device, ino_t inode) {
        g_autoptr(VbJson) json = json_object_new_object();

        add_number(json, "format", FORMAT);
        add_string(json, "driver", spec->name.driver);
        add_number(json, "owner", spec->name.owner);
        add_string(json, "domain", spec->name.domain);
        add_string(json, "uuid", spec->uuid);
        add_string(json, "log", spec->name.log);
        (void) json_object_object_add(json, "wait", json_object_new_boolean(spec->wait));
        add_number(json, "max-size", spec->max_size);
        add_number(json, "max-backups", spec->max_backups);
        add_number(json, "device", device);
        add_number(json, "inode", inode);
        return g_strdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static VbJson *member(VbJson *json, const char *key, json_type type, sd_bus_error *reterr) {
        VbJson *found;

        if (json_object_object_get_ex(json, key, &found) && json_object_is_type(found, type))
                return found;
        (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is missing or of the wrong type", key);
        return NULL;
}

static int read_string(VbJson *json, const char *key, const char **ret, sd_bus_error *reterr) {
        VbJson *found = member(json, key, json_type_string, reterr);

        if (!found)
                return -EBADMSG;
        *ret = json_object_get_string(found);
        if (strlen(*ret) != (size_t) json_object_get_string_len(found)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' has a NUL in it", key);
                return -EBADMSG;
        }
        return 0;
}

static int read_number(VbJson *json, const char *key, uint64_t min, uint64_t max, uint64_t *ret, sd_bus_error *reterr) {
        VbJson *found = member(json, key, json_type_int, reterr);

        if (!found)
                return -EBADMSG;
        *ret = json_object_get_uint64(found); /* 0 for what is negative */
        if (*ret < min || *ret > max || json_object_get_int64(found) < 0) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is out of range", key);
                return -EBADMSG;
        }
        return 0;
}

static int read_spec(VbJson *json, LogSpec *spec, sd_bus_error *reterr) {
        static const char *const keys[] = { "driver", "domain", "log", "uuid" };
        const char *words[G_N_ELEMENTS(keys)];
        uint64_t format, owner, max_backups;
        char uuid_string[VB_UUID_STRING_SIZE];
        VbJson *wait;
        VbUuid uuid;

        if (read_number(json, "format", FORMAT, FORMAT, &format, reterr) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (read_string(json, keys[i], &words[i], reterr) < 0)
                        return -EBADMSG;
        wait = member(json, "wait", json_type_boolean, reterr);
        if (!wait || read_number(json, "owner", 0, UINT32_MAX - 1, &owner, reterr) < 0 ||
            read_number(json, "max-size", LOG_SIZE_MIN, INT64_MAX, &spec->max_size, reterr) < 0 ||
            read_number(json, "max-backups", 0, LOG_BACKUPS_MAX, &max_backups, reterr) < 0)
                return -EBADMSG;
        if (vb_uuid_parse(words[3], &uuid) < 0) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%.64s' is not a UUID", words[3]);
                return -EBADMSG;
        }
        if (log_name_init(&spec->name, words[0], (uid_t) owner, words[1], words[2], reterr) < 0)
                return -EBADMSG;
        spec->uuid = g_strdup(vb_uuid_format(&uuid, uuid_string));
        spec->wait = json_object_get_boolean(wait);
        spec->max_backups = (unsigned) max_backups;
        return 0;
}

int log_record_parse(const char *text, LogRecord *ret, sd_bus_error *reterr) {
        g_autoptr(VbJson) json = json_tokener_parse(text);
        g_auto(LogRecord) record = { 0 };
        uint64_t device, inode;
        int r;

        if (!json_object_is_type(json, json_type_object)) {
                (void) sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "it is no JSON object");
                return -EBADMSG;
        }
        r = read_number(json, "device", 0, INT64_MAX, &device, reterr);
        if (r >= 0)
                r = read_number(json, "inode", 1, INT64_MAX, &inode, reterr);
        if (r >= 0)
                r = read_spec(json, &record.spec, reterr);
        if (r < 0)
                return r;
        *ret = (LogRecord){ .spec = record.spec, .device = (dev_t) device, .inode = (ino_t) inode };
        record = (LogRecord){ 0 };
        return 0;
}
