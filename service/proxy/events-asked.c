/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/events-asked.h"

#include "proxy/backend.h"
#include "proxy/worker.h"

enum {
        QUESTIONS_MAX = 64, /* of one connection; what comes on top is not told */
};

/* One that the driver has not answered yet. */
typedef struct Pending {
        ProxyQuestion question;
        GPtrArray *list; /* the connection's */
        ProxyBackendCall *call;
        char *path, *part;
} Pending;

static void pending_free(gpointer data) {
        Pending *pending = data;

        (void) proxy_backend_call_cancel(pending->call);
        g_free(pending->path);
        g_free(pending->part);
        g_free(pending);
}

static void on_answered(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        Pending *pending = userdata;
        const ProxyQuestion *question = &pending->question;
        ProxyDomains *domains = proxy_events_domains(question->events);
        const ProxyDomain *domain = domains ? proxy_domains_by_path(domains, pending->path) : NULL;

        pending->call = NULL;
        if (answer && sd_bus_message_is_method_error(answer, NULL))
                answer = NULL;
        if (domain)
                question->kind->tell(question, domain, answer);
        (void) g_ptr_array_remove(pending->list, pending);
}

static void free_list(gpointer list) {
        g_ptr_array_unref(list);
}

static GPtrArray *get_list(ProxyConnection *connection) {
        static const char key;
        GPtrArray *list = proxy_connection_data(connection, &key);

        if (list)
                return list;
        list = g_ptr_array_new_with_free_func(pending_free);
        proxy_connection_set_data(connection, &key, list, free_list);
        return list;
}

static int send_question(ProxyConnection *connection, Pending *pending) {
        ProxyBackend *backend = proxy_worker_backend(proxy_connection_worker(connection), proxy_connection_driver(connection));
        const ProxyQuestionKind *kind = pending->question.kind;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (!backend)
                return -ENOENT;
        r = proxy_backend_new_method(backend, &message, pending->path, "org.virtbus.Domain1", kind->member);
        if (r >= 0)
                r = kind->append(message, &pending->question);
        if (r < 0)
                return r;
        return proxy_backend_call(&pending->call, backend, proxy_connection_client(connection),
                                  proxy_connection_is_read_only(connection), message, on_answered, pending, &error);
}

void proxy_events_ask(const ProxyQuestion *question, const ProxyDomain *domain) {
        ProxyConnection *connection = proxy_events_connection(question->events);
        GPtrArray *list = get_list(connection);
        Pending *pending;

        if (list->len >= QUESTIONS_MAX)
                return;
        pending = g_new(Pending, 1);
        *pending = (Pending){ .question = *question, .list = list, .path = g_strdup(domain->path), .part = g_strdup(question->part) };
        pending->question.part = pending->part;
        g_ptr_array_add(list, pending);
        if (send_question(connection, pending) < 0)
                (void) g_ptr_array_remove(list, pending);
}
