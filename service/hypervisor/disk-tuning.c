/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/disk-tuning.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/values.h"

#define LIMIT(key, name) \
        VB_VALUE_ROW(key, VB_VALUE_U64, VbDomain1SetDiskTuningArgs, name, VbDiskIotune, name)

static const VbValueRow rows[] = {
        LIMIT("total-bytes-sec", total_bytes_sec),
        LIMIT("read-bytes-sec", read_bytes_sec),
        LIMIT("write-bytes-sec", write_bytes_sec),
        LIMIT("total-iops-sec", total_iops_sec),
        LIMIT("read-iops-sec", read_iops_sec),
        LIMIT("write-iops-sec", write_iops_sec),
        LIMIT("total-bytes-sec-max", total_bytes_sec_max),
        LIMIT("read-bytes-sec-max", read_bytes_sec_max),
        LIMIT("write-bytes-sec-max", write_bytes_sec_max),
        LIMIT("total-iops-sec-max", total_iops_sec_max),
        LIMIT("read-iops-sec-max", read_iops_sec_max),
        LIMIT("write-iops-sec-max", write_iops_sec_max),
        LIMIT("size-iops-sec", size_iops_sec),
        LIMIT("total-bytes-sec-max-length", total_bytes_sec_max_length),
        LIMIT("read-bytes-sec-max-length", read_bytes_sec_max_length),
        LIMIT("write-bytes-sec-max-length", write_bytes_sec_max_length),
        LIMIT("total-iops-sec-max-length", total_iops_sec_max_length),
        LIMIT("read-iops-sec-max-length", read_iops_sec_max_length),
        LIMIT("write-iops-sec-max-length", write_iops_sec_max_length),
        {},
};

/* A limit, its burst, and how long that may last. */
typedef struct Kind {
        const char *name;
        size_t limit, burst, length;
} Kind;

