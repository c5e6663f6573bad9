/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hypervisor1: what the host is, and how it does. All of it is the kernel's to tell; few small files are read in the loop, many in a
 * thread. */

#include <sys/utsname.h>

#include "base/error.h"
#include "hypervisor/call-work.h"
#include "hypervisor/handlers.h"
#include "model/host-stats.h"
#include "model/host-tune.h"
#include "model/sysinfo.h"

const char *vb_hypervisor_get_host_name(VbObject *root) {
        static struct utsname name;

        return uname(&name) == 0 ? name.nodename : NULL;
}

/* --- Size and shape --- */

typedef struct InfoWork {
        const char *root;
        VbHostInfo *info;
} InfoWork;

static void info_work_free(gpointer data) {
        InfoWork *work = data;

        (void) vb_host_info_free(work->info);
        g_free(work);
}

static int load_info(void *data, sd_bus_error *reterr) {
        InfoWork *work = data;

        work->info = vb_host_info_load(work->root);
        return 0;
}

static int append_info(sd_bus_message *m, const VbHostInfo *info) {
        return sd_bus_message_append(m, "a{sv}", 12,                          /* */
                                     "arch", "s", info->arch,                 /* */
                                     "memory", "t", info->memory,             /* */
                                     "cpu-frequency", "t", info->frequency,   /* */
                                     "cpus", "u", info->cpus,                 /* */
                                     "nodes", "u", info->nodes,               /* */
                                     "sockets", "u", info->sockets,           /* */
                                     "cores", "u", info->cores,               /* */
                                     "threads", "u", info->threads,           /* */
                                     "online-cpus", "s", info->online_cpus,   /* */
                                     "present-cpus", "s", info->present_cpus, /* */
                                     "security-model", "s", "none",           /* */
                                     "security-doi", "s", "0");
}

static int reply_info(VbCall *call, void *data, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        const InfoWork *work = data;
        int r;

        if (work->info->memory == 0)
                return sd_bus_error_set(reterr, VB_ERROR_OPERATION_FAILED, "the kernel does not tell what this host is");
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = append_info(reply, work->info);
        return r >= 0 ? vb_call_send_reply(call, reply) : r;
}

int vb_hypervisor_on_get_host_info(VbCall *call, VbObject *root, const VbHypervisor1GetHostInfoArgs *args,
                                   sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        InfoWork *work = g_new(InfoWork, 1);

        *work = (InfoWork){ .root = hypervisor->host_root };
        return vb_call_work_start(call, hypervisor, load_info, work, info_work_free, reply_info, reterr);
}

/* --- NUMA nodes --- */

static int append_pages(sd_bus_message *m, const GArray *pages) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "pages");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ttt)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ttt)");
        for (guint i = 0; r >= 0 && i < pages->len; i++) {
                const VbHostPageCount *count = &g_array_index(pages, VbHostPageCount, i);

                r = sd_bus_message_append(m, "(ttt)", count->size, count->total, count->free);
        }
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_node(sd_bus_message *m, const VbHostNode *node) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "ua{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "u", node->id);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}", "memory", "t", node->memory.total, "free", "t", node->memory.free, "cpus",
                                          "s", node->cpus);
        if (r >= 0)
                r = append_pages(m, node->pages);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

int vb_hypervisor_on_get_host_nodes(VbCall *call, VbObject *root, const VbHypervisor1GetHostNodesArgs *args,
                                    sd_bus_error *reterr) {
        g_autoptr(GPtrArray) nodes = vb_host_nodes(vb_hypervisor_of(root)->host_root);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ua{sv})");
        for (guint i = 0; r >= 0 && i < nodes->len; i++)
                r = append_node(reply, nodes->pdata[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r >= 0 ? vb_call_send_reply(call, reply) : r;
}

/* --- Figures --- */

typedef struct Figure {
        const char *name;
        uint64_t value;
} Figure;

static int reply_figures(VbCall *call, const Figure *figures, size_t n) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{st}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "{st}", figures[i].name, figures[i].value);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r >= 0 ? vb_call_send_reply(call, reply) : r;
}

