/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs of a guest and what its emulator does meanwhile; sleep; disks of another size; pieces of memory and images. */
#include <string.h>

#include "base/string-table.h"
#include "proxy/dict.h"
#include "proxy/jobs.h"
#include "proxy/params.h"

#define DOMAIN1 "org.virtbus.Domain1"
#define JOB1 "org.virtbus.Job1"
#define KIB 1024
#define USEC_PER_MSEC 1000

/* A method that takes nothing but options, of which there are none. */
static int ask(ProxyCall *call, const ProxyDomain *domain, const char *member, ProxyAnswered answered, const void *args,
               sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_method(call, &message, domain->path, DOMAIN1, member, reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? r : proxy_call_send(call, message, answered, (void *) args, reterr);
}

/* --- jobs ------------------------------------------------------------------------------------------------------------- */

typedef struct Job {
        const char *state, *operation, *error;
        uint64_t elapsed_usec, done, total;
} Job;

static int read_job(ProxyCall *call, sd_bus_message *answer, Job *ret) {
        const ProxyDictEntry entries[] = {
                { "state", 's', &ret->state },      { "operation", 's', &ret->operation },        { "error", 's', &ret->error },
                { "elapsed-usec", 't', &ret->elapsed_usec }, { "bytes-done", 't', &ret->done }, { "bytes-total", 't', &ret->total },
        };

        *ret = (Job){ .state = "none", .operation = "" };
        return proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
}

static int job_type(const Job *job) {
        static const char *const words[] = {
                [VIR_DOMAIN_JOB_UNBOUNDED] = "running",
                [VIR_DOMAIN_JOB_COMPLETED] = "completed",
                [VIR_DOMAIN_JOB_FAILED] = "failed",
                [VIR_DOMAIN_JOB_CANCELLED] = "canceled",
        };
        int type = vb_string_table_find(&(VbStringTable){ words, G_N_ELEMENTS(words) }, job->state);

        return type < 0 ? VIR_DOMAIN_JOB_NONE : type;
}

int proxy_job_operation(const char *word) {
        static const struct {
                const char *word;
                int operation;
        } operations[] = {
                { "dump", VIR_DOMAIN_JOB_OPERATION_DUMP },
                { "managed save", VIR_DOMAIN_JOB_OPERATION_SAVE },
                { "restore", VIR_DOMAIN_JOB_OPERATION_RESTORE },
                { "save", VIR_DOMAIN_JOB_OPERATION_SAVE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
                if (strcmp(operations[i].word, word) == 0)
                        return operations[i].operation;
        return VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
}

static uint64_t remaining(const Job *job) {
        return job->total > job->done ? job->total - job->done : 0;
}

static int on_job_info(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        Job job;
        int r;

        r = read_job(call, answer, &job);
        if (r < 0)
                return r;
        return proxy_reply_remote_domain_get_job_info(call, &(RpcRemoteDomainGetJobInfoRet){
                .type = job_type(&job),
                .timeElapsed = job.elapsed_usec / USEC_PER_MSEC,
                .dataTotal = job.total,
                .dataProcessed = job.done,
                .dataRemaining = remaining(&job),
                .memTotal = job.total,
                .memProcessed = job.done,
                .memRemaining = remaining(&job),
        });
}

int proxy_remote_domain_get_job_info(ProxyCall *call, const RpcRemoteDomainGetJobInfoArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_running(call, &args->dom, &domain, reterr);
        return r <= 0 ? r : ask(call, domain, "GetJobStats", on_job_info, NULL, reterr);
}

static int on_job_stats(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        ProxyParams params = { .call = call };
        Job job;
        int r;

        r = read_job(call, answer, &job);
        if (r < 0)
                return r;
        if (job_type(&job) != VIR_DOMAIN_JOB_NONE) {
                proxy_params_add_int(&params, VIR_DOMAIN_JOB_OPERATION, proxy_job_operation(job.operation));
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_TIME_ELAPSED, job.elapsed_usec / USEC_PER_MSEC);
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_DATA_TOTAL, job.total);
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_DATA_PROCESSED, job.done);
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_DATA_REMAINING, remaining(&job));
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_MEMORY_TOTAL, job.total);
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_MEMORY_PROCESSED, job.done);
                proxy_params_add_ullong(&params, VIR_DOMAIN_JOB_MEMORY_REMAINING, remaining(&job));
                if (job.error)
                        proxy_params_add_string(&params, VIR_DOMAIN_JOB_ERRMSG, job.error);
        }
        return proxy_reply_remote_domain_get_job_stats(call, &(RpcRemoteDomainGetJobStatsRet){
                .type = job_type(&job), .params = proxy_params_array(&params, -1) });
}

