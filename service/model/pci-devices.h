/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which devices sit on PCI, and what kind of slot each wants. */

#include "model/domain.h"
#include "model/machine.h"

/* What a slot offers, and what a device wants: one of the first group; a device that wants hotplug takes only
 * slots that have it. */
typedef enum VbPciConnect {
        VB_PCI_DEVICE = 1 << 0,
        VB_PCIE_DEVICE = 1 << 1,
        VB_PCI_BRIDGE = 1 << 2,
        VB_PCIE_ROOT_PORT = 1 << 3,
        VB_PCI_DMI_BRIDGE = 1 << 4,
        VB_PCIE_TO_PCI_BRIDGE = 1 << 5,
        VB_PCIE_UPSTREAM_PORT = 1 << 6,
        VB_PCIE_DOWNSTREAM_PORT = 1 << 7,
        VB_PCI_EXPANDER = 1 << 8,
        VB_PCIE_EXPANDER = 1 << 9,

        VB_PCI_HOTPLUG = 1 << 16,
        VB_PCI_AGGREGATE = 1 << 17, /* shares a slot with others of its kind, a function each */
} VbPciConnect;

#define VB_PCI_CONNECT_KINDS 0xffff

typedef struct VbPciDevice {
        const char *kind; /* the element's name */
        void *device;
        VbDeviceInfo *info;
        VbPciConnect wants;
} VbPciDevice;

/* All PCI devices of the domain, in the order in which libvirt gives them places; a new GArray of
 * VbPciDevice. */
GArray *vb_pci_devices(VbDomainDefinition *definition);
