/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream between a descriptor and a client that is made of what stream.c asks of a connection. */

#include "proxy/stream.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/error.h"
#include "proxy/call-private.h"
#include "proxy/connection-private.h"
#include "proxy/constants.h"
#include "proxy/error.h"
#include "proxy/packet.h"
#include "proxy/worker.h"
#include "proxy/xdr.h"
#include "test-util.h"

#define SERIAL 7

/* One packet that the client was sent. */
typedef struct Sent {
        ProxyPacketHeader header;
        GByteArray *body;
} Sent;

/* Both are the test's own here. */
struct ProxyConnection {
        sd_event *event;
        GPtrArray *sent; /* of Sent */
        size_t queued; /* what it pretends */
        ProxyDrained drained;
        void *drained_userdata;
        ProxyStreamTake take;
        void *take_userdata;
        void *data;
        GDestroyNotify free_data;
        int holds;
        const char *dropped;
};

static void sent_free(gpointer data) {
        Sent *sent = data;

        g_byte_array_unref(sent->body);
        g_free(sent);
}

void proxy_connection_send(ProxyConnection *connection, GByteArray *message, const int *fds, unsigned n_fds) {
        const uint32_t *words = (const uint32_t *) message->data;
        Sent *sent = g_new(Sent, 1);

        g_assert_cmpuint(n_fds, ==, 0);
        g_assert_cmpuint(GUINT32_FROM_BE(words[0]), ==, message->len);
        *sent = (Sent){
                .header = { GUINT32_FROM_BE(words[1]), GUINT32_FROM_BE(words[2]), (int32_t) GUINT32_FROM_BE(words[3]),
                            GUINT32_FROM_BE(words[4]), GUINT32_FROM_BE(words[5]), GUINT32_FROM_BE(words[6]) },
                .body = g_byte_array_remove_range(message, 0, PROXY_PACKET_HEADER),
        };
        g_assert_cmpuint(sent->header.serial, ==, SERIAL);
        g_assert_cmpint(sent->header.procedure, ==, RPC_REMOTE_DOMAIN_OPEN_CONSOLE);
        g_ptr_array_add(connection->sent, sent);
}

size_t proxy_connection_queued(const ProxyConnection *connection) {
        return connection->queued;
}

void proxy_connection_when_drained(ProxyConnection *connection, ProxyDrained drained, void *userdata) {
        g_assert_null(connection->drained);
        connection->drained = drained;
        connection->drained_userdata = userdata;
}

void proxy_connection_set_streams(ProxyConnection *connection, ProxyStreamTake take, void *userdata) {
        connection->take = take;
        connection->take_userdata = userdata;
}

void proxy_connection_set_data(ProxyConnection *connection, const void *key, void *data, GDestroyNotify free_data) {
        connection->data = data;
        connection->free_data = free_data;
}

void *proxy_connection_data(ProxyConnection *connection, const void *key) {
        return connection->data;
}

void proxy_connection_hold_reading(ProxyConnection *connection) {
        connection->holds++;
}

void proxy_connection_release_reading(ProxyConnection *connection) {
        connection->holds--;
}

void proxy_connection_drop(ProxyConnection *connection, const char *why) {
        connection->dropped = why;
}

const char *proxy_connection_driver(const ProxyConnection *connection) {
        return "qemu";
}

ProxyWorker *proxy_connection_worker(ProxyConnection *connection) {
        return (ProxyWorker *) connection;
}

sd_event *proxy_worker_event(ProxyWorker *worker) {
        return ((ProxyConnection *) worker)->event;
}

ProxyConnection *proxy_call_connection(ProxyCall *call) {
        return (ProxyConnection *) call;
}

const RpcProcedure *proxy_call_procedure(const ProxyCall *call) {
        return &rpc_programs[RPC_PROGRAM_REMOTE].procedures[RPC_REMOTE_DOMAIN_OPEN_CONSOLE];
}

uint32_t proxy_call_serial(const ProxyCall *call) {
        return SERIAL;
}

