/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CPUs, NUMA nodes, pages and caches, from sysfs. A kernel without NUMA has one node, made up here, with all
 * CPUs and all memory. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/host-private.h"

#define CPU_FOLDER "/sys/devices/system/cpu/cpu%u"
#define NODE_FOLDER "/sys/devices/system/node/node%u"

/* The caches of one CPU that are worth telling: what several cores share. */
#define CACHE_LEVEL_MIN 3
#define CACHES_MAX 16

static uint64_t kibibytes(const char *text) {
        return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* --- Pages --- */

static int compare_sizes(gconstpointer a, gconstpointer b) {
        uint64_t left = *(const uint64_t *) a, right = *(const uint64_t *) b;

        return left < right ? -1 : left > right;
}

GArray *host_page_sizes(const char *root) {
        GArray *sizes = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(uint64_t));
        g_autofree char *path = g_strconcat(root, "/sys/kernel/mm/hugepages", NULL);
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        uint64_t size = (uint64_t) sysconf(_SC_PAGESIZE) / 1024;
        const char *name;

        g_array_append_val(sizes, size);
        while (folder && (name = g_dir_read_name(folder))) {
                if (!g_str_has_prefix(name, "hugepages-"))
                        continue;
                size = kibibytes(name + strlen("hugepages-"));
                if (size > 0)
                        g_array_append_val(sizes, size);
        }
        g_array_sort(sizes, compare_sizes);
        return sizes;
}

/* Of the base size there is what huge pages leave. */
static void load_pages(const VbHost *host, VbHostCell *cell, const char *root, const char *folder) {
        uint64_t left = cell->memory;

        for (guint i = 0; i < host->page_sizes->len; i++) {
                VbHostPages pages = { .size = g_array_index(host->page_sizes, uint64_t, i) };
                uint64_t taken;

                if (i > 0) {
                        pages.count = host_read_number(
                                0, root, "%s/hugepages/hugepages-%" G_GUINT64_FORMAT "kB/nr_hugepages",
                                folder, pages.size);
                        if (__builtin_mul_overflow(pages.count, pages.size, &taken) || taken > left)
                                taken = left;
                        left -= taken;
                }
                g_array_append_val(cell->pages, pages);
        }
        g_array_index(cell->pages, VbHostPages, 0).count =
                left / g_array_index(cell->pages, VbHostPages, 0).size;
}

/* --- Cells --- */

static void load_cpu(VbHostCell *cell, const char *root, unsigned id) {
        VbHostCpu cpu = {
                .id = id,
                .socket =
                        (unsigned) host_read_number(0, root, CPU_FOLDER "/topology/physical_package_id", id),
                .die = (unsigned) host_read_number(0, root, CPU_FOLDER "/topology/die_id", id),
                .core = (unsigned) host_read_number(0, root, CPU_FOLDER "/topology/core_id", id),
                .siblings = host_read_line(root, CPU_FOLDER "/topology/thread_siblings_list", id),
        };

        if (!cpu.siblings)
                cpu.siblings = g_strdup_printf("%u", id);
        g_array_append_val(cell->cpus, cpu);
}

static void load_cpus(VbHostCell *cell, const char *root, const char *list, const GArray *online) {
        g_autoptr(GArray) cpus = host_parse_list(list);

        for (guint i = 0; i < cpus->len; i++) {
                unsigned id = g_array_index(cpus, unsigned, i);
                bool is_online = online->len == 0;

                for (guint j = 0; j < online->len && !is_online; j++)
                        is_online = g_array_index(online, unsigned, j) == id;
                if (is_online)
                        load_cpu(cell, root, id);
        }
}

/* "Node 0 MemTotal:  5859540 kB" or "MemTotal:  24684092 kB" */
static uint64_t load_memory(const char *root, const char *file) {
        g_autofree char *path = g_strconcat(root, file, NULL), *text = NULL;
        const char *found;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return 0;
        found = strstr(text, "MemTotal:");
        return found ? kibibytes(found + strlen("MemTotal:")) : 0;
}

static void load_distances(VbHostCell *cell, const char *root) {
        g_autofree char *line = host_read_line(root, NODE_FOLDER "/distance", cell->id);
        g_auto(GStrv) words = g_strsplit(line ?: "", " ", HOST_CELLS_MAX);

        for (char **word = words; *word; word++) {
                unsigned distance = (unsigned) kibibytes(*word);

                if (**word)
                        g_array_append_val(cell->distances, distance);
        }
}

