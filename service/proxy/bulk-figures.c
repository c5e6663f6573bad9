/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of many domains in one call. */
#include <string.h>

#include "proxy/figures.h"
#include "proxy/params.h"

#define HYPERVISOR1 "org.virtbus.Hypervisor1"
#define KIB 1024

static const struct {
        unsigned bit;
        const char *group;
} groups[] = {
        { VIR_DOMAIN_STATS_STATE, "state" },     { VIR_DOMAIN_STATS_CPU_TOTAL, "cpu" },       { VIR_DOMAIN_STATS_BALLOON, "balloon" },
        { VIR_DOMAIN_STATS_VCPU, "vcpu" },       { VIR_DOMAIN_STATS_INTERFACE, "interface" }, { VIR_DOMAIN_STATS_BLOCK, "block" },
        { VIR_DOMAIN_STATS_IOTHREAD, "iothread" },
};

#define FILTERS                                                                                                                 \
        (VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |                                \
         VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |                           \
         VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |                                 \
         VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER)
#define CHOICES                                                                                                                 \
        (VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING |                                 \
         VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)

/* Of a group of filters, none or any of those that are set must fit. */
static bool fits(unsigned flags, unsigned group, unsigned own) {
        return !(flags & group) || (flags & own);
}

static bool is_wanted(const ProxyDomain *domain, unsigned flags) {
        unsigned active = domain->id >= 0 ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE : VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE;
        unsigned persistent = domain->persistent ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT :
                                                   VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT;
        unsigned state = domain->state == VIR_DOMAIN_RUNNING ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING :
                         domain->state == VIR_DOMAIN_PAUSED  ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED :
                         domain->state == VIR_DOMAIN_SHUTOFF ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF :
                                                               VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER;

        return fits(flags, VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE, active) &&
               fits(flags, VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT, persistent) &&
               fits(flags,
                    VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |
                            VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER,
                    state);
}

/* Those whose unit is another here: KiB. */
static bool is_in_kib(const char *key) {
        static const char *const keys[] = { "current", "maximum", "swap_in", "swap_out", "unused", "available", "usable", "rss", "disk_caches" };

        if (!g_str_has_prefix(key, "balloon."))
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (strcmp(key + strlen("balloon."), keys[i]) == 0)
                        return true;
        return false;
}

static bool is_ours_alone(const char *key) {
        return strcmp(key, "updated-usec") == 0 || (g_str_has_prefix(key, "net.") && g_str_has_suffix(key, ".mac"));
}

static void add(ProxyParams *params, const ProxyFigure *figure) {
        if (is_ours_alone(figure->key))
                return;
        if (g_str_has_prefix(figure->key, "vcpu.") && g_str_has_suffix(figure->key, ".state"))
                proxy_params_add_int(params, figure->key, VIR_VCPU_RUNNING);
        else if (figure->type == 's')
                proxy_params_add_string(params, figure->key, figure->text);
        else if (figure->type == 'u')
                proxy_params_add_uint(params, figure->key, (uint32_t) figure->number);
        else if (figure->type == 'b')
                proxy_params_add_bool(params, figure->key, figure->number);
        else if (figure->type == 't')
                proxy_params_add_ullong(params, figure->key, is_in_kib(figure->key) ? figure->number / KIB : figure->number);
}

static RpcTypedParamArray params_of(ProxyCall *call, const ProxyDomain *domain, const ProxyFigures *figures, bool with_state) {
        ProxyParams params = { .call = call };

        if (with_state) {
                proxy_params_add_int(&params, "state.state", domain->state);
                proxy_params_add_int(&params, "state.reason", domain->reason);
        }
        for (unsigned i = 0; i < figures->n; i++)
                if (!g_str_has_prefix(figures->items[i].key, "state."))
                        add(&params, &figures->items[i]);
        return proxy_params_array(&params, -1);
}

typedef struct Question {
        const RpcRemoteConnectGetAllDomainStatsArgs *args;
        unsigned wanted; /* groups */
        unsigned room;
} Question;

static int on_stats(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const Question *question = userdata;
        RpcDomainStatsRecord *records;
        ProxyDomains *domains;
        ProxyFigures figures;
        uint32_t n = 0;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        records = proxy_call_alloc_array(call, question->room + 1, sizeof(*records));
        r = sd_bus_message_enter_container(answer, 'a', "(oa{sv})");
        while (r >= 0 && n < question->room && (r = proxy_figures_read(call, answer, &figures)) > 0) {
                const ProxyDomain *domain = proxy_domains_by_path(domains, figures.path);

                if (domain && is_wanted(domain, question->args->flags))
                        records[n++] = (RpcDomainStatsRecord){
                                .dom = proxy_domain_to_rpc(domain),
                                .params = params_of(call, domain, &figures, question->wanted & VIR_DOMAIN_STATS_STATE),
                        };
        }
        return r < 0 ? r :
                       proxy_reply_remote_connect_get_all_domain_stats(call, &(RpcRemoteConnectGetAllDomainStatsRet){
                               .retStats = { n, records } });
}

