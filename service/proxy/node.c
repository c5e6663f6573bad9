/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What classic clients ask of the host. "Cells" are NUMA nodes. */

#include <errno.h>
#include <string.h>

#include "base/cpus.h"
#include "proxy/dict.h"

#define HYPERVISOR "org.virtbus.Hypervisor1"
#define KIB 1024
#define MHZ 1000000
#define CELLS_MAX 1024 /* of node_get_cells_free_memory's and node_get_free_pages' replies */

/* A method without arguments but options, of which there are none. */
static int ask(ProxyCall *call, const char *member, ProxyAnswered answered, const void *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, member, reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        return r >= 0 ? proxy_call_send(call, message, answered, (void *) args, reterr) : r;
}

/* --- Size and shape --- */

static int on_info(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcRemoteNodeGetInfoRet ret = { 0 };
        uint64_t memory = 0, frequency = 0;
        const char *arch = "";
        const ProxyDictEntry entries[] = {
                { "arch", 's', &arch },        { "memory", 't', &memory },       { "cpu-frequency", 't', &frequency },
                { "cpus", 'u', &ret.cpus },    { "nodes", 'u', &ret.nodes },     { "sockets", 'u', &ret.sockets },
                { "cores", 'u', &ret.cores },  { "threads", 'u', &ret.threads },
        };
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r < 0)
                return r;
        (void) g_strlcpy(ret.model, arch, sizeof(ret.model));
        ret.memory = memory / KIB;
        ret.mhz = (int32_t) MIN(frequency / MHZ, INT32_MAX);
        return proxy_reply_remote_node_get_info(call, &ret);
}

int proxy_remote_node_get_info(ProxyCall *call, sd_bus_error *reterr) {
        return ask(call, "GetHostInfo", on_info, NULL, reterr);
}

/* A text with its NUL, as the two fields want it. */
static RpcCharArray chars_of(const char *text) {
        return (RpcCharArray){ (uint32_t) MIN(strlen(text), 255) + 1, text };
}

static int on_security_model(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const char *model = "", *doi = "";
        const ProxyDictEntry entries[] = { { "security-model", 's', &model }, { "security-doi", 's', &doi } };
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r < 0)
                return r;
        return proxy_reply_remote_node_get_security_model(call, &(RpcRemoteNodeGetSecurityModelRet){
                .model = chars_of(model), .doi = chars_of(doi) });
}

int proxy_remote_node_get_security_model(ProxyCall *call, sd_bus_error *reterr) {
        return ask(call, "GetHostInfo", on_security_model, NULL, reterr);
}

/* --- CPUs --- */

static unsigned count_bits(const uint8_t *mask, size_t size) {
        unsigned n = 0;

        for (size_t i = 0; i < size; i++)
                n += (unsigned) __builtin_popcount(mask[i]);
        return n;
}

/* CPUs are numbered from 0; the last one that is present tells how many there are. */
static int32_t count_numbers(const uint8_t *mask, size_t size) {
        for (size_t i = size; i > 0; i--)
                if (mask[i - 1])
                        return (int32_t) (i * 8) - (__builtin_clz(mask[i - 1]) - 24);
        return 0;
}

static int on_cpu_map(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteNodeGetCpuMapArgs *args = userdata;
        uint8_t *mask = proxy_call_alloc(call, VB_CPUS_MASK_SIZE);
        const char *online = "", *present = "";
        const ProxyDictEntry entries[] = { { "online-cpus", 's', &online }, { "present-cpus", 's', &present } };
        RpcRemoteNodeGetCpuMapRet ret = { 0 };
        size_t size;
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r >= 0)
                r = vb_cpus_parse(present, mask, &size);
        if (r < 0)
                return r;
        ret.ret = count_numbers(mask, size);
        r = vb_cpus_parse(online, mask, &size);
        if (r < 0)
                return r;
        if (args->need_online)
                ret.online = count_bits(mask, size);
        if (args->need_map)
                ret.cpumap = (RpcBytes){ (uint32_t) (ret.ret + 7) / 8, mask };
        return proxy_reply_remote_node_get_cpu_map(call, &ret);
}

int proxy_remote_node_get_cpu_map(ProxyCall *call, const RpcRemoteNodeGetCpuMapArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : ask(call, "GetHostInfo", on_cpu_map, args, reterr);
}

/* --- Figures --- */

enum {
        CPU_FIGURES = 4,
        MEMORY_FIGURES = 4,
};

