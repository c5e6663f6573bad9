/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CompareCPU and BaselineCPU. */

#include "base/error.h"
#include "qemu/cpu-compare.h"
#include "qemu/handlers.h"
#include "qemu/question.h"

static int find_table(const QemuChoice *choice, const QemuCpuTable **ret, sd_bus_error *reterr) {
        const QemuCpuTable *table = qemu_capabilities_cpus(choice->capabilities, choice->accel);

        if (!table || !qemu_cpu_table_host_features(table)[0])
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "architecture '%s': its emulator does not tell what CPUs are made of", choice->arch);
        *ret = table;
        return 0;
}

/* With KVM the best CPU is the processor; without, it is what the translator knows, and the kernel must tell what the processor has. */
static QemuCpuSide *make_processor(const QemuDriver *driver, const QemuChoice *choice, const QemuCpuTable *table) {
        g_autoptr(VbHost) host = NULL;

        if (choice->accel == QEMU_ACCEL_KVM)
                return qemu_cpu_side_of_emulator(table, choice->arch);
        host = vb_host_load_cpu(driver->hypervisor->host_root);
        return qemu_cpu_side_of_processor(table, host);
}

static const QemuDriver *driver_of(VbCall *call) {
        return qemu_driver_of(vb_daemon_userdata(vb_call_daemon(call)));
}

/* --- CompareCPU --- */

static int answer_compare(VbCall *call, const QemuChoice *choice, const void *data, sd_bus_error *reterr) {
        static const char *const words[] = {
                [QEMU_CPU_IDENTICAL] = "identical",
                [QEMU_CPU_SUPERSET] = "superset",
                [QEMU_CPU_INCOMPATIBLE] = "incompatible",
        };
        const VbHypervisor1CompareCpuArgs *args = data;
        g_autoptr(QemuCpuDescription) description = NULL;
        g_autoptr(GPtrArray) lacking = NULL;
        g_autoptr(QemuCpuSide) side = NULL;
        const QemuCpuTable *table;
        QemuCpuRelation relation;
        int r;

        r = qemu_cpu_description_parse(&description, args->xml, args->options.validate, reterr);
        if (r >= 0)
                r = find_table(choice, &table, reterr);
        if (r < 0)
                return r;
        side = args->options.with == VB_HYPERVISOR1_COMPARE_CPU_WITH_EMULATOR ?
                       qemu_cpu_side_of_emulator(table, choice->arch) :
                       make_processor(driver_of(call), choice, table);
        r = qemu_cpu_compare(table, side, description, &relation, &lacking, reterr);
        if (r < 0)
                return r;
        return vb_hypervisor1_reply_compare_cpu(call, words[relation], (const char *const *) lacking->pdata);
}

int qemu_on_compare_cpu(VbCall *call, VbObject *root, const VbHypervisor1CompareCpuArgs *args, sd_bus_error *reterr) {
        const QemuQuestionSpec spec = {
                .query = QEMU_EMULATOR_QUERY(args->options, VB_HYPERVISOR1_COMPARE_CPU_VIRTTYPE_KVM),
                .args = args,
                .learn_models = true,
                .answer = answer_compare,
        };
        g_autoptr(QemuCpuDescription) description = NULL;
        int r;

        /* No emulator is started for what cannot be read. */
        r = qemu_cpu_description_parse(&description, args->xml, args->options.validate, reterr);
        if (r < 0)
                return r;
        return qemu_question_ask(call, root, &spec, reterr);
}

/* --- BaselineCPU --- */

static int parse_all(const VbHypervisor1BaselineCpuArgs *args, GPtrArray *descriptions, sd_bus_error *reterr) {
        for (size_t i = 0; i < args->xmls.n; i++) {
                QemuCpuDescription *description = NULL;
                int r;

                r = qemu_cpu_description_parse(&description, args->xmls.values[i], /* validate= */ false, reterr);
                if (r < 0)
                        return r;
                g_ptr_array_add(descriptions, description);
        }
        if (descriptions->len == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "no CPU was given");
        return 0;
}

static void free_description(gpointer data) {
        (void) qemu_cpu_description_free(data);
}

static int answer_baseline(VbCall *call, const QemuChoice *choice, const void *data, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) descriptions = g_ptr_array_new_with_free_func(free_description);
        const VbHypervisor1BaselineCpuArgs *args = data;
        g_autoptr(QemuCpuSide) limit = NULL;
        g_autofree char *xml = NULL;
        const QemuCpuTable *table;
        int r;

        r = parse_all(args, descriptions, reterr);
        if (r >= 0)
                r = find_table(choice, &table, reterr);
        if (r < 0)
                return r;
        if (args->options.with == VB_HYPERVISOR1_BASELINE_CPU_WITH_EMULATOR)
                limit = qemu_cpu_side_of_emulator(table, choice->arch);
        r = qemu_cpu_baseline(table, (QemuCpuDescription *const *) descriptions->pdata, descriptions->len,
                              &(QemuCpuBaselineOptions){
                                      .limit = limit,
                                      .expand_features = args->options.expand_features,
                                      .migratable = args->options.migratable,
                              },
                              &xml, reterr);
        return r >= 0 ? vb_hypervisor1_reply_baseline_cpu(call, xml) : r;
}

int qemu_on_baseline_cpu(VbCall *call, VbObject *root, const VbHypervisor1BaselineCpuArgs *args, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) descriptions = g_ptr_array_new_with_free_func(free_description);
        const QemuQuestionSpec spec = {
                .query = QEMU_EMULATOR_QUERY(args->options, VB_HYPERVISOR1_BASELINE_CPU_VIRTTYPE_KVM),
                .args = args,
                .learn_models = true,
                .answer = answer_baseline,
        };
        int r;

        r = parse_all(args, descriptions, reterr);
        if (r < 0)
                return r;
        return qemu_question_ask(call, root, &spec, reterr);
}
