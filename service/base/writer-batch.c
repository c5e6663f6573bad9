/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/writer-batch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file-private.h"

const char *change_kind_to_verb(ChangeKind kind) {
        switch (kind) {
        case CHANGE_WRITE: return "write";
        case CHANGE_UNLINK: return "remove";
        case CHANGE_LINK: return "link";
        case CHANGE_RENAME: return "rename";
        case CHANGE_REMOVE_TREE: return "remove the tree";
        }
        return "change";
}

/* All new contents are under way to the disk before we wait for the first: one flush of its cache serves many. */
static void write_temporaries(Change **changes, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Change *change = changes[i];
                size_t size;
                const void *data;

                if (change->kind != CHANGE_WRITE)
                        continue;
                data = g_bytes_get_data(change->bytes, &size);
                change->r = vb_file_write_temporary(change->path, data, size, change->mode, &change->temporary,
                                                    &change->fd);
                if (change->r >= 0 && n > 1)
                        (void) sync_file_range(change->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        }
}

static void sync_temporaries(Change **changes, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Change *change = changes[i];

                if (change->fd < 0)
                        continue;
                if (fsync(change->fd) < 0)
                        change->r = -errno;
                change->fd = vb_close(change->fd);
        }
}

static int make_link(const char *target, const char *path) {
        g_autofree char *temporary = NULL;
        const char *name = strrchr(path, '/');
        int r;

        name = name ? name + 1 : path;
        /* A link that replaces another must never leave a moment without one. */
        for (unsigned attempt = 0;; attempt++) {
                g_free(temporary);
                temporary = g_strdup_printf("%.*s.#%.200s%08x", (int) (name - path), path, name, g_random_int());
                if (symlink(target, temporary) >= 0)
                        break;
                if (errno != EEXIST || attempt == 100)
                        return -errno;
        }
        if (rename(temporary, path) < 0) {
                r = -errno;
                (void) unlink(temporary);
                return r;
        }
        return 0;
}

/* Now what others see changes, in the order asked for. */
static void apply(Change *change) {
        switch (change->kind) {
        case CHANGE_WRITE:
                if (change->r >= 0 && rename(change->temporary, change->path) < 0)
                        change->r = -errno;
                if (change->r < 0 && change->temporary)
                        (void) unlink(change->temporary);
                g_clear_pointer(&change->temporary, g_free);
                break;
        case CHANGE_UNLINK:
                change->r = unlink(change->path) < 0 ? -errno : 0;
                change->nothing = change->r == -ENOENT;
                if (change->nothing)
                        change->r = 0;
                break;
        case CHANGE_LINK: change->r = make_link(change->target, change->path); break;
        case CHANGE_RENAME: change->r = rename(change->path, change->target) < 0 ? -errno : 0; break;
        case CHANGE_REMOVE_TREE: change->r = vb_remove_tree(AT_FDCWD, change->path); break;
        }
}

/* The folder's fsync, once per folder and batch; synced maps a folder to its result. */
static int sync_folder_of(GHashTable *synced, const char *path) {
        g_autofree char *folder = g_path_get_dirname(path);
        void *known;
        int r;

        if (g_hash_table_lookup_extended(synced, folder, NULL, &known))
                return GPOINTER_TO_INT(known);
        r = vb_fsync_parent(path);
        g_hash_table_insert(synced, g_steal_pointer(&folder), GINT_TO_POINTER(r));
        return r;
}

void writer_batch_run(Change **changes, size_t n) {
        g_autoptr(GHashTable) synced = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        write_temporaries(changes, n);
        sync_temporaries(changes, n);
        for (size_t i = 0; i < n; i++)
                apply(changes[i]);
        for (size_t i = 0; i < n; i++) {
                Change *change = changes[i];

                if (change->r >= 0 && !change->nothing)
                        change->r = sync_folder_of(synced, change->path);
                if (change->r >= 0 && change->kind == CHANGE_RENAME)
                        change->r = sync_folder_of(synced, change->target);
                /* What is gone with its folder needs no sync. */
                if (change->r == -ENOENT && (change->kind == CHANGE_UNLINK || change->kind == CHANGE_REMOVE_TREE))
                        change->r = 0;
        }
}
