/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of what guests get of their host, as lists of typed parameters. */
#include <string.h>

#include "proxy/params.h"

#define KIB 1024
#define MEMORY_UNLIMITED UINT64_C(9007199254740991) /* VIR_DOMAIN_MEMORY_PARAM_UNLIMITED */
#define IMPACT (VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG)
#define ULLONG(name, key) { name, VIR_TYPED_PARAM_ULLONG, key, 't' }
#define LLONG(name, key) { name, VIR_TYPED_PARAM_LLONG, key, 'x' }
#define UINT(name, key) { name, VIR_TYPED_PARAM_UINT, key, 'u' }

static const ProxyParamRow scheduler_rows[] = {
        ULLONG(VIR_DOMAIN_SCHEDULER_CPU_SHARES, "shares"),
        ULLONG(VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, "period-usec"),
        LLONG(VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, "quota-usec"),
        ULLONG(VIR_DOMAIN_SCHEDULER_EMULATOR_PERIOD, "emulator-period-usec"),
        LLONG(VIR_DOMAIN_SCHEDULER_EMULATOR_QUOTA, "emulator-quota-usec"),
        ULLONG(VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, "global-period-usec"),
        LLONG(VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, "global-quota-usec"),
        ULLONG(VIR_DOMAIN_SCHEDULER_IOTHREAD_PERIOD, NULL),
        LLONG(VIR_DOMAIN_SCHEDULER_IOTHREAD_QUOTA, NULL),
        {},
};

#define LIMIT(name, key) { name, VIR_TYPED_PARAM_ULLONG, key, 't', .unit = KIB, .unlimited = MEMORY_UNLIMITED }

static const ProxyParamRow memory_rows[] = {
        LIMIT(VIR_DOMAIN_MEMORY_HARD_LIMIT, "hard-limit"),
        LIMIT(VIR_DOMAIN_MEMORY_SOFT_LIMIT, "soft-limit"),
        LIMIT(VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT, "swap-hard-limit"),
        {},
};

static const ProxyParamRow disk_rows[] = {
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, "total-bytes-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC, "read-bytes-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC, "write-bytes-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, "total-iops-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC, "read-iops-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC, "write-iops-sec"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX, "total-bytes-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC_MAX, "read-bytes-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC_MAX, "write-bytes-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX, "total-iops-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC_MAX, "read-iops-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC_MAX, "write-iops-sec-max"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_SIZE_IOPS_SEC, "size-iops-sec"),
        { VIR_DOMAIN_BLOCK_IOTUNE_GROUP_NAME, VIR_TYPED_PARAM_STRING, "group", 's' },
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX_LENGTH, "total-bytes-sec-max-length"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC_MAX_LENGTH, "read-bytes-sec-max-length"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC_MAX_LENGTH, "write-bytes-sec-max-length"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX_LENGTH, "total-iops-sec-max-length"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC_MAX_LENGTH, "read-iops-sec-max-length"),
        ULLONG(VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC_MAX_LENGTH, "write-iops-sec-max-length"),
        {},
};

static const ProxyParamRow interface_rows[] = {
        UINT(VIR_DOMAIN_BANDWIDTH_IN_AVERAGE, "inbound-average"),
        UINT(VIR_DOMAIN_BANDWIDTH_IN_PEAK, "inbound-peak"),
        UINT(VIR_DOMAIN_BANDWIDTH_IN_BURST, "inbound-burst"),
        UINT(VIR_DOMAIN_BANDWIDTH_IN_FLOOR, "inbound-floor"),
        UINT(VIR_DOMAIN_BANDWIDTH_OUT_AVERAGE, "outbound-average"),
        UINT(VIR_DOMAIN_BANDWIDTH_OUT_PEAK, "outbound-peak"),
        UINT(VIR_DOMAIN_BANDWIDTH_OUT_BURST, "outbound-burst"),
        {},
};

static const ProxyParamRow iothread_rows[] = {
        ULLONG(VIR_DOMAIN_IOTHREAD_POLL_MAX_NS, "poll-max-nsec"),
        UINT(VIR_DOMAIN_IOTHREAD_POLL_GROW, "poll-grow"),
        UINT(VIR_DOMAIN_IOTHREAD_POLL_SHRINK, "poll-shrink"),
        { VIR_DOMAIN_IOTHREAD_THREAD_POOL_MIN, VIR_TYPED_PARAM_INT, "pool-min", 'u' },
        { VIR_DOMAIN_IOTHREAD_THREAD_POOL_MAX, VIR_TYPED_PARAM_INT, "pool-max", 'u' },
        {},
};

