/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/disk.h"

#include <string.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_disk_type, VbDiskType, VB_DISK_TYPE_MAX,
                [VB_DISK_TYPE_FILE] = "file",
                [VB_DISK_TYPE_BLOCK] = "block")
VB_STRING_TABLE(vb_disk_device, VbDiskDevice, VB_DISK_DEVICE_MAX,
                [VB_DISK_DEVICE_DISK] = "disk",
                [VB_DISK_DEVICE_CDROM] = "cdrom",
                [VB_DISK_DEVICE_FLOPPY] = "floppy",
                [VB_DISK_DEVICE_LUN] = "lun")
VB_STRING_TABLE(vb_disk_bus, VbDiskBus, VB_DISK_BUS_MAX,
                [VB_DISK_BUS_IDE] = "ide",
                [VB_DISK_BUS_FDC] = "fdc",
                [VB_DISK_BUS_SCSI] = "scsi",
                [VB_DISK_BUS_VIRTIO] = "virtio",
                [VB_DISK_BUS_USB] = "usb",
                [VB_DISK_BUS_SATA] = "sata",
                [VB_DISK_BUS_SD] = "sd")
VB_STRING_TABLE(vb_disk_model, VbDiskModel, VB_DISK_MODEL_MAX,
                [VB_DISK_MODEL_VIRTIO] = "virtio",
                [VB_DISK_MODEL_VIRTIO_TRANSITIONAL] = "virtio-transitional",
                [VB_DISK_MODEL_VIRTIO_NON_TRANSITIONAL] = "virtio-non-transitional")
VB_STRING_TABLE(vb_disk_format, VbDiskFormat, VB_DISK_FORMAT_MAX,
                [VB_DISK_FORMAT_RAW] = "raw",
                [VB_DISK_FORMAT_QCOW2] = "qcow2")
VB_STRING_TABLE(vb_disk_cache, VbDiskCache, VB_DISK_CACHE_MAX,
                [VB_DISK_CACHE_DEFAULT] = "default",
                [VB_DISK_CACHE_NONE] = "none",
                [VB_DISK_CACHE_WRITETHROUGH] = "writethrough",
                [VB_DISK_CACHE_WRITEBACK] = "writeback",
                [VB_DISK_CACHE_DIRECTSYNC] = "directsync",
                [VB_DISK_CACHE_UNSAFE] = "unsafe")
VB_STRING_TABLE(vb_disk_io, VbDiskIo, VB_DISK_IO_MAX,
                [VB_DISK_IO_NATIVE] = "native",
                [VB_DISK_IO_THREADS] = "threads",
                [VB_DISK_IO_IO_URING] = "io_uring")
VB_STRING_TABLE(vb_disk_error_policy, VbDiskErrorPolicy, VB_DISK_ERROR_POLICY_MAX,
                [VB_DISK_ERROR_POLICY_STOP] = "stop",
                [VB_DISK_ERROR_POLICY_REPORT] = "report",
                [VB_DISK_ERROR_POLICY_IGNORE] = "ignore",
                [VB_DISK_ERROR_POLICY_ENOSPACE] = "enospace")
VB_STRING_TABLE(vb_disk_discard, VbDiskDiscard, VB_DISK_DISCARD_MAX,
                [VB_DISK_DISCARD_UNMAP] = "unmap",
                [VB_DISK_DISCARD_IGNORE] = "ignore")
VB_STRING_TABLE(vb_disk_detect_zeroes, VbDiskDetectZeroes, VB_DISK_DETECT_ZEROES_MAX,
                [VB_DISK_DETECT_ZEROES_OFF] = "off",
                [VB_DISK_DETECT_ZEROES_ON] = "on",
                [VB_DISK_DETECT_ZEROES_UNMAP] = "unmap")
VB_STRING_TABLE(vb_startup_policy, VbStartupPolicy, VB_STARTUP_POLICY_MAX,
                [VB_STARTUP_POLICY_MANDATORY] = "mandatory",
                [VB_STARTUP_POLICY_REQUISITE] = "requisite",
                [VB_STARTUP_POLICY_OPTIONAL] = "optional")
VB_STRING_TABLE(vb_disk_tray, VbDiskTray, VB_DISK_TRAY_MAX,
                [VB_DISK_TRAY_CLOSED] = "closed",
                [VB_DISK_TRAY_OPEN] = "open")
