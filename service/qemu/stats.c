/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/stats.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "qemu/command-device.h"
#include "qemu/domain.h"
#include "qemu/iothreads.h"
#include "qemu/json.h"

/* An emulator that has not answered an earlier question for so long is not waited for again. */
#define PATIENCE_USEC (UINT64_C(300) * 1000)
#define QUERY_TIMEOUT_USEC (UINT64_C(60) * 1000000)
#define SMALL_FILE_MAX 16384u

/* What only the emulator knows. */
#define BY_EMULATOR (VB_STATS_BALLOON | VB_STATS_BLOCK | VB_STATS_IOTHREAD)

static uint64_t now_usec(clockid_t clock) {
        struct timespec now;

        (void) clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* --- asking the emulator -------------------------------------------------------------------------------------------- */

static void let_go(QemuStats *stats) {
        g_autoptr(GPtrArray) batches = g_steal_pointer(&stats->batches);

        for (unsigned i = 0; batches && i < batches->len; i++)
                vb_stats_batch_release(g_ptr_array_index(batches, i));
}

void qemu_stats_clear(QemuDomain *qemu) {
        QemuStats *stats = &qemu->stats;

        let_go(stats);
        vb_json_put(stats->balloon);
        vb_json_put(stats->guest_memory);
        vb_json_put(stats->blocks);
        vb_json_put(stats->blockstats);
        vb_json_put(stats->iothreads);
        *stats = (QemuStats){ 0 };
}

/* An answer that is still to come is of a question after the change, as they are in order. */
void qemu_stats_outdate(QemuDomain *qemu) {
        qemu->stats.asked_usec = 0;
}

static void take_answer(QemuDomain *qemu, VbJson **field, const QmpReply *reply) {
        QemuStats *stats = &qemu->stats;

        /* A question that was refused (no balloon, say) leaves the figure as it was. When the guest ends, all are cancelled. */
        if (reply->r >= 0) {
                vb_json_put(*field);
                *field = json_object_get(reply->result);
        }
        if (reply->r == -ECANCELED || --stats->asking > 0)
                return;
        if (reply->r >= 0 || reply->r == -EPROTO) {
                stats->updated_usec = now_usec(CLOCK_REALTIME);
                stats->asked_usec = stats->asking_usec;
        }
        let_go(stats);
}

#define DEFINE_ON_ANSWER(field)                                                                      \
        static void on_##field(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {         \
                QemuDomain *qemu = userdata;                                                         \
                                                                                                     \
                take_answer(qemu, &qemu->stats.field, reply);                                        \
        }
DEFINE_ON_ANSWER(balloon)
DEFINE_ON_ANSWER(guest_memory)
DEFINE_ON_ANSWER(blocks)
DEFINE_ON_ANSWER(blockstats)
DEFINE_ON_ANSWER(iothreads)

static void ask_for(QemuDomain *qemu, const char *command, VbJson *arguments, QmpReplyCallback callback) {
        qemu->stats.asking++;
        (void) qmp_monitor_send(qemu->monitor, command, arguments, callback, qemu, QUERY_TIMEOUT_USEC);
}

static void ask(QemuDomain *qemu) {
        const VbDomainDefinition *live = qemu->domain->live;
        const VbMemballoon *balloon = vb_domain_definition_balloon(live);

        qemu->stats.asking_usec = now_usec(CLOCK_MONOTONIC);
        if (live->disks.n > 0) {
                ask_for(qemu, "query-block", NULL, on_blocks);
                ask_for(qemu, "query-blockstats", NULL, on_blockstats);
        }
        if (live->iothreads > 0)
                ask_for(qemu, "query-iothreads", NULL, on_iothreads);
        if (balloon) {
                ask_for(qemu, "query-balloon", NULL, on_balloon);
                if (balloon->stats_period > 0 && balloon->info.alias) {
                        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", balloon->info.alias);

                        ask_for(qemu, "qom-get", qmp_arguments("path", path, "property", "guest-stats", NULL), on_guest_memory);
                }
        }
}

