/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages on a classic socket: cut out of what arrives, and queued for what leaves. Neither side ever waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum {
        PROXY_PACKET_HEADER = 28, /* the length and six words */
        PROXY_PACKET_MAX = 33554436,
        PROXY_PACKET_BODY_MAX = PROXY_PACKET_MAX - PROXY_PACKET_HEADER,
        PROXY_PACKET_FDS_MAX = 32,
};

typedef enum ProxyPacketType {
        PROXY_PACKET_CALL,
        PROXY_PACKET_REPLY,
        PROXY_PACKET_MESSAGE,
        PROXY_PACKET_STREAM,
        PROXY_PACKET_CALL_WITH_FDS,
        PROXY_PACKET_REPLY_WITH_FDS,
        PROXY_PACKET_STREAM_HOLE,
} ProxyPacketType;

typedef enum ProxyPacketStatus {
        PROXY_PACKET_OK,
        PROXY_PACKET_ERROR,
        PROXY_PACKET_CONTINUE,
} ProxyPacketStatus;

typedef struct ProxyPacketHeader {
        uint32_t program;
        uint32_t version;
        int32_t procedure;
        uint32_t type; /* ProxyPacketType; from a client, it may be anything */
        uint32_t serial;
        uint32_t status; /* likewise ProxyPacketStatus */
} ProxyPacketHeader;

/* One that has arrived whole. */
typedef struct ProxyPacket {
        ProxyPacketHeader header;
        uint8_t *body; /* without the number of descriptors */
        size_t size;
        int *fds; /* of CALL_WITH_FDS; -EBADF where one has been taken */
        unsigned n_fds;
} ProxyPacket;

ProxyPacket *proxy_packet_free(ProxyPacket *packet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyPacket, proxy_packet_free)

/* Reads ahead: after proxy_reader_next() has given 0 there is nothing left, but who stops earlier must come
 * back by himself, as the socket may have nothing more to wake him. Memory grows only as bytes arrive. */
typedef struct ProxyReader ProxyReader;
ProxyReader *proxy_reader_new(void);
ProxyReader *proxy_reader_free(ProxyReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyReader, proxy_reader_free)

/* 1: a packet. 0: nothing whole has arrived yet; wait for the socket. -ECONNRESET: the client has left (or
 * half of a packet has). -EBADMSG: what arrived is no packet, or had more descriptors than it said. Others:
 * as recvmsg(). After an error the connection is of no use. */
VB_MUST_USE int proxy_reader_next(ProxyReader *reader, int fd, ProxyPacket **ret);
/* Whether a whole packet may already be here: next() would give one without asking the socket. */
bool proxy_reader_is_ready(const ProxyReader *reader);
/* Bytes held. */
size_t proxy_reader_size(const ProxyReader *reader);

/* A message to send: space for the header, to which the body is appended. finish() fills in the header with
 * the length. -EMSGSIZE: it is too long. */
GByteArray *proxy_packet_begin(void);
VB_MUST_USE int proxy_packet_finish(GByteArray *message, const ProxyPacketHeader *header);

/* Queues messages until the socket takes them. */
typedef struct ProxyWriter ProxyWriter;
ProxyWriter *proxy_writer_new(void);
ProxyWriter *proxy_writer_free(ProxyWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyWriter, proxy_writer_free)

/* Takes over the message and the descriptors, each of which goes after it with a byte of its own. */
void proxy_writer_add(ProxyWriter *writer, GByteArray *message, const int *fds, unsigned n_fds);
/* 1: all has been taken. 0: wait until the socket takes more. Negative: as sendmsg(). */
VB_MUST_USE int proxy_writer_write(ProxyWriter *writer, int fd);
size_t proxy_writer_queued(const ProxyWriter *writer); /* bytes */
