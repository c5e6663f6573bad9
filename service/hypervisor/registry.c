/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/registry.h"

#include <assert.h>

#include "base/error.h"
#include "interfaces/domain1.h"

struct VbRegistry {
        GHashTable *by_uuid;  /* VbUuid of the domain → VbDomain, owned */
        GHashTable *by_name;  /* own copy → VbDomain; a domain that is being renamed has two */
        GHashTable *by_id;    /* id → VbDomain */
        GHashTable *by_owner; /* uid → how many */
};

static void free_domain(void *domain) {
        (void) vb_domain_free(domain);
}

VbRegistry *vb_registry_new(void) {
        VbRegistry *registry = g_new(VbRegistry, 1);

        *registry = (VbRegistry){
                .by_uuid = g_hash_table_new_full(vb_uuid_hash, vb_uuid_equal, NULL, free_domain),
                .by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .by_id = g_hash_table_new(g_direct_hash, g_direct_equal),
                .by_owner = g_hash_table_new(g_direct_hash, g_direct_equal),
        };
        return registry;
}

VbRegistry *vb_registry_free(VbRegistry *registry) {
        if (!registry)
                return NULL;

        g_hash_table_destroy(registry->by_id);
        g_hash_table_destroy(registry->by_name);
        g_hash_table_destroy(registry->by_uuid);
        g_hash_table_destroy(registry->by_owner);
        g_free(registry);
        return NULL;
}

static void count_owner(VbRegistry *registry, uid_t owner, int difference) {
        void *key = GUINT_TO_POINTER(owner);
        int n = GPOINTER_TO_INT(g_hash_table_lookup(registry->by_owner, key)) + difference;

        if (n > 0)
                g_hash_table_insert(registry->by_owner, key, GINT_TO_POINTER(n));
        else
                g_hash_table_remove(registry->by_owner, key);
}

int vb_registry_add(VbRegistry *registry, VbDomain *domain, sd_bus_error *reterr) {
        int r;

        r = vb_registry_check_name(registry, domain->name, &domain->uuid, reterr);
        if (r < 0)
                return r;
        if (vb_registry_find(registry, &domain->uuid))
                return sd_bus_error_setf(reterr, VB_ERROR_EXISTS, "domain '%s': UUID %s belongs to a domain already",
                                         domain->name, domain->uuid_string);

        g_hash_table_insert(registry->by_uuid, &domain->uuid, domain);
        g_hash_table_insert(registry->by_name, g_strdup(domain->name), domain);
        count_owner(registry, domain->owner, 1);
        return 0;
}

void vb_registry_remove(VbRegistry *registry, VbDomain *domain) {
        vb_registry_forget_id(registry, domain);
        g_hash_table_remove(registry->by_name, domain->name);
        count_owner(registry, domain->owner, -1);
        g_hash_table_remove(registry->by_uuid, &domain->uuid);
}

VbDomain *vb_registry_find(const VbRegistry *registry, const VbUuid *uuid) {
        return g_hash_table_lookup(registry->by_uuid, uuid);
}

VbDomain *vb_registry_find_name(const VbRegistry *registry, const char *name) {
        VbDomain *domain = g_hash_table_lookup(registry->by_name, name);

        /* A reserved name is not the domain's yet. */
        return domain && g_str_equal(domain->name, name) ? domain : NULL;
}

VbDomain *vb_registry_find_id(const VbRegistry *registry, int id) {
        return g_hash_table_lookup(registry->by_id, GINT_TO_POINTER(id));
}

int vb_registry_check_name(const VbRegistry *registry, const char *name, const VbUuid *uuid, sd_bus_error *reterr) {
        VbDomain *domain = g_hash_table_lookup(registry->by_name, name);

        if (!domain || vb_uuid_equal(&domain->uuid, uuid))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_EXISTS, "domain '%s': the name belongs to the domain with UUID %s", name,
                                 domain->uuid_string);
}

void vb_registry_reserve_name(VbRegistry *registry, VbDomain *domain, const char *name) {
        g_hash_table_insert(registry->by_name, g_strdup(name), domain);
}

void vb_registry_release_name(VbRegistry *registry, VbDomain *domain, const char *name) {
        if (!g_str_equal(domain->name, name))
                g_hash_table_remove(registry->by_name, name);
}

void vb_registry_rename(VbRegistry *registry, VbDomain *domain, const char *name) {
        assert(g_hash_table_lookup(registry->by_name, name) == domain);

        g_hash_table_remove(registry->by_name, domain->name);
        g_free(domain->name);
        domain->name = g_strdup(name);
}

void vb_registry_set_owner(VbRegistry *registry, VbDomain *domain, uid_t owner) {
        count_owner(registry, domain->owner, -1);
        domain->owner = owner;
        count_owner(registry, domain->owner, 1);
        vb_domain1_changed(&domain->object, VB_DOMAIN1_OWNER);
}

void vb_registry_index_id(VbRegistry *registry, VbDomain *domain) {
        g_hash_table_insert(registry->by_id, GINT_TO_POINTER(domain->id), domain);
}

void vb_registry_forget_id(VbRegistry *registry, VbDomain *domain) {
        if (domain->id >= 0)
                g_hash_table_remove(registry->by_id, GINT_TO_POINTER(domain->id));
}

unsigned vb_registry_count(const VbRegistry *registry) {
        return g_hash_table_size(registry->by_uuid);
}

unsigned vb_registry_count_of(const VbRegistry *registry, uid_t owner) {
        return GPOINTER_TO_UINT(g_hash_table_lookup(registry->by_owner, GUINT_TO_POINTER(owner)));
}

VbRegistryIter vb_registry_iterate(const VbRegistry *registry) {
        VbRegistryIter iter;

        g_hash_table_iter_init(&iter.iter, registry->by_uuid);
        return iter;
}

VbDomain *vb_registry_next(VbRegistryIter *iter) {
        void *domain;

        return g_hash_table_iter_next(&iter->iter, NULL, &domain) ? domain : NULL;
}