void qemu_stats_collect(VbDomain *domain, VbStatsGroups groups, VbStatsBatch *batch) {
        QemuDomain *qemu = qemu_domain_of(domain);
        QemuStats *stats = &qemu->stats;
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if ((groups & BY_EMULATOR) == 0 || !qemu->monitor || qemu->start || qemu->ending)
                return;
        if (stats->asked_usec > 0 && stats->asked_usec >= vb_stats_batch_since(batch))
                return;
        if (stats->asking > 0 && now - stats->asking_usec > PATIENCE_USEC)
                return;
        if (stats->asking == 0)
                ask(qemu);
        if (stats->asking == 0)
                return; /* it has nothing that only the emulator knows */

        vb_stats_batch_hold(batch);
        if (!stats->batches)
                stats->batches = g_ptr_array_new();
        g_ptr_array_add(stats->batches, batch);
}

/* --- CPU time: the scope's, or the process's ------------------------------------------------------------------------ */

/* "/sys/fs/cgroup/machine.slice/…" from the line "0::/machine.slice/…" of /proc/PID/cgroup. */
static const char *find_cgroup(QemuDomain *qemu) {
        g_autofree char *path = NULL, *text = NULL;
        const char *line;

        if (qemu->cgroup || !qemu->process || !qemu->unit)
                return qemu->cgroup;
        path = g_strdup_printf("/proc/%d/cgroup", vb_process_get_pid(qemu->process));
        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
                return NULL;
        line = g_str_has_prefix(text, "0::") ? text : strstr(text, "\n0::");
        if (!line || !strstr(line, qemu->unit))
                return NULL;
        line = strstr(line, "0::") + strlen("0::");
        qemu->cgroup = g_strdup_printf("/sys/fs/cgroup%.*s", (int) strcspn(line, "\n"), line);
        return qemu->cgroup;
}

typedef struct CpuTime {
        uint64_t total, user, system; /* nanoseconds */
} CpuTime;

static int read_cgroup_time(QemuDomain *qemu, CpuTime *ret) {
        const char *cgroup = find_cgroup(qemu);
        g_autofree char *path = NULL, *text = NULL;
        uint64_t usage, user, system;
        int r;

        if (!cgroup)
                return -ENOENT;
        path = g_strdup_printf("%s/cpu.stat", cgroup);
        r = vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL);
        if (r < 0)
                return r;
        if (sscanf(text, "usage_usec %" SCNu64 "\nuser_usec %" SCNu64 "\nsystem_usec %" SCNu64, &usage, &user, &system) != 3)
                return -EBADMSG;
        *ret = (CpuTime){ usage * 1000, user * 1000, system * 1000 };
        return 0;
}

/* The numbers after the command's name, which stands in parentheses and may hold anything. */
static int read_process_stat(pid_t pid, CpuTime *ret) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;
        uint64_t user, system, tick = 1000000000u / (uint64_t) sysconf(_SC_CLK_TCK);
        const char *rest;
        int r;

        r = vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL);
        if (r < 0)
                return r;
        rest = strrchr(text, ')');
        if (!rest ||
            sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user, &system) != 2)
                return -EBADMSG;
        *ret = (CpuTime){ (user + system) * tick, user * tick, system * tick };
        return 0;
}

static int append_cpu(QemuDomain *qemu, sd_bus_message *m) {
        CpuTime time;
        int r;

        if (!qemu->process)
                return 0;
        if (read_cgroup_time(qemu, &time) < 0 && read_process_stat(vb_process_get_pid(qemu->process), &time) < 0)
                return 0;
        r = vb_stats_append_u64(m, time.total, "cpu.time");
        if (r < 0)
                return r;
        r = vb_stats_append_u64(m, time.user, "cpu.user");
        if (r < 0)
                return r;
        return vb_stats_append_u64(m, time.system, "cpu.system");
}

/* --- vCPUs ---------------------------------------------------------------------------------------------------------- */

/* "RUN WAIT SLICES" of a thread: nanoseconds it ran, and waited to run. */
static int read_schedstat(pid_t pid, pid_t thread, uint64_t *ret_run, uint64_t *ret_wait) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/schedstat", pid, thread), *text = NULL;
        int r;

        r = vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL);
        if (r < 0)
                return r;
        return sscanf(text, "%" SCNu64 " %" SCNu64, ret_run, ret_wait) == 2 ? 0 : -EBADMSG;
}

