/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What lock managers are made of. */

#include "hypervisor/hypervisor.h"
#include "hypervisor/lock.h"

/* Each begins what the call is for, and ends it by vb_lock_call_end(), never from within; or fails with reterr. */
typedef int (*VbLockBegin)(VbLockCall *call, sd_bus_error *reterr);

struct VbLockManager {
        const char *name;
        bool in_session; /* can be used there */

        /* What it cannot do, for whoever else; NULL: it can do all. */
        int (*check)(const VbDomain *domain, sd_bus_error *reterr);
        int (*enroll)(void); /* see vb_lock_get_enroll() */

        VbLockBegin acquire;
        VbLockBegin release;
        VbLockBegin suspend; /* and leaves what resume wants to know in claims->token */
        VbLockBegin resume;
};

extern const VbLockManager vb_lock_manager_lockd;
extern const VbLockManager vb_lock_manager_sanlock;

struct VbLockCall {
        VbDomain *domain;
        VbClaims *claims;         /* the domain's */
        const char *purpose;      /* reads on from "cannot": "start" */
        VbClaimsState success;    /* what the state is when it has succeeded */
        VbLockDone done;
        void *userdata;

        void *work; /* the manager's; freed by free_work, which cancels */
        void (*free_work)(void *work);
};

/* May free the call. */
void vb_lock_call_end(VbLockCall *call, int r, const sd_bus_error *error);
