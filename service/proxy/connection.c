/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/connection.h"

#include <assert.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "proxy/call-private.h"
#include "proxy/connection-private.h"
#include "proxy/keepalive.h"
#include "proxy/rpc.h"
#include "proxy/worker.h"

/* Packets are taken one after another, as long as the client may be read from: not while PROXY_CALLS_MAX of its calls are unanswered and the
 * next has come, nor while a stream holds it, nor while it does not take what waits for it. The call too many is kept aside, so that
 * what comes before it is still seen: keepalive messages above all.
 *
 * Whoever uses a connection may find that it has to end, deep inside a call that comes from it. So it ends, is read on, and tells that it is
 * drained, from a source of its own in the loop: "turn".
 *
 * The end has two steps. The client departs: its socket is closed, and what features kept for it goes. If calls of it are under way then, the rest
 * lingers until they are answered, so that each comes to its own end, with what it has to clean up; the answers go nowhere. Then it is gone. */

enum {
        PACKETS_A_TURN = 32, /* then other clients have their turn */
        LINGER_MAX_SEC = 24 * 60 * 60, /* a guest's memory may be large, and the disk slow */
};

/* What a feature keeps. */
typedef struct Item {
        void *data;
        GDestroyNotify free_data;
} Item;

/* Who waits for the queue to be low. */
typedef struct Waiter {
        ProxyDrained drained;
        void *userdata;
} Waiter;

struct ProxyConnection {
        ProxyWorker *worker;
        ProxyClient client;
        int fd;
        sd_event_source *io, *turn;
        ProxyReader *reader;
        ProxyWriter *writer;
        ProxyKeepalive keepalive;
        uint32_t events; /* what io waits for */
        size_t held; /* bytes, as the worker knows */

        /* Since connect_open. */
        char *driver, *uri;
        bool open, read_only;

        ProxyCall *calls[PROXY_CALLS_MAX]; /* unanswered */
        unsigned n_calls;
        ProxyPacket *aside; /* the call too many */
        unsigned n_holds;
        ProxyStreamTake take_stream;
        void *stream_userdata;
        GArray *waiters; /* of Waiter */
        GHashTable *data; /* of features, by key */

        const char *closing; /* when all is said: why */
        const char *dropped; /* why */
        bool departed;
        sd_event_source *overdue; /* since it departed */
};

/* The end */

static void schedule_turn(ProxyConnection *connection) {
        int r;

        r = sd_event_source_set_enabled(connection->turn, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot go on with a client: %m");
}

void proxy_connection_drop(ProxyConnection *connection, const char *why) {
        if (connection->dropped)
                return;
        connection->dropped = why;
        schedule_turn(connection);
}

static void drop_for(ProxyConnection *connection, int r) {
        const char *why = r == -ECONNRESET || r == -EPIPE ? "it has left"
                : r == -EBADMSG                           ? "it does not speak the protocol"
                                                          : "its socket failed";

        proxy_connection_drop(connection, why);
}

/* Reading */

static bool may_read(const ProxyConnection *connection) {
        return !connection->dropped && !connection->closing && !connection->aside && connection->n_holds == 0 &&
               proxy_writer_queued(connection->writer) < PROXY_QUEUE_HIGH;
}

/* Edge-triggered, as the loop serves one source in a turn: else each turn would collect all clients anew that wait to be read. So whoever
 * stops reading or writing before the socket has no more sees to it that it goes on: by a turn, or by events that change here. */
static void update(ProxyConnection *connection) {
        uint32_t events = EPOLLET | (may_read(connection) ? EPOLLIN : 0);
        size_t queued, held;

        if (connection->departed)
                return;
        queued = proxy_writer_queued(connection->writer);
        held = proxy_reader_size(connection->reader) + queued;
        events |= queued > 0 ? EPOLLOUT : 0;
        if (!proxy_worker_account(connection->worker, connection->held, held) && held > PROXY_QUEUE_HIGH)
                proxy_connection_drop(connection, "all clients of this user together hold too much memory");
        connection->held = held;
        if (events == connection->events)
                return;
        connection->events = events;
        if (sd_event_source_set_io_events(connection->io, events) < 0)
                proxy_connection_drop(connection, "its socket cannot be watched");
}

static void send_header(ProxyConnection *connection, const ProxyPacketHeader *header) {
        GByteArray *message = proxy_packet_begin();

        if (proxy_packet_finish(message, header) < 0)
                assert(false); /* it has no body */
        proxy_connection_send(connection, message, NULL, 0);
}

static void send_keepalive(ProxyConnection *connection, int procedure) {
        send_header(connection, &(ProxyPacketHeader){
                                        .program = rpc_programs[RPC_PROGRAM_KEEPALIVE].id,
                                        .version = rpc_programs[RPC_PROGRAM_KEEPALIVE].version,
                                        .procedure = procedure,
                                        .type = PROXY_PACKET_MESSAGE,
                                });
}

static void refuse(ProxyConnection *connection, const ProxyPacketHeader *header) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        GByteArray *message;
        int r;

        r = proxy_error_set(&error, VIR_ERR_RPC, VIR_FROM_RPC, "Unexpected message type %u", header->type);
        if (proxy_error_encode(&message, header, PROXY_PACKET_REPLY, r, &error, VIR_FROM_RPC, /* driver= */ NULL) >= 0)
                proxy_connection_send(connection, message, NULL, 0);
}

