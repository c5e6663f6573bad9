/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* <disk>: hard disks, CD-ROM and floppy drives, and the images in them. */

#include "model/device.h"

typedef enum __attribute__((packed)) VbDiskType {
        VB_DISK_TYPE_ABSENT,
        VB_DISK_TYPE_FILE,
        VB_DISK_TYPE_BLOCK,
        VB_DISK_TYPE_MAX,
} VbDiskType;
VB_STRING_TABLE_DECLARE(vb_disk_type, VbDiskType);

typedef enum __attribute__((packed)) VbDiskDevice {
        VB_DISK_DEVICE_ABSENT,
        VB_DISK_DEVICE_DISK, /* always set after parsing */
        VB_DISK_DEVICE_CDROM,
        VB_DISK_DEVICE_FLOPPY,
        VB_DISK_DEVICE_LUN,
        VB_DISK_DEVICE_MAX,
} VbDiskDevice;
VB_STRING_TABLE_DECLARE(vb_disk_device, VbDiskDevice);

typedef enum __attribute__((packed)) VbDiskBus {
        VB_DISK_BUS_ABSENT, /* never after parsing: guessed from the target's name */
        VB_DISK_BUS_IDE,
        VB_DISK_BUS_FDC,
        VB_DISK_BUS_SCSI,
        VB_DISK_BUS_VIRTIO,
        VB_DISK_BUS_USB,
        VB_DISK_BUS_SATA,
        VB_DISK_BUS_SD,
        VB_DISK_BUS_MAX,
} VbDiskBus;
VB_STRING_TABLE_DECLARE(vb_disk_bus, VbDiskBus);

typedef enum __attribute__((packed)) VbDiskModel {
        VB_DISK_MODEL_ABSENT,
        VB_DISK_MODEL_VIRTIO,
        VB_DISK_MODEL_VIRTIO_TRANSITIONAL,
        VB_DISK_MODEL_VIRTIO_NON_TRANSITIONAL,
        VB_DISK_MODEL_MAX,
} VbDiskModel;
VB_STRING_TABLE_DECLARE(vb_disk_model, VbDiskModel);

typedef enum __attribute__((packed)) VbDiskFormat {
        VB_DISK_FORMAT_ABSENT, /* raw */
        VB_DISK_FORMAT_RAW,
        VB_DISK_FORMAT_QCOW2,
        VB_DISK_FORMAT_MAX,
} VbDiskFormat;
VB_STRING_TABLE_DECLARE(vb_disk_format, VbDiskFormat);

typedef enum __attribute__((packed)) VbDiskCache {
        VB_DISK_CACHE_ABSENT, /* default */
        VB_DISK_CACHE_DEFAULT,
        VB_DISK_CACHE_NONE,
        VB_DISK_CACHE_WRITETHROUGH,
        VB_DISK_CACHE_WRITEBACK,
        VB_DISK_CACHE_DIRECTSYNC,
        VB_DISK_CACHE_UNSAFE,
        VB_DISK_CACHE_MAX,
} VbDiskCache;
VB_STRING_TABLE_DECLARE(vb_disk_cache, VbDiskCache);

typedef enum __attribute__((packed)) VbDiskIo {
        VB_DISK_IO_ABSENT,
        VB_DISK_IO_NATIVE,
        VB_DISK_IO_THREADS,
        VB_DISK_IO_IO_URING,
        VB_DISK_IO_MAX,
} VbDiskIo;
VB_STRING_TABLE_DECLARE(vb_disk_io, VbDiskIo);

typedef enum __attribute__((packed)) VbDiskErrorPolicy {
        VB_DISK_ERROR_POLICY_ABSENT,
        VB_DISK_ERROR_POLICY_STOP,
        VB_DISK_ERROR_POLICY_REPORT,
        VB_DISK_ERROR_POLICY_IGNORE,
        VB_DISK_ERROR_POLICY_ENOSPACE, /* not for reading */
        VB_DISK_ERROR_POLICY_MAX,
} VbDiskErrorPolicy;
VB_STRING_TABLE_DECLARE(vb_disk_error_policy, VbDiskErrorPolicy);

typedef enum __attribute__((packed)) VbDiskDiscard {
        VB_DISK_DISCARD_ABSENT,
        VB_DISK_DISCARD_UNMAP,
        VB_DISK_DISCARD_IGNORE,
        VB_DISK_DISCARD_MAX,
} VbDiskDiscard;
VB_STRING_TABLE_DECLARE(vb_disk_discard, VbDiskDiscard);

typedef enum __attribute__((packed)) VbDiskDetectZeroes {
        VB_DISK_DETECT_ZEROES_ABSENT,
        VB_DISK_DETECT_ZEROES_OFF,
        VB_DISK_DETECT_ZEROES_ON,
        VB_DISK_DETECT_ZEROES_UNMAP,
        VB_DISK_DETECT_ZEROES_MAX,
} VbDiskDetectZeroes;
VB_STRING_TABLE_DECLARE(vb_disk_detect_zeroes, VbDiskDetectZeroes);

