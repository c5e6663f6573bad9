/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Drives: what the guest sees of them. The images in them are block nodes: command-image.c. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

static void add_number_if_given(VbJson *device, const char *key, uint64_t value) {
        if (value != 0)
                qemu_json_add_number(device, key, value);
}

static int disk_driver(const QemuContext *context, const VbDisk *disk, const char **ret, sd_bus_error *reterr) {
        bool cdrom = disk->device == VB_DISK_DEVICE_CDROM;

        switch (disk->bus) {
        case VB_DISK_BUS_VIRTIO:
                *ret = disk->model == VB_DISK_MODEL_VIRTIO_TRANSITIONAL     ? "virtio-blk-pci-transitional" :
                       disk->model == VB_DISK_MODEL_VIRTIO_NON_TRANSITIONAL ? "virtio-blk-pci-non-transitional" :
                                                                              "virtio-blk-pci";
                return 0;
        case VB_DISK_BUS_IDE:
        case VB_DISK_BUS_SATA:
                *ret = cdrom ? "ide-cd" : "ide-hd";
                return 0;
        case VB_DISK_BUS_SCSI:
                *ret = disk->device == VB_DISK_DEVICE_LUN ? "scsi-block" : cdrom ? "scsi-cd" : "scsi-hd";
                return 0;
        case VB_DISK_BUS_USB:
                *ret = "usb-storage";
                return 0;
        case VB_DISK_BUS_FDC:
                *ret = "floppy";
                return 0;
        default:
                return qemu_unsupported(context, reterr, "disk '%s': bus '%s' is not supported", disk->target,
                                        vb_disk_bus_to_string(disk->bus));
        }
}

/* --- The place on a bus --- */

static const VbController *find_disk_controller(const QemuContext *context, const VbDisk *disk) {
        VbControllerType type = disk->bus == VB_DISK_BUS_SATA ? VB_CONTROLLER_SATA :
                                disk->bus == VB_DISK_BUS_IDE  ? VB_CONTROLLER_IDE :
                                                                VB_CONTROLLER_SCSI;

        return qemu_context_find_controller(context, type, disk->info.address.drive.controller);
}

/* What the board has on board has QEMU's own bus names. */
static const char *controller_bus(const QemuContext *context, const VbController *controller) {
        return qemu_context_controller_is_builtin(context, controller) ? "ide" : controller->info.alias;
}

static void add_scsi_address(VbJson *device, const VbController *controller, const VbDriveAddress *address) {
        switch (controller->model) {
        case VB_CONTROLLER_MODEL_ABSENT:
        case VB_CONTROLLER_MODEL_SCSI_AUTO:
        case VB_CONTROLLER_MODEL_SCSI_LSILOGIC:
        case VB_CONTROLLER_MODEL_SCSI_AM53C974:
        case VB_CONTROLLER_MODEL_SCSI_DC390:
                /* Parallel SCSI: a unit is a target, and targets have one LUN. */
                qemu_json_addf(device, "bus", "%s.%u", controller->info.alias, address->bus);
                qemu_json_add_number(device, "scsi-id", address->unit);
                break;
        default:
                qemu_json_addf(device, "bus", "%s.0", controller->info.alias);
                qemu_json_add_number(device, "channel", address->bus);
                qemu_json_add_number(device, "scsi-id", address->target);
                qemu_json_add_number(device, "lun", address->unit);
        }
}

static int add_drive_address(const QemuContext *context, VbJson *device, const VbDisk *disk, sd_bus_error *reterr) {
        const VbDriveAddress *address = &disk->info.address.drive;
        const VbController *controller;

        if (disk->info.address.type != VB_ADDRESS_DRIVE)
                return qemu_unsupported(context, reterr, "disk '%s' has no drive address", disk->target);
        if (disk->bus == VB_DISK_BUS_FDC) {
                qemu_json_add_number(device, "unit", address->unit);
                return 0;
        }

        controller = find_disk_controller(context, disk);
        if (!controller)
                return qemu_unsupported(context, reterr, "disk '%s': there is no %s controller with index %u",
                                        disk->target, vb_disk_bus_to_string(disk->bus), address->controller);

        if (disk->bus == VB_DISK_BUS_SCSI)
                add_scsi_address(device, controller, address);
        else if (disk->bus == VB_DISK_BUS_SATA)
                /* One bus for each port. */
                qemu_json_addf(device, "bus", "%s.%u", controller_bus(context, controller), address->unit);
        else {
                qemu_json_addf(device, "bus", "%s.%u", controller_bus(context, controller), address->bus);
                qemu_json_add_number(device, "unit", address->unit);
        }
        return 0;
}

