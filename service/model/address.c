/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Places on buses other than PCI: units of disk controllers, ports of virtio-serial and USB controllers. */

#include "model/address.h"

#include "base/error.h"

VbController *vb_domain_find_controller(const VbDomainDefinition *definition, VbControllerType type,
                                        uint32_t index) {
        for (size_t i = 0; i < definition->controllers.n; i++) {
                VbController *controller = definition->controllers.items[i];

                if (controller->type == type && controller->index.set && controller->index.value == index)
                        return controller;
        }
        return NULL;
}

VbController *vb_domain_add_controller(VbDomainDefinition *definition,
                                       VbControllerType type,
                                       uint32_t index,
                                       VbControllerModel model) {
        VbController *controller = vb_domain_find_controller(definition, type, index);

        if (controller)
                return controller;

        controller = g_new0(VbController, 1);
        controller->type = type;
        controller->model = model;
        controller->index = (VbOptUint) VB_OPT(index);
        VB_LIST_APPEND(&definition->controllers, controller);
        return controller;
}

/* Disks. */

static VbControllerType controller_of_bus(VbDiskBus bus) {
        switch (bus) {
        case VB_DISK_BUS_IDE: return VB_CONTROLLER_IDE;
        case VB_DISK_BUS_FDC: return VB_CONTROLLER_FDC;
        case VB_DISK_BUS_SCSI: return VB_CONTROLLER_SCSI;
        case VB_DISK_BUS_SATA: return VB_CONTROLLER_SATA;
        default: return VB_CONTROLLER_ABSENT;
        }
}

/* How many disks one controller has, as names are counted. */
static VbDriveAddress drive_of_index(VbDiskBus bus, uint32_t index) {
        switch (bus) {
        case VB_DISK_BUS_IDE:
                return (VbDriveAddress){ .controller = index / 4, .bus = index % 4 / 2, .unit = index % 2 };
        case VB_DISK_BUS_FDC: return (VbDriveAddress) { .controller = index / 2, .unit = index % 2 };
        case VB_DISK_BUS_SATA: return (VbDriveAddress) { .controller = index / 6, .unit = index % 6 };
        default: return (VbDriveAddress) { .controller = index / 7, .unit = index % 7 };
        }
}

static int check_drive(const VbDisk *disk, sd_bus_error *reterr) {
        const VbDriveAddress *a = &disk->info.address.drive;
        bool fits = true;

        switch (disk->bus) {
        case VB_DISK_BUS_IDE: fits = a->bus < 2 && a->unit < 2 && a->target == 0; break;
        case VB_DISK_BUS_FDC: fits = a->bus == 0 && a->unit < 2 && a->target == 0; break;
        case VB_DISK_BUS_SATA: fits = a->bus == 0 && a->unit < 6 && a->target == 0; break;
        default: fits = a->bus == 0 && a->target < 256 && a->unit < 16384; break;
        }
        if (!fits || a->controller > 255)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "disk '%s': bus '%s' has no place controller %u bus %u target %u unit %u",
                        disk->target, vb_disk_bus_to_string(disk->bus), a->controller, a->bus, a->target,
                        a->unit);
        return 0;
}

static char *drive_key(const VbDisk *disk) {
        const VbDriveAddress *a = &disk->info.address.drive;

        return g_strdup_printf("%u %u %u %u %u", disk->bus, a->controller, a->bus, a->target, a->unit);
}

static int assign_drive(VbDisk *disk, sd_bus_error *reterr) {
        int index = vb_disk_target_to_index(disk->target);

        if (disk->info.address.type == VB_ADDRESS_NONE) {
                if (index < 0 || index > 255)
                        return sd_bus_error_setf(
                                reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                "disk '%s': cannot guess its place from its name; give it an <address>",
                                disk->target);
                disk->info.address = (VbAddress) { .type = VB_ADDRESS_DRIVE,
                                                   .drive = drive_of_index(disk->bus, (uint32_t) index) };
        } else if (disk->info.address.type != VB_ADDRESS_DRIVE)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "disk '%s': on bus '%s' an address of type 'drive' is wanted, not '%s'", disk->target,
                        vb_disk_bus_to_string(disk->bus), vb_address_type_to_string(disk->info.address.type));
        return check_drive(disk, reterr);
}

int vb_address_assign_drives(VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        int r;

        for (size_t i = 0; i < definition->disks.n; i++) {
                VbDisk *disk = definition->disks.items[i];

                if (controller_of_bus(disk->bus) == VB_CONTROLLER_ABSENT)
                        continue;
                r = assign_drive(disk, reterr);
                if (r < 0)
                        return r;
                if (!g_hash_table_add(taken, drive_key(disk)))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "disk '%s': another disk is at its place on bus '%s'",
                                                 disk->target, vb_disk_bus_to_string(disk->bus));
        }
        return 0;
}

