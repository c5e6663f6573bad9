/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rules that a definition must keep by itself, whatever runs it. */

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/domain.h"
#include "model/iothreads.h"
#include "model/vcpus.h"

#define MEMORY_MAX_KIB (UINT64_C(1) << 40) /* 1 PiB */

int vb_domain_name_check(const char *name, sd_bus_error *reterr) {
        size_t length = strlen(name);

        if (length == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "domain name: must not be empty");
        if (length > VB_DOMAIN_NAME_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                         "domain name '%.32s…': %zu bytes long, at most %d are allowed", name,
                                         length, VB_DOMAIN_NAME_MAX);
        if (!g_utf8_validate(name, -1, NULL))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "domain name: not UTF-8 text");
        if (name[0] == '.')
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                         "domain name '%s': must not begin with a dot", name);
        for (const char *c = name; *c; c = g_utf8_next_char(c)) {
                if (*c == '/')
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                                 "domain name '%s': must not contain '/'", name);
                if (g_unichar_iscntrl(g_utf8_get_char(c)))
                        return sd_bus_error_set(
                                reterr, VB_ERROR_INVALID_XML,
                                "domain name: must not contain line breaks and other control characters");
        }
        if (strspn(name, " ") == length)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "domain name: must not be blank");
        return 0;
}

static int check_text(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        int r;

        r = vb_domain_name_check(definition->name, reterr);
        if (r < 0)
                return r;
        if (definition->title && strchr(definition->title, '\n'))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "<title>: must be one line");
        return 0;
}

static int check_sizes(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        if (definition->memory == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "<memory>: must not be 0");
        if (definition->memory > MEMORY_MAX_KIB)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<memory>: more than %" PRIu64 " KiB",
                                         MEMORY_MAX_KIB);
        if (definition->current_memory > definition->memory)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                         "<currentMemory>: %" PRIu64 " KiB is more than <memory>, %" PRIu64
                                         " KiB",
                                         definition->current_memory, definition->memory);
        if (definition->vcpus_current.set && definition->vcpus_current.value > definition->vcpus)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                         "<vcpu current='%u'>: more than the %u there are",
                                         definition->vcpus_current.value, definition->vcpus);
        return 0;
}

static int check_topology(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        const VbCpuTopology *t = definition->cpu ? definition->cpu->topology : NULL;
        uint64_t product;

        if (!t)
                return 0;
        product = (uint64_t) t->sockets * t->dies * t->cores * t->threads; /* 4096^4 fits */
        if (product != definition->vcpus)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_INVALID_XML,
                        "<topology>: %u sockets of %u dies of %u cores of %u threads are not <vcpu>, %u",
                        t->sockets, t->dies, t->cores, t->threads, definition->vcpus);
        return 0;
}

static int check_pins(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        const VbCputune *tune = definition->cputune;

        for (size_t i = 0; tune && i < tune->vcpupins.n; i++) {
                unsigned vcpu = tune->vcpupins.items[i]->vcpu.value;

                if (!g_hash_table_add(seen, GUINT_TO_POINTER(vcpu + 1)))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                                 "<vcpupin vcpu='%u'>: told twice", vcpu);
        }
        return 0;
}

/* Disks: targets and device types. */

static int check_disk(const VbDisk *disk, sd_bus_error *reterr) {
        bool virtio = disk->bus == VB_DISK_BUS_VIRTIO;

        if (disk->device == VB_DISK_DEVICE_FLOPPY && disk->bus != VB_DISK_BUS_FDC)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': a floppy sits on bus 'fdc', not '%s'", disk->target,
                                         vb_disk_bus_to_string(disk->bus));
        if (disk->bus == VB_DISK_BUS_FDC && disk->device != VB_DISK_DEVICE_FLOPPY)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': on bus 'fdc' there are floppies only", disk->target);
        if (disk->device == VB_DISK_DEVICE_CDROM && virtio)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "disk '%s': there is no virtio cdrom; sata, scsi, ide and usb have one",
                        disk->target);
        if (disk->device == VB_DISK_DEVICE_LUN && (disk->type != VB_DISK_TYPE_BLOCK ||
                                                  (!virtio && disk->bus != VB_DISK_BUS_SCSI)))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': device 'lun' is for type 'block' on bus 'scsi'",
                                         disk->target);
        if (disk->bus == VB_DISK_BUS_SD)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': bus 'sd' is not supported by virtbus yet", disk->target);
        if (disk->model && !virtio)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': the model is for bus 'virtio' only", disk->target);
        if (disk->cache != VB_DISK_CACHE_NONE && disk->cache != VB_DISK_CACHE_DIRECTSYNC &&
            disk->io == VB_DISK_IO_NATIVE)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': io 'native' needs cache 'none' or 'directsync'",
                                         disk->target);
        if (disk->path && strlen(disk->path) == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "disk '%s': the source's path is empty",
                                         disk->target);
        return 0;
}

