/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vCPUs: how many there are, on which of the host's CPUs they may be. Classic clients have maps of bits for CPUs, the bus has lists. */
#include <errno.h>
#include <string.h>

#include "base/cpus.h"
#include "proxy/agent.h"
#include "proxy/dict.h"
#include "proxy/params.h"

#define IMPACT (VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG)
#define VCPUS_MAX 16384u
#define IOTHREADS_MAX 256u

/* --- maps ----------------------------------------------------------------------------------------------------------- */

/* "0-1,3"; "" for an empty map. */
static char *map_to_list(const RpcBytes *map) {
        GString *list = g_string_new(NULL);
        uint32_t n = map->n * 8;

        for (uint32_t cpu = 0; cpu < n; cpu++) {
                uint32_t first = cpu;

                if (!(map->items[cpu / 8] >> cpu % 8 & 1))
                        continue;
                while (cpu + 1 < n && map->items[(cpu + 1) / 8] >> (cpu + 1) % 8 & 1)
                        cpu++;
                g_string_append_printf(list, "%s%u", list->len > 0 ? "," : "", first);
                if (cpu > first)
                        g_string_append_printf(list, "-%u", cpu);
        }
        return g_string_free(list, FALSE);
}

/* As much of it as there is room for. */
static int list_to_map(const char *list, uint8_t *map, size_t size) {
        uint8_t mask[VB_CPUS_MASK_SIZE];
        size_t used;
        int r;

        r = vb_cpus_parse(list, mask, &used);
        if (r < 0)
                return r;
        memcpy(map, mask, MIN(size, sizeof(mask)));
        return 0;
}

/* --- what the bus tells ---------------------------------------------------------------------------------------------- */

typedef struct Vcpu {
        uint32_t number, cpu;
        uint64_t time;
        const char *state, *affinity;
} Vcpu;

static int read_vcpus(ProxyCall *call, sd_bus_message *answer, Vcpu **ret, uint32_t *ret_n) {
        Vcpu *vcpus = proxy_call_alloc_array(call, VB_CPUS_MAX, sizeof(*vcpus));
        uint32_t n = 0;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "a{sv}");
        while (r >= 0 && n < VB_CPUS_MAX && (r = sd_bus_message_at_end(answer, /* complete= */ 0)) == 0) {
                Vcpu *vcpu = &vcpus[n++];
                const ProxyDictEntry entries[] = {
                        { "number", 'u', &vcpu->number },  { "state", 's', &vcpu->state }, { "affinity", 's', &vcpu->affinity },
                        { "time", 't', &vcpu->time },      { "cpu", 'u', &vcpu->cpu },
                };

                *vcpu = (Vcpu){ .state = "", .affinity = "" };
                r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        }
        *ret = vcpus;
        *ret_n = n;
        return r < 0 ? r : 0;
}

static bool is_there(const Vcpu *vcpu) {
        return strcmp(vcpu->state, "offline") != 0;
}

static int list_vcpus(ProxyCall *call, const RpcDomain *dom, unsigned flags, ProxyAnswered answered, const void *args,
                      sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_domain_method(call, &message, dom, "ListVCPUs", reterr);
        if (r <= 0)
                return r;
        r = proxy_put_impact(message, flags);
        return r < 0 ? r : proxy_call_send(call, message, answered, (void *) args, reterr);
}

static int check_room(int64_t n, int64_t length, sd_bus_error *reterr) {
        if (n < 0 || length < 0 || n > VCPUS_MAX || n * length > 8388608)
                return proxy_error_set(reterr, VIR_ERR_RPC, 0, "there is no room for so many maps");
        return 0;
}

/* --- where they are --------------------------------------------------------------------------------------------------- */

static int on_vcpus(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetVcpusArgs *args = userdata;
        RpcVcpuInfo *info;
        uint8_t *maps;
        uint32_t n, filled = 0;
        Vcpu *vcpus;
        int r;

        r = read_vcpus(call, answer, &vcpus, &n);
        if (r < 0)
                return r;
        info = proxy_call_alloc_array(call, n + 1, sizeof(*info));
        maps = proxy_call_alloc(call, (size_t) args->maxinfo * (size_t) args->maplen + 1);
        for (uint32_t i = 0; i < n && filled < (uint32_t) args->maxinfo; i++) {
                if (!is_there(&vcpus[i]))
                        continue;
                info[filled] = (RpcVcpuInfo){ vcpus[i].number, VIR_VCPU_RUNNING, vcpus[i].time, (int32_t) vcpus[i].cpu };
                r = list_to_map(vcpus[i].affinity, maps + (size_t) filled * (size_t) args->maplen, (size_t) args->maplen);
                if (r < 0)
                        return r;
                filled++;
        }
        return proxy_reply_remote_domain_get_vcpus(call, &(RpcRemoteDomainGetVcpusRet){
                .info = { filled, info }, .cpumaps = { (uint32_t) args->maxinfo * (uint32_t) args->maplen, maps } });
}

