/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A method call (or the setting of a property) on its way from message to reply. The dispatcher checks the
 * shape of the arguments, that the object exists, and the caller's rights, in this order, and then runs the
 * handler:
 *
 *     static int on_start(VbCall *call, VbObject *object, const VbDomain1StartArgs *args,
 *                         sd_bus_error *reterr);
 *
 * A handler either
 *   - replies (vb_domain1_reply_start(call, …)) and returns what that returned,
 *   - keeps vb_call_ref(call), returns 0, and later replies in the same way or by vb_call_fail(), and then
 *     calls vb_call_unref(), or
 *   - returns a negative errno, best with reterr filled by a VB_ERROR_* name.
 *
 * args, and all that they point to, live as long as the call; the object does not: who comes back later looks
 * it up anew. A call whose last reference goes without a reply is answered with an error, and the mistake
 * logged. A handler never asks who is calling to decide what they may do; that is what vb_call_require() is
 * for. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "bus/interface.h"
#include "bus/object.h"

VbCall *vb_call_ref(VbCall *call);
VbCall *vb_call_unref(VbCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbCall, vb_call_unref)

VbDaemon *vb_call_daemon(VbCall *call);

/* Who calls: what it creates belongs to this user. Known before a handler runs. */
uid_t vb_call_uid(const VbCall *call);

/* The method's or property's name, for logs. */
const char *vb_call_member(const VbCall *call);

/* Whether the caller has left the bus, or closed its link: long work may then be not worth going on with. */
bool vb_call_is_orphan(const VbCall *call);

/* May the caller do this to that, too? For objects that a handler meets in its arguments, or for what only
 * the definition tells (host devices).
 *   1: yes.
 *   0: polkit is being asked. The handler must change nothing and return 0. It is run again from its top when
 *      the answer is yes; if it is no, the caller is answered without it.
 *   negative: no, with reterr filled.
 *
 *     r = vb_call_require(call, &vb_action_domain_define, vb_object_describe(existing), reterr);
 *     if (r <= 0)
 *             return r; */
VB_MUST_USE int vb_call_require(VbCall *call, const VbAction *action, VbSubject subject,
                                sd_bus_error *reterr);

/* The same for lists, from which what the caller may not see is left out: -EACCES means no, without reterr, and is no end of the
 * call. Nobody is asked for a password. */
VB_MUST_USE int vb_call_may(VbCall *call, const VbAction *action, VbSubject subject, sd_bus_error *reterr);

/* For handlers of methods whose action is "for handler": there was nothing to ask about, as in an empty list.
 * Without this or a vb_call_require() no such handler can reply but with an error. */
void vb_call_set_checked(VbCall *call);

/* Answers with an error: error if it is set, else one made from the errno r. Returns 1, or negative if the
 * bus is gone. */
int vb_call_fail(VbCall *call, int r, const sd_bus_error *error);

/* Replies; used by the generated, typed functions. Announces what has changed first. Returns 1, or negative
 * if the bus is gone. */
int vb_call_reply(VbCall *call, const char *types, ...);

/* The end of work whose end is all there is to reply: answers with nothing, or with the error. userdata is the call, a reference of
 * which it takes. */
void vb_call_reply_done(int r, const sd_bus_error *error, void *userdata);

/* For results that are built piece by piece: a message to append to (never NULL on success), then sent. On a
 * failure to append, vb_call_fail(). */
VB_MUST_USE int vb_call_new_reply(VbCall *call, sd_bus_message **ret);
int vb_call_send_reply(VbCall *call, sd_bus_message *reply);

/* Tells when the caller leaves the bus or closes its link, for what lives no longer than its caller. Free to stop. gone() is
 * called at most once, never from within vb_caller_watch_new(), and may free the watch. */
typedef struct VbCallerWatch VbCallerWatch;
VB_MUST_USE int vb_caller_watch_new(VbCallerWatch **ret, VbCall *call, void (*gone)(void *userdata),
                                    void *userdata, sd_bus_error *reterr);
VbCallerWatch *vb_caller_watch_free(VbCallerWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbCallerWatch, vb_caller_watch_free)

/* For the generated tables. */
int vb_call_not_offered(VbCall *call, VbObject *object, const VbMethod *method, sd_bus_error *reterr);
int vb_dispatch_unreached(sd_bus_message *message, void *userdata, sd_bus_error *reterr);
