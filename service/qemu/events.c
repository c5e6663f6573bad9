/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/events.h"

#include <string.h>

#include "qemu/agent-link.h"
#include "qemu/command-device.h"
#include "qemu/crash-dump.h"
#include "qemu/json.h"
#include "qemu/monitor-watch.h"
#include "qemu/panic.h"
#include "qemu/power.h"
#include "qemu/save.h"
#include "qemu/start.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"
#include "qemu/threshold.h"
#include "qemu/vcpus.h"
#include "qemu/viewers.h"

#define WORD_MAX 128
#define PERIPHERAL "/machine/peripheral/"

static const char *get_string(VbJson *data, const char *key) {
        return qemu_json_string(data, key) ?: "";
}

/* What is passed on to everyone: a name or word of the emulator's, or nothing. It may be a guest's creature by now, and has no stage here. */
static const char *get_word(VbJson *data, const char *key) {
        const char *word = get_string(data, key);
        size_t n = strspn(word, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_.:+-");

        return n <= WORD_MAX && word[n] == '\0' ? word : "";
}

static VbLifecycleAction or_default(VbLifecycleAction action, VbLifecycleAction fallback) {
        return action == VB_LIFECYCLE_ABSENT ? fallback : action;
}

/* --- ends and restarts ---------------------------------------------------------------------------------------------- */

static bool is_restart(VbLifecycleAction action) {
        return action == VB_LIFECYCLE_RESTART || action == VB_LIFECYCLE_RENAME_RESTART || action == VB_LIFECYCLE_COREDUMP_RESTART;
}

/* What the definition wants when the guest is off or dead. */
static void act(QemuDomain *qemu, VbLifecycleAction action, VbDomainReason end_reason, VbDomainReason restart_reason) {
        if (is_restart(action))
                qemu_power_restart(qemu, restart_reason);
        else if (action != VB_LIFECYCLE_PRESERVE)
                qemu_stop_end(qemu, end_reason);
}

/* It has powered itself off, or would have been reset. One that boots anew at once was never off for anyone to see. */
static void act_on_off(QemuDomain *qemu, VbLifecycleAction action) {
        if (!is_restart(action))
                qemu_domain_set_state(qemu, VB_DOMAIN_SHUTDOWN, VB_REASON_USER);
        act(qemu, action, VB_REASON_SHUTDOWN, VB_REASON_BOOTED);
}

void qemu_events_guest_off(QemuDomain *qemu) {
        VbLifecycleAction action = or_default(qemu->domain->live->on_poweroff, VB_LIFECYCLE_DESTROY);

        act_on_off(qemu, qemu->reboot_by_shutdown ? VB_LIFECYCLE_RESTART : action);
}

static void act_on_crash(QemuDomain *qemu, VbLifecycleAction action) {
        act(qemu, action, VB_REASON_CRASHED, VB_REASON_CRASHED);
}

void qemu_events_guest_panicked(QemuDomain *qemu) {
        VbLifecycleAction action = or_default(qemu->domain->live->on_crash, VB_LIFECYCLE_DESTROY);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        qemu_domain_set_state(qemu, VB_DOMAIN_CRASHED, VB_REASON_PANICKED);
        if (action == VB_LIFECYCLE_COREDUMP_DESTROY || action == VB_LIFECYCLE_COREDUMP_RESTART) {
                if (qemu->crash_dump || qemu_crash_dump_begin(qemu, action, act_on_crash, &error) >= 0)
                        return;
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': no dump of its crash: %s", qemu->domain->name,
                                   error.message);
        }
        act_on_crash(qemu, action);
}

static void on_shutdown(QemuDomain *qemu, VbJson *data) {
        const char *reason = get_string(data, "reason");

        if (g_str_equal(reason, "host-signal") || g_str_equal(reason, "host-qmp-quit")) {
                /* It ends by itself now, whoever wanted that: systemctl, machinectl, or this daemon. */
                if (!qemu->ending) {
                        qemu->ending = true;
                        qemu->end_reason = VB_REASON_DESTROYED;
                        qemu_domain_set_state(qemu, VB_DOMAIN_SHUTDOWN, VB_REASON_UNKNOWN);
                }
                return;
        }
        if (g_str_equal(reason, "guest-reset") || g_str_equal(reason, "host-qmp-system-reset")) {
                /* on_reboot is not "restart": QEMU stands still instead of booting anew. */
                act_on_off(qemu, qemu->domain->live->on_reboot);
                return;
        }
        qemu_events_guest_off(qemu);
}

