/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* <controller>: the buses that devices sit on. */

#include "model/device.h"

typedef enum __attribute__((packed)) VbControllerType {
        VB_CONTROLLER_ABSENT,
        VB_CONTROLLER_IDE,
        VB_CONTROLLER_FDC,
        VB_CONTROLLER_SCSI,
        VB_CONTROLLER_SATA,
        VB_CONTROLLER_VIRTIO_SERIAL,
        VB_CONTROLLER_CCID,
        VB_CONTROLLER_USB,
        VB_CONTROLLER_PCI,
        VB_CONTROLLER_ISA,
        VB_CONTROLLER_TYPE_MAX,
} VbControllerType;
VB_STRING_TABLE_DECLARE(vb_controller_type, VbControllerType);

/* The models of all types in one list; vb_controller_model_fits() tells which belong to which type. */
typedef enum __attribute__((packed)) VbControllerModel {
        VB_CONTROLLER_MODEL_ABSENT,

        VB_CONTROLLER_MODEL_PCI_ROOT,
        VB_CONTROLLER_MODEL_PCIE_ROOT,
        VB_CONTROLLER_MODEL_PCI_BRIDGE,
        VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE,
        VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE,
        VB_CONTROLLER_MODEL_PCIE_ROOT_PORT,
        VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT,
        VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT,
        VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS,
        VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS,

        VB_CONTROLLER_MODEL_SCSI_AUTO,
        VB_CONTROLLER_MODEL_SCSI_LSILOGIC,
        VB_CONTROLLER_MODEL_SCSI_LSISAS1068,
        VB_CONTROLLER_MODEL_SCSI_VMPVSCSI,
        VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI,
        VB_CONTROLLER_MODEL_SCSI_LSISAS1078,
        VB_CONTROLLER_MODEL_SCSI_AM53C974,
        VB_CONTROLLER_MODEL_SCSI_DC390,

        VB_CONTROLLER_MODEL_USB_PIIX3_UHCI,
        VB_CONTROLLER_MODEL_USB_PIIX4_UHCI,
        VB_CONTROLLER_MODEL_USB_EHCI,
        VB_CONTROLLER_MODEL_USB_ICH9_EHCI1,
        VB_CONTROLLER_MODEL_USB_ICH9_UHCI1,
        VB_CONTROLLER_MODEL_USB_ICH9_UHCI2,
        VB_CONTROLLER_MODEL_USB_ICH9_UHCI3,
        VB_CONTROLLER_MODEL_USB_VT82C686B_UHCI,
        VB_CONTROLLER_MODEL_USB_PCI_OHCI,
        VB_CONTROLLER_MODEL_USB_NEC_XHCI,
        VB_CONTROLLER_MODEL_USB_QEMU_XHCI,
        VB_CONTROLLER_MODEL_USB_NONE, /* "none": the domain has no USB at all */

        VB_CONTROLLER_MODEL_IDE_PIIX3,
        VB_CONTROLLER_MODEL_IDE_PIIX4,
        VB_CONTROLLER_MODEL_IDE_ICH6,

        VB_CONTROLLER_MODEL_VIRTIO, /* of virtio-serial; the next two of scsi and virtio-serial */
        VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL,
        VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL,
        VB_CONTROLLER_MODEL_MAX,
} VbControllerModel;
VB_STRING_TABLE_DECLARE(vb_controller_model, VbControllerModel);

/* The device QEMU is asked for, of PCI controllers: <model name='…'/>. */
typedef enum __attribute__((packed)) VbPciModelName {
        VB_PCI_MODEL_NAME_ABSENT,
        VB_PCI_MODEL_NAME_PCI_BRIDGE,
        VB_PCI_MODEL_NAME_I82801B11_BRIDGE,
        VB_PCI_MODEL_NAME_IOH3420,
        VB_PCI_MODEL_NAME_X3130_UPSTREAM,
        VB_PCI_MODEL_NAME_XIO3130_DOWNSTREAM,
        VB_PCI_MODEL_NAME_PXB,
        VB_PCI_MODEL_NAME_PXB_PCIE,
        VB_PCI_MODEL_NAME_PCIE_ROOT_PORT,
        VB_PCI_MODEL_NAME_PCIE_PCI_BRIDGE,
        VB_PCI_MODEL_NAME_MAX,
} VbPciModelName;
VB_STRING_TABLE_DECLARE(vb_pci_model_name, VbPciModelName);

typedef struct VbController {
        VbDeviceInfo info;

        VbControllerType type;
        VbControllerModel model;
        VbOptUint index; /* always set after vb_domain_definition_complete() */
        VbOptUint ports; /* of virtio-serial and usb */
        VbOptUint vectors;

        /* <driver> */
        uint32_t queues;
        uint32_t cmd_per_lun;
        uint32_t max_sectors;
        VbTristate ioeventfd;
        uint32_t iothread; /* of virtio-scsi; 0: the emulator's own loop */
        VbVirtioOptions virtio;

        /* usb: the companions of an EHCI controller name the port of their master; index and PCI slot they
         * share */
        VbOptUint master_start_port;

        /* pci */
        VbPciModelName model_name;
        VbOptUint chassis_nr;
        VbOptUint chassis;
        VbOptUint port;
        VbOptUint bus_nr;
        VbOptUint target_index;
        VbTristate hotplug;
        uint64_t pcihole64_kib; /* 0: not given */
} VbController;

bool vb_controller_model_fits(VbControllerType type, VbControllerModel model);

/* Of type scsi, whether it is a virtio device. */
static inline bool vb_controller_is_virtio_scsi(const VbController *controller) {
        return controller->type == VB_CONTROLLER_SCSI && (controller->model == VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI ||
                                                          controller->model == VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL ||
                                                          controller->model == VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL);
}
