/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that outlive the daemon, with the service manager, under names of ours. Without a manager that keeps descriptors there is none of this, and
 * a crash closes what was open.
 *
 * The manager compares each descriptor that it is given with all that it has (systemd 252: by kcmp), and passes all their names in one environment
 * variable, for which the kernel has 128 KiB: the 16384th would cost PID 1 some 20 ms, and there could not be many more. So the first ones are given to it as
 * they are, and all others in bundles: pairs of connected sockets, where descriptors wait in the queue of one end, each in a message with its name. A queue
 * lasts as long as its socket is open anywhere, and whoever is given the pair can look through it (MSG_PEEK) without taking anything out. What is
 * added costs one message, and PID 1 nothing.
 *
 * Not all, as descriptors in queues are counted for the user whose process put them there, and others of that user's processes that pass descriptors are refused
 * to (ETOOMANYREFS) while these are more than their RLIMIT_NOFILE, often 1024, unless they have CAP_SYS_RESOURCE or CAP_SYS_ADMIN. */

#include <stdbool.h>

#include "base/cleanup.h"

enum {
        VB_STORE_NAME_MAX = 15, /* of a descriptor, in bytes */
        VB_STORE_DIRECT = 512,  /* descriptors that the manager gets as they are: the last for half a millisecond of PID 1's */
        VB_STORE_BUNDLE = 64,   /* descriptors in a bundle */
};

typedef struct VbStore VbStore;

VbStore *vb_store_new(void);
/* The manager's descriptors stay. Takes NULL, returns NULL. */
VbStore *vb_store_free(VbStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbStore, vb_store_free)

/* Keeps a duplicate under this name, instead of what was kept under it before; by the time this returns it is kept, even if we die. 0 also without a
 * manager. A lock on an open file is on the duplicate, too: unlock before removing. */
VB_MUST_USE int vb_store_add(VbStore *store, const char *name, int fd);
/* Closes what is kept under this name. */
void vb_store_remove(VbStore *store, const char *name);

/* The start of the next process */

/* To be told of all that the manager gave. Takes an end of a bundle; false: it is none, and the caller's. */
bool vb_store_take_given(VbStore *store, const char *name, int fd);
/* Takes what came over exec; names are known then, and nothing is opened. Before anything that was inherited is looked at. */
VB_MUST_USE int vb_store_take_inherited(VbStore *store);

typedef void (*VbStoreFound)(const char *name, int fd, void *userdata); /* takes fd */
/* Opens all that is kept in the bundles that were given. */
VB_MUST_USE int vb_store_open_all(VbStore *store, VbStoreFound found, void *userdata);

/* This one is still needed: what nobody has claimed, or added, is closed by the second. */
void vb_store_claim(VbStore *store, const char *name);
void vb_store_drop_unclaimed(VbStore *store);

/* For exec: lets the bundles be inherited and says so in the environment; or not any more. */
VB_MUST_USE int vb_store_set_inherited(VbStore *store, bool inherited);
