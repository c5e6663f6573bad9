/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a worker gives up what it does not need, for good, before it meets its first client. */

#include <stdbool.h>

#include "base/cleanup.h"
#include "proxy/identity.h"

/* Becomes that user: all ids, exactly these groups, no capabilities, nothing that could bring any back. In a session, where the user
 * is what we are already, only the latter. empty_fd: a folder with nothing in it, which becomes the root where identity's door needs no
 * files; -EBADF if that is not possible. What fails is logged, and then the worker must end. */
VB_MUST_USE int proxy_sandbox_become(const ProxyIdentity *identity, bool session, int empty_fd);

/* From now on only the system calls that the door's work needs; after everything is set up. */
VB_MUST_USE int proxy_sandbox_filter(ProxyDoor door);