int vb_hypervisor_on_get_host_cpu_stats(VbCall *call, VbObject *root, const VbHypervisor1GetHostCpuStatsArgs *args,
                                        sd_bus_error *reterr) {
        int cpu = args->options.has_cpu ? (int) args->options.cpu : VB_HOST_ALL_CPUS;
        VbHostCpuTimes times;
        int r;

        r = vb_host_cpu_times(vb_hypervisor_of(root)->host_root, cpu, &times);
        if (r == -ENXIO)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "CPU %d: the host has none of this number online",
                                         cpu);
        if (r < 0)
                return sd_bus_error_set(reterr, VB_ERROR_OPERATION_FAILED, "the kernel does not tell its CPUs' time");
        return reply_figures(call,
                             (const Figure[]){
                                     { "kernel", times.kernel },
                                     { "user", times.user },
                                     { "idle", times.idle },
                                     { "iowait", times.iowait },
                             },
                             4);
}

int vb_hypervisor_on_get_host_memory_stats(VbCall *call, VbObject *root,
                                           const VbHypervisor1GetHostMemoryStatsArgs *args, sd_bus_error *reterr) {
        const char *host = vb_hypervisor_of(root)->host_root;
        VbHostMemory memory;
        int r;

        r = args->options.has_node ? vb_host_node_memory(host, args->options.node, &memory) :
                                     vb_host_memory(host, &memory);
        if (r == -ENXIO)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "NUMA node %u: the host has none of this number", args->options.node);
        if (r < 0)
                return sd_bus_error_set(reterr, VB_ERROR_OPERATION_FAILED, "the kernel does not tell its memory");
        return reply_figures(call,
                             (const Figure[]){
                                     { "total", memory.total },
                                     { "free", memory.free },
                                     { "buffers", memory.buffers },
                                     { "cached", memory.cached },
                             },
                             args->options.has_node ? 2 : 4);
}

int vb_hypervisor_on_get_page_merging(VbCall *call, VbObject *root, const VbHypervisor1GetPageMergingArgs *args,
                                      sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        VbPageMerging merging;
        int r;

        r = vb_page_merging_load(vb_hypervisor_of(root)->host_root, &merging);
        if (r < 0)
                return sd_bus_error_set(reterr, VB_ERROR_NOT_SUPPORTED, "this kernel does not merge equal pages");
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}", 9,                                     /* */
                                          "run", "b", merging.run,                               /* */
                                          "pages-to-scan", "u", merging.pages_to_scan,           /* */
                                          "sleep-usec", "t", merging.sleep_usec,                 /* */
                                          "merge-across-nodes", "b", merging.merge_across_nodes, /* */
                                          "pages-shared", "t", merging.pages_shared,             /* */
                                          "pages-sharing", "t", merging.pages_sharing,           /* */
                                          "pages-unshared", "t", merging.pages_unshared,         /* */
                                          "pages-volatile", "t", merging.pages_volatile,         /* */
                                          "full-scans", "t", merging.full_scans);
        return r >= 0 ? vb_call_send_reply(call, reply) : r;
}

/* --- The firmware --- */

typedef struct SysinfoWork {
        const char *root;
        bool serials;
        char *xml;
} SysinfoWork;

static void sysinfo_work_free(gpointer data) {
        SysinfoWork *work = data;

        g_free(work->xml);
        g_free(work);
}

static int load_sysinfo(void *data, sd_bus_error *reterr) {
        SysinfoWork *work = data;

        work->xml = vb_sysinfo_format(work->root, work->serials);
        if (!work->xml)
                return sd_bus_error_set(reterr, VB_ERROR_NOT_SUPPORTED,
                                        "this host's firmware does not tell about the hardware (no SMBIOS)");
        return 0;
}

static int reply_sysinfo(VbCall *call, void *data, sd_bus_error *reterr) {
        return vb_hypervisor1_reply_get_sysinfo(call, ((SysinfoWork *) data)->xml);
}

int vb_hypervisor_on_get_sysinfo(VbCall *call, VbObject *root, const VbHypervisor1GetSysinfoArgs *args,
                                 sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        SysinfoWork *work = g_new(SysinfoWork, 1);

        *work = (SysinfoWork){ .root = hypervisor->host_root, .serials = args->options.serials };
        return vb_call_work_start(call, hypervisor, load_sysinfo, work, sysinfo_work_free, reply_sysinfo, reterr);
}
