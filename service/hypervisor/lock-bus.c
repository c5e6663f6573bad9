/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: what a guest has leases on. Everybody may see whether; paths are for those who may read the definition. */

#include "hypervisor/handlers.h"
#include "hypervisor/lock.h"

const char *vb_domain_get_lease_state(VbObject *object) {
        const VbClaims *claims = vb_domain_of(object)->claims;

        return vb_claims_state_to_string(claims ? claims->state : VB_CLAIMS_NONE);
}

static int append_holder(sd_bus_message *m, const VbClaims *claims) {
        return sd_bus_message_append(m, "a{sv}", 4, "manager", "s", vb_lock_manager_name(claims->manager), "state", "s",
                                     vb_claims_state_to_string(claims->state), "pid", "u", (uint32_t) claims->pid, "start-time",
                                     "t", claims->start_time);
}

static int append_lease(sd_bus_message *m, const VbClaim *claim) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}", "device", "s", claim->device, "name", "s", claim->name, "mode", "s",
                                          claim->shared ? "shared" : "exclusive");
        if (r >= 0 && claim->folder)
                r = sd_bus_message_append(m, "{sv}{sv}", "path", "s", claim->folder, "offset", "t", claim->offset);
        if (r >= 0 && claim->lockspace)
                r = sd_bus_message_append(m, "{sv}", "lockspace", "s", claim->lockspace);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_leases(sd_bus_message *m, const VbClaims *claims) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < claims->n; i++)
                r = append_lease(m, &claims->items[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int vb_domain_on_get_leases(VbCall *call, VbObject *object, const VbDomain1GetLeasesArgs *args, sd_bus_error *reterr) {
        const VbClaims *claims = vb_domain_of(object)->claims;
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0 && claims && claims->state != VB_CLAIMS_NONE) {
                r = append_holder(reply, claims);
                if (r >= 0)
                        r = append_leases(reply, claims);
        } else if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}aa{sv}", 0, 0);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}
