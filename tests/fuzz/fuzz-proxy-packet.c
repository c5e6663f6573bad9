/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a classic client may send at all. The first byte says in which pieces it arrives. */

#include <glib.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "proxy/packet.h"

/* Takes what is whole. Returns false when the client would be dropped. */
static bool take_packets(ProxyReader *reader, int fd) {
        for (;;) {
                g_autoptr(ProxyPacket) packet = NULL;
                int r = proxy_reader_next(reader, fd, &packet);

                if (r <= 0)
                        return r == 0;
                g_assert_cmpuint(packet->size, <=, PROXY_PACKET_BODY_MAX);
                g_assert_cmpuint(packet->n_fds, <=, PROXY_PACKET_FDS_MAX);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(ProxyReader) reader = proxy_reader_new();
        vb_autofd ours = -EBADF, theirs = -EBADF;
        size_t piece;
        int pair[2];

        if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return 0;
        ours = pair[0];
        theirs = pair[1];
        piece = data[0] == 0 ? size : data[0];
        for (size_t at = 1; at < size; at += piece) {
                if (send(theirs, data + at, MIN(piece, size - at), MSG_NOSIGNAL) < 0)
                        break;
                if (!take_packets(reader, ours))
                        break;
                g_assert_cmpuint(proxy_reader_size(reader), <=, 2 * size + 2 * 65536);
        }
        return 0;
}
