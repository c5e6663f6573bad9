/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What everyone may know of a driver's domains, kept up to date by the signals on the worker's shared link: names, ids, states.
 * One for each driver and worker. Before anything is read of it, what has arrived on the link is processed, and drivers
 * announce changes on every link before they reply on any; so nobody reads of a domain what a call that is finished has
 * changed. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct ProxyDomains ProxyDomains;

typedef struct ProxyDomain {
        char *path; /* "/org/virtbus/Qemu1/domain/_…" */
        char *name;
        char uuid_text[37];
        uint8_t uuid[16];
        int id; /* -1 when off */
        int state; /* virDomainState */
        int reason; /* of virDomain…Reason, which depends on the state */
        bool restored; /* paused: it comes from a saved state, and has not run since */
        uid_t owner;
        bool persistent, autostart, autostart_once, managed_save, agent_connected;
        unsigned n_vcpus;
        uint64_t memory, max_memory; /* bytes */
        char *job; /* object path, or "/" */
} ProxyDomain;

const ProxyDomain *proxy_domains_by_name(ProxyDomains *domains, const char *name);
const ProxyDomain *proxy_domains_by_uuid(ProxyDomains *domains, const uint8_t uuid[static 16]);
const ProxyDomain *proxy_domains_by_id(ProxyDomains *domains, int id);
const ProxyDomain *proxy_domains_by_path(ProxyDomains *domains, const char *path);

/* All, sorted by name. Stays valid until the loop turns. */
const ProxyDomain *const *proxy_domains_all(ProxyDomains *domains, size_t *ret_n);

/* Who wants to know what happens (events to classic clients). Told of each signal after the record has been updated; before
 * is what it was (NULL: new), after what it is (NULL: gone). Signals that are no change of a record have both the same, and the
 * message. */
typedef struct ProxyDomainsWatch ProxyDomainsWatch;
typedef struct ProxyDomainNews {
        const ProxyDomain *before, *after;
        const char *signal; /* "Rebooted"; NULL for a change of the record */
        sd_bus_message *message; /* of the signal, at its first argument */
} ProxyDomainNews;
typedef void (*ProxyDomainsTell)(const ProxyDomainNews *news, void *userdata);
ProxyDomainsWatch *proxy_domains_watch(ProxyDomains *domains, ProxyDomainsTell tell, void *userdata);
ProxyDomainsWatch *proxy_domains_unwatch(ProxyDomainsWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyDomainsWatch, proxy_domains_unwatch)
