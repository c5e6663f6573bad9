/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/implicit.h"

#include "base/error.h"
#include "model/address.h"
#include "model/machine.h"
#include "model/tables.h"

static bool has_device(const VbDomainDefinition *definition, const VbDomainHost *host, const char *device) {
        return !host->has_device || host->has_device(host->userdata, definition->emulator, device);
}

/* Consoles. The first console of a PC is its first serial port, seen once more. Old definitions have one
 * without the other. */

static VbChardev *chardev_new(VbCharTargetType type) {
        VbChardev *chardev = g_new0(VbChardev, 1);

        chardev->target_type = type;
        return chardev;
}

static void copy_source(VbChardev *to, const VbChardev *from) {
        VbChardev *copy = vb_xml_copy(&vb_console_table, from), *old = vb_xml_new(&vb_console_table);

        old->source = to->source;
        to->source = copy->source;
        copy->source = (VbCharSource) {};
        vb_xml_free(&vb_console_table, copy);
        vb_xml_free(&vb_console_table, old);
}

static bool is_serial_console(const VbChardev *console) {
        return console->target_type == VB_CHAR_TARGET_ABSENT || console->target_type == VB_CHAR_TARGET_SERIAL;
}

/* A port that the firmware and a kernel's early console would take. */
static bool is_platform_serial(const VbChardev *serial) {
        return serial->target_type == VB_CHAR_TARGET_ABSENT ||
               serial->target_type == VB_CHAR_TARGET_ISA_SERIAL ||
               serial->target_type == VB_CHAR_TARGET_SYSTEM_SERIAL;
}

static void pair_console(VbDomainDefinition *definition) {
        VbChardev *console = definition->consoles.n > 0 ? definition->consoles.items[0] : NULL;

        if (console && is_serial_console(console)) {
                if (definition->serials.n == 0) {
                        VbChardev *serial = chardev_new(VB_CHAR_TARGET_ABSENT);

                        copy_source(serial, console);
                        VB_LIST_APPEND(&definition->serials, serial);
                }
                console->target_type = VB_CHAR_TARGET_SERIAL;
                console->target_port = (VbOptUint) {};
                copy_source(console, definition->serials.items[0]);
        } else if (!console && definition->serials.n > 0 && is_platform_serial(definition->serials.items[0])) {
                console = chardev_new(VB_CHAR_TARGET_SERIAL);
                copy_source(console, definition->serials.items[0]);
                VB_LIST_INSERT(&definition->consoles, 0, console);
        }
}

static VbCharTargetType serial_type(const VbDomainDefinition *definition, const VbChardev *serial) {
        switch (serial->target_model) {
        case VB_CHAR_MODEL_ISA_SERIAL: return VB_CHAR_TARGET_ISA_SERIAL;
        case VB_CHAR_MODEL_USB_SERIAL: return VB_CHAR_TARGET_USB_SERIAL;
        case VB_CHAR_MODEL_PCI_SERIAL: return VB_CHAR_TARGET_PCI_SERIAL;
        case VB_CHAR_MODEL_PL011:
        case VB_CHAR_MODEL_16550A: return VB_CHAR_TARGET_SYSTEM_SERIAL;
        case VB_CHAR_MODEL_ISA_DEBUGCON: return VB_CHAR_TARGET_ISA_DEBUG;
        default: break;
        }
        switch (serial->info.address.type) {
        case VB_ADDRESS_PCI: return VB_CHAR_TARGET_PCI_SERIAL;
        case VB_ADDRESS_USB: return VB_CHAR_TARGET_USB_SERIAL;
        case VB_ADDRESS_ISA: return VB_CHAR_TARGET_ISA_SERIAL;
        default:
                return vb_arch_is_x86(definition->os.arch) ? VB_CHAR_TARGET_ISA_SERIAL
                                                           : VB_CHAR_TARGET_SYSTEM_SERIAL;
        }
}

