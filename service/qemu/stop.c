/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/stop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/file.h"
#include "qemu/last-words.h"
#include "qemu/leave.h"
#include "qemu/plug.h"
#include "qemu/start.h"
#include "qemu/state-file.h"
#include "qemu/tpm.h"

/* An emulator that is asked to end flushes its caches first, which takes milliseconds, unless it hangs. */
#define KILL_AFTER_USEC (UINT64_C(1000) * 1000)

static void tell_process(QemuDomain *qemu, int signal) {
        int r = vb_process_kill(qemu->process, signal);

        if (r < 0 && r != -ESRCH)
                vb_log_error_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': cannot send signal %d to the emulator: %s",
                                 qemu->domain->name, signal, g_strerror(-r));
}

static int on_hanging(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuDomain *qemu = userdata;

        vb_log_notice_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': the emulator does not end by itself and is killed",
                          qemu->domain->name);
        tell_process(qemu, SIGKILL);
        return 0;
}

static void kill_later(QemuDomain *qemu) {
        int r;

        if (qemu->kill_timer)
                return;
        r = sd_event_add_time_relative(qemu_driver_event(qemu->driver), &qemu->kill_timer, CLOCK_MONOTONIC, KILL_AFTER_USEC,
                                       /* accuracy= */ 0, on_hanging, qemu);
        if (r < 0)
                tell_process(qemu, SIGKILL);
}

/* Repeating it does no harm: the process is told once more, and the first reason stays. */
static void end_process(QemuDomain *qemu, VbDomainReason reason, bool graceful) {
        if (!qemu->ending) {
                qemu->ending = true;
                qemu->end_reason = reason;
        }
        if (!qemu->process)
                return; /* it has ended, and the rest is being cleaned up */

        tell_process(qemu, SIGTERM);
        if (!graceful)
                kill_later(qemu);
}

void qemu_stop_end(QemuDomain *qemu, VbDomainReason reason) {
        end_process(qemu, reason, /* graceful= */ false);
}

void qemu_stop_end_as_wanted(QemuDomain *qemu, VbDomainReason reason) {
        qemu->end_wanted = true;
        qemu_stop_end(qemu, reason);
}

int qemu_destroy(VbDomain *domain, bool graceful, sd_bus_error *reterr) {
        QemuDomain *qemu = qemu_domain_of(domain);

        if (qemu->start)
                qemu_start_cancel(qemu->start);
        else
                end_process(qemu, VB_REASON_DESTROYED, graceful);
        return 0;
}

/* What the TPM of a transient guest knows goes with it, unless its definition wants it kept. */
static bool tpm_state_is_left(const VbDomain *domain) {
        return !domain->config && domain->live && domain->live->tpms.n > 0 &&
               domain->live->tpms.items[0]->persistent_state != VB_TRISTATE_YES;
}

/* Nothing of the guest is left. */
static void stopped(QemuDomain *qemu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *domain = qemu->domain;
        VbDomainReason reason = qemu->end_reason;
        bool wanted = qemu->end_wanted && domain->operation;
        g_autofree char *run_dir = g_steal_pointer(&qemu->run_dir);
        int r;

        if (tpm_state_is_left(domain))
                qemu_tpm_forget(domain);
        r = run_dir ? vb_remove_tree(AT_FDCWD, run_dir) : 0;
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': cannot remove '%s': %s", domain->name, run_dir,
                                   g_strerror(-r));
        qemu_domain_reset(qemu);

        /* Whatever else was being done to the guest ends with it. */
        r = wanted ? 0
                   : sd_bus_error_setf(&error, VB_ERROR_CANCELED, "domain '%s': the guest has ended (%s)", domain->name,
                                       vb_domain_reason_to_string(reason));
        vb_domain_stopped(domain, reason, r, r < 0 ? &error : NULL);
}

static void end_tpm(QemuDomain *qemu) {
        if (!qemu_tpm_end(qemu))
                stopped(qemu);
}

void qemu_stop_tpm_exited(QemuDomain *qemu) {
        if (qemu->waits_for_tpm)
                stopped(qemu);
}

static void on_unplugged(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuDomain *qemu = userdata;

        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': %s", qemu->domain->name, error->message);
        end_tpm(qemu);
}

/* Waited for, so that the names are free when the guest may be started again. */
static void unplug(QemuDomain *qemu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = qemu_plugs_disconnect(&qemu->unplug, qemu_driver_event(qemu->driver), qemu->domain->live, on_unplugged, qemu, &error);
        if (r > 0)
                return;
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': its network interfaces stay: %s",
                                   qemu->domain->name, error.message);
        end_tpm(qemu);
}

static void on_left(void *userdata) {
        unplug(userdata);
}

static void leave(QemuDomain *qemu) {
        if (!qemu_leave_machine(qemu, on_left, qemu))
                unplug(qemu);
}

static void on_released(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        QemuDomain *qemu = userdata;

        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "%s", error->message);
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        leave(qemu);
}

/* The lock manager finds out by itself that the process is gone. It is told nevertheless, and first of all, so that whoever hears of the end can
 * have what the guest had, on another host, too. */
void qemu_stop_clean_up(QemuDomain *qemu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        r = vb_lock_release(&qemu->lock_call, qemu->domain, on_released, qemu, &error);
        if (r < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "%s", error.message);
        if (r <= 0)
                leave(qemu);
}

/* What the end of an emulator means that nobody has asked to end. */
static VbDomainReason interpret(const VbProcessExit *exit) {
        switch (exit->code) {
        case CLD_EXITED:
                return exit->status == 0 ? VB_REASON_SHUTDOWN : VB_REASON_FAILED;
        case CLD_KILLED:
        case CLD_DUMPED:
                return VB_REASON_CRASHED;
        default:
                return VB_REASON_CRASHED; /* not our child: no event has announced its end, so it came unexpectedly */
        }
}

typedef struct Unexpected {
        char *name, *uuid, *how;
} Unexpected;

static void unexpected_free(void *data) {
        Unexpected *end = data;

        g_free(end->name);
        g_free(end->uuid);
        g_free(end->how);
        g_free(end);
}

static void on_words(const char *words, void *userdata) {
        const Unexpected *end = userdata;

        vb_log_warning_for(VB_LOG_FIELDS(.domain = end->name, .uuid = end->uuid), "domain '%s': the emulator %s%s", end->name, end->how, words);
}

/* The guest is not kept for that: all that is to be said goes along. */
static void tell_unexpected(const QemuDomain *qemu, const VbProcessExit *exit) {
        Unexpected *end = g_new(Unexpected, 1);

        *end = (Unexpected){
                .name = g_strdup(qemu->domain->name),
                .uuid = g_strdup(qemu->domain->uuid_string),
                .how = vb_process_exit_to_string(exit),
        };
        qemu_last_words_ask(qemu, on_words, end, unexpected_free, /* ret_slot= */ NULL);
}

void qemu_stop_on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        QemuDomain *qemu = userdata;
        VbProcessExit how = *exit;

        if (qemu->start) {
                qemu_start_process_exited(qemu->start, exit);
                return;
        }

        if (!qemu->ending) {
                qemu->ending = true;
                qemu->end_reason = interpret(&how);
                if (qemu->end_reason != VB_REASON_SHUTDOWN)
                        tell_unexpected(qemu, &how);
        }
        qemu->kill_timer = sd_event_source_disable_unref(qemu->kill_timer);
        qemu->process = vb_process_free(qemu->process);
        qemu->monitor = qmp_monitor_free(qemu->monitor);
        qemu_stop_clean_up(qemu);
}
