/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/pci-map.h"

#include "model/address.h"

#define BUSES_MAX 256

/* Buses. */

static void bus_init(VbPciBus *bus, VbControllerModel model) {
        static const struct {
                VbPciConnect offers;
                uint8_t first_slot, last_slot;
        } kinds[VB_CONTROLLER_MODEL_MAX] = {
                [VB_CONTROLLER_MODEL_PCI_ROOT] = { VB_PCI_DEVICE | VB_PCI_BRIDGE | VB_PCI_EXPANDER |
                                                           VB_PCI_HOTPLUG,
                                                   1, 31 },
                [VB_CONTROLLER_MODEL_PCI_BRIDGE] = { VB_PCI_DEVICE | VB_PCI_BRIDGE | VB_PCI_HOTPLUG, 1, 31 },
                [VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS] = { VB_PCI_DEVICE | VB_PCI_BRIDGE | VB_PCI_HOTPLUG, 0,
                                                           31 },
                [VB_CONTROLLER_MODEL_PCIE_ROOT] = { VB_PCIE_DEVICE | VB_PCIE_ROOT_PORT | VB_PCI_DMI_BRIDGE |
                                                            VB_PCIE_EXPANDER,
                                                    1, 31 },
                [VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE] = { VB_PCI_DEVICE | VB_PCI_BRIDGE, 0, 31 },
                [VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE] = { VB_PCI_DEVICE | VB_PCI_BRIDGE | VB_PCI_HOTPLUG,
                                                             1, 31 },
                [VB_CONTROLLER_MODEL_PCIE_ROOT_PORT] = { VB_PCIE_DEVICE | VB_PCIE_UPSTREAM_PORT |
                                                                 VB_PCIE_TO_PCI_BRIDGE | VB_PCI_HOTPLUG,
                                                         0, 0 },
                [VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT] = { VB_PCIE_DEVICE | VB_PCIE_UPSTREAM_PORT |
                                                                              VB_PCIE_TO_PCI_BRIDGE |
                                                                              VB_PCI_HOTPLUG,
                                                                      0, 0 },
                [VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT] = { VB_PCIE_DOWNSTREAM_PORT, 0, 31 },
                [VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS] = { VB_PCIE_ROOT_PORT | VB_PCI_DMI_BRIDGE, 0, 0 },
        };

        *bus = (VbPciBus) {
                .model = model,
                .offers = kinds[model].offers,
                .first_slot = kinds[model].first_slot,
                .last_slot = kinds[model].last_slot,
        };
}

bool vb_pci_bus_accepts(const VbPciBus *bus, VbPciConnect wants) {
        if ((wants & VB_PCI_HOTPLUG) && !(bus->offers & VB_PCI_HOTPLUG))
                return false;
        return (bus->offers & wants & VB_PCI_CONNECT_KINDS) != 0;
}

VbPciBus *vb_pci_map_add_bus(VbPciMap *map, VbControllerModel model) {
        map->buses = g_renew(VbPciBus, map->buses, map->n_buses + 1);
        bus_init(&map->buses[map->n_buses], model);
        return &map->buses[map->n_buses++];
}

void vb_pci_map_done(VbPciMap *map) {
        g_clear_pointer(&map->buses, g_free);
}

void vb_pci_map_init(VbPciMap *map) {
        VbDomainDefinition *definition = map->definition;
        unsigned n_buses = 0;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *controller = definition->controllers.items[i];

                if (controller->type == VB_CONTROLLER_PCI)
                        n_buses = MAX(n_buses, controller->index.value + 1);
        }

        for (unsigned index = 0; index < n_buses; index++) {
                const VbController *controller =
                        vb_domain_find_controller(definition, VB_CONTROLLER_PCI, index);

                /* A gap in the numbering is filled with what would have been added. */
                (void) vb_pci_map_add_bus(map, controller ? controller->model
                                   : vb_machine_has_pcie(map->machine) ? VB_CONTROLLER_MODEL_PCIE_ROOT_PORT
                                                                       : VB_CONTROLLER_MODEL_PCI_BRIDGE);
        }
}

static void occupy(VbPciMap *map, unsigned bus, unsigned slot, unsigned function, bool whole_slot) {
        map->buses[bus].used[slot] |= whole_slot ? UINT8_MAX : (uint8_t) (1U << function);
        if (!whole_slot)
                map->buses[bus].aggregate_slots |= UINT32_C(1) << slot;
}

