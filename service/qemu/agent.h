/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client of the agent inside a guest. The guest is hostile or asleep by nature: every command begins with guest-sync-delimited, so
 * that what an earlier command left in the pipe is skipped; garbage, lengths and time are bounded; commands go one
 * after the other, and one that is not answered in time costs its caller an error and nobody else anything. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct GuestAgent GuestAgent;

/* With r = 0, result is what "return" held. With r < 0, error tells people what:
 *   -EPROTO     the agent refused; error_class is its class
 *   -EHOSTDOWN  no answer within the time limit
 *   -ENOTCONN   the channel has closed
 *   -ECANCELED  the client was freed
 *   -E2BIG      too many commands wait already
 * All is borrowed for the length of the callback. */
typedef struct GuestAgentReply {
        int r;
        VbJson *result;
        const char *error_class;
        sd_bus_error error;
} GuestAgentReply;

/* Called exactly once per command, never from within guest_agent_send(). May free the client. */
typedef void (*GuestAgentCallback)(GuestAgent *agent, const GuestAgentReply *reply, void *userdata);

/* On the daemon's end of the agent's channel, a connected stream socket that the client owns from now on (also if this
 * fails). name is for messages: "domain 'web'". closed (may be NULL) is called once when the channel ends. */
VB_MUST_USE int guest_agent_new(GuestAgent **ret, sd_event *event, int fd, const char *name,
                                void (*closed)(GuestAgent *agent, int r, void *userdata), void *userdata);

/* At any time, also from a callback. Pending commands fail with -ECANCELED. Takes NULL, returns NULL. */
GuestAgent *guest_agent_free(GuestAgent *agent);

/* Queues a command; arguments (may be NULL) is taken over. timeout_usec covers waiting for its turn, the sync and the
 * answer; 0 is 5 s, UINT64_MAX no limit. no_reply: for guest-shutdown and its like, which answer nothing if they succeed: the callback
 * comes with r = 0 when the command is written and either the time is up or the channel closes. Returns a
 * number for guest_agent_forget(). */
uint64_t guest_agent_send(GuestAgent *agent, const char *command, VbJson *arguments, bool no_reply,
                          GuestAgentCallback callback, void *userdata, uint64_t timeout_usec);

/* The same with a whole request as text, as GuestAgentCommand gets it from its caller: one object with "execute" and at
 * most "arguments". 0 with reterr filled if it is not; callback will not be called then. */
uint64_t guest_agent_send_text(GuestAgent *agent, const char *request, GuestAgentCallback callback, void *userdata,
                               uint64_t timeout_usec, sd_bus_error *reterr);

void guest_agent_forget(GuestAgent *agent, uint64_t command);
size_t guest_agent_get_pending(const GuestAgent *agent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestAgent, guest_agent_free)
