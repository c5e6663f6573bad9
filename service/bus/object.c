/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/object.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "bus/link.h"
#include "bus/managed.h"
#include "bus/names.h"
#include "bus/objects.h"

/* What has been registered with sd-bus for a kind, once, at the first export of one. */
typedef struct ExportedKind {
        const VbObjectKind *kind;
        VbObjects *objects;
        char *prefix; /* "/org/virtbus/Qemu1/domain" */
        GHashTable *by_id; /* id → VbObject, neither owned */
        GPtrArray *slots;
} ExportedKind;

struct VbObjects {
        VbDaemon *daemon;
        sd_bus *bus;
        char *root;
        VbLinks *links;
        sd_bus_slot *manager_slot;
        GHashTable *by_path; /* path → VbObject, neither owned */
        GPtrArray *kinds; /* ExportedKind */
        GPtrArray *root_slots;

        VbObject *first_pending, *last_pending;
        sd_event_source *flush;

        bool live;
        uint64_t generation;
};

/* Registration */

static void free_slot(void *slot) {
        sd_bus_slot_unref(slot);
}

static void exported_kind_free(void *data) {
        ExportedKind *kind = data;

        if (!kind)
                return;
        assert(g_hash_table_size(kind->by_id) == 0);
        g_clear_pointer(&kind->slots, g_ptr_array_unref);
        g_hash_table_unref(kind->by_id);
        g_free(kind->prefix);
        g_free(kind);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExportedKind, exported_kind_free)

static ExportedKind *find_kind(VbObjects *objects, const VbObjectKind *kind) {
        for (guint i = 0; i < objects->kinds->len; i++) {
                ExportedKind *exported = objects->kinds->pdata[i];

                if (exported->kind == kind)
                        return exported;
        }
        return NULL;
}

static int on_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                   sd_bus_error *reterr) {
        ExportedKind *kind = userdata;
        VbObject *object = g_hash_table_lookup(kind->objects->by_path, path);

        if (!object || object->kind != kind->kind)
                return 0;
        *ret_found = object;
        return 1;
}

static int on_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *reterr) {
        ExportedKind *kind = userdata;
        GHashTableIter iterator;
        VbObject *object;
        char **node;

        /* sd-bus frees these with free(), which is what GLib allocates for. */
        *ret_nodes = node = g_new0(char *, g_hash_table_size(kind->by_id) + 1);
        g_hash_table_iter_init(&iterator, kind->by_id);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &object))
                *node++ = g_strdup(object->path);
        return 0;
}

/* With slots, sd-bus's registrations are ours to end; without, they live as long as the connection. */
static sd_bus_slot **next_slot(GPtrArray *slots) {
        if (!slots)
                return NULL;
        g_ptr_array_set_size(slots, (int) slots->len + 1);
        return (sd_bus_slot **) &slots->pdata[slots->len - 1];
}

static int add_kind_vtables(ExportedKind *kind, sd_bus *bus, GPtrArray *slots) {
        int r;

        for (const VbObjectInterface *i = kind->kind->interfaces; i->interface; i++) {
                r = sd_bus_add_fallback_vtable(bus, next_slot(slots), kind->prefix, i->interface->name,
                                               i->interface->vtable, on_find, kind);
                if (r < 0)
                        return r;
        }
        return sd_bus_add_node_enumerator(bus, next_slot(slots), kind->prefix, on_enumerate, kind);
}

