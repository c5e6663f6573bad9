/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which places on which PCI buses are taken, while a definition's devices get theirs. Where none is left, a round that only counts adds
 * buses; the next one has enough of them. */

#include "base/error.h"
#include "model/domain.h"
#include "model/machine.h"
#include "model/pci-devices.h"

#define VB_PCI_SLOTS 32

typedef struct VbPciBus {
        VbControllerModel model; /* absent: no controller has this index */
        VbPciConnect offers;
        uint8_t first_slot;
        uint8_t last_slot;
        uint8_t used[VB_PCI_SLOTS];      /* functions in use, a bit each */
        uint32_t aggregate_slots; /* slots whose functions go to different devices */
} VbPciBus;

typedef struct VbPciMap {
        VbDomainDefinition *definition;
        VbMachineKind machine;
        bool counting; /* the first round */
        VbPciBus *buses;
        unsigned n_buses;
        sd_bus_error *reterr;
} VbPciMap;

/* With the buses of the definition's controllers. definition, machine, counting and reterr are set before. */
void vb_pci_map_init(VbPciMap *map);
void vb_pci_map_done(VbPciMap *map);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VbPciMap, vb_pci_map_done)

/* The new one, which has the next number. */
VbPciBus *vb_pci_map_add_bus(VbPciMap *map, VbControllerModel model);
bool vb_pci_bus_accepts(const VbPciBus *bus, VbPciConnect wants);

bool vb_pci_map_has_slot_in_use(const VbPciMap *map, unsigned bus, unsigned slot);

/* A place that a device can have; in the counting round, on a bus that is added for it. UnsupportedConfiguration if there is none. */
VB_MUST_USE int vb_pci_map_find(VbPciMap *map, VbPciConnect wants, unsigned *ret_bus, unsigned *ret_slot, unsigned *ret_function);

/* Gives a device its address. whole_slot: no other device shares the slot. */
void vb_pci_map_place(VbPciMap *map, VbDeviceInfo *info, unsigned bus, unsigned slot, unsigned function, bool whole_slot);
/* … the first that it can have. */
VB_MUST_USE int vb_pci_map_place_anywhere(VbPciMap *map, const VbPciDevice *device);
