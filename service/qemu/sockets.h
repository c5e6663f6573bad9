/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The listening sockets of a guest: made by the daemon and inherited by the emulator, so that they can be connected to before it
 * runs, and that it needs no right to make any. */

#include "qemu/resources.h"

/* Fills in the descriptors of all listening sockets. name is the domain's, for messages. ResourceBusy if an address is taken. */
VB_MUST_USE int qemu_sockets_open(QemuResources *resources, const char *name, sd_bus_error *reterr);

/* A port at this IP address that is free now, or a negative errno. */
VB_MUST_USE int qemu_sockets_find_port(const char *host);
