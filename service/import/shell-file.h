/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A file of shell assignments, as packages leave in /etc/default and /etc/sysconfig, read as data: quotes, backslashes, comments and several
 * assignments on a line are understood; nothing is ever run or expanded. What is not an assignment is told, and skipped to the end of
 * its line. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

typedef struct VbShellVariable {
        char *name;
        char *value;   /* NULL: only the shell could say; why tells */
        char *why;     /* "it is expanded by the shell ($)" */
        unsigned line; /* where it begins, from 1 */
} VbShellVariable;

typedef struct VbShellFile {
        GPtrArray *variables; /* of VbShellVariable, in their order; the last of a name counts */
        GArray *others;       /* of unsigned: lines that are no assignments */
} VbShellFile;

/* Never fails: any text is some list of assignments. NULs end it. */
VbShellFile *vb_shell_file_parse(const char *text);

/* The last assignment to name, or NULL. */
const VbShellVariable *vb_shell_file_find(const VbShellFile *file, const char *name);

VbShellFile *vb_shell_file_free(VbShellFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbShellFile, vb_shell_file_free)
