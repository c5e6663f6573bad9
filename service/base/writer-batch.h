/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The blocking half of base/writer: a batch of changes, made durable together. */

#include "base/writer.h"

#define WRITER_BATCH_MAX 128u /* so many files are open at once at most */

typedef enum ChangeKind {
        CHANGE_WRITE,
        CHANGE_UNLINK,
        CHANGE_LINK,
        CHANGE_RENAME,
        CHANGE_REMOVE_TREE,
} ChangeKind;

typedef struct Change {
        /* asked for */
        ChangeKind kind;
        char *path;
        char *target; /* of a link; new name in a renaming */
        GBytes *bytes;
        mode_t mode;

        /* the loop's */
        VbWriterCallback callback;
        void *userdata;

        /* the thread's */
        int r;
        bool nothing; /* to do, so that there is nothing to sync */
        char *temporary;
        int fd;
} Change;

/* Reads on from "cannot". */
const char *change_kind_to_verb(ChangeKind kind);

/* Sets each change's r when all is on disk. */
void writer_batch_run(Change **changes, size_t n);