static int append_vcpus(QemuDomain *qemu, sd_bus_message *m) {
        unsigned n = qemu->vcpu_threads ? qemu->vcpu_threads->len : 0;
        int r;

        r = vb_stats_append_u32(m, vb_domain_vcpus(qemu->domain), "vcpu.current");
        if (r < 0)
                return r;
        r = vb_stats_append_u32(m, vb_domain_definition(qemu->domain)->vcpus, "vcpu.maximum");
        for (unsigned i = 0; r >= 0 && qemu->process && i < n; i++) {
                uint64_t run, wait;

                if (g_array_index(qemu->vcpu_threads, pid_t, i) == 0)
                        continue;
                r = vb_stats_append_string(m, "running", "vcpu.%u.state", i);
                if (r < 0)
                        return r;
                if (read_schedstat(vb_process_get_pid(qemu->process), g_array_index(qemu->vcpu_threads, pid_t, i), &run,
                                   &wait) < 0)
                        continue;
                r = vb_stats_append_u64(m, run, "vcpu.%u.time", i);
                if (r < 0)
                        return r;
                r = vb_stats_append_u64(m, wait, "vcpu.%u.wait", i);
        }
        return r;
}

/* The CPU on which a thread was last: number 39 of its line, counted as the manual does. -1: not known. */
static int read_last_cpu(pid_t pid, pid_t thread) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/stat", pid, thread), *text = NULL;
        const char *rest;

        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
                return -1;
        rest = strrchr(text, ')');
        for (unsigned i = 2; rest && i < 39; i++)
                rest = strchr(rest + 1, ' ');
        return rest ? atoi(rest + 1) : -1;
}

int qemu_stats_append_vcpu(VbDomain *domain, uint32_t vcpu, sd_bus_message *m) {
        QemuDomain *qemu = qemu_domain_of(domain);
        uint64_t run, wait;
        pid_t pid, thread;
        int cpu, r;

        if (!qemu->process || !qemu->vcpu_threads || vcpu >= qemu->vcpu_threads->len)
                return 0;
        pid = vb_process_get_pid(qemu->process);
        thread = g_array_index(qemu->vcpu_threads, pid_t, vcpu);
        if (thread == 0)
                return 0;
        cpu = read_last_cpu(pid, thread);
        if (cpu < 0 || read_schedstat(pid, thread, &run, &wait) < 0)
                return 0;
        r = vb_stats_append_u64(m, run, "time");
        return r < 0 ? r : vb_stats_append_u32(m, (uint32_t) cpu, "cpu");
}

/* --- balloon -------------------------------------------------------------------------------------------------------- */

/* The kernel's and the guest's own figures of memory: those that are there. */
static int append_guest_memory(VbJson *answer, sd_bus_message *m) {
        static const struct {
                const char *theirs, *key;
        } figures[] = {
                { "stat-swap-in", "balloon.swap_in" },
                { "stat-swap-out", "balloon.swap_out" },
                { "stat-major-faults", "balloon.major_fault" },
                { "stat-minor-faults", "balloon.minor_fault" },
                { "stat-free-memory", "balloon.unused" },
                { "stat-total-memory", "balloon.available" },
                { "stat-available-memory", "balloon.usable" },
                { "stat-disk-caches", "balloon.disk_caches" },
                { "stat-htlb-pgalloc", "balloon.hugetlb_pgalloc" },
                { "stat-htlb-pgfail", "balloon.hugetlb_pgfail" },
        };
        VbJson *stats = qemu_json_object(answer, "stats");
        int64_t updated = qemu_json_number(answer, "last-update", 0);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(figures); i++) {
                /* What a guest does not tell is -1. */
                int64_t value = qemu_json_number(stats, figures[i].theirs, -1);

                if (value >= 0)
                        r = vb_stats_append_u64(m, (uint64_t) value, "%s", figures[i].key);
        }
        if (r >= 0 && updated > 0)
                r = vb_stats_append_u64(m, (uint64_t) updated, "balloon.last-update");
        return r;
}

