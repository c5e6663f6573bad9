/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects on the bus. What a daemon manages embeds a VbObject, exports it when it comes to be and unexports
 * it when it goes:
 *
 *     typedef struct Pool { VbObject object; … } Pool;
 *
 *     static Pool *pool_of(VbObject *object) { return vb_container_of(object, Pool, object); }
 *     static const char *get_name(VbObject *object) { return pool_of(object)->name; }
 *     static const VbStoragePool1Handlers handlers = { .get_name = get_name, .start = on_start, … };
 *     const VbObjectKind pool_kind = {
 *             .noun = "pool", .prefix = "pool", .describe = describe,
 *             .interfaces = (const VbObjectInterface[]){ { &vb_storage_pool1_interface, &handlers }, {} },
 *     };
 *
 *     vb_object_export(&pool->object, objects, &pool_kind, id);
 *     pool->state = POOL_ACTIVE;
 *     vb_storage_pool1_changed(&pool->object, VB_STORAGE_POOL1_STATE);
 *     vb_object_unexport(&pool->object);
 *
 * What clients can rely on:
 * - Changes are collected and announced once per turn of the loop; at the latest before the next signal,
 *   removal or reply of a method. So who has a reply has been told before of all that the call changed, in
 *   the order PropertiesChanged or InterfacesAdded, signals, InterfacesRemoved (of jobs, too), reply.
 * - A change carries the values at the time of announcing; what changed twice in one turn is announced once.
 * - Nothing is announced before the daemon owns its name: who sees the name come asks for all anyway. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "bus/interface.h"

typedef struct VbObjectKind VbObjectKind;
typedef struct VbObjects VbObjects;
typedef struct VbTurnQueue VbTurnQueue;

#define VB_OBJECT_INTERFACES_MAX 4

#define VB_UID_NOBODYS ((uid_t) -1)

/* What polkit's rules learn of an object, and whose it is. Strings may be NULL. */
typedef struct VbSubject {
        const char *name;
        const char *uuid;
        uid_t owner; /* VB_UID_NOBODYS: only administrators' */
} VbSubject;

typedef struct VbObjectInterface {
        const VbBusInterface *interface;
        const void *handlers; /* the interface's struct of handlers, generated */
} VbObjectInterface;

struct VbObjectKind {
        const char *noun; /* "domain", for messages */
        const char *prefix; /* the folder below the root: "domain"; NULL: the root object */
        const VbObjectInterface *interfaces; /* ends with an empty one */
        void (*describe)(VbObject *object, VbSubject *ret_subject); /* NULL: nameless and nobody's */
        VbTurnQueue *(*turns)(VbObject *object); /* NULL: its calls never wait for one another */
};

/* Zeroed before the export; its fields are the bus layer's. */
struct VbObject {
        VbObjects *objects; /* NULL while not exported */
        const VbObjectKind *kind;
        char *path;
        const char *id; /* the path's last part */
        uint64_t changed[VB_OBJECT_INTERFACES_MAX];
        bool added; /* not announced yet */
        bool pending; /* in the list of those to announce */
        VbObject *pending_previous, *pending_next;
};

#define vb_container_of(pointer, Type, member) ((Type *) ((char *) (pointer) -offsetof(Type, member)))

/* id is the last part of the path, encoded already (vb_uuid_path_format(), sd_bus_path_encode()); ignored for
 * the root object. The object must have all that its getters need. -EEXIST if the path is taken. */
VB_MUST_USE int vb_object_export(VbObject *object, VbObjects *objects, const VbObjectKind *kind,
                                 const char *id);

/* Announces what is pending, and then that it is gone. No-op if it is not exported. Before the object is
 * freed. */
void vb_object_unexport(VbObject *object);

static inline bool vb_object_is_exported(const VbObject *object) {
        return object->objects;
}

/* "/org/virtbus/Qemu1/domain/_…"; NULL if not exported. */
static inline const char *vb_object_path(const VbObject *object) {
        return object->path;
}

/* Marks properties (bits of the interface's enum) as changed. Used through the generated
 * vb_INTERFACE_changed(). No-op on an object that is not exported. */
void vb_object_changed(VbObject *object, const VbBusInterface *interface, uint64_t properties);

/* Fills in noun-independent facts for polkit and messages. */
VbSubject vb_object_describe(VbObject *object);

/* The handlers for an interface; NULL if the object does not have it. */
const void *vb_object_handlers(const VbObject *object, const VbBusInterface *interface);

/* A signal from the object: announces what is pending first. NULL in *ret where nobody could hear it (not
 * exported, or the name is not owned yet): then there is nothing to fill or send. Used by the generated
 * emitters. */
VB_MUST_USE int vb_object_new_signal(VbObject *object, const VbBusInterface *interface, const char *member,
                                     sd_bus_message **ret);
void vb_object_send_signal(VbObject *object, sd_bus_message *message, int r);

/* The object at a path or id, if it is exported and of this kind (path: NULL for any); else NULL. */
VbObject *vb_objects_find(VbObjects *objects, const VbObjectKind *kind, const char *path);
VbObject *vb_objects_find_id(VbObjects *objects, const VbObjectKind *kind, const char *id);

/* How many of a kind are exported. */
unsigned vb_objects_count(VbObjects *objects, const VbObjectKind *kind);

/* Announces what is pending, now. */
void vb_objects_flush(VbObjects *objects);

/* The root object's path. */
const char *vb_objects_root(VbObjects *objects);

VbDaemon *vb_objects_daemon(VbObjects *objects);
