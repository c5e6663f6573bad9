/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A domain: the definition of a guest, and what is known of the guest while it runs. What it is and may do, not
 * how: the driver behind it does the work. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/uuid.h"
#include "bus/daemon.h"
#include "bus/job.h"
#include "bus/object.h"
#include "bus/turn.h"
#include "hypervisor/claims.h"
#include "hypervisor/state.h"
#include "model/domain.h"

enum {
        VB_METADATA_CHANGES_KEPT = 16,
};

/* Trimming and freezing take their time. An agent that is not there at all is known sooner. */
#define VB_AGENT_TIMEOUT_USEC (UINT64_C(60) * 1000000)

typedef struct VbDomain VbDomain;
typedef struct VbHypervisor VbHypervisor;

/* How something that takes time has ended: r is 0, or negative with error. The domain may be gone. Called once, from the loop. */
typedef void (*VbDone)(int r, const sd_bus_error *error, void *userdata);

/* How a job has ended. */
typedef struct VbDomainJob {
        char *operation; /* NULL: there has been none, or it has been asked about */
        const char *result; /* "completed", "failed", "canceled" */
        char *error; /* of one that failed: why */
        uint64_t elapsed_usec, bytes_done, bytes_total;
} VbDomainJob;

struct VbDomain {
        VbObject object;
        VbHypervisor *hypervisor;

        /* identity; the name changes with the definition */
        VbUuid uuid;
        char uuid_string[VB_UUID_STRING_SIZE];
        char *name;

        /* configured: what the disk has */
        VbDomainDefinition *config; /* NULL: transient */
        uid_t owner;
        bool autostart;
        bool autostart_once;
        bool has_managed_save;
        int started_as; /* the number of its last run that is known of; those with lower ones were started earlier. 0: none */

        /* run time */
        VbDomainDefinition *live; /* NULL: off */
        VbDomainState state;
        VbDomainReason reason;
        int id;               /* -1: off */
        uint64_t memory;      /* bytes the guest has now, as its balloon says */
        bool agent_connected;
        uint64_t agent_timeout_usec; /* 0: not to wait for it; UINT64_MAX: for ever */
        VbClaims *claims;     /* what it has for itself alone; NULL: nothing (hypervisor/lock.h) */
        VbIdleHold *hold;     /* a guest that runs keeps the daemon */
        VbJob *job;           /* long work with progress; the driver's */
        VbDomainJob last_job; /* the one that ended last */

        /* Which elements of the metadata were changed last, by number; the place is the remainder. */
        char *changed_uris[VB_METADATA_CHANGES_KEPT];
        uint64_t n_changed_uris;

        /* under way */
        const char *operation; /* "start": the one thing that changes the guest at the moment; or NULL */
        VbDone operation_done;
        void *operation_userdata;
        bool operation_saves; /* … and the definition on the disk after it */
        bool being_destroyed; /* … to its end, no call does anything else to the guest */
        const char *saving; /* "define": the one change of what the disk has; or NULL */
        VbTurnQueue *turns; /* calls that wait until that has ended */
        GPtrArray *waiters; /* of those who wait for the guest to be off */
        VbCallerWatch *bound_to; /* destroy it when this caller leaves */

        void *driver_data; /* the driver's, from VbDriver.attach() to detach() */
};

/* name and owner are those of the definition. The domain is in no registry and not on the bus yet. */
VB_MUST_USE int vb_domain_new(VbDomain **ret, VbHypervisor *hypervisor, const VbUuid *uuid, const char *name, uid_t owner);

/* Leaves the bus. What waits for it is told that it was cancelled. Takes NULL, returns NULL. */
VbDomain *vb_domain_free(VbDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbDomain, vb_domain_free)

static inline VbDomain *vb_domain_of(VbObject *object) {
        return vb_container_of(object, VbDomain, object);
}

static inline bool vb_domain_is_active(const VbDomain *domain) {
        return vb_domain_state_is_active(domain->state);
}

/* What counts now: the live definition, else the persistent one. Never NULL on a domain in the registry. */
static inline VbDomainDefinition *vb_domain_definition(const VbDomain *domain) {
        return domain->live ?: domain->config;
}

