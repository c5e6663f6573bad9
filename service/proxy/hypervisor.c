/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What classic clients ask of a connection: which hypervisor it is, what it can do, how CPUs compare. What a row says is in calls/node.tsv. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proxy/dict.h"

#define HYPERVISOR "org.virtbus.Hypervisor1"

/* --- What serves a kind of guest --- */

/* Any of them may be NULL. */
typedef struct Kind {
        const char *emulator;
        const char *arch;
        const char *machine;
        const char *virttype;
} Kind;

static int append_kind(sd_bus_message *message, const Kind *kind) {
        int r;

        r = proxy_dict_put_string(message, "emulator", kind->emulator);
        if (r >= 0)
                r = proxy_dict_put_string(message, "arch", kind->arch);
        if (r >= 0)
                r = proxy_dict_put_string(message, "machine", kind->machine);
        return r >= 0 ? proxy_dict_put_string(message, "virttype", kind->virttype) : r;
}

static int ask_info(ProxyCall *call, const Kind *kind, ProxyAnswered answered, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "GetHypervisorInfo", reterr);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_kind(message, kind);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r >= 0 ? proxy_call_send(call, message, answered, NULL, reterr) : r;
}

static int on_version(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const char *text = NULL;
        const ProxyDictEntry entries[] = { { "version", 's', &text } };
        unsigned major, minor, micro;
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r < 0)
                return r;
        if (!text || sscanf(text, "%3u.%3u.%3u", &major, &minor, &micro) != 3)
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, 0, "the hypervisor's version '%s' is no version", text ?: "");
        return proxy_reply_remote_connect_get_version(call, &(RpcRemoteConnectGetVersionRet){
                .hv_ver = major * UINT64_C(1000000) + minor * UINT64_C(1000) + micro });
}

int proxy_remote_connect_get_version(ProxyCall *call, sd_bus_error *reterr) {
        return ask_info(call, &(Kind){ 0 }, on_version, reterr);
}

int proxy_remote_connect_get_lib_version(ProxyCall *call, sd_bus_error *reterr) {
        return proxy_reply_remote_connect_get_lib_version(call, &(RpcRemoteConnectGetLibVersionRet){ .lib_ver = PROXY_LIBVIRT_VERSION });
}

static int on_max_vcpus(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        uint32_t max = 0;
        const ProxyDictEntry entries[] = { { "max-vcpus", 'u', &max } };
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r < 0)
                return r;
        return proxy_reply_remote_connect_get_max_vcpus(call, &(RpcRemoteConnectGetMaxVcpusRet){ .max_vcpus = (int32_t) MIN(max, INT32_MAX) });
}

int proxy_remote_connect_get_max_vcpus(ProxyCall *call, const RpcRemoteConnectGetMaxVcpusArgs *args, sd_bus_error *reterr) {
        return ask_info(call, &(Kind){ .virttype = args->type }, on_max_vcpus, reterr);
}

static int on_cpu_models(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteConnectGetCpuModelNamesArgs *args = userdata;
        RpcRemoteConnectGetCpuModelNamesRet ret = { 0 };
        const ProxyDictEntry entries[] = { { "cpu-models", 'S', &ret.models } };
        int r;

        r = proxy_dict_read(call, answer, entries, G_N_ELEMENTS(entries));
        if (r < 0)
                return r;
        ret.ret = (int32_t) ret.models.n;
        if (!args->need_results)
                ret.models.n = 0;
        return proxy_reply_remote_connect_get_cpu_model_names(call, &ret);
}

int proxy_remote_connect_get_cpu_model_names(ProxyCall *call, const RpcRemoteConnectGetCpuModelNamesArgs *args,
                                             sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "GetHypervisorInfo", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 1, "arch", "s", args->arch);
        return r >= 0 ? proxy_call_send(call, message, on_cpu_models, (void *) args, reterr) : r;
}

/* --- How CPUs compare --- */

/* What a host lacks is told in an error only if the client wants it there. */
static int refuse_incompatible(sd_bus_message *answer, sd_bus_error *reterr) {
        g_auto(GStrv) lacking = NULL;
        g_autofree char *names = NULL;
        int r;

        r = sd_bus_message_read_strv(answer, &lacking);
        if (r < 0)
                return r;
        names = lacking ? g_strjoinv(", ", lacking) : g_strdup("nothing, but has more than this");
        return proxy_error_set(reterr, VIR_ERR_CPU_INCOMPATIBLE, VIR_FROM_CPU, "Host CPU does not provide required features: %s",
                               names);
}

