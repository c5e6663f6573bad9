/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The buses that devices sit on. */
#include "qemu/command-build.h"

#include "base/error.h"

static void add_number_if_set(VbJson *device, const char *key, VbOptUint value) {
        if (value.set)
                qemu_json_add_number(device, key, value.value);
}

static void add_number_if_given(VbJson *device, const char *key, uint32_t value) {
        if (value != 0)
                qemu_json_add_number(device, key, value);
}

/* --- PCI --- */

typedef struct PciModel {
        VbControllerModel model;
        VbPciModelName name; /* absent: the model's usual one */
        const char *driver;
} PciModel;

static const PciModel pci_models[] = {
        { VB_CONTROLLER_MODEL_PCI_BRIDGE, VB_PCI_MODEL_NAME_PCI_BRIDGE, "pci-bridge" },
        { VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE, VB_PCI_MODEL_NAME_I82801B11_BRIDGE, "i82801b11-bridge" },
        { VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE, VB_PCI_MODEL_NAME_PCIE_PCI_BRIDGE, "pcie-pci-bridge" },
        { VB_CONTROLLER_MODEL_PCIE_ROOT_PORT, VB_PCI_MODEL_NAME_PCIE_ROOT_PORT, "pcie-root-port" },
        { VB_CONTROLLER_MODEL_PCIE_ROOT_PORT, VB_PCI_MODEL_NAME_IOH3420, "ioh3420" },
        { VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT, VB_PCI_MODEL_NAME_X3130_UPSTREAM, "x3130-upstream" },
        { VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT, VB_PCI_MODEL_NAME_XIO3130_DOWNSTREAM,
          "xio3130-downstream" },
        { VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS, VB_PCI_MODEL_NAME_PXB, "pxb" },
        { VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS, VB_PCI_MODEL_NAME_PXB_PCIE, "pxb-pcie" },
};

static const char *pci_driver(const VbController *controller) {
        for (size_t i = 0; i < G_N_ELEMENTS(pci_models); i++)
                if (pci_models[i].model == controller->model &&
                    (controller->model_name == VB_PCI_MODEL_NAME_ABSENT ||
                     controller->model_name == pci_models[i].name))
                        return pci_models[i].driver;
        return NULL;
}

static void add_pci_target(VbJson *device, const VbController *controller) {
        const VbPciAddress *address = &controller->info.address.pci;
        uint32_t place = controller->info.address.type == VB_ADDRESS_PCI ?
                                 (uint32_t) address->slot << 3 | address->function :
                                 0;

        switch (controller->model) {
        case VB_CONTROLLER_MODEL_PCI_BRIDGE:
                qemu_json_add_number(device, "chassis_nr",
                                     controller->chassis_nr.set ? controller->chassis_nr.value :
                                                                  controller->index.value);
                break;
        case VB_CONTROLLER_MODEL_PCIE_ROOT_PORT:
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
                qemu_json_add_number(device, "port", controller->port.set ? controller->port.value : place);
                qemu_json_add_number(device, "chassis",
                                     controller->chassis.set ? controller->chassis.value : controller->index.value);
                qemu_device_add_tristate(device, "hotplug", controller->hotplug);
                break;
        case VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        case VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
                add_number_if_set(device, "bus_nr", controller->bus_nr);
                break;
        default:
                break;
        }
}

/* --- USB --- */

static const char *usb_driver(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_ABSENT:
        case VB_CONTROLLER_MODEL_USB_PIIX3_UHCI:
                return "piix3-usb-uhci";
        case VB_CONTROLLER_MODEL_USB_PIIX4_UHCI:
                return "piix4-usb-uhci";
        case VB_CONTROLLER_MODEL_USB_EHCI:
                return "usb-ehci";
        case VB_CONTROLLER_MODEL_USB_ICH9_EHCI1:
                return "ich9-usb-ehci1";
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI1:
                return "ich9-usb-uhci1";
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI2:
                return "ich9-usb-uhci2";
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI3:
                return "ich9-usb-uhci3";
        case VB_CONTROLLER_MODEL_USB_VT82C686B_UHCI:
                return "vt82c686b-usb-uhci";
        case VB_CONTROLLER_MODEL_USB_PCI_OHCI:
                return "pci-ohci";
        case VB_CONTROLLER_MODEL_USB_NEC_XHCI:
                return "nec-usb-xhci";
        case VB_CONTROLLER_MODEL_USB_QEMU_XHCI:
                return "qemu-xhci";
        default:
                return NULL;
        }
}

