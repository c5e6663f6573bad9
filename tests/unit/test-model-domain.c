/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions as whole files: what is made of them, and that it stays so. See domain-xml/README.md. */

#include <stdio.h>

#include "base/error.h"
#include "domain-host.h"
#include "model/domain.h"
#include "model/reference.h"
#include "model/tables.h"
#include "test-util.h"

static char *corpus_path(const char *folder, const char *name) {
        return g_build_filename(g_getenv("VIRTBUS_TEST_FIXTURES"), "..", "domain-xml", folder, name, NULL);
}

static char *read_file(const char *folder, const char *name) {
        g_autofree char *path = corpus_path(folder, name), *text = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &text, NULL, &error))
                g_error("%s", error->message);
        return g_steal_pointer(&text);
}

/* Fails with the first line that differs. */
static void assert_same(const char *text, const char *expected) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1), wanted = g_strsplit(expected, "\n", -1);

        for (size_t i = 0; lines[i] || wanted[i]; i++)
                if (g_strcmp0(lines[i], wanted[i]) != 0)
                        g_error("line %zu is \"%s\", expected was \"%s\"", i + 1, lines[i] ?: "",
                                wanted[i] ?: "");
}

static VbDomainDefinition *parse(const char *xml, VbDomainParseFlags flags) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_domain_definition_parse(&definition, xml, strlen(xml), flags, &error) < 0)
                g_error("%s", error.message);
        return g_steal_pointer(&definition);
}

static VbDomainDefinition *parse_complete(const char *xml, VbDomainParseFlags flags) {
        g_autoptr(VbDomainDefinition) definition = parse(xml, flags);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_domain_definition_complete(definition, &test_host, &error) < 0)
                g_error("%s", error.message);
        return g_steal_pointer(&definition);
}

#define INACTIVE (VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE)

/* The result is what libvirt would show; given again, it does not change; a copy says the same. */
static void test_good(const void *data) {
        g_autofree char *input = read_file("good", data), *expected = read_file("expected", data),
                        *output = NULL, *again = NULL, *copied = NULL;
        g_autoptr(VbDomainDefinition) definition = parse_complete(input, 0), second = NULL, copy = NULL;

        output = vb_domain_definition_format(definition, INACTIVE);
        assert_same(output, expected);

        second = parse_complete(output, VB_DOMAIN_PARSE_PRIVATE);
        again = vb_domain_definition_format(second, INACTIVE);
        assert_same(again, expected);

        copy = vb_domain_definition_copy(definition);
        copied = vb_domain_definition_format(copy, INACTIVE);
        assert_same(copied, expected);
}

/* What only a running domain has is kept in live definitions, and only there. */
static void test_live(const void *data) {
        g_autofree char *input = read_file("good", data), *expected = read_file("expected", data), *live = NULL,
                        *again = NULL, *inactive = NULL;
        g_autoptr(VbDomainDefinition) definition = parse_complete(input, 0), second = NULL;

        definition->id = (VbOptInt) VB_OPT(7);
        vb_domain_definition_assign_aliases(definition);
        live = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_SECURE);
        g_assert_nonnull(strstr(live, " id='7'"));
        g_assert_nonnull(strstr(live, "<alias name='"));

        second = parse(live, VB_DOMAIN_PARSE_LIVE);
        again = vb_domain_definition_format(second, VB_DOMAIN_FORMAT_SECURE);
        assert_same(again, live);

        inactive = vb_domain_definition_format(definition, INACTIVE);
        assert_same(inactive, expected);
}

/* What libvirt says of a running domain is read and written without a change. */
static void test_running(void) {
        g_autofree char *input = read_file("live", "running.xml"), *output = NULL;
        g_autoptr(VbDomainDefinition) definition = parse(input, VB_DOMAIN_PARSE_LIVE);

        output = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_SECURE);
        assert_same(output, input);
        g_assert_cmpint(definition->id.value, ==, 2);
        g_assert_cmpstr(definition->disks.items[0]->backing->path, ==, "/srv/base.qcow2");
        g_assert_true(definition->disks.items[0]->backing->backing->type == VB_DISK_TYPE_ABSENT);
}

/* Whatever is cut off: an error with its line, or (where nothing is missing) a definition; never a crash or
 * leak. */
static void test_cut(const void *data) {
        g_autofree char *input = read_file("expected", data);
        size_t length = strlen(input);

        for (size_t i = 0; i < length - 1; i += 97) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_autoptr(VbDomainDefinition) definition = NULL;

                g_assert_cmpint(vb_domain_definition_parse(&definition, input, i, 0, &error), <, 0);
                g_assert_true(g_str_has_prefix(error.message, "line "));
        }
}

