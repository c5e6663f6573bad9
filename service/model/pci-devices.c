/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/pci-devices.h"

typedef struct Collector {
        VbDomainDefinition *definition;
        GArray *devices;
        VbPciConnect pci;   /* for classic PCI devices */
        VbPciConnect pcie;  /* for those that QEMU builds as PCI Express ones where there is such a slot */
} Collector;

static void add(Collector *c, const char *kind, void *device, VbPciConnect wants) {
        VbDeviceInfo *info = device;
        VbPciDevice entry = { kind, device, info, wants };

        if (wants != 0 && (info->address.type == VB_ADDRESS_NONE || info->address.type == VB_ADDRESS_PCI))
                g_array_append_val(c->devices, entry);
}

static VbPciConnect without_hotplug(VbPciConnect wants) {
        return wants & ~(VbPciConnect) VB_PCI_HOTPLUG;
}

/* A transitional device has to be seen by drivers from before virtio 1.0, which look for classic PCI. */
static VbPciConnect virtio(const Collector *c, bool transitional) {
        return transitional ? c->pci : c->pcie;
}

static VbPciConnect pci_controller_wants(VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_PCI_BRIDGE: return VB_PCI_BRIDGE;
        case VB_CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE: return VB_PCI_DMI_BRIDGE;
        case VB_CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE: return VB_PCIE_TO_PCI_BRIDGE;
        case VB_CONTROLLER_MODEL_PCIE_ROOT_PORT: return VB_PCIE_ROOT_PORT | VB_PCI_AGGREGATE;
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT: return VB_PCIE_UPSTREAM_PORT;
        case VB_CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT: return VB_PCIE_DOWNSTREAM_PORT;
        case VB_CONTROLLER_MODEL_PCI_EXPANDER_BUS: return VB_PCI_EXPANDER;
        case VB_CONTROLLER_MODEL_PCIE_EXPANDER_BUS: return VB_PCIE_EXPANDER;
        default: return 0; /* roots */
        }
}

static VbPciConnect scsi_wants(const Collector *c, VbControllerModel model) {
        switch (model) {
        case VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI:
        case VB_CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL: return c->pcie;
        default: return c->pci;
        }
}

static VbPciConnect controller_wants(const Collector *c, const VbController *controller) {
        switch (controller->type) {
        case VB_CONTROLLER_SCSI: return scsi_wants(c, controller->model);
        case VB_CONTROLLER_VIRTIO_SERIAL:
                return virtio(c, controller->model == VB_CONTROLLER_MODEL_VIRTIO_TRANSITIONAL);
        case VB_CONTROLLER_SATA: return c->pci;
        case VB_CONTROLLER_IDE: return c->pci;
        case VB_CONTROLLER_USB:
                if (controller->model == VB_CONTROLLER_MODEL_USB_NONE)
                        return 0;
                if (controller->model == VB_CONTROLLER_MODEL_USB_NEC_XHCI ||
                    controller->model == VB_CONTROLLER_MODEL_USB_QEMU_XHCI)
                        return c->pcie;
                return c->pci;
        default: return 0;
        }
}

static VbPciConnect interface_wants(const Collector *c, const VbInterface *interface) {
        const char *model = interface->model ?: "rtl8139";

        if (g_str_equal(model, "usb-net"))
                return 0;
        if (g_str_equal(model, "e1000") || g_str_equal(model, "rtl8139") ||
            g_str_equal(model, "virtio-transitional"))
                return c->pci;
        return c->pcie;
}

static VbPciConnect sound_wants(const Collector *c, const VbSound *sound) {
        switch (sound->model) {
        case VB_SOUND_ICH6:
        case VB_SOUND_ICH9:
        case VB_SOUND_AC97:
        case VB_SOUND_ES1370: return c->pci;
        default: return 0;
        }
}

static VbPciConnect video_wants(const Collector *c, const VbVideo *video) {
        switch (video->model) {
        case VB_VIDEO_VIRTIO:
        case VB_VIDEO_BOCHS: return c->pcie;
        case VB_VIDEO_VGA:
        case VB_VIDEO_CIRRUS:
        case VB_VIDEO_VMVGA:
        case VB_VIDEO_QXL: return c->pci;
        default: return 0;
        }
}