static int check_disks(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) serials = g_hash_table_new(g_str_hash, g_str_equal);
        int r;

        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];

                r = check_disk(disk, reterr);
                if (r < 0)
                        return r;
                if (!g_hash_table_add(targets, disk->target))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "target '%s': two disks have it",
                                                 disk->target);
                if (disk->wwn && !g_hash_table_add(serials, disk->wwn))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "wwn '%s': two disks have it",
                                                 disk->wwn);
        }
        return 0;
}

/* Controllers: the same type and index twice is one controller too many, but for the four functions of a USB
 * 2 one. */

static bool is_companion(const VbController *controller) {
        return controller->type == VB_CONTROLLER_USB &&
               controller->model >= VB_CONTROLLER_MODEL_USB_ICH9_EHCI1 &&
               controller->model <= VB_CONTROLLER_MODEL_USB_ICH9_UHCI3;
}

static int check_controllers(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        bool usb_none = false, usb = false;

        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *c = definition->controllers.items[i];
                bool is_usb = c->type == VB_CONTROLLER_USB, none = c->model == VB_CONTROLLER_MODEL_USB_NONE;

                usb_none |= is_usb && none;
                usb |= is_usb && !none;
                if (c->index.set && !is_companion(c) &&
                    !g_hash_table_add(seen, GUINT_TO_POINTER((unsigned) c->type << 16 | c->index.value)))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                                 "<controller type='%s' index='%u'>: told twice",
                                                 vb_controller_type_to_string(c->type), c->index.value);
        }
        if (usb_none && usb)
                return sd_bus_error_set(
                        reterr, VB_ERROR_INVALID_XML,
                        "<controller type='usb' model='none'>: there are other usb controllers beside it");
        return 0;
}

/* Boot order: by devices, or by kinds of devices in <os>, not both; and each number once. */

typedef struct BootOrders {
        GHashTable *seen;
        sd_bus_error *reterr;
        bool by_os;
        bool any;
} BootOrders;

static int check_boot_order(const char *kind, void *device, VbDeviceInfo *info, void *userdata) {
        BootOrders *orders = userdata;

        if (info->boot_order == 0)
                return 0;
        if (orders->by_os)
                return sd_bus_error_setf(
                        orders->reterr, VB_ERROR_INVALID_XML,
                        "<%s>: <boot order='%u'/> and <boot dev='…'/> in <os> exclude each other", kind,
                        info->boot_order);
        if (!g_hash_table_add(orders->seen, GUINT_TO_POINTER(info->boot_order)))
                return sd_bus_error_setf(orders->reterr, VB_ERROR_INVALID_XML,
                                         "<boot order='%u'/>: two devices have it", info->boot_order);
        return 0;
}

static int check_alias(const char *kind, void *device, VbDeviceInfo *info, void *userdata) {
        BootOrders *orders = userdata;

        if (info->alias && g_str_has_prefix(info->alias, "ua-") && !g_hash_table_add(orders->seen, info->alias))
                return sd_bus_error_setf(orders->reterr, VB_ERROR_INVALID_XML,
                                         "alias '%s': two devices have it", info->alias);
        return 0;
}

static int check_devices(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);
        g_autoptr(GHashTable) aliases = g_hash_table_new(g_str_hash, g_str_equal);
        BootOrders orders = { numbers, reterr, definition->os.boot.n > 0, false };
        BootOrders names = { aliases, reterr, false, false };
        VbDomainDefinition *mutable = (VbDomainDefinition *) definition; /* the visitors only look */
        int r;

        r = vb_domain_definition_foreach_device(mutable, check_boot_order, &orders);
        if (r < 0)
                return r;
        return vb_domain_definition_foreach_device(mutable, check_alias, &names);
}

static int check_macs(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        for (size_t i = 0; i < definition->interfaces.n; i++)
                for (size_t j = 0; j < i; j++) {
                        const VbMac *a = &definition->interfaces.items[i]->mac,
                                    *b = &definition->interfaces.items[j]->mac;
                        char buffer[VB_MAC_STRING_MAX];

                        if (vb_mac_is_set(a) && memcmp(a, b, sizeof(*a)) == 0)
                                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                                         "<mac address='%s'/>: two interfaces have it",
                                                         vb_mac_format(a, buffer));
                }
        return 0;
}