int proxy_remote_domain_get_job_stats(ProxyCall *call, const RpcRemoteDomainGetJobStatsArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED, reterr);
        if (r < 0)
                return r;
        /* What was, can be asked for of a guest that is off, too. */
        r = (args->flags & VIR_DOMAIN_JOB_STATS_COMPLETED ? proxy_call_find_domain : proxy_call_find_running)(call, &args->dom, &domain,
                                                                                                              reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, DOMAIN1, "GetJobStats", reterr);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_true(message, "completed", args->flags & VIR_DOMAIN_JOB_STATS_COMPLETED);
        if (r >= 0)
                r = proxy_dict_put_true(message, "keep", args->flags & VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : proxy_call_send(call, message, on_job_stats, NULL, reterr);
}

static int abort_job(ProxyCall *call, const RpcDomain *dom, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_running(call, dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (g_strcmp0(domain->job, "/") == 0)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, 0, "no job is active on the domain");
        r = proxy_call_new_method(call, &message, domain->job, JOB1, "Cancel", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

int proxy_remote_domain_abort_job(ProxyCall *call, const RpcRemoteDomainAbortJobArgs *args, sd_bus_error *reterr) {
        return abort_job(call, &args->dom, reterr);
}

int proxy_remote_domain_abort_job_flags(ProxyCall *call, const RpcRemoteDomainAbortJobFlagsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : abort_job(call, &args->dom, reterr);
}

/* --- the emulator ----------------------------------------------------------------------------------------------------- */

static int on_control_state(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        static const char *const words[] = {
                [VIR_DOMAIN_CONTROL_OK] = "idle",
                [VIR_DOMAIN_CONTROL_JOB] = "job",
                [VIR_DOMAIN_CONTROL_OCCUPIED] = "occupied",
                [VIR_DOMAIN_CONTROL_ERROR] = "error",
        };
        const char *state;
        uint64_t since;
        int known, r;

        r = sd_bus_message_read(answer, "st", &state, &since);
        if (r < 0)
                return r;
        known = vb_string_table_find(&(VbStringTable){ words, G_N_ELEMENTS(words) }, state);
        return proxy_reply_remote_domain_get_control_info(call, &(RpcRemoteDomainGetControlInfoRet){
                .state = known < 0 ? VIR_DOMAIN_CONTROL_ERROR : (uint32_t) known, .stateTime = since / USEC_PER_MSEC });
}

int proxy_remote_domain_get_control_info(ProxyCall *call, const RpcRemoteDomainGetControlInfoArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_running(call, &args->dom, &domain, reterr);
        return r <= 0 ? r : ask(call, domain, "GetControlState", on_control_state, NULL, reterr);
}

static int on_messages(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetMessagesArgs *args = userdata;
        g_auto(GStrv) texts = NULL;
        const char **kept;
        uint32_t n = 0;
        int r;

        r = sd_bus_message_read_strv(answer, &texts);
        if (r < 0)
                return r;
        kept = proxy_call_alloc_array(call, texts ? g_strv_length(texts) + 1 : 1, sizeof(char *));
        for (char **text = texts; text && *text; text++) {
                unsigned kind = g_str_has_prefix(*text, "tainted") ? VIR_DOMAIN_MESSAGE_TAINTING : VIR_DOMAIN_MESSAGE_DEPRECATION;

                if (args->flags == 0 || (args->flags & kind))
                        kept[n++] = proxy_call_strdup(call, *text);
        }
        return proxy_reply_remote_domain_get_messages(call, &(RpcRemoteDomainGetMessagesRet){ .msgs = { n, kept } });
}

int proxy_remote_domain_get_messages(ProxyCall *call, const RpcRemoteDomainGetMessagesArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_MESSAGE_DEPRECATION | VIR_DOMAIN_MESSAGE_TAINTING, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        return r <= 0 ? r : ask(call, domain, "GetMessages", on_messages, args, reterr);
}

int proxy_remote_domain_get_launch_security_info(ProxyCall *call, const RpcRemoteDomainGetLaunchSecurityInfoArgs *args,
                                                 sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        return proxy_reply_remote_domain_get_launch_security_info(call, &(RpcRemoteDomainGetLaunchSecurityInfoRet){ .params = { 0, NULL } });
}

/* --- sleep ------------------------------------------------------------------------------------------------------------ */

int proxy_remote_domain_pm_suspend_for_duration(ProxyCall *call, const RpcRemoteDomainPmSuspendForDurationArgs *args,
                                                sd_bus_error *reterr) {
        static const char *const modes[] = {
                [VIR_NODE_SUSPEND_TARGET_MEM] = "memory",
                [VIR_NODE_SUSPEND_TARGET_DISK] = "disk",
                [VIR_NODE_SUSPEND_TARGET_HYBRID] = "hybrid",
        };
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->duration > 0)
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "Duration not supported. Use 0 for now");
        if (args->target >= G_N_ELEMENTS(modes))
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "Unknown suspend target: %u", args->target);
        r = proxy_call_new_domain_method(call, &message, &args->dom, "Sleep", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "sa{sv}", modes[args->target], 0);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

