/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The child's half of base/process: what happens between fork and exec. */

#include "base/process.h"

/* What the child tells its parent over the status pipe, in this order: at most one failure, or the notice that it is at the gate
 * (step VB_CHILD_GATE, error 0), if it is gated, and the one that it is about to execute (step VB_CHILD_EXECUTE, error 0), which only exec's own
 * failure can follow. */
typedef enum VbChildStep {
        VB_CHILD_ENROLL,
        VB_CHILD_LOOK_UP_GROUPS,
        VB_CHILD_STREAMS,
        VB_CHILD_DESCRIPTORS,
        VB_CHILD_LIMITS,
        VB_CHILD_OOM_SCORE,
        VB_CHILD_SESSION,
        VB_CHILD_CAPABILITIES,
        VB_CHILD_GROUPS,
        VB_CHILD_USER,
        VB_CHILD_NO_NEW_PRIVILEGES,
        VB_CHILD_DIRECTORY,
        VB_CHILD_GATE,
        VB_CHILD_EXECUTE,
        _VB_CHILD_STEP_MAX,
} VbChildStep;

typedef struct VbChildStatus {
        int step;
        int error; /* positive errno */
} VbChildStatus;

/* Reads on from "cannot". */
const char *vb_child_step_to_string(int step);

/* Never returns. streams are the descriptors to become 0, 1 and 2 (-EBADF: /dev/null), status_fd is written to, gate_fd
 * read from if it is not negative; both are close-on-exec. parent is the daemon's pid. */
_Noreturn void vb_process_child(const VbProcessSpec *spec, const int streams[static 3], int status_fd, int gate_fd,
                                pid_t parent);
