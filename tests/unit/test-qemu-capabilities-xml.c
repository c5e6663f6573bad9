/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two formats, as a client reads them, and whether every word in them is one that definitions have. */

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "model/domain.h"
#include "qemu-fixture.h"
#include "qemu/capabilities-xml.h"
#include "qemu/choice.h"
#include "test-util.h"

typedef struct Document {
        xmlDoc *document;
        xmlXPathContext *context;
} Document;

static void document_read(Document *document, const char *xml) {
        document->document = xmlReadMemory(xml, (int) strlen(xml), NULL, NULL, XML_PARSE_NONET);
        g_assert_nonnull(document->document);
        document->context = xmlXPathNewContext(document->document);
}

static void document_done(Document *document) {
        xmlXPathFreeContext(document->context);
        xmlFreeDoc(document->document);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Document, document_done)

static void check(const Document *document, const char *expression, const char *expected) {
        g_autofree char *whole = g_strdup_printf("string(%s)", expression);
        xmlXPathObject *object = xmlXPathEvalExpression(BAD_CAST whole, document->context);

        g_assert_nonnull(object);
        if (g_strcmp0((const char *) object->stringval, expected) != 0)
                g_error("%s: got '%s', expected '%s'", expression, object->stringval, expected);
        xmlXPathFreeObject(object);
}

static void check_count(const Document *document, const char *expression, double expected) {
        g_autofree char *whole = g_strdup_printf("count(%s)", expression);
        xmlXPathObject *object = xmlXPathEvalExpression(BAD_CAST whole, document->context);

        g_assert_nonnull(object);
        if (object->floatval != expected)
                g_error("%s: got %f, expected %f", expression, object->floatval, expected);
        xmlXPathFreeObject(object);
}

/* The domain capabilities' words are those of the model's tables: what a client takes from here, Define
 * understands. */
static void check_words(const Document *document, const char *path, const VbStringTable *table) {
        g_autofree char *whole = g_strdup_printf("%s/value", path);
        xmlXPathObject *object = xmlXPathEvalExpression(BAD_CAST whole, document->context);

        g_assert_nonnull(object);
        g_assert_nonnull(object->nodesetval);
        g_assert_cmpint(object->nodesetval->nodeNr, >, 0);
        for (int i = 0; i < object->nodesetval->nodeNr; i++) {
                xmlChar *word = xmlNodeGetContent(object->nodesetval->nodeTab[i]);

                if (vb_string_table_find(table, (const char *) word) < 0)
                        g_error("%s: '%s' is in no definition", path, word);
                xmlFree(word);
        }
        xmlXPathFreeObject(object);
}

static void test_domain(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        g_autofree char *xml = qemu_domain_capabilities_format(
                capabilities, "x86_64", qemu_capabilities_find_machine(capabilities, "q35"), QEMU_ACCEL_TCG);
        g_auto(Document) document = { 0 };

        document_read(&document, xml);
        check(&document, "/domainCapabilities/path", "/usr/bin/qemu-system-x86_64");
        check(&document, "/domainCapabilities/domain", "qemu");
        check(&document, "/domainCapabilities/machine", "pc-q35-7.2");
        check(&document, "/domainCapabilities/arch", "x86_64");
        check(&document, "/domainCapabilities/vcpu/@max", "288");
        check(&document, "/domainCapabilities/os/@supported", "yes");
        check_count(&document, "//os/enum[@name='firmware']/value[.='bios']", 1);
        check(&document, "//cpu/mode[@name='host-passthrough']/@supported", "no");
        check(&document, "//cpu/mode[@name='maximum']/@supported", "yes");
        check(&document, "//cpu/mode[@name='host-model']/model", "EPYC");
        check(&document, "//cpu/mode[@name='host-model']/model/@fallback", "forbid");
        check(&document, "//cpu/mode[@name='host-model']/vendor", "AMD");
        check(&document, "//cpu/mode[@name='host-model']/feature[@name='la57']/@policy", "require");
        check(&document, "//cpu/mode[@name='host-model']/feature[@name='fxsr_opt']/@policy", "disable");
        check(&document, "//cpu/mode[@name='custom']/model[.='Nehalem']/@usable", "yes");
        check(&document, "//cpu/mode[@name='custom']/model[.='Nehalem']/@vendor", "Intel");
        check(&document, "//cpu/mode[@name='custom']/model[.='EPYC-IBPB']/@usable", "no");
        check_count(&document, "//cpu/mode[@name='custom']/model[.='max' or .='host' or .='base']", 0);
        check_count(&document, "//disk/enum[@name='bus']/value[.='ide']", 0);
        check_count(&document, "//disk/enum[@name='bus']/value[.='virtio']", 1);
        check_count(&document, "//graphics/enum[@name='type']/value[.='spice']", 1);
        check(&document, "//features/hyperv/@supported", "no");
        check(&document, "//features/vmcoreinfo/@supported", "yes");
        check(&document, "//features/gic/@supported", "no");

        check_words(&document, "//os/enum[@name='firmware']", &vb_firmware_table);
        check_words(&document, "//os/loader/enum[@name='type']", &vb_loader_type_table);
        check_words(&document, "//disk/enum[@name='diskDevice']", &vb_disk_device_table);
        check_words(&document, "//disk/enum[@name='bus']", &vb_disk_bus_table);
        check_words(&document, "//disk/enum[@name='model']", &vb_disk_model_table);
        check_words(&document, "//graphics/enum[@name='type']", &vb_graphics_type_table);
        check_words(&document, "//video/enum[@name='modelType']", &vb_video_model_table);
        check_words(&document, "//rng/enum[@name='backendModel']", &vb_rng_backend_table);
        check_words(&document, "//channel/enum[@name='type']", &vb_char_type_table);
}

