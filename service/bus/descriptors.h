/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a daemon has received at its start: from the service manager, with names: what the last process kept (bus/store.h), and the sockets of its socket
 * units; or after a restart by exec what was inherited, without. */

#include <stdbool.h>
#include <sys/types.h>

#include "bus/store.h"

typedef struct VbDescriptors VbDescriptors;

/* Takes all that the manager gave, or if inherited is set all above 2 that is open over exec. The store must outlive it. */
VB_MUST_USE int vb_descriptors_new(VbDescriptors **ret, VbStore *store, bool inherited);
/* Closes what nobody took. Takes NULL, returns NULL. */
VbDescriptors *vb_descriptors_free(VbDescriptors *descriptors);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbDescriptors, vb_descriptors_free)

/* Gives one, the caller's from now on, and claims it in the store; -ENOENT: there is none (any more). */
VB_MUST_USE int vb_descriptors_take_name(VbDescriptors *descriptors, const char *name);
/* By the file that it is open on. */
VB_MUST_USE int vb_descriptors_take_file(VbDescriptors *descriptors, dev_t device, ino_t inode);
/* How many are left. */
unsigned vb_descriptors_count(const VbDescriptors *descriptors);
