/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/managed-save.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

#define SUFFIX ".save"
#define UNFINISHED_SUFFIX ".save.new"

static void load_save(VbHypervisor *hypervisor, const char *path, const char *file) {
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(SUFFIX));
        VbDomain *domain = vb_registry_find_name(hypervisor->registry, name);

        if (domain)
                domain->has_managed_save = true;
        else
                vb_log_warning("'%s/%s': there is no such domain", path, file);
}

void vb_managed_saves_load(VbHypervisor *hypervisor) {
        g_autofree char *path = g_build_filename(hypervisor->state_dir, "save", NULL);
        struct dirent *entry;
        DIR *dir = opendir(path);

        if (!dir) {
                if (errno != ENOENT)
                        (void) vb_log_error_errno(errno, "cannot read folder '%s': %m", path);
                return;
        }
        while ((entry = readdir(dir))) {
                if (g_str_has_suffix(entry->d_name, UNFINISHED_SUFFIX)) {
                        if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                                (void) vb_log_warning_errno(errno, "cannot remove '%s/%s': %m", path, entry->d_name);
                } else if (g_str_has_suffix(entry->d_name, SUFFIX))
                        load_save(hypervisor, path, entry->d_name);
        }
        closedir(dir);
}
