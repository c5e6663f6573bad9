/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What all devices of a domain have in common: alias, place in the machine, boot order, option ROM. */

#include "base/string-table.h"
#include "xml/types.h"

typedef enum __attribute__((packed)) VbAddressType {
        VB_ADDRESS_NONE,
        VB_ADDRESS_PCI,
        VB_ADDRESS_DRIVE,
        VB_ADDRESS_VIRTIO_SERIAL,
        VB_ADDRESS_CCID,
        VB_ADDRESS_USB,
        VB_ADDRESS_VIRTIO_MMIO,
        VB_ADDRESS_ISA,
        VB_ADDRESS_TYPE_MAX,
} VbAddressType;
VB_STRING_TABLE_DECLARE(vb_address_type, VbAddressType);

typedef struct VbPciAddress {
        uint32_t domain;
        uint8_t bus;
        uint8_t slot;
        uint8_t function;
        VbTristate multifunction;
} VbPciAddress;

typedef struct VbDriveAddress {
        uint32_t controller;
        uint32_t bus;
        uint32_t target;
        uint32_t unit;
} VbDriveAddress;

/* Of virtio-serial and ccid, too. */
typedef struct VbPortAddress {
        uint32_t controller;
        uint32_t bus;
        uint32_t port;
} VbPortAddress;

#define VB_USB_PORT_DEPTH_MAX 4

/* The port "1.2" is { 1, 2, 0, 0 }. */
typedef struct VbUsbAddress {
        uint32_t bus;
        uint8_t port[VB_USB_PORT_DEPTH_MAX];
} VbUsbAddress;

typedef struct VbIsaAddress {
        uint32_t iobase;
        uint32_t irq;
} VbIsaAddress;

/* type says which of the others counts; the others' bytes mean nothing then. */
typedef struct VbAddress {
        VbAddressType type;
        union {
                VbPciAddress pci;
                VbDriveAddress drive;
                VbPortAddress virtio_serial;
                VbPortAddress ccid;
                VbUsbAddress usb;
                VbIsaAddress isa;
        };
} VbAddress;

typedef struct VbRom {
        VbTristate enabled;
        VbTristate bar;
        char *file;
} VbRom;

/* The first member of every device struct. */
typedef struct VbDeviceInfo {
        char *alias;         /* "virtio-disk0"; live, or the user's own, which begins with "ua-" */
        VbAddress address;
        uint32_t boot_order; /* 1 is first, 0 none */
        uint32_t acpi_index; /* 0: none */
        VbRom *rom;          /* or NULL */
} VbDeviceInfo;

/* The switches of <driver> that all virtio devices share. */
typedef struct VbVirtioOptions {
        VbTristate iommu;
        VbTristate ats;
        VbTristate packed;
        VbTristate page_per_vq;
} VbVirtioOptions;
