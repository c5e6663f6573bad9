/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon (qemu/open.c) and its child virtbus-opener say to each other, on a SOCK_SEQPACKET socket that is the child's
 * standard input: requests one way, each answered by its images, a failure or "missing"; a packet each, at most one
 * descriptor beside it. Both are installed together, so the layout is the compiler's. Needs nothing but libc: the
 * child must start fast and be small. */

#include <errno.h>
#include <stdint.h>

#define VB_OPEN_FILES_MAX 1024u /* per request */
#define VB_OPEN_CHAIN_MAX 64u   /* images of one chain */

typedef enum VbOpenAccess {
        VB_OPEN_READ,
        VB_OPEN_WRITE,  /* read and write */
        VB_OPEN_APPEND, /* write at the end only, created with mode 0600 if it is missing: logs */
        VB_OPEN_CREATE, /* read and write, created with mode 0600 if it is missing */
        _VB_OPEN_ACCESS_MAX,
} VbOpenAccess;

/* What may be there; a set. FIFOs and sockets are never opened. */
typedef enum VbOpenKind {
        VB_OPEN_REGULAR = 1 << 0,
        VB_OPEN_BLOCK = 1 << 1,
        VB_OPEN_CHARACTER = 1 << 2,
        VB_OPEN_DIRECTORY = 1 << 3, /* VB_OPEN_READ only */
        VB_OPEN_IMAGE = VB_OPEN_REGULAR | VB_OPEN_BLOCK,
} VbOpenKind;

typedef enum VbImageFormat {
        VB_IMAGE_NONE, /* not an image: just a file */
        VB_IMAGE_RAW,
        VB_IMAGE_QCOW2,
        _VB_IMAGE_FORMAT_MAX,
        _VB_IMAGE_FORMAT_INVALID = -EINVAL,
} VbImageFormat;

#define OPENER_MAGIC 0x56424f31u
#define OPENER_PACKET_MAX 16384u

enum {
        OPENER_FOLLOW_CHAIN = 1 << 0,
        OPENER_WRITABLE_CHAIN = 1 << 1,
        OPENER_OPTIONAL = 1 << 2,
        OPENER_END = 1 << 3, /* no file: there are no more */
};

/* Followed by the path with its NUL; or path_size is 0 and the image's descriptor goes along. */
typedef struct OpenerRequest {
        uint32_t magic;
        uint32_t index; /* from 0, one more each */
        uint32_t access;
        uint32_t kinds;
        uint32_t format;
        uint32_t flags;
        uint32_t path_size;
} OpenerRequest;

typedef enum OpenerReplyKind {
        OPENER_IMAGE,   /* one of the chain of index, with its descriptor; position counts from 0 */
        OPENER_MISSING, /* index is optional and not there */
        OPENER_FAILED,  /* error and, as path, the sentence; nothing comes after it */
        OPENER_DONE,    /* after the answer to the last file */
        _OPENER_REPLY_KIND_MAX,
} OpenerReplyKind;

enum {
        OPENER_IS_WRITABLE = 1 << 0,
        OPENER_IS_READ_ONLY_DEVICE = 1 << 1,
        OPENER_IS_LAST = 1 << 2, /* of its chain */
};

/* Followed by path and backing name, each with its NUL, or of size 0. */
typedef struct OpenerReply {
        uint32_t magic;
        uint32_t kind;
        uint32_t index;
        uint32_t position;
        int32_t error; /* positive errno */
        uint32_t format;
        uint32_t flags;
        uint32_t path_size;
        uint32_t backing_size;
        uint32_t reserved;
        uint64_t size;
        uint64_t virtual_size;
} OpenerReply;