static void add_usb_options(const QemuContext *context, VbJson *device, const VbController *controller) {
        if (controller->master_start_port.set) {
                const VbController *master =
                        qemu_context_find_controller(context, VB_CONTROLLER_USB, controller->index.value);

                /* Companions have no bus of their own: their ports are their master's. Neither have they a name. */
                json_object_object_del(device, "id");
                if (master)
                        qemu_json_addf(device, "masterbus", "%s.0", master->info.alias);
                qemu_json_add_number(device, "firstport", controller->master_start_port.value);
        }

        if (controller->ports.set && (controller->model == VB_CONTROLLER_MODEL_USB_NEC_XHCI ||
                                      controller->model == VB_CONTROLLER_MODEL_USB_QEMU_XHCI)) {
                qemu_json_add_number(device, "p2", controller->ports.value);
                qemu_json_add_number(device, "p3", controller->ports.value);
        }
}

/* --- SCSI --- */

static const char *scsi_driver(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_ABSENT:
        case VB_CONTROLLER_MODEL_SCSI_AUTO:
        case VB_CONTROLLER_MODEL_SCSI_LSILOGIC:
                return "lsi53c895a";
        case VB_CONTROLLER_MODEL_SCSI_LSISAS1068:
                return "mptsas1068";
        case VB_CONTROLLER_MODEL_SCSI_LSISAS1078:
                return "megasas";
        case VB_CONTROLLER_MODEL_SCSI_VMPVSCSI:
                return "pvscsi";
        case VB_CONTROLLER_MODEL_SCSI_AM53C974:
                return "am53c974";
        case VB_CONTROLLER_MODEL_SCSI_DC390:
                return "dc390";
        case VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI:
                return "virtio-scsi-pci";
        case VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL:
                return "virtio-scsi-pci-transitional";
        case VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL:
                return "virtio-scsi-pci-non-transitional";
        default:
                return NULL;
        }
}

static void add_scsi_options(VbJson *device, const VbController *controller) {
        if (!g_str_has_prefix(scsi_driver(controller->model), "virtio-"))
                return;

        add_number_if_given(device, "num_queues", controller->queues);
        add_number_if_given(device, "cmd_per_lun", controller->cmd_per_lun);
        add_number_if_given(device, "max_sectors", controller->max_sectors);
        qemu_device_add_tristate(device, "ioeventfd", controller->ioeventfd);
        if (controller->iothread > 0)
                qemu_json_addf(device, "iothread", "iothread%u", controller->iothread);
        qemu_device_add_virtio(device, &controller->virtio);
}

/* --- Others --- */

static const char *virtio_serial_driver(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL:
                return "virtio-serial-pci-transitional";
        case VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL:
                return "virtio-serial-pci-non-transitional";
        default:
                return "virtio-serial-pci";
        }
}

static const char *controller_driver(const VbController *controller) {
        switch (controller->type) {
        case VB_CONTROLLER_PCI:
                return pci_driver(controller);
        case VB_CONTROLLER_USB:
                return usb_driver(controller->model);
        case VB_CONTROLLER_SCSI:
                return scsi_driver(controller->model);
        case VB_CONTROLLER_SATA:
                return "ich9-ahci";
        case VB_CONTROLLER_FDC:
                return "isa-fdc";
        case VB_CONTROLLER_VIRTIO_SERIAL:
                return virtio_serial_driver(controller->model);
        case VB_CONTROLLER_CCID:
                return "usb-ccid";
        default:
                return NULL;
        }
}

static void add_floppy_boot_order(const QemuContext *context, VbJson *device) {
        const VbDomainDefinition *definition = context->definition;

        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];
                uint32_t order = qemu_boot_index(context, &disk->info);

                if (disk->bus == VB_DISK_BUS_FDC && order != 0)
                        qemu_json_add_number(device, disk->info.address.drive.unit == 0 ? "bootindexA" : "bootindexB",
                                             order);
        }
}

