/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/controller.h"

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_controller_type, VbControllerType, VB_CONTROLLER_TYPE_MAX,
                [VB_CONTROLLER_IDE] = "ide",
                [VB_CONTROLLER_FDC] = "fdc",
                [VB_CONTROLLER_SCSI] = "scsi",
                [VB_CONTROLLER_SATA] = "sata",
                [VB_CONTROLLER_VIRTIO_SERIAL] = "virtio-serial",
                [VB_CONTROLLER_CCID] = "ccid",
                [VB_CONTROLLER_USB] = "usb",
                [VB_CONTROLLER_PCI] = "pci",
                [VB_CONTROLLER_ISA] = "isa")
VB_STRING_TABLE(vb_controller_model, VbControllerModel, VB_CONTROLLER_MODEL_MAX,
                [VB_CONTROLLER_MODEL_PCI_ROOT] = "pci-root",
                [VB_CONTROLLER_MODEL_PCIE_ROOT] = "pcie-root",
                [VB_CONTROLLER_MODEL_PCI_BRIDGE] = "pci-bridge",
                [VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE] = "dmi-to-pci-bridge",
                [VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE] = "pcie-to-pci-bridge",
                [VB_CONTROLLER_MODEL_PCIE_ROOT_PORT] = "pcie-root-port",
                [VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT] = "pcie-switch-upstream-port",
                [VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT] = "pcie-switch-downstream-port",
                [VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS] = "pci-expander-bus",
                [VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS] = "pcie-expander-bus",
                [VB_CONTROLLER_MODEL_SCSI_AUTO] = "auto",
                [VB_CONTROLLER_MODEL_SCSI_LSILOGIC] = "lsilogic",
                [VB_CONTROLLER_MODEL_SCSI_LSISAS1068] = "lsisas1068",
                [VB_CONTROLLER_MODEL_SCSI_VMPVSCSI] = "vmpvscsi",
                [VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI] = "virtio-scsi",
                [VB_CONTROLLER_MODEL_SCSI_LSISAS1078] = "lsisas1078",
                [VB_CONTROLLER_MODEL_SCSI_AM53C974] = "am53c974",
                [VB_CONTROLLER_MODEL_SCSI_DC390] = "dc390",
                [VB_CONTROLLER_MODEL_USB_PIIX3_UHCI] = "piix3-uhci",
                [VB_CONTROLLER_MODEL_USB_PIIX4_UHCI] = "piix4-uhci",
                [VB_CONTROLLER_MODEL_USB_EHCI] = "ehci",
                [VB_CONTROLLER_MODEL_USB_ICH9_EHCI1] = "ich9-ehci1",
                [VB_CONTROLLER_MODEL_USB_ICH9_UHCI1] = "ich9-uhci1",
                [VB_CONTROLLER_MODEL_USB_ICH9_UHCI2] = "ich9-uhci2",
                [VB_CONTROLLER_MODEL_USB_ICH9_UHCI3] = "ich9-uhci3",
                [VB_CONTROLLER_MODEL_USB_VT82C686B_UHCI] = "vt82c686b-uhci",
                [VB_CONTROLLER_MODEL_USB_PCI_OHCI] = "pci-ohci",
                [VB_CONTROLLER_MODEL_USB_NEC_XHCI] = "nec-xhci",
                [VB_CONTROLLER_MODEL_USB_QEMU_XHCI] = "qemu-xhci",
                [VB_CONTROLLER_MODEL_USB_NONE] = "none",
                [VB_CONTROLLER_MODEL_IDE_PIIX3] = "piix3",
                [VB_CONTROLLER_MODEL_IDE_PIIX4] = "piix4",
                [VB_CONTROLLER_MODEL_IDE_ICH6] = "ich6",
                [VB_CONTROLLER_MODEL_VIRTIO] = "virtio",
                [VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL] = "virtio-transitional",
                [VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL] = "virtio-non-transitional")