typedef enum __attribute__((packed)) VbStartupPolicy {
        VB_STARTUP_POLICY_ABSENT,
        VB_STARTUP_POLICY_MANDATORY,
        VB_STARTUP_POLICY_REQUISITE,
        VB_STARTUP_POLICY_OPTIONAL,
        VB_STARTUP_POLICY_MAX,
} VbStartupPolicy;
VB_STRING_TABLE_DECLARE(vb_startup_policy, VbStartupPolicy);

typedef enum __attribute__((packed)) VbDiskTray {
        VB_DISK_TRAY_ABSENT, /* closed */
        VB_DISK_TRAY_CLOSED,
        VB_DISK_TRAY_OPEN,
        VB_DISK_TRAY_MAX,
} VbDiskTray;
VB_STRING_TABLE_DECLARE(vb_disk_tray, VbDiskTray);

typedef enum __attribute__((packed)) VbDiskSnapshot {
        VB_DISK_SNAPSHOT_ABSENT,
        VB_DISK_SNAPSHOT_NO,
        VB_DISK_SNAPSHOT_INTERNAL,
        VB_DISK_SNAPSHOT_EXTERNAL,
        VB_DISK_SNAPSHOT_MANUAL,
        VB_DISK_SNAPSHOT_MAX,
} VbDiskSnapshot;
VB_STRING_TABLE_DECLARE(vb_disk_snapshot, VbDiskSnapshot);

typedef enum __attribute__((packed)) VbDiskTranslation {
        VB_DISK_TRANSLATION_ABSENT,
        VB_DISK_TRANSLATION_NONE,
        VB_DISK_TRANSLATION_AUTO,
        VB_DISK_TRANSLATION_LBA,
        VB_DISK_TRANSLATION_MAX,
} VbDiskTranslation;
VB_STRING_TABLE_DECLARE(vb_disk_translation, VbDiskTranslation);

/* An image below another one, as <backingStore> tells it. An empty <backingStore/> (type absent) ends the
 * chain for certain; no struct at all means that nobody has said, and the image's own header decides. */
typedef struct VbBackingStore {
        VbDiskType type;
        VbDiskFormat format;
        uint32_t index; /* live */
        char *path;
        struct VbBackingStore *backing;
} VbBackingStore;

/* Limits of one disk; 0 is none. The _max members are bursts, the _max_length members their seconds. */
typedef struct VbDiskIotune {
        uint64_t total_bytes_sec;
        uint64_t read_bytes_sec;
        uint64_t write_bytes_sec;
        uint64_t total_iops_sec;
        uint64_t read_iops_sec;
        uint64_t write_iops_sec;
        uint64_t total_bytes_sec_max;
        uint64_t read_bytes_sec_max;
        uint64_t write_bytes_sec_max;
        uint64_t total_iops_sec_max;
        uint64_t read_iops_sec_max;
        uint64_t write_iops_sec_max;
        uint64_t size_iops_sec;
        char *group_name;
        uint64_t total_bytes_sec_max_length;
        uint64_t read_bytes_sec_max_length;
        uint64_t write_bytes_sec_max_length;
        uint64_t total_iops_sec_max_length;
        uint64_t read_iops_sec_max_length;
        uint64_t write_iops_sec_max_length;
} VbDiskIotune;

typedef struct VbDiskGeometry {
        uint32_t cylinders;
        uint32_t heads;
        uint32_t sectors;
        VbDiskTranslation translation;
} VbDiskGeometry;

typedef struct VbDisk {
        VbDeviceInfo info;

        VbDiskType type;
        VbDiskDevice device;
        VbDiskModel model;
        VbDiskSnapshot snapshot;

        /* <driver>; the name is always "qemu" */
        char *driver_name;
        VbDiskFormat format;
        VbDiskCache cache;
        VbDiskErrorPolicy error_policy;
        VbDiskErrorPolicy rerror_policy;
        VbDiskIo io;
        VbTristate ioeventfd;
        VbTristate event_idx;
        VbTristate copy_on_read;
        VbDiskDiscard discard;
        VbDiskDetectZeroes detect_zeroes;
        uint32_t queues;
        uint32_t queue_size;
        uint32_t iothread; /* 0: the emulator's own loop */
        VbVirtioOptions virtio;

        /* <source>; no path is an empty drive */
        char *path;
        VbStartupPolicy startup_policy;
        uint32_t source_index; /* live */
        VbBackingStore *backing;

        /* <target> */
        char *target; /* "vda" */
        VbDiskBus bus;
        VbDiskTray tray;
        VbTristate removable;
        uint32_t rotation_rate;

        bool readonly;
        bool shareable;
        char *serial;
        char *wwn;
        char *vendor;
        char *product;
        uint32_t logical_block_size;
        uint32_t physical_block_size;
        VbDiskIotune *iotune;     /* or NULL */
        VbDiskGeometry *geometry; /* or NULL */
} VbDisk;

/* "sda" → 0, "sdz" → 25, "sdaa" → 26: the place that a target's name stands for, without its two- or
 * three-letter prefix; -EINVAL if it is no such name. */
int vb_disk_target_to_index(const char *target);
