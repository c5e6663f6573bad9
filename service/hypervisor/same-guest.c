/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether two definitions make the same machine, seen from inside: a saved memory fits no other. */

#include "base/error.h"
#include "hypervisor/restore.h"
#include "model/vcpus.h"

static void note_address(GString *text, const VbAddress *address) {
        g_string_append_printf(text, " at %d", address->type);
        if (address->type == VB_ADDRESS_PCI)
                g_string_append_printf(text, " %u:%u:%u.%u", address->pci.domain, address->pci.bus, address->pci.slot,
                                       address->pci.function);
        else if (address->type == VB_ADDRESS_DRIVE)
                g_string_append_printf(text, " %u:%u:%u:%u", address->drive.controller, address->drive.bus,
                                       address->drive.target, address->drive.unit);
}

static void note_disk(GString *text, const void *device) {
        const VbDisk *disk = device;

        g_string_append_printf(text, " %d on %d, model %d, serial %s", disk->device, disk->bus, disk->model, disk->serial ?: "");
}

static void note_controller(GString *text, const void *device) {
        const VbController *controller = device;

        g_string_append_printf(text, " %d model %d number %u", controller->type, controller->model, controller->index.value);
}

static void note_interface(GString *text, const void *device) {
        const VbInterface *interface = device;

        g_string_append_printf(text, " %s", interface->model ?: "");
        for (size_t i = 0; i < G_N_ELEMENTS(interface->mac.bytes); i++)
                g_string_append_printf(text, ":%02x", interface->mac.bytes[i]);
}

static void note_chardev(GString *text, const void *device) {
        const VbChardev *chardev = device;

        g_string_append_printf(text, " %d model %d port %u %s", chardev->target_type, chardev->target_model,
                               chardev->target_port.value, chardev->target_name ?: "");
}

static void note_input(GString *text, const void *device) {
        const VbInput *input = device;

        g_string_append_printf(text, " %d on %d", input->type, input->bus);
}

static void note_tpm(GString *text, const void *device) {
        const VbTpm *tpm = device;

        g_string_append_printf(text, " %d version %d", tpm->model, tpm->version);
}

static void note_video(GString *text, const void *device) {
        const VbVideo *video = device;

        g_string_append_printf(text, " %d heads %u memory %u %u %u %u", video->model, video->heads, video->ram, video->vram,
                               video->vram64, video->vgamem);
}

#define DEFINE_NOTE_MODEL(name, type)                                                \
        static void name(GString *text, const void *device) {                        \
                g_string_append_printf(text, " %d", ((const type *) device)->model); \
        }
DEFINE_NOTE_MODEL(note_sound, VbSound)
DEFINE_NOTE_MODEL(note_watchdog, VbWatchdog)
DEFINE_NOTE_MODEL(note_memballoon, VbMemballoon)
DEFINE_NOTE_MODEL(note_rng, VbRng)
DEFINE_NOTE_MODEL(note_panic, VbPanic)

static int note_device(const char *kind, void *device, VbDeviceInfo *info, void *userdata) {
        static const struct {
                const char *kind;
                void (*note)(GString *text, const void *device);
        } notes[] = {
                { "disk", note_disk },           { "controller", note_controller }, { "interface", note_interface },
                { "serial", note_chardev },      { "parallel", note_chardev },      { "console", note_chardev },
                { "channel", note_chardev },     { "input", note_input },           { "tpm", note_tpm },
                { "video", note_video },         { "sound", note_sound },           { "watchdog", note_watchdog },
                { "memballoon", note_memballoon }, { "rng", note_rng },             { "panic", note_panic },
        };
        GString *text = userdata;

        g_string_append(text, kind);
        for (size_t i = 0; i < G_N_ELEMENTS(notes); i++)
                if (g_str_equal(notes[i].kind, kind))
                        notes[i].note(text, device);
        note_address(text, &info->address);
        g_string_append_c(text, '\n');
        return 0;
}

static char *list_devices(VbDomainDefinition *definition) {
        GString *text = g_string_new(NULL);

        (void) vb_domain_definition_foreach_device(definition, note_device, text);
        return g_string_free(text, FALSE);
}

/* Also which of them can come and go: the emulator knows those by name. */
static bool have_same_vcpus(const VbDomainDefinition *a, const VbDomainDefinition *b) {
        for (uint32_t i = 0; i < a->vcpus; i++)
                if (vb_vcpu_is_enabled(a, i) != vb_vcpu_is_enabled(b, i) ||
                    (vb_vcpu_is_enabled(a, i) && vb_vcpu_is_hotpluggable(a, i) != vb_vcpu_is_hotpluggable(b, i)))
                        return false;
        return true;
}

int vb_domain_definition_check_same_guest(VbDomainDefinition *saved, VbDomainDefinition *wanted, sd_bus_error *reterr) {
        g_autofree char *saved_devices = list_devices(saved), *wanted_devices = list_devices(wanted);
        const char *what = NULL;

        if (!sd_id128_equal(saved->uuid, wanted->uuid))
                what = "another UUID";
        else if (g_strcmp0(saved->os.machine, wanted->os.machine) != 0 || g_strcmp0(saved->os.arch, wanted->os.arch) != 0)
                what = "another machine type";
        else if (saved->memory != wanted->memory)
                what = "another size of memory";
        else if (saved->vcpus != wanted->vcpus || !have_same_vcpus(saved, wanted))
                what = "other vCPUs";
        else if (!g_str_equal(saved_devices, wanted_devices))
                what = "other devices";
        if (!what)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                 "domain '%s': the saved guest has %s than the definition given for it; only what the guest "
                                 "cannot see may differ", saved->name, what);
}
