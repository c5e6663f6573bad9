/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the records are fed; the backend's alone. */

#include "proxy/domains.h"

ProxyDomains *proxy_domains_new(void);
/* Nobody may watch any more. */
ProxyDomains *proxy_domains_free(ProxyDomains *domains);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyDomains, proxy_domains_free)

/* The answer to GetManagedObjects: what there is now. What is gone, new or different since what was known before is told. One that makes
 * no sense is an error, and changes nothing; -EEXIST: two domains have a name, a UUID or an id in common. */
VB_MUST_USE int proxy_domains_load(ProxyDomains *domains, sd_bus_message *answer);

/* A signal of the driver. One that makes no sense is an error, and changes nothing. */
VB_MUST_USE int proxy_domains_signal(ProxyDomains *domains, sd_bus_message *signal);

/* Whether anybody wants to know what happens. */
bool proxy_domains_is_watched(const ProxyDomains *domains);
