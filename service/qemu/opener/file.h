/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opens one file as what it is supposed to be, or says in a sentence why not. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qemu/opener/protocol.h"

#define SENTENCE_MAX 8192

typedef struct OpenedFile {
        int fd; /* -1: none */
        struct stat st;
        uint64_t size;
        bool writable;
        bool read_only_device;
} OpenedFile;

/* 0, or the positive errno with a sentence that begins with the path. fallback: where write access is refused, read. */
int file_open(const char *path, VbOpenAccess access, unsigned kinds, bool fallback, OpenedFile *ret,
              char sentence[static SENTENCE_MAX]);

/* The same checks for a descriptor that was handed to us, whose name in sentences is path. */
int file_take(int fd, const char *path, VbOpenAccess access, unsigned kinds, OpenedFile *ret,
              char sentence[static SENTENCE_MAX]);
