/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtbus-opener: opens the files of one guest with the rights of its owner, as which the daemon started it, and sends the
 * descriptors back; see protocol.h. Not to be run by hand. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "qemu/opener/file.h"
#include "qemu/opener/protocol.h"
#include "qemu/opener/qcow2.h"

#define SOCKET_FD 0
#define SEND_PAUSE_USEC (20 * 1000)
#define SEND_ATTEMPTS_MAX 500 /* ten seconds */

typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
} Control;

typedef struct Request {
        OpenerRequest header;
        char path[PATH_MAX]; /* or what a descriptor without one is called in sentences */
        bool has_path;
        int fd; /* -1: none */
} Request;

/* The daemon is gone, or does not speak our protocol: there is nobody to be told but stderr, which it captures. */
static _Noreturn void die(const char *why) {
        (void) fprintf(stderr, "%s\n", why);
        exit(EXIT_FAILURE);
}

/* The kernel bounds how many descriptors a user may have under way in sockets, all processes together; what fills that bound is soon received,
 * or given up, by others. */
static ssize_t send_patiently(const struct msghdr *message) {
        ssize_t n = -1;

        for (unsigned i = 0; i < SEND_ATTEMPTS_MAX; i++) {
                do
                        n = sendmsg(SOCKET_FD, message, MSG_NOSIGNAL);
                while (n < 0 && errno == EINTR);
                if (n >= 0 || errno != ETOOMANYREFS)
                        break;
                (void) usleep(SEND_PAUSE_USEC);
        }
        return n;
}

static void send_reply(OpenerReply reply, const char *path, const char *backing, int fd) {
        Control control = { 0 };
        struct iovec parts[] = {
                { &reply, sizeof reply },
                { (char *) path, path ? strlen(path) + 1 : 0 },
                { (char *) backing, backing ? strlen(backing) + 1 : 0 },
        };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
        ssize_t n;

        reply.magic = OPENER_MAGIC;
        reply.path_size = (uint32_t) parts[1].iov_len;
        reply.backing_size = (uint32_t) parts[2].iov_len;
        if (fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        }
        n = send_patiently(&message);
        if (n < 0) {
                (void) fprintf(stderr, "cannot send a reply: %s\n", strerror(errno));
                exit(EXIT_FAILURE);
        }
}

static _Noreturn void send_failure(uint32_t index, int error, const char *sentence) {
        send_reply((OpenerReply) { .kind = OPENER_FAILED, .index = index, .error = error }, sentence, NULL, -1);
        exit(EXIT_SUCCESS);
}

static void receive(Request *request) {
        static char packet[OPENER_PACKET_MAX];
        Control control = { 0 };
        struct iovec bytes = { packet, sizeof packet };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof control };
        struct cmsghdr *header;
        size_t path_size;
        ssize_t n;

        do
                n = recvmsg(SOCKET_FD, &message, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                die("no more requests");
        if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t) n < sizeof request->header)
                die("bad request");
        memcpy(&request->header, packet, sizeof request->header);
        path_size = (size_t) n - sizeof request->header;
        if (request->header.magic != OPENER_MAGIC || request->header.path_size != path_size || path_size > PATH_MAX ||
            request->header.access >= _VB_OPEN_ACCESS_MAX || request->header.format >= _VB_IMAGE_FORMAT_MAX)
                die("bad request");

        request->has_path = path_size > 0;
        (void) snprintf(request->path, sizeof request->path, "%s", "the descriptor");
        if (request->has_path) {
                memcpy(request->path, packet + sizeof request->header, path_size);
                if (request->path[path_size - 1] != '\0' || request->path[0] != '/')
                        die("bad request");
        }
        request->fd = -1;
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
                memcpy(&request->fd, CMSG_DATA(header), sizeof request->fd);
        if (request->fd < 0 && !request->has_path && !(request->header.flags & OPENER_END))
                die("bad request");
}

