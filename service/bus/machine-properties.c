/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/machine-properties.h"

#include <stdio.h>
#include <string.h>

#include "base/cpus.h"

/* A host name by machined's rules: letters, digits, and single "." or "-" between them. So separators are
 * written when the next letter or digit comes: "." if only that stood there, "-" for all else. */
char *vb_machine_name(const char *driver, unsigned id, const char *name) {
        char text[VB_MACHINE_NAME_MAX + 1];
        int begin = snprintf(text, sizeof text, "%.32s-%u", driver, id);
        size_t length = (size_t) begin;
        char separator = '-';

        for (const char *c = name; *c; c++) {
                if (!g_ascii_isalnum(*c)) {
                        separator = separator == '\0' && *c == '.' ? '.' : '-';
                        continue;
                }
                if (length + (separator ? 2 : 1) > VB_MACHINE_NAME_MAX)
                        break;
                if (separator)
                        text[length++] = separator;
                separator = '\0';
                text[length++] = *c;
        }
        text[length] = '\0';
        return g_strdup(text);
}

/* Escaped as by systemd-escape(1). */
char *vb_machine_unit(const char *name) {
        GString *unit = g_string_new("machine-");

        for (const char *c = name; *c; c++)
                if (g_ascii_isalnum(*c) || strchr(":_", *c) || (*c == '.' && c > name))
                        (void) g_string_append_c(unit, *c);
                else
                        g_string_append_printf(unit, "\\x%02x", (unsigned char) *c);
        (void) g_string_append(unit, ".scope");
        return g_string_free(unit, false);
}

char *vb_machine_scope(const char *name) {
        return g_strdup_printf("virtbus-%s.scope", name);
}

static int append_string(sd_bus_message *message, const char *key, const char *value) {
        return value ? sd_bus_message_append(message, "(sv)", key, "s", value) : 0;
}

/* An empty list: all. */
static int append_mask(sd_bus_message *message, const char *key, const char *list) {
        uint8_t mask[VB_CPUS_MASK_SIZE];
        size_t size;
        int r;

        r = vb_cpus_parse(list, mask, &size);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(message, 'r', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", key);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(message, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(message, 'y', mask, size);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(message);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}

/* What is UINT64_MAX of a device is left out. */
static int append_devices(sd_bus_message *message, const char *key, const VbMachineResources *resources, size_t offset) {
        for (size_t i = 0; i < resources->n_devices; i++) {
                const VbMachineDevice *device = &resources->devices[i];
                uint64_t value;
                int r;

                memcpy(&value, (const char *) device + offset, sizeof(value));
                if (value == UINT64_MAX)
                        continue;
                /* The manager takes one list after another as one. */
                r = sd_bus_message_append(message, "(sv)", key, "a(st)", 1, device->path, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_all_devices(sd_bus_message *message, const VbMachineResources *resources, bool unset_too) {
        static const struct {
                const char *key;
                size_t offset;
        } of_devices[] = {
                { "IODeviceWeight", offsetof(VbMachineDevice, weight) },
                { "IOReadBandwidthMax", offsetof(VbMachineDevice, read_bytes_sec) },
                { "IOWriteBandwidthMax", offsetof(VbMachineDevice, write_bytes_sec) },
                { "IOReadIOPSMax", offsetof(VbMachineDevice, read_iops_sec) },
                { "IOWriteIOPSMax", offsetof(VbMachineDevice, write_iops_sec) },
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(of_devices); i++) {
                /* An empty list takes away what is there. */
                if (unset_too) {
                        r = sd_bus_message_append(message, "(sv)", of_devices[i].key, "a(st)", 0);
                        if (r < 0)
                                return r;
                }
                r = append_devices(message, of_devices[i].key, resources, of_devices[i].offset);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_numbers(sd_bus_message *message, const VbMachineResources *resources, VbMachineGroups groups,
                          bool unset_too) {
        const struct {
                VbMachineGroups group;
                const char *key;
                uint64_t value;
        } numbers[] = {
                { VB_MACHINE_CPU, "CPUWeight", resources->cpu_weight },
                { VB_MACHINE_CPU, "CPUQuotaPerSecUSec", resources->cpu_quota_usec },
                { VB_MACHINE_MEMORY, "MemoryMax", resources->memory_max },
                { VB_MACHINE_MEMORY, "MemoryHigh", resources->memory_high },
                { VB_MACHINE_MEMORY, "MemorySwapMax", resources->memory_swap_max },
                { VB_MACHINE_IO, "IOWeight", resources->io_weight },
                { VB_MACHINE_OTHERS, "TasksMax", resources->tasks_max },
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                /* UINT64_MAX is the manager's own word for the default, too. */
                if (!(numbers[i].group & groups) || (numbers[i].value == UINT64_MAX && !unset_too))
                        continue;
                r = sd_bus_message_append(message, "(sv)", numbers[i].key, "t", numbers[i].value);
                if (r < 0)
                        return r;
        }
        return 0;
}

int vb_machine_append_resources(sd_bus_message *message, const VbMachineResources *resources, VbMachineGroups groups,
                                bool unset_too) {
        int r;

        r = append_numbers(message, resources, groups, unset_too);
        if (r < 0)
                return r;
        if (groups & VB_MACHINE_IO) {
                r = append_all_devices(message, resources, unset_too);
                if (r < 0)
                        return r;
        }
        if ((groups & VB_MACHINE_OTHERS) && resources->allowed_cpus) {
                r = append_mask(message, "AllowedCPUs", resources->allowed_cpus);
                if (r < 0)
                        return r;
        }
        if ((groups & VB_MACHINE_NODES) && (resources->allowed_memory_nodes || unset_too))
                return append_mask(message, "AllowedMemoryNodes", resources->allowed_memory_nodes ?: "");
        return 0;
}

int vb_machine_append_scope(sd_bus_message *message, const VbMachineSpec *spec, bool own_pid,
                            const char *fallback_slice) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "(sv)");
        if (r < 0)
                return r;
        r = append_string(message, "Description", spec->description);
        if (r < 0)
                return r;
        r = append_string(message, "Slice", spec->slice ?: fallback_slice);
        if (r < 0)
                return r;
        /* While the host goes down, whoever saves the guest is stopped first, what it needs to its end last: units/virtbus-guests.target. */
        r = sd_bus_message_append(message, "(sv)(sv)", "Before", "as", 1, VB_MACHINE_TARGET, "After", "as", 2, VB_MACHINE_HELPERS);
        if (r < 0)
                return r;
        /* When all processes are gone, nothing shall stay, however they ended. */
        r = append_string(message, "CollectMode", "inactive-or-failed");
        if (r < 0)
                return r;
        if (own_pid) {
                r = sd_bus_message_append(message, "(sv)", "PIDs", "au", 1, (uint32_t) spec->leader);
                if (r < 0)
                        return r;
        }
        /* The manager adds those of all such properties together, also to what machined says of the leader. */
        for (size_t i = 0; i < spec->n_others; i++) {
                r = sd_bus_message_append(message, "(sv)", "PIDs", "au", 1, (uint32_t) spec->others[i]);
                if (r < 0)
                        return r;
        }
        r = vb_machine_append_resources(message, &spec->resources, VB_MACHINE_ALL, /* unset_too= */ false);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}
