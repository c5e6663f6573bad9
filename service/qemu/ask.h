/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The monitor of a domain's emulator, as a call finds it, and operations that are one command to it. */

#include "qemu/domain.h"

/* For a call's own questions: InvalidState unless the guest is there and there is a monitor. What is sent before the emulator's
 * greeting waits for it. */
VB_MUST_USE int qemu_ask_check(const VbDomain *domain, sd_bus_error *reterr);

/* VbDriver.is_ready */
bool qemu_ask_is_ready(const VbDomain *domain);

/* The same of a monitor that has greeted. ret may be NULL. */
VB_MUST_USE int qemu_ask_find_monitor(const VbDomain *domain, QmpMonitor **ret, sd_bus_error *reterr);

/* For operations under way: MonitorFailed if there is no monitor. */
VB_MUST_USE int qemu_ask_check_connected(const QemuDomain *qemu, sd_bus_error *reterr);

/* Sends a command, whose callback gets the QemuDomain. arguments (may be NULL) is taken, also on a failure. MonitorFailed if
 * there is no monitor. */
VB_MUST_USE int qemu_ask(QemuDomain *qemu, const char *command, VbJson *arguments, QmpReplyCallback callback,
                         sd_bus_error *reterr);

/* Callbacks whose userdata is the QemuDomain: with the answer, the domain's operation has ended. */
void qemu_ask_finish(QmpMonitor *monitor, const QmpReply *reply, void *userdata);

/* … of an agent that was asked to end or suspend the guest: with that, its channel may go down before there is an answer. */
void qemu_ask_finish_agent(GuestAgent *agent, const GuestAgentReply *reply, void *userdata);
