/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Completing a definition: what was left open gets its value, once, so that it stays the same from then on.
 * Devices that nobody named are those that libvirt 9.0 adds. */

#include <string.h>

#include "base/error.h"
#include "base/uuid.h"
#include "model/address.h"
#include "model/domain.h"
#include "model/implicit.h"
#include "model/machine.h"

/* Identity. */

static void set_uuid(VbDomainDefinition *definition) {
        VbUuid uuid;

        if (!sd_id128_is_null(definition->uuid))
                return;
        uuid = vb_uuid_new();
        memcpy(&definition->uuid, uuid.bytes, sizeof(definition->uuid));
}

/* The prefix belongs to QEMU and KVM guests. */
static void set_macs(VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->interfaces.n; i++) {
                VbMac *mac = &definition->interfaces.items[i]->mac;
                VbUuid random;

                if (vb_mac_is_set(mac))
                        continue;
                random = vb_uuid_new();
                *mac = (VbMac) { { 0x52, 0x54, 0x00, random.bytes[0], random.bytes[1], random.bytes[2] } };
        }
}

static int set_machine(VbDomainDefinition *definition, const VbDomainHost *host, sd_bus_error *reterr) {
        g_autofree char *machine = NULL;
        int r;

        if (!definition->os.arch)
                definition->os.arch = g_strdup(host->arch);
        if (!definition->emulator) {
                r = host->find_emulator(host->userdata, definition->type, definition->os.arch,
                                        &definition->emulator, reterr);
                if (r < 0)
                        return r;
        }

        r = host->resolve_machine(host->userdata, definition->emulator, definition->os.arch,
                                  definition->os.machine, &machine, reterr);
        if (r < 0)
                return r;
        g_free(definition->os.machine);
        definition->os.machine = g_steal_pointer(&machine);
        return 0;
}

/* "qemu64-x86_64-cpu" → "qemu64". */
static char *model_of_type(const char *type) {
        g_autofree char *model = g_strdup(type);

        for (int i = 0; i < 2; i++) {
                char *hyphen = strrchr(model, '-');

                if (hyphen)
                        *hyphen = '\0';
        }
        return g_steal_pointer(&model);
}

static void set_cpu(VbDomainDefinition *definition, const VbDomainHost *host) {
        VbCpu *cpu = definition->cpu;
        const char *type;

        if (cpu && (cpu->mode != VB_CPU_MODE_ABSENT || cpu->model))
                return;
        type = host->default_cpu
                       ? host->default_cpu(host->userdata, definition->emulator, definition->os.machine)
                       : NULL;
        if (!type)
                return;

        if (!cpu)
                cpu = definition->cpu = g_new0(VbCpu, 1);
        cpu->mode = VB_CPU_MODE_CUSTOM;
        cpu->match = VB_CPU_MATCH_EXACT;
        cpu->check = VB_CPU_CHECK_NONE;
        cpu->fallback = VB_CPU_FALLBACK_FORBID;
        cpu->model = model_of_type(type);
}

/* Hard disks first, unless somebody has said otherwise. */
static int has_boot_order(const char *kind, void *device, VbDeviceInfo *info, void *userdata) {
        return info->boot_order != 0;
}

static void set_boot(VbDomainDefinition *definition) {
        VbBoot *boot;

        if (definition->os.boot.n > 0 ||
            vb_domain_definition_foreach_device(definition, has_boot_order, NULL) != 0)
                return;
        boot = g_new0(VbBoot, 1);
        boot->device = VB_BOOT_HD;
        VB_LIST_APPEND(&definition->os.boot, boot);
}

/* What the check of a CPU, and migration, are by default. */
static void set_cpu_details(VbDomainDefinition *definition) {
        VbCpu *cpu = definition->cpu;

        if (!cpu)
                return;
        if (cpu->check == VB_CPU_CHECK_ABSENT)
                switch (cpu->mode) {
                case VB_CPU_MODE_HOST_PASSTHROUGH:
                case VB_CPU_MODE_MAXIMUM: cpu->check = VB_CPU_CHECK_NONE; break;
                case VB_CPU_MODE_HOST_MODEL: cpu->check = VB_CPU_CHECK_PARTIAL; break;
                case VB_CPU_MODE_CUSTOM:
                        cpu->check = definition->type == VB_DOMAIN_TYPE_KVM ? VB_CPU_CHECK_PARTIAL
                                                                            : VB_CPU_CHECK_NONE;
                        break;
                default: break;
                }
        if (cpu->migratable == VB_TRISTATE_ABSENT && cpu->mode == VB_CPU_MODE_HOST_PASSTHROUGH)
                cpu->migratable = VB_TRISTATE_YES;
}