bool proxy_call_is_orphan(const ProxyCall *call) {
        return false;
}

/* Of errors, only that there is one. */
int proxy_error_set(sd_bus_error *reterr, int code, int domain, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = sd_bus_error_setfv(reterr, VB_ERROR_OPERATION_FAILED, format, arguments);
        va_end(arguments);
        return r;
}

int proxy_error_encode(GByteArray **ret, const ProxyPacketHeader *to, ProxyPacketType type, int r, const sd_bus_error *error, int domain,
                       const char *driver) {
        GByteArray *message = proxy_packet_begin();
        ProxyPacketHeader header = *to;

        g_assert_cmpint(r, <, 0);
        g_assert_true(sd_bus_error_is_set(error));
        header.type = type;
        header.status = PROXY_PACKET_ERROR;
        g_byte_array_append(message, (const uint8_t *) error->message, (unsigned) strlen(error->message) + 1);
        g_assert_cmpint(proxy_packet_finish(message, &header), ==, 0);
        *ret = message;
        return 0;
}

/* --- the test's own -------------------------------------------------------------------------------------------------- */

typedef struct Fixture {
        ProxyConnection client;
        int other; /* the other end of the descriptor; of a file, a second descriptor */
} Fixture;

static void fixture_init(Fixture *f, ProxyStreamFlags flags, int fd, int other) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        *f = (Fixture){ .client = { .event = test_event_new(), .sent = g_ptr_array_new_with_free_func(sent_free) }, .other = other };
        g_assert_cmpint(proxy_stream_start((ProxyCall *) &f->client, fd, flags, &error), ==, 0);
}

static void fixture_pair(Fixture *f, ProxyStreamFlags flags) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        fixture_init(f, flags, fds[0], fds[1]);
}

static void fixture_file(Fixture *f, ProxyStreamFlags flags, const char *data, off_t hole, const char *more) {
        int fd = memfd_create("stream", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, data, strlen(data)), ==, strlen(data));
        if (hole > 0) {
                g_assert_cmpint(lseek(fd, hole, SEEK_CUR), >, 0);
                g_assert_cmpint(write(fd, more, strlen(more)), ==, strlen(more));
        }
        g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
        fixture_init(f, flags, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static void fixture_done(Fixture *f) {
        g_assert_null(f->client.dropped);
        f->client.free_data(f->client.data);
        g_ptr_array_unref(f->client.sent);
        f->other = vb_close(f->other);
        sd_event_unref(f->client.event);
}

/* From the client. Returns whether it was a stream's. */
static bool give_packet(Fixture *f, uint32_t type, uint32_t status, const void *body, size_t size) {
        ProxyPacket *packet = g_new0(ProxyPacket, 1);
        const RpcProgram *program = &rpc_programs[RPC_PROGRAM_REMOTE];
        int r;

        *packet = (ProxyPacket){
                .header = { program->id, program->version, RPC_REMOTE_DOMAIN_OPEN_CONSOLE, type, SERIAL, status },
                .body = g_memdup2(body, size),
                .size = size,
        };
        r = f->client.take(&f->client, packet, f->client.take_userdata);
        if (r == 0)
                proxy_packet_free(packet);
        return r == 1;
}

static bool give(Fixture *f, uint32_t status, const char *text) {
        return give_packet(f, PROXY_PACKET_STREAM, status, text, strlen(text));
}

static bool give_hole(Fixture *f, int64_t length) {
        g_autoptr(GByteArray) body = g_byte_array_new();
        XdrProblem problem;

        g_assert_cmpint(xdr_encode(&rpc_type_stream_hole, &(RpcStreamHole){ .length = length }, body, &problem), >=, 0);
        return give_packet(f, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_CONTINUE, body->data, body->len);
}

static const Sent *wait_sent(Fixture *f, unsigned n) {
        TEST_RUN_UNTIL(f->client.event, f->client.sent->len >= n);
        return g_ptr_array_index(f->client.sent, n - 1);
}

static void assert_data(const Sent *sent, const char *text) {
        g_assert_cmpuint(sent->header.type, ==, PROXY_PACKET_STREAM);
        g_assert_cmpuint(sent->header.status, ==, PROXY_PACKET_CONTINUE);
        g_assert_cmpmem(sent->body->data, sent->body->len, text, strlen(text));
}

static void assert_status(const Sent *sent, uint32_t status) {
        g_assert_cmpuint(sent->header.type, ==, PROXY_PACKET_STREAM);
        g_assert_cmpuint(sent->header.status, ==, status);
        g_assert_true((sent->body->len > 0) == (status == PROXY_PACKET_ERROR));
}

/* --- cases ------------------------------------------------------------------------------------------------------------ */

static void test_both_ways(void) {
        char buffer[64];
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_TO_CLIENT | PROXY_STREAM_FROM_CLIENT);
        g_assert_cmpint(write(f.other, "login: ", 7), ==, 7);
        assert_data(wait_sent(&f, 1), "login: ");
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "root\n"));
        g_assert_cmpint(read(f.other, buffer, sizeof(buffer)), ==, 5);

        /* The guest goes off: the end of data, once. What is typed after that goes nowhere, and the client may still finish. */
        f.other = vb_close(f.other);
        assert_data(wait_sent(&f, 2), "");
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "hello?\n"));
        test_run_idle(f.client.event);
        g_assert_cmpuint(f.client.sent->len, ==, 2);
        g_assert_true(give(&f, PROXY_PACKET_OK, ""));
        assert_status(wait_sent(&f, 3), PROXY_PACKET_OK);

        /* What comes now is nobody's. */
        g_assert_false(give(&f, PROXY_PACKET_CONTINUE, "hello?\n"));
        g_assert_cmpuint(f.client.sent->len, ==, 3);
        fixture_done(&f);
}

