/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guests that go on from a saved state: one that ManagedSave left, or one that a caller hands in. */

#include "hypervisor/lifecycle.h"

/* Starts a persistent domain from its managed save if there is one, else anew (options: force_boot: anew in any case, the
 * managed save is removed first). The save is removed when the guest's state has been read and before it runs, so that it can never
 * be started twice; after a failure it stays. As the functions of lifecycle.h: 0 if done() follows. */
VB_MUST_USE int vb_domain_boot(VbDomain *domain, const VbStartOptions *options, VbDone done, void *userdata,
                               sd_bus_error *reterr);

/* For members of Hypervisor1. */
int vb_hypervisor_on_restore(VbCall *call, VbObject *root, const VbHypervisor1RestoreArgs *args, sd_bus_error *reterr);
int vb_hypervisor_on_get_saved_xml(VbCall *call, VbObject *root, const VbHypervisor1GetSavedXmlArgs *args,
                                   sd_bus_error *reterr);

/* InvalidXML, UnsupportedConfiguration: what the guest sees of the two definitions differs. */
VB_MUST_USE int vb_domain_definition_check_same_guest(VbDomainDefinition *saved, VbDomainDefinition *wanted, sd_bus_error *reterr);
