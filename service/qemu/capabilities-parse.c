/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* QMP's answers to facts, one function per question. A binary that answers something else than its
 * documentation says is not worked with: -EBADMSG. */

#include <string.h>

#include "qemu/capabilities-private.h"
#include "qemu/json.h"

int qemu_capabilities_parse_target(QemuCapabilities *capabilities, VbJson *result) {
        const char *arch = qemu_json_string(result, "arch");

        if (!arch || strlen(arch) > QEMU_NAME_MAX)
                return -EBADMSG;
        g_free(capabilities->arch);
        capabilities->arch = g_strdup(arch);
        return 0;
}

int qemu_capabilities_parse_machines(QemuCapabilities *capabilities, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                VbJson *json = json_object_array_get_idx(result, i);
                QemuMachine machine = {
                        .name = qemu_json_string(json, "name"),
                        .alias = qemu_json_string(json, "alias"),
                        .default_cpu_type = qemu_json_string(json, "default-cpu-type"),
                        .default_ram_id = qemu_json_string(json, "default-ram-id"),
                        .is_default = qemu_json_bool(json, "is-default"),
                        .deprecated = qemu_json_bool(json, "deprecated"),
                        .hotpluggable_cpus = qemu_json_bool(json, "hotpluggable-cpus"),
                        .numa_mem_supported = qemu_json_bool(json, "numa-mem-supported"),
                };
                int64_t max_cpus = qemu_json_number(json, "cpu-max", 0);
                int r;

                if (!machine.name || max_cpus < 0 || max_cpus > UINT16_MAX)
                        return -EBADMSG;
                /* "none" is no machine for guests, "x-…" promises nothing. */
                if (g_str_equal(machine.name, "none") || g_str_has_prefix(machine.name, "x-"))
                        continue;
                machine.max_cpus = (unsigned) max_cpus;
                r = qemu_capabilities_add_machine(capabilities, &machine);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A CPU or a machine is a type, too; they are known from their own questions. */
static bool type_is_known_otherwise(const char *name) {
        return g_str_has_suffix(name, "-cpu") || g_str_has_suffix(name, "-machine");
}

int qemu_capabilities_parse_types(QemuCapabilities *capabilities, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                const char *name = qemu_json_string(json_object_array_get_idx(result, i), "name");
                int r;

                if (!name)
                        return -EBADMSG;
                if (type_is_known_otherwise(name))
                        continue;
                r = qemu_capabilities_add(capabilities, QEMU_SET_TYPE, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "sandbox" and "sandbox.spawn". An option without a name is how QEMU tells of -drive's formats. */
static int parse_option(QemuCapabilities *capabilities, const char *option, VbJson *parameters) {
        int r;

        r = qemu_capabilities_add(capabilities, QEMU_SET_OPTION, option);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(parameters); i++) {
                const char *parameter = qemu_json_string(json_object_array_get_idx(parameters, i), "name");
                g_autofree char *name = NULL;

                if (!parameter)
                        return -EBADMSG;
                name = g_strdup_printf("%s.%s", option, parameter);
                r = qemu_capabilities_add(capabilities, QEMU_SET_OPTION, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_capabilities_parse_options(QemuCapabilities *capabilities, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                VbJson *json = json_object_array_get_idx(result, i);
                const char *option = qemu_json_string(json, "option");
                VbJson *parameters = qemu_json_array(json, "parameters");
                int r;

                if (!option || !parameters)
                        return -EBADMSG;
                if (option[0] == '\0')
                        continue;
                r = parse_option(capabilities, option, parameters);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_capabilities_parse_properties(QemuCapabilities *capabilities, const char *device, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                const char *property = qemu_json_string(json_object_array_get_idx(result, i), "name");
                g_autofree char *name = NULL;
                int r;

                if (!property)
                        return -EBADMSG;
                name = g_strdup_printf("%s.%s", device, property);
                r = qemu_capabilities_add(capabilities, QEMU_SET_PROPERTY, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_capabilities_parse_words(QemuCapabilities *capabilities, QemuSet set, VbJson *result) {
        if (!json_object_is_type(result, json_type_array))
                return -EBADMSG;

        for (size_t i = 0; i < json_object_array_length(result); i++) {
                VbJson *word = json_object_array_get_idx(result, i);
                int r;

                if (!json_object_is_type(word, json_type_string))
                        return -EBADMSG;
                r = qemu_capabilities_add(capabilities, set, json_object_get_string(word));
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_capabilities_parse_hyperv(QemuCapabilities *capabilities, VbJson *result) {
        VbJson *properties = qemu_json_object(qemu_json_object(result, "model"), "props");

        if (!properties)
                return -EBADMSG;
        json_object_object_foreach(properties, key, value) {
                int r;

                if (!g_str_has_prefix(key, "hv-") || !json_object_is_type(value, json_type_boolean) ||
                    !json_object_get_boolean(value))
                        continue;
                r = qemu_capabilities_add(capabilities, QEMU_SET_HYPERV, key);
                if (r < 0)
                        return r;
        }
        return 0;
}
