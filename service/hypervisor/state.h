/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a domain is doing, and why. The words are those of the State and StateReason properties. */

#include <stdbool.h>

#include "base/string-table.h"

typedef enum VbDomainState {
        VB_DOMAIN_SHUTOFF, /* no process */
        VB_DOMAIN_RUNNING,
        VB_DOMAIN_PAUSED,
        VB_DOMAIN_SHUTDOWN, /* still there, but the guest has powered itself off */
        VB_DOMAIN_CRASHED, /* still there for a look, but the guest is dead */
        VB_DOMAIN_PMSUSPENDED, /* the guest sleeps and can be woken */
        _VB_DOMAIN_STATE_MAX,
        _VB_DOMAIN_STATE_INVALID = -EINVAL,
} VbDomainState;

typedef enum VbDomainReason {
        VB_REASON_UNKNOWN,
        VB_REASON_BOOTED,
        VB_REASON_MIGRATED,
        VB_REASON_RESTORED,
        VB_REASON_FROM_SNAPSHOT,
        VB_REASON_UNPAUSED,
        VB_REASON_MIGRATION_CANCELED,
        VB_REASON_SAVE_CANCELED,
        VB_REASON_WAKEUP,
        VB_REASON_CRASHED,
        VB_REASON_POSTCOPY,
        VB_REASON_POSTCOPY_FAILED,
        VB_REASON_USER,
        VB_REASON_MIGRATION,
        VB_REASON_SAVE,
        VB_REASON_DUMP,
        VB_REASON_IOERROR,
        VB_REASON_WATCHDOG,
        VB_REASON_SHUTTING_DOWN,
        VB_REASON_SNAPSHOT,
        VB_REASON_STARTING_UP,
        VB_REASON_API_ERROR,
        VB_REASON_SHUTDOWN,
        VB_REASON_DESTROYED,
        VB_REASON_SAVED,
        VB_REASON_FAILED,
        VB_REASON_DAEMON,
        VB_REASON_PANICKED,
        VB_REASON_HOST_SLEEP,
        VB_REASON_RESTORING,
        _VB_DOMAIN_REASON_MAX,
        _VB_DOMAIN_REASON_INVALID = -EINVAL,
} VbDomainReason;

VB_STRING_TABLE_DECLARE(vb_domain_state, VbDomainState);
VB_STRING_TABLE_DECLARE(vb_domain_reason, VbDomainReason);

/* Whether a domain can be in this state for this reason. */
bool vb_domain_state_allows(VbDomainState state, VbDomainReason reason);

/* Whether a process stands behind a domain in this state. */
static inline bool vb_domain_state_is_active(VbDomainState state) {
        return state != VB_DOMAIN_SHUTOFF;
}
