/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One procedure on its way from packet to reply. The dispatcher has decoded the arguments and checked that this connection
 * may call it. A function replies at once or later, or fails; a call whose last reference goes without a reply is answered
 * with an error, and the mistake logged. If the client leaves meanwhile, the call goes on to its end as if it were there, and its
 * answer goes nowhere; only if that takes too long, no more functions are run. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proxy/connection.h"
#include "proxy/domains.h"
#include "proxy/rpc.h" /* generated: structs, procedures */

#include "proxy/calls.h" /* generated: prototypes of functions, typed replies and events */

/* The version of libvirt whose clients and procedures these are. */
#define PROXY_LIBVIRT_VERSION (9 * 1000000 + 0 * 1000 + 0)

ProxyCall *proxy_call_ref(ProxyCall *call);
ProxyCall *proxy_call_unref(ProxyCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyCall, proxy_call_unref)

ProxyConnection *proxy_call_connection(ProxyCall *call); /* NULL once it has been answered, or has been orphaned */
const RpcProcedure *proxy_call_procedure(const ProxyCall *call);
uint32_t proxy_call_serial(const ProxyCall *call);
bool proxy_call_is_orphan(const ProxyCall *call); /* the client has left long ago, or the worker ends: there is no connection any more */

/* Memory that lives as long as the call, zeroed: for results that are built piece by piece. Never NULL. */
void *proxy_call_alloc(ProxyCall *call, size_t size);
void *proxy_call_alloc_array(ProxyCall *call, size_t n, size_t size);
char *proxy_call_strdup(ProxyCall *call, const char *text); /* NULL stays NULL */
char *proxy_call_printf(ProxyCall *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Descriptors that came with the call (CALL_WITH_FDS); taken over by who takes them. -ENOENT: there are not so many. */
VB_MUST_USE int proxy_call_take_fd(ProxyCall *call, unsigned index);
unsigned proxy_call_n_fds(const ProxyCall *call); /* came with it, taken or not */
/* One to be sent with the reply; taken over. */
void proxy_call_add_fd(ProxyCall *call, int fd);

/* One to be closed when the call is freed; taken over. */
void proxy_call_keep_fd(ProxyCall *call, int fd);

/* Encodes ret by the procedure's table and queues it; for the generated proxy_reply_…(). Returns 0; what goes wrong on the way
 * becomes an error to the client. */
int proxy_call_reply(ProxyCall *call, const void *ret);
/* An error: error if it is set, else made of the errno r. A bus error's name gives the classic code (errors.tsv), the
 * procedure its domain. Returns 0. */
int proxy_call_fail(ProxyCall *call, int r, const sd_bus_error *error);
/* Something was done that must be undone if the call fails: then undo() is called in place of failing, once, and has the call fail of r and error
 * when it is done. Not if it is not known whether the driver has done, or will still do, what it was asked for. */
typedef int (*ProxyCallUndo)(ProxyCall *call, void *userdata, int r, const sd_bus_error *error);
void proxy_call_set_undo(ProxyCall *call, ProxyCallUndo undo, void *userdata);
/* For what only classic clients know: a code of their own. Sets reterr so that proxy_call_fail() gives it. domain 0: that of the procedure's
 * object. Returns a negative errno. */
int proxy_error_set(sd_bus_error *reterr, int code, int domain, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Sends an event, a MESSAGE of a procedure of that kind; for the generated proxy_send_…(), which take its struct. Negative: it
 * cannot be encoded, which is a mistake of who made it. */
int proxy_connection_send_event(ProxyConnection *connection, const RpcProcedure *procedure, const void *message);

/* Calls of the bus, on the link that carries this client's identity, to the driver that the connection is open to.
 *
 *     g_autoptr(sd_bus_message) message = NULL;
 *     r = proxy_call_new_method(call, &message, path, "org.virtbus.Domain1", "Suspend", reterr);
 *     …append…
 *     return proxy_call_send(call, message, on_suspended, NULL, reterr);
 *
 * path NULL: the driver's root. When the answer comes, answered() runs; an error of the bus has been passed on to the client
 * by then, and answered() is not called. It returns like a function does. Interactive authorization is
 * allowed, unless the function takes that back. */
typedef int (*ProxyAnswered)(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr);
VB_MUST_USE int proxy_call_new_method(ProxyCall *call, sd_bus_message **ret, const char *path, const char *interface,
                                      const char *member, sd_bus_error *reterr);
VB_MUST_USE int proxy_call_send(ProxyCall *call, sd_bus_message *message, ProxyAnswered answered, void *userdata,
                                sd_bus_error *reterr);
/* As above, but errors of the bus come to answered(), too (as a message that is an error). */
VB_MUST_USE int proxy_call_send_tolerant(ProxyCall *call, sd_bus_message *message, ProxyAnswered answered, void *userdata,
                                         sd_bus_error *reterr);

/* The same for a method whose success is all that the client wants to hear. */
VB_MUST_USE int proxy_call_send_plain(ProxyCall *call, sd_bus_message *message, sd_bus_error *reterr);

/* Reads an as at the message's position; the strings become the call's. */
VB_MUST_USE int proxy_call_read_strings(ProxyCall *call, sd_bus_message *message, RpcStringArray *ret);

/* Objects. 1: found. 0: they are being fetched, and the function that is running (the procedure's, or answered()) will be run again from its top;
 * it must return 0. Negative: there is none, reterr says so as libvirt does. By uuid, as classic clients do. What is found
 * stays valid until the loop turns. */
VB_MUST_USE int proxy_call_domains(ProxyCall *call, ProxyDomains **ret, sd_bus_error *reterr);
VB_MUST_USE int proxy_call_find_domain(ProxyCall *call, const RpcDomain *which, const ProxyDomain **ret,
                                       sd_bus_error *reterr);
/* That there is none: always negative. */
int proxy_call_no_domain(ProxyCall *call, sd_bus_error *reterr, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The virErrorDomain in which the driver that this goes to would speak of the procedure's object. */
int proxy_call_driver_domain(const ProxyCall *call);
/* The same of a guest that runs; else OPERATION_INVALID. */
VB_MUST_USE int proxy_call_find_running(ProxyCall *call, const RpcDomain *which, const ProxyDomain **ret,
                                        sd_bus_error *reterr);
/* 1: a method of its Domain1, to append to. 0 and negative as above. */
VB_MUST_USE int proxy_call_new_domain_method(ProxyCall *call, sd_bus_message **ret, const RpcDomain *which,
                                             const char *member, sd_bus_error *reterr);
/* How a domain stands in replies. */
RpcDomain proxy_domain_to_rpc(const ProxyDomain *domain);
/* The domain at an object path of an answer: it may be so new that it is not known yet; then it is fetched. */
VB_MUST_USE int proxy_call_reply_domain_at(ProxyCall *call, const char *path, sd_bus_error *reterr);

/* flags & ~allowed: an error as libvirt's, naming the procedure's function. */
VB_MUST_USE int proxy_call_check_flags(ProxyCall *call, unsigned flags, unsigned allowed, sd_bus_error *reterr);