/* The replies of all these calls begin like this one, and but for the scheduler's end with the count. */
typedef RpcRemoteDomainGetMemoryParametersRet ParametersRet;
G_STATIC_ASSERT(sizeof(RpcRemoteDomainGetBlkioParametersRet) == sizeof(ParametersRet));
G_STATIC_ASSERT(sizeof(RpcRemoteDomainGetBlockIoTuneRet) == sizeof(ParametersRet));
G_STATIC_ASSERT(sizeof(RpcRemoteDomainGetNumaParametersRet) == sizeof(ParametersRet));
G_STATIC_ASSERT(sizeof(RpcRemoteDomainGetInterfaceParametersRet) == sizeof(ParametersRet));
G_STATIC_ASSERT(offsetof(RpcRemoteDomainGetSchedulerParametersRet, params) == offsetof(ParametersRet, params));

/* What is kept of a question until its answer. */
typedef struct Question {
        const ProxyParamRow *rows;
        int32_t most;
} Question;

static Question *question_new(ProxyCall *call, const ProxyParamRow *rows, int32_t most) {
        Question *question = proxy_call_alloc(call, sizeof(*question));

        *question = (Question){ rows, most };
        return question;
}

/* A client that has room for none asks how many there are. */
static int reply_count(ProxyCall *call, unsigned count) {
        return proxy_call_reply(call, &(ParametersRet){ .nparams = (int32_t) count });
}

static int reply_params(ProxyCall *call, const ProxyParams *params, int32_t most) {
        RpcTypedParamArray array = proxy_params_array(params, most);

        return proxy_call_reply(call, &(ParametersRet){ .params = array, .nparams = (int32_t) array.n });
}

static int on_values(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const Question *question = userdata;
        ProxyParams params = { .call = call };
        int r;

        r = proxy_params_take(&params, question->rows, answer);
        return r < 0 ? r : reply_params(call, &params, question->most);
}

/* part: the disk or network card, or NULL where the domain as a whole is meant. */
static int ask(ProxyCall *call, const RpcDomain *dom, const char *member, const char *part, const ProxyParamRow *rows, int32_t most,
               unsigned flags, ProxyAnswered answered, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, flags, IMPACT | VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, dom, member, reterr);
        if (r <= 0)
                return r;
        if (most == 0 && rows)
                return reply_count(call, proxy_param_rows_count(rows));
        r = part ? sd_bus_message_append(message, "s", part) : 0;
        if (r >= 0)
                r = proxy_put_impact(message, flags);
        return r < 0 ? r : proxy_call_send(call, message, answered, question_new(call, rows, most), reterr);
}

static int tell(ProxyCall *call, const RpcDomain *dom, const char *member, const char *part, const ProxyParamRow *rows,
                const RpcTypedParamArray *params, unsigned flags, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, flags, IMPACT | VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, dom, member, reterr);
        if (r <= 0)
                return r;
        r = part ? sd_bus_message_append(message, "s", part) : 0;
        if (r >= 0)
                r = proxy_params_put(params, rows, message, reterr);
        if (r >= 0)
                r = proxy_put_impact(message, flags);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

/* --- I/O threads ---------------------------------------------------------------------------------------------------- */

int proxy_remote_domain_set_iothread_params(ProxyCall *call, const RpcRemoteDomainSetIothreadParamsArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, IMPACT | VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "SetIOThreadTuning", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "u", args->iothread_id);
        if (r >= 0)
                r = proxy_params_put(&args->params, iothread_rows, message, reterr);
        if (r >= 0)
                r = proxy_put_impact(message, args->flags);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

/* --- CPU time ------------------------------------------------------------------------------------------------------- */

int proxy_remote_domain_get_scheduler_type(ProxyCall *call, const RpcRemoteDomainGetSchedulerTypeArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        return proxy_reply_remote_domain_get_scheduler_type(call, &(RpcRemoteDomainGetSchedulerTypeRet){
                .type = "posix", .nparams = (int32_t) proxy_param_rows_count(scheduler_rows) });
}

int proxy_remote_domain_get_scheduler_parameters(ProxyCall *call, const RpcRemoteDomainGetSchedulerParametersArgs *args,
                                                 sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetCPUTuning", NULL, scheduler_rows, args->nparams, 0, on_values, reterr);
}

int proxy_remote_domain_get_scheduler_parameters_flags(ProxyCall *call, const RpcRemoteDomainGetSchedulerParametersFlagsArgs *args,
                                                       sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetCPUTuning", NULL, scheduler_rows, args->nparams, args->flags, on_values, reterr);
}

int proxy_remote_domain_set_scheduler_parameters(ProxyCall *call, const RpcRemoteDomainSetSchedulerParametersArgs *args,
                                                 sd_bus_error *reterr) {
        return tell(call, &args->dom, "SetCPUTuning", NULL, scheduler_rows, &args->params, 0, reterr);
}

