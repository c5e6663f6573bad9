/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events of emulators' monitors, as they come, for who debugs. Not everyone may hear them; so each domain is asked to let this very client
 * watch (Domain1.WatchMonitor), and who registers for all domains hears those that let him. A watch that ends, as when the driver is
 * restarted, is begun anew. */

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/worker.h"

enum {
        REGISTRATIONS_MAX = 64, /* of one connection */
        PACKET_MAX = 1024 * 1024, /* one event */
        RETRY_USEC = 1000 * 1000,
};

#define FLAG_REGEX VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX
#define FLAG_NOCASE VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_NOCASE

/* What one connection has registered. */
typedef struct MonitorEvents {
        ProxyConnection *connection;
        ProxyDomains *domains;
        ProxyDomainsWatch *news;
        GPtrArray *registrations; /* of Registration */
        GHashTable *watches; /* path → Watch */
        int32_t last_callback;
} MonitorEvents;

typedef struct Registration {
        int32_t callback;
        char *path; /* of one domain; NULL: all */
        char *event; /* NULL: all */
        bool any_case;
        GRegex *pattern; /* instead of event */
} Registration;

/* One domain that lets us hear its monitor, or is being asked to. */
typedef struct Watch {
        MonitorEvents *events;
        char *path;
        ProxyBackendCall *question;
        int fd;
        sd_event_source *io;
        sd_event_source *retry;
} Watch;

static void watch_free(gpointer data) {
        Watch *watch = data;

        (void) proxy_backend_call_cancel(watch->question);
        sd_event_source_disable_unref(watch->retry);
        sd_event_source_disable_unref(watch->io);
        (void) vb_close(watch->fd);
        g_free(watch->path);
        g_free(watch);
}

static void registration_free(gpointer data) {
        Registration *registration = data;

        g_clear_pointer(&registration->pattern, g_regex_unref);
        g_free(registration->event);
        g_free(registration->path);
        g_free(registration);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registration, registration_free)

static void events_free(gpointer data) {
        MonitorEvents *events = data;

        (void) proxy_domains_unwatch(events->news);
        g_hash_table_unref(events->watches);
        g_ptr_array_unref(events->registrations);
        g_free(events);
}

/* --- telling --------------------------------------------------------------------------------------------------------- */

static bool wants_event(const Registration *registration, const char *path, const char *event) {
        if (registration->path && strcmp(registration->path, path) != 0)
                return false;
        if (registration->pattern)
                return g_regex_match(registration->pattern, event, 0, NULL);
        if (!registration->event)
                return true;
        return (registration->any_case ? strcasecmp(registration->event, event) : strcmp(registration->event, event)) == 0;
}

static int64_t get_number(VbJson *object, const char *key) {
        VbJson *value;

        return json_object_object_get_ex(object, key, &value) ? json_object_get_int64(value) : 0;
}

static void tell_packet(MonitorEvents *events, const ProxyDomain *domain, VbJson *packet) {
        VbJson *name = NULL, *timestamp = NULL, *details = NULL;
        RpcQemuDomainMonitorEventMsg message;

        if (!json_object_object_get_ex(packet, "event", &name))
                return;
        (void) json_object_object_get_ex(packet, "timestamp", &timestamp);
        (void) json_object_object_get_ex(packet, "data", &details);
        message = (RpcQemuDomainMonitorEventMsg){
                .dom = proxy_domain_to_rpc(domain),
                .event = json_object_get_string(name),
                .seconds = get_number(timestamp, "seconds"),
                .micros = (uint32_t) get_number(timestamp, "microseconds"),
                .details = details ? json_object_to_json_string_ext(details, JSON_C_TO_STRING_PLAIN) : NULL,
        };
        for (unsigned i = 0; i < events->registrations->len; i++) {
                const Registration *registration = g_ptr_array_index(events->registrations, i);

                if (!wants_event(registration, domain->path, message.event))
                        continue;
                message.callbackID = registration->callback;
                if (proxy_send_qemu_domain_monitor_event(events->connection, &message) < 0)
                        vb_log_warning("domain '%s': event %s of the monitor cannot be sent", domain->name, message.event);
        }
}

/* --- watching -------------------------------------------------------------------------------------------------------- */

static void watch_begin(Watch *watch);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        watch_begin(userdata);
        return 0;
}

/* The watch has ended, or the question could not be asked: as long as the domain is there, it is tried again after a moment. */
static void watch_again(Watch *watch) {
        sd_event *event = proxy_worker_event(proxy_connection_worker(watch->events->connection));
        int r;

        watch->io = sd_event_source_disable_unref(watch->io);
        watch->fd = vb_close(watch->fd);
        watch->retry = sd_event_source_disable_unref(watch->retry);
        r = sd_event_add_time_relative(event, &watch->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, watch);
        if (r < 0)
                (void) g_hash_table_remove(watch->events->watches, watch->path);
}

