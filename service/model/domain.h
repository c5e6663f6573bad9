/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The definition of a domain: what its <domain> XML says, as structs.
 *
 * A struct of zeros means "nothing was given" (see xml/types.h). What vb_domain_definition_parse() returns
 * has the defaults that follow from the text alone; vb_domain_definition_complete() adds those that need the
 * host: canonical machine type, implicit devices, addresses, MACs, UUID. From then on nothing about it is
 * left to chance. */

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "base/cleanup.h"
#include "base/string-table.h"
#include "model/chardev.h"
#include "model/controller.h"
#include "model/cpu.h"
#include "model/device.h"
#include "model/disk.h"
#include "model/display.h"
#include "model/interface.h"
#include "model/small-devices.h"
#include "xml/types.h"

/* Longest name a domain may have, as it becomes a file's name. */
#define VB_DOMAIN_NAME_MAX 250
#define VB_DOMAIN_VCPUS_MAX 4096
#define VB_DOMAIN_IOTHREADS_MAX 256

typedef enum __attribute__((packed)) VbDomainType {
        VB_DOMAIN_TYPE_ABSENT,
        VB_DOMAIN_TYPE_QEMU, /* TCG */
        VB_DOMAIN_TYPE_KVM,
        VB_DOMAIN_TYPE_MAX,
} VbDomainType;
VB_STRING_TABLE_DECLARE(vb_domain_type, VbDomainType);

/* on_poweroff, on_reboot */
typedef enum __attribute__((packed)) VbLifecycleAction {
        VB_LIFECYCLE_ABSENT, /* never after parsing */
        VB_LIFECYCLE_DESTROY,
        VB_LIFECYCLE_RESTART,
        VB_LIFECYCLE_RENAME_RESTART,
        VB_LIFECYCLE_PRESERVE,
        VB_LIFECYCLE_COREDUMP_DESTROY, /* these two: on_crash only */
        VB_LIFECYCLE_COREDUMP_RESTART,
        VB_LIFECYCLE_MAX,
} VbLifecycleAction;
VB_STRING_TABLE_DECLARE(vb_lifecycle_action, VbLifecycleAction);

typedef enum __attribute__((packed)) VbBootDevice {
        VB_BOOT_ABSENT,
        VB_BOOT_FD,
        VB_BOOT_CDROM,
        VB_BOOT_HD,
        VB_BOOT_NETWORK,
        VB_BOOT_DEVICE_MAX,
} VbBootDevice;
VB_STRING_TABLE_DECLARE(vb_boot_device, VbBootDevice);

typedef struct VbBoot {
        VbBootDevice device;
} VbBoot;

typedef enum __attribute__((packed)) VbFirmware {
        VB_FIRMWARE_ABSENT,
        VB_FIRMWARE_BIOS,
        VB_FIRMWARE_EFI,
        VB_FIRMWARE_MAX,
} VbFirmware;
VB_STRING_TABLE_DECLARE(vb_firmware, VbFirmware);

typedef enum __attribute__((packed)) VbFirmwareFeatureName {
        VB_FIRMWARE_FEATURE_ABSENT,
        VB_FIRMWARE_FEATURE_ENROLLED_KEYS,
        VB_FIRMWARE_FEATURE_SECURE_BOOT,
        VB_FIRMWARE_FEATURE_MAX,
} VbFirmwareFeatureName;
VB_STRING_TABLE_DECLARE(vb_firmware_feature, VbFirmwareFeatureName);

typedef struct VbFirmwareFeature {
        VbFirmwareFeatureName name;
        VbTristate enabled;
} VbFirmwareFeature;

typedef enum __attribute__((packed)) VbLoaderType {
        VB_LOADER_ABSENT, /* rom */
        VB_LOADER_ROM,
        VB_LOADER_PFLASH,
        VB_LOADER_TYPE_MAX,
} VbLoaderType;
VB_STRING_TABLE_DECLARE(vb_loader_type, VbLoaderType);

typedef enum __attribute__((packed)) VbSmbiosMode {
        VB_SMBIOS_ABSENT,
        VB_SMBIOS_EMULATE,
        VB_SMBIOS_HOST,
        VB_SMBIOS_SYSINFO,
        VB_SMBIOS_MODE_MAX,
} VbSmbiosMode;
VB_STRING_TABLE_DECLARE(vb_smbios_mode, VbSmbiosMode);

