/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A probe starts the binary up to three times at once, each time without a guest (-machine none) and with
 * nothing of the host's configuration:
 *
 *     facts   what it is and has: machines, types, commands, backends
 *     tcg     which CPUs it can give to guests by translation
 *     kvm     the same with KVM; only where /dev/kvm can be used, as this run opens it
 *
 * so that cores work in parallel, and an accelerator that is missing costs nothing but its own run. In each
 * run all questions are sent at once; only those about single CPU models follow the answer that lists the
 * models.
 *
 * Facts must succeed. A run for an accelerator that fails means that the accelerator is not usable.
 *
 * The binary runs without privileges: it is root's own, but what it reads (modules, ROMs) is a lot. */

#include "qemu/capabilities-probe.h"

#include <assert.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "qemu/capabilities-private.h"
#include "qemu/json.h"
#include "qemu/monitor.h"

#define PROBE_TIMEOUT_USEC (30 * G_USEC_PER_SEC)
#define PROBE_MEMORY_MAX \
        (4ull * 1024 * 1024 * 1024) /* address space; a QEMU without a guest maps about 1 GiB */

typedef enum RunKind {
        RUN_FACTS,
        RUN_TCG,
        RUN_KVM,
        _RUN_MAX,
} RunKind;

static const char *const run_accel[_RUN_MAX] = {
        [RUN_FACTS] = "tcg",
        [RUN_TCG] = "tcg",
        [RUN_KVM] = "kvm",
};

typedef struct ProbeRun {
        QemuProbe *probe;
        RunKind kind;
        bool finished;
        unsigned n_pending;
        VbProcess *process;
        QmpMonitor *monitor;
        QemuCpuTable *cpus;
        sd_bus_error error; /* why it failed; unset if it went well */
} ProbeRun;

struct QemuProbe {
        sd_event_source *deadline;
        char *path;
        QemuProbeCallback callback;
        void *userdata;

        ProbeRun runs[_RUN_MAX];
        QemuCapabilities *capabilities;
        bool learns; /* only about models: the one run's table is another's */
        bool answered;
};

/* What an answer is for. Freed with it. */
typedef struct Question Question;
struct Question {
        ProbeRun *run;
        const char *command;
        int (*parse)(const Question *question, VbJson *result);
        QemuSet set;
        const char *name;
        bool optional; /* a refusal is an answer, too: older and smaller binaries do not know all commands */
};

static void run_finish(ProbeRun *run);

/* --- Answers --- */

static int on_target(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_target(question->run->probe->capabilities, result);
}

static int on_machines(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_machines(question->run->probe->capabilities, result);
}

static int on_types(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_types(question->run->probe->capabilities, result);
}

static int on_options(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_options(question->run->probe->capabilities, result);
}

static int on_schema(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_schema(question->run->probe->capabilities, result);
}

static int on_words(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_words(question->run->probe->capabilities, question->set, result);
}

static int on_properties(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_properties(question->run->probe->capabilities, question->name, result);
}

static int on_hyperv(const Question *question, VbJson *result) {
        return qemu_capabilities_parse_hyperv(question->run->probe->capabilities, result);
}

static int on_kvm(const Question *question, VbJson *result) {
        return qemu_json_bool(result, "enabled") ? 0 : -EOPNOTSUPP;
}

static int on_definitions(const Question *question, VbJson *result) {
        return qemu_cpu_table_parse_definitions(question->run->cpus, result);
}

static int on_best_cpu(const Question *question, VbJson *result) {
        return qemu_cpu_table_parse_expansion(question->run->cpus, NULL, result);
}

static int on_cpu(const Question *question, VbJson *result) {
        return qemu_cpu_table_parse_expansion(question->run->cpus, question->name, result);
}

/* --- Questions --- */

static const Question facts_questions[] = {
        { .command = "query-target", .parse = on_target },
        { .command = "query-machines", .parse = on_machines },
        { .command = "qom-list-types", .parse = on_types },
        { .command = "query-command-line-options", .parse = on_options },
        { .command = "query-qmp-schema", .parse = on_schema },
        { .command = "query-tpm-types", .parse = on_words, .set = QEMU_SET_TPM_BACKEND, .optional = true },
        { .command = "query-tpm-models", .parse = on_words, .set = QEMU_SET_TPM_MODEL, .optional = true },
        { .command = "device-list-properties",
          .parse = on_properties,
          .name = "virtio-blk-pci",
          .optional = true },
};

static const Question tcg_questions[] = {
        { .command = "query-cpu-definitions", .parse = on_definitions },
        { .command = "query-cpu-model-expansion", .parse = on_best_cpu, .name = "max", .optional = true },
};

