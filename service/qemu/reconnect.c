/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/reconnect.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "qemu/domain.h"
#include "qemu/events.h"
#include "qemu/go-on.h"
#include "qemu/guest-clock.h"
#include "qemu/iothreads.h"
#include "qemu/json.h"
#include "qemu/plug.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"
#include "qemu/vcpus.h"
#include "qemu/tpm.h"

#define QUERY_TIMEOUT_USEC (UINT64_C(60) * 1000000)

/* --- the monitor answers: what has happened meanwhile -------------------------------------------------------------- */

/* QEMU's run states, and what they mean of a guest that was running when last heard of. */
static const struct {
        const char *status;
        VbDomainState state;
        VbDomainReason reason;
} statuses[] = {
        { "running", VB_DOMAIN_RUNNING, VB_REASON_UNPAUSED },
        { "paused", VB_DOMAIN_PAUSED, VB_REASON_UNKNOWN },
        { "prelaunch", VB_DOMAIN_PAUSED, VB_REASON_USER },
        { "io-error", VB_DOMAIN_PAUSED, VB_REASON_IOERROR },
        { "watchdog", VB_DOMAIN_PAUSED, VB_REASON_WATCHDOG },
        { "suspended", VB_DOMAIN_PMSUSPENDED, VB_REASON_UNKNOWN },
        { "postmigrate", VB_DOMAIN_PAUSED, VB_REASON_MIGRATION },
        { "save-vm", VB_DOMAIN_PAUSED, VB_REASON_SAVE },
        { "debug", VB_DOMAIN_PAUSED, VB_REASON_UNKNOWN },
        { "internal-error", VB_DOMAIN_PAUSED, VB_REASON_UNKNOWN },
};

static void on_status(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;
        const char *status = reply->r < 0 ? NULL : qemu_json_string(reply->result, "status");

        if (!status)
                return;
        /* Also if the last daemon knew: what it then began to do about it may have been cut short. */
        if (g_str_equal(status, "shutdown")) {
                qemu_events_guest_off(qemu);
                return;
        }
        if (g_str_equal(status, "guest-panicked")) {
                qemu_events_guest_panicked(qemu);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
                /* The same state as before keeps its reason. */
                if (g_str_equal(statuses[i].status, status) && statuses[i].state != qemu->domain->state)
                        qemu_domain_set_state(qemu, statuses[i].state, statuses[i].reason);
}

static void on_balloon(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        int64_t actual = reply->r < 0 ? -1 : qemu_json_number(reply->result, "actual", -1);

        if (actual > 0)
                qemu_domain_set_balloon(userdata, (uint64_t) actual);
}

static void on_vcpus(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        if (reply->r >= 0)
                qemu_vcpus_take(userdata, reply->result);
}

static void on_iothreads(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        if (reply->r >= 0)
                qemu_iothreads_take(userdata, reply->result);
}

static void on_chardevs(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        if (reply->r >= 0)
                qemu_domain_take_chardevs(userdata, reply->result);
}

static void on_ready(QemuDomain *qemu) {
        QmpMonitor *monitor = qemu->monitor;

        (void) qmp_monitor_send(monitor, "query-chardev", NULL, on_chardevs, qemu, QUERY_TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "query-cpus-fast", NULL, on_vcpus, qemu, QUERY_TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "query-iothreads", NULL, on_iothreads, qemu, QUERY_TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "query-balloon", NULL, on_balloon, qemu, QUERY_TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "query-status", NULL, on_status, qemu, QUERY_TIMEOUT_USEC);
        if (qemu->goes_on)
                qemu_go_on(qemu);
        if (qemu->clock)
                qemu_guest_clock_changed(qemu);
}

/* --- what the run folder says --------------------------------------------------------------------------------------- */

/* The domain of a running guest; a transient one is made anew from its live definition. */
static int find_domain(QemuDriver *driver, const VbUuid *uuid, const VbDomainDefinition *live, uid_t owner, VbDomain **ret,
                       sd_bus_error *reterr) {
        VbRegistry *registry = driver->hypervisor->registry;
        g_autoptr(VbDomain) domain = NULL;
        int r;

        *ret = vb_registry_find(registry, uuid);
        if (*ret)
                return 0;
        r = vb_domain_new(&domain, driver->hypervisor, uuid, live->name, owner);
        if (r < 0)
                return r;
        r = vb_registry_add(registry, domain, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&domain);
        return 0;
}

static void take_state(QemuDomain *qemu, QemuState *state) {
        qemu->run_dir = qemu_domain_run_dir(qemu->domain);
        qemu->uid = state->uid;
        qemu->progress = state->progress;
        qemu->machine = g_strdup(state->machine);
        qemu->unit = g_strdup(state->unit);
        qemu->log_path = g_strdup(state->log_path);
        qemu->log_is_daemons = state->log_is_daemons;
        qemu->clock_adjustment = state->clock_adjustment;
        qemu->reboot_by_shutdown = state->reboot_by_shutdown;
        qemu->goes_on = state->goes_on;
        vb_domain_set_agent_timeout(qemu->domain, state->agent_timeout_usec);
        if (state->clock_behind)
                qemu_guest_clock_remember(qemu);
        /* They are held by the process: nobody need be asked. */
        qemu->domain->claims = g_steal_pointer(&state->claims);
}

/* What it was doing when last heard of. */
static void take_domain_state(VbDomain *domain, const QemuState *state) {
        if (state->progress == QEMU_PROGRESS_STARTING)
                vb_domain_set_state(domain, VB_DOMAIN_PAUSED, VB_REASON_STARTING_UP);
        else if (state->state == VB_DOMAIN_RUNNING && state->suspend_reason == VB_REASON_HOST_SLEEP)
                /* Whether it has come to that, the monitor will tell; it is to be resumed in any case. */
                vb_domain_set_state(domain, VB_DOMAIN_PAUSED, VB_REASON_HOST_SLEEP);
        else if (vb_domain_state_is_active(state->state))
                vb_domain_set_state(domain, state->state, state->reason);
        else
                vb_domain_set_state(domain, VB_DOMAIN_PAUSED, VB_REASON_UNKNOWN);
}

static int on_gone(sd_event_source *source, void *userdata) {
        QemuDomain *qemu = userdata;

        qemu->kill_timer = sd_event_source_disable_unref(qemu->kill_timer);
        qemu_stop_clean_up(qemu);
        return 0;
}

/* The emulator has ended while nobody looked: what is left of the guest is cleaned up in the loop. A guest that powers off or
 * panics leaves its emulator standing still (-action), so what has gone altogether was killed, or has crashed. */
static int take_leave(QemuDomain *qemu) {
        qemu->ending = true;
        if (qemu->progress == QEMU_PROGRESS_STARTING)
                qemu->end_reason = VB_REASON_FAILED;
        else if (qemu->domain->state == VB_DOMAIN_SHUTDOWN)
                qemu->end_reason = VB_REASON_SHUTDOWN;
        else
                qemu->end_reason = VB_REASON_CRASHED;
        return sd_event_add_defer(qemu_driver_event(qemu->driver), &qemu->kill_timer, on_gone, qemu);
}

static int take_up(QemuDriver *driver, const VbUuid *uuid, QemuState *state, VbDomainDefinition *given,
                   sd_bus_error *reterr) {
        static const QemuMonitorWatch watch = { .ready = on_ready };
        g_autoptr(VbDomainDefinition) live = given;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu;
        VbDomain *domain;
        int r;

        r = find_domain(driver, uuid, live, state->owner, &domain, reterr);
        if (r < 0)
                return r;
        qemu = qemu_domain_of(domain);
        take_state(qemu, state);
        driver->hypervisor->last_id = MAX(driver->hypervisor->last_id, state->id);
        vb_domain_set_live(domain, g_steal_pointer(&live), state->id);
        take_domain_state(domain, state);

        r = state->tpm_pid > 0 ? qemu_tpm_adopt(qemu, state->tpm_pid, state->tpm_start_time) : 0;
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': cannot watch its TPM emulator: %s", domain->name,
                                   g_strerror(-r));
        r = vb_process_adopt(&qemu->process, qemu_driver_event(driver), state->pid, state->start_time, qemu_stop_on_exited,
                             qemu);
        if (r == -ESRCH)
                return take_leave(qemu);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot watch process %d: %s", state->pid,
                                         g_strerror(-r));

        if (state->progress == QEMU_PROGRESS_STARTING) {
                vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': undoing its start, which was cut short", domain->name);
                qemu_stop_end(qemu, VB_REASON_FAILED);
                return 0;
        }
        /* If even the socket is gone, it still can be destroyed. */
        if (qemu_domain_connect_monitor(qemu, &watch, &error) < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s", error.message);
        return 0;
}