static VbCharTargetModel serial_model(const VbDomainDefinition *definition, VbCharTargetType type) {
        switch (type) {
        case VB_CHAR_TARGET_ISA_SERIAL: return VB_CHAR_MODEL_ISA_SERIAL;
        case VB_CHAR_TARGET_USB_SERIAL: return VB_CHAR_MODEL_USB_SERIAL;
        case VB_CHAR_TARGET_PCI_SERIAL: return VB_CHAR_MODEL_PCI_SERIAL;
        case VB_CHAR_TARGET_ISA_DEBUG: return VB_CHAR_MODEL_ISA_DEBUGCON;
        default:
                return g_str_has_prefix(definition->os.arch, "riscv") ? VB_CHAR_MODEL_16550A
                                                                      : VB_CHAR_MODEL_PL011;
        }
}

static void set_ports(VbList *list) {
        for (size_t i = 0; i < list->n; i++) {
                VbChardev *chardev = list->items[i];
                uint32_t port = 0;

                if (chardev->target_port.set)
                        continue;
                for (size_t j = 0; j < list->n; j++) {
                        const VbChardev *other = list->items[j];

                        if (other->target_port.set && other->target_port.value >= port)
                                port = other->target_port.value + 1;
                }
                chardev->target_port = (VbOptUint) VB_OPT(port);
        }
}

static void complete_chardevs(VbDomainDefinition *definition) {
        pair_console(definition);
        for (size_t i = 0; i < definition->serials.n; i++) {
                VbChardev *serial = definition->serials.items[i];

                if (serial->target_type == VB_CHAR_TARGET_ABSENT)
                        serial->target_type = serial_type(definition, serial);
                if (serial->target_model == VB_CHAR_MODEL_ABSENT)
                        serial->target_model = serial_model(definition, serial->target_type);
        }
        for (size_t i = 1; i < definition->consoles.n; i++)
                if (definition->consoles.items[i]->target_type == VB_CHAR_TARGET_ABSENT)
                        definition->consoles.items[i]->target_type = VB_CHAR_TARGET_SERIAL;
        set_ports((VbList *) &definition->serials);
        set_ports((VbList *) &definition->parallels);
        if (definition->consoles.n > 0 && definition->consoles.items[0]->target_type == VB_CHAR_TARGET_SERIAL &&
            definition->serials.n > 0)
                definition->consoles.items[0]->target_port = definition->serials.items[0]->target_port;
        for (size_t i = 0; i < definition->consoles.n; i++)
                if (!definition->consoles.items[i]->target_port.set)
                        definition->consoles.items[i]->target_port = (VbOptUint) VB_OPT((uint32_t) i);
}

/* Controllers. */

static VbControllerModel default_usb_model(const VbDomainDefinition *definition, const VbDomainHost *host,
                                           VbMachineKind machine) {
        if (machine == VB_MACHINE_Q35 || machine == VB_MACHINE_VIRT)
                return has_device(definition, host, "qemu-xhci") ? VB_CONTROLLER_MODEL_USB_QEMU_XHCI
                                                                 : VB_CONTROLLER_MODEL_USB_NEC_XHCI;
        return VB_CONTROLLER_MODEL_USB_PIIX3_UHCI;
}

static int add_root(VbDomainDefinition *definition, VbControllerModel model, sd_bus_error *reterr) {
        const VbController *root = vb_domain_add_controller(definition, VB_CONTROLLER_PCI, 0, model);

        if (root->model == model)
                return 0;
        return sd_bus_error_setf(
                reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                "<controller type='pci' index='0'>: machine '%s' has model '%s' there, not '%s'",
                definition->os.machine, vb_controller_model_to_string(model),
                vb_controller_model_to_string(root->model));
}

static int add_board(VbDomainDefinition *definition, const VbDomainHost *host, VbMachineKind machine,
                     sd_bus_error *reterr) {
        int r = 0;

        if (machine == VB_MACHINE_I440FX || machine == VB_MACHINE_Q35)
                (void) vb_domain_add_controller(definition, VB_CONTROLLER_USB, 0,
                                                default_usb_model(definition, host, machine));
        if (machine == VB_MACHINE_Q35)
                (void) vb_domain_add_controller(definition, VB_CONTROLLER_SATA, 0, VB_CONTROLLER_MODEL_ABSENT);
        if (vb_machine_has_pci(machine))
                r = add_root(definition, VB_CONTROLLER_MODEL_PCI_ROOT, reterr);
        else if (vb_machine_has_pcie(machine))
                r = add_root(definition, VB_CONTROLLER_MODEL_PCIE_ROOT, reterr);
        return r;
}

