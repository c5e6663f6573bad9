/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The worker's links to drivers (Daemon1.OpenLink): for each driver a shared one with signals, for what is public, and for each client
 * that calls more than that one of its own, which carries the client's identity. The listener opens them, as only it may
 * speak for others. A link that ends, as when a driver is restarted, is opened anew at the next call. */

#include "base/cleanup.h"
#include "proxy/connection.h"
#include "proxy/domains.h"

typedef struct ProxyBackend ProxyBackend; /* all of a worker's links to one driver */

/* How a worker asks its listener. link() is called once, with a descriptor (taken over) or a negative errno and the error. client 0:
 * the shared one. */
typedef void (*ProxyLinkOpened)(int fd, int r, const sd_bus_error *error, void *userdata);
typedef int (*ProxyOpenLink)(void *opener, const char *driver, uint64_t client, bool read_only, bool with_signals, ProxyLinkOpened opened,
                             void *userdata);

ProxyBackend *proxy_backend_new(sd_event *event, const char *driver, ProxyOpenLink open, void *opener);
ProxyBackend *proxy_backend_free(ProxyBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyBackend, proxy_backend_free)

/* Sends a call on this client's link, opening it first if need be. answered() is called once: with the answer, or with an error
 * when there is no link, or it ended. If nothing of the call had been sent by then, or it only asks for something, it is sent on the next one instead. The slot
 * is the caller's to free, before that (which withdraws the call) or after. */
typedef struct ProxyBackendCall ProxyBackendCall;
typedef void (*ProxyBackendAnswered)(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata);
VB_MUST_USE int proxy_backend_call(ProxyBackendCall **ret, ProxyBackend *backend, const ProxyClient *client, bool read_only,
                                   sd_bus_message *message, ProxyBackendAnswered answered, void *userdata,
                                   sd_bus_error *reterr);
ProxyBackendCall *proxy_backend_call_cancel(ProxyBackendCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyBackendCall, proxy_backend_call_cancel)

/* A message to append to; for the driver at the other end, whichever link it takes. path NULL: the root. */
VB_MUST_USE int proxy_backend_new_method(ProxyBackend *backend, sd_bus_message **ret, const char *path,
                                         const char *interface, const char *member);

/* This client has left: its link closes, and its calls are answered with an error. */
void proxy_backend_forget(ProxyBackend *backend, uint64_t client);

/* The records, up to date. 1: here they are. 0: they are being read; ready() follows once, with 0 or an error. */
typedef void (*ProxyBackendReady)(int r, const sd_bus_error *error, void *userdata);
VB_MUST_USE int proxy_backend_domains(ProxyBackend *backend, ProxyDomains **ret, ProxyBackendReady ready, void *userdata,
                                      sd_bus_error *reterr);
