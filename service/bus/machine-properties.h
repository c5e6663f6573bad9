/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What machine.c puts into its calls: names, and properties of scopes in the service manager's spelling. */

#include "bus/machine.h"

/* What scopes are ordered by: units/virtbus-guests.target. */
#define VB_MACHINE_TARGET "virtbus-guests.target"
/* What guests need to their very end: who holds their leases, and who takes what they write. */
#define VB_MACHINE_HELPERS "virtlockd.service", "virtlogd.service"

/* The scope that machined makes for a machine of this name: "machine-qemu\x2d3\x2dweb.scope". To be freed. */
char *vb_machine_unit(const char *name);

/* The array a(sv) of a new scope. own_pid: with PIDs=, where no machined adds them. fallback_slice may be NULL. */
VB_MUST_USE int vb_machine_append_scope(sd_bus_message *message, const VbMachineSpec *spec, bool own_pid,
                                        const char *fallback_slice);

/* The (sv) of the groups' resources that are set, into an open array; unset_too: and of the others, that they are not.
 * -EINVAL for a list of CPUs that is none. */
VB_MUST_USE int vb_machine_append_resources(sd_bus_message *message, const VbMachineResources *resources,
                                            VbMachineGroups groups, bool unset_too);
