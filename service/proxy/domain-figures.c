/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of one guest, for the calls of old that each ask for some of them. */
#include <string.h>

#include "proxy/dict.h"
#include "proxy/figures.h"
#include "proxy/params.h"

#define HYPERVISOR1 "org.virtbus.Hypervisor1"
#define KIB 1024

/* Asks for one group of a guest that runs. */
static int ask(ProxyCall *call, const RpcDomain *dom, const char *group, ProxyAnswered answered, const void *args,
               sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_running(call, dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR1, "GetStats", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "aoa{sv}", 1, domain->path, 2, "groups", "as", 1, group, "fresh", "b", 1);
        return r < 0 ? r : proxy_call_send(call, message, answered, (void *) args, reterr);
}

static int read_one(ProxyCall *call, sd_bus_message *answer, ProxyFigures *ret, sd_bus_error *reterr) {
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(oa{sv})");
        if (r >= 0)
                r = proxy_figures_read(call, answer, ret);
        return r != 0 ? r : proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, 0, "domain is not running");
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static const struct {
        int tag;
        const char *key;
        uint64_t unit; /* the bus's number is that times this */
} memory_figures[] = {
        { VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, "balloon.current", KIB },
        { VIR_DOMAIN_MEMORY_STAT_SWAP_IN, "balloon.swap_in", KIB },
        { VIR_DOMAIN_MEMORY_STAT_SWAP_OUT, "balloon.swap_out", KIB },
        { VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, "balloon.major_fault", 1 },
        { VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT, "balloon.minor_fault", 1 },
        { VIR_DOMAIN_MEMORY_STAT_UNUSED, "balloon.unused", KIB },
        { VIR_DOMAIN_MEMORY_STAT_AVAILABLE, "balloon.available", KIB },
        { VIR_DOMAIN_MEMORY_STAT_USABLE, "balloon.usable", KIB },
        { VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, "balloon.last-update", 1 },
        { VIR_DOMAIN_MEMORY_STAT_DISK_CACHES, "balloon.disk_caches", KIB },
        { VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, "balloon.hugetlb_pgalloc", 1 },
        { VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, "balloon.hugetlb_pgfail", 1 },
        { VIR_DOMAIN_MEMORY_STAT_RSS, "balloon.rss", KIB },
};

static int on_memory(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainMemoryStatsArgs *args = userdata;
        RpcDomainMemoryStat *stats = proxy_call_alloc_array(call, G_N_ELEMENTS(memory_figures), sizeof(*stats));
        ProxyFigures figures;
        uint32_t n = 0;
        int r;

        r = read_one(call, answer, &figures, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(memory_figures) && n < args->maxStats; i++) {
                const ProxyFigure *figure = proxy_figures_find(&figures, "%s", memory_figures[i].key);

                if (figure)
                        stats[n++] = (RpcDomainMemoryStat){ memory_figures[i].tag, figure->number / memory_figures[i].unit };
        }
        return proxy_reply_remote_domain_memory_stats(call, &(RpcRemoteDomainMemoryStatsRet){ .stats = { n, stats } });
}

int proxy_remote_domain_memory_stats(ProxyCall *call, const RpcRemoteDomainMemoryStatsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : ask(call, &args->dom, "balloon", on_memory, args, reterr);
}

/* --- disks ---------------------------------------------------------------------------------------------------------- */

static const char *text_of(const ProxyFigures *figures, const char *format, unsigned i) {
        g_autofree char *key = g_strdup_printf("block.%u.%s", i, format);
        const ProxyFigure *figure = proxy_figures_find(figures, "%s", key);

        return figure ? figure->text : NULL;
}

/* One figure of a disk, or with "" of all together; -1: it is not known. */
static int64_t sum_of(const ProxyFigures *figures, const char *disk, const char *what) {
        uint64_t count = proxy_figures_number(figures, 0, "block.count");
        int64_t sum = -1;

        for (unsigned i = 0; i < count; i++) {
                const ProxyFigure *figure = proxy_figures_find(figures, "block.%u.%s", i, what);

                if (figure && (disk[0] == '\0' || g_strcmp0(text_of(figures, "name", i), disk) == 0 ||
                               g_strcmp0(text_of(figures, "path", i), disk) == 0))
                        sum = MAX(sum, 0) + (int64_t) figure->number;
        }
        return sum;
}

static int check_disk(const ProxyFigures *figures, const char *disk, sd_bus_error *reterr) {
        uint64_t count = proxy_figures_number(figures, 0, "block.count");

        for (unsigned i = 0; i < count; i++)
                if (disk[0] == '\0' || g_strcmp0(text_of(figures, "name", i), disk) == 0 || g_strcmp0(text_of(figures, "path", i), disk) == 0)
                        return 0;
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "invalid path: %s", disk);
}

