/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/nvram.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "qemu/command.h"
#include "qemu/guest-user.h"

char *qemu_nvram_folder(const QemuDriver *driver, uid_t uid) {
        return uid == (uid_t) -1 ? g_strdup(driver->nvram_dir) : g_strdup_printf("%s/%u", driver->nvram_dir, uid);
}

int qemu_nvram_make_folder(const char *path, uid_t uid, gid_t gid) {
        int r;

        if (g_file_test(path, G_FILE_TEST_IS_DIR))
                return 0;
        r = vb_mkdir(path, 0700);
        if (r >= 0 && uid != (uid_t) -1 && lchown(path, uid, gid) < 0)
                r = -errno;
        return r;
}

static char *folder_of(const VbDomain *domain) {
        const QemuDriver *driver = qemu_driver_of(domain->hypervisor);

        return qemu_nvram_folder(driver, qemu_guest_uid(driver, domain->owner));
}

static bool has_nvram(const VbDomain *domain) {
        const VbOs *os = &domain->config->os;

        return !os->nvram && (os->firmware != VB_FIRMWARE_ABSENT || os->nvram_template);
}

char *qemu_nvram_find(VbDomain *domain) {
        g_autofree char *folder = NULL;

        if (!has_nvram(domain))
                return NULL;
        folder = folder_of(domain);
        return qemu_command_nvram_path(folder, domain->config);
}

/* In the owner's folder, so with nothing followed and nothing replaced. */
static void adopt(const VbDomain *domain) {
        g_autofree char *folder = folder_of(domain), *old = NULL, *new = NULL;

        old = g_strdup_printf("%s/%s_VARS.fd", folder, domain->name);
        new = qemu_command_nvram_path(folder, domain->config);
        if (renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE) >= 0)
                vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': its firmware variables are in '%s' now", domain->name, new);
        else if (errno != ENOENT && errno != EEXIST)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': cannot rename '%s' to '%s': %s", domain->name, old, new,
                                   g_strerror(errno));
}

void qemu_nvram_adopt_all(QemuDriver *driver) {
        VbDomain *domain;

        for (VbRegistryIter i = vb_registry_iterate(driver->hypervisor->registry); (domain = vb_registry_next(&i));)
                if (domain->config && has_nvram(domain))
                        adopt(domain);
}
