/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of a start from the process to the running guest. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "model/vcpus.h"
#include "qemu/agent-link.h"
#include "qemu/last-words.h"
#include "qemu/iothreads.h"
#include "qemu/leave.h"
#include "qemu/live.h"
#include "qemu/logs.h"
#include "qemu/resource-limits.h"
#include "qemu/start-private.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"
#include "qemu/tpm.h"
#include "qemu/vcpus.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(30) * 1000000)

/* --- the log ------------------------------------------------------------------------------------------------------- */

/* What an administrator needs to do the same by hand. Passwords are not in it: they go over the monitor. */
static void log_command(QemuStart *start) {
        g_autofree char *command = qemu_command_to_string(start->command), *text = NULL;
        char when[64] = "";
        struct tm tm;
        time_t now = time(NULL);

        if (gmtime_r(&now, &tm))
                (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
        text = g_strdup_printf("%s: starting\n%s\n", when, command);
        qemu_logs_write(start, text);
}

/* --- the end of a process before the guest runs ---------------------------------------------------------------------- */

typedef struct End {
        QemuStart *start;
        char *how; /* "the emulator exited with status 1" */
} End;

static void end_free(void *data) {
        End *end = data;

        g_free(end->how);
        g_free(end);
}

static void on_words(const char *words, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const End *end = userdata;
        int r;

        r = sd_bus_error_setf(&error, VB_ERROR_EMULATOR_FAILED, "domain '%s': %s%s", end->start->qemu->domain->name, end->how, words);
        vb_operation_step_done(end->start->operation, r, &error);
}

/* Takes over how. The first end is the one that is told. */
static void fail_with_words(QemuStart *start, char *how) {
        End *end = g_new(End, 1);

        *end = (End){ .start = start, .how = how };
        if (start->words_slot)
                end_free(end);
        else
                qemu_last_words_ask(start->qemu, on_words, end, end_free, &start->words_slot);
}

/* --- TPM: its emulator waits at the gate, too ---------------------------------------------------------------------- */

int qemu_start_tpm(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        const VbDomainDefinition *live = qemu_start_live(start);
        QemuSocket *channel;
        int r;

        if (live->tpms.n == 0)
                return VB_STEP_DONE;

        channel = qemu_resources_find_socket(start->resources, live->tpms.items[0]->info.alias);
        r = qemu_tpm_spawn(start->qemu, live->tpms.items[0],
                           &(QemuTpmSpec){ channel->peer_fd, start->log_fd, start->uid, start->gid }, reterr);
        /* Only the emulators have it: each learns of the other's end. */
        channel->peer_fd = vb_close(channel->peer_fd);
        return r < 0 ? r : VB_STEP_DONE;
}

int qemu_start_tpm_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;

        /* Its end is told to qemu_start_tpm_exited(). */
        if (!start->qemu->tpm || vb_process_kill(start->qemu->tpm, SIGKILL) < 0)
                return VB_STEP_DONE;
        return VB_STEP_PENDING;
}

void qemu_start_tpm_exited(QemuStart *start, const char *how) {
        if (vb_operation_is_undoing(start->operation)) {
                if (g_str_equal(vb_operation_get_step(start->operation)->name, "TPM"))
                        vb_operation_undo_done(start->operation, 0);
                return;
        }
        fail_with_words(start, g_strdup_printf("the TPM emulator %s", how));
}

/* --- spawn: a process that waits at the gate ---------------------------------------------------------------------------------------------- */

static void end_scope_step(QemuStart *start, int r, const sd_bus_error *error) {
        if (r < 0 || (start->executed && start->has_scope))
                vb_operation_step_done(start->operation, r, error);
}

static void on_executed(VbProcess *process, int r, const sd_bus_error *error, void *userdata) {
        QemuDomain *qemu = userdata;

        if (!qemu->start)
                return;
        qemu->start->executed = r >= 0;
        end_scope_step(qemu->start, r, error);
}

