/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/domain.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/file.h"
#include "qemu/agent-link.h"
#include "qemu/apply.h"
#include "qemu/crash-dump.h"
#include "qemu/events.h"
#include "qemu/go-on.h"
#include "qemu/guest-clock.h"
#include "qemu/iothreads.h"
#include "qemu/json.h"
#include "qemu/leave.h"
#include "qemu/monitor-watch.h"
#include "qemu/save.h"
#include "qemu/start.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"
#include "qemu/vcpus.h"
#include "qemu/viewers.h"

int qemu_domain_attach(VbDomain *domain) {
        QemuDomain *qemu = g_new(QemuDomain, 1);

        *qemu = (QemuDomain){
                .domain = domain,
                .driver = qemu_driver_of(domain->hypervisor),
        };
        domain->driver_data = qemu;
        return 0;
}

void qemu_domain_reset(QemuDomain *qemu) {
        qemu_stats_clear(qemu);
        sd_event_source_disable_unref(qemu->kill_timer);
        sd_event_source_disable_unref(qemu->tpm_kill_timer);
        (void) vb_machine_call_free(qemu->scope_call);
        (void) qemu_disk_apply_free(qemu->disk_apply);
        qemu->vcpus = qemu_vcpus_free(qemu->vcpus);
        qemu_leave_forget(qemu->driver, qemu);
        (void) vb_lock_call_free(qemu->lock_call);
        (void) vb_worker_free(qemu->unplug);
        (void) vb_worker_free(qemu->traffic);
        (void) qemu_iothread_change_free(qemu->iothread_change);
        (void) qemu_save_free(qemu->save);
        (void) qemu_crash_dump_free(qemu->crash_dump);
        (void) qemu_go_on_free(qemu->going_on);
        (void) qemu_start_free(qemu->start);
        (void) qemu_consoles_free(qemu->consoles);
        (void) qemu_guest_clock_free(qemu->clock);
        (void) guest_agent_free(qemu->agent);
        (void) qmp_monitor_free(qemu->monitor);
        (void) vb_process_free(qemu->process);
        (void) vb_process_free(qemu->tpm);
        (void) qemu_capabilities_unref(qemu->capabilities);
        g_clear_pointer(&qemu->vcpu_threads, g_array_unref);
        g_clear_pointer(&qemu->iothreads, g_array_unref);
        g_free(qemu->run_dir);
        g_free(qemu->machine);
        g_free(qemu->unit);
        g_free(qemu->cgroup);
        g_free(qemu->log_path);

        *qemu = (QemuDomain){
                .domain = qemu->domain,
                .driver = qemu->driver,
                .watches = qemu->watches,
                .viewers = qemu->viewers,
        };
}

void qemu_domain_detach(VbDomain *domain) {
        QemuDomain *qemu = qemu_domain_of(domain);

        qemu_domain_reset(qemu);
        (void) qemu_monitor_watches_free(qemu->watches);
        (void) qemu_viewers_free(qemu->viewers);
        domain->driver_data = NULL;
        g_free(qemu);
}

char *qemu_domain_run_dir(const VbDomain *domain) {
        return g_build_filename(domain->hypervisor->run_dir, domain->uuid_string, NULL);
}

static void on_ready(QmpMonitor *monitor, void *userdata) {
        QemuDomain *qemu = userdata;

        if (qemu->monitor_watch.ready)
                qemu->monitor_watch.ready(qemu);
}

static void on_closed(QmpMonitor *monitor, int r, const sd_bus_error *error, void *userdata) {
        QemuDomain *qemu = userdata;

        qemu->monitor = qmp_monitor_free(qemu->monitor);
        if (qemu->monitor_watch.closed)
                qemu->monitor_watch.closed(qemu, r, error);
        else if (!qemu->ending)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "%s", error->message);
        /* If the emulator has ended, its process says so next. If it has been cut off, the guest goes on unobserved. */
        if (r != -ENOTCONN && !qemu->start && !qemu->ending)
                vb_domain1_emit_monitor_lost(&qemu->domain->object);
}

