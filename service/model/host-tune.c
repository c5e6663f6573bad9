/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/host-tune.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "model/host-private.h"

#define KSM_FOLDER "/sys/kernel/mm/ksm"
#define WAKE_ALARM "/sys/class/rtc/rtc0/wakealarm"

/* One number to one file of sysfs, which is there already. */
static int write_text(const char *root, const char *path, const char *text) {
        g_autofree char *full = g_strconcat(root, path, NULL);
        vb_autofd fd = -EBADF;

        fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? -ENXIO : -errno;
        return vb_write_all(fd, text, strlen(text));
}

static int write_number(const char *root, const char *path, uint64_t number) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

        return write_text(root, path, text);
}

/* --- Huge pages --- */

int vb_host_set_pages(const char *root, int node, uint64_t size, uint64_t count, bool add, uint64_t *ret_lacking) {
        g_autofree char *folder = node < 0 ? g_strdup("/sys/kernel/mm") :
                                             g_strdup_printf("/sys/devices/system/node/node%d", node);
        g_autofree char *path =
                g_strdup_printf("%s/hugepages/hugepages-%" G_GUINT64_FORMAT "kB/nr_hugepages", folder, size / 1024);
        uint64_t now;
        int r;

        if (size == 0 || size % 1024 != 0)
                return -ENXIO;
        if (add && __builtin_add_overflow(count, host_read_number(0, root, "%s", path), &count))
                return -EOVERFLOW;
        r = write_number(root, path, count);
        if (r < 0)
                return r;
        now = host_read_number(0, root, "%s", path);
        *ret_lacking = now < count ? count - now : 0;
        return 0;
}

/* --- Equal pages --- */

static uint64_t read_ksm(const char *root, const char *name) {
        return host_read_number(0, root, KSM_FOLDER "/%s", name);
}

int vb_page_merging_load(const char *root, VbPageMerging *ret) {
        g_autofree char *run = host_read_line(root, KSM_FOLDER "/run");

        if (!run)
                return -ENXIO;
        *ret = (VbPageMerging){
                .run = g_str_equal(run, "1"),
                .merge_across_nodes = read_ksm(root, "merge_across_nodes") != 0,
                .pages_to_scan = (uint32_t) MIN(read_ksm(root, "pages_to_scan"), UINT32_MAX),
                .sleep_usec = read_ksm(root, "sleep_millisecs") * 1000,
                .pages_shared = read_ksm(root, "pages_shared"),
                .pages_sharing = read_ksm(root, "pages_sharing"),
                .pages_unshared = read_ksm(root, "pages_unshared"),
                .pages_volatile = read_ksm(root, "pages_volatile"),
                .full_scans = read_ksm(root, "full_scans"),
        };
        return 0;
}

int vb_page_merging_set(const char *root, VbPageMergingSetting setting, uint64_t value) {
        static const char *const files[_VB_PAGE_MERGING_SETTING_MAX] = {
                [VB_PAGE_MERGING_RUN] = KSM_FOLDER "/run",
                [VB_PAGE_MERGING_PAGES_TO_SCAN] = KSM_FOLDER "/pages_to_scan",
                [VB_PAGE_MERGING_SLEEP_MSEC] = KSM_FOLDER "/sleep_millisecs",
                [VB_PAGE_MERGING_ACROSS_NODES] = KSM_FOLDER "/merge_across_nodes",
        };

        return write_number(root, files[setting], value);
}

/* --- Waking --- */

/* An alarm that is set already would have to be gone first, or the kernel refuses another. */
int vb_host_set_wake_alarm(const char *root, uint64_t seconds) {
        g_autofree char *text = g_strdup_printf("+%" G_GUINT64_FORMAT, seconds);
        int r;

        r = write_text(root, WAKE_ALARM, "0");
        if (r < 0 || seconds == 0)
                return r;
        return write_text(root, WAKE_ALARM, text);
}