/* Asks for figures of all, or of one of them by its number. */
static int ask_figures(ProxyCall *call, const char *member, const char *option, int number, ProxyAnswered answered,
                       const void *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, member, reterr);
        if (r >= 0)
                r = number == -1 ? sd_bus_message_append(message, "a{sv}", 0) :
                                   sd_bus_message_append(message, "a{sv}", 1, option, "u", (uint32_t) number);
        return r >= 0 ? proxy_call_send(call, message, answered, (void *) args, reterr) : r;
}

/* An a{st} at the message's position: values by the order of names; how many of them there are at its beginning, as what is not there is at the end. */
static int read_figures(sd_bus_message *answer, const char *const *names, size_t n, uint64_t *values) {
        size_t found = 0;
        const char *name;
        uint64_t value;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "{st}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(answer, "{st}", &name, &value)) > 0)
                for (size_t i = 0; i < n; i++)
                        if (strcmp(names[i], name) == 0) {
                                values[i] = value;
                                found = MAX(found, i + 1);
                        }
        return r < 0 ? r : (int) found;
}

static int refuse_count(ProxyCall *call, int wanted, sd_bus_error *reterr) {
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "nparams in %s must be equal to %d",
                               proxy_call_procedure(call)->function, wanted);
}

static int on_cpu_stats(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        static const char *const names[CPU_FIGURES] = { VIR_NODE_CPU_STATS_KERNEL, VIR_NODE_CPU_STATS_USER, VIR_NODE_CPU_STATS_IDLE,
                                             VIR_NODE_CPU_STATS_IOWAIT };
        const RpcRemoteNodeGetCpuStatsArgs *args = userdata;
        uint64_t values[G_N_ELEMENTS(names)] = { 0 };
        RpcNodeGetCpuStats *items;
        int n;

        n = read_figures(answer, names, G_N_ELEMENTS(names), values);
        if (n < 0)
                return n;
        if (args->nparams != n)
                return refuse_count(call, n, reterr);
        items = proxy_call_alloc_array(call, (size_t) n, sizeof(*items));
        for (int i = 0; i < n; i++)
                items[i] = (RpcNodeGetCpuStats){ .field = names[i], .value = values[i] };
        return proxy_reply_remote_node_get_cpu_stats(call, &(RpcRemoteNodeGetCpuStatsRet){
                .params = { (uint32_t) n, items }, .nparams = n });
}

int proxy_remote_node_get_cpu_stats(ProxyCall *call, const RpcRemoteNodeGetCpuStatsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->nparams == 0) /* how many there are; as libvirt, without a look at the number */
                return proxy_reply_remote_node_get_cpu_stats(call, &(RpcRemoteNodeGetCpuStatsRet){ .nparams = CPU_FIGURES });
        return ask_figures(call, "GetHostCPUStats", "cpu", args->cpuNum, on_cpu_stats, args, reterr);
}

static int on_memory_stats(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        static const char *const names[MEMORY_FIGURES] = { "total", "free", "buffers", "cached" }; /* libvirt has the same */
        const RpcRemoteNodeGetMemoryStatsArgs *args = userdata;
        uint64_t values[G_N_ELEMENTS(names)] = { 0 };
        RpcNodeGetMemoryStats *items;
        int n;

        n = read_figures(answer, names, G_N_ELEMENTS(names), values);
        if (n < 0)
                return n;
        if (args->nparams == 0)
                return proxy_reply_remote_node_get_memory_stats(call, &(RpcRemoteNodeGetMemoryStatsRet){ .nparams = n });
        if (args->nparams != n)
                return refuse_count(call, n, reterr);
        items = proxy_call_alloc_array(call, (size_t) n, sizeof(*items));
        for (int i = 0; i < n; i++)
                items[i] = (RpcNodeGetMemoryStats){ .field = names[i], .value = values[i] / KIB };
        return proxy_reply_remote_node_get_memory_stats(call, &(RpcRemoteNodeGetMemoryStatsRet){
                .params = { (uint32_t) n, items }, .nparams = n });
}

int proxy_remote_node_get_memory_stats(ProxyCall *call, const RpcRemoteNodeGetMemoryStatsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : ask_figures(call, "GetHostMemoryStats", "node", args->cellNum, on_memory_stats, args, reterr);
}

/* --- Memory by cells --- */

typedef struct PageCount {
        uint64_t size, free;
} PageCount;

typedef struct Cell {
        uint64_t free;
        GArray *pages; /* of PageCount */
} Cell;

static void cell_done(gpointer data) {
        g_array_unref(((Cell *) data)->pages);
}

