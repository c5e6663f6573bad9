/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/command-device.h"

#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "qemu/command-text.h"

QemuAccel qemu_context_accel(const QemuContext *context) {
        return context->definition->type == VB_DOMAIN_TYPE_KVM ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG;
}

bool qemu_context_is_x86(const QemuContext *context) {
        const char *arch = qemu_capabilities_arch(context->capabilities);

        return strcmp(arch, "x86_64") == 0 || strcmp(arch, "i386") == 0;
}

bool qemu_context_is_i440fx(const QemuContext *context) {
        const char *machine = context->definition->os.machine;

        return qemu_context_is_x86(context) && machine &&
               (strcmp(machine, "pc") == 0 || g_str_has_prefix(machine, "pc-i440fx-"));
}

bool qemu_context_is_q35(const QemuContext *context) {
        const char *machine = context->definition->os.machine;

        return qemu_context_is_x86(context) && machine &&
               (strcmp(machine, "q35") == 0 || g_str_has_prefix(machine, "pc-q35-"));
}

bool qemu_context_offers_type(const QemuContext *context, const char *name) {
        return qemu_capabilities_offers(context->capabilities, QEMU_SET_TYPE, name);
}

const VbController *qemu_context_find_controller(const QemuContext *context, VbControllerType type, uint32_t index) {
        const VbDomainDefinition *definition = context->definition;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *controller = definition->controllers.items[i];

                /* The companions of an EHCI controller share its index; the bus is the master's. */
                if (controller->type == type && controller->index.value == index &&
                    !controller->master_start_port.set)
                        return controller;
        }
        return NULL;
}

bool qemu_context_controller_is_builtin(const QemuContext *context, const VbController *controller) {
        switch (controller->type) {
        case VB_CONTROLLER_PCI:
                return controller->model == VB_CONTROLLER_MODEL_PCI_ROOT ||
                       controller->model == VB_CONTROLLER_MODEL_PCIE_ROOT;
        case VB_CONTROLLER_IDE:
                return controller->index.value == 0 && qemu_context_is_i440fx(context);
        case VB_CONTROLLER_SATA:
                return controller->index.value == 0 && qemu_context_is_q35(context);
        case VB_CONTROLLER_FDC:
                return controller->index.value == 0 && qemu_context_is_i440fx(context);
        case VB_CONTROLLER_ISA:
                return true;
        default:
                return false;
        }
}

static int set_unsupported(const QemuContext *context, sd_bus_error *reterr, const char *text, bool name_emulator) {
        unsigned version = qemu_capabilities_version(context->capabilities);
        g_autofree char *emulator = NULL;

        if (name_emulator)
                emulator = g_strdup_printf(": not offered by %s (%u.%u.%u)",
                                           qemu_capabilities_path(context->capabilities), version / 1000000,
                                           version / 1000 % 1000, version % 1000);

        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "domain '%s': %s%s",
                                 context->definition->name, text, emulator ?: "");
}

int qemu_unsupported(const QemuContext *context, sd_bus_error *reterr, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        return set_unsupported(context, reterr, text, /* name_emulator= */ false);
}

int qemu_not_offered(const QemuContext *context, sd_bus_error *reterr, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        return set_unsupported(context, reterr, text, /* name_emulator= */ true);
}

static int add_pci_address(const QemuContext *context, VbJson *device, const VbPciAddress *address, const char *what,
                           sd_bus_error *reterr) {
        const VbController *controller;

        controller = qemu_context_find_controller(context, VB_CONTROLLER_PCI, address->bus);
        if (!controller)
                return qemu_unsupported(context, reterr, "%s: there is no PCI controller with index %u", what,
                                        address->bus);

        if (controller->model == VB_CONTROLLER_MODEL_PCI_ROOT)
                qemu_json_add(device, "bus", "pci.0");
        else if (controller->model == VB_CONTROLLER_MODEL_PCIE_ROOT)
                qemu_json_add(device, "bus", "pcie.0");
        else
                /* Bridges and ports name the bus behind them after themselves. */
                qemu_json_add(device, "bus", controller->info.alias);

        if (address->multifunction == VB_TRISTATE_YES)
                qemu_json_add_bool(device, "multifunction", true);
        if (address->function != 0)
                qemu_json_addf(device, "addr", "0x%x.0x%x", address->slot, address->function);
        else
                qemu_json_addf(device, "addr", "0x%x", address->slot);
        return 0;
}

static int add_usb_address(const QemuContext *context, VbJson *device, const VbUsbAddress *address, const char *what,
                           sd_bus_error *reterr) {
        g_autoptr(GString) port = g_string_new(NULL);
        const VbController *controller;

        controller = qemu_context_find_controller(context, VB_CONTROLLER_USB, address->bus);
        if (!controller || controller->model == VB_CONTROLLER_MODEL_USB_NONE)
                return qemu_unsupported(context, reterr, "%s: there is no USB controller with index %u", what,
                                        address->bus);

        qemu_json_addf(device, "bus", "%s.0", controller->info.alias);
        for (size_t i = 0; i < VB_USB_PORT_DEPTH_MAX && address->port[i] != 0; i++)
                g_string_append_printf(port, "%s%u", i > 0 ? "." : "", address->port[i]);
        if (port->len > 0)
                qemu_json_add(device, "port", port->str);
        return 0;
}

