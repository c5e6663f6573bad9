/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a guest must have for itself while it runs: the images of its disks, and the leases that its definition names. Who
 * grants it is a lock manager (hypervisor/lock.h). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/string-table.h"
#include "model/domain.h"

typedef struct VbLockManager VbLockManager;

typedef enum VbClaimsState {
        VB_CLAIMS_NONE,      /* nothing is held */
        VB_CLAIMS_HELD,      /* all is */
        VB_CLAIMS_SUSPENDED, /* all has been given up until the guest is resumed */
        _VB_CLAIMS_STATE_MAX,
        _VB_CLAIMS_STATE_INVALID = -EINVAL,
} VbClaimsState;
VB_STRING_TABLE_DECLARE(vb_claims_state, VbClaimsState);

typedef struct VbClaim {
        char *device;    /* what of the definition wants it: "disk vda", "lease web" */
        char *name;      /* of an image its absolute path, of a lease its key */
        char *folder;    /* of a lease: <target path>; NULL: an image */
        char *lockspace; /* of a lease, where one is given */
        uint64_t offset; /* of a lease */
        bool shared;     /* with others that share it, too */
        int fd;          /* of an image, until it has been claimed: opened with the owner's rights */
} VbClaim;

typedef struct VbClaims {
        VbClaim *items;
        size_t n;
        bool leaves_disks; /* with disks that only this guest shall write to, and for which nothing is claimed */

        /* who was asked, for whom, with what result */
        const VbLockManager *manager;
        pid_t pid; /* of the guest; with the start time, of no other process */
        uint64_t start_time;
        VbClaimsState state;
        char *token; /* suspended: what the manager wants to see again; may be NULL */
} VbClaims;

/* Those of a definition: images that are not read-only (those below them, which only back them, are), if disks is true, and leases. */
VbClaims *vb_claims_new(const VbDomainDefinition *definition, bool disks);
VbClaims *vb_claims_free(VbClaims *claims); /* takes NULL, returns NULL */

/* By what wants it; NULL if there is none. Borrowed. */
VbClaim *vb_claims_find(VbClaims *claims, const char *device);

/* The descriptors are not needed any more. */
void vb_claims_close(VbClaims *claims);

/* To and from a daemon's own file. -EBADMSG if it makes no sense. */
VbJson *vb_claims_to_json(const VbClaims *claims);
VB_MUST_USE int vb_claims_from_json(VbClaims **ret, VbJson *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbClaims, vb_claims_free)
