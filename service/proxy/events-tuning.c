/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Limits that have changed, as classic parameters: a row for each of which the classic event knows. */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/events-asked.h"

enum {
        PARAMS_MAX = 32,
        FIELD_SIZE = 80,
};

/* The event's parameters, while they are gathered. */
typedef struct Params {
        RpcTypedParam items[PARAMS_MAX];
        char fields[PARAMS_MAX][FIELD_SIZE];
        unsigned n;
} Params;

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

static int read_cpu(const ProxyQuestion *question, sd_bus_message *answer, Params *params) {
        return read_values(answer, params, name_cpu);
}

/* "total-iops-sec": "blkdeviotune.total_iops_sec" */
static char *name_disk(const char *key) {
        char *field = g_strdup_printf("blkdeviotune.%s", strcmp(key, "group") == 0 ? "group-name" : key);

        return g_strdelimit(field, "-", '_');
}

static int read_disk(const ProxyQuestion *question, sd_bus_message *answer, Params *params) {
        add_text(params, VIR_DOMAIN_TUNABLE_BLKDEV_DISK, question->part);
        return read_values(answer, params, name_disk);
}

static int read_emulator_pin(const ProxyQuestion *question, sd_bus_message *answer, Params *params) {
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

static int read_vcpu_pin(const ProxyQuestion *question, sd_bus_message *answer, Params *params) {
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

static int read_iothread_pin(const ProxyQuestion *question, sd_bus_message *answer, Params *params) {
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

typedef struct Source {
        ProxyQuestionKind kind; /* first: it leads back to the rest */
        const char *what; /* in the signal */
        int (*read)(const ProxyQuestion *question, sd_bus_message *answer, Params *params);
} Source;

static void tell(const ProxyQuestion *question, const ProxyDomain *domain, sd_bus_message *answer) {
        const Source *source = (const Source *) question->kind;
        Params params = { .n = 0 };
        int r;

        if (!answer)
                return;
        r = source->read(question, answer, &params);
        if (r < 0)
                vb_log_warning("domain '%s': cannot understand what %s tells: %s", domain->name, source->kind.member, g_strerror(-r));
        else if (params.n > 0)
                proxy_events_send(question->events, VIR_DOMAIN_EVENT_ID_TUNABLE, domain,
                                  &(RpcRemoteDomainEventCallbackTunableMsg){
                                          .dom = proxy_domain_to_rpc(domain),
                                          .params = { params.n, params.items },
                                  });
}

static int append_live(sd_bus_message *message, const ProxyQuestion *question) {
        return sd_bus_message_append(message, "a{sv}", 1, "live", "b", 1);
}

static int append_part(sd_bus_message *message, const ProxyQuestion *question) {
        int r = sd_bus_message_append(message, "s", question->part);

        return r < 0 ? r : append_live(message, question);
}

/* What the classic event knows; limits of memory, block devices and nodes it does not. */
static const Source sources[] = {
        { { "GetCPUTuning", append_live, tell }, "cpu", read_cpu },
        { { "GetDiskTuning", append_part, tell }, "disk", read_disk },
        { { "GetEmulatorAffinity", append_live, tell }, "emulator-pin", read_emulator_pin },
        { { "ListIOThreads", append_live, tell }, "iothread-pin", read_iothread_pin },
        { { "ListVCPUs", append_live, tell }, "vcpu-pin", read_vcpu_pin },
};

void proxy_events_tell_tuning(ProxyEvents *events, const ProxyDomain *domain, const char *what, const char *part) {
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                if (strcmp(sources[i].what, what) == 0)
                        proxy_events_ask(&(ProxyQuestion){ .events = events, .kind = &sources[i].kind, .part = part }, domain);
}
