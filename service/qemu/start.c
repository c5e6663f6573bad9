/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/start.h"

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "qemu/guest-clock.h"
#include "qemu/leave.h"
#include "qemu/logs.h"
#include "qemu/start-private.h"
#include "qemu/state-file.h"

#define SECONDS(n) (UINT64_C(n) * 1000000)

/* The limits are for what has gone wrong; a guest on a busy host is given time. */
static const VbStep steps[] = {
        { "prepare", qemu_start_prepare, qemu_start_prepare_undo, SECONDS(30) },
        { "capabilities", qemu_start_capabilities, NULL, SECONDS(60) },
        { "open", qemu_start_open, NULL, SECONDS(40) },
        { "claim", qemu_start_claim, qemu_start_claim_undo, SECONDS(10) }, /* undone when the process is gone */
        { "plug", qemu_start_plug, qemu_start_plug_undo, SECONDS(30) },
        { "log", qemu_start_logs, NULL, SECONDS(20) },
        { "command", qemu_start_command, NULL, SECONDS(30) },
        { "TPM", qemu_start_tpm, qemu_start_tpm_undo, 0 },
        { "spawn", qemu_start_spawn, qemu_start_spawn_undo, 0 },
        { "lease", qemu_start_lease, NULL, 0 }, /* a lock manager has its own limit */
        { "scope", qemu_start_scope, qemu_start_scope_undo, SECONDS(20) },
        { "greet", qemu_start_greet, NULL, SECONDS(60) },
        { "set up", qemu_start_set_up, NULL, SECONDS(60) },
        { "load", qemu_start_load, NULL, 0 },
        { "remove the saved state", qemu_start_remove_saved, NULL, 0 },
        { "run", qemu_start_run, NULL, SECONDS(30) },
};

static void on_succeeded(QemuStart *start) {
        QemuDomain *qemu = start->qemu;
        VbDomain *domain = qemu->domain;

        if (start->options.paused)
                vb_domain_set_state(domain, VB_DOMAIN_PAUSED, start->options.paused_by_state ? VB_REASON_RESTORED : VB_REASON_USER);
        else
                vb_domain_set_state(domain, VB_DOMAIN_RUNNING, start->options.restore ? VB_REASON_RESTORED : VB_REASON_BOOTED);
        qemu->progress = QEMU_PROGRESS_RUNNING;
        qemu_state_file_save_live(qemu);
        qemu_state_file_save(qemu);
        if (start->options.restore && domain->hypervisor->host.start_sync_time)
                qemu_guest_clock_catch_up(qemu);

        if (start->job)
                vb_domain_tell_job(domain, 0, NULL);
        qemu->start = qemu_start_free(start);
        vb_domain_finish(domain, 0, NULL);
}

static void on_done(VbOperation *operation, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        bool canceled = start->canceled;

        if (r >= 0) {
                on_succeeded(start);
                return;
        }

        (void) sd_bus_error_copy(&kept, error);
        if (start->job)
                vb_domain_tell_job(qemu->domain, r, &kept);
        qemu_domain_reset(qemu); /* frees the start, and with it error */
        vb_domain_stopped(qemu->domain, canceled ? VB_REASON_DESTROYED : VB_REASON_FAILED, r, &kept);
}

int qemu_start(VbDomain *domain, const VbStartOptions *options, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);
        g_autofree char *title = g_strdup_printf("start domain '%s'", domain->name);
        QemuStart *start = g_new(QemuStart, 1);
        const VbOperationSpec spec = {
                .title = title,
                .object = domain->name,
                .uuid = domain->uuid_string,
                .steps = steps,
                .n_steps = G_N_ELEMENTS(steps),
                .done = on_done,
                .userdata = start,
        };
        int r;

        *start = (QemuStart){
                .qemu = qemu,
                .options = *options,
                .uid = (uid_t) -1,
                .gid = (gid_t) -1,
                .log_fd = -EBADF,
                .state_fd = -EBADF,
        };
        qemu->start = start;
        r = qemu_start_prepare_restore(start, reterr);
        if (r < 0) {
                qemu->start = qemu_start_free(start);
                return r;
        }
        r = vb_operation_start(&start->operation, qemu_driver_event(qemu->driver), &spec);
        if (r < 0) {
                qemu->start = qemu_start_free(start);
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot %s: %s", title, g_strerror(-r));
        }
        return 0;
}

void qemu_start_cancel(QemuStart *start) {
        start->canceled = true;
        vb_operation_cancel(start->operation, "it was destroyed");
}

QemuStart *qemu_start_free(QemuStart *start) {
        if (!start)
                return NULL;

        (void) vb_operation_free(start->operation);
        (void) vb_worker_free(start->worker);
        (void) qemu_capabilities_request_free(start->capabilities_request);
        (void) vb_open_request_free(start->open_request);
        (void) vb_machine_call_free(start->machine_call);
        start->words_slot = sd_bus_slot_unref(start->words_slot);
        (void) qemu_logs_free(start->logs);
        qemu_leave_forget(start->qemu->driver, start);
        (void) qemu_command_free(start->command);
        (void) qemu_resources_free(start->resources);
        qemu_start_forget_restore(start);
        start->log_fd = vb_close(start->log_fd);
        g_free(start->ifindexes);
        g_free(start);
        return NULL;
}
