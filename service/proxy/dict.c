/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/dict.h"

#include <errno.h>
#include <string.h>

static int read_value(ProxyCall *call, sd_bus_message *message, const ProxyDictEntry *entry) {
        const char *text;
        int r;

        if (entry->type == 'S')
                return proxy_call_read_strings(call, message, entry->value);
        if (entry->type != 's')
                return sd_bus_message_read_basic(message, entry->type, entry->value);
        r = sd_bus_message_read_basic(message, 's', &text);
        if (r > 0)
                *(const char **) entry->value = proxy_call_strdup(call, text);
        return r;
}

static int read_entry(ProxyCall *call, sd_bus_message *message, const ProxyDictEntry *entries, size_t n) {
        const char *key;
        int r;

        r = sd_bus_message_read_basic(message, 's', &key);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                char signature[] = { entries[i].type, '\0' };

                if (strcmp(entries[i].key, key) != 0)
                        continue;
                r = sd_bus_message_enter_container(message, 'v', entries[i].type == 'S' ? "as" : signature);
                if (r >= 0)
                        r = read_value(call, message, &entries[i]);
                return r < 0 ? -EBADMSG : sd_bus_message_exit_container(message);
        }
        return sd_bus_message_skip(message, "v");
}

int proxy_dict_read(ProxyCall *call, sd_bus_message *message, const ProxyDictEntry *entries, size_t n) {
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_entry(call, message, entries, n);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int proxy_dict_put_string(sd_bus_message *message, const char *key, const char *value) {
        return value ? sd_bus_message_append(message, "{sv}", key, "s", value) : 0;
}

int proxy_dict_put_true(sd_bus_message *message, const char *key, bool value) {
        return value ? sd_bus_message_append(message, "{sv}", key, "b", true) : 0;
}