static int check_displays(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        unsigned seen = 0, n_primary = 0;

        for (size_t i = 0; i < definition->graphics.n; i++) {
                VbGraphicsType type = definition->graphics.items[i]->type;

                if (seen & (1U << type))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "<graphics type='%s'>: at most one of a type is supported",
                                                 vb_graphics_type_to_string(type));
                seen |= 1U << type;
        }
        for (size_t i = 0; i < definition->videos.n; i++) {
                const VbVideo *video = definition->videos.items[i];

                n_primary += video->primary == VB_TRISTATE_YES;
                if (video->model == VB_VIDEO_NONE && definition->videos.n > 1)
                        return sd_bus_error_set(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                "<video> of model 'none': there are others beside it");
        }
        if (n_primary > 1)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML,
                                        "<video>: at most one can be the primary one");
        return 0;
}

/* What an emulator does not do at the end of a guest. */
static int check_actions(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        if (definition->on_poweroff == VB_LIFECYCLE_PRESERVE ||
            definition->on_reboot == VB_LIFECYCLE_PRESERVE ||
            definition->on_poweroff == VB_LIFECYCLE_RENAME_RESTART ||
            definition->on_reboot == VB_LIFECYCLE_RENAME_RESTART ||
            definition->on_crash == VB_LIFECYCLE_RENAME_RESTART)
                return sd_bus_error_set(
                        reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                        "<on_poweroff> and <on_reboot>: only destroy and restart are supported; "
                        "<on_crash>: also preserve, coredump-destroy and coredump-restart");
        return 0;
}

static int check_os(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        const VbOs *os = &definition->os;
        unsigned seen = 0;

        if (!os->kernel && (os->initrd || os->cmdline || os->dtb))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML,
                                        "<os>: initrd, cmdline and dtb need a <kernel>");
        if (os->loader && os->firmware != VB_FIRMWARE_ABSENT && os->loader_type == VB_LOADER_ROM)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML,
                                        "<os firmware='…'> chooses the loader itself; take out <loader>");
        if (os->bios_useserial == VB_TRISTATE_YES && definition->serials.n == 0 && definition->consoles.n == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML,
                                        "<bios useserial='yes'/> needs a <serial>");
        if (os->nvram && os->loader_stateless == VB_TRISTATE_YES)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "<nvram>: a stateless loader keeps none");
        if (os->smbios == VB_SMBIOS_SYSINFO && !definition->sysinfo)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML,
                                        "<smbios mode='sysinfo'/> needs a <sysinfo>");
        for (size_t i = 0; i < os->boot.n; i++) {
                if (seen & (1U << os->boot.items[i]->device))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<boot dev='%s'/>: told twice",
                                                 vb_boot_device_to_string(os->boot.items[i]->device));
                seen |= 1U << os->boot.items[i]->device;
        }
        return 0;
}

static int check_audio(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);

        for (size_t i = 0; i < definition->audios.n; i++)
                if (!g_hash_table_add(ids, GUINT_TO_POINTER(definition->audios.items[i]->id)))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<audio id='%u'>: told twice",
                                                 definition->audios.items[i]->id);
        for (size_t i = 0; i < definition->sounds.n; i++) {
                uint32_t id = definition->sounds.items[i]->audio_id;

                if (id != 0 && !g_hash_table_contains(ids, GUINT_TO_POINTER(id)))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML,
                                                 "<sound>: there is no <audio id='%u'>", id);
        }
        return 0;
}

/* A guest that had to hold a lease twice could never start. */
static int check_leases(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        for (size_t i = 0; i < definition->leases.n; i++)
                for (size_t j = 0; j < i; j++) {
                        const VbLease *a = definition->leases.items[i], *b = definition->leases.items[j];

                        if (g_str_equal(a->key, b->key) && g_str_equal(a->path, b->path) && a->offset == b->offset &&
                            g_strcmp0(a->lockspace, b->lockspace) == 0)
                                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<lease>: key '%s' of '%s' is told twice",
                                                         a->key, a->lockspace ?: a->path);
                }
        return 0;
}

int vb_domain_definition_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        static int (*const checks[])(const VbDomainDefinition *, sd_bus_error *) = {
                check_text, check_sizes, vb_vcpus_check, vb_iothreads_check, check_topology, check_pins, check_os, check_actions, check_disks,
                check_controllers, check_leases, check_devices, check_macs, check_displays, check_audio,
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
                r = checks[i](definition, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}