static void test_old_machine(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        g_autofree char *xml = qemu_domain_capabilities_format(
                capabilities, "i686", qemu_capabilities_find_machine(capabilities, NULL), QEMU_ACCEL_TCG);
        g_auto(Document) document = { 0 };

        document_read(&document, xml);
        check(&document, "/domainCapabilities/machine", "pc-i440fx-7.2");
        check(&document, "/domainCapabilities/arch", "i686");
        check(&document, "/domainCapabilities/vcpu/@max", "255");
        check_count(&document, "//disk/enum[@name='bus']/value[.='ide']", 1);
}

static void test_host(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        QemuEmulator emulator = { .arch = "x86_64",
                                  .word_size = 64,
                                  .path = (char *) "/usr/bin/qemu-system-x86_64" };
        QemuGuestKind guest = { &emulator, capabilities };
        g_autoptr(VbHost) host = vb_host_load("");
        g_autofree char *xml = NULL;
        g_auto(Document) document = { 0 };

        /* What it says of the host is test-model-host's matter; here that it says it. */
        g_free(host->cpu_vendor);
        host->cpu_vendor = g_strdup("GenuineIntel");
        host->cpu_family = 6;
        host->cpu_model = 106;
        host->suspend_mem = true;
        host->suspend_disk = false;
        strcpy(host->uuid, "4c4c4544-0044-3010-8056-b4c04f4d3332");
        xml = qemu_host_capabilities_format(host, &guest, 1, 107, 108);

        document_read(&document, xml);
        check(&document, "/capabilities/host/uuid", "4c4c4544-0044-3010-8056-b4c04f4d3332");
        check(&document, "/capabilities/host/cpu/arch", host->arch);
        check(&document, "/capabilities/host/cpu/vendor", "Intel");
        check(&document, "/capabilities/host/cpu/signature/@model", "106");
        check_count(&document, "/capabilities/host/cpu/topology/@threads", 1);
        check_count(&document, "/capabilities/host/cpu/pages", host->page_sizes->len);
        check_count(&document, "/capabilities/host/power_management/suspend_mem", 1);
        check_count(&document, "/capabilities/host/power_management/suspend_disk", 0);
        check_count(&document, "/capabilities/host/topology/cells/cell", host->cells->len);
        check_count(&document, "//cell[1]/cpus/cpu", ((VbHostCell *) host->cells->pdata[0])->cpus->len);
        check(&document, "//secmodel[model='dac']/baselabel[@type='kvm']", "+107:+108");
        check(&document, "/capabilities/guest/os_type", "hvm");
        check(&document, "/capabilities/guest/arch/@name", "x86_64");
        check(&document, "/capabilities/guest/arch/wordsize", "64");
        check(&document, "/capabilities/guest/arch/emulator", "/usr/bin/qemu-system-x86_64");
        check(&document, "/capabilities/guest/arch/machine[1]",
              "pc-i440fx-7.2"); /* the default comes first */
        check(&document, "/capabilities/guest/arch/machine[.='q35']/@canonical", "pc-q35-7.2");
        check(&document, "/capabilities/guest/arch/machine[.='pc-i440fx-1.7']/@deprecated", "yes");
        check_count(&document, "/capabilities/guest/arch/machine", 8);
        check_count(&document, "/capabilities/guest/arch/domain[@type='qemu']", 1);
        check_count(&document, "/capabilities/guest/arch/domain[@type='kvm']", 0);
        check(&document, "/capabilities/guest/features/acpi/@toggle", "yes");
}

/* A value from outside cannot become markup. */
static void test_escapes(void) {
        g_autoptr(QemuCapabilities) capabilities = qemu_fixture_capabilities();
        QemuEmulator emulator = { .arch = "x86_64", .word_size = 64, .path = (char *) "/usr/bin/<&'\">" };
        QemuGuestKind guest = { &emulator, capabilities };
        g_autoptr(VbHost) host = vb_host_load("");
        g_autofree char *xml = qemu_host_capabilities_format(host, &guest, 1, 0, 0);
        g_auto(Document) document = { 0 };

        document_read(&document, xml);
        check(&document, "/capabilities/guest/arch/emulator", emulator.path);
}

