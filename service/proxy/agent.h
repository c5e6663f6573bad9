/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is asked of the agent in a guest, by Domain1.GuestAgentCommand. */

#include "proxy/call.h"

/* result is what the agent returned; borrowed. Returns like a function of a call does. */
typedef int (*ProxyAgentAnswered)(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr);

/* arguments (may be NULL) is taken over, also on failure. If the domain is being fetched, the call's function is run again. */
VB_MUST_USE int proxy_agent_ask(ProxyCall *call, const RpcDomain *dom, const char *command, VbJson *arguments,
                                ProxyAgentAnswered answered, void *userdata, sd_bus_error *reterr);

/* The same where success is all that is of interest. */
VB_MUST_USE int proxy_agent_tell(ProxyCall *call, const RpcDomain *dom, const char *command, VbJson *arguments,
                                 sd_bus_error *reterr);
