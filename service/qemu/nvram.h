/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a guest's firmware keeps its variables if the definition leaves that to the daemon: a file named by the domain's UUID, so that a
 * renaming takes nothing away, in a folder of the owner's, as the guest's emulator opens it with the owner's rights. */

#include "hypervisor/domain.h"
#include "qemu/driver.h"

/* The folder of those whose guests run as uid; in a session, of all ((uid_t) -1). To be freed. */
char *qemu_nvram_folder(const QemuDriver *driver, uid_t uid);

/* The folder of a user who has none yet is made, and given to her: it is new and empty. */
VB_MUST_USE int qemu_nvram_make_folder(const char *path, uid_t uid, gid_t gid);

/* VbDriver.find_nvram: of the domain's configuration; NULL if it has none, or in a place that the definition names. */
char *qemu_nvram_find(VbDomain *domain);

/* Gives the files that an earlier version of this daemon named after their domains the names that they have now. At start, when the
 * definitions are loaded. */
void qemu_nvram_adopt_all(QemuDriver *driver);
