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

/* Guests are being brought to safety, or are: none is to be started on the daemon's own account. */
bool vb_host_shutdown_is_under_way(const VbHostShutdown *shutdown);
