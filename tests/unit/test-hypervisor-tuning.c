/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/tuning.h"

#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/disk-tuning.h"
#include "model/vcpus.h"

static VbDomainDefinition *make(const char *more) {
        VbDomainDefinition *definition = NULL;
        g_autofree char *xml = g_strdup_printf(
                "<domain type='qemu'><name>web</name><memory>65536</memory><vcpu>4</vcpu>%s"
                "<os><type arch='x86_64'>hvm</type></os><devices>"
                "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk>"
                "<disk type='file'><source file='/b'/><target dev='vdb' bus='virtio'/></disk></devices></domain>",
                more);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_domain_definition_parse(&definition, xml, strlen(xml), 0, &error) < 0)
                g_error("%s", error.message);
        return definition;
}

#define ASSERT_REFUSED(call)                                                    \
        do {                                                                    \
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;                 \
                                                                                \
                g_assert_cmpint(call, <, 0);                                    \
                g_assert_cmpstr(error.name, ==, VB_ERROR_INVALID_ARGUMENT);     \
        } while (0)

static void test_memory(void) {
        g_autoptr(VbDomainDefinition) definition = make("");

        /* Up to whole KiB, also at the end of all numbers. */
        g_assert_cmpint(vb_tuning_set_memory(definition, 1025, false, NULL), ==, 0);
        g_assert_cmpuint(definition->current_memory, ==, 2);
        g_assert_cmpint(vb_tuning_set_memory(definition, UINT64_MAX, true, NULL), ==, 0);
        g_assert_cmpuint(definition->memory, ==, UINT64_MAX / 1024 + 1);
        g_assert_cmpint(vb_tuning_set_memory(definition, 1024, true, NULL), ==, 0);
        g_assert_cmpuint(definition->current_memory, ==, 1);
        ASSERT_REFUSED(vb_tuning_set_memory(definition, 0, false, &error));
        ASSERT_REFUSED(vb_tuning_set_memory(definition, 1025, false, &error));
}

static void test_pins(void) {
        g_autoptr(VbDomainDefinition) definition = make("<cputune><vcpupin vcpu='3' cpuset='7'/></cputune>");

        g_assert_cmpint(vb_tuning_pin_vcpu(definition, 1, "2,0-1", NULL), ==, 0);
        g_assert_cmpint(vb_tuning_pin_vcpu(definition, 0, "5", NULL), ==, 0);
        g_assert_cmpint(vb_tuning_pin_vcpu(definition, 1, "4", NULL), ==, 0);
        g_assert_cmpuint(definition->cputune->vcpupins.n, ==, 3);
        for (unsigned i = 1; i < 3; i++)
                g_assert_cmpuint(definition->cputune->vcpupins.items[i - 1]->vcpu.value, <, definition->cputune->vcpupins.items[i]->vcpu.value);
        g_assert_cmpstr(vb_tuning_vcpu_cpus(definition, 1), ==, "4");
        g_assert_null(vb_tuning_vcpu_cpus(definition, 2));

        /* Those that can be no more take their pins along, and what says nothing any more is gone. */
        g_assert_cmpint(vb_tuning_set_vcpus(definition, 1, &(VbVcpusChange){ .maximum = true }, NULL), ==, 0);
        g_assert_cmpuint(definition->cputune->vcpupins.n, ==, 1);
        g_assert_cmpint(vb_tuning_pin_vcpu(definition, 0, "", NULL), ==, 0);
        g_assert_null(definition->cputune);
        ASSERT_REFUSED(vb_tuning_pin_vcpu(definition, 1, "0", &error));
        ASSERT_REFUSED(vb_tuning_pin_emulator(definition, "0-", &error));
        ASSERT_REFUSED(vb_tuning_pin_emulator(definition, "4294967296", &error));
}

static VbDomainDefinition *make_with_vcpus(uint32_t n) {
        VbDomainDefinition *definition = make("");

        vb_vcpus_set_maximum(definition, n);
        definition->vcpus_current = (VbOptUint){};
        return definition;
}

/* "11100 3" is what is there, by number, and how many of them stay. */
static char *vcpus(const VbDomainDefinition *definition) {
        GString *text = g_string_new(NULL);

        for (uint32_t i = 0; i < definition->vcpus; i++)
                g_string_append_c(text, vb_vcpu_is_enabled(definition, i) ? '1' : '0');
        g_string_append_printf(text, " %u", vb_vcpus_count_fixed(definition));
        return g_string_free(text, FALSE);
}

