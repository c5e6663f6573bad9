/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon's side of the opener's packets: to and from the socket, checked. */

#include "qemu/open.h"

typedef struct OpenerPacket {
        OpenerReply header;
        char *path;    /* "" if there is none; NUL-terminated, otherwise unchecked */
        char *backing; /* NULL if there is none */
        int fd;
        char *data;
} OpenerPacket;

/* 0 or a negative errno; -EAGAIN if the socket is full. */
VB_MUST_USE int opener_packet_send(int socket_fd, const OpenerRequest *header, const char *path, int fd);

/* 1 with a packet to be freed by opener_packet_done(), 0 at the end of file, -EAGAIN if there is none, -EBADMSG if it is not well-formed
 * (there is nothing to free then, and ret may be passed to done()). */
VB_MUST_USE int opener_packet_receive(int socket_fd, OpenerPacket *ret);
void opener_packet_done(OpenerPacket *packet);

/* An image out of its packet, whose descriptor it takes: false if there is none of these kinds. */
VB_MUST_USE bool opener_packet_to_image(OpenerPacket *packet, unsigned kinds, VbOpenImage *ret);
