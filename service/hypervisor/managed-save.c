/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/managed-save.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
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

static void remove_unfinished(const char *folder, const char *file) {
        g_autofree char *path = g_build_filename(folder, file, NULL);

        if (unlink(path) < 0)
                (void) vb_log_warning_errno(errno, "cannot remove '%s': %m", path);
}

void vb_managed_saves_load(VbHypervisor *hypervisor) {
        g_autofree char *path = g_build_filename(hypervisor->state_dir, "save", NULL);
        g_autoptr(GPtrArray) names = NULL;
        int r;

        r = vb_folder_list(path, &names);
        if (r < 0) {
                if (r != -ENOENT)
                        (void) vb_log_error_errno(r, "cannot read folder '%s': %m", path);
                return;
        }
        for (guint i = 0; i < names->len; i++) {
                const char *file = g_ptr_array_index(names, i);

                if (g_str_has_suffix(file, UNFINISHED_SUFFIX))
                        remove_unfinished(path, file);
                else if (g_str_has_suffix(file, SUFFIX))
                        load_save(hypervisor, path, file);
        }
}