int proxy_remote_domain_get_vcpus(ProxyCall *call, const RpcRemoteDomainGetVcpusArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = check_room(args->maxinfo, args->maplen, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->id < 0)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, 0,
                                       "cannot retrieve vcpu information for inactive domain");
        return list_vcpus(call, &args->dom, VIR_DOMAIN_AFFECT_LIVE, on_vcpus, args, reterr);
}

static int on_pin_info(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetVcpuPinInfoArgs *args = userdata;
        uint32_t n, most;
        uint8_t *maps;
        Vcpu *vcpus;
        int r;

        r = read_vcpus(call, answer, &vcpus, &n);
        if (r < 0)
                return r;
        most = MIN(n, (uint32_t) args->ncpumaps);
        maps = proxy_call_alloc(call, (size_t) most * (size_t) args->maplen + 1);
        for (uint32_t i = 0; r >= 0 && i < most; i++)
                r = list_to_map(vcpus[i].affinity, maps + (size_t) i * (size_t) args->maplen, (size_t) args->maplen);
        return r < 0 ? r :
                       proxy_reply_remote_domain_get_vcpu_pin_info(call, &(RpcRemoteDomainGetVcpuPinInfoRet){
                               .cpumaps = { most * (uint32_t) args->maplen, maps }, .num = (int32_t) most });
}

int proxy_remote_domain_get_vcpu_pin_info(ProxyCall *call, const RpcRemoteDomainGetVcpuPinInfoArgs *args, sd_bus_error *reterr) {
        int r;

        r = check_room(args->ncpumaps, args->maplen, reterr);
        if (r >= 0)
                r = proxy_call_check_flags(call, args->flags, IMPACT, reterr);
        return r < 0 ? r : list_vcpus(call, &args->dom, args->flags, on_pin_info, args, reterr);
}

static int pin(ProxyCall *call, const RpcDomain *dom, const char *member, const uint32_t *vcpu, const RpcBytes *map, unsigned flags,
               sd_bus_error *reterr) {
        g_autofree char *list = map_to_list(map);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, flags, IMPACT, reterr);
        if (r < 0)
                return r;
        /* On the bus, an empty list means all. */
        if (list[0] == '\0')
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "Empty cpu list for pinning");
        r = proxy_call_new_domain_method(call, &message, dom, member, reterr);
        if (r <= 0)
                return r;
        r = vcpu ? sd_bus_message_append(message, "u", *vcpu) : 0;
        if (r >= 0)
                r = sd_bus_message_append(message, "s", list);
        if (r >= 0)
                r = proxy_put_impact(message, flags);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

int proxy_remote_domain_pin_vcpu(ProxyCall *call, const RpcRemoteDomainPinVcpuArgs *args, sd_bus_error *reterr) {
        return pin(call, &args->dom, "PinVCPU", &args->vcpu, &args->cpumap, VIR_DOMAIN_AFFECT_LIVE, reterr);
}

int proxy_remote_domain_pin_vcpu_flags(ProxyCall *call, const RpcRemoteDomainPinVcpuFlagsArgs *args, sd_bus_error *reterr) {
        return pin(call, &args->dom, "PinVCPU", &args->vcpu, &args->cpumap, args->flags, reterr);
}

int proxy_remote_domain_pin_iothread(ProxyCall *call, const RpcRemoteDomainPinIothreadArgs *args, sd_bus_error *reterr) {
        return pin(call, &args->dom, "PinIOThread", &args->iothreads_id, &args->cpumap, args->flags, reterr);
}

int proxy_remote_domain_pin_emulator(ProxyCall *call, const RpcRemoteDomainPinEmulatorArgs *args, sd_bus_error *reterr) {
        return pin(call, &args->dom, "PinEmulator", NULL, &args->cpumap, args->flags, reterr);
}

static int on_emulator(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetEmulatorPinInfoArgs *args = userdata;
        uint8_t *map = proxy_call_alloc(call, (size_t) args->maplen + 1);
        const char *list;
        int r;

        r = sd_bus_message_read(answer, "s", &list);
        if (r >= 0)
                r = list_to_map(list, map, (size_t) args->maplen);
        return r < 0 ? r :
                       proxy_reply_remote_domain_get_emulator_pin_info(call, &(RpcRemoteDomainGetEmulatorPinInfoRet){
                               .cpumaps = { (uint32_t) args->maplen, map }, .ret = 1 });
}

