/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/folders.h"

#include <stdlib.h>

static void init_system(VbFolders *folders) {
        const char *root = secure_getenv("VIRTBUS_ROOT");

        if (!root)
                root = "";
        *folders = (VbFolders){
                .config = g_strconcat(root, VB_SYSCONFDIR "/virtbus", NULL),
                .state = g_strconcat(root, VB_LOCALSTATEDIR "/lib/virtbus", NULL),
                .cache = g_strconcat(root, VB_LOCALSTATEDIR "/cache/virtbus", NULL),
                .run = g_strconcat(root, "/run/virtbus", NULL),
                .log = g_strconcat(root, VB_LOCALSTATEDIR "/log/virtbus", NULL),
        };
}

static int init_session(VbFolders *folders) {
        const char *run = secure_getenv("XDG_RUNTIME_DIR");

        if (!run || run[0] != '/')
                return -ENXIO;
        *folders = (VbFolders){
                .config = g_build_filename(g_get_user_config_dir(), "virtbus", NULL),
                .state = g_build_filename(g_get_user_state_dir(), "virtbus", NULL),
                .cache = g_build_filename(g_get_user_cache_dir(), "virtbus", NULL),
                .run = g_build_filename(run, "virtbus", NULL),
                .log = g_build_filename(g_get_user_state_dir(), "virtbus", "log", NULL),
        };
        return 0;
}

int vb_folders_init(VbFolders *folders, bool session) {
        if (session)
                return init_session(folders);
        init_system(folders);
        return 0;
}

void vb_folders_done(VbFolders *folders) {
        g_free(folders->config);
        g_free(folders->state);
        g_free(folders->cache);
        g_free(folders->run);
        g_free(folders->log);
        *folders = (VbFolders){};
}
