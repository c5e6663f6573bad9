/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call's way to the bus: messages on the client's own link, and the records of domains. */

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/uuid.h"
#include "proxy/call-private.h"
#include "proxy/call.h"
#include "proxy/error.h"
#include "proxy/worker.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define DOMAIN1 "org.virtbus.Domain1"

static int get_backend(ProxyCall *call, ProxyBackend **ret, sd_bus_error *reterr) {
        const char *driver;
        ProxyBackend *backend;

        if (!call->connection)
                return -ECANCELED; /* nobody reads what this becomes */
        driver = proxy_connection_driver(call->connection);
        backend = driver ? proxy_worker_backend(proxy_connection_worker(call->connection), driver) : NULL;
        if (!backend)
                return proxy_error_set(reterr, VIR_ERR_NO_SUPPORT, VIR_FROM_NONE, "%s",
                                       call->procedure->function);
        *ret = backend;
        return 0;
}

int proxy_call_new_method(ProxyCall *call, sd_bus_message **ret, const char *path, const char *interface,
                          const char *member, sd_bus_error *reterr) {
        ProxyBackend *backend;
        int r;

        r = get_backend(call, &backend, reterr);
        if (r < 0)
                return r;
        r = proxy_backend_new_method(backend, ret, path, interface, member);
        return r < 0 ? r : sd_bus_message_set_allow_interactive_authorization(*ret, true);
}

/* ---- sending */

typedef struct Pending {
        ProxyCall *call;
        ProxyBackendCall *slot;
        ProxyAnswered answered;
        void *userdata;
        bool is_tolerant;
} Pending;

static void pending_free(Pending *pending) {
        proxy_backend_call_cancel(pending->slot);
        proxy_call_unref(pending->call);
        g_free(pending);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pending, pending_free)

static void on_answer(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Pending) pending = userdata;

        if (!answer && r == -ECONNRESET)
                proxy_call_set_undo(pending->call, NULL, NULL); /* it was sent: whether it was done is not known */
        if (answer && !pending->is_tolerant && sd_bus_message_is_method_error(answer, NULL)) {
                error = sd_bus_message_get_error(answer);
                r = -sd_bus_message_get_errno(answer);
        }
        if (answer && (pending->is_tolerant || !sd_bus_message_is_method_error(answer, NULL)))
                proxy_call_run(pending->call,
                               &(ProxyCallStep){ pending->answered, answer, pending->userdata });
        else
                (void) proxy_call_fail(pending->call, r < 0 ? r : -EIO, error);
}

static int send_message(ProxyCall *call, sd_bus_message *message, ProxyAnswered answered, void *userdata,
                        bool is_tolerant, sd_bus_error *reterr) {
        g_autoptr(Pending) pending = NULL;
        ProxyBackend *backend;
        int r;

        r = get_backend(call, &backend, reterr);
        if (r < 0)
                return r;
        pending = g_new0(Pending, 1);
        *pending = (Pending){ .call = proxy_call_ref(call),
                              .answered = answered,
                              .userdata = userdata,
                              .is_tolerant = is_tolerant };
        r = proxy_backend_call(&pending->slot, backend, proxy_connection_client(call->connection),
                               proxy_connection_is_read_only(call->connection), message, on_answer, pending,
                               reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&pending); /* on_answer()'s */
        return 0;
}

int proxy_call_send(ProxyCall *call, sd_bus_message *message, ProxyAnswered answered, void *userdata,
                    sd_bus_error *reterr) {
        return send_message(call, message, answered, userdata, /* is_tolerant= */ false, reterr);
}

int proxy_call_send_tolerant(ProxyCall *call, sd_bus_message *message, ProxyAnswered answered, void *userdata,
                             sd_bus_error *reterr) {
        return send_message(call, message, answered, userdata, /* is_tolerant= */ true, reterr);
}

static int on_done(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return proxy_call_reply(call, NULL);
}

int proxy_call_send_plain(ProxyCall *call, sd_bus_message *message, sd_bus_error *reterr) {
        return proxy_call_send(call, message, on_done, NULL, reterr);
}

/* ---- reading */

int proxy_call_read_strings(ProxyCall *call, sd_bus_message *message, RpcStringArray *ret) {
        g_auto(GStrv) strings = NULL;
        const char **items;
        int r;

        r = sd_bus_message_read_strv(message, &strings);
        if (r < 0)
                return r;
        ret->n = strings ? g_strv_length(strings) : 0;
        items = proxy_call_alloc_array(call, ret->n, sizeof(char *));
        for (uint32_t i = 0; i < ret->n; i++)
                items[i] = proxy_call_strdup(call, strings[i]);
        ret->items = items;
        return 0;
}

/* ---- domains */

typedef struct Waiting {
        ProxyCall *call;
        ProxyCallStep step;
} Waiting;

static void waiting_free(Waiting *waiting) {
        sd_bus_message_unref(waiting->step.answer);
        proxy_call_unref(waiting->call);
        g_free(waiting);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Waiting, waiting_free)