static void add_disk_controllers(VbDomainDefinition *definition, VbDiskBus bus, VbControllerType type) {
        uint32_t n = 0;

        for (size_t i = 0; i < definition->disks.n; i++)
                if (definition->disks.items[i]->bus == bus)
                        n = MAX(n, definition->disks.items[i]->info.address.drive.controller + 1);
        for (uint32_t index = 0; index < n; index++)
                (void) vb_domain_add_controller(definition, type, index, VB_CONTROLLER_MODEL_ABSENT);
}

/* Which machines have USB without being told was decided above; a USB device asks for it on all of them. */
static bool uses_usb(const VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->disks.n; i++)
                if (definition->disks.items[i]->bus == VB_DISK_BUS_USB)
                        return true;
        for (size_t i = 0; i < definition->inputs.n; i++)
                if (definition->inputs.items[i]->bus == VB_INPUT_BUS_USB)
                        return true;
        return definition->redirdevs.n > 0;
}

static void set_controller_models(VbDomainDefinition *definition, const VbDomainHost *host,
                                  VbMachineKind machine) {
        for (size_t i = 0; i < definition->controllers.n; i++) {
                VbController *controller = definition->controllers.items[i];
                bool open = controller->model == VB_CONTROLLER_MODEL_ABSENT;

                if (controller->type == VB_CONTROLLER_USB && open)
                        controller->model = machine == VB_MACHINE_VIRT
                                                    ? default_usb_model(definition, host, machine)
                                                    : VB_CONTROLLER_MODEL_USB_PIIX3_UHCI;
                if (controller->type == VB_CONTROLLER_SCSI &&
                    (open || controller->model == VB_CONTROLLER_MODEL_SCSI_AUTO))
                        controller->model = has_device(definition, host, "lsi")
                                                    ? VB_CONTROLLER_MODEL_SCSI_LSILOGIC
                                                    : VB_CONTROLLER_MODEL_SCSI_VIRTIO_SCSI;
        }
}

static int add_controllers(VbDomainDefinition *definition, const VbDomainHost *host, VbMachineKind machine,
                           sd_bus_error *reterr) {
        int r;

        r = add_board(definition, host, machine, reterr);
        if (r < 0)
                return r;
        r = vb_address_assign_drives(definition, reterr);
        if (r < 0)
                return r;

        add_disk_controllers(definition, VB_DISK_BUS_SCSI, VB_CONTROLLER_SCSI);
        add_disk_controllers(definition, VB_DISK_BUS_FDC, VB_CONTROLLER_FDC);
        add_disk_controllers(definition, VB_DISK_BUS_IDE, VB_CONTROLLER_IDE);
        add_disk_controllers(definition, VB_DISK_BUS_SATA, VB_CONTROLLER_SATA);
        if (uses_usb(definition) && machine == VB_MACHINE_VIRT)
                (void) vb_domain_add_controller(definition, VB_CONTROLLER_USB, 0,
                                                default_usb_model(definition, host, machine));
        set_controller_models(definition, host, machine);
        return 0;
}

/* What a person needs. */

static void add_input(VbDomainDefinition *definition, VbInputType type) {
        VbInput *input;

        for (size_t i = 0; i < definition->inputs.n; i++)
                if (definition->inputs.items[i]->type == type &&
                    definition->inputs.items[i]->bus == VB_INPUT_BUS_PS2)
                        return;
        input = g_new0(VbInput, 1);
        input->type = type;
        input->bus = VB_INPUT_BUS_PS2;
        VB_LIST_APPEND(&definition->inputs, input);
}

static void complete_inputs(VbDomainDefinition *definition) {
        bool x86 = vb_arch_is_x86(definition->os.arch);

        for (size_t i = 0; i < definition->inputs.n; i++) {
                VbInput *input = definition->inputs.items[i];

                if (input->bus == VB_INPUT_BUS_ABSENT)
                        input->bus =
                                x86 && input->type != VB_INPUT_TABLET ? VB_INPUT_BUS_PS2 : VB_INPUT_BUS_USB;
        }
        if (x86) {
                add_input(definition, VB_INPUT_MOUSE);
                add_input(definition, VB_INPUT_KEYBOARD);
        }
}

