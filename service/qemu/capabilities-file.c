/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Capabilities to their file and back. The file is private to the daemon and may be thrown away at any time:
 * whatever is wrong with it means only that the binary is asked again.
 *
 *     format       QEMU_CAPABILITIES_FORMAT
 *     binary       path, and what it is recognized by
 *     host         the key of what else the answers depend on
 *     version, package, arch
 *     sets         an array of names for each QemuSet
 *     features     the names of those QemuFeatures that are there
 *     machines     objects, keys as in QMP
 *     accelerators a table of CPUs for each usable one (cpu-parse.c) */

#include <sys/stat.h>

#include "qemu/capabilities-private.h"
#include "qemu/json.h"

static const char *const accel_keys[_QEMU_ACCEL_MAX] = {
        [QEMU_ACCEL_TCG] = "tcg",
        [QEMU_ACCEL_KVM] = "kvm",
};

int qemu_binary_identity_get(const char *path, QemuBinaryIdentity *ret) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
                return -EACCES;
        *ret = (QemuBinaryIdentity){
                .device = st.st_dev,
                .inode = st.st_ino,
                .size = (uint64_t) st.st_size,
                .mtime = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                .ctime = (int64_t) st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
        };
        return 0;
}

bool qemu_binary_identity_equal(const QemuBinaryIdentity *a, const QemuBinaryIdentity *b) {
        return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime == b->mtime &&
               a->ctime == b->ctime;
}

/* --- Out --- */

static void put(VbJson *json, const char *key, VbJson *value) {
        (void) json_object_object_add(json, key, value);
}

static void put_string(VbJson *json, const char *key, const char *value) {
        if (value)
                put(json, key, json_object_new_string(value));
}

static void put_true(VbJson *json, const char *key, bool value) {
        if (value)
                put(json, key, json_object_new_boolean(TRUE));
}

static VbJson *format_binary(const char *path, const QemuBinaryIdentity *identity) {
        VbJson *json = json_object_new_object();

        put_string(json, "path", path);
        put(json, "device", json_object_new_uint64(identity->device));
        put(json, "inode", json_object_new_uint64(identity->inode));
        put(json, "size", json_object_new_uint64(identity->size));
        put(json, "mtime", json_object_new_int64(identity->mtime));
        put(json, "ctime", json_object_new_int64(identity->ctime));
        return json;
}

static VbJson *format_sets(const QemuCapabilities *capabilities) {
        VbJson *json = json_object_new_object();

        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++) {
                const GPtrArray *names = capabilities->sets[set].names;
                VbJson *array = json_object_new_array_ext((int) names->len);

                for (guint i = 0; i < names->len; i++)
                        (void) json_object_array_add(array, json_object_new_string(names->pdata[i]));
                put(json, qemu_set_to_string(set), array);
        }
        return json;
}

static VbJson *format_features(const QemuCapabilities *capabilities) {
        VbJson *array = json_object_new_array();

        for (QemuFeature feature = 0; feature < _QEMU_FEATURE_MAX; feature++)
                if (capabilities->features[feature])
                        (void) json_object_array_add(array,
                                                     json_object_new_string(qemu_feature_to_string(feature)));
        return array;
}

static VbJson *format_machines(const QemuCapabilities *capabilities) {
        VbJson *array = json_object_new_array();

        for (guint i = 0; i < capabilities->machines->len; i++) {
                const QemuMachine *machine = &g_array_index(capabilities->machines, QemuMachine, i);
                VbJson *json = json_object_new_object();

                put_string(json, "name", machine->name);
                put_string(json, "alias", machine->alias);
                put_string(json, "default-cpu-type", machine->default_cpu_type);
                put_string(json, "default-ram-id", machine->default_ram_id);
                put(json, "cpu-max", json_object_new_int((int) machine->max_cpus));
                put_true(json, "is-default", machine->is_default);
                put_true(json, "deprecated", machine->deprecated);
                put_true(json, "hotpluggable-cpus", machine->hotpluggable_cpus);
                put_true(json, "numa-mem-supported", machine->numa_mem_supported);
                (void) json_object_array_add(array, json);
        }
        return array;
}