static void set_features(VbDomainDefinition *definition, VbMachineKind machine) {
        if (machine != VB_MACHINE_VIRT || !g_str_equal(definition->os.arch, "aarch64"))
                return;
        if (!definition->features)
                definition->features = g_new0(VbFeatures, 1);
        if (!definition->features->gic) {
                definition->features->gic = true;
                definition->features->gic_version =
                        definition->type == VB_DOMAIN_TYPE_KVM ? VB_GIC_VERSION_HOST : VB_GIC_VERSION_2;
        }
}

/* Controllers without an index get the lowest free one; a PCI controller that is no root begins at 1. The
 * companions of a USB 2 controller share theirs with it. */

static bool is_usb2(const VbController *c) {
        return c->type == VB_CONTROLLER_USB && c->model >= VB_CONTROLLER_MODEL_USB_ICH9_EHCI1 &&
               c->model <= VB_CONTROLLER_MODEL_USB_ICH9_UHCI3;
}

static const VbController *usb2_master(const VbDomainDefinition *definition, const VbController *companion) {
        const VbController *master = NULL;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *other = definition->controllers.items[i];

                if (other == companion)
                        break;
                if (is_usb2(other) && other->index.set)
                        master = other->model == companion->model ? NULL : other;
        }
        return master;
}

static void set_controller_indexes(VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->controllers.n; i++) {
                VbController *controller = definition->controllers.items[i];
                bool root = controller->model == VB_CONTROLLER_MODEL_PCI_ROOT ||
                            controller->model == VB_CONTROLLER_MODEL_PCIE_ROOT;
                const VbController *master = is_usb2(controller) ? usb2_master(definition, controller) : NULL;
                uint32_t index = controller->type == VB_CONTROLLER_PCI && !root ? 1 : 0;

                if (controller->index.set)
                        continue;
                if (master)
                        index = master->index.value;
                else
                        while (vb_domain_find_controller(definition, controller->type, index))
                                index++;
                controller->index = (VbOptUint) VB_OPT(index);
        }
}

static int check_places(VbDomainDefinition *definition, VbMachineKind machine, sd_bus_error *reterr) {
        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];

                if (disk->bus == VB_DISK_BUS_VIRTIO && disk->info.address.type == VB_ADDRESS_DRIVE)
                        return sd_bus_error_setf(
                                reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                "disk '%s': on bus 'virtio' an address of type 'pci' is wanted, not 'drive'",
                                disk->target);
                if (disk->bus == VB_DISK_BUS_IDE && machine == VB_MACHINE_Q35)
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "disk '%s': machine '%s' has no IDE; use bus 'sata'",
                                                 disk->target, definition->os.machine);
        }
        return 0;
}

int vb_domain_definition_complete(VbDomainDefinition *definition, const VbDomainHost *host,
                                  sd_bus_error *reterr) {
        static int (*const assign[])(VbDomainDefinition *, sd_bus_error *) = {
                vb_address_assign_virtio_serial,
                vb_address_assign_pci,
                vb_address_assign_usb,
        };
        VbMachineKind machine;
        int r;

        r = set_machine(definition, host, reterr);
        if (r < 0)
                return r;
        machine = vb_machine_kind(&definition->os);

        r = check_places(definition, machine, reterr);
        if (r < 0)
                return r;

        set_uuid(definition);
        set_macs(definition);
        set_boot(definition);
        set_cpu(definition, host);
        set_cpu_details(definition);
        set_features(definition, machine);
        set_controller_indexes(definition);

        r = vb_implicit_add(definition, host, reterr);
        if (r < 0)
                return r;

        for (size_t i = 0; i < G_N_ELEMENTS(assign); i++) {
                r = assign[i](definition, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}