static uint64_t read_rss(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/statm", pid), *text = NULL;
        uint64_t pages = 0;

        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0 || sscanf(text, "%*u %" SCNu64, &pages) != 1)
                return 0;
        return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static int append_balloon(QemuDomain *qemu, sd_bus_message *m) {
        int64_t actual = qemu_json_number(qemu->stats.balloon, "actual", -1);
        int r;

        r = vb_stats_append_u64(m, actual > 0 ? (uint64_t) actual : vb_domain_memory(qemu->domain), "balloon.current");
        if (r < 0)
                return r;
        r = vb_stats_append_u64(m, vb_domain_max_memory(qemu->domain), "balloon.maximum");
        if (r < 0 || !qemu->process)
                return r;
        r = vb_stats_append_u64(m, read_rss(vb_process_get_pid(qemu->process)), "balloon.rss");
        return r < 0 ? r : append_guest_memory(qemu->stats.guest_memory, m);
}

/* --- disks ---------------------------------------------------------------------------------------------------------- */

static int append_disk_counts(VbJson *entry, unsigned i, sd_bus_message *m) {
        static const struct {
                const char *theirs, *key;
        } figures[] = {
                { "rd_operations", "rd.reqs" },  { "rd_bytes", "rd.bytes" },       { "rd_total_time_ns", "rd.times" },
                { "wr_operations", "wr.reqs" },  { "wr_bytes", "wr.bytes" },       { "wr_total_time_ns", "wr.times" },
                { "flush_operations", "fl.reqs" }, { "flush_total_time_ns", "fl.times" },
        };
        VbJson *stats = qemu_json_object(entry, "stats");
        int r = 0;

        for (size_t j = 0; r >= 0 && j < G_N_ELEMENTS(figures); j++) {
                int64_t value = qemu_json_number(stats, figures[j].theirs, -1);

                if (value >= 0)
                        r = vb_stats_append_u64(m, (uint64_t) value, "block.%u.%s", i, figures[j].key);
        }
        return r;
}

static int append_disk_sizes(VbJson *block, VbJson *stats, unsigned i, sd_bus_message *m) {
        VbJson *image = qemu_json_object(qemu_json_object(block, "inserted"), "image");
        VbJson *below = qemu_json_object(qemu_json_object(stats, "parent"), "stats");
        int64_t highest = qemu_json_number(below, "wr_highest_offset", -1);
        int64_t capacity = qemu_json_number(image, "virtual-size", -1);
        int64_t physical = qemu_json_number(image, "actual-size", -1);
        int r = 0;

        if (highest >= 0)
                r = vb_stats_append_u64(m, (uint64_t) highest, "block.%u.allocation", i);
        if (r >= 0 && capacity >= 0)
                r = vb_stats_append_u64(m, (uint64_t) capacity, "block.%u.capacity", i);
        if (r >= 0 && physical >= 0)
                r = vb_stats_append_u64(m, (uint64_t) physical, "block.%u.physical", i);
        return r;
}

static int append_disk(QemuDomain *qemu, const VbDisk *disk, unsigned i, sd_bus_message *m) {
        VbJson *stats = qemu_block_find_device(qemu->stats.blockstats, disk->info.alias);
        int r;

        r = vb_stats_append_string(m, disk->target, "block.%u.name", i);
        if (r >= 0 && disk->path)
                r = vb_stats_append_string(m, disk->path, "block.%u.path", i);
        if (r >= 0)
                r = append_disk_counts(stats, i, m);
        if (r >= 0)
                r = append_disk_sizes(qemu_block_find_device(qemu->stats.blocks, disk->info.alias), stats, i, m);
        return r;
}

static int append_disks(QemuDomain *qemu, sd_bus_message *m) {
        const VbDomainDefinition *definition = vb_domain_definition(qemu->domain);
        int r;

        r = vb_stats_append_u32(m, (uint32_t) definition->disks.n, "block.count");
        for (unsigned i = 0; r >= 0 && i < definition->disks.n; i++)
                r = append_disk(qemu, definition->disks.items[i], i, m);
        return r;
}

/* --- network cards -------------------------------------------------------------------------------------------------- */