int proxy_remote_domain_pm_wakeup(ProxyCall *call, const RpcRemoteDomainPmWakeupArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_running(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->state != VIR_DOMAIN_PMSUSPENDED)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, 0, "domain is not in suspend state");
        r = proxy_call_new_method(call, &message, domain->path, DOMAIN1, "Resume", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

/* --- disks and memory ------------------------------------------------------------------------------------------------- */

int proxy_remote_domain_block_resize(ProxyCall *call, const RpcRemoteDomainBlockResizeArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        uint64_t size = args->size;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_BLOCK_RESIZE_BYTES | VIR_DOMAIN_BLOCK_RESIZE_CAPACITY, reterr);
        if (r < 0)
                return r;
        if (!(args->flags & VIR_DOMAIN_BLOCK_RESIZE_BYTES) && __builtin_mul_overflow(size, KIB, &size))
                return proxy_error_set(reterr, VIR_ERR_OVERFLOW, 0, "size must be less than %" G_GUINT64_FORMAT, UINT64_MAX / KIB);
        r = proxy_call_new_domain_method(call, &message, &args->dom, "ResizeDisk", reterr);
        if (r <= 0)
                return r;
        /* Classic clients may give any number; the emulator wants whole sectors. */
        size = size > UINT64_MAX - 511 ? size : (size + 511) / 512 * 512;
        r = sd_bus_message_append(message, "st", args->disk, size);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_true(message, "capacity", args->flags & VIR_DOMAIN_BLOCK_RESIZE_CAPACITY);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

/* The replies of both peeks are a buffer and nothing else. */
static int on_bytes(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const void *bytes;
        uint8_t *copy;
        size_t n;
        int r;

        r = sd_bus_message_read_array(answer, 'y', &bytes, &n);
        if (r < 0)
                return r;
        copy = proxy_call_alloc(call, n + 1);
        memcpy(copy, bytes, n);
        return proxy_call_reply(call, &(RpcRemoteDomainBlockPeekRet){ .buffer = { (uint32_t) n, copy } });
}
G_STATIC_ASSERT(sizeof(RpcRemoteDomainBlockPeekRet) == sizeof(RpcRemoteDomainMemoryPeekRet));

int proxy_remote_domain_block_peek(ProxyCall *call, const RpcRemoteDomainBlockPeekArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "ReadDisk", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "stua{sv}", args->path, args->offset, args->size, 0);
        return r < 0 ? r : proxy_call_send(call, message, on_bytes, NULL, reterr);
}

int proxy_remote_domain_memory_peek(ProxyCall *call, const RpcRemoteDomainMemoryPeekArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (args->flags != VIR_MEMORY_VIRTUAL && args->flags != VIR_MEMORY_PHYSICAL)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL");
        r = proxy_call_new_domain_method(call, &message, &args->dom, "ReadMemory", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "tua{sv}", args->offset, args->size, 1, "space", "s",
                                  args->flags == VIR_MEMORY_PHYSICAL ? "physical" : "virtual");
        return r < 0 ? r : proxy_call_send(call, message, on_bytes, NULL, reterr);
}
