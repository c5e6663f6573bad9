/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a guest's kernel has told the machine of its panic. */

#include "base/cleanup.h"

/* The "info" of GUEST_PANICKED as a line of text; NULL if the guest has told nothing, or nothing that is known here. */
char *qemu_panic_describe(VbJson *info);
