/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/guest-user.h"

#include <pwd.h>

#include "base/error.h"

uid_t qemu_guest_uid(const QemuDriver *driver, uid_t owner) {
        if (qemu_driver_is_session(driver))
                return (uid_t) -1;
        return owner == 0 ? driver->guest_uid : owner;
}

int qemu_guest_user_find(const QemuDriver *driver, uid_t owner, uid_t *ret_uid, gid_t *ret_gid, sd_bus_error *reterr) {
        uid_t uid = qemu_guest_uid(driver, owner);
        bool of_root = owner == 0 && uid != (uid_t) -1;

        if (uid == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_PERMISSION, "there is no user '%s' on this host, as whom guests of root run",
                                         driver->settings.user);
        *ret_uid = uid;
        *ret_gid = of_root ? driver->guest_gid : (gid_t) -1;
        return of_root || uid == (uid_t) -1;
}

typedef struct LookUp {
        uid_t uid;
        gid_t gid;
} LookUp;

static int look_up(void *data, sd_bus_error *reterr) {
        LookUp *look_up = data;
        struct passwd entry, *found = NULL;
        char buffer[16384];

        if (getpwuid_r(look_up->uid, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_PERMISSION, "there is no user with uid %u, the domain's owner",
                                         look_up->uid);
        look_up->gid = found->pw_gid;
        return 0;
}

int qemu_guest_user_ask_group(VbWorker **ret, const QemuDriver *driver, uid_t uid, VbWorkDone done, void *userdata,
                              sd_bus_error *reterr) {
        LookUp *data = g_new(LookUp, 1);
        int r;

        *data = (LookUp){ .uid = uid, .gid = (gid_t) -1 };
        r = vb_worker_start(ret, qemu_driver_event(driver), look_up, data, g_free, done, userdata, reterr);
        if (r < 0)
                g_free(data);
        return r;
}

gid_t qemu_guest_user_group(const void *data) {
        return ((const LookUp *) data)->gid;
}