static const Question kvm_questions[] = {
        { .command = "query-kvm", .parse = on_kvm },
        { .command = "query-cpu-definitions", .parse = on_definitions },
        { .command = "query-cpu-model-expansion", .parse = on_best_cpu, .name = "host", .optional = true },
        { .command = "query-cpu-model-expansion", .parse = on_hyperv, .name = "host", .optional = true },
};

static const struct {
        const Question *questions;
        size_t n;
} run_questions[_RUN_MAX] = {
        [RUN_FACTS] = { facts_questions, G_N_ELEMENTS(facts_questions) },
        [RUN_TCG] = { tcg_questions, G_N_ELEMENTS(tcg_questions) },
        [RUN_KVM] = { kvm_questions, G_N_ELEMENTS(kvm_questions) },
};

static VbJson *question_arguments(const Question *question) {
        VbJson *arguments, *model;

        if (g_str_equal(question->command, "device-list-properties"))
                return qmp_arguments("typename", question->name, NULL);
        if (!g_str_equal(question->command, "query-cpu-model-expansion"))
                return NULL;

        /* "static" gives all features by their one name, and no settings that are none. Only where models are
         * made of named features (x86, s390x) there is such an expansion. */
        arguments = qmp_arguments("type", question->parse == on_hyperv ? "full" : "static", NULL);
        model = qmp_arguments("name", question->name, NULL);
        if (question->parse == on_hyperv) {
                VbJson *properties = json_object_new_object();

                (void) json_object_object_add(properties, "hv-passthrough", json_object_new_boolean(TRUE));
                (void) json_object_object_add(model, "props", properties);
        }
        (void) json_object_object_add(arguments, "model", model);
        return arguments;
}

static void on_reply(QmpMonitor *monitor, const QmpReply *reply, void *userdata);

static void run_ask(ProbeRun *run, const Question *question) {
        Question *copy = g_memdup2(question, sizeof(*question));

        copy->run = run;
        run->n_pending++;
        (void) qmp_monitor_send(run->monitor, copy->command, question_arguments(copy), on_reply, copy,
                                /* timeout_usec= */ 0);
}

/* Returns whether there is more to ask. */
static bool run_ask_about(ProbeRun *run, GPtrArray *models) {
        for (guint i = 0; i < models->len; i++) {
                Question question = {
                        .command = "query-cpu-model-expansion",
                        .parse = on_cpu,
                        .name = models->pdata[i],
                };

                run_ask(run, &question);
        }
        return models->len > 0;
}

static bool run_ask_more(ProbeRun *run) {
        g_autoptr(GPtrArray) models = NULL;

        if (!run->cpus || run->probe->learns)
                return false;
        models = qemu_cpu_table_next_expansions(run->cpus);
        return run_ask_about(run, models);
}

static int run_take_answer(ProbeRun *run, const Question *question, const QmpReply *reply) {
        int r;

        if (reply->r == -EPROTO && reply->error_class && question->optional)
                return 0;
        if (reply->r < 0)
                return sd_bus_error_copy(&run->error, &reply->error);

        r = question->parse(question, reply->result);
        if (r < 0)
                return sd_bus_error_setf(&run->error, VB_ERROR_EMULATOR_FAILED,
                                         "answered %s with what cannot be used: %s", question->command,
                                         g_strerror(-r));
        return 0;
}

static void on_reply(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_autofree Question *question = userdata;
        ProbeRun *run = question->run;

        assert(run->n_pending > 0);
        run->n_pending--;
        /* Freed, or closed: then the process's end tells more than that its monitor is gone. */
        if (run->finished || reply->r == -ECANCELED || reply->r == -ENOTCONN)
                return;
        if (run_take_answer(run, question, reply) < 0 || (run->n_pending == 0 && !run_ask_more(run)))
                run_finish(run);
}

/* --- Runs --- */

static void run_stop(ProbeRun *run) {
        run->finished = true;
        run->monitor = qmp_monitor_free(run->monitor);
        run->process = vb_process_free(run->process);
}

static void probe_answer(QemuProbe *probe, const sd_bus_error *error) {
        QemuCapabilities *capabilities = error ? NULL : g_steal_pointer(&probe->capabilities);

        assert(!probe->answered);
        probe->answered = true;
        probe->deadline = sd_event_source_disable_unref(probe->deadline);
        for (RunKind kind = 0; kind < _RUN_MAX; kind++)
                run_stop(&probe->runs[kind]);
        probe->callback(probe, capabilities, error, probe->userdata); /* may have freed the probe */
}

static void probe_fail(QemuProbe *probe, const sd_bus_error *cause) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        (void) sd_bus_error_setf(&error, cause->name, "emulator '%s': %s", probe->path, cause->message);
        probe_answer(probe, &error);
}

