/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/open-packet.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
} Control;

int opener_packet_send(int socket_fd, const OpenerRequest *header, const char *path, int fd) {
        OpenerRequest complete = *header;
        Control control = { 0 };
        struct iovec parts[] = {
                { &complete, sizeof complete },
                { (char *) path, path ? strlen(path) + 1 : 0 },
        };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        ssize_t n;

        complete.magic = OPENER_MAGIC;
        complete.path_size = (uint32_t) parts[1].iov_len;
        if (fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        }
        do
                n = sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

void opener_packet_done(OpenerPacket *packet) {
        packet->fd = vb_close(packet->fd);
        g_clear_pointer(&packet->data, g_free);
        packet->path = packet->backing = NULL;
}

/* A text of so many bytes with its NUL, and no other NUL; *at goes behind it. */
static bool split_text(char **at, size_t *left, uint32_t size, char **ret) {
        if (size == 0)
                return true;
        if (size > *left || memchr(*at, '\0', size) != *at + size - 1)
                return false;
        *ret = *at;
        *at += size;
        *left -= size;
        return true;
}

static bool split(OpenerPacket *packet, size_t size) {
        static char none[] = "";
        char *at = packet->data + sizeof packet->header;
        size_t left;

        if (size < sizeof packet->header)
                return false;
        left = size - sizeof packet->header;
        memcpy(&packet->header, packet->data, sizeof packet->header);
        packet->path = none;
        return packet->header.magic == OPENER_MAGIC && split_text(&at, &left, packet->header.path_size, &packet->path) &&
               split_text(&at, &left, packet->header.backing_size, &packet->backing) && left == 0;
}

int opener_packet_receive(int socket_fd, OpenerPacket *ret) {
        OpenerPacket packet = { .fd = -EBADF, .data = g_malloc(OPENER_PACKET_MAX) };
        Control control = { 0 };
        struct iovec bytes = { packet.data, OPENER_PACKET_MAX };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof control };
        struct cmsghdr *header;
        ssize_t n;

        *ret = (OpenerPacket) { .fd = -EBADF };
        /* ECONNRESET is told once, if the child ended before it had read all; what it said before is still to come. */
        do
                n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n <= 0) {
                int r = n == 0 ? 0 : -errno;

                g_free(packet.data);
                return r;
        }

        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len >= CMSG_LEN(sizeof(int)))
                memcpy(&packet.fd, CMSG_DATA(header), sizeof packet.fd);
        if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !split(&packet, (size_t) n)) {
                opener_packet_done(&packet);
                return -EBADMSG;
        }
        *ret = packet;
        return 1;
}

bool opener_packet_to_image(OpenerPacket *packet, unsigned kinds, VbOpenImage *ret) {
        struct statx st;
        unsigned kind;
        int flags;

        if (packet->fd < 0)
                return false;
        flags = fcntl(packet->fd, F_GETFL);
        /* What the kernel knows without asking a server that may not answer. */
        if (flags < 0 || (flags & O_PATH) ||
            statx(packet->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_INO, &st) < 0)
                return false;
        kind = S_ISREG(st.stx_mode)   ? VB_OPEN_REGULAR
               : S_ISBLK(st.stx_mode) ? VB_OPEN_BLOCK
               : S_ISCHR(st.stx_mode) ? VB_OPEN_CHARACTER
               : S_ISDIR(st.stx_mode) ? VB_OPEN_DIRECTORY
                                      : 0u;
        if (!(kind & kinds))
                return false;

        *ret = (VbOpenImage) {
                .path = packet->path[0] ? g_strdup(packet->path) : NULL,
                .fd = vb_steal_fd(&packet->fd),
                .format = (VbImageFormat) packet->header.format,
                .writable = (flags & O_ACCMODE) != O_RDONLY,
                .read_only_device = packet->header.flags & OPENER_IS_READ_ONLY_DEVICE,
                .mode = st.stx_mode,
                .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
                .ino = st.stx_ino,
                .rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor),
                .size = packet->header.size,
                .virtual_size = packet->header.virtual_size,
                .backing_name = g_strdup(packet->backing),
        };
        return true;
}