static int read_pages(sd_bus_message *answer, Cell *cell) {
        PageCount count;
        uint64_t total;
        int r;

        r = sd_bus_message_enter_container(answer, 'v', "a(ttt)");
        if (r >= 0)
                r = sd_bus_message_enter_container(answer, 'a', "(ttt)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(answer, "(ttt)", &count.size, &total, &count.free)) > 0)
                g_array_append_val(cell->pages, count);
        if (r >= 0)
                r = sd_bus_message_exit_container(answer);
        return r >= 0 ? sd_bus_message_exit_container(answer) : r;
}

static int read_cell_entry(sd_bus_message *answer, Cell *cell) {
        const char *key;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &key);
        if (r < 0)
                return r;
        if (strcmp(key, "pages") == 0)
                return read_pages(answer, cell);
        if (strcmp(key, "free") == 0)
                return sd_bus_message_read(answer, "v", "t", &cell->free);
        return sd_bus_message_skip(answer, "v");
}

static int read_cell(sd_bus_message *answer, Cell *cell) {
        int r;

        r = sd_bus_message_skip(answer, "u");
        if (r >= 0)
                r = sd_bus_message_enter_container(answer, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
                r = read_cell_entry(answer, cell);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                if (r < 0)
                        return r;
        }
        return r >= 0 ? sd_bus_message_exit_container(answer) : r;
}

/* Of Cell, in order. To be freed with g_array_unref(). */
static int read_cells(sd_bus_message *answer, GArray **ret) {
        g_autoptr(GArray) cells = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ TRUE, sizeof(Cell));
        int r;

        g_array_set_clear_func(cells, cell_done);
        r = sd_bus_message_enter_container(answer, 'a', "(ua{sv})");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(answer, 'r', "ua{sv}")) > 0) {
                Cell cell = { .pages = g_array_new(FALSE, FALSE, sizeof(PageCount)) };

                r = read_cell(answer, &cell);
                g_array_append_val(cells, cell);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&cells);
        return 0;
}

/* How many cells from start on, at most count of them. Classic clients count cells from 0 without gaps. */
static int check_cells(const GArray *cells, int64_t start, uint64_t count, sd_bus_error *reterr) {
        if (start < 0 || start >= cells->len)
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, 0, "start cell %lld out of range (0-%u)", (long long) start,
                                       cells->len - 1);
        return (int) MIN(MIN(count, cells->len - (uint64_t) start), CELLS_MAX);
}

static int on_free_memory(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        g_autoptr(GArray) cells = NULL;
        uint64_t sum = 0;
        int r;

        r = read_cells(answer, &cells);
        if (r < 0)
                return r;
        for (guint i = 0; i < cells->len; i++)
                sum += g_array_index(cells, Cell, i).free;
        return proxy_reply_remote_node_get_free_memory(call, &(RpcRemoteNodeGetFreeMemoryRet){ .freeMem = sum });
}

int proxy_remote_node_get_free_memory(ProxyCall *call, sd_bus_error *reterr) {
        return ask(call, "GetHostNodes", on_free_memory, NULL, reterr);
}

static int on_cells_free_memory(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteNodeGetCellsFreeMemoryArgs *args = userdata;
        g_autoptr(GArray) cells = NULL;
        uint64_t *items;
        int n, r;

        r = read_cells(answer, &cells);
        if (r < 0)
                return r;
        n = check_cells(cells, args->startCell, (uint64_t) MAX(args->maxcells, 0), reterr);
        if (n < 0)
                return n;
        items = proxy_call_alloc_array(call, (size_t) n, sizeof(*items));
        for (int i = 0; i < n; i++)
                items[i] = g_array_index(cells, Cell, args->startCell + i).free;
        return proxy_reply_remote_node_get_cells_free_memory(call, &(RpcRemoteNodeGetCellsFreeMemoryRet){
                .cells = { (uint32_t) n, items } });
}

int proxy_remote_node_get_cells_free_memory(ProxyCall *call, const RpcRemoteNodeGetCellsFreeMemoryArgs *args,
                                            sd_bus_error *reterr) {
        return ask(call, "GetHostNodes", on_cells_free_memory, args, reterr);
}

static int find_free_pages(const Cell *cell, unsigned number, uint32_t kibibytes, uint64_t *ret, sd_bus_error *reterr) {
        for (guint i = 0; i < cell->pages->len; i++) {
                const PageCount *count = &g_array_index(cell->pages, PageCount, i);

                if (count->size == (uint64_t) kibibytes * KIB) {
                        *ret = count->free;
                        return 0;
                }
        }
        return proxy_error_set(reterr, VIR_ERR_OPERATION_FAILED, 0, "page size %u is not available on node %u", kibibytes, number);
}

