/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of starting and stopping guests takes more than a row. */

#include "proxy/call.h"

/* On the bus, a guest that runs already just runs on. Classic clients are told, and may rely on it: who resumes a guest wants to
 * know whether it was he. */
int proxy_remote_domain_resume(ProxyCall *call, const RpcRemoteDomainResumeArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->state == VIR_DOMAIN_RUNNING)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, proxy_call_driver_domain(call),
                                       "domain is already running");
        r = proxy_call_new_method(call, &message, domain->path, "org.virtbus.Domain1", "Resume", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}