VB_STRING_TABLE(vb_disk_snapshot, VbDiskSnapshot, VB_DISK_SNAPSHOT_MAX,
                [VB_DISK_SNAPSHOT_NO] = "no",
                [VB_DISK_SNAPSHOT_INTERNAL] = "internal",
                [VB_DISK_SNAPSHOT_EXTERNAL] = "external",
                [VB_DISK_SNAPSHOT_MANUAL] = "manual")
VB_STRING_TABLE(vb_disk_translation, VbDiskTranslation, VB_DISK_TRANSLATION_MAX,
                [VB_DISK_TRANSLATION_NONE] = "none",
                [VB_DISK_TRANSLATION_AUTO] = "auto",
                [VB_DISK_TRANSLATION_LBA] = "lba")

#define UNBUILT_TYPES "dir network volume nvme vhostuser vhostvdpa"
#define UNBUILT_FORMATS "none dir bochs cloop dmg iso vpc vdi fat vhd ploop cow qcow qed vmdk luks"
#define UNBUILT_SOURCE_ATTRIBUTES \
        "dir name pool volume mode protocol query tls tlsHostname managed namespace fdgroup path type"
#define UNBUILT_SOURCE_ELEMENTS                                                                              \
        "seclabel encryption reservations slices privateData auth host snapshot config address ssl cookies " \
        "readahead timeout identity nfs initiator reconnect"

#define ON(Type, name) VB_XML_WHEN(Type, type, VB_XML_BIT(VB_DISK_TYPE_##name))

/* <backingStore> */

static const VbXmlRow backing_format_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_disk_format), VB_XML_FIELD(VbBackingStore, format),
                         .flags = VB_XML_REQUIRED, .unbuilt = UNBUILT_FORMATS),
        VB_XML_UNBUILT_ELEMENTS("metadata_cache"),
        {},
};

static const VbXmlRow backing_source_rows[] = {
        VB_XML_ATTRIBUTE("file", VB_XML_STRING, VB_XML_FIELD(VbBackingStore, path), ON(VbBackingStore, FILE)),
        VB_XML_ATTRIBUTE("dev", VB_XML_STRING, VB_XML_FIELD(VbBackingStore, path), ON(VbBackingStore, BLOCK)),
        VB_XML_ATTRIBUTE("index", VB_XML_UINT, VB_XML_FIELD(VbBackingStore, index),
                         .flags = VB_XML_LIVE_ONLY | VB_XML_READ_ONLY),
        VB_XML_UNBUILT_ATTRIBUTES(UNBUILT_SOURCE_ATTRIBUTES " startupPolicy"),
        VB_XML_UNBUILT_ELEMENTS(UNBUILT_SOURCE_ELEMENTS),
        {},
};

static const VbXmlTable backing_table;

static const VbXmlRow backing_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_disk_type), VB_XML_FIELD(VbBackingStore, type),
                         .unbuilt = UNBUILT_TYPES),
        VB_XML_ATTRIBUTE("index", VB_XML_UINT, VB_XML_FIELD(VbBackingStore, index), .flags = VB_XML_LIVE_ONLY),
        VB_XML_GROUP("format", backing_format_rows),
        VB_XML_GROUP("source", backing_source_rows),
        VB_XML_SINGLE("backingStore", backing_table, VB_XML_FIELD(VbBackingStore, backing)),
        {},
};

static int backing_finish(void *item, VbXmlReader *reader) {
        VbBackingStore *backing = item;

        if (backing->type == VB_DISK_TYPE_ABSENT && (backing->format || backing->backing))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "the attribute type is missing");
        if (backing->type != VB_DISK_TYPE_ABSENT && !backing->path)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<source> names no file");
        return 0;
}

static const VbXmlTable backing_table = { "backingStore", sizeof(VbBackingStore), backing_rows,
                                          backing_finish };

/* <iotune> */

#define IOTUNE(name) VB_XML_VALUE(#name, VB_XML_UINT64, VB_XML_FIELD(VbDiskIotune, name), .max = INT64_MAX)