int qemu_start_spawn(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        bool session = qemu_driver_is_session(qemu->driver);
        VbProcessSpec spec;
        int r;

        log_command(start);

        spec = (VbProcessSpec){
                .path = start->command->argv[0],
                .argv = start->command->argv,
                .envp = start->command->envp,
                .out = { .kind = VB_STREAM_FD, .fd = start->log_fd },
                .err = { .kind = VB_STREAM_FD, .fd = start->log_fd },
                .keep_fds = start->command->fds,
                .n_keep_fds = start->command->n_fds,
                .change_user = !session,
                .uid = start->uid,
                .gid = start->gid,
                .drop_capabilities = !session,
                .no_new_privileges = true,
                .enroll = vb_lock_get_enroll(qemu->domain),
                .enroll_with = qemu->domain->claims ? vb_lock_manager_name(qemu->domain->claims->manager) : NULL,
                .gated = true,
                .new_session = true,
                .umask = 0077,
                .at_gate = qemu_start_at_gate,
                .started = on_executed,
                .exited = qemu_stop_on_exited,
                .userdata = qemu,
        };
        qemu->uid = session ? geteuid() : start->uid;
        r = vb_process_spawn(&qemu->process, qemu_driver_event(qemu->driver), &spec, reterr);
        return r < 0 ? r : VB_STEP_DONE;
}

int qemu_start_spawn_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;

        /* Its end is told to qemu_start_process_exited(). */
        return vb_process_kill(qemu->process, SIGKILL) < 0 ? VB_STEP_DONE : VB_STEP_PENDING;
}

void qemu_start_process_exited(QemuStart *start, const VbProcessExit *exit) {
        g_autofree char *how = NULL;

        if (vb_operation_is_undoing(start->operation)) {
                if (g_str_equal(vb_operation_get_step(start->operation)->name, "spawn"))
                        vb_operation_undo_done(start->operation, 0);
                return;
        }

        how = vb_process_exit_to_string(exit);
        fail_with_words(start, g_strdup_printf("the emulator %s", how));
}

/* --- scope: registered with machined, or the user's service manager, while the emulator already prepares itself ------ */

static int open_gate(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;
        int r;

        r = qemu->tpm ? vb_process_release(qemu->tpm) : 0;
        if (r >= 0)
                r = vb_process_release(qemu->process);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_EMULATOR_FAILED, "domain '%s': the emulator's process is gone: %s",
                                         qemu->domain->name, g_strerror(-r));
        return 0;
}

static void on_scope(VbMachineCall *call, int r, const char *unit, const sd_bus_error *error, void *userdata) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;

        start->machine_call = vb_machine_call_free(start->machine_call);
        qemu_leave_note_answer(qemu->driver, r != -ETIMEDOUT);
        if (r >= 0) {
                g_free(qemu->unit);
                qemu->unit = g_strdup(unit);
                qemu_state_file_save(qemu);
                start->has_scope = true;
        }
        end_scope_step(start, r, error);
}

/* machined tells the scope's name in its answer; in a session it follows from the guest's. */
static void name_machine(QemuDomain *qemu) {
        qemu->machine = vb_machine_name("qemu", (unsigned) qemu->domain->id, qemu->domain->name);
        if (qemu_driver_is_session(qemu->driver))
                qemu->unit = vb_machine_scope(qemu->machine);
}