static int on_packet(sd_event_source *source, int fd, uint32_t what, void *userdata) {
        static char buffer[PACKET_MAX + 1];
        Watch *watch = userdata;
        MonitorEvents *events = watch->events;
        const ProxyDomain *domain;
        g_autoptr(VbJson) packet = NULL;
        ssize_t n;

        n = recv(fd, buffer, PACKET_MAX, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                watch_again(watch);
                return 0;
        }
        /* What a client does not take in time, it misses. */
        domain = proxy_domains_by_path(events->domains, watch->path);
        if (!domain || proxy_connection_queued(events->connection) >= PROXY_QUEUE_HIGH)
                return 0;
        buffer[n] = '\0';
        packet = json_tokener_parse(buffer);
        if (json_object_is_type(packet, json_type_object))
                tell_packet(events, domain, packet);
        return 0;
}

/* fd is taken over. */
static int watch_use(Watch *watch, int fd) {
        sd_event *event = proxy_worker_event(proxy_connection_worker(watch->events->connection));

        watch->io = sd_event_source_disable_unref(watch->io);
        watch->fd = vb_close(watch->fd);
        watch->fd = fd;
        return sd_event_add_io(event, &watch->io, fd, EPOLLIN, on_packet, watch);
}

static int take_descriptor(sd_bus_message *answer) {
        int fd, r;

        r = sd_bus_message_read(answer, "h", &fd);
        if (r < 0)
                return r;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
}

static void on_watched(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        Watch *watch = userdata;
        MonitorEvents *events = watch->events;

        watch->question = NULL;
        if (!answer && proxy_domains_by_path(events->domains, watch->path)) {
                watch_again(watch); /* the driver is being restarted */
                return;
        }
        r = !answer || sd_bus_message_is_method_error(answer, NULL) ? -EACCES : take_descriptor(answer);
        if (r >= 0)
                r = watch_use(watch, r);
        /* It is not to be heard by this client. */
        if (r < 0)
                (void) g_hash_table_remove(events->watches, watch->path);
}

static int new_question(ProxyConnection *connection, const char *path, ProxyBackend **ret_backend, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) message = NULL;
        ProxyBackend *backend = proxy_worker_backend(proxy_connection_worker(connection), proxy_connection_driver(connection));
        int r;

        if (!backend)
                return -ENOENT;
        r = proxy_backend_new_method(backend, &message, path, "org.virtbus.Domain1", "WatchMonitor");
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        if (r < 0)
                return r;
        *ret_backend = backend;
        *ret = g_steal_pointer(&message);
        return 0;
}

/* Nobody is asked for a password: the client has asked for nothing in particular. */
static void watch_begin(Watch *watch) {
        MonitorEvents *events = watch->events;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) message = NULL;
        ProxyBackend *backend;
        int r;

        r = new_question(events->connection, watch->path, &backend, &message);
        if (r >= 0)
                r = proxy_backend_call(&watch->question, backend, proxy_connection_client(events->connection),
                                       proxy_connection_is_read_only(events->connection), message, on_watched, watch, &error);
        if (r < 0)
                (void) g_hash_table_remove(events->watches, watch->path);
}

/* The watch of a domain; made if need be, without beginning it. */
static Watch *get_watch(MonitorEvents *events, const char *path, bool *ret_is_new) {
        Watch *watch = g_hash_table_lookup(events->watches, path);

        *ret_is_new = !watch;
        if (watch)
                return watch;
        watch = g_new(Watch, 1);
        *watch = (Watch){ .events = events, .path = g_strdup(path), .fd = -EBADF };
        (void) g_hash_table_insert(events->watches, watch->path, watch);
        return watch;
}

static void watch_if_new(MonitorEvents *events, const ProxyDomain *domain) {
        bool is_new;
        Watch *watch = get_watch(events, domain->path, &is_new);

        if (is_new)
                watch_begin(watch);
}

static bool wants_domain(const MonitorEvents *events, const char *path) {
        for (unsigned i = 0; i < events->registrations->len; i++) {
                const Registration *registration = g_ptr_array_index(events->registrations, i);

                if (!registration->path || strcmp(registration->path, path) == 0)
                        return true;
        }
        return false;
}

/* A guest whose emulator is just coming to be has much to say. One that may not be heard is not asked again before its next start. */
static void on_news(const ProxyDomainNews *news, void *userdata) {
        MonitorEvents *events = userdata;
        bool starts = news->after && news->after->id >= 0 && !(news->before && news->before->id == news->after->id);

        if (!news->after)
                (void) g_hash_table_remove(events->watches, news->before->path);
        else if (starts && wants_domain(events, news->after->path))
                watch_if_new(events, news->after);
}

static gboolean is_unwanted(gpointer path, gpointer value, gpointer userdata) {
        return !wants_domain(userdata, path);
}

/* --- registering ----------------------------------------------------------------------------------------------------- */

static MonitorEvents *get_events(ProxyConnection *connection, ProxyDomains *domains) {
        static const char key;
        MonitorEvents *events = proxy_connection_data(connection, &key);

        if (events || !domains)
                return events;
        events = g_new(MonitorEvents, 1);
        *events = (MonitorEvents){
                .connection = connection,
                .domains = domains,
                .registrations = g_ptr_array_new_with_free_func(registration_free),
                .watches = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watch_free),
        };
        events->news = proxy_domains_watch(domains, on_news, events);
        proxy_connection_set_data(connection, &key, events, events_free);
        return events;
}