typedef struct VbOs {
        char *arch;    /* "x86_64" */
        char *machine; /* "pc-q35-7.2" once complete */
        char *type;    /* "hvm" */
        VbFirmware firmware;

        /* <loader>, <nvram> */
        VbLoaderType loader_type;
        VbTristate loader_readonly;
        VbTristate loader_secure;
        VbTristate loader_stateless;
        char *loader;
        char *nvram_template;
        char *nvram;
        VB_LIST(VbFirmwareFeature) firmware_features;

        char *kernel;
        char *initrd;
        char *cmdline;
        char *dtb;

        VB_LIST(VbBoot) boot; /* in order; none if devices have a boot order of their own */
        VbTristate bootmenu;
        VbOptUint bootmenu_timeout; /* ms */
        VbSmbiosMode smbios;
        VbTristate bios_useserial;
        VbOptInt bios_reboot_timeout; /* ms, or -1 */
} VbOs;

/* <sysinfo type='smbios'>: <entry name='…'>value</entry>, and a bare <entry> of oemStrings. */
typedef struct VbSysinfoEntry {
        char *name;
        char *value;
} VbSysinfoEntry;

typedef struct VbSysinfo {
        VB_LIST(VbSysinfoEntry) bios;
        VB_LIST(VbSysinfoEntry) system;
        VB_LIST(VbSysinfoEntry) base_board;
        VB_LIST(VbSysinfoEntry) chassis;
        VB_LIST(VbSysinfoEntry) oem_strings;
} VbSysinfo;

typedef enum __attribute__((packed)) VbVcpuPlacement {
        VB_VCPU_PLACEMENT_ABSENT, /* never after parsing */
        VB_VCPU_PLACEMENT_STATIC,
        VB_VCPU_PLACEMENT_MAX,
} VbVcpuPlacement;
VB_STRING_TABLE_DECLARE(vb_vcpu_placement, VbVcpuPlacement);

/* <vcpus><vcpu>; see model/vcpus.h. */
typedef struct VbVcpu {
        VbOptUint id;
        VbTristate enabled;
        VbTristate hotpluggable;
        uint32_t order; /* in which they were plugged in; 0: not given */
} VbVcpu;

typedef struct VbVcpuPin {
        VbOptUint vcpu;
        char *cpuset; /* "0-3,7" */
} VbVcpuPin;

typedef struct VbIothreadPin {
        VbOptUint iothread;
        char *cpuset;
} VbIothreadPin;

/* <iothreadids><iothread>; see model/iothreads.h. */
typedef struct VbIothread {
        VbOptUint id;
        VbOptUint pool_min, pool_max; /* helpers that it may have */
        VbOptUint poll_max;           /* how long it looks for requests before it sleeps, nanoseconds; 0: not at all */
        VbOptUint poll_grow, poll_shrink;
} VbIothread;

/* <cputune>; the scope's properties. Periods and quotas in microseconds. */
typedef struct VbCputune {
        uint64_t shares; /* 0: not given */
        uint64_t period;
        int64_t quota; /* < 0: no limit; 0: not given */
        uint64_t global_period;
        int64_t global_quota;
        uint64_t emulator_period;
        int64_t emulator_quota;
        VB_LIST(VbVcpuPin) vcpupins;
        char *emulatorpin;
        VB_LIST(VbIothreadPin) iothreadpins;
} VbCputune;

/* <memtune>, KiB; 0: not given. */
typedef struct VbMemtune {
        uint64_t hard_limit;
        uint64_t soft_limit;
        uint64_t min_guarantee;
        uint64_t swap_hard_limit;
} VbMemtune;

typedef struct VbBlkioDevice {
        char *path;
        uint32_t weight;
        uint32_t read_iops_sec;
        uint32_t write_iops_sec;
        uint64_t read_bytes_sec;
        uint64_t write_bytes_sec;
} VbBlkioDevice;

typedef struct VbBlkiotune {
        uint32_t weight; /* 0: not given */
        VB_LIST(VbBlkioDevice) devices;
} VbBlkiotune;

typedef enum __attribute__((packed)) VbNumaMode {
        VB_NUMA_MODE_ABSENT, /* strict */
        VB_NUMA_MODE_STRICT,
        VB_NUMA_MODE_PREFERRED,
        VB_NUMA_MODE_INTERLEAVE,
        VB_NUMA_MODE_RESTRICTIVE,
        VB_NUMA_MODE_MAX,
} VbNumaMode;
VB_STRING_TABLE_DECLARE(vb_numa_mode, VbNumaMode);

/* Memory comes from elsewhere where the nodes have none. */
static inline bool vb_numa_mode_is_wish(VbNumaMode mode) {
        return mode == VB_NUMA_MODE_PREFERRED || mode == VB_NUMA_MODE_INTERLEAVE;
}

/* <numatune><memory>: from which of the host's nodes the guest's memory comes. */
typedef struct VbNumatune {
        VbNumaMode mode;
        char *nodes; /* "0-1"; NULL: all */
} VbNumatune;

