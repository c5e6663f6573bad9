/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host gives the domain: <cputune>, <memtune>, <blkiotune>, <numatune>. */

#include <stdlib.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_vcpu_placement, VbVcpuPlacement, VB_VCPU_PLACEMENT_MAX,
                [VB_VCPU_PLACEMENT_STATIC] = "static")

VB_STRING_TABLE(vb_numa_mode, VbNumaMode, VB_NUMA_MODE_MAX,
                [VB_NUMA_MODE_STRICT] = "strict",
                [VB_NUMA_MODE_PREFERRED] = "preferred",
                [VB_NUMA_MODE_INTERLEAVE] = "interleave",
                [VB_NUMA_MODE_RESTRICTIVE] = "restrictive")

/* Sets of CPUs: "0-3,^2,7" is read, and written as "0-1,3,7". */

#define CPUS_MAX 4096

typedef struct CpuSet {
        uint8_t is_in[CPUS_MAX];
} CpuSet;

static bool parse_cpu(const char **text, unsigned *ret) {
        unsigned number = 0;

        if (!g_ascii_isdigit(**text))
                return false;
        for (; g_ascii_isdigit(**text) && number < CPUS_MAX; (*text)++)
                number = number * 10 + (unsigned) (**text - '0');
        *ret = number;
        return number < CPUS_MAX;
}

static bool parse_range(const char **text, CpuSet *set) {
        bool out = **text == '^';
        unsigned first, last;

        if (out)
                (*text)++;
        if (!parse_cpu(text, &first))
                return false;
        last = first;
        if (**text == '-' && !out) {
                (*text)++;
                if (!parse_cpu(text, &last) || last < first)
                        return false;
        }
        for (unsigned cpu = first; cpu <= last; cpu++)
                set->is_in[cpu] = !out;
        return true;
}

static char *format_set(const CpuSet *set) {
        GString *out = g_string_new(NULL);

        for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
                unsigned first = cpu;

                if (!set->is_in[cpu])
                        continue;
                while (cpu + 1 < CPUS_MAX && set->is_in[cpu + 1])
                        cpu++;
                g_string_append_printf(out, "%s%u", out->len > 0 ? "," : "", first);
                if (cpu > first)
                        g_string_append_printf(out, "-%u", cpu);
        }
        return g_string_free(out, FALSE);
}

char *vb_cpuset_normalize(const char *text) {
        g_autofree CpuSet *set = g_new0(CpuSet, 1);
        g_autofree char *shortest = NULL;
        const char *rest = text;
        bool good;

        do {
                while (g_ascii_isspace(*rest))
                        rest++;
                good = parse_range(&rest, set);
                while (g_ascii_isspace(*rest))
                        rest++;
        } while (good && *rest++ == ',');
        if (!good || rest[-1] != '\0')
                return NULL;

        shortest = format_set(set);
        return shortest[0] == '\0' ? NULL : g_steal_pointer(&shortest);
}

static int cpuset_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        char *shortest = vb_cpuset_normalize(text);

        if (!shortest) {
                *ret_why = g_strdup("not a set of CPUs like 0-3,^2,7");
                return -EINVAL;
        }
        g_free(*(char **) field);
        *(char **) field = shortest;
        return 0;
}

const VbXmlType vb_xml_type_cpuset = { "set of CPUs like `0-3,^2,7`", sizeof(char *),       cpuset_parse,
                                       vb_xml_string_is_set,          vb_xml_string_format, true };

/* <cputune> */

#define C(field) VB_XML_FIELD(VbCputune, field)
#define PERIOD VB_XML_UINT64, VB_XML_RANGE(1000, 1000000)
#define QUOTA VB_XML_INT64, VB_XML_RANGE(-1, INT64_C(17592186044415))

