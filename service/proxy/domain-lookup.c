/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of one domain without asking its driver: the records that its signals keep up to date. */

#include <string.h>

#include "base/uuid.h"
#include "proxy/call.h"

/* What the drivers' guests are, in the words of their definitions. */
static const char *os_type(ProxyCall *call) {
        const char *driver = proxy_connection_driver(proxy_call_connection(call));

        return g_strcmp0(driver, "lxc") == 0 ? "exe" : "hvm";
}

static int reply_found(ProxyCall *call, const ProxyDomain *domain) {
        RpcDomain rpc = proxy_domain_to_rpc(domain);

        return proxy_call_reply(call, &rpc);
}

int proxy_remote_domain_lookup_by_id(ProxyCall *call, const RpcRemoteDomainLookupByIdArgs *args,
                                     sd_bus_error *reterr) {
        const ProxyDomain *domain;
        ProxyDomains *domains;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        domain = args->id >= 0 ? proxy_domains_by_id(domains, args->id) : NULL;
        if (!domain)
                return proxy_call_no_domain(call, reterr, "no domain with matching id %d", args->id);
        return reply_found(call, domain);
}

int proxy_remote_domain_lookup_by_name(ProxyCall *call, const RpcRemoteDomainLookupByNameArgs *args,
                                       sd_bus_error *reterr) {
        const ProxyDomain *domain;
        ProxyDomains *domains;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        domain = proxy_domains_by_name(domains, args->name);
        if (!domain)
                return proxy_call_no_domain(call, reterr, "no domain with matching name '%s'", args->name);
        return reply_found(call, domain);
}

int proxy_remote_domain_lookup_by_uuid(ProxyCall *call, const RpcRemoteDomainLookupByUuidArgs *args,
                                       sd_bus_error *reterr) {
        char text[VB_UUID_STRING_SIZE];
        const ProxyDomain *domain;
        ProxyDomains *domains;
        VbUuid uuid;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        domain = proxy_domains_by_uuid(domains, args->uuid);
        if (!domain) {
                memcpy(uuid.bytes, args->uuid, sizeof(uuid.bytes));
                return proxy_call_no_domain(call, reterr, "no domain with matching uuid '%s'",
                                            vb_uuid_format(&uuid, text));
        }
        return reply_found(call, domain);
}

int proxy_remote_domain_get_os_type(ProxyCall *call, const RpcRemoteDomainGetOsTypeArgs *args,
                                    sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        return proxy_reply_remote_domain_get_os_type(call,
                                                     &(RpcRemoteDomainGetOsTypeRet){ .type = os_type(call) });
}
