/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/capabilities.h"

#include <assert.h>
#include <string.h>

#include "base/compare.h"
#include "qemu/capabilities-private.h"

VB_STRING_TABLE(
        qemu_set, QemuSet,
        _QEMU_SET_MAX, [QEMU_SET_TYPE] = "type", [QEMU_SET_COMMAND] = "command", [QEMU_SET_EVENT] = "event",
        [QEMU_SET_OPTION] = "option", [QEMU_SET_PROPERTY] = "property", [QEMU_SET_NETDEV] = "netdev",
        [QEMU_SET_CHARDEV] = "chardev", [QEMU_SET_DISPLAY] = "display", [QEMU_SET_AUDIODEV] = "audiodev",
        [QEMU_SET_TPM_BACKEND] = "tpm-backend", [QEMU_SET_TPM_MODEL] = "tpm-model",
        [QEMU_SET_BLOCK_DRIVER] = "block-driver", [QEMU_SET_BLOCK_AIO] = "block-aio",
        [QEMU_SET_MIGRATION_CAPABILITY] = "migration-capability", [QEMU_SET_HYPERV] = "hyperv")

VB_STRING_TABLE(qemu_feature, QemuFeature,
                _QEMU_FEATURE_MAX, [QEMU_FEATURE_DEVICE_JSON_HOTPLUG] = "device-json-hotplug",
                [QEMU_FEATURE_NETDEV_STREAM_RECONNECT] = "netdev-stream-reconnect",
                [QEMU_FEATURE_CHARDEV_RECONNECT_MS] = "chardev-reconnect-ms",
                [QEMU_FEATURE_QCOW2_DISCARD_NO_UNREF] = "qcow2-discard-no-unref",
                [QEMU_FEATURE_SCREENDUMP_PNG] = "screendump-png",
                [QEMU_FEATURE_BLOCKDEV_MIRROR_SPARSE] = "blockdev-mirror-sparse",
                [QEMU_FEATURE_DISPLAY_DBUS_P2P] = "display-dbus-p2p",
                [QEMU_FEATURE_SET_PASSWORD_DISPLAY] = "set-password-display")

/* --- Building --- */

QemuCapabilities *qemu_capabilities_new(const char *path) {
        QemuCapabilities *capabilities = g_new0(QemuCapabilities, 1);

        capabilities->n_ref = 1;
        capabilities->path = g_strdup(path);
        capabilities->machines =
                g_array_new(/* zero_terminated= */ FALSE, /* clear= */ TRUE, sizeof(QemuMachine));
        capabilities->strings = g_string_chunk_new(4096);
        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++)
                capabilities->sets[set].names = g_ptr_array_new();
        return capabilities;
}

static void capabilities_free(QemuCapabilities *capabilities) {
        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++)
                g_ptr_array_unref(capabilities->sets[set].names);
        for (QemuAccel accel = 0; accel < _QEMU_ACCEL_MAX; accel++)
                qemu_cpu_table_free(capabilities->cpus[accel]);
        g_array_unref(capabilities->machines);
        g_string_chunk_free(capabilities->strings);
        g_free(capabilities->path);
        g_free(capabilities->arch);
        g_free(capabilities->package);
        g_free(capabilities);
}

const char *qemu_capabilities_intern(QemuCapabilities *capabilities, const char *name) {
        return name ? g_string_chunk_insert_const(capabilities->strings, name) : NULL;
}

int qemu_capabilities_add(QemuCapabilities *capabilities, QemuSet set, const char *name) {
        assert(!capabilities->sealed);

        if (capabilities->sets[set].names->len >= QEMU_SET_SIZE_MAX || strlen(name) > QEMU_NAME_MAX)
                return -E2BIG;
        g_ptr_array_add(capabilities->sets[set].names,
                        (gpointer) qemu_capabilities_intern(capabilities, name));
        return 0;
}

