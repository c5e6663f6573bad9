/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may log in to a guest by ssh: its agent knows, and writes each user's authorized_keys. */
#include "proxy/agent.h"
#include "proxy/params.h"

#define KEYS_MAX 2048u /* the protocol's */

static int on_keys(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        VbJson *keys = json_object_object_get(result, "keys");
        size_t n = json_object_is_type(keys, json_type_array) ? json_object_array_length(keys) : 0;
        const char **items;

        if (n > KEYS_MAX)
                return proxy_error_set(reterr, VIR_ERR_RPC, 0, "too many ssh keys: %zu > %u", n, KEYS_MAX);
        items = proxy_call_alloc_array(call, (uint32_t) n + 1, sizeof(*items));
        for (size_t i = 0; i < n; i++) {
                const char *key = json_object_get_string(json_object_array_get_idx(keys, i));

                items[i] = proxy_call_strdup(call, key ?: "");
        }
        return proxy_reply_remote_domain_authorized_ssh_keys_get(
                call, &(RpcRemoteDomainAuthorizedSshKeysGetRet){ .keys = { (uint32_t) n, items } });
}

static VbJson *of_user(const char *user) {
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, "username", json_object_new_string(user));
        return arguments;
}

int proxy_remote_domain_authorized_ssh_keys_get(ProxyCall *call, const RpcRemoteDomainAuthorizedSshKeysGetArgs *args,
                                                sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        return proxy_agent_ask(call, &args->dom, "guest-ssh-get-authorized-keys", of_user(args->user), on_keys, NULL, reterr);
}

int proxy_remote_domain_authorized_ssh_keys_set(ProxyCall *call, const RpcRemoteDomainAuthorizedSshKeysSetArgs *args,
                                                sd_bus_error *reterr) {
        bool remove = args->flags & VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE;
        bool append = args->flags & VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND;
        VbJson *arguments, *keys;
        int r;

        r = proxy_call_check_flags(call, args->flags,
                                   VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND | VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE, reterr);
        if (r < 0)
                return r;
        if (remove && append)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "ssh keys can be appended or removed, not both");
        arguments = of_user(args->user);
        keys = json_object_new_array();
        for (uint32_t i = 0; i < args->keys.n; i++)
                (void) json_object_array_add(keys, json_object_new_string(args->keys.items[i]));
        (void) json_object_object_add(arguments, "keys", keys);
        if (!remove)
                (void) json_object_object_add(arguments, "reset", json_object_new_boolean(!append));
        return proxy_agent_tell(call, &args->dom, remove ? "guest-ssh-remove-authorized-keys" : "guest-ssh-add-authorized-keys",
                                arguments, reterr);
}
