/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/host-stats.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/host-private.h"

#define KIB UINT64_C(1024)
#define NODE_FOLDER "/sys/devices/system/node/node%u"
#define HUGEPAGES_FOLDER "hugepages/hugepages-%" G_GUINT64_FORMAT "kB"

static char *read_text(const char *root, const char *path) {
        g_autofree char *full = g_strconcat(root, path, NULL);
        char *text = NULL;

        return g_file_get_contents(full, &text, NULL, NULL) ? text : NULL;
}

/* --- CPUs --- */

static uint64_t ticks_to_nsec(uint64_t ticks) {
        long per_second = sysconf(_SC_CLK_TCK);

        return ticks * (UINT64_C(1000000000) / (per_second > 0 ? (uint64_t) per_second : 100));
}

/* "cpu0 524191 32439 177451 579918 6008 0 494 …": user, nice, system, idle, iowait, irq, softirq; guests count as user. */
static bool parse_times(const char *numbers, VbHostCpuTimes *ret) {
        unsigned long long user, nice, system, idle, iowait, irq, softirq;

        if (sscanf(numbers, "%llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
                   &softirq) != 7)
                return false;
        *ret = (VbHostCpuTimes){
                .kernel = ticks_to_nsec(system + irq + softirq),
                .user = ticks_to_nsec(user + nice),
                .idle = ticks_to_nsec(idle),
                .iowait = ticks_to_nsec(iowait),
        };
        return true;
}

int vb_host_cpu_times(const char *root, int cpu, VbHostCpuTimes *ret) {
        g_autofree char *text = read_text(root, "/proc/stat");
        g_autofree char *key = cpu < 0 ? g_strdup("cpu ") : g_strdup_printf("cpu%d ", cpu);

        if (!text)
                return -ENODATA;
        for (const char *line = text; line; line = strchr(line, '\n')) {
                if (*line == '\n')
                        line++;
                if (!g_str_has_prefix(line, "cpu")) /* they come first */
                        break;
                if (g_str_has_prefix(line, key))
                        return parse_times(line + strlen(key), ret) ? 0 : -ENODATA;
        }
        return cpu < 0 ? -ENODATA : -ENXIO;
}

/* --- Memory --- */

/* The number behind a word of meminfo: "MemFree:  17 kB", or for a node "Node 0 MemFree: 17 kB". "Cached:" is not
 * "SwapCached:". */
static uint64_t find_bytes(const char *text, const char *key) {
        for (const char *found = text; (found = strstr(found, key)); found++)
                if (found == text || found[-1] == '\n' || found[-1] == ' ') {
                        uint64_t kibibytes = g_ascii_strtoull(found + strlen(key), NULL, 10);

                        return kibibytes <= UINT64_MAX / KIB ? kibibytes * KIB : 0;
                }
        return 0;
}

static int load_memory(const char *root, const char *path, VbHostMemory *ret) {
        g_autofree char *text = read_text(root, path);

        if (!text)
                return -ENODATA;
        *ret = (VbHostMemory){
                .total = find_bytes(text, "MemTotal:"),
                .free = find_bytes(text, "MemFree:"),
                .buffers = find_bytes(text, "Buffers:"),
                .cached = find_bytes(text, "Cached:"),
        };
        return ret->total > 0 ? 0 : -ENODATA;
}

int vb_host_memory(const char *root, VbHostMemory *ret) {
        return load_memory(root, "/proc/meminfo", ret);
}

static bool has_nodes(const char *root) {
        g_autofree char *line = host_read_line(root, "/sys/devices/system/node/online");

        return line != NULL;
}

int vb_host_node_memory(const char *root, unsigned node, VbHostMemory *ret) {
        g_autofree char *path = g_strdup_printf(NODE_FOLDER "/meminfo", node);
        int r;

        if (!has_nodes(root))
                return node == 0 ? vb_host_memory(root, ret) : -ENXIO;
        r = load_memory(root, path, ret);
        return r == -ENODATA ? -ENXIO : r;
}

/* --- Nodes --- */

