/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/host.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/compare.h"
#include "base/uuid.h"
#include "model/host-private.h"

static char *read_line(const char *root, const char *format, va_list arguments) {
        g_autofree char *path = g_strdup_vprintf(format, arguments);
        g_autofree char *full = g_strconcat(root, path, NULL);
        char *line = NULL; /* malloc'ed by getline(), which is what g_free() frees */
        size_t size = 0;
        ssize_t n;
        FILE *file = fopen(full, "re");

        if (!file)
                return NULL;
        n = getline(&line, &size, file);
        (void) fclose(file);
        if (n < 0) {
                g_free(line);
                return NULL;
        }
        return g_strchomp(line);
}

char *host_read_line(const char *root, const char *format, ...) {
        va_list arguments;
        char *line;

        va_start(arguments, format);
        line = read_line(root, format, arguments);
        va_end(arguments);
        return line;
}

uint64_t host_read_number(uint64_t fallback, const char *root, const char *format, ...) {
        g_autofree char *line = NULL;
        va_list arguments;
        guint64 number;

        va_start(arguments, format);
        line = read_line(root, format, arguments);
        va_end(arguments);
        return line && g_ascii_string_to_unsigned(line, 10, 0, G_MAXUINT64, &number, NULL) ? number
                                                                                           : fallback;
}

GArray *host_parse_list(const char *text) {
        GArray *numbers = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(unsigned));
        g_auto(GStrv) ranges = g_strsplit(text ?: "", ",", -1);

        for (char **range = ranges; *range; range++) {
                const char *dash = strchr(*range, '-');
                g_autofree char *low = g_strndup(*range, dash ? (size_t) (dash - *range) : strlen(*range));
                guint64 first, last;

                if (!g_ascii_string_to_unsigned(low, 10, 0, HOST_CPUS_MAX, &first, NULL) ||
                    !g_ascii_string_to_unsigned(dash ? dash + 1 : low, 10, first, HOST_CPUS_MAX, &last, NULL))
                        continue;
                for (unsigned number = (unsigned) first; number <= last && numbers->len < HOST_CPUS_MAX;
                     number++)
                        g_array_append_val(numbers, number);
        }
        return numbers;
}

/* --- The processor --- */

static void take_flags(VbHost *host, const char *value) {
        g_strfreev(host->cpu_flags);
        host->cpu_flags = g_strsplit(value, " ", -1);
        qsort(host->cpu_flags, g_strv_length(host->cpu_flags), sizeof(char *), vb_compare_texts);
}

static unsigned to_number(const char *value, int base) {
        unsigned long number = strtoul(value, NULL, base);

        return number <= G_MAXUINT ? (unsigned) number : 0;
}

/* Words of /proc/cpuinfo on x86, s390x and ARM. */
static void take_cpuinfo(VbHost *host, const char *key, const char *value) {
        if (g_str_equal(key, "vendor_id")) {
                g_free(host->cpu_vendor);
                host->cpu_vendor = g_strdup(value);
        } else if (g_str_equal(key, "cpu family"))
                host->cpu_family = to_number(value, 10);
        else if (g_str_equal(key, "model"))
                host->cpu_model = to_number(value, 10);
        else if (g_str_equal(key, "stepping"))
                host->cpu_stepping = to_number(value, 10);
        else if (g_str_equal(key, "microcode"))
                host->cpu_microcode = to_number(value, 16);
        else if (g_str_equal(key, "cpu MHz"))
                host->cpu_frequency = (uint64_t) (CLAMP(g_ascii_strtod(value, NULL), 0, 1e6) * 1000 + 0.5) * 1000;
        else if (g_str_equal(key, "model name")) {
                g_free(host->cpu_name);
                host->cpu_name = g_strdup(value);
        } else if (g_str_equal(key, "address sizes"))
                host->cpu_physical_bits = to_number(value, 10);
        else if (g_str_equal(key, "flags") || g_str_equal(key, "Features") || g_str_equal(key, "features"))
                take_flags(host, value);
}

/* Up to the empty line that ends the first processor. */
static void load_cpuinfo(VbHost *host, const char *root) {
        g_autofree char *path = g_strconcat(root, "/proc/cpuinfo", NULL), *line = NULL;
        size_t size = 0;
        FILE *file = fopen(path, "re");

        host->cpu_vendor = g_strdup("");
        host->cpu_flags = g_new0(char *, 1);
        if (!file)
                return;
        while (getline(&line, &size, file) > 0 && line[0] != '\n') {
                char *colon = strchr(line, ':');

                if (!colon)
                        continue;
                *colon = '\0';
                take_cpuinfo(host, g_strchomp(line), g_strstrip(colon + 1));
        }
        (void) fclose(file);
}

