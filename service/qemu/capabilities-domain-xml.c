/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <domainCapabilities>: what a definition may ask for with one emulator and machine. A word stands here only
 * if virtbus builds it (its model has the word, the command line knows how) and this emulator has what it
 * needs. */

#include <string.h>

#include "qemu/capabilities-output.h"
#include "qemu/capabilities-xml.h"
#include "qemu/firmware.h"

/* A word of the format, and what the emulator must have for it: one of two names in a set. No name: nothing.
 */
typedef struct Choice {
        const char *word;
        QemuSet set;
        const char *name, *or_name;
} Choice;

typedef struct DomainOutput {
        XmlOutput xml;
        const QemuCapabilities *capabilities;
        const QemuCpuTable *cpus;
        const char *arch;
        const QemuMachine *machine;
        QemuAccel accel;
} DomainOutput;

static bool has_type(const DomainOutput *output, const char *type) {
        return qemu_capabilities_offers(output->capabilities, QEMU_SET_TYPE, type);
}

static bool is_offered(const DomainOutput *output, const Choice *choice) {
        return !choice->name || qemu_capabilities_offers(output->capabilities, choice->set, choice->name) ||
               (choice->or_name &&
                qemu_capabilities_offers(output->capabilities, choice->set, choice->or_name));
}

static bool is_pc(const DomainOutput *output) {
        return g_str_equal(output->arch, "x86_64") || g_str_equal(output->arch, "i686");
}

/* --- Words --- */

static void open_supported(DomainOutput *output, const char *name, bool supported) {
        xml_open(&output->xml, name);
        xml_attribute(&output->xml, "supported", supported ? "yes" : "no");
}

static void put_supported(DomainOutput *output, const char *name, bool supported) {
        open_supported(output, name, supported);
        xml_close(&output->xml);
}

static void open_enum(DomainOutput *output, const char *name) {
        xml_open(&output->xml, "enum");
        xml_attribute(&output->xml, "name", name);
}

static void put_value(DomainOutput *output, const char *value) {
        xml_element(&output->xml, "value", value);
}

static void put_values(DomainOutput *output, const char *name, const char *const *values) {
        open_enum(output, name);
        for (; *values; values++)
                put_value(output, *values);
        xml_close(&output->xml);
}

static void put_choices(DomainOutput *output, const char *name, const Choice *choices, size_t n) {
        open_enum(output, name);
        for (size_t i = 0; i < n; i++)
                if (is_offered(output, &choices[i]))
                        put_value(output, choices[i].word);
        xml_close(&output->xml);
}

#define PUT_VALUES(output, name, ...) put_values(output, name, (const char *const[]){ __VA_ARGS__, NULL })
#define PUT_CHOICES(output, name, choices) put_choices(output, name, choices, G_N_ELEMENTS(choices))

/* --- Firmware --- */

static void put_loaders(DomainOutput *output, const GPtrArray *firmwares) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        bool secure = false;

        open_supported(output, "loader", true);
        for (guint i = 0; i < firmwares->len; i++) {
                const QemuFirmware *firmware = firmwares->pdata[i];

                if (g_hash_table_add(seen, firmware->loader))
                        put_value(output, firmware->loader);
                secure = secure || firmware->secure_boot;
        }
        PUT_VALUES(output, "type", "rom", "pflash");
        PUT_VALUES(output, "readonly", "yes", "no");
        PUT_VALUES(output, "secure", secure ? "yes" : "no", secure ? "no" : NULL);
        xml_close(&output->xml);
}

static void put_os(DomainOutput *output) {
        QemuFirmwareQuery query = { .arch = output->arch, .machine = output->machine->name };
        g_autoptr(GPtrArray) firmwares = qemu_firmware_list(&query);
        g_autoptr(QemuFirmware) bios = NULL;

        query.bios = true;
        open_supported(output, "os", true);
        open_enum(output, "firmware");
        if (qemu_firmware_find(&query, &bios, NULL) >= 0)
                put_value(output, "bios");
        if (firmwares->len > 0)
                put_value(output, "efi");
        xml_close(&output->xml);
        put_loaders(output, firmwares);
        xml_close(&output->xml);
}

/* --- CPUs --- */

static void open_mode(DomainOutput *output, const char *name, bool supported) {
        xml_open(&output->xml, "mode");
        xml_attribute(&output->xml, "name", name);
        xml_attribute(&output->xml, "supported", supported ? "yes" : "no");
}