GBytes *qemu_capabilities_format(const QemuCapabilities *capabilities, const QemuBinaryIdentity *identity,
                                 const char *host) {
        g_autoptr(VbJson) json = json_object_new_object();
        VbJson *accelerators = json_object_new_object();
        const char *text;
        size_t size;

        put(json, "format", json_object_new_int(QEMU_CAPABILITIES_FORMAT));
        put(json, "binary", format_binary(capabilities->path, identity));
        put_string(json, "host", host);
        put(json, "version", json_object_new_int64(capabilities->version));
        put_string(json, "package", capabilities->package);
        put_string(json, "arch", capabilities->arch);
        put(json, "sets", format_sets(capabilities));
        put(json, "features", format_features(capabilities));
        put(json, "machines", format_machines(capabilities));
        for (QemuAccel accel = 0; accel < _QEMU_ACCEL_MAX; accel++)
                if (capabilities->cpus[accel])
                        put(accelerators, accel_keys[accel],
                            qemu_cpu_table_format(capabilities->cpus[accel]));
        put(json, "accelerators", accelerators);

        text = json_object_to_json_string_length(
                json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        return g_bytes_new(text, size);
}

/* --- In --- */

static bool binary_is(VbJson *json, const char *path, const QemuBinaryIdentity *identity) {
        VbJson *device = qemu_json_member(json, "device", json_type_int);
        VbJson *inode = qemu_json_member(json, "inode", json_type_int);
        VbJson *size = qemu_json_member(json, "size", json_type_int);
        QemuBinaryIdentity found = {
                .device = json_object_get_uint64(device),
                .inode = json_object_get_uint64(inode),
                .size = json_object_get_uint64(size),
                .mtime = qemu_json_number(json, "mtime", 0),
                .ctime = qemu_json_number(json, "ctime", 0),
        };

        return device && inode && size && g_strcmp0(qemu_json_string(json, "path"), path) == 0 &&
               qemu_binary_identity_equal(&found, identity);
}

static int parse_features(QemuCapabilities *capabilities, VbJson *array) {
        if (!array)
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                int feature =
                        qemu_feature_from_string(json_object_get_string(json_object_array_get_idx(array, i)));

                if (feature < 0)
                        return -EBADMSG;
                capabilities->features[feature] = true;
        }
        return 0;
}

static int parse_facts(QemuCapabilities *capabilities, VbJson *json) {
        VbJson *sets = qemu_json_object(json, "sets");
        VbJson *accelerators = qemu_json_object(json, "accelerators");
        int64_t version = qemu_json_number(json, "version", -1);
        int r;

        if (version < QEMU_VERSION_MINIMUM || version > QEMU_VERSION(999, 999, 999))
                return -EBADMSG;
        capabilities->version = (unsigned) version;
        capabilities->package = g_strdup(qemu_json_string(json, "package"));
        r = qemu_capabilities_parse_target(capabilities, json);
        if (r < 0)
                return r;
        r = qemu_capabilities_parse_machines(capabilities, qemu_json_array(json, "machines"));
        if (r < 0)
                return r;
        r = parse_features(capabilities, qemu_json_array(json, "features"));
        if (r < 0)
                return r;
        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++) {
                r = qemu_capabilities_parse_words(capabilities, set,
                                                  qemu_json_array(sets, qemu_set_to_string(set)));
                if (r < 0)
                        return r;
        }
        for (QemuAccel accel = 0; accel < _QEMU_ACCEL_MAX; accel++) {
                VbJson *table = qemu_json_object(accelerators, accel_keys[accel]);

                if (!table)
                        continue;
                r = qemu_cpu_table_parse(table, &capabilities->cpus[accel]);
                if (r < 0)
                        return r;
        }
        return qemu_capabilities_seal(capabilities);
}

int qemu_capabilities_parse(const char *text, size_t size, const char *path,
                            const QemuBinaryIdentity *identity, const char *host, QemuCapabilities **ret) {
        g_autoptr(QemuCapabilities) capabilities = NULL;
        g_autoptr(VbJson) json = NULL;
        json_tokener *tokener;
        enum json_tokener_error error;
        int r;

        if (size > QEMU_CAPABILITIES_FILE_MAX)
                return -EBADMSG;
        tokener = json_tokener_new_ex(/* depth= */ 16);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        json = json_tokener_parse_ex(tokener, text, (int) size);
        /* A whole object leaves the tokener content; a half one makes it wish for more. */
        error = json_tokener_get_error(tokener);
        if (json_tokener_get_parse_end(tokener) != size)
                error = json_tokener_error_parse_unexpected;
        json_tokener_free(tokener);
        if (error != json_tokener_success || !json)
                return -EBADMSG;

        if (qemu_json_number(json, "format", 0) != QEMU_CAPABILITIES_FORMAT ||
            g_strcmp0(qemu_json_string(json, "host"), host) != 0 ||
            !binary_is(qemu_json_object(json, "binary"), path, identity))
                return -ESTALE;

        capabilities = qemu_capabilities_new(path);
        r = parse_facts(capabilities, json);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&capabilities);
        return 0;
}
