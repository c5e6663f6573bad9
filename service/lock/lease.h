/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A lease: an open file with a lock on its first byte. The lock belongs to the open file description (F_OFD_SETLK): it lasts as long as any
 * descriptor of that is open, here, in the service manager's store, or over exec; and nobody loses it by closing another descriptor of the
 * file. QEMU locks bytes from 100 on, libvirt's own daemon the first one, too.
 *
 * What opens, locks, unlocks or closes may wait for a file server, and is therefore done in a thread; it touches nothing but the lease. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/string-table.h"

typedef enum LeaseKind {
        LEASE_IMAGE, /* the image itself */
        LEASE_FILE, /* a file named after the image's path */
        LEASE_LVM, /* a file named after a logical volume's UUID */
        LEASE_SCSI, /* a file named after a SCSI disk's identity */
        LEASE_LOCKSPACE, /* a file in a further lockspace */
        _LEASE_KIND_MAX,
} LeaseKind;

VB_STRING_TABLE_DECLARE(lease_kind, LeaseKind);

/* Where leases on images are; what is NULL is not used. */
typedef struct LeasePlaces {
        char *file, *lvm, *scsi;
} LeasePlaces;

typedef struct Lease {
        /* as asked for */
        char *name; /* the image's path, or FOLDER/NAME */
        int given; /* the image as it was passed; -EBADF when it is not needed any more */
        bool in_lockspace, shared;
        bool may_create; /* in a lockspace */

        /* where it is */
        LeaseKind kind;
        char *path; /* of the locked file, or of the image as it is called */
        bool created; /* the file is removed by the last one who has it */
        int fd;
        dev_t device;
        ino_t inode;

        bool suspended; /* not locked at the moment */
        unsigned slot; /* names it in the service manager's store */
} Lease;

Lease *lease_new(const char *name, bool shared);
/* Closes, and so unlocks if nobody else has the description. */
Lease *lease_free(Lease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lease, lease_free)

/* Opens and locks. On failure the lease is as before. -EBUSY: it is held by another; -EMEDIUMTYPE: what was given is no regular file and no block
 * device. */
VB_MUST_USE int lease_take(Lease *lease, const LeasePlaces *places);

/* Locks again what is suspended. */
VB_MUST_USE int lease_lock(Lease *lease);
/* Lets others have it, and keeps it open. */
VB_MUST_USE int lease_unlock(Lease *lease);
/* Lets others have it, and removes its file if it was made for it. */
void lease_give_back(Lease *lease);

/* After a crash without a store, or a stop: opens by path, but only if the same file is still there, and locks unless it was suspended. */
VB_MUST_USE int lease_retake(Lease *lease);

/* Its descriptor's name in the store. */
#define LEASE_SLOT_NAME_SIZE 9
char *lease_slot_name(const Lease *lease, char buffer[static LEASE_SLOT_NAME_SIZE]);
