/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proxy/packet.h"

#define WORD(n)                                                                                   \
        (uint8_t)((uint32_t) (n) >> 24), (uint8_t) ((n) >> 16 & 255), (uint8_t) ((n) >> 8 & 255), \
                (uint8_t) ((n) &255)

typedef struct Fixture {
        int ours, theirs;
        ProxyReader *reader;
        ProxyWriter *writer;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        f->ours = pair[0];
        f->theirs = pair[1];
        f->reader = proxy_reader_new();
        f->writer = proxy_writer_new();
}

static void tear_down(Fixture *f, gconstpointer unused) {
        proxy_reader_free(f->reader);
        proxy_writer_free(f->writer);
        (void) vb_close(f->ours);
        (void) vb_close(f->theirs);
}

static void put(Fixture *f, const void *bytes, size_t size) {
        g_assert_cmpint(send(f->theirs, bytes, size, MSG_NOSIGNAL), ==, (ssize_t) size);
}

static void put_fds(Fixture *f, unsigned n) {
        union {
                struct cmsghdr alignment;
                char bytes[CMSG_SPACE(sizeof(int) * 64)];
        } control = {};
        struct msghdr message = { .msg_iov = &(struct iovec){ (char[1]){}, 1 },
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        for (unsigned i = 0; i < n; i++)
                memcpy(CMSG_DATA(c) + i * sizeof(int), &f->ours, sizeof(int));
        g_assert_cmpint(sendmsg(f->theirs, &message, 0), ==, 1);
}

static GByteArray *packet(uint32_t type, uint32_t serial, const void *body, size_t size) {
        GByteArray *bytes = proxy_packet_begin();
        ProxyPacketHeader header = { .program = 0x20008086,
                                     .version = 1,
                                     .procedure = 7,
                                     .type = type,
                                     .serial = serial,
                                     .status = 0 };

        g_byte_array_append(bytes, body, (guint) size);
        g_assert_cmpint(proxy_packet_finish(bytes, &header), ==, 0);
        return bytes;
}

static ProxyPacket *next(Fixture *f) {
        ProxyPacket *got = NULL;

        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, 1);
        return got;
}

static void nothing_yet(Fixture *f) {
        ProxyPacket *got = NULL;

        g_assert_false(proxy_reader_is_ready(f->reader));
        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, 0);
}

static unsigned open_fds(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

static void test_byte_by_byte(Fixture *f, gconstpointer unused) {
        g_autoptr(GByteArray) bytes = packet(PROXY_PACKET_CALL, 3, "abcdefgh", 8);
        g_autoptr(ProxyPacket) got = NULL;

        for (guint i = 0; i < bytes->len; i++) {
                nothing_yet(f);
                put(f, bytes->data + i, 1);
        }
        got = next(f);
        g_assert_cmpuint(got->header.program, ==, 0x20008086);
        g_assert_cmpuint(got->header.version, ==, 1);
        g_assert_cmpint(got->header.procedure, ==, 7);
        g_assert_cmpuint(got->header.serial, ==, 3);
        g_assert_cmpmem(got->body, got->size, "abcdefgh", 8);
        nothing_yet(f);
}

static void test_many_at_once(Fixture *f, gconstpointer unused) {
        for (uint32_t i = 0; i < 100; i++) {
                g_autoptr(GByteArray) bytes = packet(PROXY_PACKET_CALL, i, "abcd", i % 2 * 4);

                put(f, bytes->data, bytes->len);
        }
        for (uint32_t i = 0; i < 100; i++) {
                g_autoptr(ProxyPacket) got = next(f);

                g_assert_cmpuint(got->header.serial, ==, i);
                g_assert_cmpuint(got->size, ==, i % 2 * 4);
                g_assert_cmpint(proxy_reader_is_ready(f->reader), ==, i < 99);
        }
        nothing_yet(f);
}

static void test_bad_lengths(Fixture *f, gconstpointer unused) {
        static const uint32_t lengths[] = { 0, 1, 27, 33554437, 0x7fffffff, 0x80000000, 0xffffffff };

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                g_autoptr(ProxyReader) reader = proxy_reader_new();
                ProxyPacket *got = NULL;
                uint32_t word = GUINT32_TO_BE(lengths[i]);

                put(f, &word, 4);
                g_assert_cmpint(proxy_reader_next(reader, f->ours, &got), ==, -EBADMSG);
                g_assert_true(proxy_reader_is_ready(reader));
        }
}