static int on_block(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainBlockStatsArgs *args = userdata;
        ProxyFigures figures;
        int r;

        r = read_one(call, answer, &figures, reterr);
        if (r >= 0)
                r = check_disk(&figures, args->path, reterr);
        if (r < 0)
                return r;
        return proxy_reply_remote_domain_block_stats(call, &(RpcRemoteDomainBlockStatsRet){
                .rd_req = sum_of(&figures, args->path, "rd.reqs"),
                .rd_bytes = sum_of(&figures, args->path, "rd.bytes"),
                .wr_req = sum_of(&figures, args->path, "wr.reqs"),
                .wr_bytes = sum_of(&figures, args->path, "wr.bytes"),
                .errs = -1,
        });
}

int proxy_remote_domain_block_stats(ProxyCall *call, const RpcRemoteDomainBlockStatsArgs *args, sd_bus_error *reterr) {
        return ask(call, &args->dom, "block", on_block, args, reterr);
}

static const struct {
        const char *name, *key;
} block_figures[] = {
        { VIR_DOMAIN_BLOCK_STATS_READ_BYTES, "rd.bytes" },
        { VIR_DOMAIN_BLOCK_STATS_READ_REQ, "rd.reqs" },
        { VIR_DOMAIN_BLOCK_STATS_WRITE_BYTES, "wr.bytes" },
        { VIR_DOMAIN_BLOCK_STATS_WRITE_REQ, "wr.reqs" },
        { VIR_DOMAIN_BLOCK_STATS_READ_TOTAL_TIMES, "rd.times" },
        { VIR_DOMAIN_BLOCK_STATS_WRITE_TOTAL_TIMES, "wr.times" },
        { VIR_DOMAIN_BLOCK_STATS_FLUSH_REQ, "fl.reqs" },
        { VIR_DOMAIN_BLOCK_STATS_FLUSH_TOTAL_TIMES, "fl.times" },
};

static int on_block_flags(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainBlockStatsFlagsArgs *args = userdata;
        ProxyParams params = { .call = call };
        RpcTypedParamArray array;
        ProxyFigures figures;
        int r;

        r = read_one(call, answer, &figures, reterr);
        if (r >= 0)
                r = check_disk(&figures, args->path, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(block_figures); i++) {
                int64_t value = sum_of(&figures, args->path, block_figures[i].key);

                if (value >= 0)
                        proxy_params_add_llong(&params, block_figures[i].name, value);
        }
        if (args->nparams == 0)
                return proxy_reply_remote_domain_block_stats_flags(
                        call, &(RpcRemoteDomainBlockStatsFlagsRet){ .nparams = (int32_t) params.n });
        array = proxy_params_array(&params, args->nparams);
        return proxy_reply_remote_domain_block_stats_flags(
                call, &(RpcRemoteDomainBlockStatsFlagsRet){ .params = array, .nparams = (int32_t) array.n });
}

int proxy_remote_domain_block_stats_flags(ProxyCall *call, const RpcRemoteDomainBlockStatsFlagsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        return r < 0 ? r : ask(call, &args->dom, "block", on_block_flags, args, reterr);
}

static int on_block_info(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcRemoteDomainGetBlockInfoRet ret = { 0 };
        const ProxyDictEntry entries[] = {
                { "allocation", 't', &ret.allocation },
                { "capacity", 't', &ret.capacity },
                { "physical", 't', &ret.physical },
        };
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        return r < 0 ? r : proxy_reply_remote_domain_get_block_info(call, &ret);
}

int proxy_remote_domain_get_block_info(ProxyCall *call, const RpcRemoteDomainGetBlockInfoArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "GetDiskInfo", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "sa{sv}", args->path, 0);
        return r < 0 ? r : proxy_call_send(call, message, on_block_info, NULL, reterr);
}

static int on_disk_errors(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetDiskErrorsArgs *args = userdata;
        RpcDomainDiskError *errors = proxy_call_alloc_array(call, args->maxerrors + 1, sizeof(*errors));
        const char *disk, *error;
        uint32_t n = 0, all = 0;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(ss)");
        while (r >= 0 && (r = sd_bus_message_read(answer, "(ss)", &disk, &error)) > 0) {
                all++;
                if (n < args->maxerrors)
                        errors[n++] = (RpcDomainDiskError){ proxy_call_strdup(call, disk),
                                                            strcmp(error, "no-space") == 0 ? VIR_DOMAIN_DISK_ERROR_NO_SPACE :
                                                                                             VIR_DOMAIN_DISK_ERROR_UNSPEC };
        }
        if (r < 0)
                return r;
        return proxy_reply_remote_domain_get_disk_errors(call, &(RpcRemoteDomainGetDiskErrorsRet){
                .errors = { n, errors }, .nerrors = (int32_t) (args->maxerrors == 0 ? all : n) });
}

