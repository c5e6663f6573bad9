/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetCapabilities, GetDomainCapabilities and GetHypervisorInfo: what the emulators can do. */

#include <string.h>

#include "base/error.h"
#include "qemu/capabilities-xml.h"
#include "qemu/handlers.h"
#include "qemu/question.h"

/* --- GetCapabilities waits for all emulators --- */

typedef struct HostQuestion {
        QemuDriver *driver;
        VbCall *call;
        QemuCapabilitiesXmlRequest *request;
} HostQuestion;

static void host_question_free(HostQuestion *question) {
        (void) g_ptr_array_remove_fast(question->driver->host_questions, question);
        (void) qemu_capabilities_xml_request_free(question->request);
        (void) vb_call_unref(question->call);
        g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostQuestion, host_question_free)

void qemu_host_questions_forget(QemuDriver *driver) {
        while (driver->host_questions->len > 0)
                host_question_free(g_ptr_array_index(driver->host_questions, 0));
}

static void on_host_answer(const char *xml, const sd_bus_error *error, void *userdata) {
        g_autoptr(HostQuestion) question = userdata;

        if (xml)
                (void) vb_hypervisor1_reply_get_capabilities(question->call, xml);
        else
                (void) vb_call_fail(question->call, -sd_bus_error_get_errno(error), error);
}

int qemu_on_get_capabilities(VbCall *call, VbObject *root, const VbHypervisor1GetCapabilitiesArgs *args,
                             sd_bus_error *reterr) {
        g_autoptr(HostQuestion) question = g_new(HostQuestion, 1);
        int r;

        *question = (HostQuestion){ .driver = qemu_driver_of(vb_hypervisor_of(root)), .call = vb_call_ref(call) };
        g_ptr_array_add(question->driver->host_questions, question);
        r = qemu_capabilities_get_host_xml(question->driver->capabilities, on_host_answer, question, &question->request,
                                           reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&question);
        return 0;
}

/* --- The others for one --- */

static int answer_domain_capabilities(VbCall *call, const QemuChoice *choice, const void *args, sd_bus_error *reterr) {
        g_autofree char *xml =
                qemu_domain_capabilities_format(choice->capabilities, choice->arch, choice->machine, choice->accel);

        return vb_hypervisor1_reply_get_domain_capabilities(call, xml);
}

int qemu_on_get_domain_capabilities(VbCall *call, VbObject *root, const VbHypervisor1GetDomainCapabilitiesArgs *args,
                                    sd_bus_error *reterr) {
        const QemuQuestionSpec spec = {
                .query = QEMU_EMULATOR_QUERY(args->options, VB_HYPERVISOR1_GET_DOMAIN_CAPABILITIES_VIRTTYPE_KVM),
                .args = args,
                .answer = answer_domain_capabilities,
        };

        return qemu_question_ask(call, root, &spec, reterr);
}

/* "Skylake-Server-v2" */
static bool is_version(const char *name) {
        const char *suffix = g_strrstr(name, "-v");

        return suffix && suffix[2] != '\0' && suffix[2 + strspn(suffix + 2, "0123456789")] == '\0';
}

/* A definition may name versions, too, but nobody chooses from a list of them; nor what is different on each host, nor "base", which is
 * a CPU without anything. */
static bool is_shown(const QemuCpuDefinition *definition) {
        return definition->migration_safe && !g_str_equal(definition->name, "base") && !is_version(definition->name);
}

static int append_models(sd_bus_message *m, const QemuCpuTable *cpus) {
        const QemuCpuDefinition *definitions;
        size_t n = 0;
        int r;

        definitions = cpus ? qemu_cpu_table_definitions(cpus, &n) : NULL;
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "cpu-models");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (is_shown(&definitions[i]))
                        r = sd_bus_message_append(m, "s", definitions[i].name);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_info(sd_bus_message *m, const QemuChoice *choice) {
        unsigned version = qemu_capabilities_version(choice->capabilities);
        g_autofree char *text =
                g_strdup_printf("%u.%u.%u", version / 1000000, version / 1000 % 1000, version % 1000);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}",                              /* */
                                          "emulator", "s", qemu_capabilities_path(choice->capabilities),   /* */
                                          "version", "s", text,                                            /* */
                                          "package", "s", qemu_capabilities_package(choice->capabilities), /* */
                                          "arch", "s", choice->arch,                                       /* */
                                          "machine", "s", choice->machine->name,                           /* */
                                          "virttype", "s", choice->accel == QEMU_ACCEL_KVM ? "kvm" : "qemu", /* */
                                          "max-vcpus", "u", choice->machine->max_cpus);
        if (r >= 0)
                r = append_models(m, qemu_capabilities_cpus(choice->capabilities, choice->accel));
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

static int answer_info(VbCall *call, const QemuChoice *choice, const void *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = append_info(reply, choice);
        return r >= 0 ? vb_call_send_reply(call, reply) : r;
}

int qemu_on_get_hypervisor_info(VbCall *call, VbObject *root, const VbHypervisor1GetHypervisorInfoArgs *args,
                                sd_bus_error *reterr) {
        const QemuQuestionSpec spec = {
                .query = QEMU_EMULATOR_QUERY(args->options, VB_HYPERVISOR1_GET_HYPERVISOR_INFO_VIRTTYPE_KVM),
                .args = args,
                .answer = answer_info,
        };

        return qemu_question_ask(call, root, &spec, reterr);
}
