/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes files in the background, in the order asked for, so that no disk ever holds up the loop. One thread takes what is queued
 * as one batch: all new contents are written and synced, then renames, links and unlinks happen in the order asked
 * for, then each folder is synced once, and then all callbacks of the batch are due in the loop. So each
 * change is on disk when its callback says so, two changes of one file keep their order, and many at
 * once share the cost of the syncs. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct VbWriter VbWriter;

/* r is 0, or the negative errno; then what was there before still is. Comes from the loop, never from within the call
 * that asked. */
typedef void (*VbWriterCallback)(int r, void *userdata);

VB_MUST_USE int vb_writer_new(VbWriter **ret, sd_event *event);

/* Does what is queued (blocks for it), calls the callbacks that are due, and frees. Takes NULL, returns NULL. */
VbWriter *vb_writer_free(VbWriter *writer);

/* Blocks until all is on disk and all callbacks were called; for the daemon's end and for tests. */
void vb_writer_flush(VbWriter *writer);

/* path gets these bytes and this mode, whole or not at all (see vb_file_write()). Takes a reference on bytes.
 * callback may be NULL: failures are logged then. */
void vb_writer_write(VbWriter *writer, const char *path, GBytes *bytes, mode_t mode, VbWriterCallback callback,
                     void *userdata);

/* Removes the file or link; 0 also if there is none. */
void vb_writer_unlink(VbWriter *writer, const char *path, VbWriterCallback callback, void *userdata);

/* Makes path a symbolic link to target, replacing what is there. */
void vb_writer_link(VbWriter *writer, const char *target, const char *path, VbWriterCallback callback,
                    void *userdata);

/* Renames from to to, replacing it; both folders are synced. */
void vb_writer_rename(VbWriter *writer, const char *from, const char *to, VbWriterCallback callback,
                      void *userdata);

/* Removes the tree at path (see vb_remove_tree()). */
void vb_writer_remove_tree(VbWriter *writer, const char *path, VbWriterCallback callback, void *userdata);

/* Forgets the callbacks with this userdata, which is about to be freed; the changes happen all the same. */
void vb_writer_forget(VbWriter *writer, void *userdata);

/* Changes asked for whose callbacks have not been called. The daemon is not idle while there are any. */
size_t vb_writer_get_pending(const VbWriter *writer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbWriter, vb_writer_free)