/* --- From a manager --- */

typedef struct Answer {
        bool done;
        char *xml;
        sd_bus_error error;
        QemuCapabilitiesXmlRequest *request;
        QemuChoiceRequest *choosing;
} Answer;

static void on_answer(const char *xml, const sd_bus_error *error, void *userdata) {
        Answer *answer = userdata;

        answer->done = true;
        answer->xml = g_strdup(xml);
        if (error)
                (void) sd_bus_error_copy(&answer->error, error);
        answer->request = qemu_capabilities_xml_request_free(answer->request);
}

static void on_choice(const QemuChoice *choice, const sd_bus_error *error, void *userdata) {
        g_autofree char *xml = choice ? qemu_domain_capabilities_format(choice->capabilities, choice->arch,
                                                                        choice->machine, choice->accel) :
                                        NULL;
        Answer *answer = userdata;

        on_answer(xml, error, answer);
        answer->choosing = qemu_choice_request_free(answer->choosing);
}

static void answer_done(Answer *answer) {
        qemu_capabilities_xml_request_free(answer->request);
        g_free(answer->xml);
        sd_bus_error_free(&answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_done)

static int query_domain(sd_event *event, QemuCapabilitiesManager *manager,
                        const QemuEmulatorQuery *query, Answer *answer) {
        int r;

        r = qemu_choose(manager, query, on_choice, answer, &answer->choosing, &answer->error);
        if (r >= 0)
                TEST_RUN_UNTIL(event, answer->done);
        return sd_bus_error_is_set(&answer->error) ? -sd_bus_error_get_errno(&answer->error) : 0;
}

static void test_real(void) {
        static const struct {
                QemuEmulatorQuery query;
                const char *machine; /* NULL: refused, with these words */
                const char *words;
        } rows[] = {
                { { .arch = "x86_64" }, "pc-i440fx", NULL },
                { { .arch = "x86_64", .machine = "q35", .virttype = "qemu" }, "pc-q35", NULL },
                { { .emulator = "/usr/bin/qemu-system-x86_64" }, "pc-i440fx", NULL },
                { { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "i686" }, "pc-i440fx", NULL },
                { { .arch = "x86_64", .machine = "nonsense" }, NULL, "'nonsense'" },
                { { .arch = "x86_64", .virttype = "kvm" }, NULL, "'kvm'" },
                { { .arch = "x86_64", .virttype = "xen" }, NULL, "must be 'kvm' or 'qemu'" },
                { { .arch = "vax" }, NULL, "'vax'" },
                { { .emulator = "/bin/sh" }, NULL, "/bin/sh" },
                { { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "aarch64" }, NULL, "'aarch64'" },
        };
        sd_event *event = test_event_new();
        QemuCapabilitiesManager *manager = NULL;
        QemuCapabilitiesOptions options = { .uid = (uid_t) -1, .gid = (gid_t) -1, .no_kvm = true };
        g_auto(Answer) host = { 0 };
        g_auto(Document) document = { 0 };

        if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
                g_test_skip("qemu-system-x86_64 is not installed");
                return;
        }
        g_assert_cmpint(qemu_capabilities_manager_new(&manager, event, &options), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(Answer) answer = { 0 };
                g_auto(Document) domain = { 0 };
                int r = query_domain(event, manager, &rows[i].query, &answer);

                if (!rows[i].machine) {
                        if (r != -EINVAL || !strstr(answer.error.message, rows[i].words))
                                g_error("row %zu: %d %s", i, r, answer.error.message ?: answer.xml);
                        continue;
                }
                if (r < 0)
                        g_error("row %zu: %s", i, answer.error.message);
                document_read(&domain, answer.xml);
                check_count(&domain, "/domainCapabilities/devices", 1);
                g_assert_nonnull(strstr(answer.xml, rows[i].machine));
        }

        g_assert_cmpint(qemu_capabilities_get_host_xml(manager, on_answer, &host, &host.request, &host.error),
                        ==, 0);
        TEST_RUN_UNTIL(event, host.done);
        if (!host.xml)
                g_error("%s", host.error.message);
        document_read(&document, host.xml);
        check_count(&document, "/capabilities/guest[arch/@name='x86_64']", 1);

        qemu_capabilities_manager_free(manager);
        sd_event_unref(event);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        g_test_add_func("/qemu/capabilities-xml/domain", test_domain);
        g_test_add_func("/qemu/capabilities-xml/old-machine", test_old_machine);
        g_test_add_func("/qemu/capabilities-xml/host", test_host);
        g_test_add_func("/qemu/capabilities-xml/escapes", test_escapes);
        g_test_add_func("/qemu/capabilities-xml/real", test_real);
        return g_test_run();
}
