/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* News of the bus as classic events: a row for each signal, and one for changes of the records. What the bus does not tell to everyone is asked
 * for (events-details.c, events-tuning.c), or empty, as paths of images are. */

#include <string.h>

#include "base/log.h"
#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/events.h"
#include "proxy/jobs.h"

/* The number of a word among those of an enumeration, which begins at 0; words are NULL-terminated. */
static int number_of(const char *const *words, const char *word, int fallback) {
        for (int i = 0; words[i]; i++)
                if (strcmp(words[i], word) == 0)
                        return i;
        return fallback;
}

#define SEND(events, id, domain, Message, ...) \
        proxy_events_send(events, id, domain, &(Rpc##Message){ __VA_ARGS__ })

/* --- changes of the record -------------------------------------------------------------------------------------------- */

static void send_lifecycle(ProxyEvents *events, const ProxyDomain *domain, int event, int detail) {
        SEND(events, VIR_DOMAIN_EVENT_ID_LIFECYCLE, domain, RemoteDomainEventCallbackLifecycleMsg,
             .msg = { proxy_domain_to_rpc(domain), event, detail });
}

static void tell_lifecycle(ProxyEvents *events, const ProxyDomainNews *news) {
        ProxyLifecycle happened[PROXY_LIFECYCLE_MAX];
        unsigned n = proxy_lifecycle_between(news->before, news->after, happened);

        for (unsigned i = 0; i < n; i++)
                send_lifecycle(events, happened[i].domain, happened[i].event, happened[i].detail);
}

static void tell_sleep(ProxyEvents *events, const ProxyDomain *before, const ProxyDomain *after) {
        RpcDomain dom = proxy_domain_to_rpc(after);

        if (before->state != VIR_DOMAIN_PMSUSPENDED && after->state == VIR_DOMAIN_PMSUSPENDED)
                SEND(events, VIR_DOMAIN_EVENT_ID_PMSUSPEND, after, RemoteDomainEventCallbackPmsuspendMsg, .msg = { dom });
        if (before->state == VIR_DOMAIN_PMSUSPENDED && after->state == VIR_DOMAIN_RUNNING)
                SEND(events, VIR_DOMAIN_EVENT_ID_PMWAKEUP, after, RemoteDomainEventCallbackPmwakeupMsg, .msg = { dom });
}

static void tell_agent(ProxyEvents *events, const ProxyDomain *before, const ProxyDomain *after) {
        bool same_run = before && before->id == after->id, was = before && before->agent_connected;

        if (was == after->agent_connected)
                return;
        SEND(events, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, after, RemoteDomainEventCallbackAgentLifecycleMsg,
             .dom = proxy_domain_to_rpc(after),
             .state = after->agent_connected ? VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED :
                                               VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
             .reason = same_run ? VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL :
                                  VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED);
}

static void tell_balloon(ProxyEvents *events, const ProxyDomain *before, const ProxyDomain *after) {
        if (before->id == after->id && before->memory != after->memory)
                SEND(events, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, after, RemoteDomainEventCallbackBalloonChangeMsg,
                     .msg = { proxy_domain_to_rpc(after), after->memory / 1024 });
}

static void tell_change(ProxyEvents *events, const ProxyDomainNews *news) {
        tell_lifecycle(events, news);
        /* The rest is of guests that are there; what ends with one is not told. */
        if (!news->after || news->after->state == VIR_DOMAIN_SHUTOFF)
                return;
        tell_agent(events, news->before, news->after);
        if (!news->before)
                return;
        tell_sleep(events, news->before, news->after);
        tell_balloon(events, news->before, news->after);
}

/* --- signals ---------------------------------------------------------------------------------------------------------- */

typedef int (*Tell)(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal);

static int tell_redefined(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        send_lifecycle(events, domain, VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_UPDATED);
        return 0;
}

static int tell_crash_loaded(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        send_lifecycle(events, domain, VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED);
        return 0;
}

static int tell_suspended_to_disk(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        send_lifecycle(events, domain, VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_DISK);
        SEND(events, VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, domain, RemoteDomainEventCallbackPmsuspendDiskMsg,
             .msg = { proxy_domain_to_rpc(domain) });
        return 0;
}

static int tell_agent_awaited(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        SEND(events, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, domain, RemoteDomainEventCallbackAgentLifecycleMsg,
             .dom = proxy_domain_to_rpc(domain), .state = VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
             .reason = VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED);
        return 0;
}

static int tell_rebooted(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        SEND(events, VIR_DOMAIN_EVENT_ID_REBOOT, domain, RemoteDomainEventCallbackRebootMsg,
             .msg = { proxy_domain_to_rpc(domain) });
        return 0;
}

static int tell_clock_changed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        int64_t offset;
        int r = sd_bus_message_read(signal, "x", &offset);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_RTC_CHANGE, domain, RemoteDomainEventCallbackRtcChangeMsg,
                     .msg = { proxy_domain_to_rpc(domain), offset });
        return r;
}