/* A tap is the host's end of a cable: what it sent, the guest received. A macvtap is the guest's own end. */
static int append_interface_counts(const char *device, bool guests_end, unsigned i, sd_bus_message *m) {
        static const struct {
                const char *guests, *hosts, *key;
        } figures[] = {
                { "rx_bytes", "tx_bytes", "rx.bytes" },   { "rx_packets", "tx_packets", "rx.pkts" },
                { "rx_errors", "tx_errors", "rx.errs" },  { "rx_dropped", "tx_dropped", "rx.drop" },
                { "tx_bytes", "rx_bytes", "tx.bytes" },   { "tx_packets", "rx_packets", "tx.pkts" },
                { "tx_errors", "rx_errors", "tx.errs" },  { "tx_dropped", "rx_dropped", "tx.drop" },
        };
        int r = 0;

        for (size_t j = 0; r >= 0 && j < G_N_ELEMENTS(figures); j++) {
                const char *name = guests_end ? figures[j].guests : figures[j].hosts;
                g_autofree char *path = g_strdup_printf("/sys/class/net/%s/statistics/%s", device, name), *text = NULL;

                if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) >= 0)
                        r = vb_stats_append_u64(m, g_ascii_strtoull(text, NULL, 10), "net.%u.%s", i, figures[j].key);
        }
        return r;
}

static int append_interfaces(QemuDomain *qemu, sd_bus_message *m) {
        const VbDomainDefinition *definition = vb_domain_definition(qemu->domain);
        int r;

        r = vb_stats_append_u32(m, (uint32_t) definition->interfaces.n, "net.count");
        for (unsigned i = 0; r >= 0 && i < definition->interfaces.n; i++) {
                const VbInterface *interface = definition->interfaces.items[i];
                const char *device = interface->target;
                char mac[VB_MAC_STRING_MAX];

                r = vb_stats_append_string(m, vb_mac_format(&interface->mac, mac), "net.%u.mac", i);
                if (r < 0 || !device || strchr(device, '/'))
                        continue;
                r = vb_stats_append_string(m, device, "net.%u.name", i);
                if (r >= 0)
                        r = append_interface_counts(device, interface->type == VB_INTERFACE_DIRECT, i, m);
        }
        return r;
}

/* --- I/O threads ---------------------------------------------------------------------------------------------------- */

static int append_iothread(VbJson *told, sd_bus_message *m) {
        uint32_t id = qemu_iothread_number(qemu_json_string(told, "id"));
        int r;

        if (id == 0)
                return 0;
        r = vb_stats_append_u64(m, (uint64_t) qemu_json_number(told, "poll-max-ns", 0), "iothread.%u.poll-max-ns", id);
        if (r >= 0)
                r = vb_stats_append_u32(m, (uint32_t) qemu_json_number(told, "poll-grow", 0), "iothread.%u.poll-grow", id);
        return r < 0 ? r : vb_stats_append_u32(m, (uint32_t) qemu_json_number(told, "poll-shrink", 0), "iothread.%u.poll-shrink", id);
}

static int append_iothreads(QemuDomain *qemu, sd_bus_message *m) {
        VbJson *told = qemu->stats.iothreads;
        size_t n = json_object_is_type(told, json_type_array) ? MIN(json_object_array_length(told), VB_DOMAIN_IOTHREADS_MAX) : 0;
        int r;

        if (n == 0)
                return 0;
        r = vb_stats_append_u32(m, (uint32_t) n, "iothread.count");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_iothread(json_object_array_get_idx(told, i), m);
        return r;
}

int qemu_stats_append(VbDomain *domain, VbStatsGroups groups, sd_bus_message *m) {
        static const struct {
                VbStatsGroups group;
                int (*append)(QemuDomain *qemu, sd_bus_message *m);
        } appenders[] = {
                { VB_STATS_CPU, append_cpu },     { VB_STATS_BALLOON, append_balloon },
                { VB_STATS_VCPU, append_vcpus },  { VB_STATS_BLOCK, append_disks },
                { VB_STATS_INTERFACE, append_interfaces }, { VB_STATS_IOTHREAD, append_iothreads },
        };
        QemuDomain *qemu = qemu_domain_of(domain);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(appenders); i++)
                if (groups & appenders[i].group)
                        r = appenders[i].append(qemu, m);
        /* How old the figures are that came from the emulator. */
        if (r >= 0 && (groups & BY_EMULATOR) && qemu->stats.updated_usec > 0)
                r = vb_stats_append_u64(m, qemu->stats.updated_usec, "updated-usec");
        return r;
}