int qemu_controller_device(const QemuContext *context, const VbController *controller, VbJson **ret,
                           sd_bus_error *reterr) {
        const char *type = vb_controller_type_to_string(controller->type);
        const char *model = vb_controller_model_to_string(controller->model);
        g_autofree char *what = NULL;
        g_autoptr(VbJson) device = NULL;
        const char *driver;
        int r;

        if (qemu_context_controller_is_builtin(context, controller) ||
            controller->model == VB_CONTROLLER_MODEL_USB_NONE) {
                *ret = NULL;
                return 0;
        }

        what = model ? g_strdup_printf("%s controller %u of model '%s'", type, controller->index.value, model) :
                       g_strdup_printf("%s controller %u", type, controller->index.value);
        driver = controller_driver(controller);
        if (!driver)
                return qemu_unsupported(context, reterr, "%s is not something machine type '%s' can have", what,
                                        context->definition->os.machine);

        r = qemu_device_new(context, driver, &controller->info, what, &device, reterr);
        if (r < 0)
                return r;

        switch (controller->type) {
        case VB_CONTROLLER_PCI:
                add_pci_target(device, controller);
                break;
        case VB_CONTROLLER_USB:
                add_usb_options(context, device, controller);
                break;
        case VB_CONTROLLER_SCSI:
                add_scsi_options(device, controller);
                break;
        case VB_CONTROLLER_VIRTIO_SERIAL:
                add_number_if_set(device, "max_ports", controller->ports);
                add_number_if_set(device, "vectors", controller->vectors);
                qemu_device_add_tristate(device, "ioeventfd", controller->ioeventfd);
                qemu_device_add_virtio(device, &controller->virtio);
                break;
        case VB_CONTROLLER_FDC:
                add_floppy_boot_order(context, device);
                break;
        default:
                break;
        }

        *ret = g_steal_pointer(&device);
        return 0;
}

static int build_controller(QemuBuild *build, const VbController *controller, sd_bus_error *reterr) {
        VbJson *device;
        int r;

        r = qemu_controller_device(&build->context, controller, &device, reterr);
        if (r < 0)
                return r;
        if (device)
                qemu_build_add_json(build, "-device", device);
        return 0;
}

/* A bus must exist before what sits on it. Among PCI bridges the definition may have any order, so each goes after the one that
 * it sits on. pending[i] is cleared before its parent is looked at: a loop of bridges ends there, and QEMU says which bus is missing. */
static int build_pci_controller(QemuBuild *build, size_t i, bool *pending, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        const VbController *controller = definition->controllers.items[i];
        const VbAddress *address = &controller->info.address;
        int r;

        if (!pending[i])
                return 0;
        pending[i] = false;

        for (size_t j = 0; address->type == VB_ADDRESS_PCI && j < definition->controllers.n; j++) {
                const VbController *parent = definition->controllers.items[j];

                if (parent->type != VB_CONTROLLER_PCI || parent->index.value != address->pci.bus)
                        continue;
                r = build_pci_controller(build, j, pending, reterr);
                if (r < 0)
                        return r;
        }
        return build_controller(build, controller, reterr);
}

static int build_other_controllers(QemuBuild *build, bool companions, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        int r;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *controller = definition->controllers.items[i];

                if (controller->type == VB_CONTROLLER_PCI || controller->master_start_port.set != companions)
                        continue;
                r = build_controller(build, controller, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_build_controllers(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        g_autofree bool *pending = g_new0(bool, definition->controllers.n + 1);
        int r;

        for (size_t i = 0; i < definition->controllers.n; i++)
                pending[i] = definition->controllers.items[i]->type == VB_CONTROLLER_PCI;
        for (size_t i = 0; i < definition->controllers.n; i++) {
                r = build_pci_controller(build, i, pending, reterr);
                if (r < 0)
                        return r;
        }

        r = build_other_controllers(build, /* companions= */ false, reterr);
        if (r < 0)
                return r;
        return build_other_controllers(build, /* companions= */ true, reterr);
}