static int tell_tuning_changed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *what, *part;
        int r = sd_bus_message_read(signal, "ss", &what, &part);

        if (r >= 0 && proxy_events_wants(events, VIR_DOMAIN_EVENT_ID_TUNABLE, domain))
                proxy_events_tell_tuning(events, domain, what, part);
        return r;
}

static int tell_watchdog(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        static const char *const actions[] = { "none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi", NULL };
        const char *action;
        int r = sd_bus_message_read(signal, "s", &action);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_WATCHDOG, domain, RemoteDomainEventCallbackWatchdogMsg,
                     .msg = { proxy_domain_to_rpc(domain), number_of(actions, action, VIR_DOMAIN_EVENT_WATCHDOG_NONE) });
        return r;
}

static int tell_io_error(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        static const char *const actions[] = { "none", "pause", "report", NULL };
        RpcDomain dom = proxy_domain_to_rpc(domain);
        const char *device, *action, *reason;
        int r, number;

        r = sd_bus_message_read(signal, "sss", &device, &action, &reason);
        if (r < 0)
                return r;
        number = number_of(actions, action, VIR_DOMAIN_EVENT_IO_ERROR_NONE);
        SEND(events, VIR_DOMAIN_EVENT_ID_IO_ERROR, domain, RemoteDomainEventCallbackIoErrorMsg, .msg = { dom, "", device, number });
        SEND(events, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, domain, RemoteDomainEventCallbackIoErrorReasonMsg,
             .msg = { dom, "", device, number, reason });
        return 0;
}

static int tell_display_client(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        static const char *const phases[] = { "connected", "initialized", "disconnected", NULL };
        const char *type, *phase, *auth;
        uint64_t number;
        int r = sd_bus_message_read(signal, "ssst", &type, &phase, &auth, &number);

        if (r >= 0 && proxy_events_wants(events, VIR_DOMAIN_EVENT_ID_GRAPHICS, domain))
                proxy_events_tell_viewer(events, domain, number_of(phases, phase, VIR_DOMAIN_EVENT_GRAPHICS_CONNECT), auth, number);
        return r;
}

static int tell_monitor_lost(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        SEND(events, VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, domain, RemoteDomainEventCallbackControlErrorMsg,
             .msg = { proxy_domain_to_rpc(domain) });
        return 0;
}

/* The drive stays: libvirt "drops" whole disks only. */
static int tell_medium_dropped(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *device;
        int r = sd_bus_message_read(signal, "s", &device);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_DISK_CHANGE, domain, RemoteDomainEventCallbackDiskChangeMsg,
                     .msg = { .dom = proxy_domain_to_rpc(domain), .devAlias = device, .reason = VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START });
        return r;
}

static int tell_tray_changed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *device;
        int open, r = sd_bus_message_read(signal, "sb", &device, &open);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, domain, RemoteDomainEventCallbackTrayChangeMsg,
                     .msg = { proxy_domain_to_rpc(domain), device,
                              open ? VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN : VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE });
        return r;
}

/* Where the image is, nobody is told who may not read the definition. */
static int tell_block_threshold(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        uint64_t threshold, excess;
        const char *disk;
        int r = sd_bus_message_read(signal, "stt", &disk, &threshold, &excess);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD, domain, RemoteDomainEventBlockThresholdMsg,
                     .dom = proxy_domain_to_rpc(domain), .dev = disk, .threshold = threshold, .excess = excess);
        return r;
}

static int tell_device_removed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *device;
        int r = sd_bus_message_read(signal, "s", &device);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, domain, RemoteDomainEventCallbackDeviceRemovedMsg,
                     .msg = { proxy_domain_to_rpc(domain), device });
        return r;
}

static int tell_device_removal_failed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *device;
        int r = sd_bus_message_read(signal, "s", &device);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, domain, RemoteDomainEventCallbackDeviceRemovalFailedMsg,
                     .dom = proxy_domain_to_rpc(domain), .devAlias = device);
        return r;
}

static int tell_metadata_changed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        static const char *const kinds[] = { "description", "title", "element", NULL };
        const char *kind;
        uint64_t change;
        int r = sd_bus_message_read(signal, "st", &kind, &change);

        if (r >= 0 && change > 0 && proxy_events_wants(events, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain))
                proxy_events_tell_metadata(events, domain, change);
        else if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain, RemoteDomainEventCallbackMetadataChangeMsg,
                     .dom = proxy_domain_to_rpc(domain), .type = number_of(kinds, kind, VIR_DOMAIN_METADATA_ELEMENT));
        return r;
}