static int ask_for_machine(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;
        const VbDomainDefinition *live = qemu_start_live(start);
        sd_bus *bus = vb_daemon_bus(qemu->driver->daemon);
        pid_t others[1] = { qemu->tpm ? vb_process_get_pid(qemu->tpm) : 0 };
        g_autofree char *description = g_strdup_printf("Virtual machine %s", live->title ?: qemu->domain->name);
        g_auto(QemuLimits) limits = { 0 };
        VbMachineSpec spec;
        int r;

        qemu_limits_init(&limits, live);
        spec = (VbMachineSpec){
                .name = qemu->machine,
                .uuid = &qemu->domain->uuid,
                .service = "virtbus-qemu",
                .class = "vm",
                .leader = vb_process_get_pid(qemu->process),
                .others = others,
                .n_others = qemu->tpm ? 1 : 0,
                .description = description,
                .ifindexes = start->ifindexes,
                .n_ifindexes = start->n_ifindexes,
                .resources = limits.resources,
        };
        if (qemu_driver_is_session(qemu->driver))
                r = vb_machine_create_scope(&start->machine_call, bus, &spec, on_scope, start, /* timeout_usec= */ 0);
        else
                r = vb_machine_create(&start->machine_call, bus, &spec, on_scope, start, /* timeout_usec= */ 0);
        return r < 0 ? sd_bus_error_setf(reterr, VB_ERROR_MACHINE_FAILED, "domain '%s': cannot ask for a machine: %s",
                                         qemu->domain->name, g_strerror(-r))
                     : 0;
}

/* The emulator is let go at once, as half of a start is what it needs to come up: libraries, devices. It has no guest's memory to fill before it
 * is continued, or told to load one, and both wait for the scope; its few threads move there with it. */
int qemu_start_scope(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        const VbDomainDefinition *live = qemu_start_live(start);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        qemu_live_describe(qemu_start_live(start), start->resources);
        qemu->clock_adjustment = live->clock.offset == VB_CLOCK_OFFSET_VARIABLE ? live->clock.adjustment.value : 0;
        start->has_scope = !qemu->driver->has_manager;
        if (qemu->driver->has_manager)
                name_machine(qemu);
        vb_domain_set_state(qemu->domain, VB_DOMAIN_PAUSED, start->options.restore ? VB_REASON_RESTORING : VB_REASON_STARTING_UP);
        /* Before there is a machine, and before the process becomes an emulator that would outlive the daemon: should that end now, the next
         * one removes both. A process at the gate ends by itself, but systemd (tried: 252) keeps a scope whose only process ended while it was
         * being put there. */
        qemu_state_file_save_live(qemu);
        qemu_state_file_save(qemu);

        r = qemu->driver->has_manager ? ask_for_machine(start, reterr) : 0;
        if (r < 0)
                return r;
        r = open_gate(start, &error);
        if (r < 0)
                end_scope_step(start, r, &error); /* and back, as there may be a machine */
        return VB_STEP_PENDING;
}

static void on_left(void *userdata) {
        QemuStart *start = userdata;

        vb_operation_undo_done(start->operation, 0);
}

int qemu_start_scope_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;

        start->machine_call = vb_machine_call_free(start->machine_call);
        return qemu_leave_machine(start->qemu, on_left, start) ? VB_STEP_PENDING : VB_STEP_DONE;
}

/* --- greet: the monitor answers ------------------------------------------------------------------------------------ */

static void on_monitor_ready(QemuDomain *qemu) {
        if (qemu->start)
                vb_operation_step_done(qemu->start->operation, 0, NULL);
}

static void on_monitor_closed(QemuDomain *qemu, int r, const sd_bus_error *error) {
        /* If it hung up, its process has ended, and that has more to say. */
        if (qemu->start && r != -ENOTCONN)
                vb_operation_step_done(qemu->start->operation, r, error);
}

