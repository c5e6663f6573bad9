/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices as QEMU is told of them: one JSON object each, the same for -device on the command line and for device_add in a
 * running guest. */

#include "base/cleanup.h"
#include "model/domain.h"
#include "qemu/capabilities.h"
#include "qemu/open.h"

/* What the description of a device depends on besides the device itself. */
typedef struct QemuContext {
        const VbDomainDefinition *definition; /* complete, with aliases */
        const QemuCapabilities *capabilities;
} QemuContext;

/* --- Facts about the machine --- */

QemuAccel qemu_context_accel(const QemuContext *context);
bool qemu_context_is_x86(const QemuContext *context);
bool qemu_context_is_i440fx(const QemuContext *context);
bool qemu_context_is_q35(const QemuContext *context);
bool qemu_context_offers_type(const QemuContext *context, const char *name);

/* NULL if there is none. */
const VbController *qemu_context_find_controller(const QemuContext *context, VbControllerType type, uint32_t index);
/* Whether the machine has it on board: QEMU must not be told of it, and the buses have QEMU's names. */
bool qemu_context_controller_is_builtin(const QemuContext *context, const VbController *controller);

/* --- Errors: UnsupportedConfiguration, beginning with the domain; return its negative errno --- */

int qemu_unsupported(const QemuContext *context, sd_bus_error *reterr, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* "domain 'web': WHAT: not offered by /usr/bin/qemu-system-x86_64 (7.2.22)" */
int qemu_not_offered(const QemuContext *context, sd_bus_error *reterr, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* --- Building blocks --- */

/* A device with driver, id, address, option ROM and ACPI index. Fails if the emulator has no such driver: what is how people call the
 * device in that case ("sound card model 'ich9'"). info NULL: none of these. */
int qemu_device_new(const QemuContext *context, const char *driver, const VbDeviceInfo *info, const char *what,
                    VbJson **ret, sd_bus_error *reterr) VB_MUST_USE;
/* The switches of <driver>. */
void qemu_device_add_virtio(VbJson *device, const VbVirtioOptions *options);
/* Adds a boolean member unless value is absent. */
void qemu_device_add_tristate(VbJson *device, const char *key, VbTristate value);
/* "virtio-net-pci", "virtio-net-pci-transitional", … */
const char *qemu_virtio_suffix(VbVirtioModel model);

/* The place in the boot order: the device's own, or the one that <os><boot dev=…> gives to the first of its kind. 0: none. */
uint32_t qemu_boot_index(const QemuContext *context, const VbDeviceInfo *info);

/* --- Devices. All of them: *ret is NULL, with r = 0, for what needs no device --- */

int qemu_controller_device(const QemuContext *context, const VbController *controller, VbJson **ret,
                           sd_bus_error *reterr) VB_MUST_USE;
int qemu_disk_device(const QemuContext *context, const VbDisk *disk, VbJson **ret, sd_bus_error *reterr) VB_MUST_USE;
int qemu_interface_device(const QemuContext *context, const VbInterface *interface, VbJson **ret,
                          sd_bus_error *reterr) VB_MUST_USE;
int qemu_serial_device(const QemuContext *context, const VbChardev *serial, VbJson **ret,
                       sd_bus_error *reterr) VB_MUST_USE;
int qemu_parallel_device(const QemuContext *context, const VbChardev *parallel, VbJson **ret,
                         sd_bus_error *reterr) VB_MUST_USE;
int qemu_console_device(const QemuContext *context, const VbChardev *console, VbJson **ret,
                        sd_bus_error *reterr) VB_MUST_USE;
int qemu_channel_device(const QemuContext *context, const VbChardev *channel, VbJson **ret,
                        sd_bus_error *reterr) VB_MUST_USE;
int qemu_redirdev_device(const QemuContext *context, const VbRedirdev *redirdev, VbJson **ret,
                         sd_bus_error *reterr) VB_MUST_USE;
int qemu_video_device(const QemuContext *context, const VbVideo *video, VbJson **ret,
                      sd_bus_error *reterr) VB_MUST_USE;
int qemu_input_device(const QemuContext *context, const VbInput *input, VbJson **ret,
                      sd_bus_error *reterr) VB_MUST_USE;
int qemu_sound_device(const QemuContext *context, const VbSound *sound, VbJson **ret,
                      sd_bus_error *reterr) VB_MUST_USE;
int qemu_watchdog_device(const QemuContext *context, const VbWatchdog *watchdog, VbJson **ret,
                         sd_bus_error *reterr) VB_MUST_USE;
int qemu_memballoon_device(const QemuContext *context, const VbMemballoon *memballoon, VbJson **ret,
                           sd_bus_error *reterr) VB_MUST_USE;
int qemu_rng_device(const QemuContext *context, const VbRng *rng, VbJson **ret, sd_bus_error *reterr) VB_MUST_USE;
int qemu_panic_device(const QemuContext *context, const VbPanic *panic, VbJson **ret,
                      sd_bus_error *reterr) VB_MUST_USE;
int qemu_tpm_device(const QemuContext *context, const VbTpm *tpm, VbJson **ret, sd_bus_error *reterr) VB_MUST_USE;

/* --- What stands behind them --- */

/* One image of a disk's chain as block nodes: "vda-1-storage" below "vda-1-format". Index 1 is the image asked for, 2 what
 * it is backed by, and so on; a later snapshot takes the next free number. */
typedef struct QemuImage {
        uint32_t index;
        VbImageFormat format;
        const char *filename; /* as QEMU shall open it: "/dev/fdset/3" */
        bool block_device;
        bool writable;
        uint32_t backing_index; /* 0: none */
} QemuImage;

/* The number of the chain's first image, which counts on along the chain. */
uint32_t qemu_disk_top_index(const VbDisk *disk);

#define QEMU_NODE_NAME_SIZE 32 /* QEMU's limit, with the NUL */
void qemu_image_node_name(const VbDisk *disk, uint32_t index, const char *layer,
                          char buffer[static QEMU_NODE_NAME_SIZE]);
/* The node that the device sits on: the uppermost filter or the first image's format node. */
void qemu_disk_top_node(const VbDisk *disk, char buffer[static QEMU_NODE_NAME_SIZE]);

/* The two nodes of an image, for blockdev-add in this order. */
int qemu_image_storage(const QemuContext *context, const VbDisk *disk, const QemuImage *image, VbJson **ret,
                       sd_bus_error *reterr) VB_MUST_USE;
VbJson *qemu_image_format(const VbDisk *disk, const QemuImage *image);
/* What stands above the chain, from below: copy-on-read, then throttling; each is NULL if the disk has none of it. */
VbJson *qemu_disk_copy_on_read(const VbDisk *disk);
VbJson *qemu_disk_throttle(const VbDisk *disk);
/* The id of the disk's throttle group, which disks may share; NULL without limits. To be freed. */
char *qemu_disk_throttle_group_id(const VbDisk *disk);
VbJson *qemu_disk_throttle_group(const VbDisk *disk); /* for object-add */

/* The entry of a disk in a list of the emulator's (query-block, query-blockstats), by the device's path in its tree of objects;
 * NULL if there is none. Borrowed. */
VbJson *qemu_block_find_device(VbJson *list, const char *alias);

/* fds and vhost_fds are numbers or names, colon-separated; NULL: none. */
VbJson *qemu_interface_netdev(const VbInterface *interface, const char *fds, const char *vhost_fds);

VbJson *qemu_rng_backend(const VbRng *rng, const char *filename);

/* An I/O thread: for -object and object-add. */
VbJson *qemu_iothread_object(const VbDomainDefinition *definition, uint32_t id);

/* What of an I/O thread can be said, of which each is a property of the emulator's object, too. */
typedef struct QemuIothreadProperty {
        const char *name;
        size_t field; /* a VbOptUint of VbIothread */
} QemuIothreadProperty;
#define QEMU_IOTHREAD_PROPERTIES 5
extern const QemuIothreadProperty qemu_iothread_properties[QEMU_IOTHREAD_PROPERTIES];

/* thread may be NULL: nothing is said. */
VbOptUint qemu_iothread_property(const VbIothread *thread, const QemuIothreadProperty *property);