/* --- What people may want to set --- */

static const char *error_policy(VbDiskErrorPolicy policy) {
        return policy == VB_DISK_ERROR_POLICY_ENOSPACE ? "enospc" : vb_disk_error_policy_to_string(policy);
}

static void add_error_policies(VbJson *device, const VbDisk *disk) {
        VbDiskErrorPolicy reading = disk->rerror_policy;

        /* Reading cannot run out of space. */
        if (reading == VB_DISK_ERROR_POLICY_ABSENT && disk->error_policy != VB_DISK_ERROR_POLICY_ENOSPACE)
                reading = disk->error_policy;

        if (disk->error_policy != VB_DISK_ERROR_POLICY_ABSENT)
                qemu_json_add(device, "werror", error_policy(disk->error_policy));
        if (reading != VB_DISK_ERROR_POLICY_ABSENT)
                qemu_json_add(device, "rerror", error_policy(reading));
}

/* The other half of a cache mode: whether the guest sees a cache that it must flush. */
static void add_write_cache(VbJson *device, VbDiskCache cache) {
        switch (cache) {
        case VB_DISK_CACHE_NONE:
        case VB_DISK_CACHE_WRITEBACK:
        case VB_DISK_CACHE_UNSAFE:
                qemu_json_add(device, "write-cache", "on");
                break;
        case VB_DISK_CACHE_WRITETHROUGH:
        case VB_DISK_CACHE_DIRECTSYNC:
                qemu_json_add(device, "write-cache", "off");
                break;
        default:
                break;
        }
}

static int add_wwn(const QemuContext *context, VbJson *device, const VbDisk *disk, sd_bus_error *reterr) {
        guint64 number;

        if (!disk->wwn)
                return 0;
        if (!g_ascii_string_to_unsigned(g_str_has_prefix(disk->wwn, "0x") ? disk->wwn + 2 : disk->wwn, 16, 0,
                                        G_MAXUINT64, &number, NULL))
                return qemu_unsupported(context, reterr, "disk '%s': wwn '%s' is not 16 hexadecimal digits",
                                        disk->target, disk->wwn);

        qemu_json_add_number(device, "wwn", number);
        return 0;
}

static void add_identity(VbJson *device, const VbDisk *disk) {
        bool scsi = disk->bus == VB_DISK_BUS_SCSI;

        qemu_json_add(device, "serial", disk->serial);
        /* A SCSI disk without a serial number is known to guests by this. It is what libvirt gives, so that /dev/disk/by-id stays
         * when a guest moves here. */
        if (scsi && !disk->serial)
                qemu_json_addf(device, "device_id", "drive-%s", disk->info.alias);
        if (scsi) {
                qemu_json_add(device, "vendor", disk->vendor);
                qemu_json_add(device, "product", disk->product);
        }
        add_number_if_given(device, "rotation_rate", disk->rotation_rate);
        add_number_if_given(device, "logical_block_size", disk->logical_block_size);
        add_number_if_given(device, "physical_block_size", disk->physical_block_size);
        if (disk->geometry) {
                qemu_json_add_number(device, "cyls", disk->geometry->cylinders);
                qemu_json_add_number(device, "heads", disk->geometry->heads);
                qemu_json_add_number(device, "secs", disk->geometry->sectors);
                if (disk->geometry->translation != VB_DISK_TRANSLATION_ABSENT)
                        qemu_json_add(device, "bios-chs-trans",
                                      vb_disk_translation_to_string(disk->geometry->translation));
        }
}

static void add_virtio_blk_options(VbJson *device, const VbDisk *disk) {
        add_number_if_given(device, "num-queues", disk->queues);
        add_number_if_given(device, "queue-size", disk->queue_size);
        if (disk->iothread > 0)
                qemu_json_addf(device, "iothread", "iothread%u", disk->iothread);
        qemu_device_add_tristate(device, "ioeventfd", disk->ioeventfd);
        qemu_device_add_tristate(device, "event_idx", disk->event_idx);
        qemu_device_add_virtio(device, &disk->virtio);
}

/* The topmost of the disk's nodes. */
static void add_drive(VbJson *device, const VbDisk *disk) {
        char name[QEMU_NODE_NAME_SIZE];

        if (!disk->path)
                return;
        qemu_disk_top_node(disk, name);
        qemu_json_add(device, "drive", name);
}

