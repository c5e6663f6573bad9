/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can be done to guests: checks the domain's state, makes sure that one thing is done at a time, and has the driver do it.
 * Whoever calls this has the right to. All return 0 if done() follows, or a negative errno with reterr filled. */

#include "hypervisor/driver.h"

/* definition (taken, also on failure) is used for this one run; NULL: the persistent one. */
VB_MUST_USE int vb_domain_start(VbDomain *domain, VbDomainDefinition *definition, const VbStartOptions *options,
                                VbDone done, void *userdata, sd_bus_error *reterr);

/* done() comes when the guest has been asked; with a time limit, when it is off. */
VB_MUST_USE int vb_domain_shutdown(VbDomain *domain, VbAskMode mode, uint64_t timeout_usec, bool then_destroy,
                                   VbDone done, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int vb_domain_reboot(VbDomain *domain, VbAskMode mode, VbDone done, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int vb_domain_reset(VbDomain *domain, VbDone done, void *userdata, sd_bus_error *reterr);
/* reason: USER, or why else it will be paused. */
VB_MUST_USE int vb_domain_suspend(VbDomain *domain, VbDomainReason reason, VbDone done, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int vb_domain_resume(VbDomain *domain, VbDone done, void *userdata, sd_bus_error *reterr);

/* Also ends what is under way. done() (may be NULL) comes when nothing of the guest is left; graceful, also when it takes too long. */
VB_MUST_USE int vb_domain_destroy(VbDomain *domain, bool graceful, VbDone done, void *userdata, sd_bus_error *reterr);
