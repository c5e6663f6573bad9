/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to the agent inside a guest: its channel, connected when it is first needed, and given up when the guest's end
 * closes. */

#include "qemu/domain.h"

/* Whether the definition has a channel for an agent at all. */
bool qemu_agent_has_channel(const QemuDomain *qemu);

/* The client on the agent's channel. NoAgent if the domain has no such channel. */
VB_MUST_USE int qemu_agent_link(QemuDomain *qemu, GuestAgent **ret, sd_bus_error *reterr);

/* In the guest, somebody has opened or closed the port of this alias. */
void qemu_agent_port_changed(QemuDomain *qemu, const char *alias, bool open);

/* A guest that has just been started has a channel for an agent, and nobody at its end yet: says so. */
void qemu_agent_tell_awaited(const QemuDomain *qemu);
