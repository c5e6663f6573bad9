/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the lease on an image is, by the settings: the image itself, or a file in a folder that hosts share. The names of such files are those of
 * libvirt's virtlockd, so that hosts of both kinds keep each other out. */

#include "lock/lease.h"

/* image: the opened image, or -EBADF. Sets the lease's kind and path. */
VB_MUST_USE int lock_place_find(Lease *lease, int image, const LeasePlaces *places);

/* The UUID as LVM prints it, of a device-mapper UUID ("LVM-" and two UUIDs without hyphens); NULL: it is no logical volume. */
char *lock_place_lvm_uuid(const char *dm_uuid);
