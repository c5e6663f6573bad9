/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One guest on its way to safety (host-guest.c), and who sends all of them there (host-shutdown.c). */

#include "hypervisor/host-plan.h"
#include "hypervisor/host-shutdown.h"
#include "hypervisor/hypervisor.h"

typedef enum VbHostGuestPhase {
        VB_HOST_GUEST_QUEUED,
        VB_HOST_GUEST_WAITING, /* for what else is being done to it */
        VB_HOST_GUEST_WAKING,
        VB_HOST_GUEST_SAVING,
        VB_HOST_GUEST_SHUTTING_DOWN,
        VB_HOST_GUEST_POWERING_OFF,
        VB_HOST_GUEST_OVER,
} VbHostGuestPhase;

typedef struct VbHostGuest {
        VbHostShutdown *shutdown;
        VbUuid uuid;
        char *name;
        int id; /* of this run of the guest */
        VbHostPlan plan;
        int next_step;

        VbHostGuestPhase phase;
        uint64_t deadline_usec; /* when the phase is given up; moves only with the guest */
        uint64_t n_moves; /* of its job */
        uint64_t n_signs; /* that something moves: of these, and of phases that were entered */
        bool cancelled; /* its job has been, and did not end yet */
        bool hangs;     /* no use in asking it anything */
        bool agent_asked;

        bool marks;  /* for the next boot: being written */
        bool marked; /* … by us */
} VbHostGuest;

/* What host-guest.c does. now: CLOCK_MONOTONIC. */
VbHostGuest *vb_host_guest_new(VbHostShutdown *shutdown, VbDomain *domain);
void vb_host_guest_free(VbHostGuest *guest);
void vb_host_guest_begin(VbHostGuest *guest);
/* Something has happened to it, or time has passed. */
void vb_host_guest_look(VbHostGuest *guest, uint64_t now);
static inline bool vb_host_guest_is_under_way(const VbHostGuest *guest) {
        return guest->phase > VB_HOST_GUEST_QUEUED && guest->phase < VB_HOST_GUEST_OVER;
}
/* The domain while this run of the guest is there, else NULL. */
VbDomain *vb_host_guest_find(const VbHostGuest *guest);

/* What host-shutdown.c does. */
VbHypervisor *vb_host_shutdown_hypervisor(const VbHostShutdown *shutdown);
uint64_t vb_host_shutdown_now(const VbHostShutdown *shutdown);
/* The guest is over, or its mark is written. */
void vb_host_shutdown_guest_changed(VbHostShutdown *shutdown);
/* The daemon ends: callbacks mean nothing any more. */
bool vb_host_shutdown_is_ended(const VbHostShutdown *shutdown);

/* What host-status.c does. */
typedef struct VbHostStatus {
        char *text; /* as it was told last; NULL: not yet */
        uint64_t until_usec;
        uint64_t n_signs;
        uint64_t moved_usec; /* when there was the last one; 0: not since the first telling */
} VbHostStatus;

/* Tells the service manager how far it is, and until when the daemon may take, if one of these has changed. guests: of VbHostGuest. */
void vb_host_status_tell(VbHostStatus *status, const GPtrArray *guests, uint64_t now);
/* All is over; or everything is to be told again. */
void vb_host_status_clear(VbHostStatus *status);
