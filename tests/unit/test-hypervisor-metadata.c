/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/metadata.h"

#include <glib.h>
#include <string.h>

#include "base/error.h"

static VbDomainDefinition *make(const char *metadata) {
        VbDomainDefinition *definition = NULL;
        g_autofree char *xml = g_strdup_printf("<domain type='qemu'><name>web</name><memory>1024</memory>%s"
                                               "<os><type arch='x86_64'>hvm</type></os></domain>",
                                               metadata);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_domain_definition_parse(&definition, xml, strlen(xml), 0, &error) < 0)
                g_error("%s", error.message);
        return definition;
}

static void set(VbDomainDefinition *definition, const char *uri, const char *key, const char *value) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_metadata_set(definition, VB_METADATA_ELEMENT, uri, key, value, &error) < 0)
                g_error("%s", error.message);
}

static char *get(const VbDomainDefinition *definition, const char *uri) {
        char *value = NULL;

        return vb_metadata_get(definition, VB_METADATA_ELEMENT, uri, &value, NULL) < 0 ? NULL : value;
}

/* Only the blanks between elements are not the application's. */
static char *without_indentation(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++)
                g_strstrip(*line);
        return g_strjoinv("", lines);
}

/* What was set is what is got, whatever is inside; and the definition, written and read again, has it still. */
static void test_round_trip(void) {
        static const char *const values[] = {
                "<a/>",
                "<a>text &amp; more</a>",
                "<a x=\"1\"><b/></a>",
                "<a xmlns:other=\"urn:other\"><other:b/></a>",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                g_autoptr(VbDomainDefinition) definition = make("");
                g_autofree char *xml = NULL, *value = NULL, *flat = NULL;
                VbDomainDefinition *again = NULL;

                set(definition, "urn:app", "app", values[i]);
                xml = vb_domain_definition_format(definition, 0);
                g_assert_cmpint(vb_domain_definition_parse(&again, xml, strlen(xml), 0, NULL), ==, 0);
                value = get(again, "urn:app");
                g_assert_nonnull(value);
                flat = without_indentation(value);
                g_assert_cmpstr(flat, ==, values[i]);
                (void) vb_domain_definition_free(again);
        }
}

static void test_namespaces_are_apart(void) {
        g_autoptr(VbDomainDefinition) definition =
                make("<metadata><one:x xmlns:one='urn:one'>1</one:x><x xmlns='urn:two'>2</x></metadata>");
        g_autofree char *one = get(definition, "urn:one"), *two = get(definition, "urn:two");

        g_assert_cmpstr(one, ==, "<x>1</x>");
        g_assert_cmpstr(two, ==, "<x>2</x>");
        set(definition, "urn:one", "one", "");
        g_assert_null(get(definition, "urn:one"));
        g_free(two);
        two = get(definition, "urn:two");
        g_assert_cmpstr(two, ==, "<x>2</x>");
        set(definition, "urn:two", "two", "");
        g_assert_null(definition->metadata);
}

static void test_texts(void) {
        g_autoptr(VbDomainDefinition) definition = make("");
        g_autofree char *long_title = g_strnfill(5000, 'x'), *value = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(vb_metadata_get(definition, VB_METADATA_TITLE, "", &value, &error), ==, -ENODATA);
        g_assert_cmpstr(error.message, ==, "domain 'web' has no title");
        g_assert_cmpint(vb_metadata_set(definition, VB_METADATA_TITLE, "", "", "The web", NULL), ==, 0);
        g_assert_cmpint(vb_metadata_get(definition, VB_METADATA_TITLE, "", &value, NULL), ==, 0);
        g_assert_cmpstr(value, ==, "The web");
        g_assert_cmpint(vb_metadata_set(definition, VB_METADATA_TITLE, "", "", long_title, NULL), ==, -E2BIG);
        g_assert_cmpstr(definition->title, ==, "The web");
        g_assert_cmpint(vb_metadata_set(definition, VB_METADATA_TITLE, "", "", "", NULL), ==, 0);
        g_assert_null(definition->title);
}

static void test_refused(void) {
        static const struct {
                const char *uri, *key, *value;
                int r;
        } rows[] = {
                { "", "app", "<a/>", -EINVAL },
                { "urn:app", "", "<a/>", -EINVAL },
                { "urn:app", "a b", "<a/>", -EINVAL },
                { "urn:app", "xmlns", "<a/>", -EINVAL },
                { "urn:app", "app", "<a xmlns:app='urn:else'/>", -EINVAL },
                { "urn:app", "app", "text", -EBADMSG },
                { "urn:app", "app", "<a/><b/>", -EBADMSG },
                { "urn:app", "app", "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", -EBADMSG },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(VbDomainDefinition) definition = make("<metadata><k:keep xmlns:k='urn:keep'/></metadata>");
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_autofree char *before = g_strdup(definition->metadata);
                int r = vb_metadata_set(definition, VB_METADATA_ELEMENT, rows[i].uri, rows[i].key, rows[i].value, &error);

                if (r != rows[i].r)
                        g_error("row %zu: %s", i, error.message ?: "accepted");
                g_assert_cmpstr(definition->metadata, ==, before);
        }
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hypervisor/metadata/round-trip", test_round_trip);
        g_test_add_func("/hypervisor/metadata/namespaces-are-apart", test_namespaces_are_apart);
        g_test_add_func("/hypervisor/metadata/texts", test_texts);
        g_test_add_func("/hypervisor/metadata/refused", test_refused);
        return g_test_run();
}
