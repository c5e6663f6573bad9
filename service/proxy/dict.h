/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Picking what is wanted out of the dictionaries in which drivers answer. */

#include "proxy/call.h"

typedef struct ProxyDictEntry {
        const char *key;
        char type;   /* 's', 'u', 't', 'b' (into an int); 'S': an array of strings, into an RpcStringArray */
        void *value; /* strings become the call's; what is not there stays as it is */
} ProxyDictEntry;

/* Reads a whole a{sv} at the message's position. What nobody asks for is passed over; -EBADMSG if an entry is of another type. */
VB_MUST_USE int proxy_dict_read(ProxyCall *call, sd_bus_message *message, const ProxyDictEntry *entries, size_t n);

/* Adds an entry to an a{sv} that is being written: a string if it is not NULL, and a boolean if it is true. */
VB_MUST_USE int proxy_dict_put_string(sd_bus_message *message, const char *key, const char *value);
VB_MUST_USE int proxy_dict_put_true(sd_bus_message *message, const char *key, bool value);
