/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is to be done with one guest when the host goes down: by the settings, or by what its own definition says in <metadata>:
 *
 *     <virtbus:shutdown xmlns:virtbus="https://virtbus.org/schemas/shutdown/1.0" order="save shutdown poweroff" wait="300"/>
 *
 * order: steps of the three, in this order, or "none"; wait: seconds that this guest may take to power off. Both may be left out. Who is not
 * the administrator can only shorten the wait: nobody else holds up the host. */

#include "hypervisor/domain.h"
#include "hypervisor/host-settings.h"

#define VB_HOST_PLAN_NAMESPACE "https://virtbus.org/schemas/shutdown/1.0"

typedef enum VbHostStep {
        VB_HOST_STEP_SAVE,
        VB_HOST_STEP_SHUTDOWN,
        VB_HOST_STEP_POWEROFF,
        _VB_HOST_STEP_MAX,
        _VB_HOST_STEP_INVALID = -EINVAL,
} VbHostStep;
VB_STRING_TABLE_DECLARE(vb_host_step, VbHostStep);

typedef struct VbHostPlan {
        bool steps[_VB_HOST_STEP_MAX]; /* those that are tried, one after another */
        uint64_t wait_usec;
} VbHostPlan;

/* What the definition says is checked when it is set; where it is wrong nevertheless, the settings count, and reterr says so with a
 * negative errno: InvalidXML. ret is filled in any case. */
VB_MUST_USE int vb_host_plan_make(VbHostPlan *ret, const VbHostSettings *settings, const VbDomain *domain, sd_bus_error *reterr);

/* InvalidXML if the definition's own wish cannot be understood. */
VB_MUST_USE int vb_host_plan_check(const VbDomainDefinition *definition, sd_bus_error *reterr);
