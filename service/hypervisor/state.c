/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/state.h"

#include <stdint.h>

VB_STRING_TABLE(vb_domain_state, VbDomainState, _VB_DOMAIN_STATE_MAX,
                [VB_DOMAIN_SHUTOFF] = "shutoff",
                [VB_DOMAIN_RUNNING] = "running",
                [VB_DOMAIN_PAUSED] = "paused",
                [VB_DOMAIN_SHUTDOWN] = "shutdown",
                [VB_DOMAIN_CRASHED] = "crashed",
                [VB_DOMAIN_PMSUSPENDED] = "pmsuspended")

VB_STRING_TABLE(vb_domain_reason, VbDomainReason, _VB_DOMAIN_REASON_MAX,
                [VB_REASON_UNKNOWN] = "unknown",
                [VB_REASON_BOOTED] = "booted",
                [VB_REASON_MIGRATED] = "migrated",
                [VB_REASON_RESTORED] = "restored",
                [VB_REASON_FROM_SNAPSHOT] = "from-snapshot",
                [VB_REASON_UNPAUSED] = "unpaused",
                [VB_REASON_MIGRATION_CANCELED] = "migration-canceled",
                [VB_REASON_SAVE_CANCELED] = "save-canceled",
                [VB_REASON_WAKEUP] = "wakeup",
                [VB_REASON_CRASHED] = "crashed",
                [VB_REASON_POSTCOPY] = "postcopy",
                [VB_REASON_POSTCOPY_FAILED] = "postcopy-failed",
                [VB_REASON_USER] = "user",
                [VB_REASON_MIGRATION] = "migration",
                [VB_REASON_SAVE] = "save",
                [VB_REASON_DUMP] = "dump",
                [VB_REASON_IOERROR] = "ioerror",
                [VB_REASON_WATCHDOG] = "watchdog",
                [VB_REASON_SHUTTING_DOWN] = "shutting-down",
                [VB_REASON_SNAPSHOT] = "snapshot",
                [VB_REASON_STARTING_UP] = "starting-up",
                [VB_REASON_API_ERROR] = "api-error",
                [VB_REASON_SHUTDOWN] = "shutdown",
                [VB_REASON_DESTROYED] = "destroyed",
                [VB_REASON_SAVED] = "saved",
                [VB_REASON_FAILED] = "failed",
                [VB_REASON_DAEMON] = "daemon",
                [VB_REASON_PANICKED] = "panicked",
                [VB_REASON_HOST_SLEEP] = "host-sleep",
                [VB_REASON_RESTORING] = "restoring")

#define BIT(reason) (UINT64_C(1) << VB_REASON_##reason)

/* Clients (the classic protocol among them) know these pairs and no others; of a guest that stands still by HOST_SLEEP, RESTORING or RESTORED,
 * the classic ones are told in their own words. */
static const uint64_t allowed_reasons[_VB_DOMAIN_STATE_MAX] = {
        [VB_DOMAIN_SHUTOFF] = BIT(UNKNOWN) | BIT(SHUTDOWN) | BIT(DESTROYED) | BIT(CRASHED) | BIT(MIGRATED) |
                              BIT(SAVED) | BIT(FAILED) | BIT(FROM_SNAPSHOT) | BIT(DAEMON),
        [VB_DOMAIN_RUNNING] = BIT(UNKNOWN) | BIT(BOOTED) | BIT(MIGRATED) | BIT(RESTORED) | BIT(FROM_SNAPSHOT) |
                              BIT(UNPAUSED) | BIT(MIGRATION_CANCELED) | BIT(SAVE_CANCELED) | BIT(WAKEUP) |
                              BIT(CRASHED) | BIT(POSTCOPY) | BIT(POSTCOPY_FAILED),
        [VB_DOMAIN_PAUSED] = BIT(UNKNOWN) | BIT(USER) | BIT(MIGRATION) | BIT(SAVE) | BIT(DUMP) | BIT(IOERROR) |
                             BIT(WATCHDOG) | BIT(FROM_SNAPSHOT) | BIT(SHUTTING_DOWN) | BIT(SNAPSHOT) |
                             BIT(CRASHED) | BIT(STARTING_UP) | BIT(POSTCOPY) | BIT(POSTCOPY_FAILED) |
                             BIT(API_ERROR) | BIT(HOST_SLEEP) | BIT(RESTORING) | BIT(RESTORED),
        [VB_DOMAIN_SHUTDOWN] = BIT(UNKNOWN) | BIT(USER),
        [VB_DOMAIN_CRASHED] = BIT(UNKNOWN) | BIT(PANICKED),
        [VB_DOMAIN_PMSUSPENDED] = BIT(UNKNOWN),
};

bool vb_domain_state_allows(VbDomainState state, VbDomainReason reason) {
        if (state < 0 || state >= _VB_DOMAIN_STATE_MAX || reason < 0 || reason >= _VB_DOMAIN_REASON_MAX)
                return false;
        return allowed_reasons[state] & (UINT64_C(1) << reason);
}