VB_STRING_TABLE(vb_pci_model_name, VbPciModelName, VB_PCI_MODEL_NAME_MAX,
                [VB_PCI_MODEL_NAME_PCI_BRIDGE] = "pci-bridge",
                [VB_PCI_MODEL_NAME_I82801B11_BRIDGE] = "i82801b11-bridge",
                [VB_PCI_MODEL_NAME_IOH3420] = "ioh3420",
                [VB_PCI_MODEL_NAME_X3130_UPSTREAM] = "x3130-upstream",
                [VB_PCI_MODEL_NAME_XIO3130_DOWNSTREAM] = "xio3130-downstream",
                [VB_PCI_MODEL_NAME_PXB] = "pxb",
                [VB_PCI_MODEL_NAME_PXB_PCIE] = "pxb-pcie",
                [VB_PCI_MODEL_NAME_PCIE_ROOT_PORT] = "pcie-root-port",
                [VB_PCI_MODEL_NAME_PCIE_PCI_BRIDGE] = "pcie-pci-bridge")

bool vb_controller_model_fits(VbControllerType type, VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_ABSENT: return true;
        case VB_CONTROLLER_MODEL_PCI_ROOT ... VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
                return type == VB_CONTROLLER_PCI;
        case VB_CONTROLLER_MODEL_SCSI_AUTO ... VB_CONTROLLER_MODEL_SCSI_DC390:
                return type == VB_CONTROLLER_SCSI;
        case VB_CONTROLLER_MODEL_USB_PIIX3_UHCI ... VB_CONTROLLER_MODEL_USB_NONE:
                return type == VB_CONTROLLER_USB;
        case VB_CONTROLLER_MODEL_IDE_PIIX3 ... VB_CONTROLLER_MODEL_IDE_ICH6: return type == VB_CONTROLLER_IDE;
        case VB_CONTROLLER_MODEL_VIRTIO: return type == VB_CONTROLLER_VIRTIO_SERIAL;
        default: return type == VB_CONTROLLER_VIRTIO_SERIAL || type == VB_CONTROLLER_SCSI;
        }
}

#define F(field) VB_XML_FIELD(VbController, field)
#define OF(types) VB_XML_WHEN(VbController, type, types)
#define T(name) VB_XML_BIT(VB_CONTROLLER_##name)

static const VbXmlRow driver_rows[] = {
        VB_XML_ATTRIBUTE("queues", VB_XML_UINT, F(queues), VB_XML_RANGE(1, 1024)),
        VB_XML_ATTRIBUTE("cmd_per_lun", VB_XML_UINT, F(cmd_per_lun)),
        VB_XML_ATTRIBUTE("max_sectors", VB_XML_UINT, F(max_sectors)),
        VB_XML_ATTRIBUTE("ioeventfd", VB_XML_ON_OFF, F(ioeventfd)),
        VB_XML_ATTRIBUTE("iothread", VB_XML_UINT, F(iothread), VB_XML_RANGE(1, UINT32_MAX)),
        VB_VIRTIO_OPTION_ROWS(VbController),
        {},
};

static const VbXmlRow master_rows[] = {
        VB_XML_ATTRIBUTE("startport", VB_XML_OPT_UINT, F(master_start_port), VB_XML_RANGE(0, 255)),
        {},
};

static const VbXmlRow model_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_ENUM(vb_pci_model_name), F(model_name),
                         .unbuilt = "spapr-pci-host-bridge"),
        {},
};

