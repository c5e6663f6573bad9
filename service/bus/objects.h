/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The whole of a daemon's objects; only the daemon makes and ends it. */

#include "bus/object.h"

typedef struct VbLinks VbLinks;

/* root is the root object's path; its ObjectManager is made here. */
VB_MUST_USE int vb_objects_new(VbObjects **ret, VbDaemon *daemon, sd_bus *bus, sd_event *event,
                               const char *root);

/* All objects must have been unexported. */
VbObjects *vb_objects_free(VbObjects *objects);

/* From when the daemon owns its name until it gives it back: changes are announced. */
void vb_objects_set_live(VbObjects *objects, bool live);

/* Where announcements go beside the bus; NULL for nowhere. */
void vb_objects_set_links(VbObjects *objects, VbLinks *links);

/* Tells sd-bus of a link what there is, for what dispatching leaves to it: introspection and errors. Which is seldom, so it is done when it is
 * first needed, and again for kinds that have come since. */
typedef struct VbObjectsRegistered {
        bool root;
        unsigned n_kinds;
} VbObjectsRegistered;
VB_MUST_USE int vb_objects_register(VbObjects *objects, sd_bus *bus, VbObjectsRegistered *registered);

/* Path → VbObject: all that are exported, the root object among them. */
GHashTable *vb_objects_all(VbObjects *objects);

uint64_t vb_objects_generation(VbObjects *objects);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbObjects, vb_objects_free)
