/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which domains there are. The table by UUID owns them; those by name and by number only point. */

#include "hypervisor/domain.h"

typedef struct VbRegistry VbRegistry;

VbRegistry *vb_registry_new(void);
/* Frees the domains, too. Takes NULL, returns NULL. */
VbRegistry *vb_registry_free(VbRegistry *registry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbRegistry, vb_registry_free)

/* Takes the domain. Exists if its name or UUID is taken; the domain stays the caller's then. */
VB_MUST_USE int vb_registry_add(VbRegistry *registry, VbDomain *domain, sd_bus_error *reterr);

/* Frees the domain. */
void vb_registry_remove(VbRegistry *registry, VbDomain *domain);

/* NULL if there is none. Also finds domains that are not on the bus yet, as their definition is still on its way to the disk. */
VbDomain *vb_registry_find(const VbRegistry *registry, const VbUuid *uuid);
VbDomain *vb_registry_find_name(const VbRegistry *registry, const char *name);
VbDomain *vb_registry_find_id(const VbRegistry *registry, int id);

/* Exists if another domain has the name, or keeps it for a renaming. */
VB_MUST_USE int vb_registry_check_name(const VbRegistry *registry, const char *name, const VbUuid *uuid,
                                       sd_bus_error *reterr);

/* A name that a domain is about to have: nobody else gets it. */
void vb_registry_reserve_name(VbRegistry *registry, VbDomain *domain, const char *name);
void vb_registry_release_name(VbRegistry *registry, VbDomain *domain, const char *name);
/* The domain gets a name that was reserved for it, and gives up its old one. */
void vb_registry_rename(VbRegistry *registry, VbDomain *domain, const char *name);

/* Gives the domain to another user. */
void vb_registry_set_owner(VbRegistry *registry, VbDomain *domain, uid_t owner);

/* After domain->id was set, and before it is unset. */
void vb_registry_index_id(VbRegistry *registry, VbDomain *domain);
void vb_registry_forget_id(VbRegistry *registry, VbDomain *domain);

unsigned vb_registry_count(const VbRegistry *registry);
unsigned vb_registry_count_of(const VbRegistry *registry, uid_t owner);

/* For a walk: for (VbRegistryIter i = vb_registry_iterate(registry); (domain = vb_registry_next(&i));). Nothing may be added or removed
 * meanwhile. */
typedef struct VbRegistryIter {
        GHashTableIter iter;
} VbRegistryIter;
VbRegistryIter vb_registry_iterate(const VbRegistry *registry);
VbDomain *vb_registry_next(VbRegistryIter *iter);