/* For VB_LOG_FIELDS and vb_log_*_for(). */
#define VB_DOMAIN_LOG(d) VB_LOG_FIELDS(.domain = (d)->name, .uuid = (d)->uuid_string)

uint32_t vb_domain_vcpus(const VbDomain *domain);
uint64_t vb_domain_memory(const VbDomain *domain);
uint64_t vb_domain_max_memory(const VbDomain *domain);

/* Takes a new persistent definition (NULL: transient from now on), and tells the bus what changed by it. */
void vb_domain_set_config(VbDomain *domain, VbDomainDefinition *config);

/* A guest is coming to be: it has this definition, which is taken, and the number is its own. */
void vb_domain_set_live(VbDomain *domain, VbDomainDefinition *live, int id);

/* Something in the running guest's definition has been changed. */
void vb_domain_live_changed(VbDomain *domain);

/* What the guest does. reason must be one that the state can have. */
void vb_domain_set_state(VbDomain *domain, VbDomainState state, VbDomainReason reason);

void vb_domain_set_memory(VbDomain *domain, uint64_t bytes);
void vb_domain_set_job(VbDomain *domain, VbJob *job); /* NULL before it ends */
void vb_domain_set_agent_connected(VbDomain *domain, bool connected);
void vb_domain_set_agent_timeout(VbDomain *domain, uint64_t timeout_usec);
/* What has become of domain->claims. */
void vb_domain_set_lease_state(VbDomain *domain, VbClaimsState state);
void vb_domain_set_managed_save(VbDomain *domain, bool exists);
void vb_domain_set_autostart(VbDomain *domain, bool autostart);
void vb_domain_set_autostart_once(VbDomain *domain, bool autostart_once);

/* The domain's job is about to end with r and error: tells so, and remembers it. Before vb_job_end(). */
void vb_domain_tell_job(VbDomain *domain, int r, const sd_bus_error *error);
void vb_domain_job_clear(VbDomainJob *job);

/* Nothing of the guest is left. Removes the domain if it was transient (it is freed then), and tells, last of all, the operation
 * under way (if there is one, that it ended with r and error) and those who wait. */
void vb_domain_stopped(VbDomain *domain, VbDomainReason reason, int r, const sd_bus_error *error);

/* Removes (and frees) the domain if nothing keeps it: no persistent definition, no guest, nothing under way. */
void vb_domain_settle(VbDomain *domain);

/* InvalidState unless the guest is there; or unless it is off, and nothing is under way. */
VB_MUST_USE int vb_domain_check_active(const VbDomain *domain, sd_bus_error *reterr);
VB_MUST_USE int vb_domain_check_off(const VbDomain *domain, sd_bus_error *reterr);

/* Begins the one operation that a domain may have at a time; InvalidState names the one that is under way. name must be a
 * literal: it reads on from "domain 'web': ". done may be NULL. */
VB_MUST_USE int vb_domain_begin(VbDomain *domain, const char *name, VbDone done, void *userdata, sd_bus_error *reterr);

/* The operation that was just begun goes on to change what the disk has: nobody else may meanwhile. */
void vb_domain_operation_saves(VbDomain *domain);

/* What the disk has is being changed; what is a literal, or NULL: no more. */
void vb_domain_set_saving(VbDomain *domain, const char *what);

/* The operation has ended; calls its done. Nothing if there is none. */
void vb_domain_finish(VbDomain *domain, int r, const sd_bus_error *error);

/* The operation that was just begun is not taken up after all: done is not called. */
void vb_domain_abandon(VbDomain *domain);

/* Tells when the guest is off (r = 0), or after the time limit that it is not (-ETIMEDOUT); 0: no limit. */
void vb_domain_wait_off(VbDomain *domain, uint64_t timeout_usec, VbDone done, void *userdata);

/* The model keeps UUIDs in systemd's type, everything else in base's. */
static inline VbUuid vb_domain_definition_uuid(const VbDomainDefinition *definition) {
        VbUuid uuid;

        memcpy(uuid.bytes, definition->uuid.bytes, sizeof(uuid.bytes));
        return uuid;
}
