/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/rights.h"

#include "interfaces/actions.h"

int vb_require_definition(VbCall *call, VbHypervisor *hypervisor, const VbDomainDefinition *definition,
                          const VbAction *const *actions, VbDomain **ret_domain, uid_t *ret_owner, sd_bus_error *reterr) {
        VbUuid uuid = vb_domain_definition_uuid(definition);
        VbDomain *domain = vb_registry_find(hypervisor->registry, &uuid);
        VbSubject subject;
        int r;

        /* Of a new domain, rules are told the name. Its UUID may be a random one that is another when the handler runs again. */
        if (domain)
                subject = (VbSubject){ domain->name, domain->uuid_string, domain->owner };
        else
                subject = (VbSubject){ .name = definition->name, .owner = vb_call_uid(call) };

        for (; domain && *actions; actions++) {
                r = vb_call_require(call, *actions, subject, reterr);
                if (r <= 0)
                        return r;
        }
        if (vb_domain_definition_uses_host(definition)) {
                r = vb_call_require(call, &vb_action_domain_assign_device, subject, reterr);
                if (r <= 0)
                        return r;
        }
        *ret_domain = domain;
        *ret_owner = subject.owner;
        return 1;
}