static VbVideoModel default_video(const VbDomainDefinition *definition, const VbDomainHost *host) {
        if (!vb_arch_is_x86(definition->os.arch))
                return VB_VIDEO_VIRTIO;
        return has_device(definition, host, "cirrus-vga") ? VB_VIDEO_CIRRUS : VB_VIDEO_VGA;
}

static void complete_videos(VbDomainDefinition *definition, const VbDomainHost *host) {
        bool primary = false;

        if (definition->videos.n == 0 && definition->graphics.n > 0)
                VB_LIST_APPEND(&definition->videos, g_new0(VbVideo, 1));

        for (size_t i = 0; i < definition->videos.n; i++) {
                VbVideo *video = definition->videos.items[i];

                if (video->model == VB_VIDEO_ABSENT) {
                        video->model = default_video(definition, host);
                        video->heads = 1;
                        if (video->model != VB_VIDEO_VIRTIO)
                                video->vram = 16384;
                }
                primary |= video->primary == VB_TRISTATE_YES;
        }
        for (size_t i = 0; i < definition->videos.n; i++)
                if (definition->videos.items[i]->primary == VB_TRISTATE_NO)
                        definition->videos.items[i]->primary = VB_TRISTATE_ABSENT;
        if (!primary && definition->videos.n > 0 && definition->videos.items[0]->model != VB_VIDEO_NONE)
                definition->videos.items[0]->primary = VB_TRISTATE_YES;
}

/* Where sound goes, if there is any: to the display that can carry it. */
static void add_audio(VbDomainDefinition *definition) {
        VbAudioType type = VB_AUDIO_NONE;
        VbAudio *audio;

        if (definition->audios.n > 0)
                return;
        for (size_t i = 0; i < definition->graphics.n; i++)
                switch (definition->graphics.items[i]->type) {
                case VB_GRAPHICS_SPICE: type = VB_AUDIO_SPICE; break;
                case VB_GRAPHICS_DBUS: return; /* it takes part only where it is told to */
                default: break;
                }

        audio = g_new0(VbAudio, 1);
        audio->id = 1;
        audio->type = type;
        VB_LIST_APPEND(&definition->audios, audio);
}

/* And the rest. */

static void add_memballoon(VbDomainDefinition *definition, VbMachineKind machine) {
        VbMemballoon *balloon;

        /* libvirt gives none to ARM machines. */
        if (definition->memballoons.n > 0 || machine == VB_MACHINE_OTHER ||
            g_str_equal(definition->os.arch, "aarch64") || g_str_equal(definition->os.arch, "armv7l"))
                return;
        balloon = g_new0(VbMemballoon, 1);
        balloon->model = machine == VB_MACHINE_ISAPC ? VB_MEMBALLOON_NONE : VB_MEMBALLOON_VIRTIO;
        VB_LIST_APPEND(&definition->memballoons, balloon);
}

static void set_interface_models(VbDomainDefinition *definition, const VbDomainHost *host) {
        static const struct {
                const char *model, *device;
        } candidates[] = { { "rtl8139", "rtl8139" }, { "e1000", "e1000" }, { "virtio", "virtio-net-pci" } };
        bool x86 = vb_arch_is_x86(definition->os.arch);

        for (size_t i = 0; i < definition->interfaces.n; i++) {
                VbInterface *interface = definition->interfaces.items[i];

                for (size_t c = x86 ? 0 : 2; !interface->model && c < G_N_ELEMENTS(candidates); c++)
                        if (has_device(definition, host, candidates[c].device))
                                interface->model = g_strdup(candidates[c].model);
        }
}

int vb_implicit_add(VbDomainDefinition *definition, const VbDomainHost *host, sd_bus_error *reterr) {
        VbMachineKind machine = vb_machine_kind(&definition->os);
        int r;

        complete_chardevs(definition);
        complete_inputs(definition);
        r = add_controllers(definition, host, machine, reterr);
        if (r < 0)
                return r;
        complete_videos(definition, host);
        add_audio(definition);
        add_memballoon(definition, machine);
        set_interface_models(definition, host);
        for (size_t i = 0; i < definition->panics.n; i++)
                if (definition->panics.items[i]->model == VB_PANIC_ABSENT)
                        definition->panics.items[i]->model =
                                vb_arch_is_x86(definition->os.arch) ? VB_PANIC_ISA : VB_PANIC_PVPANIC_PCI;
        return 0;
}