bool vb_host_has_flag(const VbHost *host, const char *flag) {
        return bsearch(&flag, host->cpu_flags, g_strv_length(host->cpu_flags), sizeof(char *),
                       vb_compare_texts) != NULL;
}

/* --- The machine --- */

/* The hardware's own number, which only root may read and not all hardware has; else one made from the
 * machine's id. That id itself is not to be shown to everyone, see machine-id(5). */
static void load_uuid(VbHost *host, const char *root) {
        g_autofree char *product = host_read_line(root, "/sys/class/dmi/id/product_uuid");
        g_autofree char *machine = host_read_line(root, "/etc/machine-id");
        g_autofree char *digest = NULL;
        VbUuid uuid;

        if (product && vb_uuid_parse(product, &uuid) >= 0 && !vb_uuid_is_null(&uuid)) {
                (void) vb_uuid_format(&uuid, host->uuid);
                return;
        }
        if (!machine || !*machine)
                return;
        digest = g_compute_hmac_for_string(G_CHECKSUM_SHA256, (const guchar *) machine, strlen(machine),
                                           "virtbus host", -1);
        digest[32] = '\0';
        digest[12] = '4'; /* version: random */
        digest[16] = '8'; /* variant */
        if (vb_uuid_parse(digest, &uuid) >= 0)
                (void) vb_uuid_format(&uuid, host->uuid);
}

static void load_power(VbHost *host, const char *root) {
        g_autofree char *line = host_read_line(root, "/sys/power/state");
        g_auto(GStrv) words = g_strsplit(line ?: "", " ", -1);

        host->suspend_mem = g_strv_contains((const char *const *) words, "mem");
        host->suspend_disk = g_strv_contains((const char *const *) words, "disk");
        host->suspend_hybrid = host->suspend_mem && host->suspend_disk;
}

static bool has_entries(const char *root, const char *folder) {
        g_autofree char *path = g_strconcat(root, folder, NULL);
        DIR *directory = opendir(path);
        struct dirent *entry;
        bool found = false;

        if (!directory)
                return false;
        while (!found && (entry = readdir(directory)))
                found = entry->d_name[0] != '.';
        (void) closedir(directory);
        return found;
}

static void cpu_done(gpointer data) {
        g_free(((VbHostCpu *) data)->siblings);
}

static void cache_done(gpointer data) {
        g_free(((VbHostCache *) data)->cpus);
}

static void cell_free(gpointer data) {
        VbHostCell *cell = data;

        g_array_unref(cell->pages);
        g_array_unref(cell->distances);
        g_array_unref(cell->cpus);
        g_free(cell);
}

VbHostCell *host_cell_new(unsigned id) {
        VbHostCell *cell = g_new0(VbHostCell, 1);

        cell->id = id;
        cell->pages = g_array_new(FALSE, FALSE, sizeof(VbHostPages));
        cell->distances = g_array_new(FALSE, FALSE, sizeof(unsigned));
        cell->cpus = g_array_new(FALSE, FALSE, sizeof(VbHostCpu));
        g_array_set_clear_func(cell->cpus, cpu_done);
        return cell;
}

VbHost *vb_host_load_cpu(const char *root) {
        VbHost *host = g_new0(VbHost, 1);
        struct utsname name;

        host->arch = g_strdup(uname(&name) == 0 ? name.machine : "unknown");
        load_cpuinfo(host, root);
        return host;
}

VbHost *vb_host_load(const char *root) {
        VbHost *host = vb_host_load_cpu(root);

        host->cells = g_ptr_array_new_with_free_func(cell_free);
        host->caches = g_array_new(FALSE, FALSE, sizeof(VbHostCache));
        g_array_set_clear_func(host->caches, cache_done);

        load_uuid(host, root);
        load_power(host, root);
        host->iommu = has_entries(root, "/sys/kernel/iommu_groups");
        host_load_topology(host, root);
        return host;
}

VbHost *vb_host_free(VbHost *host) {
        if (!host)
                return NULL;
        g_free(host->arch);
        g_free(host->cpu_vendor);
        g_free(host->cpu_name);
        g_strfreev(host->cpu_flags);
        g_clear_pointer(&host->page_sizes, g_array_unref);
        g_clear_pointer(&host->cells, g_ptr_array_unref);
        g_clear_pointer(&host->caches, g_array_unref);
        g_free(host);
        return NULL;
}
