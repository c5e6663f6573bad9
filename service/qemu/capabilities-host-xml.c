/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <capabilities>: the host, and which guests its emulators run. */

#include <string.h>

#include "qemu/capabilities-output.h"
#include "qemu/capabilities-xml.h"
#include "qemu/cpu-side.h"

/* --- The processor --- */

static const QemuCpuTable *host_cpus(const VbHost *host, const QemuGuestKind *guests, size_t n_guests,
                                     QemuAccel accel) {
        for (size_t i = 0; i < n_guests; i++)
                if (g_str_equal(guests[i].emulator->arch, host->arch))
                        return qemu_capabilities_cpus(guests[i].capabilities, accel);
        return NULL;
}

/* Which named model the processor is: one that has nothing that the processor lacks; what the processor has
 * beyond it is listed. Through KVM, QEMU tells that itself; else what the kernel says must do. */
static void put_model(XmlOutput *output, const QemuCpuTable *cpus, const QemuCpuModel *model) {
        xml_element(output, "model", qemu_cpu_table_well_known_name(cpus, model->name));
        xml_element(output, "vendor", qemu_cpu_vendor_to_xml(model->vendor));
}

static void put_features(XmlOutput *output, const char *const *features) {
        for (; *features; features++) {
                xml_open(output, "feature");
                xml_attribute(output, "name", qemu_cpu_feature_to_xml(*features));
                xml_close(output);
        }
}

static void put_signature(XmlOutput *output, const VbHost *host) {
        if (host->cpu_microcode) {
                xml_open(output, "microcode");
                xml_number(output, "version", host->cpu_microcode);
                xml_close(output);
        }
        if (host->cpu_family) {
                xml_open(output, "signature");
                xml_number(output, "family", host->cpu_family);
                xml_number(output, "model", host->cpu_model);
                xml_number(output, "stepping", host->cpu_stepping);
                xml_close(output);
        }
        xml_open(output, "topology");
        xml_number(output, "sockets", host->sockets);
        xml_number(output, "dies", host->dies);
        xml_number(output, "cores", host->cores);
        xml_number(output, "threads", host->threads);
        xml_close(output);
        if (host->cpu_physical_bits) {
                xml_open(output, "maxphysaddr");
                xml_attribute(output, "mode", "emulate");
                xml_number(output, "bits", host->cpu_physical_bits);
                xml_close(output);
        }
}

/* The features are to be freed with g_ptr_array_unref(), the model with g_free(). */
static QemuCpuModel *guess_model(const VbHost *host, const QemuCpuTable *cpus, GPtrArray **ret_features) {
        g_autoptr(QemuCpuSide) side = qemu_cpu_side_of_processor(cpus, host);
        const QemuCpuDefinition *definition = qemu_cpu_side_model(cpus, side, ret_features);
        QemuCpuModel *model;

        if (!definition)
                return NULL;
        model = g_new(QemuCpuModel, 1);
        *model = (QemuCpuModel){
                .name = definition->name,
                .vendor = definition->vendor,
                .required = (const char *const *) (*ret_features)->pdata,
        };
        return model;
}

static void put_cpu(XmlOutput *output, const VbHost *host, const QemuCpuTable *kvm, const QemuCpuTable *tcg) {
        g_autoptr(GPtrArray) features = NULL;
        g_autofree QemuCpuModel *guessed = kvm || !tcg ? NULL : guess_model(host, tcg, &features);
        const QemuCpuModel *model = kvm ? qemu_cpu_table_host_base(kvm) : guessed;
        const QemuCpuTable *cpus = kvm ?: tcg;

        xml_open(output, "cpu");
        xml_element(output, "arch", host->arch);
        if (model)
                put_model(output, cpus, model);
        else if (host->cpu_vendor[0])
                xml_element(output, "vendor", qemu_cpu_vendor_to_xml(host->cpu_vendor));
        put_signature(output, host);
        if (model)
                put_features(output, model->required);
        for (guint i = 0; i < host->page_sizes->len; i++) {
                xml_open(output, "pages");
                xml_attribute(output, "unit", "KiB");
                xml_number(output, "size", g_array_index(host->page_sizes, uint64_t, i));
                xml_close(output);
        }
        xml_close(output);
}

/* --- The machine --- */