int qemu_start_greet(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        static const QemuMonitorWatch watch = { .ready = on_monitor_ready, .closed = on_monitor_closed };
        QemuStart *start = userdata;
        int r;

        r = qemu_domain_connect_monitor(start->qemu, &watch, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

/* --- set up: what cannot be said on the command line, and what must be known --------------------------------------- */

/* The last of the step: everything is known now. */
static void pin_threads(QemuStart *start) {
        const GArray *vcpus = start->qemu->vcpu_threads;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r = 0;

        if (vcpus)
                r = qemu_limits_pin(qemu_start_live(start), vb_process_get_pid(start->qemu->process),
                                    (const pid_t *) vcpus->data, vcpus->len, &error);
        if (r >= 0)
                r = qemu_iothreads_pin(start->qemu, qemu_start_live(start), &error);
        vb_operation_step_done(start->operation, r, &error);
}

/* One of the answers that the step waits for. The first that failed ends it. */
static void take_reply(QemuStart *start, const QmpReply *reply) {
        if (reply->r < 0) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                (void) sd_bus_error_copy(&error, &reply->error);
                vb_operation_step_done(start->operation, reply->r, &error);
                return;
        }
        if (--start->replies == 0)
                pin_threads(start);
}

static void on_vcpus_plugged(QemuDomain *qemu, int r, const sd_bus_error *error) {
        if (!qemu->start)
                return;
        if (r < 0)
                vb_operation_step_done(qemu->start->operation, r, error);
        else if (--qemu->start->replies == 0)
                pin_threads(qemu->start);
}

static void on_set_up(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (qemu->start)
                take_reply(qemu->start, reply);
}

static void on_vcpus(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (reply->r >= 0)
                qemu_vcpus_take(qemu, reply->result);
        if (qemu->start)
                take_reply(qemu->start, reply);
}

static void on_iothreads(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (reply->r >= 0)
                qemu_iothreads_take(qemu, reply->result);
        if (qemu->start)
                take_reply(qemu->start, reply);
}

static void on_chardevs(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (reply->r >= 0) {
                qemu_domain_take_chardevs(qemu, reply->result);
                qemu_agent_tell_awaited(qemu);
        }
        if (qemu->start)
                take_reply(qemu->start, reply);
}

static void send_set_up(QemuStart *start, QemuSetup *set_up) {
        QemuDomain *qemu = start->qemu;
        VbJson *arguments = set_up->arguments ? json_object_get(set_up->arguments) : NULL;

        start->replies++;
        if (set_up->fd >= 0)
                (void) qmp_monitor_send_fd(qemu->monitor, set_up->command, arguments, set_up->fd, on_set_up, qemu,
                                           COMMAND_TIMEOUT_USEC);
        else
                (void) qmp_monitor_send(qemu->monitor, set_up->command, arguments, on_set_up, qemu, COMMAND_TIMEOUT_USEC);
}

/* Those that can be taken away are not on the command line. */
static int learn_vcpus(QemuStart *start, sd_bus_error *reterr) {
        const VbDomainDefinition *live = qemu_start_live(start);

        if (vb_vcpus_count_fixed(live) < vb_domain_definition_vcpus(live))
                return qemu_vcpus_change(start->qemu, live, on_vcpus_plugged, reterr);
        (void) qmp_monitor_send(start->qemu->monitor, "query-cpus-fast", NULL, on_vcpus, start->qemu, COMMAND_TIMEOUT_USEC);
        return 0;
}

int qemu_start_set_up(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        int r;

        if (!qemu->monitor)
                return VB_STEP_PENDING; /* it has hung up: the process's end follows */

        for (size_t i = 0; i < start->command->n_setup; i++)
                send_set_up(start, &start->command->setup[i]);
        start->replies += 3;
        (void) qmp_monitor_send(qemu->monitor, "query-iothreads", NULL, on_iothreads, qemu, COMMAND_TIMEOUT_USEC);
        r = learn_vcpus(start, reterr);
        if (r < 0)
                return r;
        (void) qmp_monitor_send(qemu->monitor, "query-chardev", NULL, on_chardevs, qemu, COMMAND_TIMEOUT_USEC);
        return VB_STEP_PENDING;
}

/* --- run ----------------------------------------------------------------------------------------------------------- */

static void on_running(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (qemu->start)
                vb_operation_step_done(qemu->start->operation, reply->r, reply->r < 0 ? &reply->error : NULL);
}

int qemu_start_run(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;

        if (start->options.paused)
                return VB_STEP_DONE;
        if (!qemu->monitor)
                return VB_STEP_PENDING;
        (void) qmp_monitor_send(qemu->monitor, "cont", NULL, on_running, qemu, COMMAND_TIMEOUT_USEC);
        return VB_STEP_PENDING;
}