int proxy_remote_domain_get_emulator_pin_info(ProxyCall *call, const RpcRemoteDomainGetEmulatorPinInfoArgs *args,
                                              sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = check_room(1, args->maplen, reterr);
        if (r >= 0)
                r = proxy_call_check_flags(call, args->flags, IMPACT, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "GetEmulatorAffinity", reterr);
        if (r <= 0)
                return r;
        r = proxy_put_impact(message, args->flags);
        return r < 0 ? r : proxy_call_send(call, message, on_emulator, (void *) args, reterr);
}

static int on_iothreads(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcDomainIothreadInfo *info = proxy_call_alloc_array(call, IOTHREADS_MAX, sizeof(*info));
        uint32_t n = 0, number;
        const char *list;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(us)");
        while (r >= 0 && n < IOTHREADS_MAX && (r = sd_bus_message_read(answer, "(us)", &number, &list)) > 0) {
                uint8_t *map = proxy_call_alloc(call, VB_CPUS_MASK_SIZE);
                size_t size = 0;

                r = vb_cpus_parse(list, map, &size);
                info[n++] = (RpcDomainIothreadInfo){ .iothread_id = number, .cpumap = { (uint32_t) size, map } };
        }
        return r < 0 ? r :
                       proxy_reply_remote_domain_get_iothread_info(call, &(RpcRemoteDomainGetIothreadInfoRet){
                               .info = { n, info }, .ret = n });
}

int proxy_remote_domain_get_iothread_info(ProxyCall *call, const RpcRemoteDomainGetIothreadInfoArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, IMPACT, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "ListIOThreads", reterr);
        if (r <= 0)
                return r;
        r = proxy_put_impact(message, args->flags);
        return r < 0 ? r : proxy_call_send(call, message, on_iothreads, NULL, reterr);
}

/* --- how many --------------------------------------------------------------------------------------------------------- */

static int on_guest_vcpus(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetVcpusFlagsArgs *args = userdata;
        size_t n = json_object_is_type(result, json_type_array) ? json_object_array_length(result) : 0;
        int32_t online = 0;

        for (size_t i = 0; i < n; i++)
                online += json_object_get_boolean(json_object_object_get(json_object_array_get_idx(result, i), "online"));
        return proxy_reply_remote_domain_get_vcpus_flags(call, &(RpcRemoteDomainGetVcpusFlagsRet){
                .num = (args->flags & VIR_DOMAIN_VCPU_MAXIMUM) ? (int32_t) n : online });
}

static int on_count(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetVcpusFlagsArgs *args = userdata;
        uint32_t n, there = 0;
        Vcpu *vcpus;
        int r;

        r = read_vcpus(call, answer, &vcpus, &n);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < n; i++)
                there += is_there(&vcpus[i]);
        return proxy_reply_remote_domain_get_vcpus_flags(call, &(RpcRemoteDomainGetVcpusFlagsRet){
                .num = (int32_t) (args->flags & VIR_DOMAIN_VCPU_MAXIMUM ? n : there) });
}

int proxy_remote_domain_get_vcpus_flags(ProxyCall *call, const RpcRemoteDomainGetVcpusFlagsArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, IMPACT | VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_GUEST, reterr);
        if (r < 0)
                return r;
        if (args->flags & VIR_DOMAIN_VCPU_GUEST)
                return proxy_agent_ask(call, &args->dom, "guest-get-vcpus", NULL, on_guest_vcpus, (void *) args, reterr);
        return list_vcpus(call, &args->dom, args->flags & IMPACT, on_count, args, reterr);
}

static int on_max(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        Vcpu *vcpus;
        uint32_t n;
        int r;

        r = read_vcpus(call, answer, &vcpus, &n);
        return r < 0 ? r : proxy_reply_remote_domain_get_max_vcpus(call, &(RpcRemoteDomainGetMaxVcpusRet){ .num = (int32_t) n });
}

int proxy_remote_domain_get_max_vcpus(ProxyCall *call, const RpcRemoteDomainGetMaxVcpusArgs *args, sd_bus_error *reterr) {
        return list_vcpus(call, &args->dom, VIR_DOMAIN_AFFECT_LIVE, on_max, args, reterr);
}