static void put_power(XmlOutput *output, const VbHost *host) {
        xml_open(output, "power_management");
        if (host->suspend_mem)
                xml_element(output, "suspend_mem", NULL);
        if (host->suspend_disk)
                xml_element(output, "suspend_disk", NULL);
        if (host->suspend_hybrid)
                xml_element(output, "suspend_hybrid", NULL);
        xml_close(output);

        xml_open(output, "iommu");
        xml_attribute(output, "support", host->iommu ? "yes" : "no");
        xml_close(output);
}

static void put_distances(XmlOutput *output, const VbHost *host, const VbHostCell *cell) {
        if (cell->distances->len == 0)
                return;
        xml_open(output, "distances");
        for (guint i = 0; i < cell->distances->len && i < host->cells->len; i++) {
                xml_open(output, "sibling");
                xml_number(output, "id", ((const VbHostCell *) host->cells->pdata[i])->id);
                xml_number(output, "value", g_array_index(cell->distances, unsigned, i));
                xml_close(output);
        }
        xml_close(output);
}

static void put_cell(XmlOutput *output, const VbHost *host, const VbHostCell *cell) {
        xml_open(output, "cell");
        xml_number(output, "id", cell->id);

        xml_open(output, "memory");
        xml_attribute(output, "unit", "KiB");
        (void) xmlTextWriterWriteFormatString(output->writer, "%" G_GUINT64_FORMAT, cell->memory);
        xml_close(output);
        for (guint i = 0; i < cell->pages->len; i++) {
                const VbHostPages *pages = &g_array_index(cell->pages, VbHostPages, i);

                xml_open(output, "pages");
                xml_attribute(output, "unit", "KiB");
                xml_number(output, "size", pages->size);
                (void) xmlTextWriterWriteFormatString(output->writer, "%" G_GUINT64_FORMAT, pages->count);
                xml_close(output);
        }
        put_distances(output, host, cell);

        xml_open(output, "cpus");
        xml_number(output, "num", cell->cpus->len);
        for (guint i = 0; i < cell->cpus->len; i++) {
                const VbHostCpu *cpu = &g_array_index(cell->cpus, VbHostCpu, i);

                xml_open(output, "cpu");
                xml_number(output, "id", cpu->id);
                xml_number(output, "socket_id", cpu->socket);
                xml_number(output, "die_id", cpu->die);
                xml_number(output, "core_id", cpu->core);
                xml_attribute(output, "siblings", cpu->siblings);
                xml_close(output);
        }
        xml_close(output);
        xml_close(output);
}

static void put_topology(XmlOutput *output, const VbHost *host) {
        xml_open(output, "topology");
        xml_open(output, "cells");
        xml_number(output, "num", host->cells->len);
        for (guint i = 0; i < host->cells->len; i++)
                put_cell(output, host, host->cells->pdata[i]);
        xml_close(output);
        xml_close(output);
}

static void put_caches(XmlOutput *output, const VbHost *host) {
        if (host->caches->len == 0)
                return;
        xml_open(output, "cache");
        for (guint i = 0; i < host->caches->len; i++) {
                const VbHostCache *cache = &g_array_index(host->caches, VbHostCache, i);
                bool whole = cache->size % 1024 == 0;

                xml_open(output, "bank");
                xml_number(output, "id", cache->id);
                xml_number(output, "level", cache->level);
                xml_attribute(output, "type", cache->type);
                xml_number(output, "size", whole ? cache->size / 1024 : cache->size);
                xml_attribute(output, "unit", whole ? "MiB" : "KiB");
                xml_attribute(output, "cpus", cache->cpus);
                xml_close(output);
        }
        xml_close(output);
}

/* A guest runs as its owner, which for root's guests is this user. */
static void put_security(XmlOutput *output, uid_t uid, gid_t gid) {
        static const char *const types[] = { "kvm", "qemu" };

        xml_open(output, "secmodel");
        xml_element(output, "model", "none");
        xml_element(output, "doi", "0");
        xml_close(output);

        xml_open(output, "secmodel");
        xml_element(output, "model", "dac");
        xml_element(output, "doi", "0");
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                xml_open(output, "baselabel");
                xml_attribute(output, "type", types[i]);
                (void) xmlTextWriterWriteFormatString(output->writer, "+%u:+%u", uid, gid);
                xml_close(output);
        }
        xml_close(output);
}