static int check_disk(const QemuContext *context, const VbDisk *disk, sd_bus_error *reterr) {
        bool tray = disk->device == VB_DISK_DEVICE_CDROM || disk->device == VB_DISK_DEVICE_FLOPPY;

        if (!disk->path && (!tray || disk->bus == VB_DISK_BUS_USB))
                return qemu_unsupported(context, reterr, "disk '%s': a drive of this kind cannot be without a medium",
                                        disk->target);
        if (disk->device == VB_DISK_DEVICE_LUN && disk->bus != VB_DISK_BUS_SCSI)
                return qemu_unsupported(context, reterr, "disk '%s': device='lun' is for bus='scsi' alone",
                                        disk->target);
        if (disk->device == VB_DISK_DEVICE_CDROM && disk->bus == VB_DISK_BUS_VIRTIO)
                return qemu_unsupported(context, reterr,
                                        "disk '%s': there are no CD-ROM drives on bus virtio; sata, scsi and usb have them",
                                        disk->target);
        /* To the guest, IDE disks are never write-protected. */
        if (disk->readonly && disk->device == VB_DISK_DEVICE_DISK &&
            (disk->bus == VB_DISK_BUS_IDE || disk->bus == VB_DISK_BUS_SATA))
                return qemu_unsupported(context, reterr, "disk '%s': disks on bus '%s' cannot be read-only",
                                        disk->target, vb_disk_bus_to_string(disk->bus));
        return 0;
}

int qemu_disk_device(const QemuContext *context, const VbDisk *disk, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *what = g_strdup_printf("disk '%s' on bus '%s'", disk->target,
                                                vb_disk_bus_to_string(disk->bus));
        g_autoptr(VbJson) device = NULL;
        const char *driver = NULL;
        uint32_t order;
        int r;

        r = check_disk(context, disk, reterr);
        if (r < 0)
                return r;
        r = disk_driver(context, disk, &driver, reterr);
        if (r < 0)
                return r;
        r = qemu_device_new(context, driver, &disk->info, what, &device, reterr);
        if (r < 0)
                return r;
        if (disk->bus != VB_DISK_BUS_VIRTIO && disk->bus != VB_DISK_BUS_USB) {
                r = add_drive_address(context, device, disk, reterr);
                if (r < 0)
                        return r;
        }

        add_drive(device, disk);
        add_write_cache(device, disk->cache);
        if (disk->shareable)
                qemu_json_add_bool(device, "share-rw", true);
        if (disk->bus != VB_DISK_BUS_FDC) {
                r = add_wwn(context, device, disk, reterr);
                if (r < 0)
                        return r;
                add_identity(device, disk);
                add_error_policies(device, disk);
                order = qemu_boot_index(context, &disk->info);
                add_number_if_given(device, "bootindex", order);
        }
        if (disk->bus == VB_DISK_BUS_VIRTIO)
                add_virtio_blk_options(device, disk);
        if (disk->bus == VB_DISK_BUS_USB || (disk->bus == VB_DISK_BUS_SCSI && disk->device == VB_DISK_DEVICE_DISK))
                qemu_device_add_tristate(device, "removable", disk->removable);

        *ret = g_steal_pointer(&device);
        return 0;
}

/* The floppy controller of older boards cannot be named by -device, and drives have no place in the boot order themselves. */
static void build_floppy_boot_order(QemuBuild *build, const VbDisk *disk) {
        uint32_t order = qemu_boot_index(&build->context, &disk->info);
        g_autofree char *value = NULL;

        if (disk->bus != VB_DISK_BUS_FDC || order == 0 || !qemu_context_is_i440fx(&build->context))
                return;

        value = g_strdup_printf("isa-fdc.bootindex%c=%u", disk->info.address.drive.unit == 0 ? 'A' : 'B', order);
        qemu_build_add(build, "-global", value);
}

int qemu_build_disks(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device;
        int r;

        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];

                r = qemu_disk_device(&build->context, disk, &device, reterr);
                if (r < 0)
                        return r;
                r = disk->path ? qemu_build_disk_images(build, disk, reterr) : 0;
                if (r < 0) {
                        vb_json_put(device);
                        return r;
                }
                build_floppy_boot_order(build, disk);
                qemu_build_add_json(build, "-device", device);
        }
        return 0;
}