static void put_plain_mode(DomainOutput *output, const char *name, bool supported, const char *migratable) {
        open_mode(output, name, supported);
        if (supported)
                PUT_VALUES(output, migratable, "on", "off");
        xml_close(&output->xml);
}

static void put_features(DomainOutput *output, const char *policy, const char *const *features) {
        for (; *features; features++) {
                xml_open(&output->xml, "feature");
                xml_attribute(&output->xml, "policy", policy);
                xml_attribute(&output->xml, "name", qemu_cpu_feature_to_xml(*features));
                xml_close(&output->xml);
        }
}

static void put_host_model(DomainOutput *output) {
        const QemuCpuModel *model = qemu_cpu_table_host_model(output->cpus);

        open_mode(output, "host-model", model != NULL);
        if (model) {
                xml_open(&output->xml, "model");
                xml_attribute(&output->xml, "fallback", "forbid");
                xml_text(&output->xml, qemu_cpu_table_well_known_name(output->cpus, model->name));
                xml_close(&output->xml);
                xml_element(&output->xml, "vendor", qemu_cpu_vendor_to_xml(model->vendor));
                put_features(output, "require", model->required);
                put_features(output, "disable", model->disabled);
        }
        xml_close(&output->xml);
}

/* What QEMU gives no guarantee for ("max", "host", "base") has a mode of its own, or is for nobody. Where it
 * knows of no such difference, no model is one. */
static void put_custom(DomainOutput *output) {
        static const char *const usable[_QEMU_CPU_USABLE_MAX] = { "unknown", "yes", "no" };
        static const char *const others[] = { "max", "host", "base", NULL };
        size_t n;
        const QemuCpuDefinition *definitions = qemu_cpu_table_definitions(output->cpus, &n);

        open_mode(output, "custom", n > 0);
        for (size_t i = 0; i < n; i++) {
                if (g_strv_contains(others, definitions[i].name))
                        continue;
                xml_open(&output->xml, "model");
                xml_attribute(&output->xml, "usable", usable[definitions[i].usable]);
                if (definitions[i].deprecated)
                        xml_attribute(&output->xml, "deprecated", "yes");
                xml_attribute(&output->xml, "vendor",
                              qemu_cpu_vendor_to_xml(qemu_cpu_table_vendor(output->cpus, &definitions[i])));
                xml_text(&output->xml, definitions[i].name);
                xml_close(&output->xml);
        }
        xml_close(&output->xml);
}

static void put_cpu(DomainOutput *output) {
        xml_open(&output->xml, "cpu");
        put_plain_mode(output, "host-passthrough", output->accel == QEMU_ACCEL_KVM,
                       "hostPassthroughMigratable");
        put_plain_mode(output, "maximum", qemu_cpu_table_find(output->cpus, "max") != NULL,
                       "maximumMigratable");
        put_host_model(output);
        put_custom(output);
        xml_close(&output->xml);
}

/* --- Devices --- */

static bool has_floppy(const DomainOutput *output) {
        return is_pc(output) && has_type(output, "isa-fdc") &&
               !g_str_has_prefix(output->machine->name, "microvm");
}

static void put_disk(DomainOutput *output) {
        static const Choice models[] = {
                { "virtio", QEMU_SET_TYPE, "virtio-blk-pci", "virtio-blk-device" },
                { "virtio-transitional", QEMU_SET_TYPE, "virtio-blk-pci-transitional", NULL },
                { "virtio-non-transitional", QEMU_SET_TYPE, "virtio-blk-pci-non-transitional", NULL },
        };
        static const Choice buses[] = {
                { "scsi", QEMU_SET_TYPE, "scsi-hd", NULL },
                { "virtio", QEMU_SET_TYPE, "virtio-blk-pci", "virtio-blk-device" },
                { "usb", QEMU_SET_TYPE, "usb-storage", NULL },
                { "sata", QEMU_SET_TYPE, "ich9-ahci", NULL },
        };

        open_supported(output, "disk", true);
        open_enum(output, "diskDevice");
        put_value(output, "disk");
        put_value(output, "cdrom");
        if (has_floppy(output))
                put_value(output, "floppy");
        if (has_type(output, "scsi-block"))
                put_value(output, "lun");
        xml_close(&output->xml);

        open_enum(output, "bus");
        /* The controller is part of the machine, or is not there. */
        if (g_str_has_prefix(output->machine->name, "pc-i440fx-"))
                put_value(output, "ide");
        if (has_floppy(output))
                put_value(output, "fdc");
        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                if (is_offered(output, &buses[i]))
                        put_value(output, buses[i].word);
        xml_close(&output->xml);

        PUT_CHOICES(output, "model", models);
        xml_close(&output->xml);
}