/* Where the backing image lies that an image at path names: the name itself, or beside the image. Only files will do. */
static int resolve_backing(const Request *request, const char *path, const char *name, char result[static PATH_MAX],
                           char sentence[static SENTENCE_MAX]) {
        size_t before = strcspn(name, ":/");
        const char *slash;
        int n;

        if (strncmp(name, "file:", 5) == 0)
                name += 5;
        else if (name[before] == ':') {
                (void) snprintf(sentence, SENTENCE_MAX, "%s: its backing image '%s' is not a file, which is not supported",
                                path, name);
                return EOPNOTSUPP;
        }
        if (name[0] == '/')
                n = snprintf(result, PATH_MAX, "%s", name);
        else if (!request->has_path && strcmp(path, request->path) == 0) {
                (void) snprintf(sentence, SENTENCE_MAX,
                                "%s: its backing image '%s' has a relative name, but only a descriptor was given", path,
                                name);
                return EOPNOTSUPP;
        } else {
                slash = strrchr(path, '/');
                n = snprintf(result, PATH_MAX, "%.*s/%s", (int) (slash - path), path, name);
        }
        if (n <= 0 || n >= PATH_MAX) {
                (void) snprintf(sentence, SENTENCE_MAX, "%s: the name of its backing image is too long", path);
                return ENAMETOOLONG;
        }
        return 0;
}

/* The format of a backing image is what the image above it says. It is never guessed from the contents, which the guest
 * may have written: a raw disk that looks like qcow2 would be a way to read any of the owner's files. */
static int find_backing_format(const char *path, const Qcow2Header *header, VbImageFormat *ret,
                               char sentence[static SENTENCE_MAX]) {
        if (strcmp(header->backing_format, "raw") == 0)
                *ret = VB_IMAGE_RAW;
        else if (strcmp(header->backing_format, "qcow2") == 0)
                *ret = VB_IMAGE_QCOW2;
        else if (header->backing_format[0] == '\0') {
                (void) snprintf(sentence, SENTENCE_MAX,
                                "format of backing image '%s' of image '%s' was not specified in the image metadata; "
                                "set it with: qemu-img rebase -u -F FORMAT -b '%s' '%s'",
                                header->backing_name, path, header->backing_name, path);
                return EOPNOTSUPP;
        } else {
                (void) snprintf(sentence, SENTENCE_MAX,
                                "%s: the format '%s' of its backing image is not supported; use raw or qcow2", path,
                                header->backing_format);
                return EOPNOTSUPP;
        }
        return 0;
}

typedef struct Identity {
        dev_t dev;
        ino_t ino;
} Identity;

/* Whether this very file is in the chain already; else it is noted. */
static bool is_loop(Identity *seen, uint32_t position, const struct stat *st) {
        Identity self = { S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev, S_ISBLK(st->st_mode) ? 0 : st->st_ino };

        for (uint32_t i = 0; i < position; i++)
                if (seen[i].dev == self.dev && seen[i].ino == self.ino)
                        return true;
        seen[position] = self;
        return false;
}

static int read_image(const OpenedFile *file, const char *path, VbImageFormat format, Qcow2Header *header,
                      char sentence[static SENTENCE_MAX]) {
        const char *wrong;

        *header = (Qcow2Header) { .virtual_size = file->size };
        if (format != VB_IMAGE_QCOW2)
                return 0;
        wrong = qcow2_header_read(file->fd, header);
        if (!wrong && header->external_data)
                wrong = "keeps its data in an external file, which is not supported";
        if (!wrong)
                return 0;
        (void) snprintf(sentence, SENTENCE_MAX, "%s: the image %s", path, wrong);
        return EOPNOTSUPP;
}

static int open_first(const Request *request, OpenedFile *ret, char sentence[static SENTENCE_MAX]) {
        if (request->fd >= 0)
                return file_take(request->fd, request->path, request->header.access, request->header.kinds, ret, sentence);
        return file_open(request->path, request->header.access, request->header.kinds, /* fallback= */ false, ret,
                         sentence);
}

