/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Security labels: no driver gives guests any, so each guest has one that is empty, as where libvirt runs without a security module. */

#include "proxy/call.h"

#define NO_LABEL { .label = { .n = 1, .items = "" } } /* the zero at its end counts */

int proxy_remote_domain_get_security_label(ProxyCall *call, const RpcRemoteDomainGetSecurityLabelArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        return r <= 0 ? r : proxy_reply_remote_domain_get_security_label(call, &(RpcRemoteDomainGetSecurityLabelRet) NO_LABEL);
}

int proxy_remote_domain_get_security_label_list(ProxyCall *call, const RpcRemoteDomainGetSecurityLabelListArgs *args,
                                                sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        return r <= 0 ? r : proxy_reply_remote_domain_get_security_label_list(call, &(RpcRemoteDomainGetSecurityLabelListRet){});
}