static void take_message(ProxyConnection *connection, const ProxyPacketHeader *header) {
        if (header->program != rpc_programs[RPC_PROGRAM_KEEPALIVE].id)
                refuse(connection, header);
        else if (header->procedure == RPC_KEEPALIVE_PING)
                send_keepalive(connection, RPC_KEEPALIVE_PONG);
}

/* Data for a stream that has just ended may still be on its way, so what nobody wants is not answered. */
static void take_stream(ProxyConnection *connection, ProxyPacket *packet) {
        int r;

        r = connection->take_stream ? connection->take_stream(connection, packet, connection->stream_userdata) : 0;
        if (r <= 0)
                proxy_packet_free(packet);
        if (r < 0)
                drop_for(connection, r);
}

static void take(ProxyConnection *connection, ProxyPacket *packet) {
        switch (packet->header.type) {
        case PROXY_PACKET_CALL:
        case PROXY_PACKET_CALL_WITH_FDS:
                if (connection->n_calls < PROXY_CALLS_MAX)
                        proxy_call_dispatch(connection, packet);
                else
                        connection->aside = packet;
                return;
        case PROXY_PACKET_STREAM:
        case PROXY_PACKET_STREAM_HOLE: take_stream(connection, packet); return;
        case PROXY_PACKET_MESSAGE: take_message(connection, &packet->header); break;
        default: refuse(connection, &packet->header); break;
        }
        proxy_packet_free(packet);
}

static void read_on(ProxyConnection *connection) {
        if (connection->aside && connection->n_calls < PROXY_CALLS_MAX && !connection->dropped)
                take(connection, g_steal_pointer(&connection->aside));

        for (unsigned i = 0; may_read(connection); i++) {
                ProxyPacket *packet;
                int r;

                if (i >= PACKETS_A_TURN) {
                        schedule_turn(connection);
                        break;
                }
                r = proxy_reader_next(connection->reader, connection->fd, &packet);
                if (r < 0)
                        drop_for(connection, r);
                if (r <= 0)
                        break;
                proxy_keepalive_heard(&connection->keepalive);
                take(connection, packet);
        }
        update(connection);
}

/* Writing */

static void close_if_done(ProxyConnection *connection) {
        if (connection->closing && !connection->dropped && connection->n_calls == 0 && !connection->aside && proxy_writer_queued(connection->writer) == 0)
                proxy_connection_drop(connection, connection->closing);
}