static void test_abort(void) {
        char byte;
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_TO_CLIENT | PROXY_STREAM_FROM_CLIENT);
        g_assert_true(give(&f, PROXY_PACKET_ERROR, ""));
        assert_status(wait_sent(&f, 1), PROXY_PACKET_OK);
        g_assert_cmpint(read(f.other, &byte, 1), ==, 0);
        g_assert_false(give(&f, PROXY_PACKET_ERROR, ""));
        fixture_done(&f);
}

/* Nothing is read of the descriptor while the client does not take what it has been sent. */
static void test_slow_client(void) {
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_TO_CLIENT);
        f.client.queued = PROXY_QUEUE_HIGH;
        g_assert_cmpint(write(f.other, "a", 1), ==, 1);
        assert_data(wait_sent(&f, 1), "a");
        g_assert_cmpint(write(f.other, "b", 1), ==, 1);
        test_run_idle(f.client.event);
        g_assert_cmpuint(f.client.sent->len, ==, 1);

        f.client.queued = 0;
        g_steal_pointer(&f.client.drained)(&f.client, f.client.drained_userdata);
        assert_data(wait_sent(&f, 2), "b");
        fixture_done(&f);
}

/* Nor is the client read from while the descriptor takes no more; and all that it sent arrives before it hears that it has. */
static void test_slow_descriptor(void) {
        static const char block[65536] = "";
        size_t given = 0, taken = 0;
        char buffer[65536];
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_FROM_CLIENT);
        while (f.client.holds == 0) {
                g_assert_true(give_packet(&f, PROXY_PACKET_STREAM, PROXY_PACKET_CONTINUE, block, sizeof(block)));
                given += sizeof(block);
                g_assert_cmpuint(given, <, 16 * 1024 * 1024);
        }
        g_assert_true(give(&f, PROXY_PACKET_OK, ""));
        test_run_idle(f.client.event);
        g_assert_cmpuint(f.client.sent->len, ==, 0);

        while (taken < given) {
                ssize_t n = read(f.other, buffer, sizeof(buffer));

                if (n > 0)
                        taken += (size_t) n;
                else
                        g_assert_cmpint(sd_event_run(f.client.event, UINT64_MAX), >=, 0);
        }
        assert_status(wait_sent(&f, 1), PROXY_PACKET_OK);
        g_assert_cmpint(f.client.holds, ==, 0);
        g_assert_cmpint(read(f.other, buffer, sizeof(buffer)), ==, 0);
        fixture_done(&f);
}