static int open_backing(const Request *request, const char *path, OpenedFile *ret, char sentence[static SENTENCE_MAX]) {
        bool writable = request->header.flags & OPENER_WRITABLE_CHAIN;

        return file_open(path, writable ? VB_OPEN_WRITE : VB_OPEN_READ, VB_OPEN_IMAGE, /* fallback= */ true, ret,
                         sentence);
}

static void send_image(const Request *request, uint32_t position, VbImageFormat format, const char *path,
                       const OpenedFile *file, const Qcow2Header *header, bool last) {
        OpenerReply reply = {
                .kind = OPENER_IMAGE,
                .index = request->header.index,
                .position = position,
                .format = format,
                .flags = (file->writable ? OPENER_IS_WRITABLE : 0u) |
                         (file->read_only_device ? OPENER_IS_READ_ONLY_DEVICE : 0u) | (last ? OPENER_IS_LAST : 0u),
                .size = file->size,
                .virtual_size = header->virtual_size,
        };

        send_reply(reply, path, header->backing_name[0] ? header->backing_name : NULL, file->fd);
        (void) close(file->fd);
}

/* One file with its chain; ends the process if it fails. */
static void serve(const Request *request) {
        static char sentence[SENTENCE_MAX];
        static Qcow2Header header;
        char path[PATH_MAX], next[PATH_MAX];
        Identity seen[VB_OPEN_CHAIN_MAX];
        VbImageFormat format = request->header.format;
        uint32_t index = request->header.index;

        memcpy(path, request->path, sizeof path);
        for (uint32_t position = 0;; position++) {
                VbImageFormat next_format = VB_IMAGE_NONE;
                OpenedFile file;
                bool last;
                int error;

                error = position == 0 ? open_first(request, &file, sentence) : open_backing(request, path, &file, sentence);
                if (error == ENOENT && position == 0 && (request->header.flags & OPENER_OPTIONAL)) {
                        send_reply((OpenerReply) { .kind = OPENER_MISSING, .index = index }, NULL, NULL, -1);
                        return;
                }
                if (error != 0)
                        send_failure(index, error, sentence);
                if (is_loop(seen, position, &file.st)) {
                        (void) snprintf(sentence, sizeof sentence, "%s: the backing chain leads back to this image", path);
                        send_failure(index, EOPNOTSUPP, sentence);
                }
                error = read_image(&file, path, format, &header, sentence);
                last = error != 0 || header.backing_name[0] == '\0' || !(request->header.flags & OPENER_FOLLOW_CHAIN);
                if (!last)
                        error = find_backing_format(path, &header, &next_format, sentence);
                if (!last && error == 0)
                        error = resolve_backing(request, path, header.backing_name, next, sentence);
                if (!last && error == 0 && position + 1 == VB_OPEN_CHAIN_MAX) {
                        (void) snprintf(sentence, sizeof sentence, "%s: the backing chain has more than %u images",
                                        request->path, VB_OPEN_CHAIN_MAX);
                        error = EOPNOTSUPP;
                }
                if (error != 0)
                        send_failure(index, error, sentence);

                send_image(request, position, format, position > 0 || request->has_path ? path : NULL, &file, &header,
                           last);
                if (last)
                        return;
                memcpy(path, next, sizeof path);
                format = next_format;
        }
}

int main(void) {
        static Request request;

        /* Our user may be at other things than ours: no tracing, and so no forged replies. */
        (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);

        for (uint32_t n = 0; n <= VB_OPEN_FILES_MAX; n++) {
                receive(&request);
                if (request.header.flags & OPENER_END) {
                        send_reply((OpenerReply) { .kind = OPENER_DONE, .index = request.header.index }, NULL, NULL, -1);
                        return EXIT_SUCCESS;
                }
                serve(&request);
        }
        die("too many requests");
}