/* <qemu:commandline> */
typedef struct VbCommandlineArg {
        char *value;
} VbCommandlineArg;

typedef struct VbCommandlineEnv {
        char *name;
        char *value;
} VbCommandlineEnv;

typedef struct VbCommandline {
        VB_LIST(VbCommandlineArg) args;
        VB_LIST(VbCommandlineEnv) env;
} VbCommandline;

typedef struct VbDomainDefinition {
        VbDomainType type;
        VbOptInt id; /* live; set by who starts the domain */
        char *name;
        sd_id128_t uuid;
        char *title;
        char *description;
        char *metadata; /* <metadata>…</metadata> as it was given, or NULL */

        /* memory in KiB */
        uint64_t memory;
        uint64_t current_memory;
        VbMemtune *memtune;     /* or NULL */
        VbBlkiotune *blkiotune; /* or NULL */

        uint32_t vcpus;         /* the most there can be; at least 1 */
        VbOptUint vcpus_current; /* not set: all */
        VB_LIST(VbVcpu) vcpu_list; /* all that there can be, by number; or none, where nothing is said of single ones */
        char *vcpu_cpuset;
        VbVcpuPlacement vcpu_placement;
        uint32_t iothreads; /* how many threads of the emulator there are that disks may be given to */
        VB_LIST(VbIothread) iothread_ids; /* all of them; or none, where nothing is said of single ones */
        VbCputune *cputune;   /* or NULL */
        VbNumatune *numatune; /* or NULL */

        VbSysinfo *sysinfo; /* or NULL */
        VbOs os;
        VbFeatures *features; /* or NULL */
        VbCpu *cpu;           /* or NULL */
        VbClock clock;

        VbLifecycleAction on_poweroff;
        VbLifecycleAction on_reboot;
        VbLifecycleAction on_crash;
        VbTristate suspend_to_mem;
        VbTristate suspend_to_disk;

        char *emulator;
        VB_LIST(VbDisk) disks;
        VB_LIST(VbController) controllers;
        VB_LIST(VbLease) leases;
        VB_LIST(VbInterface) interfaces;
        VB_LIST(VbChardev) serials;
        VB_LIST(VbChardev) parallels;
        /* The first of the consoles is, where target_type is VB_CHAR_TARGET_SERIAL, the first of the serials
         * seen once more. It is no device. */
        VB_LIST(VbChardev) consoles;
        VB_LIST(VbChardev) channels;
        VB_LIST(VbInput) inputs;
        VB_LIST(VbTpm) tpms;
        VB_LIST(VbGraphics) graphics;
        VB_LIST(VbSound) sounds;
        VB_LIST(VbAudio) audios;
        VB_LIST(VbVideo) videos;
        VB_LIST(VbRedirdev) redirdevs;
        VB_LIST(VbWatchdog) watchdogs;
        VB_LIST(VbMemballoon) memballoons; /* at most one */
        VB_LIST(VbRng) rngs;
        VB_LIST(VbPanic) panics;

        VbCommandline *commandline; /* or NULL */

        /* Not of libvirt's format: the owner's uid, kept in the daemon's own files (see
         * VB_DOMAIN_FORMAT_PRIVATE). */
        VbOptUint owner;
} VbDomainDefinition;

/* How many vCPUs there are at the start. */
static inline uint32_t vb_domain_definition_vcpus(const VbDomainDefinition *definition) {
        return definition->vcpus_current.set ? definition->vcpus_current.value : definition->vcpus;
}

/* NULL if the guest has none. */
static inline VbMemballoon *vb_domain_definition_balloon(const VbDomainDefinition *definition) {
        VbMemballoon *balloon = definition->memballoons.n > 0 ? definition->memballoons.items[0] : NULL;

        return balloon && balloon->model != VB_MEMBALLOON_NONE ? balloon : NULL;
}

typedef enum VbDomainParseFlags {
        VB_DOMAIN_PARSE_VALIDATE = 1 << 0, /* what the format does not know is an error, not dropped */
        VB_DOMAIN_PARSE_LIVE =
                1 << 1, /* the id, aliases and whatever else only a running domain has are kept */
        VB_DOMAIN_PARSE_PRIVATE =
                1 << 2, /* so are the daemon's own elements; only for files nobody else writes */
} VbDomainParseFlags;

typedef enum VbDomainFormatFlags {
        VB_DOMAIN_FORMAT_SECURE = 1 << 0,     /* with passwords */
        VB_DOMAIN_FORMAT_INACTIVE = 1 << 1,   /* without what only a running domain has */
        VB_DOMAIN_FORMAT_MIGRATABLE = 1 << 2, /* without what another host would not understand */
        VB_DOMAIN_FORMAT_PRIVATE = 1 << 3,    /* with the daemon's own elements */
} VbDomainFormatFlags;

