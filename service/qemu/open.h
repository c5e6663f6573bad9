/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opening files with the owner's rights. A child, virtbus-opener, becomes the owner and opens everything a
 * definition names, each at most once, follows qcow2 backing chains by reading the headers itself, and sends the
 * descriptors back. No path is ever followed with the daemon's rights, and a file system that does not answer
 * costs this one request its time limit and nobody else anything. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "qemu/opener/protocol.h" /* VbOpenAccess, VbOpenKind, VbImageFormat */

const char *vb_image_format_to_string(VbImageFormat format);
VbImageFormat vb_image_format_from_string(const char *word);

typedef struct VbOpenFile {
        const char *id;    /* for the answer: "disk vda" — begins the sentence of an error about it */
        const char *path;  /* absolute */
        int fd;            /* > 0: this descriptor of the caller's instead of path; only its backing chain is
                            * opened. It is duplicated. Relative backing names are refused then */
        VbOpenAccess access;
        VbOpenKind kind;
        VbImageFormat format; /* of the image; never guessed */
        bool follow_chain;    /* open what it is backed by, too, read-only */
        bool writable_chain;  /* … with write access, for commits to come, where the owner has it */
        bool optional;        /* missing is no error: the answer has no image for it */
} VbOpenFile;

/* One opened file of a chain; [0] is the file asked for. */
typedef struct VbOpenImage {
        char *path;
        int fd; /* take it with vb_steal_fd(); what is left is closed with the result */
        VbImageFormat format;
        bool writable;
        bool read_only_device; /* the kernel says that this block device cannot be written */
        mode_t mode;           /* st_mode: kind and permissions */
        uint64_t dev, ino, rdev;
        uint64_t size;         /* of the file or device, bytes */
        uint64_t virtual_size; /* of the disk that the image describes; raw: size */
        char *backing_name;    /* as the header spells it; NULL: none */
} VbOpenImage;

typedef struct VbOpenChain {
        char *id;
        VbOpenImage *images;
        size_t n_images; /* 0: optional and missing */
} VbOpenChain;

/* Sorted as they were added. */
typedef struct VbOpenResult {
        VbOpenChain *chains;
        size_t n_chains;
} VbOpenResult;

/* NULL if there was no such id. Borrowed. */
VbOpenChain *vb_open_result_find(VbOpenResult *result, const char *id);
VbOpenResult *vb_open_result_free(VbOpenResult *result);

typedef struct VbOpenRequest VbOpenRequest;

/* r = 0 with result, which is the callback's from now on (vb_open_result_free()); or r < 0 with error: the first file
 * that could not be had, "disk vda: /srv/web.qcow2: permission denied for uid 1000". Called exactly once, never
 * from within vb_open_request_send(). May free the request. */
typedef void (*VbOpenCallback)(VbOpenRequest *request, int r, VbOpenResult *result, const sd_bus_error *error,
                               void *userdata);

/* For the rights of uid and gid and all groups of that user; with (uid_t) -1 those of the daemon itself (a session). */
VB_MUST_USE int vb_open_request_new(VbOpenRequest **ret, sd_event *event, uid_t uid, gid_t gid);

/* Copies. -EINVAL with reterr for what can never be opened: a relative path, a repeated id, too many. */
VB_MUST_USE int vb_open_request_add(VbOpenRequest *request, const VbOpenFile *file, sd_bus_error *reterr);

/* Starts the child. timeout_usec 0: 30 s. */
VB_MUST_USE int vb_open_request_send(VbOpenRequest *request, VbOpenCallback callback, void *userdata,
                                     uint64_t timeout_usec, sd_bus_error *reterr);

/* Another program than the installed virtbus-opener: for tests. The string must stay. */
void vb_open_set_program(const char *path);

/* Cancels if it is under way: the callback is not called any more. Takes NULL, returns NULL. */
VbOpenRequest *vb_open_request_free(VbOpenRequest *request);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbOpenRequest, vb_open_request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbOpenResult, vb_open_result_free)