/* Of the base size there is what huge pages leave. */
static void load_pages(VbHostNode *node, const GArray *sizes, const char *root, const char *folder) {
        uint64_t left = node->memory.total;

        for (guint i = 0; i < sizes->len; i++) {
                uint64_t kibibytes = g_array_index(sizes, uint64_t, i), taken;
                VbHostPageCount pages = { .size = kibibytes * KIB };

                if (i > 0) {
                        pages.total =
                                host_read_number(0, root, "%s/" HUGEPAGES_FOLDER "/nr_hugepages", folder, kibibytes);
                        pages.free =
                                host_read_number(0, root, "%s/" HUGEPAGES_FOLDER "/free_hugepages", folder, kibibytes);
                        if (__builtin_mul_overflow(pages.total, pages.size, &taken) || taken > left)
                                taken = left;
                        left -= taken;
                }
                g_array_append_val(node->pages, pages);
        }
        if (node->pages->len > 0) {
                VbHostPageCount *base = &g_array_index(node->pages, VbHostPageCount, 0);

                base->total = left / base->size;
                base->free = node->memory.free / base->size;
        }
}

static void node_free(gpointer data) {
        VbHostNode *node = data;

        g_free(node->cpus);
        g_array_unref(node->pages);
        g_free(node);
}

/* Takes the list of CPUs. */
static VbHostNode *node_new(unsigned id, char *cpus) {
        VbHostNode *node = g_new0(VbHostNode, 1);

        node->id = id;
        node->cpus = cpus ?: g_strdup("");
        node->pages = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(VbHostPageCount));
        return node;
}

GPtrArray *vb_host_nodes(const char *root) {
        g_autofree char *online = host_read_line(root, "/sys/devices/system/node/online");
        g_autoptr(GArray) ids = host_parse_list(online);
        g_autoptr(GArray) sizes = host_page_sizes(root);
        GPtrArray *nodes = g_ptr_array_new_with_free_func(node_free);

        for (guint i = 0; i < ids->len && i < HOST_CELLS_MAX; i++) {
                unsigned id = g_array_index(ids, unsigned, i);
                g_autofree char *folder = g_strdup_printf(NODE_FOLDER, id);
                VbHostNode *node = node_new(id, host_read_line(root, "%s/cpulist", folder));

                if (vb_host_node_memory(root, id, &node->memory) < 0)
                        node->memory = (VbHostMemory){ 0 }; /* it has just gone */
                load_pages(node, sizes, root, folder);
                g_ptr_array_add(nodes, node);
        }
        if (nodes->len == 0) {
                VbHostNode *node = node_new(0, host_read_line(root, "/sys/devices/system/cpu/online"));

                if (vb_host_memory(root, &node->memory) < 0)
                        node->memory = (VbHostMemory){ 0 };
                load_pages(node, sizes, root, "/sys/kernel/mm");
                g_ptr_array_add(nodes, node);
        }
        return nodes;
}

/* --- Size and shape --- */

static void take_shape(VbHostInfo *info, const VbHost *host, unsigned present) {
        uint64_t product = (uint64_t) host->cells->len * host->sockets * host->dies;

        if (__builtin_mul_overflow(product, (uint64_t) host->cores * host->threads, &product) || product != present) {
                info->nodes = info->sockets = info->threads = 1;
                info->cores = present;
                return;
        }
        info->nodes = host->cells->len;
        info->sockets = host->sockets;
        info->cores = host->dies * host->cores;
        info->threads = host->threads;
}

char *vb_host_online_cpus(const char *root) {
        return host_read_line(root, "/sys/devices/system/cpu/online") ?: g_strdup("0");
}

VbHostInfo *vb_host_info_load(const char *root) {
        g_autoptr(VbHost) host = vb_host_load(root);
        VbHostInfo *info = g_new0(VbHostInfo, 1);
        g_autoptr(GArray) online = NULL, present = NULL;

        info->arch = g_strdup(host->arch);
        info->frequency = host->cpu_frequency;
        info->online_cpus = vb_host_online_cpus(root);
        info->present_cpus = host_read_line(root, "/sys/devices/system/cpu/present") ?: g_strdup(info->online_cpus);
        online = host_parse_list(info->online_cpus);
        present = host_parse_list(info->present_cpus);
        info->cpus = online->len;
        for (guint i = 0; i < host->cells->len; i++)
                info->memory += ((const VbHostCell *) host->cells->pdata[i])->memory * KIB;
        take_shape(info, host, present->len);
        return info;
}

VbHostInfo *vb_host_info_free(VbHostInfo *info) {
        if (!info)
                return NULL;
        g_free(info->arch);
        g_free(info->online_cpus);
        g_free(info->present_cpus);
        g_free(info);
        return NULL;
}
