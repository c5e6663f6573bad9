/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The old way to look at a domain: everything in one small struct. All but the time it has run is in the
 * records. */

#include <string.h>

#include "proxy/call.h"

/* The figures of one domain: a(oa{sv}), of which one entry is looked for. */
static int read_cpu_time(sd_bus_message *answer, uint64_t *ret) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(oa{sv})");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(answer, 'r', "oa{sv}");
        if (r <= 0)
                return r; /* the domain has gone meanwhile */
        r = sd_bus_message_skip(answer, "o");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(answer, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(answer, 's', &key);
                if (r < 0)
                        return r;
                if (strcmp(key, "cpu.time") == 0)
                        return sd_bus_message_read(answer, "v", "t", ret);
                r = sd_bus_message_skip(answer, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                if (r < 0)
                        return r;
        }
        return r;
}

static int reply_info(ProxyCall *call, const ProxyDomain *domain, uint64_t cpu_time) {
        return proxy_reply_remote_domain_get_info(
                call, &(RpcRemoteDomainGetInfoRet){
                              .state = (uint8_t) domain->state,
                              .maxMem = domain->max_memory / 1024,
                              .memory = domain->memory / 1024,
                              .nrVirtCpu = (uint16_t) MIN(domain->n_vcpus, UINT16_MAX),
                              .cpuTime = cpu_time,
                      });
}

static int on_stats(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetInfoArgs *args = userdata;
        const ProxyDomain *domain;
        uint64_t cpu_time = 0;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = read_cpu_time(answer, &cpu_time);
        return r < 0 ? r : reply_info(call, domain, cpu_time);
}

int proxy_remote_domain_get_info(ProxyCall *call, const RpcRemoteDomainGetInfoArgs *args,
                                 sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->id < 0)
                return reply_info(call, domain, /* cpu_time= */ 0);

        r = proxy_call_new_method(call, &message, NULL, "org.virtbus.Hypervisor1", "GetStats", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "aoa{sv}", 1, domain->path, 1, "groups", "as", 1, "cpu");
        if (r < 0)
                return r;
        return proxy_call_send(call, message, on_stats, (void *) args, reterr);
}
