/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/go-on.h"

#include "base/error.h"
#include "hypervisor/define.h"
#include "hypervisor/hypervisor.h"
#include "qemu/domain.h"
#include "qemu/json.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(60) * 1000000)
#define AGAIN_USEC (UINT64_C(100) * 1000)

struct QemuGoOn {
        QemuDomain *qemu;
        uint64_t command;         /* the one whose answer is waited for, 0: none */
        sd_event_source *again;   /* until the emulator has let go of the guest's memory */
};

static void ask_migration(QemuGoOn *go_on);

static void end(QemuGoOn *go_on, int r, const sd_bus_error *error) {
        QemuDomain *qemu = go_on->qemu;
        VbDomain *domain = qemu->domain;

        if (r < 0)
                vb_log_error_for(VB_DOMAIN_LOG(domain), "domain '%s': its save was cut short, and it does not go on: %s",
                                 domain->name, error->message);
        qemu->going_on = qemu_go_on_free(go_on);
        vb_domain_finish(domain, r, error);
}

static void on_continued(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuGoOn *go_on = userdata;

        go_on->command = 0;
        end(go_on, reply->r, reply->r < 0 ? &reply->error : NULL);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuGoOn *go_on = userdata;

        go_on->again = sd_event_source_disable_unref(go_on->again);
        if (go_on->qemu->monitor)
                ask_migration(go_on);
        return 0;
}

static void ask_later(QemuGoOn *go_on) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_event_add_time_relative(qemu_driver_event(go_on->qemu->driver), &go_on->again, CLOCK_MONOTONIC, AGAIN_USEC,
                                       /* accuracy= */ 0, on_again, go_on);
        if (r < 0)
                end(go_on, r, (sd_bus_error_set_errno(&error, r), &error));
}

static bool is_one_of(const char *status, const char *const *words) {
        return status && g_strv_contains(words, status);
}

static void on_dump(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        static const char *const busy[] = { "active", NULL };
        QemuGoOn *go_on = userdata;

        go_on->command = 0;
        if (reply->r >= 0 && is_one_of(qemu_json_string(reply->result, "status"), busy)) {
                ask_later(go_on);
                return;
        }
        go_on->qemu->resume_reason = VB_REASON_SAVE_CANCELED;
        go_on->command = qmp_monitor_send(monitor, "cont", NULL, on_continued, go_on, COMMAND_TIMEOUT_USEC);
}

static void on_migration(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        static const char *const busy[] = { "setup", "cancelling", "active", "pre-switchover", "device", "wait-unplug", NULL };
        QemuGoOn *go_on = userdata;

        go_on->command = 0;
        if (reply->r >= 0 && is_one_of(qemu_json_string(reply->result, "status"), busy))
                ask_later(go_on);
        else
                go_on->command = qmp_monitor_send(monitor, "query-dump", NULL, on_dump, go_on, COMMAND_TIMEOUT_USEC);
}

static void ask_migration(QemuGoOn *go_on) {
        go_on->command = qmp_monitor_send(go_on->qemu->monitor, "query-migrate", NULL, on_migration, go_on, COMMAND_TIMEOUT_USEC);
}

static void stop_writing(QemuGoOn *go_on) {
        /* It does nothing where nothing is written. */
        (void) qmp_monitor_send(go_on->qemu->monitor, "migrate_cancel", NULL, NULL, NULL, COMMAND_TIMEOUT_USEC);
        ask_migration(go_on);
}

static void on_save_removed(int r, void *userdata) {
        QemuGoOn *go_on = userdata;
        VbDomain *domain = go_on->qemu->domain;

        if (r < 0) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                /* A guest that stands still loses nothing; one that ran on could be started from its past. */
                end(go_on, r, (sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED, "its managed save cannot be removed: %s",
                                                 g_strerror(-r)), &error));
                return;
        }
        vb_domain_set_managed_save(domain, false);
        if (go_on->qemu->monitor)
                stop_writing(go_on);
}

void qemu_go_on(QemuDomain *qemu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *domain = qemu->domain;
        g_autofree char *path = NULL;
        QemuGoOn *go_on;

        if (qemu->going_on)
                return;
        if (vb_domain_begin(domain, "going on after a save that was cut short", NULL, NULL, &error) < 0) {
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s", error.message);
                return;
        }
        vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': saving it was cut short; it goes on", domain->name);

        go_on = qemu->going_on = g_new(QemuGoOn, 1);
        *go_on = (QemuGoOn){ .qemu = qemu };
        if (!domain->has_managed_save) {
                stop_writing(go_on);
                return;
        }
        path = vb_domain_managed_save_path(domain);
        vb_writer_unlink(domain->hypervisor->writer, path, on_save_removed, go_on);
}

QemuGoOn *qemu_go_on_free(QemuGoOn *go_on) {
        if (!go_on)
                return NULL;

        if (go_on->command && go_on->qemu->monitor)
                qmp_monitor_forget(go_on->qemu->monitor, go_on->command);
        vb_writer_forget(go_on->qemu->driver->hypervisor->writer, go_on);
        go_on->again = sd_event_source_disable_unref(go_on->again);
        g_free(go_on);
        return NULL;
}