int proxy_remote_domain_get_disk_errors(ProxyCall *call, const RpcRemoteDomainGetDiskErrorsArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0 && args->maxerrors > 256)
                r = proxy_error_set(reterr, VIR_ERR_RPC, 0, "maxerrors too large");
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "GetDiskErrors", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? r : proxy_call_send(call, message, on_disk_errors, (void *) args, reterr);
}

/* --- network cards and CPU time ---------------------------------------------------------------------------------------- */

static int64_t net_figure(const ProxyFigures *figures, unsigned i, const char *what) {
        const ProxyFigure *figure = proxy_figures_find(figures, "net.%u.%s", i, what);

        return figure ? (int64_t) figure->number : -1;
}

static bool is_card(const ProxyFigures *figures, unsigned i, const char *device) {
        const ProxyFigure *name = proxy_figures_find(figures, "net.%u.name", i);
        const ProxyFigure *mac = proxy_figures_find(figures, "net.%u.mac", i);

        return (name && g_strcmp0(name->text, device) == 0) || (mac && mac->text && g_ascii_strcasecmp(mac->text, device) == 0);
}

static int on_interface(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainInterfaceStatsArgs *args = userdata;
        ProxyFigures figures;
        uint64_t count;
        int r;

        r = read_one(call, answer, &figures, reterr);
        if (r < 0)
                return r;
        count = proxy_figures_number(&figures, 0, "net.count");
        for (unsigned i = 0; i < count; i++) {
                if (!is_card(&figures, i, args->device))
                        continue;
                return proxy_reply_remote_domain_interface_stats(call, &(RpcRemoteDomainInterfaceStatsRet){
                        .rx_bytes = net_figure(&figures, i, "rx.bytes"),
                        .rx_packets = net_figure(&figures, i, "rx.pkts"),
                        .rx_errs = net_figure(&figures, i, "rx.errs"),
                        .rx_drop = net_figure(&figures, i, "rx.drop"),
                        .tx_bytes = net_figure(&figures, i, "tx.bytes"),
                        .tx_packets = net_figure(&figures, i, "tx.pkts"),
                        .tx_errs = net_figure(&figures, i, "tx.errs"),
                        .tx_drop = net_figure(&figures, i, "tx.drop"),
                });
        }
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "invalid path, '%s' is not a known interface", args->device);
}

int proxy_remote_domain_interface_stats(ProxyCall *call, const RpcRemoteDomainInterfaceStatsArgs *args, sd_bus_error *reterr) {
        return ask(call, &args->dom, "interface", on_interface, args, reterr);
}

static int on_cpu(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetCpuStatsArgs *args = userdata;
        ProxyParams params = { .call = call };
        RpcTypedParamArray array;
        ProxyFigures figures;
        int r;

        r = read_one(call, answer, &figures, reterr);
        if (r < 0)
                return r;
        proxy_params_add_ullong(&params, VIR_DOMAIN_CPU_STATS_CPUTIME, proxy_figures_number(&figures, 0, "cpu.time"));
        proxy_params_add_ullong(&params, VIR_DOMAIN_CPU_STATS_USERTIME, proxy_figures_number(&figures, 0, "cpu.user"));
        proxy_params_add_ullong(&params, VIR_DOMAIN_CPU_STATS_SYSTEMTIME, proxy_figures_number(&figures, 0, "cpu.system"));
        if (args->nparams == 0)
                return proxy_reply_remote_domain_get_cpu_stats(call, &(RpcRemoteDomainGetCpuStatsRet){ .nparams = (int32_t) params.n });
        array = proxy_params_array(&params, args->nparams);
        return proxy_reply_remote_domain_get_cpu_stats(call, &(RpcRemoteDomainGetCpuStatsRet){ .params = array, .nparams = (int32_t) array.n });
}

int proxy_remote_domain_get_cpu_stats(ProxyCall *call, const RpcRemoteDomainGetCpuStatsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        /* The kernel's second version of control groups counts no CPU by itself. */
        if (args->start_cpu != -1)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_UNSUPPORTED, 0, "figures of single CPUs are not kept by this host");
        return ask(call, &args->dom, "cpu", on_cpu, args, reterr);
}