static void on_reset(QemuDomain *qemu, VbJson *data) {
        vb_domain1_emit_rebooted(&qemu->domain->object);
        /* Of one that restarts by itself, the next to be heard is that it runs. */
        if (qemu->resume_reason != VB_REASON_UNKNOWN)
                return;
        /* A guest that was off or dead, and was preserved, boots again. */
        if (qemu->domain->state == VB_DOMAIN_SHUTDOWN || qemu->domain->state == VB_DOMAIN_CRASHED)
                qemu_domain_set_state(qemu, VB_DOMAIN_PAUSED, VB_REASON_UNKNOWN);
}

static void on_panicked(QemuDomain *qemu, VbJson *data) {
        g_autofree char *details = qemu_panic_describe(qemu_json_object(data, "info"));

        vb_log_notice_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': the guest has panicked%s%s", qemu->domain->name, details ? ": " : "",
                          details ?: "");
        qemu_events_guest_panicked(qemu);
}

static void on_crash_loaded(QemuDomain *qemu, VbJson *data) {
        vb_domain1_emit_crash_loaded(&qemu->domain->object);
}

/* --- vCPUs on and off ---------------------------------------------------------------------------------------------- */

static void on_stop(QemuDomain *qemu, VbJson *data) {
        VbDomainReason reason = qemu->pause_reason == VB_REASON_UNKNOWN ? VB_REASON_USER : qemu->pause_reason;

        qemu->pause_reason = VB_REASON_UNKNOWN;
        /* In the other states the vCPUs stand still as it is, and between power-off and reset nobody need notice. */
        if (qemu->domain->state == VB_DOMAIN_RUNNING && qemu->resume_reason == VB_REASON_UNKNOWN)
                qemu_domain_set_state(qemu, VB_DOMAIN_PAUSED, reason);
}

static void on_resume(QemuDomain *qemu, VbJson *data) {
        VbDomainReason reason = qemu->resume_reason == VB_REASON_UNKNOWN ? VB_REASON_UNPAUSED : qemu->resume_reason;

        qemu->resume_reason = VB_REASON_UNKNOWN;
        qemu->goes_on = false;
        if (qemu->domain->state != VB_DOMAIN_RUNNING || reason != VB_REASON_UNPAUSED)
                qemu_domain_set_state(qemu, VB_DOMAIN_RUNNING, reason);
        /* Resume takes them before; a "cont" that somebody else gives the emulator does not. */
        qemu_take_leases_again(qemu);
}

static void on_suspend(QemuDomain *qemu, VbJson *data) {
        qemu_domain_set_state(qemu, VB_DOMAIN_PMSUSPENDED, VB_REASON_UNKNOWN);
}

static void on_suspend_disk(QemuDomain *qemu, VbJson *data) {
        vb_domain1_emit_suspended_to_disk(&qemu->domain->object);
}

static void on_wakeup(QemuDomain *qemu, VbJson *data) {
        qemu_domain_set_state(qemu, VB_DOMAIN_RUNNING, VB_REASON_WAKEUP);
}

static void on_watchdog(QemuDomain *qemu, VbJson *data) {
        const char *action = get_word(data, "action");

        if (g_str_equal(action, "pause"))
                qemu->pause_reason = VB_REASON_WATCHDOG;
        vb_domain1_emit_watchdog_fired(&qemu->domain->object, action);
}

/* --- storage -------------------------------------------------------------------------------------------------------- */

/* QEMU names a disk by its device's id, by the path of that in its tree of objects, or by the uppermost node of its images. */
static bool is_named(const VbDisk *disk, const char *id) {
        const char *alias = disk->info.alias ?: "";
        char node[QEMU_NODE_NAME_SIZE];

        if (id[0] == '\0' || alias[0] == '\0')
                return false;
        if (g_str_has_prefix(id, PERIPHERAL)) {
                const char *name = id + strlen(PERIPHERAL);
                size_t n = strcspn(name, "/");

                return strlen(alias) == n && strncmp(name, alias, n) == 0;
        }
        qemu_disk_top_node(disk, node);
        return g_str_equal(id, alias) || g_str_equal(id, node);
}