int qemu_capabilities_add_machine(QemuCapabilities *capabilities, const QemuMachine *machine) {
        QemuMachine copy = *machine;

        assert(!capabilities->sealed);

        if (capabilities->machines->len >= QEMU_MACHINES_MAX)
                return -E2BIG;
        copy.name = qemu_capabilities_intern(capabilities, machine->name);
        copy.alias = qemu_capabilities_intern(capabilities, machine->alias);
        copy.default_cpu_type = qemu_capabilities_intern(capabilities, machine->default_cpu_type);
        copy.default_ram_id = qemu_capabilities_intern(capabilities, machine->default_ram_id);
        g_array_append_val(capabilities->machines, copy);
        return 0;
}

static void names_seal(GPtrArray *names) {
        guint kept = 0;

        g_ptr_array_sort(names, vb_compare_texts);
        /* Interned: equal names are equal pointers. */
        for (guint i = 0; i < names->len; i++)
                if (kept == 0 || names->pdata[i] != names->pdata[kept - 1])
                        names->pdata[kept++] = names->pdata[i];
        g_ptr_array_set_size(names, (int) kept);
}

int qemu_capabilities_seal(QemuCapabilities *capabilities) {
        if (!capabilities->arch || capabilities->version == 0 || capabilities->machines->len == 0)
                return -EBADMSG;

        for (QemuSet set = 0; set < _QEMU_SET_MAX; set++)
                names_seal(capabilities->sets[set].names);
        for (QemuAccel accel = 0; accel < _QEMU_ACCEL_MAX; accel++)
                if (capabilities->cpus[accel])
                        qemu_cpu_table_seal(capabilities->cpus[accel]);
        if (!capabilities->package)
                capabilities->package = g_strdup("");
        capabilities->sealed = true;
        return 0;
}

/* --- Asking --- */

QemuCapabilities *qemu_capabilities_ref(QemuCapabilities *capabilities) {
        assert(capabilities->n_ref > 0);
        capabilities->n_ref++;
        return capabilities;
}

QemuCapabilities *qemu_capabilities_unref(QemuCapabilities *capabilities) {
        if (!capabilities)
                return NULL;
        assert(capabilities->n_ref > 0);
        if (--capabilities->n_ref == 0)
                capabilities_free(capabilities);
        return NULL;
}

const char *qemu_capabilities_path(const QemuCapabilities *capabilities) {
        return capabilities->path;
}

const char *qemu_capabilities_arch(const QemuCapabilities *capabilities) {
        return capabilities->arch;
}

const char *qemu_capabilities_package(const QemuCapabilities *capabilities) {
        return capabilities->package;
}

unsigned qemu_capabilities_version(const QemuCapabilities *capabilities) {
        return capabilities->version;
}

bool qemu_capabilities_offers(const QemuCapabilities *capabilities, QemuSet set, const char *name) {
        const GPtrArray *names;

        assert(set >= 0 && set < _QEMU_SET_MAX);

        names = capabilities->sets[set].names;
        return names->len > 0 && bsearch(&name, names->pdata, names->len, sizeof(gpointer), vb_compare_texts);
}

bool qemu_capabilities_has(const QemuCapabilities *capabilities, QemuFeature feature) {
        assert(feature >= 0 && feature < _QEMU_FEATURE_MAX);
        return capabilities->features[feature];
}

const QemuCpuTable *qemu_capabilities_cpus(const QemuCapabilities *capabilities, QemuAccel accel) {
        assert(accel >= 0 && accel < _QEMU_ACCEL_MAX);
        return capabilities->cpus[accel];
}

bool qemu_capabilities_has_accel(const QemuCapabilities *capabilities, QemuAccel accel) {
        return qemu_capabilities_cpus(capabilities, accel) != NULL;
}

const QemuMachine *qemu_capabilities_machines(const QemuCapabilities *capabilities, size_t *ret_n) {
        *ret_n = capabilities->machines->len;
        return (const QemuMachine *) capabilities->machines->data;
}

const QemuMachine *qemu_capabilities_find_machine(const QemuCapabilities *capabilities, const char *name) {
        for (guint i = 0; i < capabilities->machines->len; i++) {
                const QemuMachine *machine = &g_array_index(capabilities->machines, QemuMachine, i);

                if (!name ? machine->is_default
                          : g_str_equal(machine->name, name) || g_strcmp0(machine->alias, name) == 0)
                        return machine;
        }
        return NULL;
}
