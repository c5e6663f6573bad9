/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/packet.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
        READ_SIZE = 65536, /* the least to ask the socket for */
        LONG_SIZE = 262144, /* of a body from which on it is not copied */
        KERNEL_FDS_MAX = 253, /* in one message (SCM_MAX_FD); more cannot come */
        WRITE_VECTORS = 16,
        HEADER_WORDS = PROXY_PACKET_HEADER / 4,
};

static uint32_t word_at(const uint8_t *bytes) {
        uint32_t word;

        memcpy(&word, bytes, sizeof(word));
        return be32toh(word);
}

static void close_all(int *fds, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                fds[i] = vb_close(fds[i]);
}

ProxyPacket *proxy_packet_free(ProxyPacket *packet) {
        if (!packet)
                return NULL;

        close_all(packet->fds, packet->n_fds);
        g_free(packet->fds);
        g_free(packet->body);
        g_free(packet);
        return NULL;
}

/* ---- reading */

struct ProxyReader {
        uint8_t *bytes;
        size_t start, end; /* what has arrived and is in no packet yet */
        size_t capacity;

        int fds[PROXY_PACKET_FDS_MAX]; /* likewise */
        unsigned n_fds;
};

ProxyReader *proxy_reader_new(void) {
        return g_new0(ProxyReader, 1);
}

ProxyReader *proxy_reader_free(ProxyReader *reader) {
        if (!reader)
                return NULL;

        close_all(reader->fds, reader->n_fds);
        g_free(reader->bytes);
        g_free(reader);
        return NULL;
}

size_t proxy_reader_size(const ProxyReader *reader) {
        return reader->capacity;
}

static const uint8_t *unread(const ProxyReader *reader, size_t *ret_size) {
        *ret_size = reader->end - reader->start;
        return reader->bytes + reader->start;
}

/* How long the first packet is, with the bytes that carry its descriptors; as far as what has arrived tells.
 * 0: not at all. */
static int packet_size(const ProxyReader *reader, size_t *ret_size, uint32_t *ret_n_fds) {
        size_t size;
        const uint8_t *bytes = unread(reader, &size);
        uint32_t length, n_fds = 0;

        *ret_size = *ret_n_fds = 0;
        if (size < sizeof(uint32_t))
                return 0;
        length = word_at(bytes);
        if (length < PROXY_PACKET_HEADER || length > PROXY_PACKET_MAX)
                return -EBADMSG;
        if (size >= PROXY_PACKET_HEADER && word_at(bytes + 4 * 4) == PROXY_PACKET_CALL_WITH_FDS) {
                if (length < PROXY_PACKET_HEADER + sizeof(uint32_t))
                        return -EBADMSG;
                if (size >= PROXY_PACKET_HEADER + sizeof(uint32_t)) {
                        n_fds = word_at(bytes + PROXY_PACKET_HEADER);
                        if (n_fds > PROXY_PACKET_FDS_MAX)
                                return -EBADMSG;
                }
        }
        *ret_size = length + n_fds;
        *ret_n_fds = n_fds;
        return 1;
}

static bool has_arrived(const ProxyReader *reader, size_t size) {
        return reader->end - reader->start >= size;
}

bool proxy_reader_is_ready(const ProxyReader *reader) {
        size_t size;
        uint32_t n_fds;
        int r;

        r = packet_size(reader, &size, &n_fds);
        return r < 0 || (r > 0 && has_arrived(reader, size));
}

static void consume(ProxyReader *reader, size_t size) {
        reader->start += size;
        if (reader->start == reader->end)
                reader->start = reader->end = 0;
}

/* The body of a long packet is not copied out of the buffer: it takes the buffer, and the little that has
 * arrived behind it moves. */
static uint8_t *give_away(ProxyReader *reader, size_t body, size_t body_size, size_t size) {
        size_t left = reader->end - reader->start - size;
        uint8_t *given = reader->bytes;

        reader->bytes = left > 0 ? g_memdup2(given + reader->start + size, left) : NULL;
        memmove(given, given + reader->start + body, body_size);
        reader->start = 0;
        reader->end = reader->capacity = left;
        return g_realloc(given, body_size);
}