/* Small packets and holes cost memory, too. */
static void test_nothing_is_not_free(void) {
        unsigned n = 0;
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE);
        for (; f.client.holds == 0; n++) {
                g_assert_true(give_hole(&f, INT64_MAX));
                g_assert_cmpuint(n, <, 16 * 1024);
        }
        fixture_done(&f);
}

static void test_failure(void) {
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_FROM_CLIENT);
        f.other = vb_close(f.other);
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "lost"));
        assert_status(wait_sent(&f, 1), PROXY_PACKET_ERROR);
        /* The client does not know yet. */
        g_assert_false(give(&f, PROXY_PACKET_CONTINUE, "on its way"));
        g_assert_false(give(&f, PROXY_PACKET_OK, ""));
        g_assert_cmpuint(f.client.sent->len, ==, 1);
        fixture_done(&f);
}

static void test_what_is_not_allowed(void) {
        static const struct {
                const char *what;
                ProxyStreamFlags flags;
                uint32_t type, status;
                const char *body;
        } cases[] = {
                { "data on one that is only read", PROXY_STREAM_TO_CLIENT, PROXY_PACKET_STREAM, PROXY_PACKET_CONTINUE, "x" },
                { "no such status", PROXY_STREAM_FROM_CLIENT, PROXY_PACKET_STREAM, 17, "x" },
                { "a hole where there are none", PROXY_STREAM_FROM_CLIENT, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_CONTINUE, "\0\0\0\0\0\0\0\1\0\0\0\0" },
                { "half a hole", PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_CONTINUE, "\0\0" },
                { "a negative hole", PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_CONTINUE,
                  "\377\0\0\0\0\0\0\1\0\0\0\0" },
                { "a finished hole", PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_OK,
                  "\0\0\0\0\0\0\0\1\0\0\0\0" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                bool is_hole = cases[i].type == PROXY_PACKET_STREAM_HOLE;
                Fixture f;

                g_test_message("%s", cases[i].what);
                fixture_pair(&f, cases[i].flags);
                g_assert_true(give_packet(&f, cases[i].type, cases[i].status, cases[i].body,
                                          is_hole && i != 3 ? 12 : i == 3 ? 2 : strlen(cases[i].body)));
                assert_status(wait_sent(&f, 1), PROXY_PACKET_ERROR);
                g_assert_false(give(&f, PROXY_PACKET_OK, ""));
                fixture_done(&f);
        }
}

static void test_another_calls_packet(void) {
        Fixture f;
        ProxyPacket packet = { .header = { .program = rpc_programs[RPC_PROGRAM_REMOTE].id, .procedure = RPC_REMOTE_DOMAIN_OPEN_CHANNEL,
                                           .type = PROXY_PACKET_STREAM, .serial = SERIAL, .status = PROXY_PACKET_OK } };

        fixture_pair(&f, PROXY_STREAM_FROM_CLIENT);
        g_assert_cmpint(f.client.take(&f.client, &packet, f.client.take_userdata), ==, 0);
        packet.header.procedure = RPC_REMOTE_DOMAIN_OPEN_CONSOLE;
        packet.header.serial++;
        g_assert_cmpint(f.client.take(&f.client, &packet, f.client.take_userdata), ==, 0);
        fixture_done(&f);
}

/* A file has no end that would wake anyone, and holes. */
static void test_file(void) {
        Fixture f;

        fixture_file(&f, PROXY_STREAM_TO_CLIENT, "picture", 0, NULL);
        assert_data(wait_sent(&f, 1), "picture");
        assert_data(wait_sent(&f, 2), "");
        test_run_idle(f.client.event);
        g_assert_cmpuint(f.client.sent->len, ==, 2);
        g_assert_true(give(&f, PROXY_PACKET_OK, ""));
        assert_status(wait_sent(&f, 3), PROXY_PACKET_OK);
        fixture_done(&f);
}

static void test_holes_to_client(void) {
        const int64_t hole_size = 1 << 20;
        g_auto(ProxyArena) arena = {};
        XdrProblem problem;
        RpcStreamHole hole;
        uint64_t data = 0, holes = 0;
        unsigned n = 0;
        const Sent *sent;
        Fixture f;

        fixture_file(&f, PROXY_STREAM_TO_CLIENT | PROXY_STREAM_SPARSE, "before", hole_size, "after");
        do {
                sent = wait_sent(&f, ++n);
                if (sent->header.type == PROXY_PACKET_STREAM_HOLE) {
                        g_assert_cmpint(xdr_decode(&rpc_type_stream_hole, sent->body->data, sent->body->len, &arena, &hole, &problem), >, 0);
                        holes += (uint64_t) hole.length;
                } else
                        data += sent->body->len;
        } while (sent->header.type == PROXY_PACKET_STREAM_HOLE || sent->body->len > 0);
        /* All of the file, and most of it not as zeros. */
        g_assert_cmpuint(data + holes, ==, (uint64_t) hole_size + strlen("before") + strlen("after"));
        g_assert_cmpuint(holes, >, (uint64_t) hole_size / 2);
        fixture_done(&f);
}

static void test_holes_from_client(void) {
        char buffer[64];
        Fixture f;

        /* In the place of what was there, and beyond its end. */
        fixture_file(&f, PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE, "XXXXXXXXXX", 0, NULL);
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "ab"));
        g_assert_true(give_hole(&f, 4));
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "cd"));
        g_assert_true(give_hole(&f, 6));
        g_assert_true(give(&f, PROXY_PACKET_OK, ""));
        assert_status(wait_sent(&f, 1), PROXY_PACKET_OK);
        g_assert_cmpint(pread(f.other, buffer, sizeof(buffer), 0), ==, 14);
        g_assert_cmpmem(buffer, 14, "ab\0\0\0\0cd\0\0\0\0\0\0", 14);
        fixture_done(&f);

        fixture_pair(&f, PROXY_STREAM_FROM_CLIENT | PROXY_STREAM_SPARSE);
        g_assert_true(give_hole(&f, 3));
        g_assert_true(give(&f, PROXY_PACKET_CONTINUE, "x"));
        test_run_idle(f.client.event);
        g_assert_cmpint(read(f.other, buffer, sizeof(buffer)), ==, 4);
        g_assert_cmpmem(buffer, 4, "\0\0\0x", 4);
        fixture_done(&f);
}