/* virtio-serial. Port 0 of the first controller's bus is the console's; channels begin with port 1. */

#define SERIAL_CONTROLLERS 32
#define SERIAL_PORTS 31

typedef struct SerialPorts {
        uint64_t used[SERIAL_CONTROLLERS]; /* a bit for each port */
} SerialPorts;

static bool is_virtio_serial(const VbChardev *chardev) {
        return chardev->target_type == VB_CHAR_TARGET_VIRTIO;
}

static uint32_t serial_ports(const VbDomainDefinition *definition, uint32_t index) {
        const VbController *controller =
                vb_domain_find_controller(definition, VB_CONTROLLER_VIRTIO_SERIAL, index);

        return controller && controller->ports.set ? MIN(controller->ports.value, 64U) : SERIAL_PORTS;
}

static int take_serial_port(VbDomainDefinition *definition, SerialPorts *ports, const VbChardev *chardev,
                            sd_bus_error *reterr) {
        const VbPortAddress *a = &chardev->info.address.virtio_serial;

        if (chardev->info.address.type == VB_ADDRESS_NONE)
                return 0;
        if (chardev->info.address.type != VB_ADDRESS_VIRTIO_SERIAL)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "a virtio channel or console wants an address of type 'virtio-serial', not '%s'",
                        vb_address_type_to_string(chardev->info.address.type));
        if (a->controller >= SERIAL_CONTROLLERS || a->bus != 0 ||
            a->port >= serial_ports(definition, a->controller))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "virtio-serial controller %u bus %u port %u: there is no such place",
                                         a->controller, a->bus, a->port);
        if (a->port > 0 && (ports->used[a->controller] & (UINT64_C(1) << a->port)))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "virtio-serial controller %u port %u: two devices want it",
                                         a->controller, a->port);
        ports->used[a->controller] |= UINT64_C(1) << a->port;
        return 0;
}

/* An address without a port is one that only names a controller. */
static bool has_serial_port(const VbChardev *chardev, bool console) {
        return chardev->info.address.type == VB_ADDRESS_VIRTIO_SERIAL &&
               (console || chardev->info.address.virtio_serial.port > 0);
}

static int find_serial_port(VbDomainDefinition *definition, SerialPorts *ports, VbChardev *chardev,
                            bool console, sd_bus_error *reterr) {
        bool wished = chardev->info.address.type == VB_ADDRESS_VIRTIO_SERIAL;

        for (uint32_t c = wished ? chardev->info.address.virtio_serial.controller : 0; c < SERIAL_CONTROLLERS;
             c++) {
                for (uint32_t port = console && c == 0 ? 0 : 1; port < serial_ports(definition, c); port++) {
                        if (ports->used[c] & (UINT64_C(1) << port))
                                continue;
                        ports->used[c] |= UINT64_C(1) << port;
                        chardev->info.address =
                                (VbAddress){ .type = VB_ADDRESS_VIRTIO_SERIAL,
                                             .virtio_serial = { .controller = c, .port = port } };
                        return 0;
                }
                if (wished)
                        break;
        }
        return sd_bus_error_set(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "no virtio-serial port is left");
}

int vb_address_assign_virtio_serial(VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autofree SerialPorts *ports = g_new0(SerialPorts, 1);
        const struct {
                VbList *list;
                bool console;
        } lists[] = {
                { (VbList *) &definition->consoles, true },
                { (VbList *) &definition->channels, false },
        };
        int r;

        for (size_t l = 0; l < G_N_ELEMENTS(lists); l++)
                for (size_t i = 0; i < lists[l].list->n; i++) {
                        const VbChardev *chardev = lists[l].list->items[i];

                        if (!is_virtio_serial(chardev) || !has_serial_port(chardev, lists[l].console))
                                continue;
                        r = take_serial_port(definition, ports, chardev, reterr);
                        if (r < 0)
                                return r;
                }

        for (size_t l = 0; l < G_N_ELEMENTS(lists); l++)
                for (size_t i = 0; i < lists[l].list->n; i++) {
                        VbChardev *chardev = lists[l].list->items[i];

                        if (!is_virtio_serial(chardev) || has_serial_port(chardev, lists[l].console))
                                continue;
                        r = find_serial_port(definition, ports, chardev, lists[l].console, reterr);
                        if (r < 0)
                                return r;
                }

        for (uint32_t c = 0; c < SERIAL_CONTROLLERS; c++)
                if (ports->used[c] != 0)
                        (void) vb_domain_add_controller(definition, VB_CONTROLLER_VIRTIO_SERIAL, c,
                                                        VB_CONTROLLER_MODEL_ABSENT);
        return 0;
}

/* USB. */

#define USB_BUSES 256
#define USB_PORTS_MAX 15

