/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes of a definition: of the guest that runs, of the persistent one, or of both, as options "live" and "config" say. Both are tried
 * on copies first. Then the driver makes the guest as it shall be, and only if that has succeeded the disk gets the new
 * definition: so a change that the guest does not take is none. */

#include "hypervisor/driver.h"

/* The definitions that a change is about: those named, or else the one that counts. InvalidState if one of them is not there. */
VB_MUST_USE int vb_domain_choose_definitions(const VbDomain *domain, bool live, bool config, VbDomainDefinition **ret_live,
                                             VbDomainDefinition **ret_config, sd_bus_error *reterr);

/* The same for a question, which can be about one only. */
VB_MUST_USE int vb_domain_choose_definition(const VbDomain *domain, bool live, bool config, const VbDomainDefinition **ret,
                                            sd_bus_error *reterr);

typedef struct VbChangeSpec {
        const char *what; /* a literal: "set the memory". It reads on from "domain 'web': " */

        /* Changes a definition; args are the method's. It is called for a copy first, and then, if nothing stands in the way, once more for what
         * counts, where it must not fail. Returns which part is meant, for the driver (a disk's place, a vCPU's number; else 0); or a negative
         * errno with reterr filled. live: of the guest that runs. */
        int (*edit)(VbDomainDefinition *definition, bool live, const void *args, sd_bus_error *reterr);

        VbResource resource;    /* what of the guest changes */
        bool told_by_events;    /* the guest's definition is changed when the guest has done its part, and not here */
} VbChangeSpec;

/* Takes its turn, makes the change, and replies to the call, whose method replies nothing. args live as long as the call. */
VB_MUST_USE int vb_domain_change(VbCall *call, VbDomain *domain, bool live, bool config, const VbChangeSpec *spec,
                                 const void *args, sd_bus_error *reterr);

/* For handlers: the options have these names in all such methods. */
#define VB_DOMAIN_CHANGE(call, object, args, spec, reterr) \
        vb_domain_change((call), vb_domain_of(object), (args)->options.live, (args)->options.config, (spec), (args), (reterr))