static int connect_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        vb_autofd fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* Does not wait for the emulator to accept: the socket is listening, or it is not. */
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return vb_steal_fd(&fd);
}

int qemu_domain_connect_monitor(QemuDomain *qemu, const QemuMonitorWatch *watch, sd_bus_error *reterr) {
        static const QmpMonitorHandlers handlers = {
                .ready = on_ready,
                .event = qemu_events_handle,
                .closed = on_closed,
        };
        g_autofree char *path = g_build_filename(qemu->run_dir, QEMU_MONITOR_SOCKET, NULL), *name = NULL;
        int fd, r;

        fd = connect_socket(path);
        if (fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_MONITOR_FAILED, "domain '%s': cannot connect to the monitor: %s",
                                         qemu->domain->name, g_strerror(-fd));
        name = g_strdup_printf("domain '%s'", qemu->domain->name);
        qemu->monitor_watch = *watch;
        r = qmp_monitor_new(&qemu->monitor, qemu_driver_event(qemu->driver), fd, name, &handlers, qemu);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_MONITOR_FAILED, "%s: cannot watch the monitor: %s", name,
                                         g_strerror(-r));
        return 0;
}

/* "pty:/dev/pts/3" is where QEMU has put a terminal. */
static void take_terminal(VbChardev *device, const char *filename) {
        if (device->source.type != VB_CHAR_PTY || !g_str_has_prefix(filename, "pty:/dev/pts/"))
                return;
        g_free(device->source.path);
        device->source.path = g_strdup(filename + strlen("pty:"));
}

static void take_chardev(QemuDomain *qemu, const char *alias, const char *filename, bool open) {
        VbDomainDefinition *live = qemu->domain->live;
        const struct {
                VbChardev **items;
                size_t n;
        } lists[] = {
                { live->serials.items, live->serials.n },
                { live->parallels.items, live->parallels.n },
                { live->consoles.items, live->consoles.n },
                { live->channels.items, live->channels.n },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++)
                        if (g_strcmp0(lists[i].items[j]->info.alias, alias) == 0)
                                take_terminal(lists[i].items[j], filename);

        /* The first console is the first serial port, seen once more. */
        if (live->consoles.n > 0 && live->consoles.items[0]->target_type == VB_CHAR_TARGET_SERIAL &&
            live->serials.n > 0 && g_strcmp0(live->serials.items[0]->info.alias, alias) == 0)
                take_terminal(live->consoles.items[0], filename);
        qemu_agent_port_changed(qemu, alias, open);
}

void qemu_domain_take_chardevs(QemuDomain *qemu, VbJson *answer) {
        if (!json_object_is_type(answer, json_type_array))
                return;
        for (size_t i = 0; i < json_object_array_length(answer); i++) {
                VbJson *chardev = json_object_array_get_idx(answer, i);
                const char *label = qemu_json_string(chardev, "label");
                const char *filename = qemu_json_string(chardev, "filename");

                if (label && filename && g_str_has_prefix(label, "char"))
                        take_chardev(qemu, label + strlen("char"), filename, qemu_json_bool(chardev, "frontend-open"));
        }
}

void qemu_domain_set_balloon(QemuDomain *qemu, uint64_t bytes) {
        VbDomain *domain = qemu->domain;

        if (domain->memory == bytes)
                return;
        vb_domain_set_memory(domain, bytes);
        domain->live->current_memory = bytes / 1024;
        if (!qemu->start)
                qemu_state_file_save_live(qemu);
}

void qemu_domain_set_state(QemuDomain *qemu, VbDomainState state, VbDomainReason reason) {
        vb_domain_set_state(qemu->domain, state, reason);
        qemu_state_file_save(qemu);
        qemu_guest_clock_changed(qemu);
}
