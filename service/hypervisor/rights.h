/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a caller who hands in a definition must be allowed, beyond what the member itself asks for. */

#include "bus/call.h"
#include "hypervisor/hypervisor.h"

/* On the domain that has the definition's UUID already, if there is one: each of the actions (which end with NULL). Then, if the definition
 * reaches into the host (vb_domain_definition_uses_host()), the right to that. Answers as vb_call_require() does. ret_domain is NULL if the domain
 * is to be new; ret_owner is whose it is or, when new, the caller. */
VB_MUST_USE int vb_require_definition(VbCall *call, VbHypervisor *hypervisor, const VbDomainDefinition *definition,
                                      const VbAction *const *actions, VbDomain **ret_domain, uid_t *ret_owner,
                                      sd_bus_error *reterr);