static void test_one_serial_one_stream(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Fixture f;

        fixture_pair(&f, PROXY_STREAM_TO_CLIENT);
        g_assert_cmpint(proxy_stream_start((ProxyCall *) &f.client, open("/dev/null", O_RDONLY | O_CLOEXEC), PROXY_STREAM_TO_CLIENT, &error),
                        <, 0);
        fixture_done(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        g_test_add_func("/proxy/stream/both-ways", test_both_ways);
        g_test_add_func("/proxy/stream/abort", test_abort);
        g_test_add_func("/proxy/stream/slow-client", test_slow_client);
        g_test_add_func("/proxy/stream/slow-descriptor", test_slow_descriptor);
        g_test_add_func("/proxy/stream/nothing-is-not-free", test_nothing_is_not_free);
        g_test_add_func("/proxy/stream/failure", test_failure);
        g_test_add_func("/proxy/stream/not-allowed", test_what_is_not_allowed);
        g_test_add_func("/proxy/stream/another-calls-packet", test_another_calls_packet);
        g_test_add_func("/proxy/stream/file", test_file);
        g_test_add_func("/proxy/stream/holes-to-client", test_holes_to_client);
        g_test_add_func("/proxy/stream/holes-from-client", test_holes_from_client);
        g_test_add_func("/proxy/stream/one-serial-one-stream", test_one_serial_one_stream);
        return g_test_run();
}