typedef struct UsbPorts {
        VbDomainDefinition *definition;
        uint32_t used[USB_BUSES]; /* a bit for each port of the root hub */
        sd_bus_error *reterr;
        bool giving; /* the second walk: those without a port get one */
} UsbPorts;

static uint32_t usb_ports(const VbController *controller) {
        if (controller->ports.set)
                return controller->ports.value;
        switch (controller->model) {
        case VB_CONTROLLER_MODEL_USB_EHCI:
        case VB_CONTROLLER_MODEL_USB_ICH9_EHCI1: return 6;
        case VB_CONTROLLER_MODEL_USB_NEC_XHCI:
        case VB_CONTROLLER_MODEL_USB_QEMU_XHCI: return 4;
        case VB_CONTROLLER_MODEL_USB_PCI_OHCI: return 3;
        default: return 2;
        }
}

static bool is_usb_root(const VbController *controller) {
        return controller->type == VB_CONTROLLER_USB && controller->model != VB_CONTROLLER_MODEL_USB_NONE &&
               !controller->master_start_port.set;
}

static bool wants_usb(const char *kind, const void *device) {
        if (g_str_equal(kind, "disk"))
                return ((const VbDisk *) device)->bus == VB_DISK_BUS_USB;
        if (g_str_equal(kind, "input"))
                return ((const VbInput *) device)->bus == VB_INPUT_BUS_USB;
        if (g_str_equal(kind, "sound"))
                return ((const VbSound *) device)->model == VB_SOUND_USB;
        if (g_str_equal(kind, "serial"))
                return ((const VbChardev *) device)->target_type == VB_CHAR_TARGET_USB_SERIAL;
        if (g_str_equal(kind, "interface"))
                return g_strcmp0(((const VbInterface *) device)->model, "usb-net") == 0;
        if (g_str_equal(kind, "controller"))
                return ((const VbController *) device)->type == VB_CONTROLLER_CCID;
        return g_str_equal(kind, "redirdev");
}

static int take_usb_port(UsbPorts *ports, const char *kind, const VbUsbAddress *a) {
        uint32_t bit = UINT32_C(1) << MIN(a->port[0], 31);

        if (a->bus >= USB_BUSES || a->port[0] > USB_PORTS_MAX)
                return sd_bus_error_setf(ports->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: USB bus %u port %u: there is no such place", kind, a->bus,
                                         a->port[0]);
        if (a->port[1] != 0)
                return sd_bus_error_setf(
                        ports->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "<%s>: USB bus %u: ports behind a hub are not supported by virtbus yet", kind,
                        a->bus);
        if (ports->used[a->bus] & bit)
                return sd_bus_error_setf(ports->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: USB bus %u port %u: another device has it", kind, a->bus,
                                         a->port[0]);
        ports->used[a->bus] |= bit;
        return 0;
}

static int give_usb_port(UsbPorts *ports, const char *kind, VbDeviceInfo *info) {
        bool wished = info->address.type == VB_ADDRESS_USB;

        for (size_t i = 0; i < ports->definition->controllers.n; i++) {
                const VbController *controller = ports->definition->controllers.items[i];

                if (!is_usb_root(controller) || (wished && controller->index.value != info->address.usb.bus))
                        continue;
                for (uint32_t port = 1; port <= usb_ports(controller); port++) {
                        if (ports->used[controller->index.value] & (UINT32_C(1) << port))
                                continue;
                        ports->used[controller->index.value] |= UINT32_C(1) << port;
                        info->address = (VbAddress) { .type = VB_ADDRESS_USB,
                                                      .usb = { .bus = controller->index.value,
                                                               .port = { (uint8_t) port } } };
                        return 0;
                }
        }
        return sd_bus_error_setf(
                ports->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                "<%s>: no USB port is left; a controller of model qemu-xhci has up to 15 (ports='15')", kind);
}

static int visit_usb(const char *kind, void *device, VbDeviceInfo *info, void *userdata) {
        UsbPorts *ports = userdata;
        bool given = info->address.type == VB_ADDRESS_USB && info->address.usb.port[0] != 0;

        if (!wants_usb(kind, device) || given == ports->giving)
                return 0;
        if (info->address.type != VB_ADDRESS_NONE && info->address.type != VB_ADDRESS_USB)
                return sd_bus_error_setf(ports->reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<%s>: on USB an address of type 'usb' is wanted, not '%s'", kind,
                                         vb_address_type_to_string(info->address.type));
        return given ? take_usb_port(ports, kind, &info->address.usb) : give_usb_port(ports, kind, info);
}

int vb_address_assign_usb(VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autofree UsbPorts *ports = g_new0(UsbPorts, 1);
        int r;

        ports->definition = definition;
        ports->reterr = reterr;
        r = vb_domain_definition_foreach_device(definition, visit_usb, ports);
        if (r < 0)
                return r;
        ports->giving = true;
        return vb_domain_definition_foreach_device(definition, visit_usb, ports);
}
