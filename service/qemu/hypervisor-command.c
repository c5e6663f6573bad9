/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetCommandLine: the way of a start up to the command line, with nothing of the host touched. */

#include <string.h>

#include "base/error.h"
#include "hypervisor/rights.h"
#include "qemu/command.h"
#include "qemu/complete.h"
#include "qemu/guest-user.h"
#include "qemu/handlers.h"
#include "qemu/live.h"
#include "qemu/nvram.h"
#include "qemu/resources.h"

typedef struct Inquiry {
        QemuDriver *driver;
        VbCall *call;
        VbDomainDefinition *definition;
} Inquiry;

static void inquiry_free(Inquiry *inquiry) {
        (void) vb_call_unref(inquiry->call);
        (void) vb_domain_definition_free(inquiry->definition);
        g_free(inquiry);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inquiry, inquiry_free)

static int build(const Inquiry *inquiry, QemuCapabilities *capabilities, char **ret, sd_bus_error *reterr) {
        VbDomainDefinition *definition = inquiry->definition;
        g_autofree char *nvram = NULL, *run_dir = NULL;
        VbUuid uuid = vb_domain_definition_uuid(definition);
        g_autoptr(QemuResources) resources = NULL;
        g_autoptr(QemuCommand) command = NULL;
        char text[VB_UUID_STRING_SIZE];
        int r;

        /* As for a guest of the caller's. */
        nvram = qemu_nvram_folder(inquiry->driver, qemu_guest_uid(inquiry->driver, vb_call_uid(inquiry->call)));
        run_dir = g_build_filename(inquiry->driver->hypervisor->run_dir, vb_uuid_format(&uuid, text), NULL);
        vb_domain_definition_assign_aliases(definition);
        r = qemu_live_choose_ports(definition, reterr);
        if (r >= 0)
                r = qemu_command_choose_firmware(definition, nvram, reterr);
        if (r >= 0)
                r = qemu_resources_new(&resources, definition, capabilities, run_dir, inquiry->driver->log_dir, reterr);
        if (r >= 0)
                r = qemu_resources_stand_in(resources, reterr);
        if (r >= 0)
                r = qemu_resources_describe(resources, definition, reterr);
        if (r >= 0)
                r = qemu_command_build(&command, definition, capabilities, resources, /* options= */ NULL, reterr);
        if (r < 0)
                return r;
        *ret = qemu_command_to_string(command);
        return 0;
}

static void on_completed(int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(Inquiry) inquiry = userdata;
        QemuCapabilities *capabilities;
        g_autofree char *text = NULL;

        if (r >= 0) {
                error = &own;
                capabilities = qemu_capabilities_find(inquiry->driver->capabilities, inquiry->definition->emulator);
                r = capabilities ? build(inquiry, capabilities, &text, &own) :
                                   sd_bus_error_setf(&own, VB_ERROR_EMULATOR_FAILED,
                                                     "emulator '%s': is just being replaced", inquiry->definition->emulator);
        }
        if (r < 0)
                (void) vb_call_fail(inquiry->call, r, error);
        else
                (void) vb_hypervisor1_reply_get_command_line(inquiry->call, text);
}

int qemu_on_get_command_line(VbCall *call, VbObject *root, const VbHypervisor1GetCommandLineArgs *args,
                             sd_bus_error *reterr) {
        g_autoptr(Inquiry) inquiry = g_new(Inquiry, 1);
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        int r;

        *inquiry = (Inquiry){ .driver = qemu_driver_of(hypervisor), .call = vb_call_ref(call) };
        r = vb_domain_definition_parse(&inquiry->definition, args->xml, strlen(args->xml), /* flags= */ 0, reterr);
        if (r >= 0 && sd_id128_is_null(inquiry->definition->uuid))
                r = sd_id128_randomize(&inquiry->definition->uuid);
        if (r >= 0)
                r = qemu_complete(hypervisor, inquiry->definition, on_completed, inquiry, reterr);
        if (r < 0)
                return r;
        if (r > 0)
                on_completed(0, NULL, inquiry);
        (void) g_steal_pointer(&inquiry);
        return 0;
}
