/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where sanlock's leases on disks are: files in one folder that all hosts share, a lockspace and a lease for each image. Names and contents are those
 * that libvirt gives them, so that hosts of both kinds can share a folder. These functions wait for sanlock and the storage. */

#include <stddef.h>
#include <stdint.h>

/* Needs these two, and does not say so. */
#include <sanlock.h>

#include "base/cleanup.h"

/* The lockspace that all of them are in. */
#define VB_SANLOCK_DISKS "__LIBVIRT__DISKS__"

/* Takes this host into the lockspace, and makes it if nobody has yet. Takes half a minute the first time: no other host may have the number.
 * io_timeout in seconds, 0: sanlock's own. Returns what sanlock does. */
VB_MUST_USE int vb_sanlock_join_disks(const char *folder, uint64_t host_id, uint32_t io_timeout);

/* The lease on an image of this path; to be freed by free(). -ENAMETOOLONG if the folder's path is too long. */
VB_MUST_USE int vb_sanlock_disk_resource(const char *folder, const char *image, struct sanlk_resource **ret);

/* Makes its file, if nobody has yet. */
VB_MUST_USE int vb_sanlock_make_disk(const char *folder, struct sanlk_resource *resource);