static int add_root_vtables(VbObjects *objects, VbObject *root, const VbObjectKind *kind, sd_bus *bus,
                            GPtrArray *slots) {
        for (const VbObjectInterface *i = kind->interfaces; i->interface; i++) {
                int r;

                r = sd_bus_add_object_vtable(bus, next_slot(slots), objects->root, i->interface->name,
                                             i->interface->vtable, root);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int register_kind(VbObjects *objects, const VbObjectKind *kind, ExportedKind **ret) {
        g_autoptr(ExportedKind) exported = g_new0(ExportedKind, 1);
        int r;

        exported->kind = kind;
        exported->objects = objects;
        exported->prefix = g_strdup_printf("%s/%s", objects->root, kind->prefix);
        exported->by_id = g_hash_table_new(g_str_hash, g_str_equal);
        exported->slots = g_ptr_array_new_with_free_func(free_slot);
        r = add_kind_vtables(exported, objects->bus, exported->slots);
        if (r < 0)
                return r;
        *ret = exported;
        g_ptr_array_add(objects->kinds, g_steal_pointer(&exported));
        return 0;
}

int vb_objects_register(VbObjects *objects, sd_bus *bus, VbObjectsRegistered *registered) {
        VbObject *root = g_hash_table_lookup(objects->by_path, objects->root);
        int r;

        if (!registered->root && root) {
                r = sd_bus_add_object_manager(bus, /* ret_slot= */ NULL, objects->root);
                if (r >= 0)
                        r = add_root_vtables(objects, root, root->kind, bus, /* slots= */ NULL);
                if (r < 0)
                        return r;
                registered->root = true;
        }
        for (; registered->n_kinds < objects->kinds->len; registered->n_kinds++) {
                r = add_kind_vtables(objects->kinds->pdata[registered->n_kinds], bus, /* slots= */ NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Announcing */

static int on_flush(sd_event_source *source, void *userdata) {
        vb_objects_flush(userdata);
        return 0;
}

static void add_pending(VbObjects *objects, VbObject *object) {
        int r;

        if (object->pending)
                return;
        object->pending = true;
        object->pending_previous = objects->last_pending;
        object->pending_next = NULL;
        *(objects->last_pending ? &objects->last_pending->pending_next : &objects->first_pending) = object;
        objects->last_pending = object;

        r = sd_event_source_set_enabled(objects->flush, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot plan to announce changes: %m");
}

static void remove_pending(VbObjects *objects, VbObject *object) {
        if (!object->pending)
                return;
        *(object->pending_previous ? &object->pending_previous->pending_next : &objects->first_pending) =
                object->pending_next;
        *(object->pending_next ? &object->pending_next->pending_previous : &objects->last_pending) =
                object->pending_previous;
        object->pending_previous = object->pending_next = NULL;
        object->pending = false;
}

/* To all who listen: on the bus and on links. */
static int send_signal(VbObjects *objects, sd_bus_message *message) {
        int r;

        r = sd_bus_send(objects->bus, message, /* ret_cookie= */ NULL);
        if (objects->links)
                vb_links_signal(objects->links, message);
        return r;
}

static int announce_added(VbObjects *objects, VbObject *object) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = sd_bus_message_new_signal(objects->bus, &message, objects->root, VB_DBUS_OBJECT_MANAGER_INTERFACE,
                                      "InterfacesAdded");
        if (r >= 0)
                r = vb_managed_append(message, object);
        return r < 0 ? r : send_signal(objects, message);
}

static int announce_changes(VbObjects *objects, VbObject *object, const VbBusInterface *interface,
                            uint64_t changed) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = sd_bus_message_new_signal(objects->bus, &message, object->path, VB_DBUS_PROPERTIES_INTERFACE,
                                      "PropertiesChanged");
        if (r >= 0)
                r = sd_bus_message_append_basic(message, 's', interface->name);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (unsigned i = 0; r >= 0 && interface->properties[i].name; i++)
                if (changed & (UINT64_C(1) << i))
                        r = vb_managed_append_property(message, object, &interface->properties[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        if (r >= 0)
                r = sd_bus_message_append(message, "as", 0);
        return r < 0 ? r : send_signal(objects, message);
}

static int announce_removed(VbObjects *objects, VbObject *object) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = sd_bus_message_new_signal(objects->bus, &message, objects->root, VB_DBUS_OBJECT_MANAGER_INTERFACE,
                                      "InterfacesRemoved");
        if (r >= 0)
                r = sd_bus_message_append_basic(message, 'o', object->path);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "s");
        for (const VbObjectInterface *i = object->kind->interfaces; r >= 0 && i->interface; i++)
                r = sd_bus_message_append_basic(message, 's', i->interface->name);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : send_signal(objects, message);
}

static void announce(VbObjects *objects, VbObject *object) {
        uint64_t changed[VB_OBJECT_INTERFACES_MAX];
        bool added = object->added;
        int r = 0;

        memcpy(changed, object->changed, sizeof(changed));
        memset(object->changed, 0, sizeof(object->changed));
        object->added = false;
        objects->generation++;
        if (!objects->live)
                return;

        if (added)
                r = announce_added(objects, object);
        else
                for (unsigned i = 0; object->kind->interfaces[i].interface; i++)
                        if (changed[i] != 0)
                                r = announce_changes(objects, object, object->kind->interfaces[i].interface,
                                                     changed[i]);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot announce changes of %s: %m", object->path);
}

void vb_objects_flush(VbObjects *objects) {
        VbObject *object;

        while ((object = objects->first_pending)) {
                remove_pending(objects, object);
                announce(objects, object);
        }
}

/* Objects */

int vb_object_export(VbObject *object, VbObjects *objects, const VbObjectKind *kind, const char *id) {
        g_autofree char *path = NULL;
        ExportedKind *exported = NULL;
        int r;

        assert(!object->objects);

        path = kind->prefix ? g_strdup_printf("%s/%s/%s", objects->root, kind->prefix, id)
                            : g_strdup(objects->root);
        if (g_hash_table_contains(objects->by_path, path))
                return -EEXIST;

        if (kind->prefix) {
                exported = find_kind(objects, kind);
                r = exported ? 0 : register_kind(objects, kind, &exported);
        } else
                r = add_root_vtables(objects, object, kind, objects->bus, objects->root_slots);
        if (r < 0)
                return r;

        object->objects = objects;
        object->kind = kind;
        object->path = g_steal_pointer(&path);
        object->id = kind->prefix ? strrchr(object->path, '/') + 1 : "";
        object->added = kind->prefix != NULL;
        g_hash_table_insert(objects->by_path, object->path, object);
        if (exported) {
                g_hash_table_insert(exported->by_id, (char *) object->id, object);
                add_pending(objects, object);
        }
        return 0;
}

void vb_object_unexport(VbObject *object) {
        VbObjects *objects = object->objects;
        ExportedKind *exported;
        int r;

        if (!objects)
                return;

        /* The last changes belong before the end: State says why a guest is off. */
        vb_objects_flush(objects);

        g_hash_table_remove(objects->by_path, object->path);
        exported = find_kind(objects, object->kind);
        if (exported)
                g_hash_table_remove(exported->by_id, object->id);
        else
                g_ptr_array_set_size(objects->root_slots, 0);

        objects->generation++;
        if (objects->live && object->kind->prefix) {
                r = announce_removed(objects, object);
                if (r < 0)
                        (void) vb_log_warning_errno(r, "cannot announce the end of %s: %m", object->path);
        }
        g_clear_pointer(&object->path, g_free);
        *object = (VbObject){};
}

void vb_object_changed(VbObject *object, const VbBusInterface *interface, uint64_t properties) {
        if (!object->objects)
                return;
        for (unsigned i = 0; object->kind->interfaces[i].interface; i++)
                if (object->kind->interfaces[i].interface == interface) {
                        object->changed[i] |= properties;
                        add_pending(object->objects, object);
                        return;
                }
        assert(!"the object has this interface");
}

VbSubject vb_object_describe(VbObject *object) {
        VbSubject subject = { .owner = VB_UID_NOBODYS };

        if (object->kind->describe)
                object->kind->describe(object, &subject);
        return subject;
}

const void *vb_object_handlers(const VbObject *object, const VbBusInterface *interface) {
        for (const VbObjectInterface *i = object->kind->interfaces; i->interface; i++)
                if (i->interface == interface)
                        return i->handlers;
        return NULL;
}

int vb_object_new_signal(VbObject *object, const VbBusInterface *interface, const char *member,
                         sd_bus_message **ret) {
        *ret = NULL;
        if (!object->objects || !object->objects->live)
                return 0;
        vb_objects_flush(object->objects);
        object->objects->generation++;
        return sd_bus_message_new_signal(object->objects->bus, ret, object->path, interface->name, member);
}

void vb_object_send_signal(VbObject *object, sd_bus_message *message, int r) {
        if (r >= 0 && message)
                r = send_signal(object->objects, message);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot send a signal from %s: %m", object->path);
}

/* The whole */

VbObjects *vb_objects_free(VbObjects *objects) {
        if (!objects)
                return NULL;
        assert(g_hash_table_size(objects->by_path) == 0);
        sd_event_source_disable_unref(objects->flush);
        g_clear_pointer(&objects->kinds, g_ptr_array_unref);
        g_clear_pointer(&objects->root_slots, g_ptr_array_unref);
        sd_bus_slot_unref(objects->manager_slot);
        g_hash_table_unref(objects->by_path);
        g_free(objects->root);
        g_free(objects);
        return NULL;
}

/* Grows from one start of the daemon to the next, as nobody makes a change every microsecond. */
static uint64_t first_generation(void) {
        return g_get_real_time();
}

int vb_objects_new(VbObjects **ret, VbDaemon *daemon, sd_bus *bus, sd_event *event, const char *root) {
        g_autoptr(VbObjects) objects = g_new0(VbObjects, 1);
        int r;

        objects->daemon = daemon;
        objects->bus = bus;
        objects->root = g_strdup(root);
        objects->by_path = g_hash_table_new(g_str_hash, g_str_equal);
        objects->kinds = g_ptr_array_new_with_free_func(exported_kind_free);
        objects->root_slots = g_ptr_array_new_with_free_func(free_slot);
        objects->generation = first_generation();

        r = sd_bus_add_object_manager(bus, &objects->manager_slot, root);
        if (r < 0)
                return r;
        /* Of the same priority as all else: what has been waiting longer goes first, and its changes are
         * announced together. */
        r = sd_event_add_defer(event, &objects->flush, on_flush, objects);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(objects->flush, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(objects->flush, "announce-changes");

        *ret = g_steal_pointer(&objects);
        return 0;
}

void vb_objects_set_live(VbObjects *objects, bool live) {
        vb_objects_flush(objects);
        objects->live = live;
}

VbObject *vb_objects_find(VbObjects *objects, const VbObjectKind *kind, const char *path) {
        VbObject *object = g_hash_table_lookup(objects->by_path, path);

        return object && (!kind || object->kind == kind) ? object : NULL;
}

VbObject *vb_objects_find_id(VbObjects *objects, const VbObjectKind *kind, const char *id) {
        ExportedKind *exported = find_kind(objects, kind);

        return exported ? g_hash_table_lookup(exported->by_id, id) : NULL;
}

unsigned vb_objects_count(VbObjects *objects, const VbObjectKind *kind) {
        ExportedKind *exported = find_kind(objects, kind);

        return exported ? g_hash_table_size(exported->by_id) : 0;
}

const char *vb_objects_root(VbObjects *objects) {
        return objects->root;
}

void vb_objects_set_links(VbObjects *objects, VbLinks *links) {
        objects->links = links;
}

GHashTable *vb_objects_all(VbObjects *objects) {
        return objects->by_path;
}

uint64_t vb_objects_generation(VbObjects *objects) {
        return objects->generation;
}

VbDaemon *vb_objects_daemon(VbObjects *objects) {
        return objects->daemon;
}
