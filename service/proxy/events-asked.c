/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events of which the bus tells everyone that they happened, but not what: to which limit, in which element of the metadata. The driver is asked
 * for it in the name of the client who has registered, and tells it if she may read the definition. */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/events.h"
#include "proxy/worker.h"

enum {
        QUESTIONS_MAX = 64, /* of one connection; what comes on top is not told */
        PARAMS_MAX = 32,
        FIELD_SIZE = 80,
};

typedef struct Question Question;
typedef struct Source Source;

/* One that the driver has not answered yet. */
struct Question {
        ProxyEvents *events;
        GPtrArray *questions; /* the connection's */
        ProxyBackendCall *call;
        char *path, *part;
        uint64_t change;
        const Source *source; /* NULL: the metadata's */
};

/* The event's parameters, while they are gathered. */
typedef struct Params {
        RpcTypedParam items[PARAMS_MAX];
        char fields[PARAMS_MAX][FIELD_SIZE];
        unsigned n;
} Params;

struct Source {
        const char *what; /* in the signal */
        const char *member;
        bool names_part; /* its first argument */
        int (*read)(const Question *question, sd_bus_message *answer, Params *params);
};

static RpcTypedValue *add_param(Params *params, const char *field, int type) {
        RpcTypedParam *param;

        if (params->n >= PARAMS_MAX || strlen(field) >= FIELD_SIZE)
                return NULL;
        param = &params->items[params->n];
        (void) g_strlcpy(params->fields[params->n], field, FIELD_SIZE);
        param->field = params->fields[params->n++];
        param->value.type = type;
        return &param->value;
}

static void add_text(Params *params, const char *field, const char *text) {
        RpcTypedValue *value = add_param(params, field, VIR_TYPED_PARAM_STRING);

        if (value)
                value->s = text;
}

/* A variant of a number or text; anything else is skipped. */
static int add_variant(Params *params, const char *field, sd_bus_message *m) {
        const char *type;
        RpcTypedValue *value;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &type);
        if (r < 0)
                return r;
        if (strcmp(type, "t") == 0 && (value = add_param(params, field, VIR_TYPED_PARAM_ULLONG)))
                return sd_bus_message_read(m, "v", "t", &value->ul);
        if (strcmp(type, "x") == 0 && (value = add_param(params, field, VIR_TYPED_PARAM_LLONG)))
                return sd_bus_message_read(m, "v", "x", &value->l);
        if (strcmp(type, "s") == 0 && (value = add_param(params, field, VIR_TYPED_PARAM_STRING)))
                return sd_bus_message_read(m, "v", "s", &value->s);
        return sd_bus_message_skip(m, "v");
}

/* An a{sv} whose keys name() makes names of parameters of. */
static int read_values(sd_bus_message *m, Params *params, char *(*name)(const char *key)) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                g_autofree char *field = NULL;

                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                field = name(key);
                r = field ? add_variant(params, field, m) : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static char *name_cpu(const char *key) {
        static const char *const names[][2] = {
                { "shares", VIR_DOMAIN_TUNABLE_CPU_CPU_SHARES },
                { "period-usec", VIR_DOMAIN_TUNABLE_CPU_VCPU_PERIOD },
                { "quota-usec", VIR_DOMAIN_TUNABLE_CPU_VCPU_QUOTA },
                { "global-period-usec", VIR_DOMAIN_TUNABLE_CPU_GLOBAL_PERIOD },
                { "global-quota-usec", VIR_DOMAIN_TUNABLE_CPU_GLOBAL_QUOTA },
                { "emulator-period-usec", VIR_DOMAIN_TUNABLE_CPU_EMULATOR_PERIOD },
                { "emulator-quota-usec", VIR_DOMAIN_TUNABLE_CPU_EMULATOR_QUOTA },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (strcmp(names[i][0], key) == 0)
                        return g_strdup(names[i][1]);
        return NULL;
}

static int read_cpu(const Question *question, sd_bus_message *answer, Params *params) {
        return read_values(answer, params, name_cpu);
}

/* "total-iops-sec": "blkdeviotune.total_iops_sec" */
static char *name_disk(const char *key) {
        char *field = g_strdup_printf("blkdeviotune.%s", strcmp(key, "group") == 0 ? "group-name" : key);

        return g_strdelimit(field, "-", '_');
}

static int read_disk(const Question *question, sd_bus_message *answer, Params *params) {
        add_text(params, VIR_DOMAIN_TUNABLE_BLKDEV_DISK, question->part);
        return read_values(answer, params, name_disk);
}

static int read_emulator_pin(const Question *question, sd_bus_message *answer, Params *params) {
        const char *cpus;
        int r = sd_bus_message_read(answer, "s", &cpus);

        if (r >= 0)
                add_text(params, VIR_DOMAIN_TUNABLE_CPU_EMULATORPIN, cpus);
        return r;
}

/* One of aa{sv}. */
static int read_vcpu(sd_bus_message *m, uint32_t *ret_number, const char **ret_affinity) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                if (strcmp(key, "number") == 0)
                        r = sd_bus_message_read(m, "v", "u", ret_number);
                else if (strcmp(key, "affinity") == 0)
                        r = sd_bus_message_read(m, "v", "s", ret_affinity);
                else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_vcpu_pin(const Question *question, sd_bus_message *answer, Params *params) {
        uint32_t wanted = (uint32_t) strtoul(question->part, NULL, 10);
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "a{sv}");
        while (r >= 0 && sd_bus_message_at_end(answer, /* complete= */ false) == 0) {
                uint32_t number = UINT32_MAX;
                const char *affinity = NULL;
                char field[FIELD_SIZE];

                r = read_vcpu(answer, &number, &affinity);
                if (r < 0 || number != wanted || !affinity)
                        continue;
                (void) g_snprintf(field, sizeof(field), VIR_DOMAIN_TUNABLE_CPU_VCPUPIN, number);
                add_text(params, field, affinity);
        }
        return r;
}