static void put_host(XmlOutput *output, const VbHost *host, const QemuGuestKind *guests, size_t n_guests, uid_t uid,
                     gid_t gid) {
        xml_open(output, "host");
        if (host->uuid[0])
                xml_element(output, "uuid", host->uuid);
        put_cpu(output, host, host_cpus(host, guests, n_guests, QEMU_ACCEL_KVM),
                host_cpus(host, guests, n_guests, QEMU_ACCEL_TCG));
        put_power(output, host);
        put_topology(output, host);
        put_caches(output, host);
        put_security(output, uid, gid);
        xml_close(output);
}

/* --- Guests --- */

static void put_machine(XmlOutput *output, const QemuMachine *machine, bool alias) {
        xml_open(output, "machine");
        if (alias)
                xml_attribute(output, "canonical", machine->name);
        xml_number(output, "maxCpus", machine->max_cpus);
        if (machine->deprecated)
                xml_attribute(output, "deprecated", "yes");
        xml_text(output, alias ? machine->alias : machine->name);
        xml_close(output);
}

static void put_machine_and_alias(XmlOutput *output, const QemuMachine *machine) {
        put_machine(output, machine, /* alias= */ false);
        if (machine->alias)
                put_machine(output, machine, /* alias= */ true);
}

/* The default comes first: that is how clients find it. */
static void put_machines(XmlOutput *output, const QemuCapabilities *capabilities) {
        const QemuMachine *preferred = qemu_capabilities_find_machine(capabilities, NULL);
        size_t n;
        const QemuMachine *machines = qemu_capabilities_machines(capabilities, &n);

        if (preferred)
                put_machine_and_alias(output, preferred);
        for (size_t i = 0; i < n; i++)
                if (&machines[i] != preferred)
                        put_machine_and_alias(output, &machines[i]);
}

static void put_feature(XmlOutput *output, const char *name, const char *by_default, const char *toggle) {
        xml_open(output, name);
        xml_attribute(output, "default", by_default);
        xml_attribute(output, "toggle", toggle);
        xml_close(output);
}

static void put_guest_features(XmlOutput *output, const char *arch) {
        bool pc = g_str_equal(arch, "i686") || g_str_equal(arch, "x86_64");

        xml_open(output, "features");
        if (g_str_equal(arch, "i686")) {
                xml_element(output, "pae", NULL);
                xml_element(output, "nonpae", NULL);
        }
        if (pc || g_str_equal(arch, "aarch64"))
                put_feature(output, "acpi", "on", "yes");
        if (pc)
                put_feature(output, "apic", "on", "no");
        xml_element(output, "cpuselection", NULL);
        xml_element(output, "deviceboot", NULL);
        put_feature(output, "disksnapshot", "off", "no");
        xml_close(output);
}

static void put_guest(XmlOutput *output, const QemuGuestKind *guest) {
        static const struct {
                QemuAccel accel;
                const char *type;
        } types[] = { { QEMU_ACCEL_TCG, "qemu" }, { QEMU_ACCEL_KVM, "kvm" } };

        xml_open(output, "guest");
        xml_element(output, "os_type", "hvm");
        xml_open(output, "arch");
        xml_attribute(output, "name", guest->emulator->arch);
        xml_open(output, "wordsize");
        (void) xmlTextWriterWriteFormatString(output->writer, "%u", guest->emulator->word_size);
        xml_close(output);
        xml_element(output, "emulator", guest->emulator->path);
        put_machines(output, guest->capabilities);
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (qemu_capabilities_has_accel(guest->capabilities, types[i].accel)) {
                        xml_open(output, "domain");
                        xml_attribute(output, "type", types[i].type);
                        xml_close(output);
                }
        xml_close(output);
        put_guest_features(output, guest->emulator->arch);
        xml_close(output);
}

char *qemu_host_capabilities_format(const VbHost *host, const QemuGuestKind *guests, size_t n_guests,
                                    uid_t owner_uid, gid_t owner_gid) {
        XmlOutput output;

        xml_output_begin(&output);
        xml_open(&output, "capabilities");
        put_host(&output, host, guests, n_guests, owner_uid, owner_gid);
        for (size_t i = 0; i < n_guests; i++)
                put_guest(&output, &guests[i]);
        xml_close(&output);
        return xml_output_end(&output);
}
