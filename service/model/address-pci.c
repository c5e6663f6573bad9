/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PCI addresses, as libvirt 9.0 would give them: clients and guests that move over find every device where it
 * was.
 *
 * There are two rounds. The first one only counts: it takes the places that were given, then those that
 * belong to the chipset, and then looks for a place for each device in turn; where there is none, it adds a
 * bus (a root port, or a bridge) to its map. The buses that it needed become controllers of the definition.
 * The second round has enough buses, and writes the addresses down. */

#include "base/error.h"
#include "model/address.h"
#include "model/machine.h"
#include "model/pci-devices.h"
#include "model/pci-map.h"

/* What was given. An address of zeros is one that is only wished for. */

static bool is_given(const VbDeviceInfo *info) {
        const VbPciAddress *a = &info->address.pci;

        return info->address.type == VB_ADDRESS_PCI && (a->domain || a->bus || a->slot || a->function);
}

static bool is_companion(const VbPciDevice *device) {
        const VbController *controller = device->device;

        return g_str_equal(device->kind, "controller") && controller->type == VB_CONTROLLER_USB &&
               controller->model >= VB_CONTROLLER_MODEL_USB_ICH9_EHCI1 &&
               controller->model <= VB_CONTROLLER_MODEL_USB_ICH9_UHCI3;
}

static int take_given(VbPciMap *map, const VbPciDevice *device) {
        const VbPciAddress *a = &device->info->address.pci;
        VbPciBus *bus;

        if (a->domain != 0)
                return sd_bus_error_setf(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: PCI domain %u: there is only domain 0", device->kind,
                                         a->domain);
        while (map->counting && a->bus >= map->n_buses)
                (void) vb_pci_map_add_bus(map, vb_machine_has_pcie(map->machine) ? VB_CONTROLLER_MODEL_PCIE_ROOT_PORT
                                                                          : VB_CONTROLLER_MODEL_PCI_BRIDGE);

        bus = &map->buses[a->bus];
        if (a->slot < bus->first_slot || a->slot > bus->last_slot)
                return sd_bus_error_setf(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: PCI bus %u has the slots %u to %u, and not slot %u",
                                         device->kind, a->bus, bus->first_slot, bus->last_slot, a->slot);
        if (bus->used[a->slot] & (1U << a->function))
                return sd_bus_error_setf(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: PCI address %04x:%02x:%02x.%x: another device has it",
                                         device->kind, a->domain, a->bus, a->slot, a->function);
        if ((device->wants &
             (VB_PCIE_ROOT_PORT | VB_PCI_DMI_BRIDGE | VB_PCIE_UPSTREAM_PORT | VB_PCIE_DOWNSTREAM_PORT)) &&
            !vb_pci_bus_accepts(bus, device->wants))
                return sd_bus_error_setf(map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: PCI bus %u ('%s') does not take a controller like this one",
                                         device->kind, a->bus, vb_controller_model_to_string(bus->model));

        bus->used[a->slot] |= (uint8_t) (1U << a->function);
        /* A device at function 0 that says nothing about others has its slot for itself. */
        if ((device->wants & VB_PCI_AGGREGATE) || a->function != 0 || a->multifunction == VB_TRISTATE_YES)
                bus->aggregate_slots |= UINT32_C(1) << a->slot;
        return 0;
}

/* The chipsets: places that belong to certain devices. */

static const VbPciDevice *find_controller(GArray *devices, VbControllerType type, uint32_t index) {
        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);
                const VbController *controller = device->device;

                if (g_str_equal(device->kind, "controller") && controller->type == type &&
                    controller->index.value == index)
                        return device;
        }
        return NULL;
}

static int place_on_board(VbPciMap *map, const VbPciDevice *device, unsigned slot, unsigned function) {
        const VbPciAddress *a = &device->info->address.pci;

        if (!is_given(device->info)) {
                vb_pci_map_place(map, device->info, 0, slot, function, false);
                return 0;
        }
        if (a->bus == 0 && a->slot == slot && a->function == function)
                return 0;
        return sd_bus_error_setf(
                map->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                "<controller type='%s' index='0'>: on this machine it is at PCI address 0000:00:%02x.%x",
                vb_controller_type_to_string(((const VbController *) device->device)->type), slot, function);
}

/* Guests and firmware look for the first graphics card here. */
static int place_primary_video(VbPciMap *map, GArray *devices, unsigned slot) {
        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);

                if (device->device !=
                            (map->definition->videos.n > 0 ? map->definition->videos.items[0] : NULL) ||
                    is_given(device->info))
                        continue;
                if (vb_pci_map_has_slot_in_use(map, 0, slot))
                        return vb_pci_map_place_anywhere(map, device);
                vb_pci_map_place(map, device->info, 0, slot, 0, true);
                return 0;
        }
        return 0;
}