static const VbXmlRow vcpupin_rows[] = {
        VB_XML_ATTRIBUTE("vcpu", VB_XML_OPT_UINT, VB_XML_FIELD(VbVcpuPin, vcpu), .flags = VB_XML_REQUIRED,
                         VB_XML_RANGE(0, VB_DOMAIN_VCPUS_MAX - 1)),
        VB_XML_ATTRIBUTE("cpuset", VB_XML_CPUSET, VB_XML_FIELD(VbVcpuPin, cpuset), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable vcpupin_table = { "vcpupin", sizeof(VbVcpuPin), vcpupin_rows };

static const VbXmlRow iothreadpin_rows[] = {
        VB_XML_ATTRIBUTE("iothread", VB_XML_OPT_UINT, VB_XML_FIELD(VbIothreadPin, iothread), .flags = VB_XML_REQUIRED,
                         VB_XML_RANGE(1, UINT32_MAX)),
        VB_XML_ATTRIBUTE("cpuset", VB_XML_CPUSET, VB_XML_FIELD(VbIothreadPin, cpuset), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable iothreadpin_table = { "iothreadpin", sizeof(VbIothreadPin), iothreadpin_rows };

static const VbXmlRow emulatorpin_rows[] = {
        VB_XML_ATTRIBUTE("cpuset", VB_XML_CPUSET, C(emulatorpin), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlRow cputune_rows[] = {
        VB_XML_VALUE("shares", VB_XML_UINT64, C(shares), VB_XML_RANGE(1, 262144)),
        VB_XML_VALUE("period", PERIOD, C(period)),
        VB_XML_VALUE("quota", QUOTA, C(quota)),
        VB_XML_VALUE("global_period", PERIOD, C(global_period)),
        VB_XML_VALUE("global_quota", QUOTA, C(global_quota)),
        VB_XML_VALUE("emulator_period", PERIOD, C(emulator_period)),
        VB_XML_VALUE("emulator_quota", QUOTA, C(emulator_quota)),
        VB_XML_LIST("vcpupin", vcpupin_table, C(vcpupins), .max = VB_DOMAIN_VCPUS_MAX),
        VB_XML_GROUP("emulatorpin", emulatorpin_rows),
        VB_XML_LIST("iothreadpin", iothreadpin_table, C(iothreadpins), .max = VB_DOMAIN_IOTHREADS_MAX),
        VB_XML_UNBUILT_ELEMENTS("iothread_period iothread_quota vcpusched iothreadsched "
                                "emulatorsched cachetune memorytune"),
        {},
};

static int compare_pins(const void *a, const void *b) {
        const VbVcpuPin *const *first = a, *const *second = b;

        return (int) (*first)->vcpu.value - (int) (*second)->vcpu.value;
}

static int cputune_finish(void *item, VbXmlReader *reader) {
        VbCputune *tune = item;

        if (tune->vcpupins.n > 0)
                qsort(tune->vcpupins.items, tune->vcpupins.n, sizeof(VbVcpuPin *), compare_pins);
        return 0;
}

const VbXmlTable vb_cputune_table = { "cputune", sizeof(VbCputune), cputune_rows, cputune_finish };

/* <memtune> */

#define M(field) VB_XML_FIELD(VbMemtune, field)

static const VbXmlRow memtune_rows[] = {
        VB_XML_SIZE("hard_limit", M(hard_limit)),
        VB_XML_SIZE("soft_limit", M(soft_limit)),
        VB_XML_SIZE("min_guarantee", M(min_guarantee)),
        VB_XML_SIZE("swap_hard_limit", M(swap_hard_limit)),
        {},
};

const VbXmlTable vb_memtune_table = { "memtune", sizeof(VbMemtune), memtune_rows };

/* <blkiotune> */

#define B(field) VB_XML_FIELD(VbBlkioDevice, field)

static const VbXmlRow blkio_device_rows[] = {
        VB_XML_VALUE("path", VB_XML_STRING, B(path), .flags = VB_XML_REQUIRED),
        VB_XML_VALUE("weight", VB_XML_UINT, B(weight), VB_XML_RANGE(0, 1000)),
        VB_XML_VALUE("read_iops_sec", VB_XML_UINT, B(read_iops_sec)),
        VB_XML_VALUE("write_iops_sec", VB_XML_UINT, B(write_iops_sec)),
        VB_XML_VALUE("read_bytes_sec", VB_XML_UINT64, B(read_bytes_sec)),
        VB_XML_VALUE("write_bytes_sec", VB_XML_UINT64, B(write_bytes_sec)),
        {},
};

static const VbXmlTable blkio_device_table = { "device", sizeof(VbBlkioDevice), blkio_device_rows };

static const VbXmlRow blkiotune_rows[] = {
        VB_XML_VALUE("weight", VB_XML_UINT, VB_XML_FIELD(VbBlkiotune, weight), VB_XML_RANGE(0, 1000)),
        VB_XML_LIST("device", blkio_device_table, VB_XML_FIELD(VbBlkiotune, devices), .max = 256),
        {},
};

const VbXmlTable vb_blkiotune_table = { "blkiotune", sizeof(VbBlkiotune), blkiotune_rows };

/* <numatune> */

#define N(field) VB_XML_FIELD(VbNumatune, field)

static const VbXmlRow numa_memory_rows[] = {
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_numa_mode), N(mode)),
        VB_XML_ATTRIBUTE("nodeset", VB_XML_CPUSET, N(nodes)),
        VB_XML_UNBUILT_ATTRIBUTES("placement"),
        {},
};

static const VbXmlRow numatune_rows[] = {
        VB_XML_GROUP("memory", numa_memory_rows),
        VB_XML_UNBUILT_ELEMENTS("memnode"),
        {},
};

static int numatune_finish(void *item, VbXmlReader *reader) {
        VbNumatune *numa = item;

        if (numa->mode == VB_NUMA_MODE_ABSENT)
                numa->mode = VB_NUMA_MODE_STRICT;
        return 0;
}

const VbXmlTable vb_numatune_table = { "numatune", sizeof(VbNumatune), numatune_rows, numatune_finish };

/* What is left after a change. */

static void drop_if_unset(const VbXmlTable *table, void *field) {
        void **item = field;
        const uint8_t *bytes = *item;

        if (!bytes)
                return;
        for (size_t i = 0; i < table->size; i++)
                if (bytes[i] != 0)
                        return;
        *item = vb_xml_free(table, *item);
}

static void forget_unset(VbList *list) {
        if (list->n == 0)
                g_clear_pointer(&list->items, g_free);
}

void vb_domain_definition_tidy(VbDomainDefinition *definition) {
        if (definition->cputune)
                forget_unset((VbList *) &definition->cputune->vcpupins);
        if (definition->cputune)
                forget_unset((VbList *) &definition->cputune->iothreadpins);
        if (definition->blkiotune)
                forget_unset((VbList *) &definition->blkiotune->devices);
        drop_if_unset(&vb_cputune_table, &definition->cputune);
        drop_if_unset(&vb_memtune_table, &definition->memtune);
        drop_if_unset(&vb_blkiotune_table, &definition->blkiotune);
        drop_if_unset(&vb_numatune_table, &definition->numatune);
        for (size_t i = 0; i < definition->disks.n; i++)
                drop_if_unset(&vb_iotune_table, &definition->disks.items[i]->iotune);
        for (size_t i = 0; i < definition->interfaces.n; i++)
                vb_interface_tidy(definition->interfaces.items[i]);
}