static void load_cells(VbHost *host, const char *root) {
        g_autofree char *online_text = host_read_line(root, "/sys/devices/system/cpu/online");
        g_autofree char *nodes_text = host_read_line(root, "/sys/devices/system/node/online");
        g_autoptr(GArray) online = host_parse_list(online_text);
        g_autoptr(GArray) nodes = host_parse_list(nodes_text);

        for (guint i = 0; i < nodes->len && i < HOST_CELLS_MAX; i++) {
                unsigned id = g_array_index(nodes, unsigned, i);
                g_autofree char *folder = g_strdup_printf(NODE_FOLDER, id);
                g_autofree char *meminfo = g_strconcat(folder, "/meminfo", NULL);
                g_autofree char *cpus = host_read_line(root, "%s/cpulist", folder);
                VbHostCell *cell = host_cell_new(id);

                cell->memory = load_memory(root, meminfo);
                load_cpus(cell, root, cpus, online);
                load_distances(cell, root);
                load_pages(host, cell, root, folder);
                g_ptr_array_add(host->cells, cell);
        }
        if (host->cells->len == 0) {
                VbHostCell *cell = host_cell_new(0);

                cell->memory = load_memory(root, "/proc/meminfo");
                load_cpus(cell, root, online_text ?: "0", online);
                load_pages(host, cell, root, "/sys/kernel/mm");
                g_ptr_array_add(host->cells, cell);
        }
}

/* --- Counting --- */

/* How many different values of these CPUs there are, among those that agree with like in the first n of
 * socket, die and core. */
static unsigned count_within(const VbHostCell *cell, const VbHostCpu *like, unsigned n) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        for (guint i = 0; i < cell->cpus->len; i++) {
                const VbHostCpu *cpu = &g_array_index(cell->cpus, VbHostCpu, i);
                const unsigned values[] = { cpu->socket, cpu->die, cpu->core, cpu->id };

                if ((n > 0 && cpu->socket != like->socket) || (n > 1 && cpu->die != like->die) ||
                    (n > 2 && cpu->core != like->core))
                        continue;
                (void) g_hash_table_add(seen, GUINT_TO_POINTER(values[n]));
        }
        return g_hash_table_size(seen);
}

/* As libvirt counts: sockets within a cell, dies within a socket, and so on. The first CPU of the first cell
 * that has any stands for all. */
static void count_topology(VbHost *host) {
        host->sockets = host->dies = host->cores = host->threads = 1;
        for (guint i = 0; i < host->cells->len; i++) {
                const VbHostCell *cell = host->cells->pdata[i];

                if (cell->cpus->len == 0)
                        continue;
                host->sockets = count_within(cell, &g_array_index(cell->cpus, VbHostCpu, 0), 0);
                host->dies = count_within(cell, &g_array_index(cell->cpus, VbHostCpu, 0), 1);
                host->cores = count_within(cell, &g_array_index(cell->cpus, VbHostCpu, 0), 2);
                host->threads = count_within(cell, &g_array_index(cell->cpus, VbHostCpu, 0), 3);
                return;
        }
}

/* --- Caches --- */

static const char *cache_type(const char *word) {
        if (g_strcmp0(word, "Data") == 0)
                return "data";
        return g_strcmp0(word, "Instruction") == 0 ? "code" : "both";
}

static bool has_cache(const VbHost *host, const VbHostCache *cache) {
        for (guint i = 0; i < host->caches->len; i++) {
                const VbHostCache *other = &g_array_index(host->caches, VbHostCache, i);

                if (other->level == cache->level && other->id == cache->id &&
                    g_str_equal(other->type, cache->type))
                        return true;
        }
        return false;
}

static void load_caches_of(VbHost *host, const char *root, unsigned cpu) {
        for (unsigned i = 0; i < CACHES_MAX; i++) {
                g_autofree char *folder = g_strdup_printf(CPU_FOLDER "/cache/index%u", cpu, i);
                g_autofree char *type = host_read_line(root, "%s/type", folder);
                g_autofree char *size = host_read_line(root, "%s/size", folder);
                VbHostCache cache = {
                        .id = (unsigned) host_read_number(0, root, "%s/id", folder),
                        .level = (unsigned) host_read_number(0, root, "%s/level", folder),
                        .size = kibibytes(size), /* "49152K" */
                        .type = cache_type(type),
                };

                if (!type)
                        return;
                if (cache.level < CACHE_LEVEL_MIN || has_cache(host, &cache))
                        continue;
                cache.cpus = host_read_line(root, "%s/shared_cpu_list", folder) ?: g_strdup_printf("%u", cpu);
                g_array_append_val(host->caches, cache);
        }
}

static void load_caches(VbHost *host, const char *root) {
        for (guint i = 0; i < host->cells->len; i++) {
                const VbHostCell *cell = host->cells->pdata[i];

                for (guint j = 0; j < cell->cpus->len; j++)
                        load_caches_of(host, root, g_array_index(cell->cpus, VbHostCpu, j).id);
        }
}

void host_load_topology(VbHost *host, const char *root) {
        host->page_sizes = host_page_sizes(root);
        load_cells(host, root);
        count_topology(host);
        load_caches(host, root);
}
