/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Host facts, from trees of small files like those in /proc and /sys. */

#include <glib.h>
#include <string.h>

#include "model/host.h"
#include "test-util.h"

static void put_cpu(const char *root, unsigned id, unsigned socket, unsigned core, const char *siblings,
                    const char *shared) {
        g_autofree char *cpu = g_strdup_printf("/sys/devices/system/cpu/cpu%u", id);
        const struct {
                const char *name;
                char *text;
        } files[] = {
                { "topology/physical_package_id", g_strdup_printf("%u\n", socket) },
                { "topology/die_id", g_strdup("0\n") },
                { "topology/core_id", g_strdup_printf("%u\n", core) },
                { "topology/thread_siblings_list", g_strdup_printf("%s\n", siblings) },
                { "cache/index0/type", g_strdup("Data\n") },
                { "cache/index0/level", g_strdup("1\n") },
                { "cache/index0/size", g_strdup("32K\n") },
                { "cache/index0/id", g_strdup_printf("%u\n", core) },
                { "cache/index1/type", g_strdup("Unified\n") },
                { "cache/index1/level", g_strdup("3\n") },
                { "cache/index1/size", g_strdup("12288K\n") },
                { "cache/index1/id", g_strdup_printf("%u\n", socket) },
                { "cache/index1/shared_cpu_list", g_strdup_printf("%s\n", shared) },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", cpu, files[i].name);

                test_put(root, path, files[i].text);
                g_free(files[i].text);
        }
}