static const VbXmlRow iotune_rows[] = {
        IOTUNE(total_bytes_sec),
        IOTUNE(read_bytes_sec),
        IOTUNE(write_bytes_sec),
        IOTUNE(total_iops_sec),
        IOTUNE(read_iops_sec),
        IOTUNE(write_iops_sec),
        IOTUNE(total_bytes_sec_max),
        IOTUNE(read_bytes_sec_max),
        IOTUNE(write_bytes_sec_max),
        IOTUNE(total_iops_sec_max),
        IOTUNE(read_iops_sec_max),
        IOTUNE(write_iops_sec_max),
        IOTUNE(size_iops_sec),
        VB_XML_VALUE("group_name", VB_XML_STRING, VB_XML_FIELD(VbDiskIotune, group_name), .max = 255),
        IOTUNE(total_bytes_sec_max_length),
        IOTUNE(read_bytes_sec_max_length),
        IOTUNE(write_bytes_sec_max_length),
        IOTUNE(total_iops_sec_max_length),
        IOTUNE(read_iops_sec_max_length),
        IOTUNE(write_iops_sec_max_length),
        {},
};

static int iotune_finish(void *item, VbXmlReader *reader) {
        const VbDiskIotune *t = item;

        if ((t->total_bytes_sec && (t->read_bytes_sec || t->write_bytes_sec)) ||
            (t->total_iops_sec && (t->read_iops_sec || t->write_iops_sec)) ||
            (t->total_bytes_sec_max && (t->read_bytes_sec_max || t->write_bytes_sec_max)) ||
            (t->total_iops_sec_max && (t->read_iops_sec_max || t->write_iops_sec_max)))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "a total and a read or write limit exclude each other");
        return 0;
}

const VbXmlTable vb_iotune_table = { "iotune", sizeof(VbDiskIotune), iotune_rows, iotune_finish };

static const VbXmlRow geometry_rows[] = {
        VB_XML_ATTRIBUTE("cyls", VB_XML_UINT, VB_XML_FIELD(VbDiskGeometry, cylinders)),
        VB_XML_ATTRIBUTE("heads", VB_XML_UINT, VB_XML_FIELD(VbDiskGeometry, heads)),
        VB_XML_ATTRIBUTE("secs", VB_XML_UINT, VB_XML_FIELD(VbDiskGeometry, sectors)),
        VB_XML_ATTRIBUTE("trans", VB_XML_ENUM(vb_disk_translation), VB_XML_FIELD(VbDiskGeometry, translation)),
        {},
};

static const VbXmlTable geometry_table = { "geometry", sizeof(VbDiskGeometry), geometry_rows };

/* <disk> */

#define F(field) VB_XML_FIELD(VbDisk, field)

/* A running drive without an image has no format. */
static bool format_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbDisk *disk = (const void *) ((const char *) field - row->offset);

        return disk->format != VB_DISK_FORMAT_ABSENT && (disk->path || !(mode & VB_XML_LIVE));
}

static const VbXmlType format_type = { "one of",      sizeof(VbDiskFormat), vb_xml_enum_parse,
                                       format_is_set, vb_xml_enum_format,        false };

static const VbXmlRow driver_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_STRING, F(driver_name), .max = 16),
        VB_XML_ATTRIBUTE("type", .type = &format_type, .words = &vb_disk_format_table, F(format),
                         .unbuilt = UNBUILT_FORMATS),
        VB_XML_ATTRIBUTE("cache", VB_XML_ENUM(vb_disk_cache), F(cache)),
        VB_XML_ATTRIBUTE("error_policy", VB_XML_ENUM(vb_disk_error_policy), F(error_policy)),
        VB_XML_ATTRIBUTE("rerror_policy", VB_XML_ENUM(vb_disk_error_policy), F(rerror_policy),
                         .words_mask = ~VB_XML_BIT(VB_DISK_ERROR_POLICY_ENOSPACE)),
        VB_XML_ATTRIBUTE("io", VB_XML_ENUM(vb_disk_io), F(io)),
        VB_XML_ATTRIBUTE("ioeventfd", VB_XML_ON_OFF, F(ioeventfd)),
        VB_XML_ATTRIBUTE("event_idx", VB_XML_ON_OFF, F(event_idx)),
        VB_XML_ATTRIBUTE("copy_on_read", VB_XML_ON_OFF, F(copy_on_read)),
        VB_XML_ATTRIBUTE("discard", VB_XML_ENUM(vb_disk_discard), F(discard)),
        VB_XML_ATTRIBUTE("iothread", VB_XML_UINT, F(iothread), VB_XML_RANGE(1, UINT32_MAX)),
        VB_XML_ATTRIBUTE("detect_zeroes", VB_XML_ENUM(vb_disk_detect_zeroes), F(detect_zeroes)),
        VB_XML_ATTRIBUTE("queues", VB_XML_UINT, F(queues), VB_XML_RANGE(1, 1024)),
        VB_XML_ATTRIBUTE("queue_size", VB_XML_UINT, F(queue_size), VB_XML_RANGE(1, 1024)),
        VB_VIRTIO_OPTION_ROWS(VbDisk),
        VB_XML_UNBUILT_ATTRIBUTES("discard_no_unref"),
        VB_XML_UNBUILT_ELEMENTS("metadata_cache iothreads"),
        {},
};