static void test_vcpus(void) {
        static const struct {
                uint32_t n;       /* SetVCPUs, or */
                const char *which; /* EnableVCPUs: "+3" */
                VbVcpusChange change;
                const char *then; /* NULL: refused */
        } steps[] = {
                { .n = 3, .then = "11100 3" },
                { .n = 4, .change = { .live = true }, .then = "11110 3" },
                { .which = "+4", .change = { .live = true }, .then = "11111 3" },
                { .which = "+4", .change = { .live = true } },
                { .which = "-3", .change = { .live = true }, .then = "11101 3" },
                { .which = "-2", .change = { .live = true } },
                { .n = 2, .change = { .live = true } },
                { .n = 3, .change = { .live = true }, .then = "11100 3" },
                { .n = 2, .then = "11000 2" },
                { .which = "-0" },
                { .which = "+5" },
                { .which = "+" },
                { .which = "+2,4", .then = "11101 2" },
                { .n = 1, .change = { .live = true } },
                { .n = 5, .change = { .hotpluggable = true }, .then = "11111 2" },
                { .n = 7, .change = { .maximum = true }, .then = "1111100 2" },
                { .n = 1, .change = { .maximum = true }, .then = "1 1" },
        };
        g_autoptr(VbDomainDefinition) definition = make_with_vcpus(5);

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                g_autoptr(VbDomainDefinition) tried = vb_domain_definition_copy(definition);
                g_autofree char *now = NULL;
                int r;

                r = steps[i].which ? vb_tuning_enable_vcpus(tried, steps[i].which + 1, steps[i].which[0] == '+', steps[i].change.live, NULL) :
                                     vb_tuning_set_vcpus(tried, steps[i].n, &steps[i].change, NULL);
                g_test_message("step %zu: %d", i, r);
                g_assert_cmpint(r >= 0, ==, steps[i].then != NULL);
                if (r < 0)
                        continue;
                now = vcpus(tried);
                g_assert_cmpstr(now, ==, steps[i].then);
                g_assert_cmpint(vb_domain_definition_check(tried, NULL), ==, 0);
                (void) vb_domain_definition_free(definition);
                definition = g_steal_pointer(&tried);
        }
}

/* What the last change would leave between others. */
static void test_vcpus_that_stay_are_the_first(void) {
        g_autoptr(VbDomainDefinition) definition = make_with_vcpus(3);

        g_assert_cmpint(vb_tuning_enable_vcpus(definition, "1", false, false, NULL), ==, 0);
        g_assert_cmpint(vb_domain_definition_check(definition, NULL), <, 0);
}

static void test_limits(void) {
        g_autoptr(VbDomainDefinition) definition = make("<memtune><soft_limit>9</soft_limit></memtune>");
        VbDomain1SetMemoryTuningArgs args = { .values = { .has_hard_limit = true, .hard_limit = UINT64_MAX } };

        g_assert_cmpint(vb_tuning_set_limits(definition, &args, NULL), ==, 0);
        g_assert_cmpuint(definition->memtune->hard_limit, ==, UINT64_MAX / 1024 + 1);
        g_assert_cmpuint(definition->memtune->soft_limit, ==, 9);
        args.values.has_swap_hard_limit = true;
        args.values.swap_hard_limit = 1024;
        ASSERT_REFUSED(vb_tuning_set_limits(definition, &args, &error));
        args = (VbDomain1SetMemoryTuningArgs){ 0 };
        ASSERT_REFUSED(vb_tuning_set_limits(definition, &args, &error));
}

static void test_disk_groups(void) {
        g_autoptr(VbDomainDefinition) definition = make("");
        VbDomain1SetDiskTuningArgs args = {
                .disk = "vda",
                .values = { .has_total_iops_sec = true, .total_iops_sec = 100, .has_group = true, .group = "pair" },
        };

        g_assert_cmpint(vb_disk_tuning_set(definition, &args, NULL), ==, 0);
        args = (VbDomain1SetDiskTuningArgs){ .disk = "/b", .values = { .has_group = true, .group = "pair" } };
        g_assert_cmpint(vb_disk_tuning_set(definition, &args, NULL), ==, 1);
        g_assert_cmpuint(definition->disks.items[1]->iotune->total_iops_sec, ==, 100);
        args = (VbDomain1SetDiskTuningArgs){ .disk = "vdb", .values = { .has_read_iops_sec = true, .read_iops_sec = 7 } };
        g_assert_cmpint(vb_disk_tuning_set(definition, &args, NULL), ==, 1);
        g_assert_cmpuint(definition->disks.items[0]->iotune->read_iops_sec, ==, 7);
        g_assert_cmpuint(definition->disks.items[0]->iotune->total_iops_sec, ==, 0);
        g_assert_cmpint(vb_domain_definition_check(definition, NULL), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hypervisor/tuning/memory", test_memory);
        g_test_add_func("/hypervisor/tuning/pins", test_pins);
        g_test_add_func("/hypervisor/tuning/vcpus", test_vcpus);
        g_test_add_func("/hypervisor/tuning/vcpus-that-stay", test_vcpus_that_stay_are_the_first);
        g_test_add_func("/hypervisor/tuning/limits", test_limits);
        g_test_add_func("/hypervisor/tuning/disk-groups", test_disk_groups);
        return g_test_run();
}