static VbDisk *find_disk(const QemuDomain *qemu, VbJson *data) {
        static const char *const keys[] = { "qom-path", "id", "device", "node-name" };
        const VbDomainDefinition *live = qemu->domain->live;

        for (size_t i = 0; i < live->disks.n; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(keys); j++)
                        if (is_named(live->disks.items[i], get_string(data, keys[j])))
                                return live->disks.items[i];
        return NULL;
}

static void on_io_error(QemuDomain *qemu, VbJson *data) {
        const VbDisk *disk = find_disk(qemu, data);
        const char *action = get_word(data, "action");

        if (g_str_equal(action, "stop")) {
                qemu->pause_reason = VB_REASON_IOERROR;
                action = "pause";
        } else if (g_str_equal(action, "ignore"))
                action = "none";
        vb_domain1_emit_io_error(&qemu->domain->object, disk ? disk->info.alias : "", action,
                                 qemu_json_bool(data, "nospace") ? "enospc" : "");
}

static void on_tray_moved(QemuDomain *qemu, VbJson *data) {
        VbDisk *disk = find_disk(qemu, data);
        bool open = qemu_json_bool(data, "tray-open");

        if (!disk)
                return;
        disk->tray = open ? VB_DISK_TRAY_OPEN : VB_DISK_TRAY_ABSENT;
        qemu_state_file_save_live(qemu);
        vb_domain1_emit_tray_changed(&qemu->domain->object, disk->info.alias, open);
}

/* --- devices -------------------------------------------------------------------------------------------------------- */

/* A device without an id is none of the definition's. */
static void on_device_deleted(QemuDomain *qemu, VbJson *data) {
        const char *device = get_word(data, "device");

        if (device[0] != '\0' && !qemu_vcpus_handle_gone(qemu, device))
                vb_domain1_emit_device_removed(&qemu->domain->object, device);
}

static void on_unplug_refused(QemuDomain *qemu, VbJson *data) {
        const char *device = get_word(data, "device");

        if (device[0] != '\0' && !qemu_vcpus_handle_refused(qemu, device))
                vb_domain1_emit_device_removal_failed(&qemu->domain->object, device);
}

static void on_ost(QemuDomain *qemu, VbJson *data) {
        qemu_vcpus_handle_ost(qemu, qemu_json_object(data, "info"));
}

static void on_memory_failure(QemuDomain *qemu, VbJson *data) {
        VbJson *flags = qemu_json_object(data, "flags");

        vb_domain1_emit_memory_failed(&qemu->domain->object, get_word(data, "recipient"), get_word(data, "action"),
                                      qemu_json_bool(flags, "action-required"), qemu_json_bool(flags, "recursive"));
}

/* --- displays -------------------------------------------------------------------------------------------------------- */

/* Who connects, and from where, is not for everyone: it is asked for. */
static void tell_display(QemuDomain *qemu, VbJson *data, const char *type, const char *phase) {
        vb_domain1_emit_display_client(&qemu->domain->object, type, phase, get_word(qemu_json_object(data, "server"), "auth"),
                                       qemu_viewers_note(&qemu->viewers, data));
}

static void on_vnc_connected(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "vnc", "connected");
}

static void on_vnc_initialized(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "vnc", "initialized");
}

static void on_vnc_disconnected(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "vnc", "disconnected");
}

static void on_spice_connected(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "spice", "connected");
}

static void on_spice_initialized(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "spice", "initialized");
}

static void on_spice_disconnected(QemuDomain *qemu, VbJson *data) {
        tell_display(qemu, data, "spice", "disconnected");
}

/* --- the rest ------------------------------------------------------------------------------------------------------- */

static void on_balloon_change(QemuDomain *qemu, VbJson *data) {
        int64_t actual = qemu_json_number(data, "actual", -1);

        if (actual > 0)
                qemu_domain_set_balloon(qemu, (uint64_t) actual);
}

/* The emulator tells how far the guest's clock is from where it started it. If the definition says how far it starts from the host's, the live
 * one says so now of where it is, and whoever wants it to last defines that. */
