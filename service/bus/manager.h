/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service manager is told of a daemon, and asked when it ends one. Told nothing where none has started the daemon. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

void vb_manager_tell_ready(void);
void vb_manager_tell_stopping(void);

/* vb_manager_tell_ready() follows when it is done. */
void vb_manager_tell_reloading(void);

/* For `systemctl status`; "" for nothing. */
void vb_manager_tell_status(const char *status);

/* The same, and that the daemon, which is being ended, may take so long from now on, if it needs longer than it has anyway. To be told only of
 * what has a limit of its own: a daemon that hangs must not be able to put off its end. */
void vb_manager_tell_progress(const char *status, uint64_t timeout_usec);

/* Asks the manager behind the bus whether all it manages is going down: the host, or the session. A daemon that is stopped for itself
 * hears no. goes_down is called once, never from within; no answer in a few seconds is a no. *ret is unref'ed to ask no more. */
typedef void (*VbManagerGoesDown)(bool goes_down, void *userdata);
VB_MUST_USE int vb_manager_ask_goes_down(sd_bus_slot **ret, sd_bus *bus, VbManagerGoesDown goes_down, void *userdata);
