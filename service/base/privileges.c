/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int vb_drop_bounding_set(void) {
        for (int capability = 0; capability <= 63; capability++)
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
                        if (errno == EINVAL)
                                return 0; /* past the last one that the kernel knows */
                        return -errno;
                }
        return 0;
}

int vb_become_user(uid_t uid, gid_t gid) {
        uid_t real, effective, saved;

        if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        /* Trust is good; but a process that still is root must never go on. */
        if (getresuid(&real, &effective, &saved) < 0 || real != uid || effective != uid || saved != uid)
                return -EPERM;
        return 0;
}

int vb_drop_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                return -errno;
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}