static const VbXmlRow source_rows[] = {
        VB_XML_ATTRIBUTE("file", VB_XML_STRING, F(path), ON(VbDisk, FILE)),
        VB_XML_ATTRIBUTE("dev", VB_XML_STRING, F(path), ON(VbDisk, BLOCK)),
        VB_XML_ATTRIBUTE("startupPolicy", VB_XML_ENUM(vb_startup_policy), F(startup_policy)),
        VB_XML_ATTRIBUTE("index", VB_XML_UINT, F(source_index), .flags = VB_XML_LIVE_ONLY),
        VB_XML_UNBUILT_ATTRIBUTES(UNBUILT_SOURCE_ATTRIBUTES),
        VB_XML_UNBUILT_ELEMENTS(UNBUILT_SOURCE_ELEMENTS),
        {},
};

static const VbXmlRow blockio_rows[] = {
        VB_XML_ATTRIBUTE("logical_block_size", VB_XML_UINT, F(logical_block_size)),
        VB_XML_ATTRIBUTE("physical_block_size", VB_XML_UINT, F(physical_block_size)),
        VB_XML_UNBUILT_ATTRIBUTES("discard_granularity"),
        {},
};

static const VbXmlRow target_rows[] = {
        VB_XML_ATTRIBUTE("dev", VB_XML_STRING, F(target), .flags = VB_XML_REQUIRED, .max = 16),
        VB_XML_ATTRIBUTE("bus", VB_XML_ENUM(vb_disk_bus), F(bus), .unbuilt = "xen uml"),
        VB_XML_ATTRIBUTE("tray", VB_XML_ENUM(vb_disk_tray), F(tray)),
        VB_XML_ATTRIBUTE("removable", VB_XML_ON_OFF, F(removable)),
        VB_XML_ATTRIBUTE("rotation_rate", VB_XML_UINT, F(rotation_rate), VB_XML_RANGE(1, 65534)),
        {},
};

static const VbXmlRow disk_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_disk_type), F(type), .fallback = "file",
                         .unbuilt = UNBUILT_TYPES),
        VB_XML_ATTRIBUTE("device", VB_XML_ENUM(vb_disk_device), F(device), .fallback = "disk"),
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_disk_model), F(model)),
        VB_XML_ATTRIBUTE("snapshot", VB_XML_ENUM(vb_disk_snapshot), F(snapshot)),
        VB_XML_GROUP("driver", driver_rows),
        VB_XML_GROUP("source", source_rows),
        VB_XML_SINGLE("backingStore", backing_table, F(backing)),
        VB_XML_SINGLE("geometry", geometry_table, F(geometry)),
        VB_XML_GROUP("blockio", blockio_rows),
        VB_XML_GROUP("target", target_rows, .flags = VB_XML_REQUIRED),
        VB_XML_SINGLE("iotune", vb_iotune_table, F(iotune)),
        VB_XML_FLAG("readonly", F(readonly)),
        VB_XML_FLAG("shareable", F(shareable)),
        VB_XML_VALUE("serial", VB_XML_STRING, F(serial), .max = 255),
        VB_XML_VALUE("wwn", VB_XML_STRING, F(wwn), .max = 18),
        VB_XML_VALUE("vendor", VB_XML_STRING, F(vendor), .max = 8),
        VB_XML_VALUE("product", VB_XML_STRING, F(product), .max = 16),
        VB_BOOT_ROW,
        VB_ALIAS_ROW,
        VB_ACPI_ROW,
        VB_ADDRESS_ROW,
        VB_XML_UNBUILT_ATTRIBUTES("rawio sgio"),
        VB_XML_UNBUILT_ELEMENTS("auth encryption mirror transient backenddomain privateData throttlefilters"),
        {},
};