/* Who only says that much is to come costs no memory for it. */
static void test_memory_comes_with_bytes(Fixture *f, gconstpointer unused) {
        g_autofree uint8_t *zeros = g_malloc0(100000);

        put(f,
            (const uint8_t[]){ WORD(33554436), WORD(0x20008086), WORD(1), WORD(7), WORD(0), WORD(0),
                               WORD(0) },
            28);
        nothing_yet(f);
        g_assert_cmpuint(proxy_reader_size(f->reader), <=, 131072);
        put(f, zeros, 100000);
        nothing_yet(f);
        g_assert_cmpuint(proxy_reader_size(f->reader), <=, 1 << 20);
}

static void test_long_packet(Fixture *f, gconstpointer unused) {
        size_t size = 5000003;
        g_autofree uint8_t *body = g_malloc(size);
        g_autoptr(GByteArray) small = packet(PROXY_PACKET_STREAM, 12, "end", 3);
        g_autoptr(ProxyPacket) got = NULL, after = NULL;
        int r = 0;

        for (size_t i = 0; i < size; i++)
                body[i] = (uint8_t) (i * 31);
        proxy_writer_add(f->writer, packet(PROXY_PACKET_STREAM, 11, body, size), NULL, 0);
        proxy_writer_add(f->writer, g_byte_array_ref(small), NULL, 0);
        g_assert_cmpuint(proxy_writer_queued(f->writer), ==, 28 + size + small->len);
        while (r == 0) {
                r = proxy_writer_write(f->writer, f->theirs);
                g_assert_cmpint(r, >=, 0);
                if (!got)
                        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), >=, 0);
        }
        g_assert_cmpuint(proxy_writer_queued(f->writer), ==, 0);
        if (!got)
                got = next(f);
        g_assert_cmpmem(got->body, got->size, body, size);
        after = next(f);
        g_assert_cmpmem(after->body, after->size, "end", 3);
        nothing_yet(f);
        g_assert_cmpuint(proxy_reader_size(f->reader), <=, 1 << 20);
}

/* As libvirt's clients send them: after the message, a byte and a descriptor each; here in the worst pieces.
 */
static void test_descriptors_come(Fixture *f, gconstpointer unused) {
        g_autoptr(GByteArray) bytes =
                packet(PROXY_PACKET_CALL_WITH_FDS, 1, (const uint8_t[]){ WORD(2), 'a', 'b', 'c', 'd' }, 8);
        g_autoptr(GByteArray) plain = packet(PROXY_PACKET_CALL, 2, NULL, 0);
        unsigned before = open_fds();
        g_autoptr(ProxyPacket) got = NULL, after = NULL;
        struct stat one, other;

        put(f, bytes->data, bytes->len);
        nothing_yet(f);
        put_fds(f, 1);
        nothing_yet(f);
        put_fds(f, 1);
        put(f, plain->data, plain->len);
        got = next(f);
        g_assert_cmpuint(got->n_fds, ==, 2);
        g_assert_cmpmem(got->body, got->size, "abcd", 4);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_cmpint(fcntl(got->fds[i], F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
                g_assert_cmpint(fstat(got->fds[i], &one), ==, 0);
                g_assert_cmpint(fstat(f->ours, &other), ==, 0);
                g_assert_cmpuint(one.st_ino, ==, other.st_ino);
        }
        after = next(f);
        g_assert_cmpuint(after->header.serial, ==, 2);
        g_assert_cmpuint(after->n_fds, ==, 0);
        g_clear_pointer(&got, proxy_packet_free);
        g_assert_cmpuint(open_fds(), ==, before);
}

/* Nobody can make us keep descriptors that no packet speaks of, or more than a packet may have. */
static void test_too_many_descriptors(Fixture *f, gconstpointer unused) {
        unsigned before = open_fds();
        ProxyPacket *got = NULL;

        put(f, (const uint8_t[]){ WORD(36), WORD(1), WORD(1), WORD(1), WORD(4), WORD(0), WORD(0), WORD(33) },
            32);
        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, -EBADMSG);

        g_clear_pointer(&f->reader, proxy_reader_free);
        f->reader = proxy_reader_new();
        put_fds(f, 20);
        put_fds(f, 20);
        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, -EBADMSG);
        g_clear_pointer(&f->reader, proxy_reader_free);
        g_assert_cmpuint(open_fds(), ==, before);
        f->reader = proxy_reader_new();
}