/* Two sockets, each a node, two cores of two threads each; CPU 7 is offline. */
static void put_large_host(const char *root) {
        static const TestFile files[] = {
                { "/sys/devices/system/cpu/online", "0-6\n" },
                { "/sys/devices/system/node/online", "0-1\n" },
                { "/sys/devices/system/node/node0/cpulist", "0-1,4-5\n" },
                { "/sys/devices/system/node/node1/cpulist", "2-3,6-7\n" },
                { "/sys/devices/system/node/node0/distance", "10 21\n" },
                { "/sys/devices/system/node/node1/distance", "21 10\n" },
                { "/sys/devices/system/node/node0/meminfo",
                  "Node 0 MemTotal:  8388608 kB\nNode 0 MemFree: 17 kB\n" },
                { "/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:  4194304 kB\n" },
                { "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "512\n" },
                { "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "0\n" },
                { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n" },
                { "/sys/kernel/iommu_groups/0/type", "DMA\n" },
                { "/sys/power/state", "freeze mem disk\n" },
                { "/sys/class/dmi/id/product_uuid", "4C4C4544-0044-3010-8056-B4C04F4D3332\n" },
                { "/proc/cpuinfo",
                  "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\nmodel name\t: Xeon: "
                  "the best\n"
                  "stepping\t: 6\nmicrocode\t: 0xd0003a5\nflags\t\t: fpu vme avx512f sse\naddress sizes\t: 46 bits "
                  "physical, 57 bits virtual\n\n"
                  "processor\t: 1\nvendor_id\t: Other\n\n" },
        };

        test_put_files(root, files, G_N_ELEMENTS(files));
        for (unsigned id = 0; id < 8; id++) {
                unsigned socket = id / 2 % 2;
                g_autofree char *siblings = g_strdup_printf("%u,%u", id % 4, id % 4 + 4);

                put_cpu(root, id, socket, id % 2, siblings, socket == 0 ? "0-1,4-5" : "2-3,6");
        }
}

static void test_large(void) {
        char *root = test_folder_new();
        g_autoptr(VbHost) host = NULL;
        const VbHostCell *cell;
        const VbHostCpu *cpu;
        const VbHostCache *cache;

        put_large_host(root);
        host = vb_host_load(root);

        g_assert_cmpstr(host->uuid, ==, "4c4c4544-0044-3010-8056-b4c04f4d3332");
        g_assert_cmpstr(host->cpu_vendor, ==, "GenuineIntel");
        g_assert_cmpuint(host->cpu_family, ==, 6);
        g_assert_cmpuint(host->cpu_model, ==, 106);
        g_assert_cmpuint(host->cpu_stepping, ==, 6);
        g_assert_cmpuint(host->cpu_microcode, ==, 0xd0003a5);
        g_assert_cmpuint(host->cpu_physical_bits, ==, 46);
        g_assert_true(vb_host_has_flag(host, "avx512f"));
        g_assert_true(vb_host_has_flag(host, "vme"));
        g_assert_false(vb_host_has_flag(host, "avx"));

        g_assert_cmpuint(host->sockets, ==, 1); /* of each cell */
        g_assert_cmpuint(host->dies, ==, 1);
        g_assert_cmpuint(host->cores, ==, 2);
        g_assert_cmpuint(host->threads, ==, 2);
        g_assert_true(host->suspend_mem && host->suspend_disk && host->suspend_hybrid);
        g_assert_true(host->iommu);

        g_assert_cmpuint(host->cells->len, ==, 2);
        cell = host->cells->pdata[0];
        g_assert_cmpuint(cell->memory, ==, 8388608);
        g_assert_cmpuint(cell->cpus->len, ==, 4);
        g_assert_cmpuint(g_array_index(cell->pages, VbHostPages, 1).size, ==, 2048);
        g_assert_cmpuint(g_array_index(cell->pages, VbHostPages, 1).count, ==, 512);
        g_assert_cmpuint(g_array_index(cell->pages, VbHostPages, 0).count *
                                 g_array_index(cell->pages, VbHostPages, 0).size,
                         ==, 8388608 - 512 * 2048);
        cell = host->cells->pdata[1];
        g_assert_cmpuint(cell->cpus->len, ==, 3); /* without the one that is offline */
        g_assert_cmpuint(cell->distances->len, ==, 2);
        g_assert_cmpuint(g_array_index(cell->distances, unsigned, 0), ==, 21);
        cpu = &g_array_index(cell->cpus, VbHostCpu, 2);
        g_assert_cmpuint(cpu->id, ==, 6);
        g_assert_cmpuint(cpu->socket, ==, 1);
        g_assert_cmpstr(cpu->siblings, ==, "2,6");

        g_assert_cmpuint(host->caches->len, ==, 2);
        cache = &g_array_index(host->caches, VbHostCache, 1);
        g_assert_cmpuint(cache->id, ==, 1);
        g_assert_cmpuint(cache->level, ==, 3);
        g_assert_cmpuint(cache->size, ==, 12288);
        g_assert_cmpstr(cache->type, ==, "both");
        g_assert_cmpstr(cache->cpus, ==, "2-3,6");
        test_folder_free(root);
}

/* A container without most of it: nothing is made up, but there is one cell. */
static void test_bare(void) {
        char *root = test_folder_new();
        g_autoptr(VbHost) host = NULL, again = NULL;
        const VbHostCell *cell;

        test_put(root, "/proc/meminfo", "MemTotal:       24684092 kB\nMemFree:  1 kB\n");
        test_put(root, "/etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
        test_put(root, "/sys/power/state", "\n");
        host = vb_host_load(root);
        again = vb_host_load(root);

        g_assert_cmpuint(strlen(host->uuid), ==, 36);
        g_assert_cmpuint(host->uuid[14], ==, '4');
        g_assert_cmpstr(host->uuid, ==, again->uuid);
        g_assert_null(strstr(host->uuid, "3d1219c7")); /* the id itself is nobody's business */
        g_assert_cmpstr(host->cpu_vendor, ==, "");
        g_assert_false(vb_host_has_flag(host, "fpu"));
        g_assert_false(host->suspend_mem || host->suspend_disk || host->suspend_hybrid || host->iommu);
        g_assert_cmpuint(host->caches->len, ==, 0);
        g_assert_cmpuint(host->cells->len, ==, 1);
        cell = host->cells->pdata[0];
        g_assert_cmpuint(cell->memory, ==, 24684092);
        g_assert_cmpuint(cell->cpus->len, ==, 1);
        g_assert_cmpuint(host->sockets * host->dies * host->cores * host->threads, ==, 1);
        test_folder_free(root);
}

/* Files with anything in them: numbers out of range, endless lists, no newline. */
static void test_odd(void) {
        static const char *const odd[] = {
                "", "-", "0-", "-3", "3-1", "0-99999999999", "999999999999999999999", "x,y,,1", "1,1-2,\n"
        };

        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
                char *root = test_folder_new();
                g_autoptr(VbHost) host = NULL;

                test_put(root, "/sys/devices/system/cpu/online", odd[i]);
                test_put(root, "/sys/devices/system/node/online", odd[i]);
                test_put(root, "/sys/devices/system/node/node1/cpulist", odd[i]);
                test_put(root, "/sys/devices/system/node/node1/distance", odd[i]);
                test_put(root, "/sys/devices/system/node/node1/meminfo", odd[i]);
                test_put(root, "/sys/devices/system/cpu/cpu1/topology/core_id", odd[i]);
                test_put(root, "/sys/devices/system/cpu/cpu1/cache/index0/type", odd[i]);
                test_put(root, "/sys/devices/system/cpu/cpu1/cache/index0/level", "3");
                test_put(root, "/sys/kernel/mm/hugepages/hugepages-0kB/nr_hugepages", "1");
                test_put(root, "/sys/class/dmi/id/product_uuid", odd[i]);
                test_put(root, "/proc/cpuinfo", odd[i]);
                host = vb_host_load(root);
                g_assert_cmpuint(host->cells->len, >=, 1);
                g_assert_cmpuint(host->threads, >=, 1);
                g_assert_cmpstr(host->uuid, ==, "");
                test_folder_free(root);
        }
}

/* This host, whatever it is. */
static void test_this(void) {
        g_autoptr(VbHost) host = vb_host_load("");
        const VbHostCell *cell = host->cells->pdata[0];

        g_assert_cmpuint(cell->memory, >, 0);
        g_assert_cmpuint(cell->cpus->len, >, 0);
        g_assert_cmpuint(host->page_sizes->len, >, 0);
        g_assert_cmpuint(strlen(host->arch), >, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/model/host/large", test_large);
        g_test_add_func("/model/host/bare", test_bare);
        g_test_add_func("/model/host/odd", test_odd);
        g_test_add_func("/model/host/this", test_this);
        return g_test_run();
}