int vb_disk_target_to_index(const char *target) {
        static const char *const prefixes[] = { "fd", "hd", "vd", "sd", "xvd", "ubd" };
        const char *letters = NULL;
        int index = -1;

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                if (g_str_has_prefix(target, prefixes[i]))
                        letters = target + strlen(prefixes[i]);
        if (!letters || *letters == '\0')
                return -EINVAL;

        for (; g_ascii_islower(*letters); letters++)
                if (__builtin_mul_overflow(index + 1, 26, &index) ||
                    __builtin_add_overflow(index, *letters - 'a', &index))
                        return -EINVAL;
        return *letters == '\0' ? index : -EINVAL;
}

/* A target without bus: its name tells. */
static VbDiskBus guess_bus(const VbDisk *disk) {
        static const struct {
                const char *prefix;
                VbDiskBus bus;
        } buses[] = {
                { "hd", VB_DISK_BUS_IDE },
                { "fd", VB_DISK_BUS_FDC },
                { "sd", VB_DISK_BUS_SCSI },
                { "vd", VB_DISK_BUS_VIRTIO },
        };

        if (disk->device == VB_DISK_DEVICE_FLOPPY)
                return VB_DISK_BUS_FDC;
        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                if (g_str_has_prefix(disk->target, buses[i].prefix))
                        return buses[i].bus;
        return VB_DISK_BUS_IDE;
}

static int check_wwn(const char *wwn, VbXmlReader *reader) {
        const char *digits = g_str_has_prefix(wwn, "0x") ? wwn + 2 : wwn;

        if (strlen(digits) != 16 || strspn(digits, "0123456789abcdefABCDEF") != 16)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "wwn '%s': not 16 hexadecimal digits", wwn);
        return 0;
}

static int disk_finish(void *item, VbXmlReader *reader) {
        VbDisk *disk = item;
        bool removable = disk->device == VB_DISK_DEVICE_CDROM || disk->device == VB_DISK_DEVICE_FLOPPY;

        if (disk->driver_name && strcmp(disk->driver_name, "qemu") != 0)
                return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                   "driver '%s': only qemu is supported", disk->driver_name);
        if (vb_disk_target_to_index(disk->target) < 0)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "target '%s': not a device name like vda, sdb, hdc or fda", disk->target);
        if (!disk->path && !removable)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "%s '%s' has no source; only cdrom and floppy may be empty",
                                   vb_disk_device_to_string(disk->device), disk->target);
        if (disk->tray && !removable)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "only cdrom and floppy have a tray");
        if (disk->startup_policy == VB_STARTUP_POLICY_REQUISITE && !removable)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "startupPolicy 'requisite' is for cdrom and floppy only");
        if (disk->wwn && check_wwn(disk->wwn, reader) < 0)
                return -EBADMSG;

        if (disk->device == VB_DISK_DEVICE_CDROM)
                disk->readonly = true;
        if (!disk->driver_name)
                disk->driver_name = g_strdup("qemu");
        if (disk->format == VB_DISK_FORMAT_ABSENT)
                disk->format = VB_DISK_FORMAT_RAW;
        return 0;
}

/* Where a new disk goes among those before it: next to those on the same bus, sorted by their targets'
 * letters. Two that say nothing about their bus count as on the same; libvirt, too, guesses it only later. */
static size_t place_of(const VbDisk *const *disks, size_t n, const VbDisk *disk) {
        size_t place = n;
        bool found = false;

        for (size_t i = n; i-- > 0;) {
                int other = vb_disk_target_to_index(disks[i]->target),
                    own = vb_disk_target_to_index(disk->target);

                if (disks[i]->bus != disk->bus)
                        continue;
                if (other > own || (other < own && !found)) {
                        place = other > own ? i : i + 1;
                        found = true;
                }
        }
        return place;
}

void vb_disks_arrange(VbDomainDefinition *definition) {
        VbList *disks = (VbList *) &definition->disks;

        for (size_t i = 0; i < disks->n; i++) {
                size_t place = place_of((const VbDisk *const *) disks->items, i, disks->items[i]);

                if (place < i)
                        vb_list_insert(disks, place, vb_list_steal(disks, i));
        }
}

void vb_disks_guess_buses(VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->disks.n; i++) {
                VbDisk *disk = definition->disks.items[i];

                if (disk->bus == VB_DISK_BUS_ABSENT)
                        disk->bus = guess_bus(disk);
        }
}

const VbXmlTable vb_disk_table = { "disk", sizeof(VbDisk), disk_rows, disk_finish };
