/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events for classic clients: who wants which (events.c), and what becomes one (events-domain.c, events-lifecycle.c). Names and states are
 * public, so whoever may connect may hear of every domain. What a driver tells of a domain stands in its own news; what a client did not hear
 * while the driver was away is in the difference of the records, and told as if it had just happened. */

#include "proxy/connection.h"
#include "proxy/domains.h"

typedef struct ProxyEvents ProxyEvents; /* what one connection has registered */

/* Sends an event to each callback of this id that the domain is for. message is the struct of the id's procedure, which begins with the
 * callback's number; the older registrations get what the table says stands in it. */
void proxy_events_send(ProxyEvents *events, int id, const ProxyDomain *domain, void *message);

/* Whether anybody here would hear of it; for what has to be asked for first. */
bool proxy_events_wants(const ProxyEvents *events, int id, const ProxyDomain *domain);
ProxyConnection *proxy_events_connection(ProxyEvents *events);
/* The records, as long as somebody here hears of them; else NULL. */
ProxyDomains *proxy_events_domains(ProxyEvents *events);

/* Limits of a guest have changed: asks what they are now, in the client's own name, and tells it then. */
void proxy_events_tell_tuning(ProxyEvents *events, const ProxyDomain *domain, const char *what, const char *part);
/* Likewise which element of the metadata has changed; who may not know hears that one has. */
void proxy_events_tell_metadata(ProxyEvents *events, const ProxyDomain *domain, uint64_t change);

/* Somebody came to a display, or left it: asks who, and from where; who may not know hears that somebody has. phase is
 * virDomainEventGraphicsPhase. */
void proxy_events_tell_viewer(ProxyEvents *events, const ProxyDomain *domain, int phase, const char *auth, uint64_t number);

/* Makes events of news. */
void proxy_events_tell(ProxyEvents *events, const ProxyDomainNews *news);

/* What happened to a domain, by the records of before and after: at most so many things, in this order. */
enum {
        PROXY_LIFECYCLE_MAX = 6,
};
typedef struct ProxyLifecycle {
        const ProxyDomain *domain; /* before or after */
        int event, detail; /* virDomainEventType, and of the enumeration that belongs to it */
} ProxyLifecycle;
unsigned proxy_lifecycle_between(const ProxyDomain *before, const ProxyDomain *after, ProxyLifecycle ret[static PROXY_LIFECYCLE_MAX]);

/* Whether classic clients see a guest: not while it is still being started, as that may fail. */
bool proxy_lifecycle_is_active(const ProxyDomain *domain);