static void write_on(ProxyConnection *connection) {
        size_t before = proxy_writer_queued(connection->writer);
        int r;

        r = proxy_writer_write(connection->writer, connection->fd);
        if (r < 0)
                drop_for(connection, r);
        if (before >= PROXY_QUEUE_HIGH && proxy_writer_queued(connection->writer) < PROXY_QUEUE_HIGH)
                schedule_turn(connection);
        close_if_done(connection);
        update(connection);
}

static void discard(GByteArray *message, const int *fds, unsigned n_fds) {
        for (unsigned i = 0; i < n_fds; i++)
                (void) vb_close(fds[i]);
        g_byte_array_unref(message);
}

void proxy_connection_send(ProxyConnection *connection, GByteArray *message, const int *fds, unsigned n_fds) {
        bool waits;

        if (connection->dropped) {
                discard(message, fds, n_fds);
                return;
        }
        waits = proxy_writer_queued(connection->writer) > 0;
        proxy_writer_add(connection->writer, message, fds, n_fds);
        if (proxy_writer_queued(connection->writer) > PROXY_QUEUE_MAX)
                proxy_connection_drop(connection, "it does not take what it has asked for");
        else if (!waits)
                write_on(connection);
}

/* The loop */

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        ProxyConnection *connection = userdata;

        if (events & EPOLLOUT)
                write_on(connection);
        if (events & EPOLLIN)
                read_on(connection);
        else if (events & (EPOLLHUP | EPOLLERR))
                drop_for(connection, -ECONNRESET); /* nobody is left to be answered */
        return 0;
}

/* Each at most once a turn; one that fills the queue again leaves the others waiting. */
static void tell_waiters(ProxyConnection *connection) {
        for (guint n = connection->waiters->len; n > 0 && connection->waiters->len > 0; n--) {
                Waiter first = g_array_index(connection->waiters, Waiter, 0);

                if (connection->dropped || proxy_writer_queued(connection->writer) >= PROXY_QUEUE_HIGH)
                        return;
                g_array_remove_index(connection->waiters, 0);
                first.drained(connection, first.userdata);
        }
}

/* What is there for the client alone. Calls under way are not. */
static void close_up(ProxyConnection *connection) {
        g_clear_pointer(&connection->data, g_hash_table_unref);
        g_array_set_size(connection->waiters, 0);
        proxy_keepalive_done(&connection->keepalive);
        connection->io = sd_event_source_disable_unref(connection->io);
        proxy_worker_release(connection->worker, connection->held);
        connection->held = 0;
        proxy_packet_free(g_steal_pointer(&connection->aside));
        connection->reader = proxy_reader_free(connection->reader);
        connection->writer = proxy_writer_free(connection->writer);
        connection->fd = vb_close(connection->fd);
        connection->departed = true;
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata) {
        ProxyConnection *connection = userdata;

        vb_log_warning("%u calls of client %" G_GUINT64_FORMAT " (process %d of user %u), which has left, are given up",
                       connection->n_calls, connection->client.id, connection->client.pid, connection->client.uid);
        proxy_worker_client_gone(connection->worker, connection);
        return 0;
}

static void linger(ProxyConnection *connection) {
        int r;

        vb_log_debug("client %" G_GUINT64_FORMAT " has left, and %u of its calls go on", connection->client.id, connection->n_calls);
        r = sd_event_add_time_relative(proxy_worker_event(connection->worker), &connection->overdue, CLOCK_MONOTONIC,
                                       LINGER_MAX_SEC * (uint64_t) G_USEC_PER_SEC, G_USEC_PER_SEC, on_overdue, connection);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch how long a client's calls go on: %m");
        proxy_worker_client_left(connection->worker, connection);
}

