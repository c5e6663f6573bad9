/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/registry.h"

#include <glib.h>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

static const VbDriver driver = { .name = "test" };
static VbHypervisor hypervisor = { .driver = &driver };

static VbDomain *add(VbRegistry *registry, const char *name, uid_t owner) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbUuid uuid = vb_uuid_new();
        VbDomain *domain = NULL;

        g_assert_cmpint(vb_domain_new(&domain, &hypervisor, &uuid, name, owner), ==, 0);
        g_assert_cmpint(vb_registry_add(registry, domain, &error), ==, 0);
        return domain;
}

static void test_finding(void) {
        g_autoptr(VbRegistry) registry = vb_registry_new();
        VbDomain *web = add(registry, "web", 1000), *mail = add(registry, "mail", 1000), *found;
        unsigned n = 0;

        g_assert_true(vb_registry_find(registry, &web->uuid) == web);
        g_assert_true(vb_registry_find_name(registry, "mail") == mail);
        g_assert_null(vb_registry_find_name(registry, "Mail"));
        g_assert_null(vb_registry_find_id(registry, 1));
        web->id = 1;
        vb_registry_index_id(registry, web);
        g_assert_true(vb_registry_find_id(registry, 1) == web);
        vb_registry_forget_id(registry, web);
        g_assert_null(vb_registry_find_id(registry, 1));
        web->id = -1;

        for (VbRegistryIter i = vb_registry_iterate(registry); (found = vb_registry_next(&i));)
                n++;
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpuint(vb_registry_count(registry), ==, 2);

        vb_registry_remove(registry, web);
        g_assert_null(vb_registry_find_name(registry, "web"));
        g_assert_cmpuint(vb_registry_count(registry), ==, 1);
}

static void test_taken(void) {
        g_autoptr(VbRegistry) registry = vb_registry_new();
        g_auto(sd_bus_error) name_error = SD_BUS_ERROR_NULL, uuid_error = SD_BUS_ERROR_NULL;
        VbDomain *web = add(registry, "web", 0);
        g_autoptr(VbDomain) same_name = NULL, same_uuid = NULL;
        VbUuid uuid = vb_uuid_new();

        g_assert_cmpint(vb_domain_new(&same_name, &hypervisor, &uuid, "web", 0), ==, 0);
        g_assert_cmpint(vb_registry_add(registry, same_name, &name_error), ==, -EEXIST);
        g_assert_cmpstr(name_error.name, ==, VB_ERROR_EXISTS);
        g_assert_nonnull(strstr(name_error.message, web->uuid_string));

        g_assert_cmpint(vb_domain_new(&same_uuid, &hypervisor, &web->uuid, "mail", 0), ==, 0);
        g_assert_cmpint(vb_registry_add(registry, same_uuid, &uuid_error), ==, -EEXIST);
        g_assert_cmpuint(vb_registry_count(registry), ==, 1);
        g_assert_true(vb_registry_find_name(registry, "web") == web);
}

static void test_renaming(void) {
        g_autoptr(VbRegistry) registry = vb_registry_new();
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *web = add(registry, "web", 0);
        VbUuid other = vb_uuid_new();

        vb_registry_reserve_name(registry, web, "mail");
        g_assert_cmpint(vb_registry_check_name(registry, "mail", &other, &error), ==, -EEXIST);
        g_assert_null(vb_registry_find_name(registry, "mail")); /* not its name yet */
        vb_registry_release_name(registry, web, "mail");
        g_assert_cmpint(vb_registry_check_name(registry, "mail", &other, NULL), ==, 0);

        vb_registry_reserve_name(registry, web, "mail");
        vb_registry_rename(registry, web, "mail");
        g_assert_cmpstr(web->name, ==, "mail");
        g_assert_true(vb_registry_find_name(registry, "mail") == web);
        g_assert_cmpint(vb_registry_check_name(registry, "web", &other, NULL), ==, 0);
}

static void test_owners(void) {
        g_autoptr(VbRegistry) registry = vb_registry_new();
        VbDomain *web = add(registry, "web", 1000);

        add(registry, "mail", 1000);
        add(registry, "print", 0);
        g_assert_cmpuint(vb_registry_count_of(registry, 1000), ==, 2);
        vb_registry_set_owner(registry, web, 1001);
        g_assert_cmpuint(vb_registry_count_of(registry, 1000), ==, 1);
        g_assert_cmpuint(vb_registry_count_of(registry, 1001), ==, 1);
        vb_registry_remove(registry, web);
        g_assert_cmpuint(vb_registry_count_of(registry, 1001), ==, 0);
        g_assert_cmpuint(vb_registry_count_of(registry, 4242), ==, 0);
}

typedef struct Outcome {
        unsigned n;
        int r;
        char *message;
} Outcome;

static void note(int r, const sd_bus_error *error, void *userdata) {
        Outcome *outcome = userdata;

        outcome->n++;
        outcome->r = r;
        outcome->message = g_strdup(error ? error->message : NULL);
}

static void test_one_operation_at_a_time(void) {
        g_autoptr(VbRegistry) registry = vb_registry_new();
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *web = add(registry, "web", 0);
        Outcome first = { 0 };

        g_assert_cmpint(vb_domain_begin(web, "save", note, &first, NULL), ==, 0);
        g_assert_cmpint(vb_domain_begin(web, "start", NULL, NULL, &error), ==, -EBUSY);
        g_assert_cmpstr(error.message, ==, "domain 'web': save is under way");
        vb_domain_finish(web, 0, NULL);
        g_assert_cmpuint(first.n, ==, 1);
        vb_domain_finish(web, 0, NULL); /* a late answer ends nobody else's */
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpint(vb_domain_begin(web, "start", NULL, NULL, NULL), ==, 0);
}

/* Who waits for a domain that goes is told, once. */
static void test_waiting_to_the_end(void) {
        VbRegistry *registry = vb_registry_new();
        VbDomain *web = add(registry, "web", 0);
        Outcome operation = { 0 };

        g_assert_cmpint(vb_domain_begin(web, "save", note, &operation, NULL), ==, 0);
        (void) vb_registry_free(registry);
        g_assert_cmpuint(operation.n, ==, 1);
        g_assert_cmpint(operation.r, ==, -ECANCELED);
        g_assert_nonnull(operation.message);
        g_free(operation.message);
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hypervisor/registry/finding", test_finding);
        g_test_add_func("/hypervisor/registry/taken", test_taken);
        g_test_add_func("/hypervisor/registry/renaming", test_renaming);
        g_test_add_func("/hypervisor/registry/owners", test_owners);
        g_test_add_func("/hypervisor/domain/one-operation-at-a-time", test_one_operation_at_a_time);
        g_test_add_func("/hypervisor/domain/waiting-to-the-end", test_waiting_to_the_end);
        return g_test_run();
}