static void probe_take_cpus(QemuProbe *probe, RunKind kind, QemuAccel accel) {
        ProbeRun *run = &probe->runs[kind];

        if (sd_bus_error_is_set(&run->error))
                vb_log_debug("emulator '%s': not usable with %s: %s", probe->path, run_accel[kind],
                             run->error.message);
        else
                probe->capabilities->cpus[accel] = g_steal_pointer(&run->cpus);
}

static void probe_complete_learning(QemuProbe *probe, const ProbeRun *run) {
        if (sd_bus_error_is_set(&run->error))
                probe_fail(probe, &run->error);
        else
                probe_answer(probe, NULL);
}

static void probe_complete(QemuProbe *probe, RunKind last) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (probe->learns) {
                probe_complete_learning(probe, &probe->runs[last]);
                return;
        }
        if (sd_bus_error_is_set(&probe->runs[RUN_FACTS].error)) {
                probe_fail(probe, &probe->runs[RUN_FACTS].error);
                return;
        }
        probe_take_cpus(probe, RUN_TCG, QEMU_ACCEL_TCG);
        probe_take_cpus(probe, RUN_KVM, QEMU_ACCEL_KVM);
        if (qemu_capabilities_seal(probe->capabilities) < 0) {
                (void) sd_bus_error_set(&error, VB_ERROR_EMULATOR_FAILED,
                                        "did not tell its architecture, version or machines");
                probe_fail(probe, &error);
                return;
        }
        probe_answer(probe, NULL);
}

/* May free the probe. */
static void run_finish(ProbeRun *run) {
        QemuProbe *probe = run->probe;

        run_stop(run);
        for (RunKind kind = 0; kind < _RUN_MAX; kind++)
                if (!probe->runs[kind].finished)
                        return;
        if (!probe->answered)
                probe_complete(probe, run->kind);
}

static void on_ready(QmpMonitor *monitor, void *userdata) {
        ProbeRun *run = userdata;
        const QmpVersion *version = qmp_monitor_get_version(monitor);
        QemuCapabilities *capabilities = run->probe->capabilities;

        if (run->kind != RUN_FACTS)
                return;
        if (QEMU_VERSION(version->major, version->minor, version->micro) < QEMU_VERSION_MINIMUM) {
                (void) sd_bus_error_setf(&run->error, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "is QEMU %u.%u.%u, but virtbus needs 7.2.0 or later", version->major,
                                         version->minor, version->micro);
                run_finish(run);
                return;
        }
        capabilities->version = QEMU_VERSION(version->major, version->minor, version->micro);
        g_free(capabilities->package);
        capabilities->package = g_strdup(version->package);
}

static void on_closed(QmpMonitor *monitor, int r, const sd_bus_error *error, void *userdata) {
        ProbeRun *run = userdata;

        /* The peer closed: it is about to end, and what it says then tells why. If it was cut off, it will
         * not. */
        if (r == -ENOTCONN || r == -ECONNRESET)
                return;
        (void) sd_bus_error_copy(&run->error, error);
        run_finish(run);
}

static void on_exited(VbProcess *process, const VbProcessExit *process_exit, void *userdata) {
        ProbeRun *run = userdata;
        g_autofree char *how = vb_process_exit_to_string(process_exit);
        const char *words = vb_process_get_errors(process);

        if (run->finished)
                return;
        if (!sd_bus_error_is_set(&run->error))
                (void) sd_bus_error_setf(&run->error, VB_ERROR_EMULATOR_FAILED, "%s%s%s", how,
                                         *words ? ": " : "", words);
        run_finish(run);
}

static void on_started(VbProcess *process, int r, const sd_bus_error *error, void *userdata) {
        ProbeRun *run = userdata;

        if (r < 0 && !run->finished)
                (void) sd_bus_error_copy(&run->error, error);
}

