/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest itself tells and does, by its agent. */
#include <string.h>

#include "proxy/agent.h"
#include "proxy/params.h"

#define NSEC_PER_SEC INT64_C(1000000000)
#define LIST_MAX 256u /* of file systems and addresses, as the protocol's */

static const char *text_of(VbJson *object, const char *key) {
        VbJson *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int64_t number_of(VbJson *object, const char *key) {
        return json_object_get_int64(json_object_object_get(object, key));
}

static VbJson *array_of(VbJson *object, const char *key) {
        VbJson *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_array) ? value : NULL;
}

static uint32_t length_of(VbJson *array, uint32_t most) {
        size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

        return (uint32_t) MIN(n, most);
}

static VbJson *arguments_of(const char *key, VbJson *value) {
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, key, value);
        return arguments;
}

/* --- name and time ---------------------------------------------------------------------------------------------------- */

static int on_hostname(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        const char *name = text_of(result, "host-name");

        if (!name)
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, 0, "malformed return value");
        return proxy_reply_remote_domain_get_hostname(call, &(RpcRemoteDomainGetHostnameRet){ .hostname = proxy_call_strdup(call, name) });
}

int proxy_remote_domain_get_hostname(ProxyCall *call, const RpcRemoteDomainGetHostnameArgs *args, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_GET_HOSTNAME_LEASE | VIR_DOMAIN_GET_HOSTNAME_AGENT, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_running(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (args->flags == VIR_DOMAIN_GET_HOSTNAME_LEASE)
                return proxy_error_set(reterr, VIR_ERR_NO_HOSTNAME, 0, "no hostname found for domain %s", domain->name);
        return proxy_agent_ask(call, &args->dom, "guest-get-host-name", NULL, on_hostname, NULL, reterr);
}

static int on_time(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        int64_t time = json_object_get_int64(result);

        return proxy_reply_remote_domain_get_time(call, &(RpcRemoteDomainGetTimeRet){
                .seconds = time / NSEC_PER_SEC, .nseconds = (uint32_t) (time % NSEC_PER_SEC) });
}

int proxy_remote_domain_get_time(ProxyCall *call, const RpcRemoteDomainGetTimeArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : proxy_agent_ask(call, &args->dom, "guest-get-time", NULL, on_time, NULL, reterr);
}

int proxy_remote_domain_set_time(ProxyCall *call, const RpcRemoteDomainSetTimeArgs *args, sd_bus_error *reterr) {
        VbJson *arguments = NULL;
        int64_t time;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_TIME_SYNC, reterr);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(args->seconds, NSEC_PER_SEC, &time) || __builtin_add_overflow(time, (int64_t) args->nseconds, &time))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "Time '%" G_GINT64_FORMAT "' is too big for guest agent", args->seconds);
        /* Without a time, the guest takes that of its hardware's clock. */
        if (!(args->flags & VIR_DOMAIN_TIME_SYNC))
                arguments = arguments_of("time", json_object_new_int64(time));
        return proxy_agent_tell(call, &args->dom, "guest-set-time", arguments, reterr);
}

/* --- file systems ------------------------------------------------------------------------------------------------------ */

static VbJson *strings_of(const RpcStringArray *strings) {
        VbJson *array = json_object_new_array();

        for (uint32_t i = 0; i < strings->n; i++)
                (void) json_object_array_add(array, json_object_new_string(strings->items[i]));
        return array;
}

static int on_frozen(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        return proxy_reply_remote_domain_fsfreeze(call, &(RpcRemoteDomainFsfreezeRet){ .filesystems = json_object_get_int(result) });
}

int proxy_remote_domain_fsfreeze(ProxyCall *call, const RpcRemoteDomainFsfreezeArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->mountpoints.n == 0)
                return proxy_agent_ask(call, &args->dom, "guest-fsfreeze-freeze", NULL, on_frozen, NULL, reterr);
        return proxy_agent_ask(call, &args->dom, "guest-fsfreeze-freeze-list", arguments_of("mountpoints", strings_of(&args->mountpoints)),
                               on_frozen, NULL, reterr);
}