static void add_controllers(Collector *c) {
        for (size_t i = 0; i < c->definition->controllers.n; i++) {
                VbController *controller = c->definition->controllers.items[i];

                if (controller->type != VB_CONTROLLER_PCI)
                        add(c, "controller", controller, controller_wants(c, controller));
        }
}

static void add_pci_controllers(Collector *c) {
        for (size_t i = 0; i < c->definition->controllers.n; i++) {
                VbController *controller = c->definition->controllers.items[i];

                if (controller->type == VB_CONTROLLER_PCI)
                        add(c, "controller", controller, pci_controller_wants(controller->model));
        }
}

static void add_disks(Collector *c) {
        for (size_t i = 0; i < c->definition->disks.n; i++) {
                VbDisk *disk = c->definition->disks.items[i];

                if (disk->bus == VB_DISK_BUS_VIRTIO)
                        add(c, "disk", disk, virtio(c, disk->model == VB_DISK_MODEL_VIRTIO_TRANSITIONAL));
        }
}

static void add_small_devices(Collector *c) {
        VbDomainDefinition *d = c->definition;

        for (size_t i = 0; i < d->memballoons.n; i++)
                if (d->memballoons.items[i]->model != VB_MEMBALLOON_NONE)
                        add(c, "memballoon", d->memballoons.items[i],
                            virtio(c, d->memballoons.items[i]->model == VB_MEMBALLOON_VIRTIO_TRANSITIONAL));
        for (size_t i = 0; i < d->rngs.n; i++)
                add(c, "rng", d->rngs.items[i],
                    virtio(c, d->rngs.items[i]->model == VB_VIRTIO_MODEL_TRANSITIONAL));
        for (size_t i = 0; i < d->watchdogs.n; i++)
                if (d->watchdogs.items[i]->model == VB_WATCHDOG_I6300ESB)
                        add(c, "watchdog", d->watchdogs.items[i], c->pci);
}

static void add_other_devices(Collector *c) {
        VbDomainDefinition *d = c->definition;

        for (size_t i = 0; i < d->videos.n; i++)
                add(c, "video", d->videos.items[i], video_wants(c, d->videos.items[i]));
        for (size_t i = 0; i < d->inputs.n; i++)
                if (d->inputs.items[i]->bus == VB_INPUT_BUS_VIRTIO)
                        add(c, "input", d->inputs.items[i],
                            virtio(c, d->inputs.items[i]->model == VB_VIRTIO_MODEL_TRANSITIONAL));
        for (size_t i = 0; i < d->serials.n; i++)
                if (d->serials.items[i]->target_type == VB_CHAR_TARGET_PCI_SERIAL)
                        add(c, "serial", d->serials.items[i], c->pci);
        for (size_t i = 0; i < d->panics.n; i++)
                if (d->panics.items[i]->model == VB_PANIC_PVPANIC_PCI)
                        add(c, "panic", d->panics.items[i], without_hotplug(c->pcie));
}

GArray *vb_pci_devices(VbDomainDefinition *definition) {
        bool pcie = vb_machine_has_pcie(vb_machine_kind(&definition->os));
        Collector c = {
                .definition = definition,
                .devices = g_array_new(FALSE, FALSE, sizeof(VbPciDevice)),
                .pci = VB_PCI_DEVICE | VB_PCI_HOTPLUG,
                .pcie = (pcie ? VB_PCIE_DEVICE : VB_PCI_DEVICE) | VB_PCI_HOTPLUG,
        };

        add_pci_controllers(&c);
        for (size_t i = 0; i < definition->interfaces.n; i++)
                add(&c, "interface", definition->interfaces.items[i],
                    interface_wants(&c, definition->interfaces.items[i]));
        for (size_t i = 0; i < definition->sounds.n; i++)
                add(&c, "sound", definition->sounds.items[i], sound_wants(&c, definition->sounds.items[i]));
        add_controllers(&c);
        add_disks(&c);
        add_small_devices(&c);
        add_other_devices(&c);
        return c.devices;
}