static const VbXmlRow target_rows[] = {
        VB_XML_ATTRIBUTE("chassisNr", VB_XML_OPT_UINT, F(chassis_nr), VB_XML_RANGE(1, 255)),
        VB_XML_ATTRIBUTE("chassis", VB_XML_OPT_UINT, F(chassis), VB_XML_RANGE(0, 255)),
        VB_XML_ATTRIBUTE("port", VB_XML_OPT_UINT, F(port), VB_XML_RANGE(0, 255), .flags = VB_XML_HEXADECIMAL),
        VB_XML_ATTRIBUTE("busNr", VB_XML_OPT_UINT, F(bus_nr), VB_XML_RANGE(1, 254)),
        VB_XML_ATTRIBUTE("index", VB_XML_OPT_UINT, F(target_index), VB_XML_RANGE(0, 30)),
        VB_XML_ATTRIBUTE("hotplug", VB_XML_ON_OFF, F(hotplug)),
        VB_XML_UNBUILT_ELEMENTS("node"),
        {},
};

static const VbXmlRow controller_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_controller_type), F(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "xenbus nvme"),
        VB_XML_ATTRIBUTE("index", VB_XML_OPT_UINT, F(index), VB_XML_RANGE(0, 255)),
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_controller_model), F(model),
                         .unbuilt = "buslogic ibmvscsi ncr53c90 qusb1 qusb2"),
        VB_XML_ATTRIBUTE("ports", VB_XML_OPT_UINT, F(ports), OF(T(VIRTIO_SERIAL) | T(USB)),
                         VB_XML_RANGE(0, 511)),
        VB_XML_ATTRIBUTE("vectors", VB_XML_OPT_UINT, F(vectors), OF(T(VIRTIO_SERIAL)), VB_XML_RANGE(0, 2048)),
        VB_XML_GROUP("driver", driver_rows),
        VB_XML_GROUP("model", model_rows, OF(T(PCI))),
        VB_XML_GROUP("target", target_rows, OF(T(PCI))),
        VB_ALIAS_ROW,
        VB_XML_GROUP("master", master_rows, OF(T(USB))),
        VB_ACPI_ROW,
        VB_ADDRESS_ROW,
        VB_XML_SIZE("pcihole64", F(pcihole64_kib), OF(T(PCI))),
        VB_XML_UNBUILT_ATTRIBUTES("maxGrantFrames maxEventChannels"),
        {},
};

static int controller_finish(void *item, VbXmlReader *reader) {
        VbController *controller = item;

        if (!vb_controller_model_fits(controller->type, controller->model))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "model '%s' is none of type '%s'",
                                   vb_controller_model_to_string(controller->model),
                                   vb_controller_type_to_string(controller->type));
        if (controller->type == VB_CONTROLLER_PCI && controller->model == VB_CONTROLLER_MODEL_ABSENT)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "a pci controller needs a model");
        if (controller->type == VB_CONTROLLER_USB && controller->ports.set &&
            (controller->ports.value < 1 || controller->ports.value > 15))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "ports of a usb controller are 1 to 15");
        if (controller->pcihole64_kib != 0 && controller->model != VB_CONTROLLER_MODEL_PCI_ROOT &&
            controller->model != VB_CONTROLLER_MODEL_PCIE_ROOT)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "<pcihole64> is for pci-root and pcie-root only");
        return 0;
}

/* Where a new controller goes among those before it: next to those of its type, sorted by index. One without an
 * index goes behind them. */
static size_t place_of(VbController *const *controllers, size_t n, const VbController *controller) {
        size_t place = n;
        bool found = false;

        for (size_t i = n; i-- > 0;) {
                const VbController *other = controllers[i];
                bool behind = controller->index.set && other->index.set &&
                              other->index.value > controller->index.value;

                if (other->type != controller->type || (found && !behind))
                        continue;
                place = behind ? i : i + 1;
                found = true;
        }
        return place;
}

void vb_controllers_arrange(VbDomainDefinition *definition) {
        VbList *list = (VbList *) &definition->controllers;

        for (size_t i = 0; i < list->n; i++) {
                size_t place = place_of(definition->controllers.items, i, definition->controllers.items[i]);

                if (place < i)
                        vb_list_insert(list, place, vb_list_steal(list, i));
        }
}

const VbXmlTable vb_controller_table = { "controller", sizeof(VbController), controller_rows,
                                         controller_finish };