static int place_i440fx(VbPciMap *map, GArray *devices) {
        const VbPciDevice *ide = find_controller(devices, VB_CONTROLLER_IDE, 0),
                          *usb = find_controller(devices, VB_CONTROLLER_USB, 0);
        int r;

        if (ide) {
                r = place_on_board(map, ide, 1, 1);
                if (r < 0)
                        return r;
        }
        if (usb && ((const VbController *) usb->device)->model == VB_CONTROLLER_MODEL_USB_PIIX3_UHCI &&
            !is_given(usb->info)) {
                r = place_on_board(map, usb, 1, 2);
                if (r < 0)
                        return r;
        }
        /* With the ISA bridge and power management, which have no element of their own. */
        map->buses[0].used[1] = UINT8_MAX;
        return place_primary_video(map, devices, 2);
}

/* The four functions of an ICH9 USB 2 controller. */
static unsigned companion_function(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI1: return 0;
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI2: return 1;
        case VB_CONTROLLER_MODEL_USB_ICH9_UHCI3: return 2;
        default: return 7;
        }
}

static void place_companions_on_board(VbPciMap *map, GArray *devices) {
        static const unsigned slots[] = { 0x1d, 0x1a };

        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);
                const VbController *controller = device->device;
                unsigned function, slot;

                if (!is_companion(device) || is_given(device->info) ||
                    controller->index.value >= G_N_ELEMENTS(slots))
                        continue;
                slot = slots[controller->index.value];
                function = companion_function(controller->model);
                if (!(map->buses[0].used[slot] & (1U << function)))
                        vb_pci_map_place(map, device->info, 0, slot, function, false);
        }
}

/* Where the chipset's own bridge to classic PCI was. */
static void place_dmi_bridge(VbPciMap *map, GArray *devices) {
        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);

                if ((device->wants & VB_PCI_DMI_BRIDGE) && !is_given(device->info) &&
                    !vb_pci_map_has_slot_in_use(map, 0, 0x1e)) {
                        vb_pci_map_place(map, device->info, 0, 0x1e, 0, true);
                        return;
                }
        }
}

static int place_q35(VbPciMap *map, GArray *devices) {
        const VbPciDevice *sata = find_controller(devices, VB_CONTROLLER_SATA, 0);
        int r;

        if (sata) {
                r = place_on_board(map, sata, 0x1f, 2);
                if (r < 0)
                        return r;
        }
        place_companions_on_board(map, devices);
        place_dmi_bridge(map, devices);
        /* With the LPC bridge and SMBus, which have no element of their own. */
        map->buses[0].used[0x1f] |= 1U << 0 | 1U << 3;

        r = place_primary_video(map, devices, 1);
        if (r < 0)
                return r;

        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);

                if (g_str_equal(device->kind, "sound") &&
                    ((const VbSound *) device->device)->model == VB_SOUND_ICH9 && !is_given(device->info) &&
                    !vb_pci_map_has_slot_in_use(map, 0, 0x1b)) {
                        vb_pci_map_place(map, device->info, 0, 0x1b, 0, true);
                        break;
                }
        }
        return 0;
}

static int place_companion(VbPciMap *map, GArray *devices, const VbPciDevice *device) {
        const VbController *controller = device->device;
        unsigned bus, slot, function = companion_function(controller->model), unused;
        int r;

        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *other = &g_array_index(devices, VbPciDevice, i);
                const VbController *sibling = other->device;

                if (other == device || !is_companion(other) || !is_given(other->info) ||
                    sibling->index.value != controller->index.value)
                        continue;
                vb_pci_map_place(map, device->info, other->info->address.pci.bus, other->info->address.pci.slot,
                      function, false);
                return 0;
        }

        r = vb_pci_map_find(map, device->wants, &bus, &slot, &unused);
        if (r < 0)
                return r;
        vb_pci_map_place(map, device->info, bus, slot, function, false);
        return 0;
}

/* The two rounds. */

static int place_all(VbPciMap *map, GArray *devices) {
        int r = 0;

        for (size_t i = 0; i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);

                r = is_given(device->info) ? take_given(map, device) : 0;
                if (r < 0)
                        return r;
        }

        if (map->machine == VB_MACHINE_I440FX)
                r = place_i440fx(map, devices);
        else if (map->machine == VB_MACHINE_Q35)
                r = place_q35(map, devices);

        for (size_t i = 0; r >= 0 && i < devices->len; i++) {
                const VbPciDevice *device = &g_array_index(devices, VbPciDevice, i);

                if (!is_given(device->info))
                        r = is_companion(device) ? place_companion(map, devices, device)
                                                 : vb_pci_map_place_anywhere(map, device);
        }
        return r;
}

/* A new PCI Express machine whose buses nobody has planned gets a port more than it needs, for a device
 * plugged in later. */
static int add_spare_port(VbPciMap *map, unsigned n_had) {
        unsigned bus, slot, function;

        if (!vb_machine_has_pcie(map->machine) || n_had > 1 || map->n_buses == n_had)
                return 0;
        return vb_pci_map_find(map, VB_PCIE_DEVICE | VB_PCI_HOTPLUG, &bus, &slot, &function);
}