static int cut_packet(ProxyReader *reader, size_t size, uint32_t n_fds, ProxyPacket **ret) {
        const uint8_t *bytes = reader->bytes + reader->start;
        size_t before = PROXY_PACKET_HEADER;
        ProxyPacket *packet;

        if (reader->n_fds < n_fds)
                return -EBADMSG; /* the bytes that should have carried them have come without */

        packet = g_new0(ProxyPacket, 1);
        packet->header = (ProxyPacketHeader){
                .program = word_at(bytes + 4),
                .version = word_at(bytes + 8),
                .procedure = (int32_t) word_at(bytes + 12),
                .type = word_at(bytes + 16),
                .serial = word_at(bytes + 20),
                .status = word_at(bytes + 24),
        };
        if (packet->header.type == PROXY_PACKET_CALL_WITH_FDS)
                before += sizeof(uint32_t);
        packet->size = size - n_fds - before;

        packet->n_fds = n_fds;
        packet->fds = g_memdup2(reader->fds, n_fds * sizeof(int));
        reader->n_fds -= n_fds;
        memmove(reader->fds, reader->fds + n_fds, reader->n_fds * sizeof(int));

        if (packet->size < LONG_SIZE) {
                packet->body = g_memdup2(bytes + before, packet->size);
                consume(reader, size);
        } else
                packet->body = give_away(reader, before, packet->size, size);
        *ret = packet;
        return 1;
}

/* Room to read into. A packet that is announced as long gets its room by and by, doubled whenever as much has
 * arrived. */
static void make_room(ProxyReader *reader, size_t wanted) {
        size_t size = reader->end - reader->start;

        if (reader->capacity - reader->end >= READ_SIZE)
                return;
        if (reader->start > 0) {
                memmove(reader->bytes, reader->bytes + reader->start, size);
                reader->start = 0;
                reader->end = size;
        }
        if (reader->capacity - reader->end < READ_SIZE) {
                reader->capacity = MAX(MIN(reader->capacity * 2, wanted), size + READ_SIZE);
                reader->bytes = g_realloc(reader->bytes, reader->capacity);
        }
}

static int take_fds(ProxyReader *reader, struct msghdr *message) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                size_t n;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (reader->n_fds < PROXY_PACKET_FDS_MAX)
                                reader->fds[reader->n_fds++] = fd;
                        else {
                                /* More than any packet may have: goes on, so that none of them stays open. */
                                (void) vb_close(fd);
                                message->msg_flags |= MSG_CTRUNC;
                        }
                }
        }
        return message->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;
}