/* May free it. */
static void end(ProxyConnection *connection) {
        bool departs = !connection->departed;

        if (departs) {
                vb_log_debug("client %" G_GUINT64_FORMAT " (process %d of user %u) is let go: %s", connection->client.id,
                             connection->client.pid, connection->client.uid, connection->dropped);
                close_up(connection);
        }
        if (connection->n_calls == 0)
                proxy_worker_client_gone(connection->worker, connection);
        else if (departs)
                linger(connection);
}

static int on_turn(sd_event_source *source, void *userdata) {
        ProxyConnection *connection = userdata;

        if (connection->dropped) {
                end(connection);
                return 0;
        }
        tell_waiters(connection);
        read_on(connection);
        return 0;
}

static void ping(void *userdata) {
        ProxyConnection *connection = userdata;

        if (may_read(connection))
                send_keepalive(connection, RPC_KEEPALIVE_PING);
        else
                proxy_keepalive_heard(&connection->keepalive); /* its answer would not be read */
}

static void gone(const char *why, void *userdata) {
        proxy_connection_drop(userdata, why);
}

int proxy_connection_new(ProxyConnection **ret, ProxyWorker *worker, const ProxyClient *client, int fd) {
        g_autoptr(ProxyConnection) connection = g_new0(ProxyConnection, 1);
        sd_event *event = proxy_worker_event(worker);
        int r;

        connection->worker = worker;
        connection->client = *client;
        connection->fd = fd;
        connection->read_only = client->door == PROXY_DOOR_READ_ONLY;
        connection->reader = proxy_reader_new();
        connection->writer = proxy_writer_new();
        connection->waiters = g_array_new(false, false, sizeof(Waiter));
        connection->events = EPOLLIN | EPOLLET;
        connection->keepalive.ping = ping;
        connection->keepalive.gone = gone;
        connection->keepalive.userdata = connection;
        r = sd_event_add_io(event, &connection->io, fd, connection->events, on_io, connection);
        if (r >= 0)
                r = sd_event_add_defer(event, &connection->turn, on_turn, connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->turn, SD_EVENT_OFF);
        if (r >= 0)
                r = proxy_keepalive_init(&connection->keepalive, event);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&connection);
        return 0;
}

ProxyConnection *proxy_connection_free(ProxyConnection *connection) {
        if (!connection)
                return NULL;
        if (!connection->dropped)
                connection->dropped = "the worker ends";
        while (connection->n_calls > 0)
                proxy_call_orphan(connection->calls[--connection->n_calls]);
        close_up(connection);
        g_array_unref(connection->waiters);
        sd_event_source_disable_unref(connection->turn);
        sd_event_source_disable_unref(connection->overdue);
        g_free(connection->driver);
        g_free(connection->uri);
        g_free(connection);
        return NULL;
}

/* For calls */

void proxy_connection_enter(ProxyConnection *connection, ProxyCall *call) {
        assert(connection->n_calls < PROXY_CALLS_MAX);
        connection->calls[connection->n_calls++] = call;
}

void proxy_connection_leave(ProxyConnection *connection, ProxyCall *call) {
        unsigned i = 0;

        while (i < connection->n_calls && connection->calls[i] != call)
                i++;
        assert(i < connection->n_calls);
        connection->calls[i] = connection->calls[--connection->n_calls];
        if (connection->aside || (connection->departed && connection->n_calls == 0))
                schedule_turn(connection);
        close_if_done(connection);
}

bool proxy_connection_has_program(const ProxyConnection *connection, uint32_t program) {
        bool admin = program == rpc_programs[RPC_PROGRAM_ADMIN].id;

        return program == rpc_programs[RPC_PROGRAM_KEEPALIVE].id ||
               admin == (connection->client.door == PROXY_DOOR_ADMIN);
}

/* The kernel has said who it is. */
bool proxy_connection_is_authenticated(const ProxyConnection *connection) {
        return true;
}

bool proxy_connection_is_open(const ProxyConnection *connection) {
        return connection->open;
}