static int on_thawed(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        return proxy_reply_remote_domain_fsthaw(call, &(RpcRemoteDomainFsthawRet){ .filesystems = json_object_get_int(result) });
}

int proxy_remote_domain_fsthaw(ProxyCall *call, const RpcRemoteDomainFsthawArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        /* All of them, whatever was named: the agent knows no more. */
        return r < 0 ? r : proxy_agent_ask(call, &args->dom, "guest-fsfreeze-thaw", NULL, on_thawed, NULL, reterr);
}

int proxy_remote_domain_fstrim(ProxyCall *call, const RpcRemoteDomainFstrimArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        if (args->mountPoint)
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "Specifying mount point is not supported for now");
        if (args->minimum > INT64_MAX)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "minimum is too large");
        return proxy_agent_tell(call, &args->dom, "guest-fstrim", arguments_of("minimum", json_object_new_int64((int64_t) args->minimum)),
                                reterr);
}

static int on_fsinfo(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        uint32_t n = length_of(result, LIST_MAX);
        RpcDomainFsinfo *info = proxy_call_alloc_array(call, n + 1, sizeof(*info));

        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                info[i] = (RpcDomainFsinfo){
                        .mountpoint = proxy_call_strdup(call, text_of(entry, "mountpoint") ?: ""),
                        .name = proxy_call_strdup(call, text_of(entry, "name") ?: ""),
                        .fstype = proxy_call_strdup(call, text_of(entry, "type") ?: ""),
                };
        }
        return proxy_reply_remote_domain_get_fsinfo(call, &(RpcRemoteDomainGetFsinfoRet){ .info = { n, info }, .ret = n });
}

int proxy_remote_domain_get_fsinfo(ProxyCall *call, const RpcRemoteDomainGetFsinfoArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        return r < 0 ? r : proxy_agent_ask(call, &args->dom, "guest-get-fsinfo", NULL, on_fsinfo, NULL, reterr);
}

/* --- users ------------------------------------------------------------------------------------------------------------- */

int proxy_remote_domain_set_user_password(ProxyCall *call, const RpcRemoteDomainSetUserPasswordArgs *args, sd_bus_error *reterr) {
        g_autofree char *encoded = g_base64_encode((const guchar *) (args->password ?: ""), args->password ? strlen(args->password) : 0);
        VbJson *arguments;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_PASSWORD_ENCRYPTED, reterr);
        if (r < 0)
                return r;
        arguments = arguments_of("username", json_object_new_string(args->user ?: ""));
        (void) json_object_object_add(arguments, "password", json_object_new_string(encoded));
        (void) json_object_object_add(arguments, "crypted", json_object_new_boolean(args->flags & VIR_DOMAIN_PASSWORD_ENCRYPTED));
        return proxy_agent_tell(call, &args->dom, "guest-set-user-password", arguments, reterr);
}

/* --- addresses --------------------------------------------------------------------------------------------------------- */

static RpcDomainIpAddrArray agent_addresses(ProxyCall *call, VbJson *list) {
        uint32_t n = length_of(list, LIST_MAX);
        RpcDomainIpAddr *addresses = proxy_call_alloc_array(call, n + 1, sizeof(*addresses));

        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(list, i);

                addresses[i] = (RpcDomainIpAddr){
                        .type = g_strcmp0(text_of(entry, "ip-address-type"), "ipv6") == 0 ? VIR_IP_ADDR_TYPE_IPV6 : VIR_IP_ADDR_TYPE_IPV4,
                        .addr = proxy_call_strdup(call, text_of(entry, "ip-address") ?: ""),
                        .prefix = (uint32_t) number_of(entry, "prefix"),
                };
        }
        return (RpcDomainIpAddrArray){ n, addresses };
}