static void on_rtc_change(QemuDomain *qemu, VbJson *data) {
        VbClock *clock = &qemu->domain->live->clock;
        int64_t offset = qemu_json_number(data, "offset", 0);

        if (clock->offset == VB_CLOCK_OFFSET_VARIABLE && !__builtin_add_overflow(offset, qemu->clock_adjustment, &offset)) {
                int32_t adjustment = (int32_t) CLAMP(offset, INT32_MIN, INT32_MAX);

                clock->adjustment = (VbOptInt) VB_OPT(adjustment);
                qemu_state_file_save_live(qemu);
        }
        vb_domain1_emit_clock_changed(&qemu->domain->object, offset);
}

static void on_port_change(QemuDomain *qemu, VbJson *data) {
        qemu_agent_port_changed(qemu, get_string(data, "id"), qemu_json_bool(data, "open"));
}

/* Saving, dumping and restoring look anew how far they are. */
static void on_save_event(QemuDomain *qemu, VbJson *data) {
        if (qemu->start)
                qemu_start_handle_migration(qemu->start);
        else if (qemu->save)
                qemu_save_handle_event(qemu->save);
}

static void on_pass(QemuDomain *qemu, VbJson *data) {
        int64_t pass = qemu_json_number(data, "pass", 0);

        if (qemu->save && pass > 0 && pass <= INT32_MAX)
                vb_domain1_emit_job_iterated(&qemu->domain->object, (uint32_t) pass);
}

static const struct {
        const char *name;
        void (*handle)(QemuDomain *qemu, VbJson *data);
        bool also_at_start; /* matters while the guest is being started */
        bool also_at_end;   /* … while it is being ended */
} handlers[] = {
        { "ACPI_DEVICE_OST", on_ost, false, false },
        { "BALLOON_CHANGE", on_balloon_change, true, false },
        { "BLOCK_IO_ERROR", on_io_error, true, false },
        { "BLOCK_WRITE_THRESHOLD", qemu_threshold_exceeded, true, false },
        { "DEVICE_DELETED", on_device_deleted, false, false },
        { "DEVICE_TRAY_MOVED", on_tray_moved, true, false },
        { "DEVICE_UNPLUG_GUEST_ERROR", on_unplug_refused, false, false },
        { "DUMP_COMPLETED", on_save_event, false, false },
        { "GUEST_CRASHLOADED", on_crash_loaded, false, false },
        { "GUEST_PANICKED", on_panicked, false, false },
        { "MEMORY_FAILURE", on_memory_failure, false, false },
        { "MEM_UNPLUG_ERROR", on_unplug_refused, false, false },
        { "MIGRATION", on_save_event, true, false },
        { "MIGRATION_PASS", on_pass, false, false },
        { "RESET", on_reset, false, false },
        { "RESUME", on_resume, false, false },
        { "RTC_CHANGE", on_rtc_change, true, false },
        { "SHUTDOWN", on_shutdown, false, true },
        { "SPICE_CONNECTED", on_spice_connected, true, false },
        { "SPICE_DISCONNECTED", on_spice_disconnected, true, true },
        { "SPICE_INITIALIZED", on_spice_initialized, true, false },
        { "STOP", on_stop, false, false },
        { "SUSPEND", on_suspend, false, false },
        { "SUSPEND_DISK", on_suspend_disk, false, false },
        { "VNC_CONNECTED", on_vnc_connected, true, false },
        { "VNC_DISCONNECTED", on_vnc_disconnected, true, true },
        { "VNC_INITIALIZED", on_vnc_initialized, true, false },
        { "VSERPORT_CHANGE", on_port_change, true, false },
        { "WAKEUP", on_wakeup, false, false },
        { "WATCHDOG", on_watchdog, true, false },
};

void qemu_events_handle(QmpMonitor *monitor, const char *name, VbJson *data, uint64_t timestamp_usec, void *userdata) {
        QemuDomain *qemu = userdata;

        qemu_monitor_watches_tell(qemu->watches, name, data, timestamp_usec);
        for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++) {
                if (!g_str_equal(handlers[i].name, name))
                        continue;
                if ((qemu->start && !handlers[i].also_at_start) || (qemu->ending && !handlers[i].also_at_end))
                        return;
                handlers[i].handle(qemu, data);
                return;
        }
}