int proxy_connection_open(ProxyConnection *connection, const char *driver, const char *uri, bool read_only) {
        if (connection->open)
                return -EALREADY;
        connection->open = true;
        connection->driver = g_strdup(driver);
        connection->uri = g_strdup(uri);
        connection->read_only = connection->read_only || read_only;
        if (!connection->departed)
                proxy_keepalive_opened(&connection->keepalive);
        proxy_worker_client_opened(connection->worker, connection);
        return 0;
}

static void close_when_all_is_said(ProxyConnection *connection, const char *why) {
        connection->closing = why;
        close_if_done(connection);
        update(connection);
}

void proxy_connection_close_after_reply(ProxyConnection *connection) {
        close_when_all_is_said(connection, "it has closed its connection");
}

/* What has arrived was sent when nobody could know, so it is still taken. */
void proxy_connection_wind_up(ProxyConnection *connection) {
        if (connection->dropped)
                return;
        read_on(connection);
        close_when_all_is_said(connection, "the daemon ends");
}

void proxy_connection_start_keepalive(ProxyConnection *connection) {
        if (!connection->departed)
                proxy_keepalive_start(&connection->keepalive);
}

/* For streams */

void proxy_connection_set_streams(ProxyConnection *connection, ProxyStreamTake take_packet, void *userdata) {
        connection->take_stream = take_packet;
        connection->stream_userdata = userdata;
}

void proxy_connection_hold_reading(ProxyConnection *connection) {
        connection->n_holds++;
        update(connection);
}

void proxy_connection_release_reading(ProxyConnection *connection) {
        assert(connection->n_holds > 0);
        if (--connection->n_holds == 0)
                schedule_turn(connection); /* something may have been read ahead */
}

size_t proxy_connection_queued(const ProxyConnection *connection) {
        return connection->writer ? proxy_writer_queued(connection->writer) : 0;
}

void proxy_connection_when_drained(ProxyConnection *connection, ProxyDrained drained, void *userdata) {
        proxy_connection_not_when_drained(connection, userdata);
        g_array_append_val(connection->waiters, ((Waiter){ drained, userdata }));
        if (proxy_connection_queued(connection) < PROXY_QUEUE_HIGH)
                schedule_turn(connection);
}

void proxy_connection_not_when_drained(ProxyConnection *connection, void *userdata) {
        for (guint i = 0; i < connection->waiters->len; i++)
                if (g_array_index(connection->waiters, Waiter, i).userdata == userdata) {
                        g_array_remove_index(connection->waiters, i);
                        return;
                }
}

/* For all */

static void item_free(gpointer p) {
        Item *item = p;

        if (item->free_data)
                item->free_data(item->data);
        g_free(item);
}

void proxy_connection_set_data(ProxyConnection *connection, const void *key, void *data, GDestroyNotify free_data) {
        if (!connection->data)
                connection->data = g_hash_table_new_full(NULL, NULL, NULL, item_free);
        if (data)
                (void) g_hash_table_replace(connection->data, (gpointer) key,
                                            g_memdup2(&(Item){ data, free_data }, sizeof(Item)));
        else
                (void) g_hash_table_remove(connection->data, key);
}

void *proxy_connection_data(ProxyConnection *connection, const void *key) {
        const Item *item = connection->data ? g_hash_table_lookup(connection->data, key) : NULL;

        return item ? item->data : NULL;
}

const ProxyClient *proxy_connection_client(const ProxyConnection *connection) {
        return &connection->client;
}

ProxyWorker *proxy_connection_worker(ProxyConnection *connection) {
        return connection->worker;
}

bool proxy_connection_is_read_only(const ProxyConnection *connection) {
        return connection->read_only;
}

const char *proxy_connection_driver(const ProxyConnection *connection) {
        return connection->driver;
}

const char *proxy_connection_uri(const ProxyConnection *connection) {
        return connection->uri;
}