static int on_agent_addresses(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        uint32_t n = length_of(result, LIST_MAX);
        RpcDomainInterface *interfaces = proxy_call_alloc_array(call, n + 1, sizeof(*interfaces));

        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                interfaces[i] = (RpcDomainInterface){
                        .name = proxy_call_strdup(call, text_of(entry, "name") ?: ""),
                        .hwaddr = proxy_call_strdup(call, text_of(entry, "hardware-address")),
                        .addrs = agent_addresses(call, array_of(entry, "ip-addresses")),
                };
        }
        return proxy_reply_remote_domain_interface_addresses(call, &(RpcRemoteDomainInterfaceAddressesRet){ .ifaces = { n, interfaces } });
}

static int read_host_addresses(ProxyCall *call, sd_bus_message *answer, RpcDomainInterface *interface) {
        RpcDomainIpAddr *addresses = proxy_call_alloc_array(call, LIST_MAX, sizeof(*addresses));
        const char *name, *mac, *text;
        uint32_t prefix, n = 0;
        int r;

        r = sd_bus_message_read(answer, "ss", &name, &mac);
        if (r >= 0)
                r = sd_bus_message_enter_container(answer, 'a', "(su)");
        while (r >= 0 && (r = sd_bus_message_read(answer, "(su)", &text, &prefix)) > 0)
                if (n < LIST_MAX)
                        addresses[n++] = (RpcDomainIpAddr){ strchr(text, ':') ? VIR_IP_ADDR_TYPE_IPV6 : VIR_IP_ADDR_TYPE_IPV4,
                                                            proxy_call_strdup(call, text), prefix };
        if (r < 0)
                return r;
        *interface = (RpcDomainInterface){ proxy_call_strdup(call, name), proxy_call_strdup(call, mac), { n, addresses } };
        return sd_bus_message_exit_container(answer);
}

static int on_host_addresses(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcDomainInterface *interfaces = proxy_call_alloc_array(call, LIST_MAX, sizeof(*interfaces));
        uint32_t n = 0;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(ssa(su))");
        while (r >= 0 && n < LIST_MAX && (r = sd_bus_message_enter_container(answer, 'r', "ssa(su)")) > 0) {
                r = read_host_addresses(call, answer, &interfaces[n++]);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
        }
        return r < 0 ? r :
                       proxy_reply_remote_domain_interface_addresses(call, &(RpcRemoteDomainInterfaceAddressesRet){
                               .ifaces = { n, interfaces } });
}

int proxy_remote_domain_interface_addresses(ProxyCall *call, const RpcRemoteDomainInterfaceAddressesArgs *args,
                                            sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_running(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        switch (args->source) {
        case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE: /* there are no networks that give leases yet */
                return proxy_reply_remote_domain_interface_addresses(call, &(RpcRemoteDomainInterfaceAddressesRet){ .ifaces = { 0, NULL } });
        case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT:
                return proxy_agent_ask(call, &args->dom, "guest-network-get-interfaces", NULL, on_agent_addresses, NULL, reterr);
        case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP:
                r = proxy_call_new_method(call, &message, domain->path, "org.virtbus.Domain1", "GetHostAddresses", reterr);
                if (r >= 0)
                        r = sd_bus_message_append(message, "a{sv}", 0);
                return r < 0 ? r : proxy_call_send(call, message, on_host_addresses, NULL, reterr);
        default:
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "Unknown IP address data source %u", args->source);
        }
}

/* --- vCPUs --------------------------------------------------------------------------------------------------------------- */

/* "0-1,3" of those for which the agent says so (of all: NULL). */
static char *list_vcpus(VbJson *vcpus, const char *key) {
        GString *list = g_string_new(NULL);
        uint32_t n = length_of(vcpus, 4096);

        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(vcpus, i);

                if (!key || json_object_get_boolean(json_object_object_get(entry, key)))
                        g_string_append_printf(list, "%s%" G_GINT64_FORMAT, list->len > 0 ? "," : "", number_of(entry, "logical-id"));
        }
        return g_string_free(list, FALSE);
}

static int on_guest_vcpus(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        g_autofree char *all = list_vcpus(result, NULL), *online = list_vcpus(result, "online"), *can = list_vcpus(result, "can-offline");
        ProxyParams params = { .call = call };

        proxy_params_add_string(&params, "vcpus", all);
        proxy_params_add_string(&params, "online", online);
        proxy_params_add_string(&params, "offlinable", can);
        return proxy_reply_remote_domain_get_guest_vcpus(call, &(RpcRemoteDomainGetGuestVcpusRet){ .params = proxy_params_array(&params, -1) });
}

