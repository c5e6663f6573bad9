/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Walking over devices, and the names they go by at run time. */

#include "model/domain.h"

/* Everything with an address or alias, kind by kind. */
int vb_domain_definition_foreach_device(VbDomainDefinition *definition, VbDeviceVisitor visit, void *userdata) {
        const struct {
                const char *kind;
                VbList *list;
        } lists[] = {
                { "disk", (VbList *) &definition->disks },
                { "controller", (VbList *) &definition->controllers },
                { "interface", (VbList *) &definition->interfaces },
                { "serial", (VbList *) &definition->serials },
                { "parallel", (VbList *) &definition->parallels },
                { "console", (VbList *) &definition->consoles },
                { "channel", (VbList *) &definition->channels },
                { "input", (VbList *) &definition->inputs },
                { "tpm", (VbList *) &definition->tpms },
                { "sound", (VbList *) &definition->sounds },
                { "video", (VbList *) &definition->videos },
                { "redirdev", (VbList *) &definition->redirdevs },
                { "watchdog", (VbList *) &definition->watchdogs },
                { "memballoon", (VbList *) &definition->memballoons },
                { "rng", (VbList *) &definition->rngs },
                { "panic", (VbList *) &definition->panics },
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].list->n; j++) {
                        void *device = lists[i].list->items[j];

                        /* info is the first member of every device. */
                        r = visit(lists[i].kind, device, device, userdata);
                        if (r != 0)
                                return r;
                }
        return 0;
}

static void set_alias(VbDeviceInfo *info, char *alias) {
        if (info->alias)
                g_free(alias);
        else
                info->alias = alias;
}

/* Disks are named after their place: the bus's own numbering where it has one, the target's letter elsewhere.
 */
static char *disk_alias(const VbDisk *disk) {
        const VbDriveAddress *place = &disk->info.address.drive;

        switch (disk->bus) {
        case VB_DISK_BUS_IDE:
        case VB_DISK_BUS_SATA:
        case VB_DISK_BUS_FDC:
        case VB_DISK_BUS_SCSI:
                if (disk->info.address.type != VB_ADDRESS_DRIVE)
                        break;
                if (disk->bus == VB_DISK_BUS_SCSI)
                        return g_strdup_printf("scsi%u-%u-%u-%u", place->controller, place->bus, place->target,
                                               place->unit);
                return g_strdup_printf("%s%u-%u-%u", vb_disk_bus_to_string(disk->bus), place->controller,
                                       place->bus, place->unit);
        default: break;
        }
        return g_strdup_printf("%s-disk%d", vb_disk_bus_to_string(disk->bus),
                               vb_disk_target_to_index(disk->target));
}

static char *controller_alias(const VbDomainDefinition *definition, const VbController *controller) {
        unsigned index = controller->index.value;

        switch (controller->type) {
        case VB_CONTROLLER_PCI:
                if (controller->model == VB_CONTROLLER_MODEL_PCIE_ROOT)
                        return g_strdup("pcie.0");
                return g_strdup_printf("pci.%u", index);
        case VB_CONTROLLER_IDE:
                /* The one that comes with the machine has the name that QEMU gave it. */
                if (index == 0)
                        return g_strdup("ide");
                break;
        case VB_CONTROLLER_SATA:
                if (index == 0 && definition->os.machine &&
                    (g_str_has_prefix(definition->os.machine, "pc-q35") ||
                     g_str_equal(definition->os.machine, "q35")))
                        return g_strdup("ide");
                break;
        case VB_CONTROLLER_USB:
                if (index == 0)
                        return g_strdup("usb");
                break;
        case VB_CONTROLLER_SCSI:
                return g_strdup_printf("scsi%u", index);
        default: break;
        }
        return g_strdup_printf("%s%u", vb_controller_type_to_string(controller->type), index);
}

#define NUMBER(list, name)                                                                     \
        for (size_t i = 0; i < definition->list.n; i++)                                        \
        set_alias(&definition->list.items[i]->info, g_strdup_printf(name "%zu", i))

void vb_domain_definition_assign_aliases(VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->disks.n; i++)
                set_alias(&definition->disks.items[i]->info, disk_alias(definition->disks.items[i]));
        for (size_t i = 0; i < definition->controllers.n; i++)
                set_alias(&definition->controllers.items[i]->info,
                          controller_alias(definition, definition->controllers.items[i]));

        NUMBER(interfaces, "net");
        NUMBER(serials, "serial");
        NUMBER(parallels, "parallel");
        NUMBER(channels, "channel");
        NUMBER(inputs, "input");
        NUMBER(tpms, "tpm");
        NUMBER(sounds, "sound");
        NUMBER(videos, "video");
        NUMBER(redirdevs, "redir");
        NUMBER(watchdogs, "watchdog");
        NUMBER(memballoons, "balloon");
        NUMBER(rngs, "rng");

        /* The others are parts of the board or of the CPU, no devices that could be named. */
        for (size_t i = 0; i < definition->panics.n; i++)
                if (definition->panics.items[i]->model == VB_PANIC_PVPANIC_PCI)
                        set_alias(&definition->panics.items[i]->info, g_strdup_printf("panic%zu", i));

        for (size_t i = 0; i < definition->consoles.n; i++) {
                VbChardev *console = definition->consoles.items[i];
                const VbChardev *serial =
                        i == 0 && definition->serials.n > 0 ? definition->serials.items[0] : NULL;

                if (console->target_type == VB_CHAR_TARGET_SERIAL && serial)
                        set_alias(&console->info, g_strdup(serial->info.alias));
                else
                        set_alias(&console->info, g_strdup_printf("console%zu", i));
        }
}
