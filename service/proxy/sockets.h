/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The listening sockets, and accepting on them. */

#include "base/cleanup.h"
#include "proxy/identity.h"

typedef struct ProxySockets ProxySockets;

/* A client; the descriptor is the callee's. */
typedef void (*ProxyAccepted)(int fd, ProxyDoor door, const char *driver, void *userdata);

/* Those of the service manager, each by its name: "libvirt", "libvirt-ro", "libvirt-admin", "virtqemud", "virtqemud-ro", …. If there are none and
 * session_folder is not NULL, they are made there (no read-only ones, as in libvirt). -ENOENT: neither. */
VB_MUST_USE int proxy_sockets_new(ProxySockets **ret, sd_event *event, const char *session_folder, ProxyAccepted accepted,
                                  void *userdata);
/* Those of our own making are removed. */
ProxySockets *proxy_sockets_free(ProxySockets *sockets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxySockets, proxy_sockets_free)

/* While there is no room for more clients, they wait in the sockets; but the administration's are served, so that there can be more room. */
typedef enum ProxyPause {
        PROXY_PAUSE_NONE,
        PROXY_PAUSE_CLIENTS,
        PROXY_PAUSE_ALL,
} ProxyPause;
void proxy_sockets_pause(ProxySockets *sockets, ProxyPause pause);