int proxy_remote_domain_get_guest_vcpus(ProxyCall *call, const RpcRemoteDomainGetGuestVcpusArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        return r < 0 ? r : proxy_agent_ask(call, &args->dom, "guest-get-vcpus", NULL, on_guest_vcpus, NULL, reterr);
}

/* --- all that is known --------------------------------------------------------------------------------------------------- */

static void add_text(ProxyParams *params, VbJson *object, const char *key, const char *name) {
        const char *text = text_of(object, key);

        if (text)
                proxy_params_add_string(params, name, text);
}

static void take_os(ProxyParams *params, VbJson *result) {
        static const char *const keys[] = { "id", "name", "pretty-name", "version", "version-id", "machine", "variant", "variant-id",
                                            "kernel-release", "kernel-version" };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                add_text(params, result, keys[i], proxy_call_printf(params->call, "os.%s", keys[i]));
}

static void take_timezone(ProxyParams *params, VbJson *result) {
        add_text(params, result, "zone", VIR_DOMAIN_GUEST_INFO_TIMEZONE_NAME);
        proxy_params_add_int(params, VIR_DOMAIN_GUEST_INFO_TIMEZONE_OFFSET, (int32_t) number_of(result, "offset"));
}

static void take_hostname(ProxyParams *params, VbJson *result) {
        add_text(params, result, "host-name", VIR_DOMAIN_GUEST_INFO_HOSTNAME_HOSTNAME);
}

static void take_users(ProxyParams *params, VbJson *result) {
        uint32_t n = length_of(result, LIST_MAX);

        proxy_params_add_uint(params, VIR_DOMAIN_GUEST_INFO_USER_COUNT, n);
        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                add_text(params, entry, "user", proxy_call_printf(params->call, "user.%u.name", i));
                add_text(params, entry, "domain", proxy_call_printf(params->call, "user.%u.domain", i));
                proxy_params_add_ullong(params, proxy_call_printf(params->call, "user.%u.login-time", i),
                                        (uint64_t) (json_object_get_double(json_object_object_get(entry, "login-time")) * 1000));
        }
}

static void take_filesystems(ProxyParams *params, VbJson *result) {
        uint32_t n = length_of(result, LIST_MAX);

        proxy_params_add_uint(params, VIR_DOMAIN_GUEST_INFO_FS_COUNT, n);
        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                add_text(params, entry, "name", proxy_call_printf(params->call, "fs.%u.name", i));
                add_text(params, entry, "mountpoint", proxy_call_printf(params->call, "fs.%u.mountpoint", i));
                add_text(params, entry, "type", proxy_call_printf(params->call, "fs.%u.fstype", i));
                if (json_object_object_get(entry, "total-bytes"))
                        proxy_params_add_ullong(params, proxy_call_printf(params->call, "fs.%u.total-bytes", i),
                                                (uint64_t) number_of(entry, "total-bytes"));
                if (json_object_object_get(entry, "used-bytes"))
                        proxy_params_add_ullong(params, proxy_call_printf(params->call, "fs.%u.used-bytes", i),
                                                (uint64_t) number_of(entry, "used-bytes"));
                proxy_params_add_uint(params, proxy_call_printf(params->call, "fs.%u.disk.count", i), 0);
        }
}

static void take_disks(ProxyParams *params, VbJson *result) {
        uint32_t n = length_of(result, LIST_MAX);

        proxy_params_add_uint(params, VIR_DOMAIN_GUEST_INFO_DISK_COUNT, n);
        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                add_text(params, entry, "name", proxy_call_printf(params->call, "disk.%u.name", i));
                proxy_params_add_bool(params, proxy_call_printf(params->call, "disk.%u.partition", i),
                                      json_object_get_boolean(json_object_object_get(entry, "partition")));
                add_text(params, entry, "alias", proxy_call_printf(params->call, "disk.%u.guest_alias", i));
        }
}