/* Adds a bus that accepts what is wanted, with what it takes to plug that one in. */
static int map_grow(VbPciMap *map, VbPciConnect wants) {
        bool pcie = vb_machine_has_pcie(map->machine);

        if (map->n_buses + 2 > BUSES_MAX)
                return sd_bus_error_set(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                        "no PCI slot is left, and there are 256 buses already");

        if (wants & (VB_PCI_DEVICE | VB_PCI_BRIDGE)) {
                /* A classic device on a PCI Express machine hides behind a bridge, and that behind a root
                 * port. */
                if (pcie) {
                        vb_pci_map_add_bus(map, VB_CONTROLLER_MODEL_PCIE_ROOT_PORT)->used[0] = UINT8_MAX;
                        (void) vb_pci_map_add_bus(map, VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE);
                        /* The port's one slot is the bridge's. */
                        occupy(map, map->n_buses - 2, 0, 0, /* whole_slot= */ true);
                } else
                        (void) vb_pci_map_add_bus(map, VB_CONTROLLER_MODEL_PCI_BRIDGE);
                return 0;
        }
        if (pcie && (wants & (VB_PCIE_DEVICE | VB_PCIE_UPSTREAM_PORT | VB_PCIE_TO_PCI_BRIDGE))) {
                (void) vb_pci_map_add_bus(map, VB_CONTROLLER_MODEL_PCIE_ROOT_PORT);
                return 0;
        }
        return sd_bus_error_set(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                "no PCI slot is left that fits; give the device an address");
}

/* Places. */

bool vb_pci_map_has_slot_in_use(const VbPciMap *map, unsigned bus, unsigned slot) {
        return bus < map->n_buses && map->buses[bus].used[slot] != 0;
}

void vb_pci_map_place(VbPciMap *map, VbDeviceInfo *info, unsigned bus, unsigned slot, unsigned function,
                  bool whole_slot) {
        VbTristate multifunction =
                info->address.type == VB_ADDRESS_PCI ? info->address.pci.multifunction : VB_TRISTATE_ABSENT;

        occupy(map, bus, slot, function, whole_slot);
        info->address = (VbAddress) {
                .type = VB_ADDRESS_PCI,
                .pci = { .bus = (uint8_t) bus, .slot = (uint8_t) slot, .function = (uint8_t) function,
                         .multifunction = multifunction },
        };
}

static bool find_on_bus(const VbPciBus *bus, VbPciConnect wants, unsigned *ret_slot, unsigned *ret_function) {
        if (!vb_pci_bus_accepts(bus, wants))
                return false;

        for (unsigned slot = bus->first_slot; slot <= bus->last_slot; slot++) {
                bool shared = (wants & VB_PCI_AGGREGATE) && (bus->aggregate_slots & (UINT32_C(1) << slot));

                if (bus->used[slot] != 0 && (!shared || bus->used[slot] == UINT8_MAX))
                        continue;
                *ret_slot = slot;
                *ret_function =
                        bus->used[slot] == 0 ? 0 : (unsigned) __builtin_ctz(~(unsigned) bus->used[slot]);
                return true;
        }
        return false;
}

int vb_pci_map_find(VbPciMap *map, VbPciConnect wants, unsigned *ret_bus, unsigned *ret_slot,
                      unsigned *ret_function) {
        int r;

        for (unsigned bus = 0; bus < map->n_buses; bus++)
                if (find_on_bus(&map->buses[bus], wants, ret_slot, ret_function)) {
                        *ret_bus = bus;
                        return 0;
                }

        if (!map->counting)
                return sd_bus_error_set(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "no PCI slot is left");
        r = map_grow(map, wants);
        if (r < 0)
                return r;
        return vb_pci_map_find(map, wants, ret_bus, ret_slot, ret_function);
}

int vb_pci_map_place_anywhere(VbPciMap *map, const VbPciDevice *device) {
        unsigned bus, slot, function;
        int r;

        r = vb_pci_map_find(map, device->wants, &bus, &slot, &function);
        if (r < 0)
                return r;
        vb_pci_map_place(map, device->info, bus, slot, function, !(device->wants & VB_PCI_AGGREGATE));
        return 0;
}
