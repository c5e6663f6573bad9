/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/events.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/call-private.h"
#include "proxy/constants.h"
#include "proxy/error.h"

/* Of one connection; a client needs about thirty. */
#define REGISTRATIONS_MAX 1024

/* How an event goes to who registered for it with a callback, and to who did it in one of the older ways. */
typedef struct EventProcedures {
        uint16_t callback;
        uint16_t legacy; /* 0: there was no such event then */
        uint16_t legacy_offset; /* of its struct in the other */
} EventProcedures;

#define WITH_LEGACY(ID, NAME, Name)                                                                  \
        [VIR_DOMAIN_EVENT_ID_##ID] = { RPC_REMOTE_DOMAIN_EVENT_CALLBACK_##NAME, RPC_REMOTE_DOMAIN_EVENT_##NAME, \
                                       offsetof(RpcRemoteDomainEventCallback##Name##Msg, msg) }
#define CALLBACK_ONLY(ID, NAME) [VIR_DOMAIN_EVENT_ID_##ID] = { .callback = RPC_REMOTE_DOMAIN_EVENT_##NAME }

static const EventProcedures procedures[VIR_DOMAIN_EVENT_ID_LAST] = {
        WITH_LEGACY(LIFECYCLE, LIFECYCLE, Lifecycle),
        WITH_LEGACY(REBOOT, REBOOT, Reboot),
        WITH_LEGACY(RTC_CHANGE, RTC_CHANGE, RtcChange),
        WITH_LEGACY(WATCHDOG, WATCHDOG, Watchdog),
        WITH_LEGACY(IO_ERROR, IO_ERROR, IoError),
        WITH_LEGACY(GRAPHICS, GRAPHICS, Graphics),
        WITH_LEGACY(IO_ERROR_REASON, IO_ERROR_REASON, IoErrorReason),
        WITH_LEGACY(CONTROL_ERROR, CONTROL_ERROR, ControlError),
        WITH_LEGACY(BLOCK_JOB, BLOCK_JOB, BlockJob),
        WITH_LEGACY(DISK_CHANGE, DISK_CHANGE, DiskChange),
        WITH_LEGACY(TRAY_CHANGE, TRAY_CHANGE, TrayChange),
        WITH_LEGACY(PMWAKEUP, PMWAKEUP, Pmwakeup),
        WITH_LEGACY(PMSUSPEND, PMSUSPEND, Pmsuspend),
        WITH_LEGACY(BALLOON_CHANGE, BALLOON_CHANGE, BalloonChange),
        WITH_LEGACY(PMSUSPEND_DISK, PMSUSPEND_DISK, PmsuspendDisk),
        WITH_LEGACY(DEVICE_REMOVED, DEVICE_REMOVED, DeviceRemoved),
        CALLBACK_ONLY(BLOCK_JOB_2, BLOCK_JOB_2),
        CALLBACK_ONLY(TUNABLE, CALLBACK_TUNABLE),
        CALLBACK_ONLY(AGENT_LIFECYCLE, CALLBACK_AGENT_LIFECYCLE),
        CALLBACK_ONLY(DEVICE_ADDED, CALLBACK_DEVICE_ADDED),
        CALLBACK_ONLY(MIGRATION_ITERATION, CALLBACK_MIGRATION_ITERATION),
        CALLBACK_ONLY(JOB_COMPLETED, CALLBACK_JOB_COMPLETED),
        CALLBACK_ONLY(DEVICE_REMOVAL_FAILED, CALLBACK_DEVICE_REMOVAL_FAILED),
        CALLBACK_ONLY(METADATA_CHANGE, CALLBACK_METADATA_CHANGE),
        CALLBACK_ONLY(BLOCK_THRESHOLD, BLOCK_THRESHOLD),
        CALLBACK_ONLY(MEMORY_FAILURE, MEMORY_FAILURE),
        CALLBACK_ONLY(MEMORY_DEVICE_SIZE_CHANGE, MEMORY_DEVICE_SIZE_CHANGE),
        CALLBACK_ONLY(NIC_MAC_CHANGE, NIC_MAC_CHANGE),
};

typedef enum RegistrationKind {
        REGISTRATION_CALLBACK, /* 316: with a number, perhaps for one domain */
        REGISTRATION_BY_ID, /* 167: for an event's id */
        REGISTRATION_LIFECYCLE, /* 105: the oldest, for life cycle alone */
} RegistrationKind;

typedef struct Registration {
        RegistrationKind kind;
        int id; /* virDomainEventID */
        int32_t callback; /* of the first kind */
        bool has_domain; /* it is for one alone */
        uint8_t uuid[16];
} Registration;

struct ProxyEvents {
        ProxyConnection *connection;
        ProxyDomainsWatch *watch; /* while there are registrations */
        ProxyDomains *domains; /* that it watches */
        GArray *registrations;
        int32_t last_callback;
};

static void events_free(gpointer data) {
        ProxyEvents *events = data;

        (void) proxy_domains_unwatch(events->watch);
        g_array_unref(events->registrations);
        g_free(events);
}

static ProxyEvents *get_events(ProxyConnection *connection) {
        static const char key;
        ProxyEvents *events = proxy_connection_data(connection, &key);

        if (events)
                return events;
        events = g_new(ProxyEvents, 1);
        *events = (ProxyEvents){
                .connection = connection,
                .registrations = g_array_new(FALSE, FALSE, sizeof(Registration)),
        };
        proxy_connection_set_data(connection, &key, events, events_free);
        return events;
}

/* --- sending --------------------------------------------------------------------------------------------------------- */

static void send_one(ProxyEvents *events, unsigned procedure, const void *message) {
        int r = proxy_connection_send_event(events->connection, &rpc_programs[RPC_PROGRAM_REMOTE].procedures[procedure], message);

        if (r < 0)
                vb_log_warning("an event cannot be sent: %s", g_strerror(-r));
}

static bool is_for(const Registration *registration, int id, const ProxyDomain *domain) {
        return registration->id == id &&
               (!registration->has_domain || memcmp(registration->uuid, domain->uuid, sizeof(domain->uuid)) == 0);
}

void proxy_events_send(ProxyEvents *events, int id, const ProxyDomain *domain, void *message) {
        const EventProcedures *procedure = &procedures[id];
        bool legacy = false;

        for (unsigned i = 0; i < events->registrations->len; i++) {
                const Registration *registration = &g_array_index(events->registrations, Registration, i);

                if (!is_for(registration, id, domain))
                        continue;
                if (registration->kind != REGISTRATION_CALLBACK) {
                        legacy = true;
                        continue;
                }
                *(int32_t *) message = registration->callback;
                send_one(events, procedure->callback, message);
        }
        /* Without a number, so it is sent once, whichever ways it was asked for. */
        if (legacy && procedure->legacy != 0)
                send_one(events, procedure->legacy, (const char *) message + procedure->legacy_offset);
}

bool proxy_events_wants(const ProxyEvents *events, int id, const ProxyDomain *domain) {
        for (unsigned i = 0; i < events->registrations->len; i++)
                if (is_for(&g_array_index(events->registrations, Registration, i), id, domain))
                        return true;
        return false;
}

ProxyConnection *proxy_events_connection(ProxyEvents *events) {
        return events->connection;
}

ProxyDomains *proxy_events_domains(ProxyEvents *events) {
        return events->watch ? events->domains : NULL;
}

static void on_news(const ProxyDomainNews *news, void *userdata) {
        proxy_events_tell(userdata, news);
}

/* --- registering ----------------------------------------------------------------------------------------------------- */

static int refuse(ProxyCall *call, sd_bus_error *reterr, const char *what, int number, const char *why) {
        return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "%s %d %s", what, number, why);
}

static bool check_id(int id) {
        return id >= 0 && id < VIR_DOMAIN_EVENT_ID_LAST;
}

/* The place of a registration; -1 if there is none. */
static int find_registration(const ProxyEvents *events, RegistrationKind kind, int number) {
        for (unsigned i = 0; i < events->registrations->len; i++) {
                const Registration *registration = &g_array_index(events->registrations, Registration, i);

                if (registration->kind == kind &&
                    number == (kind == REGISTRATION_CALLBACK ? registration->callback : registration->id))
                        return (int) i;
        }
        return -1;
}

/* Hears what happens from now on. 0: the records are being read; the function is run again. */
static int watch_domains(ProxyCall *call, ProxyEvents *events, sd_bus_error *reterr) {
        ProxyDomains *domains;
        int r;

        if (events->watch)
                return 1;
        r = proxy_call_domains(call, &domains, reterr);
        if (r > 0) {
                events->watch = proxy_domains_watch(domains, on_news, events);
                events->domains = domains;
        }
        return r;
}

static int add_registration(ProxyCall *call, const Registration *registration, sd_bus_error *reterr) {
        ProxyEvents *events = get_events(proxy_call_connection(call));
        int r;

        if (events->registrations->len >= REGISTRATIONS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "this connection has registered for %d events already",
                                         REGISTRATIONS_MAX);
        if (registration->kind != REGISTRATION_CALLBACK && find_registration(events, registration->kind, registration->id) >= 0)
                return refuse(call, reterr, "domain event", registration->id, "already registered");
        r = watch_domains(call, events, reterr);
        if (r <= 0)
                return r;
        g_array_append_val(events->registrations, *registration);
        return 1;
}

static int remove_registration(ProxyCall *call, RegistrationKind kind, int number, sd_bus_error *reterr) {
        ProxyEvents *events = get_events(proxy_call_connection(call));
        int place = find_registration(events, kind, number);

        if (place < 0)
                return refuse(call, reterr, kind == REGISTRATION_CALLBACK ? "domain event callback" : "domain event", number,
                              "not registered");
        g_array_remove_index(events->registrations, (unsigned) place);
        if (events->registrations->len == 0)
                events->watch = proxy_domains_unwatch(events->watch);
        return 0;
}

int proxy_remote_connect_domain_event_callback_register_any(ProxyCall *call,
                                                            const RpcRemoteConnectDomainEventCallbackRegisterAnyArgs *args,
                                                            sd_bus_error *reterr) {
        ProxyEvents *events = get_events(proxy_call_connection(call));
        Registration registration = { .kind = REGISTRATION_CALLBACK, .id = args->eventID };
        const ProxyDomain *domain;
        int r;

        if (!check_id(args->eventID))
                return refuse(call, reterr, "unsupported event ID", args->eventID, "");
        if (args->dom) {
                r = proxy_call_find_domain(call, args->dom, &domain, reterr);
                if (r <= 0)
                        return r;
                registration.has_domain = true;
                memcpy(registration.uuid, domain->uuid, sizeof(registration.uuid));
        }
        registration.callback = events->last_callback + 1;
        r = add_registration(call, &registration, reterr);
        if (r <= 0)
                return r;
        /* Numbers are never used again: events may be on their way to who has deregistered. */
        events->last_callback = registration.callback;
        return proxy_reply_remote_connect_domain_event_callback_register_any(
                call, &(RpcRemoteConnectDomainEventCallbackRegisterAnyRet){ registration.callback });
}

int proxy_remote_connect_domain_event_callback_deregister_any(ProxyCall *call,
                                                              const RpcRemoteConnectDomainEventCallbackDeregisterAnyArgs *args,
                                                              sd_bus_error *reterr) {
        int r = remove_registration(call, REGISTRATION_CALLBACK, args->callbackID, reterr);

        return r < 0 ? r : proxy_call_reply(call, NULL);
}

int proxy_remote_connect_domain_event_register_any(ProxyCall *call, const RpcRemoteConnectDomainEventRegisterAnyArgs *args,
                                                   sd_bus_error *reterr) {
        int r;

        if (!check_id(args->eventID) || procedures[args->eventID].legacy == 0)
                return refuse(call, reterr, "unsupported event ID", args->eventID, "");
        r = add_registration(call, &(Registration){ .kind = REGISTRATION_BY_ID, .id = args->eventID }, reterr);
        return r <= 0 ? r : proxy_call_reply(call, NULL);
}

int proxy_remote_connect_domain_event_deregister_any(ProxyCall *call, const RpcRemoteConnectDomainEventDeregisterAnyArgs *args,
                                                     sd_bus_error *reterr) {
        int r = remove_registration(call, REGISTRATION_BY_ID, args->eventID, reterr);

        return r < 0 ? r : proxy_call_reply(call, NULL);
}

int proxy_remote_connect_domain_event_register(ProxyCall *call, sd_bus_error *reterr) {
        int r = add_registration(call, &(Registration){ .kind = REGISTRATION_LIFECYCLE, .id = VIR_DOMAIN_EVENT_ID_LIFECYCLE }, reterr);

        if (r <= 0)
                return r;
        return proxy_reply_remote_connect_domain_event_register(call, &(RpcRemoteConnectDomainEventRegisterRet){ .cb_registered = 1 });
}

int proxy_remote_connect_domain_event_deregister(ProxyCall *call, sd_bus_error *reterr) {
        int r = remove_registration(call, REGISTRATION_LIFECYCLE, VIR_DOMAIN_EVENT_ID_LIFECYCLE, reterr);

        if (r < 0)
                return r;
        return proxy_reply_remote_connect_domain_event_deregister(call,
                                                                  &(RpcRemoteConnectDomainEventDeregisterRet){ .cb_registered = 0 });
}