static int read_iothread_pin(const Question *question, sd_bus_message *answer, Params *params) {
        uint32_t wanted = (uint32_t) strtoul(question->part, NULL, 10), id;
        const char *affinity;
        char field[FIELD_SIZE];
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(us)");
        while (r >= 0 && (r = sd_bus_message_read(answer, "(us)", &id, &affinity)) > 0) {
                if (id != wanted)
                        continue;
                (void) g_snprintf(field, sizeof(field), VIR_DOMAIN_TUNABLE_CPU_IOTHREADSPIN, id);
                add_text(params, field, affinity);
        }
        return r;
}

/* What the classic event knows; limits of memory, block devices and nodes it does not. */
static const Source sources[] = {
        { "cpu", "GetCPUTuning", false, read_cpu },
        { "disk", "GetDiskTuning", true, read_disk },
        { "emulator-pin", "GetEmulatorAffinity", false, read_emulator_pin },
        { "iothread-pin", "ListIOThreads", false, read_iothread_pin },
        { "vcpu-pin", "ListVCPUs", false, read_vcpu_pin },
};

static void tell_limits(const Question *question, const ProxyDomain *domain, sd_bus_message *answer) {
        Params params = { .n = 0 };
        int r;

        r = question->source->read(question, answer, &params);
        if (r < 0)
                vb_log_warning("domain '%s': cannot understand what %s tells: %s", domain->name, question->source->member, g_strerror(-r));
        else if (params.n > 0)
                proxy_events_send(question->events, VIR_DOMAIN_EVENT_ID_TUNABLE, domain,
                                  &(RpcRemoteDomainEventCallbackTunableMsg){
                                          .dom = proxy_domain_to_rpc(domain),
                                          .params = { params.n, params.items },
                                  });
}

/* answer NULL: it is not known, or not for her. */
static void tell_element(const Question *question, const ProxyDomain *domain, sd_bus_message *answer) {
        const char *uri = NULL;

        if (answer && sd_bus_message_read(answer, "s", &uri) < 0)
                uri = NULL;
        proxy_events_send(question->events, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain,
                          &(RpcRemoteDomainEventCallbackMetadataChangeMsg){
                                  .dom = proxy_domain_to_rpc(domain),
                                  .type = VIR_DOMAIN_METADATA_ELEMENT,
                                  .nsuri = uri,
                          });
}

static void question_free(gpointer data) {
        Question *question = data;

        (void) proxy_backend_call_cancel(question->call);
        g_free(question->path);
        g_free(question->part);
        g_free(question);
}

static void on_answered(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        Question *question = userdata;
        ProxyDomains *domains = proxy_events_domains(question->events);
        const ProxyDomain *domain = domains ? proxy_domains_by_path(domains, question->path) : NULL;

        question->call = NULL;
        if (answer && sd_bus_message_is_method_error(answer, NULL))
                answer = NULL;
        if (domain && !question->source)
                tell_element(question, domain, answer);
        else if (domain && answer)
                tell_limits(question, domain, answer);
        (void) g_ptr_array_remove(question->questions, question);
}

static void free_questions(gpointer questions) {
        g_ptr_array_unref(questions);
}

static GPtrArray *get_questions(ProxyConnection *connection) {
        static const char key;
        GPtrArray *questions = proxy_connection_data(connection, &key);

        if (questions)
                return questions;
        questions = g_ptr_array_new_with_free_func(question_free);
        proxy_connection_set_data(connection, &key, questions, free_questions);
        return questions;
}

static int append_arguments(sd_bus_message *message, const Question *question) {
        int r = 0;

        if (!question->source)
                return sd_bus_message_append(message, "ta{sv}", question->change, 0);
        if (question->source->names_part)
                r = sd_bus_message_append(message, "s", question->part);
        return r < 0 ? r : sd_bus_message_append(message, "a{sv}", 1, "live", "b", 1);
}

static int send_question(ProxyConnection *connection, Question *question) {
        ProxyBackend *backend = proxy_worker_backend(proxy_connection_worker(connection), proxy_connection_driver(connection));
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (!backend)
                return -ENOENT;
        r = proxy_backend_new_method(backend, &message, question->path, "org.virtbus.Domain1",
                                     question->source ? question->source->member : "GetMetadataChange");
        if (r >= 0)
                r = append_arguments(message, question);
        if (r < 0)
                return r;
        return proxy_backend_call(&question->call, backend, proxy_connection_client(connection),
                                  proxy_connection_is_read_only(connection), message, on_answered, question, &error);
}

static void ask(ProxyEvents *events, const ProxyDomain *domain, const Source *source, const char *part, uint64_t change) {
        ProxyConnection *connection = proxy_events_connection(events);
        GPtrArray *questions = get_questions(connection);
        Question *question;

        if (questions->len >= QUESTIONS_MAX)
                return;
        question = g_new(Question, 1);
        *question = (Question){
                .events = events,
                .questions = questions,
                .path = g_strdup(domain->path),
                .part = g_strdup(part),
                .change = change,
                .source = source,
        };
        g_ptr_array_add(questions, question);
        if (send_question(connection, question) < 0)
                (void) g_ptr_array_remove(questions, question);
}

void proxy_events_tell_tuning(ProxyEvents *events, const ProxyDomain *domain, const char *what, const char *part) {
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                if (strcmp(sources[i].what, what) == 0)
                        ask(events, domain, &sources[i], part, 0);
}

void proxy_events_tell_metadata(ProxyEvents *events, const ProxyDomain *domain, uint64_t change) {
        ask(events, domain, NULL, NULL, change);
}