/* 1: something has arrived. 0: nothing, for now. */
static int read_more(ProxyReader *reader, int fd, size_t wanted) {
        union {
                struct cmsghdr alignment;
                char bytes[CMSG_SPACE(sizeof(int) * KERNEL_FDS_MAX)];
        } control;
        struct iovec vector;
        struct msghdr message = { .msg_iov = &vector,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        ssize_t n;
        int r;

        make_room(reader, wanted);
        vector = (struct iovec){ reader->bytes + reader->end, reader->capacity - reader->end };
        do
                n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;

        r = take_fds(reader, &message);
        if (r < 0)
                return r;
        if (n == 0)
                return -ECONNRESET;
        reader->end += (size_t) n;
        return 1;
}

int proxy_reader_next(ProxyReader *reader, int fd, ProxyPacket **ret) {
        size_t size;
        uint32_t n_fds;
        int r;

        for (;;) {
                r = packet_size(reader, &size, &n_fds);
                if (r < 0)
                        return r;
                if (r > 0 && has_arrived(reader, size))
                        return cut_packet(reader, size, n_fds, ret);
                r = read_more(reader, fd, size);
                if (r <= 0)
                        return r;
        }
}

/* ---- writing */

typedef struct Message {
        GByteArray *bytes;
        size_t sent;
        int *fds;
        unsigned n_fds;
        unsigned n_fds_sent;
} Message;

struct ProxyWriter {
        GQueue messages;
        size_t queued;
};

GByteArray *proxy_packet_begin(void) {
        GByteArray *message = g_byte_array_sized_new(256);

        return g_byte_array_set_size(message, PROXY_PACKET_HEADER);
}

int proxy_packet_finish(GByteArray *message, const ProxyPacketHeader *header) {
        uint32_t words[HEADER_WORDS] = {
                message->len, header->program, header->version, (uint32_t) header->procedure,
                header->type, header->serial,  header->status,
        };

        assert(message->len >= PROXY_PACKET_HEADER);

        if (message->len > PROXY_PACKET_MAX)
                return -EMSGSIZE;
        for (unsigned i = 0; i < HEADER_WORDS; i++)
                words[i] = htobe32(words[i]);
        memcpy(message->data, words, sizeof(words));
        return 0;
}

static void message_free(Message *message) {
        g_byte_array_unref(message->bytes);
        close_all(message->fds, message->n_fds);
        g_free(message->fds);
        g_free(message);
}

ProxyWriter *proxy_writer_new(void) {
        ProxyWriter *writer = g_new0(ProxyWriter, 1);

        g_queue_init(&writer->messages);
        return writer;
}

ProxyWriter *proxy_writer_free(ProxyWriter *writer) {
        if (!writer)
                return NULL;

        g_queue_clear_full(&writer->messages, (GDestroyNotify) message_free);
        g_free(writer);
        return NULL;
}

size_t proxy_writer_queued(const ProxyWriter *writer) {
        return writer->queued;
}

void proxy_writer_add(ProxyWriter *writer, GByteArray *bytes, const int *fds, unsigned n_fds) {
        Message *message = g_new0(Message, 1);

        message->bytes = bytes;
        message->fds = g_memdup2(fds, n_fds * sizeof(int));
        message->n_fds = n_fds;
        writer->queued += bytes->len + n_fds;
        g_queue_push_tail(&writer->messages, message);
}

static ssize_t send_bytes(int fd, struct iovec *vectors, size_t n, int passed) {
        union {
                struct cmsghdr alignment;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct msghdr message = { .msg_iov = vectors, .msg_iovlen = n };
        ssize_t sent;

        if (passed >= 0) {
                struct cmsghdr *c;

                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &passed, sizeof(int));
        }
        do
                sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
}

/* As many messages at once as there are before one that must be followed by descriptors. */
static ssize_t send_messages(ProxyWriter *writer, int fd) {
        struct iovec vectors[WRITE_VECTORS];
        size_t n = 0;

        for (GList *l = writer->messages.head; l && n < WRITE_VECTORS; l = l->next) {
                Message *message = l->data;

                vectors[n++] = (struct iovec){ message->bytes->data + message->sent,
                                               message->bytes->len - message->sent };
                if (message->n_fds > 0)
                        break;
        }
        return send_bytes(fd, vectors, n, /* passed= */ -EBADF);
}

static ssize_t send_next(ProxyWriter *writer, int fd) {
        Message *first = g_queue_peek_head(&writer->messages);

        if (first->sent < first->bytes->len)
                return send_messages(writer, fd);
        return send_bytes(fd, &(struct iovec){ (char[1]){}, 1 }, 1, first->fds[first->n_fds_sent]);
}

static void advance(ProxyWriter *writer, size_t sent) {
        writer->queued -= sent;
        while (!g_queue_is_empty(&writer->messages)) {
                Message *first = g_queue_peek_head(&writer->messages);
                size_t of_it = MIN(sent, first->bytes->len - first->sent);

                first->sent += of_it;
                sent -= of_it;
                if (sent > 0 && first->n_fds_sent < first->n_fds) {
                        first->n_fds_sent++;
                        sent--;
                }
                if (first->sent < first->bytes->len || first->n_fds_sent < first->n_fds)
                        break;
                message_free(g_queue_pop_head(&writer->messages));
        }
        assert(sent == 0);
}

int proxy_writer_write(ProxyWriter *writer, int fd) {
        while (!g_queue_is_empty(&writer->messages)) {
                ssize_t n = send_next(writer, fd);

                if (n == -EAGAIN || n == -EWOULDBLOCK)
                        return 0;
                if (n < 0)
                        return (int) n;
                advance(writer, (size_t) n);
        }
        return 1;
}