static int tell_memory_failed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        static const char *const recipients[] = { "hypervisor", "guest", NULL };
        static const char *const actions[] = { "ignore", "inject", "fatal", "reset", NULL };
        const char *recipient, *action;
        int required, recursive, r = sd_bus_message_read(signal, "ssbb", &recipient, &action, &required, &recursive);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE, domain, RemoteDomainEventMemoryFailureMsg,
                     .dom = proxy_domain_to_rpc(domain),
                     .recipient = number_of(recipients, recipient, VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_HYPERVISOR),
                     .action = number_of(actions, action, VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_IGNORE),
                     .flags = (required ? VIR_DOMAIN_MEMORY_FAILURE_ACTION_REQUIRED : 0u) |
                              (recursive ? VIR_DOMAIN_MEMORY_FAILURE_RECURSIVE : 0u));
        return r;
}

/* --- jobs, and the figures of one ---------------------------------------------------------------------------------------------- */

static int tell_job_iterated(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        uint32_t iteration;
        int r = sd_bus_message_read(signal, "u", &iteration);

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, domain, RemoteDomainEventCallbackMigrationIterationMsg,
                     .dom = proxy_domain_to_rpc(domain), .iteration = (int32_t) MIN(iteration, INT32_MAX));
        return r;
}

static int tell_job_completed(ProxyEvents *events, const ProxyDomain *domain, sd_bus_message *signal) {
        const char *operation = "", *result = "";
        uint64_t elapsed = 0, done = 0, total = 0;
        int r = sd_bus_message_read(signal, "ssttt", &operation, &result, &elapsed, &done, &total);
        uint64_t all = MAX(done, total);

#define NUMBER(name, value) { name, { .type = VIR_TYPED_PARAM_ULLONG, .ul = (value) } }
        const RpcTypedParam params[] = {
                { VIR_DOMAIN_JOB_OPERATION, { .type = VIR_TYPED_PARAM_INT, .i = proxy_job_operation(operation) } },
                NUMBER(VIR_DOMAIN_JOB_TIME_ELAPSED, elapsed / 1000),
                NUMBER(VIR_DOMAIN_JOB_DATA_TOTAL, all),
                NUMBER(VIR_DOMAIN_JOB_DATA_PROCESSED, done),
                NUMBER(VIR_DOMAIN_JOB_DATA_REMAINING, all - done),
                NUMBER(VIR_DOMAIN_JOB_MEMORY_TOTAL, all),
                NUMBER(VIR_DOMAIN_JOB_MEMORY_PROCESSED, done),
                NUMBER(VIR_DOMAIN_JOB_MEMORY_REMAINING, all - done),
                { VIR_DOMAIN_JOB_SUCCESS, { .type = VIR_TYPED_PARAM_BOOLEAN, .b = strcmp(result, "completed") == 0 } },
        };
#undef NUMBER

        if (r >= 0)
                SEND(events, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, domain, RemoteDomainEventCallbackJobCompletedMsg,
                     .dom = proxy_domain_to_rpc(domain), .params = { G_N_ELEMENTS(params), params });
        return r;
}

static const struct {
        const char *signal;
        Tell tell;
} signals[] = {
        { "AgentAwaited", tell_agent_awaited },
        { "BlockThreshold", tell_block_threshold },
        { "ClockChanged", tell_clock_changed },
        { "CrashLoaded", tell_crash_loaded },
        { "DeviceRemovalFailed", tell_device_removal_failed },
        { "DeviceRemoved", tell_device_removed },
        { "DisplayClient", tell_display_client },
        { "IOError", tell_io_error },
        { "JobCompleted", tell_job_completed },
        { "JobIterated", tell_job_iterated },
        { "MediumDropped", tell_medium_dropped },
        { "MemoryFailed", tell_memory_failed },
        { "MetadataChanged", tell_metadata_changed },
        { "MonitorLost", tell_monitor_lost },
        { "Rebooted", tell_rebooted },
        { "Redefined", tell_redefined },
        { "SuspendedToDisk", tell_suspended_to_disk },
        { "TrayChanged", tell_tray_changed },
        { "TuningChanged", tell_tuning_changed },
        { "WatchdogFired", tell_watchdog },
};

void proxy_events_tell(ProxyEvents *events, const ProxyDomainNews *news) {
        int r;

        if (!news->signal) {
                tell_change(events, news);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                if (strcmp(signals[i].signal, news->signal) != 0)
                        continue;
                /* Another connection's events may have read it already. */
                r = sd_bus_message_rewind(news->message, /* complete= */ true);
                if (r >= 0)
                        r = signals[i].tell(events, news->after, news->message);
                if (r < 0)
                        vb_log_warning("domain '%s': cannot understand signal %s: %s", news->after->name, news->signal, g_strerror(-r));
                return;
        }
}
