/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The worker's end of one link to a driver: a socket, its handshake, calls and what is heard. Knows nothing of clients, and does not come back when
 * it has ended. */

#include <stdbool.h>

#include "base/cleanup.h"

typedef struct ProxyBackendLink ProxyBackendLink;

typedef struct ProxyBackendLinkEnds {
        void (*ready)(void *userdata); /* the handshake is done */
        void (*signal)(sd_bus_message *signal, void *userdata);
        void (*gone)(void *userdata); /* the driver has closed it, or broken the protocol; every answer that came has been told. May free the link */
} ProxyBackendLinkEnds;

/* Takes the descriptor over. */
VB_MUST_USE int proxy_backend_link_new(ProxyBackendLink **ret, sd_event *event, int fd, const ProxyBackendLinkEnds *ends,
                                       void *userdata);
/* gone() is not called. */
ProxyBackendLink *proxy_backend_link_free(ProxyBackendLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyBackendLink, proxy_backend_link_free)

/* A driver that is about to end takes no more, though it still answers what it has. */
bool proxy_backend_link_takes_calls(const ProxyBackendLink *link);

/* Only when it is ready. There is no time limit: a driver answers, or the link ends. -EPIPE: nothing of the call has been
 * sent, and nothing more can be; gone() follows. */
VB_MUST_USE int proxy_backend_link_call(ProxyBackendLink *link, sd_bus_slot **ret, sd_bus_message *message,
                                        sd_bus_message_handler_t answered, void *userdata);

/* Handles all that has arrived by now; does nothing within what the link itself calls. false: the link has ended, and
 * gone() follows. */
bool proxy_backend_link_drain(ProxyBackendLink *link);