/* The number, or negative. */
static int read_comparison(sd_bus_message *answer, bool fail, sd_bus_error *reterr) {
        static const struct {
                const char *word;
                int number;
        } words[] = {
                { "identical", VIR_CPU_COMPARE_IDENTICAL },
                { "superset", VIR_CPU_COMPARE_SUPERSET },
                { "incompatible", VIR_CPU_COMPARE_INCOMPATIBLE },
        };
        const char *word;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &word);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (strcmp(words[i].word, word) == 0)
                        return words[i].number == VIR_CPU_COMPARE_INCOMPATIBLE && fail ? refuse_incompatible(answer, reterr) :
                                                                                         words[i].number;
        return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, 0, "the word '%s' for a comparison is not known", word);
}

static int ask_compare(ProxyCall *call, const char *xml, const char *with, const Kind *kind, unsigned flags,
                       ProxyAnswered answered, const void *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, flags, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE | VIR_CONNECT_COMPARE_CPU_VALIDATE_XML, reterr);
        if (r >= 0)
                r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "CompareCPU", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "s", xml);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_string(message, "with", with);
        if (r >= 0)
                r = proxy_dict_put_true(message, "validate", flags & VIR_CONNECT_COMPARE_CPU_VALIDATE_XML);
        if (r >= 0)
                r = append_kind(message, kind);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r >= 0 ? proxy_call_send(call, message, answered, (void *) args, reterr) : r;
}

static int on_compared(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteConnectCompareCpuArgs *args = userdata;
        int r;

        r = read_comparison(answer, args->flags & VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE, reterr);
        if (r < 0)
                return r;
        return proxy_reply_remote_connect_compare_cpu(call, &(RpcRemoteConnectCompareCpuRet){ .result = r });
}

int proxy_remote_connect_compare_cpu(ProxyCall *call, const RpcRemoteConnectCompareCpuArgs *args, sd_bus_error *reterr) {
        return ask_compare(call, args->xml, "processor", &(Kind){ 0 }, args->flags, on_compared, args, reterr);
}

static int on_hypervisor_compared(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteConnectCompareHypervisorCpuArgs *args = userdata;
        int r;

        r = read_comparison(answer, args->flags & VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE, reterr);
        if (r < 0)
                return r;
        return proxy_reply_remote_connect_compare_hypervisor_cpu(call, &(RpcRemoteConnectCompareHypervisorCpuRet){ .result = r });
}

int proxy_remote_connect_compare_hypervisor_cpu(ProxyCall *call, const RpcRemoteConnectCompareHypervisorCpuArgs *args,
                                                sd_bus_error *reterr) {
        const Kind kind = { args->emulator, args->arch, args->machine, args->virttype };

        return ask_compare(call, args->xmlCPU, "emulator", &kind, args->flags, on_hypervisor_compared, args, reterr);
}

/* --- The rest --- */

static int on_sysinfo(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const char *xml;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &xml);
        if (r < 0)
                return r;
        return proxy_reply_remote_connect_get_sysinfo(call, &(RpcRemoteConnectGetSysinfoRet){ .sysinfo = xml });
}

/* Serial numbers are root's to know; others would be asked for a password to see them. */
int proxy_remote_connect_get_sysinfo(ProxyCall *call, const RpcRemoteConnectGetSysinfoArgs *args, sd_bus_error *reterr) {
        const ProxyClient *client = proxy_connection_client(proxy_call_connection(call));
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r >= 0)
                r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "GetSysinfo", reterr);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = proxy_dict_put_true(message, "serials", client->uid == 0 && client->door != PROXY_DOOR_READ_ONLY);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r >= 0 ? proxy_call_send(call, message, on_sysinfo, NULL, reterr) : r;
}

static int on_native(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const char *command;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &command);
        if (r < 0)
                return r;
        return proxy_reply_remote_connect_domain_xml_to_native(call, &(RpcRemoteConnectDomainXmlToNativeRet){ .nativeConfig = command });
}

int proxy_remote_connect_domain_xml_to_native(ProxyCall *call, const RpcRemoteConnectDomainXmlToNativeArgs *args,
                                              sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (strcmp(args->nativeFormat, "qemu-argv") != 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "unsupported config type %s", args->nativeFormat);
        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "GetCommandLine", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "sa{sv}", args->domainXml, 0);
        return r >= 0 ? proxy_call_send(call, message, on_native, NULL, reterr) : r;
}