static void put_graphics(DomainOutput *output) {
        /* SPICE and D-Bus are modules: they are in QEMU's options even where they are not installed, but not
         * in its types. */
        static const Choice types[] = {
                { "vnc", QEMU_SET_COMMAND, "query-vnc", NULL },
                { "spice", QEMU_SET_TYPE, "chardev-spicevmc", NULL },
                { "egl-headless", QEMU_SET_DISPLAY, "egl-headless", NULL },
                { "dbus", QEMU_SET_TYPE, "dbus-display", NULL },
        };

        open_supported(output, "graphics", true);
        PUT_CHOICES(output, "type", types);
        xml_close(&output->xml);
}

static void put_video(DomainOutput *output) {
        static const Choice models[] = {
                { "vga", QEMU_SET_TYPE, "VGA", NULL },
                { "cirrus", QEMU_SET_TYPE, "cirrus-vga", NULL },
                { "vmvga", QEMU_SET_TYPE, "vmware-svga", NULL },
                { "qxl", QEMU_SET_TYPE, "qxl-vga", "qxl" },
                { "virtio", QEMU_SET_TYPE, "virtio-vga", "virtio-gpu-pci" },
                { "none", QEMU_SET_TYPE, NULL, NULL },
                { "bochs", QEMU_SET_TYPE, "bochs-display", NULL },
                { "ramfb", QEMU_SET_TYPE, "ramfb", NULL },
        };

        open_supported(output, "video", true);
        PUT_CHOICES(output, "modelType", models);
        xml_close(&output->xml);
}

static void put_rng(DomainOutput *output) {
        static const Choice models[] = {
                { "virtio", QEMU_SET_TYPE, "virtio-rng-pci", "virtio-rng-device" },
                { "virtio-transitional", QEMU_SET_TYPE, "virtio-rng-pci-transitional", NULL },
                { "virtio-non-transitional", QEMU_SET_TYPE, "virtio-rng-pci-non-transitional", NULL },
        };
        static const Choice backends[] = {
                { "random", QEMU_SET_TYPE, "rng-random", NULL },
                { "builtin", QEMU_SET_TYPE, "rng-builtin", NULL },
        };

        open_supported(output, "rng", is_offered(output, &models[0]));
        PUT_CHOICES(output, "model", models);
        PUT_CHOICES(output, "backendModel", backends);
        xml_close(&output->xml);
}

static void put_tpm(DomainOutput *output) {
        static const Choice models[] = {
                { "tpm-tis", QEMU_SET_TPM_MODEL, "tpm-tis", NULL },
                { "tpm-crb", QEMU_SET_TPM_MODEL, "tpm-crb", NULL },
        };
        /* QEMU is only one half of it: the other is a program of its own. */
        g_autofree char *swtpm = g_find_program_in_path("swtpm");
        bool supported = swtpm &&
                         qemu_capabilities_offers(output->capabilities, QEMU_SET_TPM_BACKEND, "emulator") &&
                         (is_offered(output, &models[0]) || is_offered(output, &models[1]));

        open_supported(output, "tpm", supported);
        if (supported) {
                PUT_CHOICES(output, "model", models);
                PUT_VALUES(output, "backendModel", "emulator");
                PUT_VALUES(output, "backendVersion", "2.0");
        }
        xml_close(&output->xml);
}

static void put_redirdev(DomainOutput *output) {
        bool supported = has_type(output, "usb-redir");

        open_supported(output, "redirdev", supported);
        if (supported)
                PUT_VALUES(output, "bus", "usb");
        xml_close(&output->xml);
}

static void put_channel(DomainOutput *output) {
        static const Choice types[] = {
                { "pty", QEMU_SET_CHARDEV, "pty", NULL },
                { "unix", QEMU_SET_CHARDEV, "socket", NULL },
                { "spicevmc", QEMU_SET_TYPE, "chardev-spicevmc", NULL },
                { "qemu-vdagent", QEMU_SET_TYPE, "chardev-qemu-vdagent", NULL },
                { "dbus", QEMU_SET_TYPE, "chardev-dbus", NULL },
        };

        open_supported(output, "channel", true);
        PUT_CHOICES(output, "type", types);
        xml_close(&output->xml);
}

