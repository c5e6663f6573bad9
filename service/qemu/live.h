/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the definition of a running guest says of the host: where its sockets are, which ports it got. It is found out when
 * the guest starts, and means nothing for another start. */

#include "qemu/resources.h"

/* Before the resources are listed: forgets what an earlier run (a saved guest's) had of the host. run_base is the folder of all guests' run
 * folders. */
void qemu_live_forget(VbDomainDefinition *live, const char *run_base);

/* A port for each display that the emulator itself will bind. Another process may take it first: then the start fails, and says so. */
VB_MUST_USE int qemu_live_choose_ports(VbDomainDefinition *live, sd_bus_error *reterr);

/* The serial port, parallel port, console or channel of this alias; NULL: there is none. A console that is the first serial port once more is not
 * meant. */
VbChardev *qemu_live_find_chardev(VbDomainDefinition *live, const char *alias);

/* Gives each of these that says nothing of where its output or log goes a log in folder: whoever writes there says where it is. */
void qemu_live_log_consoles(VbDomainDefinition *live, const char *folder);

/* When the sockets are open. */
void qemu_live_describe(VbDomainDefinition *live, QemuResources *resources);