/* Announced, but the bytes came without. */
static void test_missing_descriptors(Fixture *f, gconstpointer unused) {
        ProxyPacket *got = NULL;

        put(f,
            (const uint8_t[]){ WORD(32), WORD(1), WORD(1), WORD(1), WORD(4), WORD(0), WORD(0), WORD(1), 0 },
            33);
        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, -EBADMSG);
}

static void test_descriptors_leave(Fixture *f, gconstpointer unused) {
        g_autoptr(ProxyPacket) got = NULL, after = NULL;
        int fds[2] = { dup(f->ours), dup(f->ours) };
        unsigned before = open_fds();

        proxy_writer_add(f->writer, packet(PROXY_PACKET_CALL, 0, NULL, 0), NULL, 0);
        proxy_writer_add(f->writer, packet(PROXY_PACKET_CALL_WITH_FDS, 1, (const uint8_t[]){ WORD(2) }, 4),
                         fds, 2);
        proxy_writer_add(f->writer, packet(PROXY_PACKET_CALL, 2, NULL, 0), NULL, 0);
        g_assert_cmpint(proxy_writer_write(f->writer, f->theirs), ==, 1);
        g_assert_cmpuint(proxy_writer_queued(f->writer), ==, 0);
        g_assert_cmpuint(open_fds(), ==, before - 2);

        proxy_packet_free(next(f));
        got = next(f);
        g_assert_cmpuint(got->n_fds, ==, 2);
        after = next(f);
        g_assert_cmpuint(after->header.serial, ==, 2);
}

static void test_hang_up(Fixture *f, gconstpointer unused) {
        ProxyPacket *got = NULL;

        put(f, (const uint8_t[]){ WORD(100), 1, 2, 3 }, 7);
        f->theirs = vb_close(f->theirs);
        g_assert_cmpint(proxy_reader_next(f->reader, f->ours, &got), ==, -ECONNRESET);
        proxy_writer_add(f->writer, packet(PROXY_PACKET_REPLY, 0, NULL, 0), NULL, 0);
        g_assert_cmpint(proxy_writer_write(f->writer, f->ours), ==, -EPIPE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/proxy/packet/byte-by-byte", Fixture, NULL, set_up, test_byte_by_byte, tear_down);
        g_test_add("/proxy/packet/many-at-once", Fixture, NULL, set_up, test_many_at_once, tear_down);
        g_test_add("/proxy/packet/bad-lengths", Fixture, NULL, set_up, test_bad_lengths, tear_down);
        g_test_add("/proxy/packet/memory-comes-with-bytes", Fixture, NULL, set_up,
                   test_memory_comes_with_bytes, tear_down);
        g_test_add("/proxy/packet/long-packet", Fixture, NULL, set_up, test_long_packet, tear_down);
        g_test_add("/proxy/packet/descriptors-come", Fixture, NULL, set_up, test_descriptors_come, tear_down);
        g_test_add("/proxy/packet/too-many-descriptors", Fixture, NULL, set_up, test_too_many_descriptors,
                   tear_down);
        g_test_add("/proxy/packet/missing-descriptors", Fixture, NULL, set_up, test_missing_descriptors,
                   tear_down);
        g_test_add("/proxy/packet/descriptors-leave", Fixture, NULL, set_up, test_descriptors_leave,
                   tear_down);
        g_test_add("/proxy/packet/hang-up", Fixture, NULL, set_up, test_hang_up, tear_down);
        return g_test_run();
}
