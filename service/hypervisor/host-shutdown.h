/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Brings running guests to safety when the host goes down, by the settings (hypervisor/host-settings.h): each is saved, else
 * asked to power off, else powered off, a bounded number of them at once. What ran is marked to start once at the next boot.
 *
 * It begins by logind's word (PrepareForShutdown), when the service manager stops the daemon because the host or the session ends, or when
 * somebody asks (Daemon1.Shutdown with "preserve"). A mere stop of the daemon leaves guests alone. */

#include "hypervisor/domain.h"

typedef struct VbHostShutdown VbHostShutdown;

VB_MUST_USE int vb_host_shutdown_new(VbHostShutdown **ret, VbHypervisor *hypervisor);

/* What is under way goes on. Takes NULL, returns NULL. */
VbHostShutdown *vb_host_shutdown_free(VbHostShutdown *shutdown);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbHostShutdown, vb_host_shutdown_free)

/* Begins; vb_daemon_preserved() follows, never from within. If it is under way, the service manager is only told of it again. For VbDaemonInfo.preserve. */
void vb_host_shutdown_begin(VbHostShutdown *shutdown);

/* The host stays up: no further guest is touched, and those that were saved or shut down start again if they would have with the host. For
 * VbDaemonInfo.preserve_called_off. */
void vb_host_shutdown_call_off(VbHostShutdown *shutdown);

/* The daemon ends: nothing is done any more. */
void vb_host_shutdown_end(VbHostShutdown *shutdown);

/* An operation of some guest has ended, or a guest. Takes NULL. */
void vb_host_shutdown_wake(VbHostShutdown *shutdown);

/* Guests are being brought to safety, or are, and the host has not stayed up after all: none is to be started. Takes NULL. */
bool vb_host_shutdown_is_under_way(const VbHostShutdown *shutdown);