/* A start that was cut short before there was a process; its network cards may have been plugged in. */
static int clear_up(const char *run_dir, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) live = NULL;
        int r;

        if (qemu_state_file_load_live(run_dir, &live, /* reterr= */ NULL) >= 0) {
                r = qemu_plugs_disconnect_now(live, reterr);
                if (r < 0)
                        return r;
        }
        r = vb_remove_tree(AT_FDCWD, run_dir);
        return r < 0 ? sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "%s", g_strerror(-r)) : 0;
}

static int reconnect(QemuDriver *driver, const char *run_dir, const char *label, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) live = NULL;
        g_autoptr(QemuState) state = NULL;
        VbUuid uuid;
        int r;

        r = vb_uuid_parse(label, &uuid);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "its name is no UUID");
        r = qemu_state_file_load(run_dir, &state);
        if (r == -ENOENT)
                return clear_up(run_dir, reterr);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "its state cannot be read: %s", g_strerror(-r));

        r = qemu_state_file_load_live(run_dir, &live, reterr);
        if (r < 0)
                return r;
        return take_up(driver, &uuid, state, g_steal_pointer(&live), reterr);
}

static bool has_guest(const VbUuid *uuid, void *userdata) {
        QemuDriver *driver = userdata;
        const VbDomain *domain = vb_registry_find(driver->hypervisor->registry, uuid);

        return domain && domain->live;
}

int qemu_reconnect_all(QemuDriver *driver) {
        const char *base = driver->hypervisor->run_dir;
        struct dirent *entry;
        DIR *dir;

        dir = opendir(base);
        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(dir))) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_autofree char *run_dir = g_build_filename(base, entry->d_name, NULL);

                if (entry->d_name[0] == '.' || !g_file_test(run_dir, G_FILE_TEST_IS_DIR))
                        continue;
                if (reconnect(driver, run_dir, entry->d_name, &error) < 0)
                        vb_log_error("'%s' is left alone: %s", run_dir, error.message);
        }
        closedir(dir);
        /* A session's daemon makes none. */
        if (!qemu_driver_is_session(driver))
                qemu_plugs_sweep(has_guest, driver);
        return 0;
}
