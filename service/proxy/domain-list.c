/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which domains there are, in all the ways of asking that there have been. */

#include "proxy/call.h"

typedef bool (*DomainFilter)(const ProxyDomain *domain, unsigned flags);

static bool is_active(const ProxyDomain *domain, unsigned flags) {
        return domain->id >= 0;
}

static bool is_inactive(const ProxyDomain *domain, unsigned flags) {
        return domain->id < 0;
}

/* The domains that the filter lets through; an array in the call's memory. Returns like proxy_call_domains().
 */
static int select_domains(ProxyCall *call, DomainFilter filter, unsigned flags, const ProxyDomain ***ret,
                          uint32_t *ret_n, sd_bus_error *reterr) {
        const ProxyDomain *const *all;
        const ProxyDomain **selected;
        ProxyDomains *domains;
        uint32_t n = 0;
        size_t n_all;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        all = proxy_domains_all(domains, &n_all);
        selected = proxy_call_alloc_array(call, n_all, sizeof(*selected));
        for (size_t i = 0; i < n_all; i++)
                if (filter(all[i], flags))
                        selected[n++] = all[i];
        *ret = selected;
        *ret_n = n;
        return 1;
}

/* How many the client has room for; it says so with a sign. */
static int check_room(ProxyCall *call, int room, const char *what, sd_bus_error *reterr) {
        if (room < 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                       "%s in %s must be zero or greater", what,
                                       proxy_call_procedure(call)->function);
        return 0;
}

int proxy_remote_connect_list_domains(ProxyCall *call, const RpcRemoteConnectListDomainsArgs *args,
                                      sd_bus_error *reterr) {
        const ProxyDomain **selected;
        uint32_t n;
        int *ids, r;

        r = check_room(call, args->maxids, "maxids", reterr);
        if (r < 0)
                return r;
        r = select_domains(call, is_active, 0, &selected, &n, reterr);
        if (r <= 0)
                return r;
        n = MIN(n, (uint32_t) args->maxids);
        ids = proxy_call_alloc_array(call, n, sizeof(int));
        for (uint32_t i = 0; i < n; i++)
                ids[i] = selected[i]->id;
        return proxy_reply_remote_connect_list_domains(
                call, &(RpcRemoteConnectListDomainsRet){ .ids = { n, ids } });
}

int proxy_remote_connect_num_of_domains(ProxyCall *call, sd_bus_error *reterr) {
        const ProxyDomain **selected;
        uint32_t n;
        int r;

        r = select_domains(call, is_active, 0, &selected, &n, reterr);
        if (r <= 0)
                return r;
        return proxy_reply_remote_connect_num_of_domains(
                call, &(RpcRemoteConnectNumOfDomainsRet){ .num = (int) n });
}

int proxy_remote_connect_list_defined_domains(ProxyCall *call,
                                              const RpcRemoteConnectListDefinedDomainsArgs *args,
                                              sd_bus_error *reterr) {
        const ProxyDomain **selected;
        const char **names;
        uint32_t n;
        int r;

        r = check_room(call, args->maxnames, "maxnames", reterr);
        if (r < 0)
                return r;
        r = select_domains(call, is_inactive, 0, &selected, &n, reterr);
        if (r <= 0)
                return r;
        n = MIN(n, (uint32_t) args->maxnames);
        names = proxy_call_alloc_array(call, n, sizeof(char *));
        for (uint32_t i = 0; i < n; i++)
                names[i] = selected[i]->name;
        return proxy_reply_remote_connect_list_defined_domains(
                call, &(RpcRemoteConnectListDefinedDomainsRet){ .names = { n, names } });
}

int proxy_remote_connect_num_of_defined_domains(ProxyCall *call, sd_bus_error *reterr) {
        const ProxyDomain **selected;
        uint32_t n;
        int r;

        r = select_domains(call, is_inactive, 0, &selected, &n, reterr);
        if (r <= 0)
                return r;
        return proxy_reply_remote_connect_num_of_defined_domains(
                call, &(RpcRemoteConnectNumOfDefinedDomainsRet){ .num = (int) n });
}

/* ---- with filters */

static unsigned state_flag(int state) {
        switch (state) {
        case VIR_DOMAIN_RUNNING: return VIR_CONNECT_LIST_DOMAINS_RUNNING;
        case VIR_DOMAIN_PAUSED: return VIR_CONNECT_LIST_DOMAINS_PAUSED;
        case VIR_DOMAIN_SHUTOFF: return VIR_CONNECT_LIST_DOMAINS_SHUTOFF;
        default: return VIR_CONNECT_LIST_DOMAINS_OTHER;
        }
}

/* Flags come in groups that exclude one another; what is true of a domain has one bit of each. */
static unsigned flags_of_domain(const ProxyDomain *domain) {
        return (domain->id >= 0 ? VIR_CONNECT_LIST_DOMAINS_ACTIVE : VIR_CONNECT_LIST_DOMAINS_INACTIVE) |
               (domain->persistent ? VIR_CONNECT_LIST_DOMAINS_PERSISTENT
                                   : VIR_CONNECT_LIST_DOMAINS_TRANSIENT) |
               (domain->managed_save ? VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE
                                     : VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE) |
               (domain->autostart ? VIR_CONNECT_LIST_DOMAINS_AUTOSTART
                                  : VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART) |
               state_flag(domain->state) | VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT |
               VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT;
}

/* A group of which no flag is given lets all through, one with several what fits any of them. */
static bool fits(const ProxyDomain *domain, unsigned flags) {
        static const unsigned groups[] = {
                VIR_CONNECT_LIST_DOMAINS_ACTIVE | VIR_CONNECT_LIST_DOMAINS_INACTIVE,
                VIR_CONNECT_LIST_DOMAINS_PERSISTENT | VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
                VIR_CONNECT_LIST_DOMAINS_RUNNING | VIR_CONNECT_LIST_DOMAINS_PAUSED |
                        VIR_CONNECT_LIST_DOMAINS_SHUTOFF | VIR_CONNECT_LIST_DOMAINS_OTHER,
                VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE | VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE,
                VIR_CONNECT_LIST_DOMAINS_AUTOSTART | VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART,
                VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT | VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT,
                VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT | VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT,
        };
        unsigned is = flags_of_domain(domain);

        for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
                if (flags & groups[i] && !(flags & groups[i] & is))
                        return false;
        return true;
}

int proxy_remote_connect_list_all_domains(ProxyCall *call, const RpcRemoteConnectListAllDomainsArgs *args,
                                          sd_bus_error *reterr) {
        enum { ALL_FLAGS = VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT * 2 - 1 };
        const ProxyDomain **selected;
        RpcDomain *domains;
        uint32_t n;
        int r;

        r = proxy_call_check_flags(call, args->flags, ALL_FLAGS, reterr);
        if (r < 0)
                return r;
        r = select_domains(call, fits, args->flags, &selected, &n, reterr);
        if (r <= 0)
                return r;
        if (!args->need_results)
                return proxy_reply_remote_connect_list_all_domains(
                        call, &(RpcRemoteConnectListAllDomainsRet){ .ret = n });

        domains = proxy_call_alloc_array(call, n, sizeof(RpcDomain));
        for (uint32_t i = 0; i < n; i++)
                domains[i] = proxy_domain_to_rpc(selected[i]);
        return proxy_reply_remote_connect_list_all_domains(
                call, &(RpcRemoteConnectListAllDomainsRet){ .domains = { n, domains }, .ret = n });
}