static int on_free_pages(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteNodeGetFreePagesArgs *args = userdata;
        g_autoptr(GArray) cells = NULL;
        uint64_t *items, n;
        int n_cells, r;

        r = read_cells(answer, &cells);
        if (r < 0)
                return r;
        n_cells = check_cells(cells, args->startCell, args->cellCount, reterr);
        if (n_cells < 0)
                return n_cells;
        n = (uint64_t) n_cells * args->pages.n;
        if (n > CELLS_MAX)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "too many pages of too many cells: more than %d", CELLS_MAX);
        items = proxy_call_alloc_array(call, n, sizeof(*items));
        for (uint64_t i = 0; i < n; i++) {
                guint number = (guint) args->startCell + (guint) (i / args->pages.n);

                r = find_free_pages(&g_array_index(cells, Cell, number), number, args->pages.items[i % args->pages.n], &items[i], reterr);
                if (r < 0)
                        return r;
        }
        return proxy_reply_remote_node_get_free_pages(call, &(RpcRemoteNodeGetFreePagesRet){ .counts = { (uint32_t) n, items } });
}

int proxy_remote_node_get_free_pages(ProxyCall *call, const RpcRemoteNodeGetFreePagesArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : ask(call, "GetHostNodes", on_free_pages, args, reterr);
}

/* --- Huge pages: a call for each size, one after the other --- */

typedef struct Allocation {
        const RpcRemoteNodeAllocPagesArgs *args;
        uint32_t done;
} Allocation;

static int allocate_next(ProxyCall *call, Allocation *allocation, sd_bus_error *reterr);

static int on_allocated(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        Allocation *allocation = userdata;

        allocation->done++;
        return allocate_next(call, allocation, reterr);
}

static int append_allocation(sd_bus_message *message, const RpcRemoteNodeAllocPagesArgs *args, uint32_t index) {
        int r;

        r = sd_bus_message_append(message, "tt", (uint64_t) args->pageSizes.items[index] * KIB, args->pageCounts.items[index]);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_true(message, "add", !(args->flags & VIR_NODE_ALLOC_PAGES_SET));
        if (r >= 0 && args->startCell >= 0) {
                r = sd_bus_message_open_container(message, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(message, "s", "nodes");
                if (r >= 0)
                        r = sd_bus_message_open_container(message, 'v', "au");
                if (r >= 0)
                        r = sd_bus_message_open_container(message, 'a', "u");
                for (uint32_t i = 0; r >= 0 && i < args->cellCount; i++)
                        r = sd_bus_message_append(message, "u", (uint32_t) args->startCell + i);
                for (unsigned i = 0; r >= 0 && i < 3; i++)
                        r = sd_bus_message_close_container(message);
        }
        return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int allocate_next(ProxyCall *call, Allocation *allocation, sd_bus_error *reterr) {
        const RpcRemoteNodeAllocPagesArgs *args = allocation->args;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (allocation->done == args->pageSizes.n)
                return proxy_reply_remote_node_alloc_pages(call, &(RpcRemoteNodeAllocPagesRet){
                        .ret = (int32_t) (args->pageSizes.n * (args->startCell < 0 ? 1 : args->cellCount)) });
        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "SetHostPages", reterr);
        if (r >= 0)
                r = append_allocation(message, args, allocation->done);
        return r >= 0 ? proxy_call_send(call, message, on_allocated, allocation, reterr) : r;
}

int proxy_remote_node_alloc_pages(ProxyCall *call, const RpcRemoteNodeAllocPagesArgs *args, sd_bus_error *reterr) {
        Allocation *allocation = proxy_call_alloc(call, sizeof(*allocation));
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_NODE_ALLOC_PAGES_SET, reterr);
        if (r < 0)
                return r;
        if (args->pageSizes.n == 0 || args->pageSizes.n != args->pageCounts.n || args->cellCount == 0 || args->cellCount > CELLS_MAX)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "there must be a count for each page size, and 1 to %d cells", CELLS_MAX);
        allocation->args = args;
        return allocate_next(call, allocation, reterr);
}

/* --- Equal pages --- */

static RpcTypedParam uint_param(const char *name, uint64_t value) {
        return (RpcTypedParam){ name, { .type = VIR_TYPED_PARAM_UINT, .ui = (uint32_t) MIN(value, UINT32_MAX) } };
}