static int registration_new(Registration **ret, const RpcQemuConnectDomainMonitorEventRegisterArgs *args, const char *path,
                            sd_bus_error *reterr) {
        g_autoptr(Registration) registration = g_new0(Registration, 1);
        GRegexCompileFlags flags = args->flags & FLAG_NOCASE ? G_REGEX_CASELESS : 0;
        g_autoptr(GError) error = NULL;

        registration->path = g_strdup(path);
        registration->any_case = args->flags & FLAG_NOCASE;
        if (args->event && args->flags & FLAG_REGEX) {
                registration->pattern = g_regex_new(args->event, flags | G_REGEX_OPTIMIZE, 0, &error);
                if (!registration->pattern)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE, "failed to compile regex '%s': %s",
                                               args->event, error->message);
        } else
                registration->event = g_strdup(args->event);
        *ret = g_steal_pointer(&registration);
        return 0;
}

static int register_and_reply(ProxyCall *call, MonitorEvents *events, Registration *registration) {
        registration->callback = ++events->last_callback;
        g_ptr_array_add(events->registrations, registration);
        return proxy_reply_qemu_connect_domain_monitor_event_register(
                call, &(RpcQemuConnectDomainMonitorEventRegisterRet){ .callbackID = registration->callback });
}

/* The client may watch the one domain that it has named. */
static int on_first_watched(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcQemuConnectDomainMonitorEventRegisterArgs *args = userdata;
        g_autoptr(Registration) registration = NULL;
        const ProxyDomain *domain;
        MonitorEvents *events;
        ProxyDomains *domains;
        bool is_new;
        Watch *watch;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_find_domain(call, args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = registration_new(&registration, args, domain->path, reterr);
        if (r < 0)
                return r;

        events = get_events(proxy_call_connection(call), domains);
        watch = get_watch(events, domain->path, &is_new);
        if (watch->fd < 0) {
                watch->question = proxy_backend_call_cancel(watch->question);
                watch->retry = sd_event_source_disable_unref(watch->retry);
                r = take_descriptor(answer);
                if (r >= 0)
                        r = watch_use(watch, r);
                if (r < 0) {
                        (void) g_hash_table_remove(events->watches, domain->path);
                        return r;
                }
        }
        return register_and_reply(call, events, g_steal_pointer(&registration));
}

static int register_one(ProxyCall *call, const RpcQemuConnectDomainMonitorEventRegisterArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, "org.virtbus.Domain1", "WatchMonitor", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        if (r < 0)
                return r;
        return proxy_call_send(call, message, on_first_watched, (void *) args, reterr);
}

static int register_all(ProxyCall *call, const RpcQemuConnectDomainMonitorEventRegisterArgs *args, sd_bus_error *reterr) {
        g_autoptr(Registration) registration = NULL;
        const ProxyDomain *const *all;
        MonitorEvents *events;
        ProxyDomains *domains;
        size_t n;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        r = registration_new(&registration, args, NULL, reterr);
        if (r < 0)
                return r;
        events = get_events(proxy_call_connection(call), domains);
        all = proxy_domains_all(domains, &n);
        for (size_t i = 0; i < n; i++)
                if (all[i]->id >= 0)
                        watch_if_new(events, all[i]);
        return register_and_reply(call, events, g_steal_pointer(&registration));
}

int proxy_qemu_connect_domain_monitor_event_register(ProxyCall *call, const RpcQemuConnectDomainMonitorEventRegisterArgs *args,
                                                     sd_bus_error *reterr) {
        const MonitorEvents *events = get_events(proxy_call_connection(call), NULL);
        g_autoptr(Registration) checked = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, FLAG_REGEX | FLAG_NOCASE, reterr);
        if (r < 0)
                return r;
        if (events && events->registrations->len >= REGISTRATIONS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "this connection has registered for %d events already",
                                         REGISTRATIONS_MAX);
        /* Before anybody is asked for anything. */
        r = registration_new(&checked, args, NULL, reterr);
        if (r < 0)
                return r;
        return args->dom ? register_one(call, args, reterr) : register_all(call, args, reterr);
}

int proxy_qemu_connect_domain_monitor_event_deregister(ProxyCall *call, const RpcQemuConnectDomainMonitorEventDeregisterArgs *args,
                                                       sd_bus_error *reterr) {
        MonitorEvents *events = get_events(proxy_call_connection(call), NULL);

        for (unsigned i = 0; events && i < events->registrations->len; i++) {
                const Registration *registration = g_ptr_array_index(events->registrations, i);

                if (registration->callback != args->callbackID)
                        continue;
                g_ptr_array_remove_index(events->registrations, i);
                (void) g_hash_table_foreach_remove(events->watches, is_unwanted, events);
                return proxy_call_reply(call, NULL);
        }
        return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "domain monitor event callback %d not registered",
                               args->callbackID);
}
