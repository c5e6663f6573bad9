/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call that is answered by one blocking function in a thread (base/worker): what is read of the host may be thousands of
 * small files, and what is changed may take the kernel seconds. */

#include "base/worker.h"
#include "bus/call.h"
#include "hypervisor/hypervisor.h"

typedef struct VbCallWork VbCallWork;

/* In the loop, after the work went well: replies, or fails with reterr filled. */
typedef int (*VbCallWorkReply)(VbCall *call, void *data, sd_bus_error *reterr);

/* data is taken over, also on failure, and freed when all is done. Returns 0, so that a handler can return it. */
VB_MUST_USE int vb_call_work_start(VbCall *call, VbHypervisor *hypervisor, VbWork work, void *data,
                                   GDestroyNotify free_data, VbCallWorkReply reply, sd_bus_error *reterr);

/* Of the hypervisor's list, at the daemon's end. */
void vb_call_work_free(VbCallWork *work);
