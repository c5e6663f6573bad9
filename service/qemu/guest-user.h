/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whom a guest of an owner runs as; in a session, (uid_t) -1: the daemon's own user. */

#include "base/worker.h"
#include "qemu/driver.h"

/* The user alone; 0 if the host has none for guests of root. */
uid_t qemu_guest_uid(const QemuDriver *driver, uid_t owner);

/* 1: user and group. 0: the user, whose group is still to be asked for. NoPermission if the host has none for guests of root. */
VB_MUST_USE int qemu_guest_user_find(const QemuDriver *driver, uid_t owner, uid_t *ret_uid, gid_t *ret_gid,
                                     sd_bus_error *reterr);

/* Asks for a user's group beside the loop, as the user database may be on the network. done gets NoPermission if there is no such
 * user; else qemu_guest_user_group() has the answer from done's data. */
VB_MUST_USE int qemu_guest_user_ask_group(VbWorker **ret, const QemuDriver *driver, uid_t uid, VbWorkDone done, void *userdata,
                                          sd_bus_error *reterr);
gid_t qemu_guest_user_group(const void *data);