static void on_domains(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Waiting) waiting = userdata;

        if (r < 0)
                (void) proxy_call_fail(waiting->call, r, error);
        else
                proxy_call_run(waiting->call, &waiting->step);
}

int proxy_call_domains(ProxyCall *call, ProxyDomains **ret, sd_bus_error *reterr) {
        g_autoptr(Waiting) waiting = NULL;
        ProxyBackend *backend;
        int r;

        r = get_backend(call, &backend, reterr);
        if (r < 0)
                return r;
        waiting = g_new0(Waiting, 1);
        *waiting = (Waiting){ proxy_call_ref(call), call->step };
        sd_bus_message_ref(waiting->step.answer);
        r = proxy_backend_domains(backend, ret, on_domains, waiting, reterr);
        if (r == 0)
                (void) g_steal_pointer(&waiting); /* on_domains()'s */
        return r;
}

int proxy_call_find_domain(ProxyCall *call, const RpcDomain *which, const ProxyDomain **ret,
                           sd_bus_error *reterr) {
        const ProxyDomain *domain;
        ProxyDomains *domains;
        char text[VB_UUID_STRING_SIZE];
        VbUuid uuid;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        domain = proxy_domains_by_uuid(domains, which->uuid);
        if (!domain) {
                memcpy(uuid.bytes, which->uuid, sizeof(uuid.bytes));
                return proxy_call_no_domain(call, reterr, "no domain with matching uuid '%s' (%s)",
                                            vb_uuid_format(&uuid, text), which->name);
        }
        *ret = domain;
        return 1;
}

int proxy_call_find_running(ProxyCall *call, const RpcDomain *which, const ProxyDomain **ret,
                            sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, which, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->id < 0)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, 0, "domain is not running");
        *ret = domain;
        return 1;
}

int proxy_call_new_domain_method(ProxyCall *call, sd_bus_message **ret, const RpcDomain *which,
                                 const char *member, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, which, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, ret, domain->path, DOMAIN1, member, reterr);
        return r < 0 ? r : 1;
}

int proxy_call_no_domain(ProxyCall *call, sd_bus_error *reterr, const char *format, ...) {
        g_autofree char *message = NULL;
        va_list arguments;

        va_start(arguments, format);
        message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return proxy_error_set(reterr, VIR_ERR_NO_DOMAIN, proxy_call_driver_domain(call), "%s", message);
}

int proxy_call_driver_domain(const ProxyCall *call) {
        return proxy_error_domain(call->procedure->domain,
                                  call->connection ? proxy_connection_driver(call->connection) : NULL);
}

RpcDomain proxy_domain_to_rpc(const ProxyDomain *domain) {
        RpcDomain rpc = { .name = domain->name, .id = domain->id };

        memcpy(rpc.uuid, domain->uuid, sizeof(rpc.uuid));
        return rpc;
}

/* ---- a domain as the reply */

/* All procedures that give a domain have a reply of nothing else. */
static int reply_domain(ProxyCall *call, const RpcDomain *domain) {
        g_assert(call->procedure->ret->size == sizeof(RpcDomain));

        return proxy_call_reply(call, domain);
}

static int read_domain_property(sd_bus_message *properties, const char *name, RpcDomain *domain) {
        const char *text;
        VbUuid uuid;
        int r;

        if (strcmp(name, "Name") == 0)
                return sd_bus_message_read(properties, "v", "s", &domain->name);
        if (strcmp(name, "Id") == 0)
                return sd_bus_message_read(properties, "v", "i", &domain->id);
        if (strcmp(name, "UUID") == 0) {
                r = sd_bus_message_read(properties, "v", "s", &text);
                if (r >= 0)
                        r = vb_uuid_parse(text, &uuid);
                if (r >= 0)
                        memcpy(domain->uuid, uuid.bytes, sizeof(domain->uuid));
                return r;
        }
        return sd_bus_message_skip(properties, "v");
}

static int on_properties(ProxyCall *call, sd_bus_message *properties, void *userdata, sd_bus_error *reterr) {
        RpcDomain domain = { .id = -1 };
        const char *name;
        int r;

        r = sd_bus_message_enter_container(properties, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(properties, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(properties, 's', &name);
                if (r >= 0)
                        r = read_domain_property(properties, name, &domain);
                if (r >= 0)
                        r = sd_bus_message_exit_container(properties);
        }
        if (r < 0)
                return r;
        return domain.name ? reply_domain(call, &domain) : -EBADMSG;
}

int proxy_call_reply_domain_at(ProxyCall *call, const char *path, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        ProxyDomains *domains;
        RpcDomain rpc;
        int r;

        r = proxy_call_domains(call, &domains, reterr);
        if (r <= 0)
                return r;
        domain = proxy_domains_by_path(domains, path);
        if (domain) {
                rpc = proxy_domain_to_rpc(domain);
                return reply_domain(call, &rpc);
        }
        r = proxy_call_new_method(call, &message, path, PROPERTIES, "GetAll", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", "org.virtbus.Domain1");
        if (r < 0)
                return r;
        return proxy_call_send(call, message, on_properties, NULL, reterr);
}
