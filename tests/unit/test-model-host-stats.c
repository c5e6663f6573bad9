/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The host's figures and what can be set of it, from trees of small files like those in /proc and /sys. */

#include "model/host-stats.h"

#include <glib.h>
#include <string.h>

#include "model/host-tune.h"
#include "model/sysinfo.h"
#include "test-util.h"

#define MIB (UINT64_C(1024) * 1024)

static void assert_text(const char *root, const char *path, const char *expected) {
        g_autofree char *full = g_strconcat(root, path, NULL), *text = NULL;

        g_assert_true(g_file_get_contents(full, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, expected);
}

static void test_cpu_times(void) {
        char *root = test_folder_new();
        VbHostCpuTimes times;

        test_put(root, "/proc/stat",
            "cpu  1049817 63412 361781 1132000 20478 5 9722 105325 7 0\n"
            "cpu0 1 2 3 4 5 6 7 8 9 10\n"
            "cpu10 100 0 0 0 0 0 0 0 0 0\n"
            "cpu11 broken\n"
            "intr 17 0\nctxt 4\n");
        g_assert_cmpint(vb_host_cpu_times(root, VB_HOST_ALL_CPUS, &times), ==, 0);
        g_assert_cmpuint(times.user, ==, UINT64_C(11132290000000));
        g_assert_cmpuint(times.kernel, ==, (UINT64_C(361781) + 5 + 9722) * 10000000);
        g_assert_cmpuint(times.idle, ==, UINT64_C(11320000000000));
        g_assert_cmpuint(times.iowait, ==, UINT64_C(204780000000));

        g_assert_cmpint(vb_host_cpu_times(root, 0, &times), ==, 0);
        g_assert_cmpuint(times.kernel, ==, 160000000);
        g_assert_cmpint(vb_host_cpu_times(root, 10, &times), ==, 0);
        g_assert_cmpuint(times.user, ==, 1000000000);
        g_assert_cmpint(vb_host_cpu_times(root, 1, &times), ==, -ENXIO); /* not cpu10, nor cpu11 */
        g_assert_cmpint(vb_host_cpu_times(root, 11, &times), ==, -ENODATA);
        test_folder_free(root);
}

static void put_nodes(const char *root) {
        static const TestFile files[] = {
                { "/proc/meminfo",
                  "MemTotal:       3072 kB\nMemFree:         1024 kB\nBuffers:          12 kB\nSwapCached:        99 kB\n"
                  "Cached:           34 kB\n" },
                { "/sys/devices/system/node/online", "0,2\n" },
                { "/sys/devices/system/node/node0/meminfo",
                  "Node 0 MemTotal: 8388608 kB\nNode 0 MemFree: 4096 kB\n" },
                { "/sys/devices/system/node/node2/meminfo", "Node 2 MemTotal: 1048576 kB\nNode 2 MemFree: 8 kB\n" },
                { "/sys/devices/system/node/node0/cpulist", "0-1,4\n" },
                { "/sys/devices/system/node/node2/cpulist", "\n" },
                { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n" },
                { "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n" },
                { "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "512\n" },
                { "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "500\n" },
                { "/sys/devices/system/node/node2/hugepages/hugepages-2048kB/nr_hugepages", "0\n" },
        };

        test_put_files(root, files, G_N_ELEMENTS(files));
}

static void test_memory(void) {
        char *root = test_folder_new();
        VbHostMemory memory;

        g_assert_cmpint(vb_host_memory(root, &memory), ==, -ENODATA);
        put_nodes(root);
        g_assert_cmpint(vb_host_memory(root, &memory), ==, 0);
        g_assert_cmpuint(memory.total, ==, 3 * MIB);
        g_assert_cmpuint(memory.free, ==, 1 * MIB);
        g_assert_cmpuint(memory.buffers, ==, 12 * 1024);
        g_assert_cmpuint(memory.cached, ==, 34 * 1024); /* not SwapCached */
        g_assert_cmpint(vb_host_node_memory(root, 2, &memory), ==, 0);
        g_assert_cmpuint(memory.total, ==, 1024 * MIB);
        g_assert_cmpuint(memory.free, ==, 8 * 1024);
        g_assert_cmpint(vb_host_node_memory(root, 1, &memory), ==, -ENXIO);
        test_folder_free(root);
}

static void test_nodes(void) {
        char *root = test_folder_new();
        g_autoptr(GPtrArray) nodes = NULL;
        const VbHostNode *node;
        const VbHostPageCount *pages;

        put_nodes(root);
        nodes = vb_host_nodes(root);
        g_assert_cmpuint(nodes->len, ==, 2);
        node = nodes->pdata[0];
        g_assert_cmpuint(node->id, ==, 0);
        g_assert_cmpstr(node->cpus, ==, "0-1,4");
        g_assert_cmpuint(node->memory.free, ==, 4 * MIB);
        g_assert_cmpuint(node->pages->len, ==, 3);
        pages = &g_array_index(node->pages, VbHostPageCount, 1);
        g_assert_cmpuint(pages->size, ==, 2 * MIB);
        g_assert_cmpuint(pages->total, ==, 512);
        g_assert_cmpuint(pages->free, ==, 500);
        pages = &g_array_index(node->pages, VbHostPageCount, 0);
        g_assert_cmpuint(pages->total * pages->size, ==, 7168 * MIB);
        g_assert_cmpuint(pages->free * pages->size, ==, 4 * MIB);
        node = nodes->pdata[1];
        g_assert_cmpuint(node->id, ==, 2);
        g_assert_cmpstr(node->cpus, ==, "");
        test_folder_free(root);
}

/* A kernel without NUMA is one node. */
static void test_no_nodes(void) {
        char *root = test_folder_new();
        g_autoptr(GPtrArray) nodes = NULL;
        const VbHostNode *node;
        VbHostMemory memory;

        test_put(root, "/proc/meminfo", "MemTotal: 2048 kB\nMemFree: 1024 kB\n");
        test_put(root, "/sys/devices/system/cpu/online", "0-3\n");
        nodes = vb_host_nodes(root);
        g_assert_cmpuint(nodes->len, ==, 1);
        node = nodes->pdata[0];
        g_assert_cmpuint(node->id, ==, 0);
        g_assert_cmpstr(node->cpus, ==, "0-3");
        g_assert_cmpuint(node->memory.total, ==, 2 * MIB);
        g_assert_cmpint(vb_host_node_memory(root, 0, &memory), ==, 0);
        g_assert_cmpint(vb_host_node_memory(root, 1, &memory), ==, -ENXIO);
        test_folder_free(root);
}

static void put_core(const char *root, unsigned id, unsigned socket, unsigned core) {
        g_autofree char *folder = g_strdup_printf("/sys/devices/system/cpu/cpu%u/topology", id);
        const struct {
                const char *name;
                unsigned value;
        } files[] = { { "physical_package_id", socket }, { "core_id", core } };

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", folder, files[i].name);
                g_autofree char *text = g_strdup_printf("%u\n", files[i].value);

                test_put(root, path, text);
        }
}

static void test_info(void) {
        char *root = test_folder_new();
        VbHostInfo *info;

        test_put(root, "/proc/meminfo", "MemTotal: 2048 kB\n");
        test_put(root, "/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2793.437\n\nprocessor\t: 1\ncpu MHz\t\t: 1.0\n\n");
        test_put(root, "/sys/devices/system/cpu/online", "0-3\n");
        test_put(root, "/sys/devices/system/cpu/present", "0-3\n");
        for (unsigned id = 0; id < 4; id++)
                put_core(root, id, 0, id / 2);

        info = vb_host_info_load(root);
        g_assert_cmpuint(info->memory, ==, 2 * MIB);
        g_assert_cmpuint(info->frequency, ==, 2793437000);
        g_assert_cmpuint(info->cpus, ==, 4);
        g_assert_cmpuint(info->nodes, ==, 1);
        g_assert_cmpuint(info->sockets, ==, 1);
        g_assert_cmpuint(info->cores, ==, 2);
        g_assert_cmpuint(info->threads, ==, 2);
        (void) vb_host_info_free(info);

        /* One of them is offline: the rest is not even, so it is told as cores. */
        test_put(root, "/sys/devices/system/cpu/online", "0-2\n");
        test_put(root, "/sys/devices/system/cpu/present", "0-4\n");
        info = vb_host_info_load(root);
        g_assert_cmpuint(info->cpus, ==, 3);
        g_assert_cmpstr(info->online_cpus, ==, "0-2");
        g_assert_cmpstr(info->present_cpus, ==, "0-4");
        g_assert_cmpuint(info->sockets * info->threads * info->nodes, ==, 1);
        g_assert_cmpuint(info->cores, ==, 5);
        (void) vb_host_info_free(info);
        test_folder_free(root);
}

static void test_set_pages(void) {
        char *root = test_folder_new();
        uint64_t lacking = 17;

        put_nodes(root);
        g_assert_cmpint(vb_host_set_pages(root, VB_HOST_ALL_NODES, 2 * MIB, 4, /* add= */ false, &lacking), ==, 0);
        g_assert_cmpuint(lacking, ==, 0);
        assert_text(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
        g_assert_cmpint(vb_host_set_pages(root, 0, 2 * MIB, 4, /* add= */ true, &lacking), ==, 0);
        assert_text(root, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "516");

        g_assert_cmpint(vb_host_set_pages(root, 0, 4 * MIB, 4, false, &lacking), ==, -ENXIO);
        g_assert_cmpint(vb_host_set_pages(root, 1, 2 * MIB, 4, false, &lacking), ==, -ENXIO);
        g_assert_cmpint(vb_host_set_pages(root, 0, 2 * MIB + 1, 4, false, &lacking), ==, -ENXIO);
        g_assert_cmpint(vb_host_set_pages(root, 0, 0, 4, false, &lacking), ==, -ENXIO);
        g_assert_cmpint(vb_host_set_pages(root, 0, 2 * MIB, UINT64_MAX, true, &lacking), ==, -EOVERFLOW);
        test_folder_free(root);
}

static void test_page_merging(void) {
        char *root = test_folder_new();
        VbPageMerging merging;

        g_assert_cmpint(vb_page_merging_load(root, &merging), ==, -ENXIO);
        g_assert_cmpint(vb_page_merging_set(root, VB_PAGE_MERGING_RUN, 1), ==, -ENXIO);
        test_put(root, "/sys/kernel/mm/ksm/run", "1\n");
        test_put(root, "/sys/kernel/mm/ksm/sleep_millisecs", "20\n");
        test_put(root, "/sys/kernel/mm/ksm/pages_to_scan", "100\n");
        test_put(root, "/sys/kernel/mm/ksm/pages_sharing", "123456789012\n");
        g_assert_cmpint(vb_page_merging_load(root, &merging), ==, 0);
        g_assert_true(merging.run);
        g_assert_cmpuint(merging.sleep_usec, ==, 20000);
        g_assert_cmpuint(merging.pages_to_scan, ==, 100);
        g_assert_cmpuint(merging.pages_sharing, ==, UINT64_C(123456789012));
        g_assert_cmpint(vb_page_merging_set(root, VB_PAGE_MERGING_PAGES_TO_SCAN, 7), ==, 0);
        assert_text(root, "/sys/kernel/mm/ksm/pages_to_scan", "7");
        test_folder_free(root);
}

static void test_wake_alarm(void) {
        char *root = test_folder_new();

        g_assert_cmpint(vb_host_set_wake_alarm(root, 60), ==, -ENXIO);
        test_put(root, "/sys/class/rtc/rtc0/wakealarm", "");
        g_assert_cmpint(vb_host_set_wake_alarm(root, 60), ==, 0);
        assert_text(root, "/sys/class/rtc/rtc0/wakealarm", "+60");
        g_assert_cmpint(vb_host_set_wake_alarm(root, 0), ==, 0);
        assert_text(root, "/sys/class/rtc/rtc0/wakealarm", "0");
        test_folder_free(root);
}

static void test_sysinfo(void) {
        char *root = test_folder_new();
        g_autofree char *without = NULL, *with = NULL;

        test_put(root, "/proc/cpuinfo", "vendor_id\t: GenuineIntel\nmodel name\t: A <fast> one\ncpu family\t: 6\nmodel\t\t: 1\n\n");
        g_assert_null(vb_sysinfo_format(root, true));
        test_put(root, "/sys/class/dmi/id/bios_vendor", "Maker & Sons\n");
        test_put(root, "/sys/class/dmi/id/bios_version", "\x01 \xff\n"); /* nothing that could be shown */
        test_put(root, "/sys/class/dmi/id/product_name", "Box  \n");
        test_put(root, "/sys/class/dmi/id/product_serial", "S3CR3T\n");

        without = vb_sysinfo_format(root, false);
        g_assert_cmpstr(without, ==,
                        "<sysinfo type='smbios'>\n"
                        "  <bios>\n"
                        "    <entry name='vendor'>Maker &amp; Sons</entry>\n"
                        "  </bios>\n"
                        "  <system>\n"
                        "    <entry name='product'>Box</entry>\n"
                        "  </system>\n"
                        "  <processor>\n"
                        "    <entry name='manufacturer'>GenuineIntel</entry>\n"
                        "    <entry name='signature'>Family 6, Model 1, Stepping 0</entry>\n"
                        "    <entry name='version'>A &lt;fast&gt; one</entry>\n"
                        "  </processor>\n"
                        "</sysinfo>\n");
        with = vb_sysinfo_format(root, true);
        g_assert_nonnull(strstr(with, "<entry name='serial'>S3CR3T</entry>"));
        test_folder_free(root);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/model/host-stats/cpu-times", test_cpu_times);
        g_test_add_func("/model/host-stats/memory", test_memory);
        g_test_add_func("/model/host-stats/nodes", test_nodes);
        g_test_add_func("/model/host-stats/no-nodes", test_no_nodes);
        g_test_add_func("/model/host-stats/info", test_info);
        g_test_add_func("/model/host-tune/set-pages", test_set_pages);
        g_test_add_func("/model/host-tune/page-merging", test_page_merging);
        g_test_add_func("/model/host-tune/wake-alarm", test_wake_alarm);
        g_test_add_func("/model/sysinfo", test_sysinfo);
        return g_test_run();
}