static void put_devices(DomainOutput *output) {
        xml_open(&output->xml, "devices");
        put_disk(output);
        put_graphics(output);
        put_video(output);
        put_supported(output, "hostdev", false);
        put_rng(output);
        put_supported(output, "filesystem", false);
        put_tpm(output);
        put_redirdev(output);
        put_channel(output);
        xml_close(&output->xml);
}

/* --- Features --- */

static void put_gic(DomainOutput *output) {
        bool supported = g_str_equal(output->arch, "aarch64") && output->accel == QEMU_ACCEL_TCG;

        open_supported(output, "gic", supported);
        if (supported)
                PUT_VALUES(output, "version", "2", "3");
        xml_close(&output->xml);
}

/* Names are QEMU's without their "hv-", and with libvirt's underscore. KVM alone has them: the translator
 * takes the words and does nothing. */
static void put_hyperv(DomainOutput *output) {
        static const Choice features[] = {
                { "relaxed", QEMU_SET_HYPERV, "hv-relaxed", NULL },
                { "vapic", QEMU_SET_HYPERV, "hv-vapic", NULL },
                { "spinlocks", QEMU_SET_HYPERV, NULL, NULL },
                { "vpindex", QEMU_SET_HYPERV, "hv-vpindex", NULL },
                { "runtime", QEMU_SET_HYPERV, "hv-runtime", NULL },
                { "synic", QEMU_SET_HYPERV, "hv-synic", NULL },
                { "stimer", QEMU_SET_HYPERV, "hv-stimer", NULL },
                { "reset", QEMU_SET_HYPERV, "hv-reset", NULL },
                { "vendor_id", QEMU_SET_HYPERV, NULL, NULL },
                { "frequencies", QEMU_SET_HYPERV, "hv-frequencies", NULL },
                { "reenlightenment", QEMU_SET_HYPERV, "hv-reenlightenment", NULL },
                { "tlbflush", QEMU_SET_HYPERV, "hv-tlbflush", NULL },
                { "ipi", QEMU_SET_HYPERV, "hv-ipi", NULL },
                { "evmcs", QEMU_SET_HYPERV, "hv-evmcs", NULL },
                { "avic", QEMU_SET_HYPERV, "hv-avic", NULL },
        };
        bool supported = is_pc(output) && output->accel == QEMU_ACCEL_KVM;

        open_supported(output, "hyperv", supported);
        if (supported)
                PUT_CHOICES(output, "features", features);
        xml_close(&output->xml);
}

static void put_domain_features(DomainOutput *output) {
        xml_open(&output->xml, "features");
        put_gic(output);
        put_supported(output, "vmcoreinfo", has_type(output, "vmcoreinfo"));
        put_supported(output, "genid", false);
        put_supported(output, "backingStoreInput", true);
        put_supported(output, "backup", false);
        put_supported(output, "sev", false);
        put_supported(output, "sgx", false);
        put_hyperv(output);
        xml_close(&output->xml);
}

char *qemu_domain_capabilities_format(const QemuCapabilities *capabilities, const char *arch,
                                      const QemuMachine *machine, QemuAccel accel) {
        DomainOutput output = {
                .capabilities = capabilities,
                .cpus = qemu_capabilities_cpus(capabilities, accel),
                .arch = arch,
                .machine = machine,
                .accel = accel,
        };

        xml_output_begin(&output.xml);
        xml_open(&output.xml, "domainCapabilities");
        xml_element(&output.xml, "path", qemu_capabilities_path(capabilities));
        xml_element(&output.xml, "domain", accel == QEMU_ACCEL_KVM ? "kvm" : "qemu");
        xml_element(&output.xml, "machine", machine->name);
        xml_element(&output.xml, "arch", arch);
        xml_open(&output.xml, "vcpu");
        xml_number(&output.xml, "max", machine->max_cpus);
        xml_close(&output.xml);
        put_supported(&output, "iothreads", false);
        put_os(&output);
        put_cpu(&output);
        put_supported(&output, "memoryBacking", false);
        put_devices(&output);
        put_domain_features(&output);
        xml_close(&output.xml);
        return xml_output_end(&output.xml);
}