#define KIND(text, field)                                                                                        \
        {                                                                                                        \
                text, offsetof(VbDiskIotune, field), offsetof(VbDiskIotune, field##_max),                        \
                        offsetof(VbDiskIotune, field##_max_length)                                               \
        }

/* In threes: of all, of reading, of writing. */
static const Kind kinds[] = {
        KIND("total-bytes-sec", total_bytes_sec), KIND("read-bytes-sec", read_bytes_sec), KIND("write-bytes-sec", write_bytes_sec),
        KIND("total-iops-sec", total_iops_sec),   KIND("read-iops-sec", read_iops_sec),   KIND("write-iops-sec", write_iops_sec),
};

static uint64_t *field(VbDiskIotune *tune, size_t offset) {
        return (uint64_t *) (void *) ((char *) tune + offset);
}

int vb_disk_find(const VbDomainDefinition *definition, const char *disk, sd_bus_error *reterr) {
        for (size_t i = 0; i < definition->disks.n; i++)
                if (g_str_equal(definition->disks.items[i]->target, disk))
                        return (int) i;
        for (size_t i = 0; i < definition->disks.n; i++)
                if (g_strcmp0(definition->disks.items[i]->path, disk) == 0)
                        return (int) i;
        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no disk '%s'", definition->name, disk);
}

/* Of a limit on all and those on reading and writing, what was given now displaces what stood there before. */
static int displace(VbDiskIotune *tune, const VbDiskIotune *given, size_t total, size_t reading, size_t writing, const char *name,
                    sd_bus_error *reterr) {
        uint64_t of_all = *field((VbDiskIotune *) given, total);
        uint64_t of_each = *field((VbDiskIotune *) given, reading) | *field((VbDiskIotune *) given, writing);

        if (of_all > 0 && of_each > 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "value '%s': cannot be set together with that of reading or writing", name);
        if (of_all > 0)
                *field(tune, reading) = *field(tune, writing) = 0;
        if (of_each > 0)
                *field(tune, total) = 0;
        return 0;
}

static int displace_all(VbDiskIotune *tune, const VbDiskIotune *given, sd_bus_error *reterr) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i += 3) {
                g_autofree char *burst = g_strdup_printf("%s-max", kinds[i].name);
                int r;

                r = displace(tune, given, kinds[i].limit, kinds[i + 1].limit, kinds[i + 2].limit, kinds[i].name, reterr);
                if (r < 0)
                        return r;
                r = displace(tune, given, kinds[i].burst, kinds[i + 1].burst, kinds[i + 2].burst, burst, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A burst is above a limit, and has a length only if it is there. What was not given and has lost its reason goes. */
static int check_burst(VbDiskIotune *tune, const VbDiskIotune *given, const Kind *kind, sd_bus_error *reterr) {
        uint64_t limit = *field(tune, kind->limit), *burst = field(tune, kind->burst), *length = field(tune, kind->length);
        bool burst_given = *field((VbDiskIotune *) given, kind->burst) > 0;
        bool length_given = *field((VbDiskIotune *) given, kind->length) > 0;

        if (limit == 0 && !burst_given)
                *burst = 0;
        if (*burst == 0 && !length_given)
                *length = 0;
        if (*burst > 0 && limit == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "value '%s-max': there is no '%s' that it goes beyond",
                                         kind->name, kind->name);
        if (*burst > 0 && *burst < limit)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "value '%s-max': %" PRIu64 " is less than '%s', %" PRIu64, kind->name, *burst, kind->name,
                                         limit);
        if (*length > 0 && *burst == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "value '%s-max-length': there is no '%s-max' that it is of",
                                         kind->name, kind->name);
        return 0;
}

static void copy_numbers(VbDiskIotune *to, const VbDiskIotune *from) {
        for (const VbValueRow *row = rows; row->key; row++)
                *field(to, row->field) = *field((VbDiskIotune *) from, row->field);
}

/* What is said of one disk of a group is said of all. */
static void tell_group(VbDomainDefinition *definition, const VbDisk *disk) {
        for (size_t i = 0; disk->iotune && disk->iotune->group_name && i < definition->disks.n; i++) {
                VbDisk *other = definition->disks.items[i];

                if (other != disk && other->iotune && g_strcmp0(other->iotune->group_name, disk->iotune->group_name) == 0)
                        copy_numbers(other->iotune, disk->iotune);
        }
}

/* Who joins a group and says no more takes its limits. */
static void ask_group(const VbDomainDefinition *definition, const VbDisk *disk) {
        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *other = definition->disks.items[i];

                if (other != disk && other->iotune && g_strcmp0(other->iotune->group_name, disk->iotune->group_name) == 0) {
                        copy_numbers(disk->iotune, other->iotune);
                        return;
                }
        }
}

static void set_group(VbDomainDefinition *definition, VbDisk *disk, const char *group, bool with_limits) {
        g_free(disk->iotune->group_name);
        disk->iotune->group_name = group[0] == '\0' ? NULL : g_strdup(group);
        if (disk->iotune->group_name && !with_limits)
                ask_group(definition, disk);
}

int vb_disk_tuning_set(VbDomainDefinition *definition, const VbDomain1SetDiskTuningArgs *args, sd_bus_error *reterr) {
        VbDiskIotune given = { 0 };
        VbDisk *disk;
        int index, n, r;

        index = vb_disk_find(definition, args->disk, reterr);
        if (index < 0)
                return index;
        disk = definition->disks.items[index];
        if (!disk->iotune)
                disk->iotune = g_new0(VbDiskIotune, 1);

        n = vb_values_take(rows, args, &given, reterr);
        if (n < 0)
                return n;
        if (n == 0 && !args->values.has_group)
                return vb_values_none(reterr);
        r = displace_all(disk->iotune, &given, reterr);
        if (r < 0)
                return r;
        n = vb_values_take(rows, args, disk->iotune, reterr);
        if (n < 0)
                return n;
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                r = check_burst(disk->iotune, &given, &kinds[i], reterr);
                if (r < 0)
                        return r;
        }
        if (args->values.has_group)
                set_group(definition, disk, args->values.group, n > 0);
        tell_group(definition, disk);
        vb_domain_definition_tidy(definition);
        return index;
}

int vb_disk_tuning_append(sd_bus_message *m, const VbDisk *disk) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        if (disk->iotune) {
                r = vb_values_append(m, rows, disk->iotune);
                if (r < 0)
                        return r;
        }
        if (disk->iotune && disk->iotune->group_name) {
                r = vb_value_append_string(m, "group", disk->iotune->group_name);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}