/* Those that were named. When all are asked for, the list stays empty: then the driver leaves out what the caller may not read, as libvirt
 * does, and asks nobody for a password about the guests of others. */
static int append_domains(ProxyCall *call, ProxyDomains *domains, sd_bus_message *message, Question *question) {
        const RpcRemoteConnectGetAllDomainStatsArgs *args = question->args;
        int r;

        r = sd_bus_message_open_container(message, 'a', "o");
        for (uint32_t i = 0; r >= 0 && i < args->doms.n; i++) {
                const ProxyDomain *domain = proxy_domains_by_uuid(domains, args->doms.items[i].uuid);

                if (!domain || !is_wanted(domain, args->flags))
                        continue;
                r = sd_bus_message_append_basic(message, 'o', domain->path);
                question->room++;
        }
        if (r >= 0 && args->doms.n == 0) {
                size_t n;

                (void) proxy_domains_all(domains, &n);
                question->room = (unsigned) n;
                r = sd_bus_message_set_allow_interactive_authorization(message, /* b= */ false);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* The state is in the records: there is nothing to ask anyone. */
static int reply_states(ProxyCall *call, ProxyDomains *domains, const RpcRemoteConnectGetAllDomainStatsArgs *args) {
        static const ProxyFigures none = { 0 };
        RpcDomainStatsRecord *records;
        const ProxyDomain *const *all;
        uint32_t n = 0;
        size_t n_all;

        all = proxy_domains_all(domains, &n_all);
        if (args->doms.n > 0)
                n_all = args->doms.n;
        records = proxy_call_alloc_array(call, n_all + 1, sizeof(*records));
        for (size_t i = 0; i < n_all; i++) {
                const ProxyDomain *domain = args->doms.n > 0 ? proxy_domains_by_uuid(domains, args->doms.items[i].uuid) : all[i];

                if (domain && is_wanted(domain, args->flags))
                        records[n++] = (RpcDomainStatsRecord){
                                .dom = proxy_domain_to_rpc(domain),
                                .params = params_of(call, domain, &none, /* with_state= */ true),
                        };
        }
        return proxy_reply_remote_connect_get_all_domain_stats(call, &(RpcRemoteConnectGetAllDomainStatsRet){ .retStats = { n, records } });
}

static int append_options(sd_bus_message *message, const Question *question) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", "groups");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "s");
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(groups); i++)
                if (question->wanted & groups[i].bit)
                        r = sd_bus_message_append_basic(message, 's', groups[i].group);
        for (unsigned i = 0; r >= 0 && i < 4; i++)
                r = sd_bus_message_close_container(message);
        return r;
}

int proxy_remote_connect_get_all_domain_stats(ProxyCall *call, const RpcRemoteConnectGetAllDomainStatsArgs *args,
                                              sd_bus_error *reterr) {
        Question *question = proxy_call_alloc(call, sizeof(*question));
        g_autoptr(sd_bus_message) message = NULL;
        unsigned known = 0, wanted = args->stats;
        ProxyDomains *domains;
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
                known |= groups[i].bit;
        r = proxy_call_check_flags(call, args->flags, FILTERS | CHOICES, reterr);
        if (r < 0)
                return r;
        if ((args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (wanted & ~known))
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "Stats types bits 0x%x are not supported by this daemon",
                                       wanted & ~known);
        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        *question = (Question){ .args = args, .wanted = wanted == 0 ? known : wanted & known };
        if (question->wanted == VIR_DOMAIN_STATS_STATE)
                return reply_states(call, domains, args);

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR1, "GetStats", reterr);
        if (r >= 0)
                r = append_domains(call, domains, message, question);
        if (r >= 0)
                r = append_options(message, question);
        if (r < 0)
                return r;
        /* On the bus, no domains means all of them. */
        if (question->room == 0)
                return proxy_reply_remote_connect_get_all_domain_stats(call, &(RpcRemoteConnectGetAllDomainStatsRet){ .retStats = { 0, NULL } });
        return proxy_call_send(call, message, on_stats, question, reterr);
}