static int add_port_address(const QemuContext *context, VbJson *device, const VbPortAddress *address,
                            VbControllerType type, const char *key, const char *what, sd_bus_error *reterr) {
        const VbController *controller;

        controller = qemu_context_find_controller(context, type, address->controller);
        if (!controller)
                return qemu_unsupported(context, reterr, "%s: there is no %s controller with index %u", what,
                                        vb_controller_type_to_string(type), address->controller);

        qemu_json_addf(device, "bus", "%s.%u", controller->info.alias, address->bus);
        qemu_json_add_number(device, key, address->port);
        return 0;
}

static int add_address(const QemuContext *context, VbJson *device, const VbAddress *address, const char *what,
                       sd_bus_error *reterr) {
        switch (address->type) {
        case VB_ADDRESS_PCI:
                return add_pci_address(context, device, &address->pci, what, reterr);
        case VB_ADDRESS_USB:
                return add_usb_address(context, device, &address->usb, what, reterr);
        case VB_ADDRESS_VIRTIO_SERIAL:
                return add_port_address(context, device, &address->virtio_serial, VB_CONTROLLER_VIRTIO_SERIAL, "nr",
                                        what, reterr);
        case VB_ADDRESS_CCID:
                return add_port_address(context, device, &address->ccid, VB_CONTROLLER_CCID, "slot", what, reterr);
        case VB_ADDRESS_ISA:
                if (address->isa.iobase != 0)
                        qemu_json_add_number(device, "iobase", address->isa.iobase);
                if (address->isa.irq != 0)
                        qemu_json_add_number(device, "irq", address->isa.irq);
                return 0;
        default:
                /* Drive addresses are the disks' own, see command-disk.c. */
                return 0;
        }
}

static int add_rom(const QemuContext *context, VbJson *device, const VbRom *rom, const char *what,
                   sd_bus_error *reterr) {
        if (!rom)
                return 0;
        if (rom->file)
                return qemu_unsupported(context, reterr, "%s: option ROM files are not supported", what);

        if (rom->enabled == VB_TRISTATE_NO)
                qemu_json_add(device, "romfile", "");
        if (rom->bar != VB_TRISTATE_ABSENT)
                qemu_json_add_number(device, "rombar", rom->bar == VB_TRISTATE_YES);
        return 0;
}

int qemu_device_new(const QemuContext *context, const char *driver, const VbDeviceInfo *info, const char *what,
                    VbJson **ret, sd_bus_error *reterr) {
        g_autoptr(VbJson) device = NULL;
        int r;

        if (!qemu_context_offers_type(context, driver))
                return qemu_not_offered(context, reterr, "%s", what);

        device = qemu_json_new_driver(driver);
        if (info) {
                qemu_json_add(device, "id", info->alias);
                r = add_address(context, device, &info->address, what, reterr);
                if (r < 0)
                        return r;
                r = add_rom(context, device, info->rom, what, reterr);
                if (r < 0)
                        return r;
                if (info->acpi_index != 0)
                        qemu_json_add_number(device, "acpi-index", info->acpi_index);
        }

        *ret = g_steal_pointer(&device);
        return 0;
}

void qemu_device_add_tristate(VbJson *device, const char *key, VbTristate value) {
        if (value != VB_TRISTATE_ABSENT)
                qemu_json_add_bool(device, key, value == VB_TRISTATE_YES);
}

void qemu_device_add_virtio(VbJson *device, const VbVirtioOptions *options) {
        qemu_device_add_tristate(device, "iommu_platform", options->iommu);
        qemu_device_add_tristate(device, "ats", options->ats);
        qemu_device_add_tristate(device, "packed", options->packed);
        qemu_device_add_tristate(device, "page-per-vq", options->page_per_vq);
}

const char *qemu_virtio_suffix(VbVirtioModel model) {
        switch (model) {
        case VB_VIRTIO_MODEL_TRANSITIONAL:
                return "-transitional";
        case VB_VIRTIO_MODEL_NON_TRANSITIONAL:
                return "-non-transitional";
        default:
                return "";
        }
}

static VbBootDevice disk_boot_device(const VbDisk *disk) {
        switch (disk->device) {
        case VB_DISK_DEVICE_CDROM:
                return VB_BOOT_CDROM;
        case VB_DISK_DEVICE_FLOPPY:
                return VB_BOOT_FD;
        default:
                return VB_BOOT_HD;
        }
}

/* The first device of a kind is the one that <boot dev=…> means, as SeaBIOS and OVMF try every other one after it
 * anyway. */
static const VbDeviceInfo *first_of_kind(const VbDomainDefinition *definition, VbBootDevice kind) {
        if (kind == VB_BOOT_NETWORK)
                return definition->interfaces.n > 0 ? &definition->interfaces.items[0]->info : NULL;

        for (size_t i = 0; i < definition->disks.n; i++)
                if (disk_boot_device(definition->disks.items[i]) == kind)
                        return &definition->disks.items[i]->info;
        return NULL;
}

uint32_t qemu_boot_index(const QemuContext *context, const VbDeviceInfo *info) {
        const VbDomainDefinition *definition = context->definition;

        if (info->boot_order != 0)
                return info->boot_order;

        for (size_t i = 0; i < definition->os.boot.n; i++)
                if (first_of_kind(definition, definition->os.boot.items[i]->device) == info)
                        return (uint32_t) i + 1;
        return 0;
}