int proxy_remote_domain_set_scheduler_parameters_flags(ProxyCall *call, const RpcRemoteDomainSetSchedulerParametersFlagsArgs *args,
                                                       sd_bus_error *reterr) {
        return tell(call, &args->dom, "SetCPUTuning", NULL, scheduler_rows, &args->params, args->flags, reterr);
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

int proxy_remote_domain_get_memory_parameters(ProxyCall *call, const RpcRemoteDomainGetMemoryParametersArgs *args,
                                              sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetMemoryTuning", NULL, memory_rows, args->nparams, args->flags, on_values, reterr);
}

int proxy_remote_domain_set_memory_parameters(ProxyCall *call, const RpcRemoteDomainSetMemoryParametersArgs *args,
                                              sd_bus_error *reterr) {
        return tell(call, &args->dom, "SetMemoryTuning", NULL, memory_rows, &args->params, args->flags, reterr);
}

/* --- the guest's own disks and network cards -------------------------------------------------------------------------- */

int proxy_remote_domain_get_block_io_tune(ProxyCall *call, const RpcRemoteDomainGetBlockIoTuneArgs *args, sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetDiskTuning", args->disk ?: "", disk_rows, args->nparams, args->flags, on_values, reterr);
}

int proxy_remote_domain_set_block_io_tune(ProxyCall *call, const RpcRemoteDomainSetBlockIoTuneArgs *args, sd_bus_error *reterr) {
        return tell(call, &args->dom, "SetDiskTuning", args->disk, disk_rows, &args->params, args->flags, reterr);
}

int proxy_remote_domain_get_interface_parameters(ProxyCall *call, const RpcRemoteDomainGetInterfaceParametersArgs *args,
                                                 sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetInterfaceTuning", args->device, interface_rows, args->nparams, args->flags, on_values,
                   reterr);
}

int proxy_remote_domain_set_interface_parameters(ProxyCall *call, const RpcRemoteDomainSetInterfaceParametersArgs *args,
                                                 sd_bus_error *reterr) {
        return tell(call, &args->dom, "SetInterfaceTuning", args->device, interface_rows, &args->params, args->flags, reterr);
}

/* --- NUMA nodes: the mode is a number here, and a word on the bus ------------------------------------------------------ */

static const char *const numa_modes[] = {
        [VIR_DOMAIN_NUMATUNE_MEM_STRICT] = "strict",
        [VIR_DOMAIN_NUMATUNE_MEM_PREFERRED] = "preferred",
        [VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE] = "interleave",
        [VIR_DOMAIN_NUMATUNE_MEM_RESTRICTIVE] = "restrictive",
};

static const ProxyParamRow numa_words[] = {
        { VIR_DOMAIN_NUMA_MODE, VIR_TYPED_PARAM_STRING, "mode", 's' },
        { VIR_DOMAIN_NUMA_NODESET, VIR_TYPED_PARAM_STRING, "nodes", 's' },
        {},
};

static int on_numa(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const Question *question = userdata;
        ProxyParams words = { .call = call }, params = { .call = call };
        int32_t mode = VIR_DOMAIN_NUMATUNE_MEM_STRICT;
        int r;

        r = proxy_params_take(&words, numa_words, answer);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(numa_modes); i++)
                if (strcmp(numa_modes[i], words.items[0].value.s) == 0)
                        mode = (int32_t) i;
        proxy_params_add_int(&params, VIR_DOMAIN_NUMA_MODE, mode);
        proxy_params_add_string(&params, VIR_DOMAIN_NUMA_NODESET, words.items[1].value.s);
        return reply_params(call, &params, question->most);
}

int proxy_remote_domain_get_numa_parameters(ProxyCall *call, const RpcRemoteDomainGetNumaParametersArgs *args,
                                            sd_bus_error *reterr) {
        return ask(call, &args->dom, "GetNUMATuning", NULL, numa_words, args->nparams, args->flags, on_numa, reterr);
}

int proxy_remote_domain_set_numa_parameters(ProxyCall *call, const RpcRemoteDomainSetNumaParametersArgs *args,
                                            sd_bus_error *reterr) {
        RpcTypedParam *items = proxy_call_alloc_array(call, MAX(args->params.n, 1u), sizeof(*items));
        RpcTypedParamArray words = { .n = args->params.n, .items = items };

        for (uint32_t i = 0; i < args->params.n; i++) {
                const RpcTypedValue *value = &args->params.items[i].value;

                items[i] = args->params.items[i];
                if (strcmp(items[i].field, VIR_DOMAIN_NUMA_MODE) != 0)
                        continue;
                if (value->type != VIR_TYPED_PARAM_INT || value->i < 0 || (size_t) value->i >= G_N_ELEMENTS(numa_modes))
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "unsupported numatune mode: '%d'", value->i);
                items[i].value = (RpcTypedValue){ .type = VIR_TYPED_PARAM_STRING, .s = numa_modes[value->i] };
        }
        return tell(call, &args->dom, "SetNUMATuning", NULL, numa_words, &words, args->flags, reterr);
}