static int run_spawn(ProbeRun *run, sd_event *event, const QemuProbeSpec *spec, int fd,
                     sd_bus_error *reterr) {
        g_autofree char *chardev = g_strdup_printf("socket,id=qmp,fd=%d", fd);
        g_autofree char *machine = g_strdup_printf("none,accel=%s", run_accel[run->kind]);
        const char *const argv[] = {
                spec->path, "-S",    "-no-user-config", "-nodefaults", "-display", "none",
                "-machine", machine, "-chardev",        chardev,       "-mon",     "chardev=qmp,mode=control",
                NULL,
        };
        const VbProcessLimit limits[] = {
                { RLIMIT_CORE, { 0, 0 } },
                { RLIMIT_FSIZE, { 0, 0 } },
                { RLIMIT_AS, { PROBE_MEMORY_MAX, PROBE_MEMORY_MAX } },
        };
        VbProcessSpec process = {
                .path = spec->path,
                .argv = (char *const *) argv,
                .err = { .kind = VB_STREAM_CAPTURE },
                .capture_size = 4096,
                .keep_fds = &fd,
                .n_keep_fds = 1,
                .change_user = spec->uid != (uid_t) -1,
                .uid = spec->uid,
                .gid = spec->gid,
                .drop_capabilities = true,
                .no_new_privileges = true,
                .new_session = true,
                .die_with_parent = true,
                .kill_on_free = true,
                .limits = limits,
                .n_limits = G_N_ELEMENTS(limits),
                .started = on_started,
                .exited = on_exited,
                .userdata = run,
        };

        return vb_process_spawn(&run->process, event, &process, reterr);
}

static int run_start(ProbeRun *run, sd_event *event, const QemuProbeSpec *spec, sd_bus_error *reterr) {
        static const QmpMonitorHandlers handlers = { .ready = on_ready, .closed = on_closed };
        vb_autofd ours = -EBADF, theirs = -EBADF;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot make a socket pair: %m");
        ours = fds[0];
        theirs = fds[1];
        r = vb_fd_set_nonblock(ours, true);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot make a socket pair: %m");

        r = run_spawn(run, event, spec, theirs, reterr);
        if (r < 0)
                return r;
        r = qmp_monitor_new(&run->monitor, event, vb_steal_fd(&ours), "emulator probe", &handlers, run);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot make a monitor: %m");

        if (spec->learn) {
                g_autoptr(GPtrArray) models = qemu_cpu_table_unknown(spec->learn);

                run->cpus = spec->learn;
                (void) run_ask_about(run, models);
                return 0;
        }
        if (run->kind != RUN_FACTS)
                run->cpus = qemu_cpu_table_new();
        for (size_t i = 0; i < run_questions[run->kind].n; i++)
                run_ask(run, &run_questions[run->kind].questions[i]);
        return 0;
}

/* --- The probe --- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuProbe *probe = userdata;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        (void) sd_bus_error_set(&error, VB_ERROR_TIMEOUT, "did not tell in time what it can do");
        probe_fail(probe, &error);
        return 0;
}

static bool is_wanted(RunKind kind, const QemuProbeSpec *spec) {
        if (spec->learn)
                return kind == (spec->accel == QEMU_ACCEL_KVM ? RUN_KVM : RUN_TCG);
        return kind != RUN_KVM || spec->kvm;
}

int qemu_probe_new(QemuProbe **ret, sd_event *event, const QemuProbeSpec *spec, QemuProbeCallback callback,
                   void *userdata, sd_bus_error *reterr) {
        g_autoptr(QemuProbe) probe = g_new0(QemuProbe, 1);
        int r;

        probe->path = g_strdup(spec->path);
        probe->callback = callback;
        probe->userdata = userdata;
        probe->learns = spec->learn != NULL;
        probe->capabilities = probe->learns ? NULL : qemu_capabilities_new(spec->path);
        for (RunKind kind = 0; kind < _RUN_MAX; kind++) {
                ProbeRun *run = &probe->runs[kind];

                run->probe = probe;
                run->kind = kind;
                if (!is_wanted(kind, spec)) {
                        run->finished = true;
                        (void) sd_bus_error_set(&run->error, VB_ERROR_NOT_SUPPORTED, "not asked");
                        continue;
                }
                r = run_start(run, event, spec, reterr);
                if (r < 0) {
                        (void) vb_error_prefix(reterr, "emulator '%s'", spec->path);
                        return r;
                }
        }

        r = sd_event_add_time_relative(event, &probe->deadline, CLOCK_MONOTONIC,
                                       spec->timeout_usec ?: PROBE_TIMEOUT_USEC, /* accuracy= */ 0,
                                       on_deadline, probe);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "emulator '%s': cannot set a time limit: %m",
                                               spec->path);
        *ret = g_steal_pointer(&probe);
        return 0;
}

QemuProbe *qemu_probe_free(QemuProbe *probe) {
        if (!probe)
                return NULL;

        probe->answered = true;
        probe->deadline = sd_event_source_disable_unref(probe->deadline);
        for (RunKind kind = 0; kind < _RUN_MAX; kind++) {
                run_stop(&probe->runs[kind]);
                if (!probe->learns)
                        (void) qemu_cpu_table_free(probe->runs[kind].cpus);
                sd_bus_error_free(&probe->runs[kind].error);
        }
        qemu_capabilities_unref(probe->capabilities);
        g_free(probe->path);
        g_free(probe);
        return NULL;
}