static RpcTypedParam ullong_param(const char *name, uint64_t value) {
        return (RpcTypedParam){ name, { .type = VIR_TYPED_PARAM_ULLONG, .ul = value } };
}

typedef struct Merging {
        uint32_t pages_to_scan;
        int across_nodes;
        uint64_t sleep_usec, shared, sharing, unshared, moving, scans;
} Merging;

static int read_merging(ProxyCall *call, sd_bus_message *answer, Merging *ret) {
        const ProxyDictEntry entries[] = {
                { "pages-to-scan", 'u', &ret->pages_to_scan }, { "sleep-usec", 't', &ret->sleep_usec },
                { "pages-shared", 't', &ret->shared },         { "pages-sharing", 't', &ret->sharing },
                { "pages-unshared", 't', &ret->unshared },     { "pages-volatile", 't', &ret->moving },
                { "full-scans", 't', &ret->scans },            { "merge-across-nodes", 'b', &ret->across_nodes },
        };

        *ret = (Merging){ 0 };
        return proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
}

/* In libvirt's order. */
static int on_memory_parameters(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteNodeGetMemoryParametersArgs *args = userdata;
        RpcTypedParam params[8];
        Merging merging;
        uint32_t n = 0;
        int r;

        r = read_merging(call, answer, &merging);
        if (r < 0)
                return r;
        params[n++] = uint_param(VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN, merging.pages_to_scan);
        params[n++] = uint_param(VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS, merging.sleep_usec / 1000);
        params[n++] = ullong_param(VIR_NODE_MEMORY_SHARED_PAGES_SHARED, merging.shared);
        params[n++] = ullong_param(VIR_NODE_MEMORY_SHARED_PAGES_SHARING, merging.sharing);
        params[n++] = ullong_param(VIR_NODE_MEMORY_SHARED_PAGES_UNSHARED, merging.unshared);
        params[n++] = ullong_param(VIR_NODE_MEMORY_SHARED_PAGES_VOLATILE, merging.moving);
        params[n++] = ullong_param(VIR_NODE_MEMORY_SHARED_FULL_SCANS, merging.scans);
        params[n++] = uint_param(VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES, (uint64_t) merging.across_nodes);
        if (args->nparams == 0)
                return proxy_reply_remote_node_get_memory_parameters(call, &(RpcRemoteNodeGetMemoryParametersRet){ .nparams = (int32_t) n });
        n = MIN(n, (uint32_t) args->nparams);
        return proxy_reply_remote_node_get_memory_parameters(call, &(RpcRemoteNodeGetMemoryParametersRet){
                .params = { n, params }, .nparams = (int32_t) n });
}

int proxy_remote_node_get_memory_parameters(ProxyCall *call, const RpcRemoteNodeGetMemoryParametersArgs *args,
                                            sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        if (args->nparams < 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "nparams must not be negative");
        return ask(call, "GetPageMerging", on_memory_parameters, args, reterr);
}

static int append_setting(sd_bus_message *message, const RpcTypedParam *param, sd_bus_error *reterr) {
        if (param->value.type != VIR_TYPED_PARAM_UINT)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "parameter '%s' must be an unsigned integer", param->field);
        if (strcmp(param->field, VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN) == 0)
                return sd_bus_message_append(message, "{sv}", "pages-to-scan", "u", param->value.ui);
        if (strcmp(param->field, VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS) == 0)
                return sd_bus_message_append(message, "{sv}", "sleep-usec", "t", (uint64_t) param->value.ui * 1000);
        if (strcmp(param->field, VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES) == 0)
                return sd_bus_message_append(message, "{sv}", "merge-across-nodes", "b", param->value.ui != 0);
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "parameter '%s' cannot be set", param->field);
}

int proxy_remote_node_set_memory_parameters(ProxyCall *call, const RpcRemoteNodeSetMemoryParametersArgs *args,
                                            sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "SetPageMerging", reterr);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (uint32_t i = 0; r >= 0 && i < args->params.n; i++)
                r = append_setting(message, &args->params.items[i], reterr);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r >= 0 ? proxy_call_send_plain(call, message, reterr) : r;
}

/* --- What there is not --- */

int proxy_remote_node_get_sev_info(ProxyCall *call, const RpcRemoteNodeGetSevInfoArgs *args, sd_bus_error *reterr) {
        return proxy_error_set(reterr, VIR_ERR_OPERATION_UNSUPPORTED, 0, "QEMU does not support SEV guest");
}
