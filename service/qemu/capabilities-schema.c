/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* query-qmp-schema: everything QMP can say, as a flat list of types that name one another by number. It is
 * read once into an index, asked for what the tables below name, and thrown away.
 *
 * A path begins with the name of a command and goes on by:
 *
 *     member      to the type of this member of an object (of an array: of its elements)
 *     =case       to the object that a union has when its tag has this value
 *     <           from a command to what it returns
 *
 * and says what must be there at its end:
 *
 *     ^value      the enumeration has this value
 *     #feature    the command or object has this feature
 */

#include <string.h>

#include "qemu/capabilities-private.h"
#include "qemu/json.h"

/* Enumerations that become sets. */
static const struct {
        QemuSet set;
        const char *path;
} schema_sets[] = {
        { QEMU_SET_NETDEV, "netdev_add/type" },
        { QEMU_SET_CHARDEV, "chardev-add/backend/type" },
        { QEMU_SET_DISPLAY, "query-display-options/</type" },
        { QEMU_SET_AUDIODEV, "query-audiodevs/</driver" },
        { QEMU_SET_BLOCK_DRIVER, "blockdev-add/driver" },
        { QEMU_SET_BLOCK_AIO, "blockdev-add/=file/aio" },
        { QEMU_SET_MIGRATION_CAPABILITY, "migrate-set-capabilities/capabilities/capability" },
};

static const struct {
        QemuFeature feature;
        const char *path;
} schema_features[] = {
        { QEMU_FEATURE_DEVICE_JSON_HOTPLUG, "device_add/#json-cli-hotplug" },
        { QEMU_FEATURE_NETDEV_STREAM_RECONNECT, "netdev_add/=stream/reconnect" },
        { QEMU_FEATURE_CHARDEV_RECONNECT_MS, "chardev-add/backend/=socket/data/reconnect-ms" },
        { QEMU_FEATURE_QCOW2_DISCARD_NO_UNREF, "blockdev-add/=qcow2/discard-no-unref" },
        { QEMU_FEATURE_SCREENDUMP_PNG, "screendump/format/^png" },
        { QEMU_FEATURE_BLOCKDEV_MIRROR_SPARSE, "blockdev-mirror/target-is-zero" },
        { QEMU_FEATURE_DISPLAY_DBUS_P2P, "query-display-options/</=dbus/p2p" },
        { QEMU_FEATURE_SET_PASSWORD_DISPLAY, "set_password/=vnc/display" },
};

/* Every feature of the enumeration is looked for exactly once. */
G_STATIC_ASSERT(G_N_ELEMENTS(schema_features) == _QEMU_FEATURE_MAX);

#define SCHEMA_STEPS_MAX 16

/* Borrows names and entities from the JSON it was made from. */
static GHashTable *index_schema(VbJson *schema) {
        GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < json_object_array_length(schema); i++) {
                VbJson *entity = json_object_array_get_idx(schema, i);
                const char *name = qemu_json_string(entity, "name");

                if (name)
                        (void) g_hash_table_insert(index, (gpointer) name, entity);
        }
        return index;
}

/* The entity that one of this entity's members names: "arg-type", "type", … */
static VbJson *follow(GHashTable *index, VbJson *entity, const char *key) {
        const char *name = qemu_json_string(entity, key);

        return name ? g_hash_table_lookup(index, name) : NULL;
}

/* Of an array of objects, the one where key has this value. */
static VbJson *find_by(VbJson *array, const char *key, const char *value) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++) {
                VbJson *item = json_object_array_get_idx(array, i);

                if (g_strcmp0(qemu_json_string(item, key), value) == 0)
                        return item;
        }
        return NULL;
}

static bool has_word(VbJson *array, const char *word) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                if (g_strcmp0(json_object_get_string(json_object_array_get_idx(array, i)), word) == 0)
                        return true;
        return false;
}

static bool is_kind(VbJson *entity, const char *kind) {
        return g_strcmp0(qemu_json_string(entity, "meta-type"), kind) == 0;
}

/* What a step starts from: a command stands for its arguments, an array for its elements. */
static VbJson *enter(GHashTable *index, VbJson *entity) {
        if (is_kind(entity, "command"))
                entity = follow(index, entity, "arg-type");
        if (is_kind(entity, "array"))
                entity = follow(index, entity, "element-type");
        return entity;
}

static VbJson *take_step(GHashTable *index, VbJson *entity, const char *step) {
        if (step[0] == '<')
                return follow(index, entity, "ret-type");
        if (step[0] == '#')
                return has_word(qemu_json_array(entity, "features"), step + 1) ? entity : NULL;

        entity = enter(index, entity);
        if (step[0] == '^')
                return has_word(qemu_json_array(entity, "values"), step + 1) ? entity : NULL;
        if (step[0] == '=')
                return follow(index, find_by(qemu_json_array(entity, "variants"), "case", step + 1), "type");
        return follow(index, find_by(qemu_json_array(entity, "members"), "name", step), "type");
}

/* The entity at the path's end, or NULL. */
static VbJson *walk(GHashTable *index, const char *path) {
        g_auto(GStrv) steps = g_strsplit(path, "/", SCHEMA_STEPS_MAX);
        VbJson *entity = g_hash_table_lookup(index, steps[0]);

        for (char **step = steps + 1; entity && *step; step++)
                entity = take_step(index, entity, *step);
        return entity;
}

/* The schema hides the names of types behind numbers; commands and events keep theirs. */
static int parse_names(QemuCapabilities *capabilities, VbJson *schema) {
        for (size_t i = 0; i < json_object_array_length(schema); i++) {
                VbJson *entity = json_object_array_get_idx(schema, i);
                const char *name = qemu_json_string(entity, "name");
                int r = 0;

                if (!name)
                        return -EBADMSG;
                if (is_kind(entity, "command"))
                        r = qemu_capabilities_add(capabilities, QEMU_SET_COMMAND, name);
                else if (is_kind(entity, "event"))
                        r = qemu_capabilities_add(capabilities, QEMU_SET_EVENT, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_capabilities_parse_schema(QemuCapabilities *capabilities, VbJson *result) {
        g_autoptr(GHashTable) index = NULL;
        int r;

        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        r = parse_names(capabilities, result);
        if (r < 0)
                return r;

        index = index_schema(result);
        for (size_t i = 0; i < G_N_ELEMENTS(schema_sets); i++) {
                VbJson *values = qemu_json_array(enter(index, walk(index, schema_sets[i].path)), "values");

                if (!values)
                        continue;
                r = qemu_capabilities_parse_words(capabilities, schema_sets[i].set, values);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(schema_features); i++)
                capabilities->features[schema_features[i].feature] =
                        walk(index, schema_features[i].path) != NULL;
        return 0;
}
