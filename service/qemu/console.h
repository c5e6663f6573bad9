/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The host's ends of a running guest's character devices, handed to clients as one end of a socket pair. The daemon relays, so that a
 * device has one client at a time and can be taken from it. */

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "model/domain.h"

/* Those of one guest that are open. */
typedef struct QemuConsoles QemuConsoles;

/* The guest's emulator runs as uid: a terminal that belongs to another is not its own, whatever it claims. run_directory: where
 * the sockets that the daemon chose are. */
QemuConsoles *qemu_consoles_new(sd_event *event, uid_t uid, const char *run_directory);

/* Ends all. Takes NULL, returns NULL. */
QemuConsoles *qemu_consoles_free(QemuConsoles *consoles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuConsoles, qemu_consoles_free)

/* A serial, console or parallel device by alias; with "" the first console, or serial port. NoDevice. */
VB_MUST_USE int qemu_console_find(const VbDomainDefinition *live, const char *alias, const VbChardev **ret, sd_bus_error *reterr);

/* A channel by its name in the guest, or alias; with "" the first one that is not the agent's. NoDevice, or ResourceBusy
 * for the agent's. */
VB_MUST_USE int qemu_channel_find(const VbDomainDefinition *live, const char *name, const VbChardev **ret, sd_bus_error *reterr);

/* force: take it from the client that has it. ResourceBusy without; NoDevice if the device does not lead to the daemon.
 * *ret_fd is the client's end; nothing blocks. */
VB_MUST_USE int qemu_consoles_open(QemuConsoles *consoles, const VbChardev *device, bool force, int *ret_fd,
                                   sd_bus_error *reterr);

/* The agent's channel, for the daemon itself: a connected socket. */
VB_MUST_USE int qemu_channel_connect(const VbChardev *channel, const char *run_directory, int *ret_fd, sd_bus_error *reterr);

/* Whether this is the channel of the guest agent. */
bool qemu_channel_is_agent(const VbChardev *channel);