/* The agent switches off those with the highest numbers that it may. */
static int set_guest_vcpus(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainSetVcpusFlagsArgs *args = userdata;
        size_t n = json_object_is_type(result, json_type_array) ? json_object_array_length(result) : 0;
        VbJson *wanted = json_object_new_array(), *arguments = json_object_new_object();

        for (size_t i = 0; i < n; i++) {
                VbJson *old = json_object_array_get_idx(result, i), *new = json_object_new_object();

                (void) json_object_object_add(new, "logical-id", json_object_get(json_object_object_get(old, "logical-id")));
                (void) json_object_object_add(new, "online", json_object_new_boolean(i < args->nvcpus));
                (void) json_object_array_add(wanted, new);
        }
        (void) json_object_object_add(arguments, "vcpus", wanted);
        if (args->nvcpus == 0 || args->nvcpus > n) {
                vb_json_put(arguments);
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "requested vcpu count is greater than the count of enabled vcpus in the domain: %u > %zu",
                                       args->nvcpus, n);
        }
        return proxy_agent_tell(call, &args->dom, "guest-set-vcpus", arguments, reterr);
}

int proxy_remote_domain_set_vcpus_flags(ProxyCall *call, const RpcRemoteDomainSetVcpusFlagsArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags,
                                   IMPACT | VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_GUEST | VIR_DOMAIN_VCPU_HOTPLUGGABLE, reterr);
        if (r < 0)
                return r;
        if (args->flags & VIR_DOMAIN_VCPU_GUEST)
                return proxy_agent_ask(call, &args->dom, "guest-get-vcpus", NULL, set_guest_vcpus, (void *) args, reterr);
        r = proxy_call_new_domain_method(call, &message, &args->dom, "SetVCPUs", reterr);
        if (r <= 0)
                return r;
        r = sd_bus_message_append(message, "u", args->nvcpus);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_true(message, "maximum", args->flags & VIR_DOMAIN_VCPU_MAXIMUM);
        if (r >= 0)
                r = proxy_dict_put_true(message, "hotpluggable", args->flags & VIR_DOMAIN_VCPU_HOTPLUGGABLE);
        if (r >= 0)
                r = proxy_dict_put_true(message, "live", args->flags & VIR_DOMAIN_AFFECT_LIVE);
        if (r >= 0)
                r = proxy_dict_put_true(message, "config", args->flags & VIR_DOMAIN_AFFECT_CONFIG);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

/* --- single ones, in the guest ---------------------------------------------------------------------------------------- */

static VbJson *find_guest_vcpu(VbJson *vcpus, uint32_t number) {
        size_t n = json_object_is_type(vcpus, json_type_array) ? json_object_array_length(vcpus) : 0;

        for (size_t i = 0; i < n; i++) {
                VbJson *vcpu = json_object_array_get_idx(vcpus, i);

                if (json_object_get_int64(json_object_object_get(vcpu, "logical-id")) == number)
                        return vcpu;
        }
        return NULL;
}

static int add_guest_vcpu(VbJson *vcpus, uint32_t number, bool online, VbJson *wanted, sd_bus_error *reterr) {
        VbJson *old = find_guest_vcpu(vcpus, number), *new;

        if (!old)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "guest agent didn't report data for CPU '%u'", number);
        if (!online && !json_object_get_boolean(json_object_object_get(old, "can-offline")))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "guest agent reports that cpu '%u' can't be offlined", number);
        new = json_object_new_object();
        (void) json_object_object_add(new, "logical-id", json_object_new_int64(number));
        (void) json_object_object_add(new, "online", json_object_new_boolean(online));
        (void) json_object_array_add(wanted, new);
        return 0;
}

static int set_single_guest_vcpus(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainSetGuestVcpusArgs *args = userdata;
        g_autoptr(VbJson) arguments = json_object_new_object();
        uint8_t mask[VB_CPUS_MASK_SIZE] = { 0 };
        VbJson *wanted = json_object_new_array();
        size_t size;
        int r;

        (void) json_object_object_add(arguments, "vcpus", wanted);
        r = vb_cpus_parse(args->cpumap, mask, &size);
        if (r < 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "'%s' is not a list of vCPUs", args->cpumap);
        for (uint32_t i = 0; i < size * 8; i++) {
                if (!(mask[i / 8] >> i % 8 & 1))
                        continue;
                r = add_guest_vcpu(result, i, args->state, wanted, reterr);
                if (r < 0)
                        return r;
        }
        return proxy_agent_tell(call, &args->dom, "guest-set-vcpus", g_steal_pointer(&arguments), reterr);
}

int proxy_remote_domain_set_guest_vcpus(ProxyCall *call, const RpcRemoteDomainSetGuestVcpusArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->state != 0 && args->state != 1)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "unsupported state value");
        return proxy_agent_ask(call, &args->dom, "guest-get-vcpus", NULL, set_single_guest_vcpus, (void *) args, reterr);
}