static void add_corpus(void) {
        g_autofree char *path = corpus_path("good", "");
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        const char *name;
        unsigned n = 0;

        g_assert_nonnull(folder);
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *good = g_strdup_printf("/model/domain/good/%s", name),
                                *live = g_strdup_printf("/model/domain/live/%s", name),
                                *cut = g_strdup_printf("/model/domain/cut/%s", name);

                g_test_add_data_func_full(good, g_strdup(name), test_good, g_free);
                g_test_add_data_func_full(live, g_strdup(name), test_live, g_free);
                g_test_add_data_func_full(cut, g_strdup(name), test_cut, g_free);
                n++;
        }
        g_assert_cmpuint(n, >, 90);
}

/* Secrets are shown only when asked for. */
static void test_secret(void) {
        g_autofree char *input = read_file("good", "vnc-q35.xml"), *plain = NULL, *secure = NULL;
        g_autoptr(VbDomainDefinition) definition = parse_complete(input, 0);

        plain = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_INACTIVE);
        g_assert_null(strstr(plain, "passwd"));
        secure = vb_domain_definition_format(definition, INACTIVE);
        g_assert_nonnull(strstr(secure, " passwd='secret'"));
}

/* The daemon's own elements are neither taken from strangers nor shown to them. */
static void test_private(void) {
        g_autofree char *input = read_file("good", "minimal-pc.xml"), *own = NULL, *public = NULL;
        g_autoptr(VbDomainDefinition) definition = parse_complete(input, 0), trusted = NULL, untrusted = NULL;

        definition->owner = (VbOptUint) VB_OPT(1000);
        own = vb_domain_definition_format(definition, INACTIVE | VB_DOMAIN_FORMAT_PRIVATE);
        public = vb_domain_definition_format(definition, INACTIVE);
        g_assert_nonnull(strstr(own, "<virtbus:owner uid='1000'/>"));
        g_assert_null(strstr(public, "virtbus"));

        trusted = parse(own, VB_DOMAIN_PARSE_PRIVATE);
        g_assert_true(trusted->owner.set);
        g_assert_cmpuint(trusted->owner.value, ==, 1000);
        untrusted = parse(own, 0);
        g_assert_false(untrusted->owner.set);
}

/* UUID and MACs come into being once. */
static void test_identity(void) {
        static const char xml[] =
                "<domain type='qemu'><name>a</name><memory>65536</memory><os><type>hvm</type></os>"
                "<devices><interface type='user'/><interface type='user'/></devices></domain>";
        g_autoptr(VbDomainDefinition) first = parse_complete(xml, 0), second = parse_complete(xml, 0);
        const uint8_t *mac = first->interfaces.items[0]->mac.bytes;

        g_assert_false(sd_id128_is_null(first->uuid));
        g_assert_false(sd_id128_equal(first->uuid, second->uuid));
        g_assert_true(mac[0] == 0x52 && mac[1] == 0x54 && mac[2] == 0x00);
        g_assert_cmpint(memcmp(mac, first->interfaces.items[1]->mac.bytes, 6), !=, 0);
}

static void test_tables(void) {
        vb_xml_table_verify(&vb_domain_table);
}

/* docs/domain-xml.md is what the tables say; if this fails, run "ninja -C build domain-xml-reference". */
static void test_reference(void) {
        g_autofree char *file = read_file("../../../docs", "domain-xml.md"), *reference = vb_domain_reference();

        assert_same(file, reference);
}

/* What thousands of definitions cost. A limit far above the usual, which only a mistake of an order reaches. */
static void test_speed(void) {
        g_autofree char *input = read_file("expected", "pci-many-q35.xml");
        uint64_t start = test_cpu_usec(), each;

        for (int i = 0; i < 200; i++) {
                g_autoptr(VbDomainDefinition) definition = parse(input, 0);
                g_autofree char *output = vb_domain_definition_format(definition, INACTIVE);

                g_assert_nonnull(output);
        }
        each = (test_cpu_usec() - start) / 200;
        g_test_message("reading, checking and writing 9 KiB: %" G_GUINT64_FORMAT " us", each);
        g_assert_cmpuint(each, <, 20000);
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/model/domain/tables", test_tables);
        g_test_add_func("/model/domain/secret", test_secret);
        g_test_add_func("/model/domain/private", test_private);
        g_test_add_func("/model/domain/identity", test_identity);
        g_test_add_func("/model/domain/running", test_running);
        g_test_add_func("/model/domain/reference", test_reference);
        g_test_add_func("/model/domain/speed", test_speed);
        add_corpus();
        return g_test_run();
}