/* Takes away the structs of <cputune>, <memtune>, <blkiotune>, <numatune>, of disks' <iotune> and interfaces' <bandwidth> in which
 * nothing is said any more, after a change. */
void vb_domain_definition_tidy(VbDomainDefinition *definition);

/* A list of CPUs or nodes as people write it, "0-3,^2,7", in the shortest notation, "0-1,3,7"; NULL if it is none, or names nothing. To be
 * freed. */
char *vb_cpuset_normalize(const char *text);

/* Reads a <domain>. Fails with InvalidXML (not well-formed, a bad value, over a limit; the message gives line
 * and element) or UnsupportedConfiguration (something of libvirt's format that is not built). Includes
 * vb_domain_definition_check(). */
int vb_domain_definition_parse(VbDomainDefinition **ret,
                               const char *xml,
                               size_t length,
                               VbDomainParseFlags flags,
                               sd_bus_error *reterr) VB_MUST_USE;

/* The definition as XML in libvirt's look, with a final newline. The caller frees it. */
char *vb_domain_definition_format(const VbDomainDefinition *definition, VbDomainFormatFlags flags);

/* A deep copy. NULL for NULL. */
VbDomainDefinition *vb_domain_definition_copy(const VbDomainDefinition *definition);

/* Frees it with all that it holds; takes NULL, returns NULL. */
VbDomainDefinition *vb_domain_definition_free(VbDomainDefinition *definition);

/* The rules that follow from the definition alone: names, sizes, duplicate targets and boot orders. Fails with
 * InvalidXML or UnsupportedConfiguration. What needs an emulator's capabilities is checked by its driver. */
int vb_domain_definition_check(const VbDomainDefinition *definition, sd_bus_error *reterr) VB_MUST_USE;

/* -EINVAL with a message unless name may be a domain's: 1 to VB_DOMAIN_NAME_MAX bytes of UTF-8 without control
 * characters and '/', not starting with a dot. */
int vb_domain_name_check(const char *name, sd_bus_error *reterr) VB_MUST_USE;

/* Whether it asks for devices or networks of the host (block and character devices; taps on bridges and links) or for leases,
 * or has words for the emulator itself, which could ask for them. Files and sockets are not meant: they are used with the owner's rights. */
bool vb_domain_definition_uses_host(const VbDomainDefinition *definition);

/* What of the host is needed to complete a definition. */
typedef struct VbDomainHost {
        /* The emulator binary for an architecture, for definitions that name none; fails if there is none. */
        int (*find_emulator)(void *userdata, VbDomainType type, const char *arch, char **ret_path,
                             sd_bus_error *reterr);

        /* The canonical name of a machine type ("q35" → "pc-q35-7.2"); machine NULL asks for the default.
         * Fails if the emulator has no such machine. */
        int (*resolve_machine)(void *userdata,
                               const char *emulator,
                               const char *arch,
                               const char *machine,
                               char **ret_machine,
                               sd_bus_error *reterr);

        /* Whether the emulator has a device of this name; decides among models with the same purpose. May be
         * NULL: then everything common is there. */
        bool (*has_device)(void *userdata, const char *emulator, const char *device);

        /* The QOM type of the CPU that the machine has by itself ("qemu64-x86_64-cpu"), or NULL. May be NULL:
         * then definitions without a CPU stay without one. The string is the host's. */
        const char *(*default_cpu)(void *userdata, const char *emulator, const char *machine);

        const char *arch; /* of the host, for definitions that name none: "x86_64" */
        void *userdata;
} VbDomainHost;

/* Fills in what was left open: UUID, emulator, machine type, implicit devices, MACs, addresses. Everything
 * that was given stays. Once complete, completing it again changes nothing. Fails if a place that was asked
 * for is taken, or no place is left. */
int vb_domain_definition_complete(VbDomainDefinition *definition,
                                  const VbDomainHost *host,
                                  sd_bus_error *reterr) VB_MUST_USE;

/* Gives every device of a domain that is about to run its alias ("net0"); user aliases stay. */
void vb_domain_definition_assign_aliases(VbDomainDefinition *definition);

/* Calls visit for every device that has an address and alias; stops at, and returns, the first answer that is
 * not 0. kind is the element's name ("disk"). */
typedef int (*VbDeviceVisitor)(const char *kind, void *device, VbDeviceInfo *info, void *userdata);
int vb_domain_definition_foreach_device(VbDomainDefinition *definition, VbDeviceVisitor visit, void *userdata);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbDomainDefinition, vb_domain_definition_free)