/* The first round. It places devices as the second one does, and then takes that back. */
static int count_buses(VbPciMap *map, GArray *devices) {
        g_autofree VbAddress *before = g_new(VbAddress, MAX(devices->len, 1));
        unsigned n_had = map->n_buses;
        int r;

        for (size_t i = 0; i < devices->len; i++)
                before[i] = g_array_index(devices, VbPciDevice, i).info->address;
        r = place_all(map, devices);
        for (size_t i = 0; i < devices->len; i++)
                g_array_index(devices, VbPciDevice, i).info->address = before[i];
        if (r < 0)
                return r;
        r = add_spare_port(map, n_had);
        if (r < 0)
                return r;

        for (unsigned index = 0; index < map->n_buses; index++)
                if (index >= n_had || !vb_domain_find_controller(map->definition, VB_CONTROLLER_PCI, index))
                        (void) vb_domain_add_controller(map->definition, VB_CONTROLLER_PCI, index,
                                                        map->buses[index].model);
        return 0;
}

/* Function 0 must say so where there are others; QEMU and guests do not look at them otherwise. */
static void set_multifunction(const VbPciMap *map, GArray *devices) {
        for (size_t i = 0; i < devices->len; i++) {
                VbPciAddress *a = &g_array_index(devices, VbPciDevice, i).info->address.pci;
                uint8_t used = map->buses[a->bus].used[a->slot];
                bool shared = map->buses[a->bus].aggregate_slots & (UINT32_C(1) << a->slot);

                if (a->function == 0 && shared && used > 1 && a->multifunction == VB_TRISTATE_ABSENT)
                        a->multifunction = VB_TRISTATE_YES;
        }
}

static VbPciModelName default_model_name(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_PCI_BRIDGE: return VB_PCI_MODEL_NAME_PCI_BRIDGE;
        case VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE: return VB_PCI_MODEL_NAME_I82801B11_BRIDGE;
        case VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE: return VB_PCI_MODEL_NAME_PCIE_PCI_BRIDGE;
        case VB_CONTROLLER_MODEL_PCIE_ROOT_PORT: return VB_PCI_MODEL_NAME_PCIE_ROOT_PORT;
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT: return VB_PCI_MODEL_NAME_X3130_UPSTREAM;
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT: return VB_PCI_MODEL_NAME_XIO3130_DOWNSTREAM;
        case VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS: return VB_PCI_MODEL_NAME_PXB;
        case VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS: return VB_PCI_MODEL_NAME_PXB_PCIE;
        default: return VB_PCI_MODEL_NAME_ABSENT;
        }
}

/* The lowest bus number of an expander, so far below those that others have that it has room for its own
 * buses. */
static uint32_t free_bus_number(const VbDomainDefinition *definition) {
        uint32_t lowest = 256;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *other = definition->controllers.items[i];

                if (other->type == VB_CONTROLLER_PCI && other->bus_nr.set)
                        lowest = MIN(lowest, other->bus_nr.value);
        }
        return lowest > 3 ? lowest - 2 : 1;
}

static void set_controller_options(const VbDomainDefinition *definition, VbController *controller) {
        const VbPciAddress *a = &controller->info.address.pci;
        uint32_t index = controller->index.value;

        if (controller->model_name == VB_PCI_MODEL_NAME_ABSENT)
                controller->model_name = default_model_name(controller->model);

        switch (controller->model) {
        case VB_CONTROLLER_MODEL_PCI_BRIDGE:
                if (!controller->chassis_nr.set)
                        controller->chassis_nr = (VbOptUint) VB_OPT(index);
                break;
        case VB_CONTROLLER_MODEL_PCIE_ROOT_PORT:
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
                if (!controller->chassis.set)
                        controller->chassis = (VbOptUint) VB_OPT(index);
                if (!controller->port.set)
                        controller->port = (VbOptUint) VB_OPT(
                                controller->model == VB_CONTROLLER_MODEL_PCIE_ROOT_PORT
                                        ? (uint32_t) a->slot << 3 | a->function
                                        : a->slot);
                break;
        case VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        case VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
                if (!controller->bus_nr.set)
                        controller->bus_nr = (VbOptUint) VB_OPT(free_bus_number(definition));
                break;
        default: break;
        }
}

int vb_address_assign_pci(VbDomainDefinition *definition, sd_bus_error *reterr) {
        VbMachineKind machine = vb_machine_kind(&definition->os);
        g_autoptr(GArray) devices = vb_pci_devices(definition);
        g_auto(VbPciMap) first = { definition, machine, true, NULL, 0, reterr };
        g_auto(VbPciMap) second = { definition, machine, false, NULL, 0, reterr };
        int r;

        if (!vb_machine_has_pci(machine) && !vb_machine_has_pcie(machine))
                return 0;

        vb_pci_map_init(&first);
        r = count_buses(&first, devices);
        if (r < 0)
                return r;

        /* There may be more controllers now. */
        g_array_unref(g_steal_pointer(&devices));
        devices = vb_pci_devices(definition);

        vb_pci_map_init(&second);
        r = place_all(&second, devices);
        if (r < 0)
                return r;
        set_multifunction(&second, devices);

        for (size_t i = 0; i < definition->controllers.n; i++)
                if (definition->controllers.items[i]->type == VB_CONTROLLER_PCI)
                        set_controller_options(definition, definition->controllers.items[i]);
        return 0;
}
