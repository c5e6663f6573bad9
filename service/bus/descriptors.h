/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that outlive the daemon: the service manager keeps what it is given, and gives it to the next process of the service however this one
 * ended (sd_pid_notify_with_fds(3), FDSTORE=1), beside the sockets of the service's socket units. Without such a manager there is none of this,
 * and a crash closes what was open.
 *
 * The manager knows a descriptor by a name of ours, and nothing more of it: what it stands for is written to a file below /run, with its device
 * and inode, before it is stored. All names together are one environment variable of the next process, for which the kernel has 128 KiB: so a daemon
 * with thousands of them uses names of at most five characters. */

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Storing */

/* Whether there is a manager that keeps descriptors: asked for what to say, not for what to do. */
bool vb_descriptor_store_exists(void);

/* The manager keeps a duplicate under this name (letters, digits, "-", "_"); by the time this returns it is the manager's, even if we die. 0 also
 * without a manager. The lock on an open file is on the duplicate, too: unlock before removing. */
VB_MUST_USE int vb_descriptor_store_add(const char *name, int fd);
/* Closes the manager's duplicates of this name. */
void vb_descriptor_store_remove(const char *name);

/* What was received at the start: from the manager, with names; after a restart by exec, what was inherited, without. */

typedef struct VbDescriptors VbDescriptors;

/* Takes all that the manager gave, and if inherited is set all else above 2 that is open over exec. */
VB_MUST_USE int vb_descriptors_new(VbDescriptors **ret, bool inherited);
/* Closes what nobody took, in the manager's store, too. */
VbDescriptors *vb_descriptors_free(VbDescriptors *descriptors);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbDescriptors, vb_descriptors_free)

/* Gives one, the caller's from now on; -ENOENT: there is none (any more). */
VB_MUST_USE int vb_descriptors_take_name(VbDescriptors *descriptors, const char *name);
/* By the file that it is open on. ret_name: its name in the store, "" if it is not known to be there; valid as long as descriptors. */
VB_MUST_USE int vb_descriptors_take_file(VbDescriptors *descriptors, dev_t device, ino_t inode, const char **ret_name);
/* How many are left. */
unsigned vb_descriptors_count(const VbDescriptors *descriptors);
