/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The emulator's command line: definition + capabilities + descriptors → argv. Only what QEMU 7.2 to 9 have not deprecated, and nothing
 * a person in a process list should not see: passwords and listening display sockets are handed over by QMP, as the
 * set-up list says. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "model/domain.h"
#include "qemu/capabilities.h"
#include "qemu/resources.h"

/* One QMP command to send, in order, after the greeting and before the guest may run. */
typedef struct QemuSetup {
        char *command;
        VbJson *arguments; /* may be NULL; json_object_get() it to send it */
        int fd;            /* goes along with it if >= 0 (qmp_monitor_send_fd()) */
        bool secret;       /* the arguments must never be logged */
} QemuSetup;

typedef struct QemuCommand {
        char **argv; /* argv[0] is the emulator's path */
        char **envp;

        /* The descriptors the emulator inherits, under the very numbers they have here: argv names them. Owned; for
         * VbProcessSpec.keep_fds. */
        int *fds;
        size_t n_fds;

        QemuSetup *setup;
        size_t n_setup;
} QemuCommand;

typedef struct QemuCommandOptions {
        bool incoming; /* its state comes from elsewhere (restore): -incoming defer, then QMP migrate-incoming */
} QemuCommandOptions;

/* Settles which firmware a guest boots, in a definition that is about to run: where <os firmware=…> asks for one, loader,
 * template and variable store (by qemu_command_nvram_path()) are filled in; what was given stays. Reads a few small local
 * files. Fails with UnsupportedConfiguration. Call before qemu_resources_new(). */
int qemu_command_choose_firmware(VbDomainDefinition *live, const char *nvram_directory,
                                 sd_bus_error *reterr) VB_MUST_USE;

/* The variable store of a domain in a folder. To be freed. */
char *qemu_command_nvram_path(const char *folder, const VbDomainDefinition *definition);

/* Takes the descriptors it uses out of resources. options may be NULL. Ports of displays that resources does not
 * list as sockets (spice) must be chosen in the definition. Fails with UnsupportedConfiguration, naming device and emulator, for
 * what the binary does not offer. */
int qemu_command_build(QemuCommand **ret, const VbDomainDefinition *definition, const QemuCapabilities *capabilities,
                       QemuResources *resources, const QemuCommandOptions *options,
                       sd_bus_error *reterr) VB_MUST_USE;

/* Closes the descriptors. Takes NULL, returns NULL. */
QemuCommand *qemu_command_free(QemuCommand *command);

/* For the guest's log file: as a shell would take it. To be freed. */
char *qemu_command_to_string(const QemuCommand *command);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCommand, qemu_command_free)