static void take_addresses(ProxyParams *params, VbJson *list, uint32_t i) {
        uint32_t n = length_of(list, LIST_MAX);

        proxy_params_add_uint(params, proxy_call_printf(params->call, "if.%u.addr.count", i), n);
        for (uint32_t j = 0; j < n; j++) {
                VbJson *entry = json_object_array_get_idx(list, j);

                add_text(params, entry, "ip-address-type", proxy_call_printf(params->call, "if.%u.addr.%u.type", i, j));
                add_text(params, entry, "ip-address", proxy_call_printf(params->call, "if.%u.addr.%u.addr", i, j));
                proxy_params_add_uint(params, proxy_call_printf(params->call, "if.%u.addr.%u.prefix", i, j),
                                      (uint32_t) number_of(entry, "prefix"));
        }
}

static void take_interfaces(ProxyParams *params, VbJson *result) {
        uint32_t n = length_of(result, LIST_MAX);

        proxy_params_add_uint(params, VIR_DOMAIN_GUEST_INFO_IF_COUNT, n);
        for (uint32_t i = 0; i < n; i++) {
                VbJson *entry = json_object_array_get_idx(result, i);

                add_text(params, entry, "name", proxy_call_printf(params->call, "if.%u.name", i));
                add_text(params, entry, "hardware-address", proxy_call_printf(params->call, "if.%u.hwaddr", i));
                take_addresses(params, array_of(entry, "ip-addresses"), i);
        }
}

static const struct {
        unsigned type;
        const char *command;
        void (*take)(ProxyParams *params, VbJson *result);
} kinds[] = {
        { VIR_DOMAIN_GUEST_INFO_USERS, "guest-get-users", take_users },
        { VIR_DOMAIN_GUEST_INFO_OS, "guest-get-osinfo", take_os },
        { VIR_DOMAIN_GUEST_INFO_TIMEZONE, "guest-get-timezone", take_timezone },
        { VIR_DOMAIN_GUEST_INFO_HOSTNAME, "guest-get-host-name", take_hostname },
        { VIR_DOMAIN_GUEST_INFO_FILESYSTEM, "guest-get-fsinfo", take_filesystems },
        { VIR_DOMAIN_GUEST_INFO_DISKS, "guest-get-disks", take_disks },
        { VIR_DOMAIN_GUEST_INFO_INTERFACES, "guest-network-get-interfaces", take_interfaces },
};

/* One question after the other. Where all were asked for, an agent may lack some. */
typedef struct GuestInfo {
        const RpcRemoteDomainGetGuestInfoArgs *args;
        ProxyParams params;
        size_t next;
} GuestInfo;

static int ask_next(ProxyCall *call, GuestInfo *info, sd_bus_error *reterr);

static int on_info(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        GuestInfo *info = userdata;

        kinds[info->next++].take(&info->params, result);
        return ask_next(call, info, reterr);
}

static int ask_next(ProxyCall *call, GuestInfo *info, sd_bus_error *reterr) {
        while (info->next < G_N_ELEMENTS(kinds) && info->args->types != 0 && !(info->args->types & kinds[info->next].type))
                info->next++;
        if (info->next < G_N_ELEMENTS(kinds))
                return proxy_agent_ask(call, &info->args->dom, kinds[info->next].command, NULL, on_info, info, reterr);
        return proxy_reply_remote_domain_get_guest_info(call, &(RpcRemoteDomainGetGuestInfoRet){ .params = proxy_params_array(&info->params, -1) });
}

int proxy_remote_domain_get_guest_info(ProxyCall *call, const RpcRemoteDomainGetGuestInfoArgs *args, sd_bus_error *reterr) {
        GuestInfo *info = proxy_call_alloc(call, sizeof(*info));
        unsigned known = 0;
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                known |= kinds[i].type;
        if (args->types & ~known)
                return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "unsupported guest information types '0x%x'",
                                       args->types & ~known);
        *info = (GuestInfo){ .args = args, .params = { .call = call } };
        return ask_next(call, info, reterr);
}
