/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/stream.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/call-private.h"
#include "proxy/connection-private.h"
#include "proxy/constants.h"
#include "proxy/packet.h"
#include "proxy/stream-fd.h"
#include "proxy/worker.h"
#include "proxy/xdr.h"

/* All of one connection. */
typedef struct Streams {
        ProxyConnection *connection;
        GHashTable *by_serial; /* owns */
        bool waits_for_drain;
} Streams;

/* A packet of the client that the descriptor has not taken yet: data, or a hole. */
typedef struct Arrival {
        ProxyPacket *packet;
        size_t done; /* bytes of its body */
        uint64_t hole; /* what is left of it */
} Arrival;

typedef struct Stream {
        Streams *streams;
        ProxyPacketHeader header; /* of what is sent to the client */
        int error_domain;
        ProxyStreamFlags flags;

        int fd;
        sd_event_source *source; /* of the descriptor; of a file, which is always ready, one that comes each turn */
        bool is_file;

        bool at_end; /* nothing more comes from the descriptor */
        bool finishing; /* the client has nothing more to say, and waits to hear that all was taken */
        GQueue backlog; /* of Arrival */
        size_t backlog_size; /* bytes, by arrival_cost() */
        bool holds; /* the client is not read from */
} Stream;

/* Also nothing costs something: a client may send many small packets. */
static size_t arrival_cost(const Arrival *arrival) {
        return (arrival->packet ? arrival->packet->size : 0) + 256;
}

static void arrival_free(gpointer data) {
        Arrival *arrival = data;

        (void) proxy_packet_free(arrival->packet);
        g_free(arrival);
}

/* Takes the connection's reading up again, unless the connection is going, too. */
static void release_reading(Stream *stream) {
        if (stream->holds && stream->streams->connection)
                proxy_connection_release_reading(stream->streams->connection);
        stream->holds = false;
}

static void stream_free(gpointer data) {
        Stream *stream = data;

        sd_event_source_disable_unref(stream->source);
        (void) vb_close(stream->fd);
        release_reading(stream);
        g_queue_clear_full(&stream->backlog, arrival_free);
        g_free(stream);
}

static void streams_free(gpointer data) {
        Streams *streams = data;

        streams->connection = NULL;
        g_hash_table_destroy(streams->by_serial);
        g_free(streams);
}

static void stream_remove(Stream *stream) {
        (void) g_hash_table_remove(stream->streams->by_serial, GUINT_TO_POINTER(stream->header.serial));
}

/* --- to the client -------------------------------------------------------------------------------------------------- */

static void send_packet(Stream *stream, ProxyPacketType type, ProxyPacketStatus status, GByteArray *message) {
        ProxyPacketHeader header = stream->header;
        int r;

        header.type = type;
        header.status = status;
        r = proxy_packet_finish(message, &header);
        if (r < 0) { /* no packet of ours is that long */
                (void) vb_log_error_errno(r, "cannot put a packet of a stream together: %m");
                g_byte_array_unref(message);
                return;
        }
        proxy_connection_send(stream->streams->connection, message, NULL, 0);
}

static void send_data(Stream *stream, const void *data, size_t size) {
        GByteArray *message = proxy_packet_begin();

        g_byte_array_append(message, data, (unsigned) size);
        send_packet(stream, PROXY_PACKET_STREAM, PROXY_PACKET_CONTINUE, message);
}

static void send_hole(Stream *stream, uint64_t length) {
        const RpcStreamHole hole = { .length = (int64_t) length };
        GByteArray *message = proxy_packet_begin();
        XdrProblem problem;

        if (xdr_encode(&rpc_type_stream_hole, &hole, message, &problem) < 0)
                g_assert_not_reached();
        send_packet(stream, PROXY_PACKET_STREAM_HOLE, PROXY_PACKET_CONTINUE, message);
}

/* Before the client hears that it is over: a console, say, is then free for the next. */
static void let_go(Stream *stream) {
        stream->source = sd_event_source_disable_unref(stream->source);
        stream->fd = vb_close(stream->fd);
}

/* All is done, or given up, as the client wanted. */
static void stream_end(Stream *stream) {
        let_go(stream);
        send_packet(stream, PROXY_PACKET_STREAM, PROXY_PACKET_OK, proxy_packet_begin());
        stream_remove(stream);
}

/* The stream is over, and not as the client wanted. */
static void stream_fail(Stream *stream, int r, const sd_bus_error *error) {
        Streams *streams = stream->streams;
        GByteArray *message = NULL;

        let_go(stream);
        r = proxy_error_encode(&message, &stream->header, PROXY_PACKET_STREAM, r, error, stream->error_domain,
                               proxy_connection_driver(streams->connection));
        if (r < 0)
                proxy_connection_drop(streams->connection, "an error of a stream could not be told");
        else
                proxy_connection_send(streams->connection, message, NULL, 0);
        stream_remove(stream);
}

static void stream_fail_errno(Stream *stream, int r, const char *what) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        r = proxy_error_set(&error, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS, "%s: %s", what, g_strerror(-r));
        stream_fail(stream, r, &error);
}

static void stream_refuse(Stream *stream, const char *what) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = proxy_error_set(&error, VIR_ERR_RPC, VIR_FROM_STREAMS, "%s", what);
        stream_fail(stream, r, &error);
}

static bool wants_to_read(const Stream *stream) {
        return (stream->flags & PROXY_STREAM_TO_CLIENT) && !stream->at_end && !stream->finishing &&
               !stream->streams->waits_for_drain;
}

static bool wants_to_write(const Stream *stream) {
        return stream->backlog.length > 0;
}

/* Waits for what is wanted, and for nothing else: an end that has been told would come again and again. */
static void stream_watch(Stream *stream) {
        uint32_t events = (wants_to_read(stream) ? EPOLLIN : 0u) | (wants_to_write(stream) ? EPOLLOUT : 0u);
        int r = 0;

        if (!stream->is_file && events != 0)
                r = sd_event_source_set_io_events(stream->source, events);
        if (r >= 0)
                r = sd_event_source_set_enabled(stream->source, events == 0 ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                stream_fail_errno(stream, r, "Unable to watch the stream's file");
}

static void on_drained(ProxyConnection *connection, void *userdata) {
        Streams *streams = userdata;
        g_autoptr(GList) list = g_hash_table_get_values(streams->by_serial);

        streams->waits_for_drain = false;
        for (GList *item = list; item; item = item->next)
                stream_watch(item->data);
}

/* The client does not read as fast as data comes: all its streams wait. */
static void hold_back(Streams *streams) {
        if (streams->waits_for_drain || proxy_connection_queued(streams->connection) < PROXY_QUEUE_HIGH)
                return;
        streams->waits_for_drain = true;
        proxy_connection_when_drained(streams->connection, on_drained, streams);
}

/* -EAGAIN is no failure; after any other the stream is gone. */
static int stream_read(Stream *stream) {
        static uint8_t buffer[PROXY_STREAM_DATA_MAX];
        uint64_t hole = 0;
        ssize_t n;

        n = proxy_stream_fd_read(stream->fd, buffer, sizeof(buffer), stream->flags & PROXY_STREAM_SPARSE ? &hole : NULL);
        if (n == -EAGAIN)
                return 0;
        if (n < 0) {
                stream_fail_errno(stream, (int) n, "Unable to read from stream");
                return (int) n;
        }
        if (hole > 0)
                send_hole(stream, hole);
        else {
                stream->at_end = n == 0;
                send_data(stream, buffer, (size_t) n); /* none: the end */
        }
        hold_back(stream->streams);
        return 0;
}

/* --- from the client ------------------------------------------------------------------------------------------------ */

static void backlog_pop(Stream *stream) {
        Arrival *arrival = g_queue_pop_head(&stream->backlog);

        stream->backlog_size -= arrival_cost(arrival);
        arrival_free(arrival);
}

/* Nobody takes it any more: a console whose guest is off. The client is told so by the end of what it reads. */
static void throw_backlog_away(Stream *stream) {
        g_queue_clear_full(&stream->backlog, arrival_free);
        stream->backlog_size = 0;
}

/* Some of it; how much is left is known by the arrival itself. */
static int64_t write_arrival(Stream *stream, Arrival *arrival) {
        int64_t n;

        if (arrival->hole > 0) {
                n = proxy_stream_fd_write_hole(stream->fd, arrival->hole);
                if (n > 0)
                        arrival->hole -= (uint64_t) n;
                return n;
        }
        n = proxy_stream_fd_write(stream->fd, arrival->packet->body + arrival->done, arrival->packet->size - arrival->done);
        if (n > 0)
                arrival->done += (size_t) n;
        return n;
}

static bool is_written(const Arrival *arrival) {
        return arrival->hole == 0 && (!arrival->packet || arrival->done == arrival->packet->size);
}

/* After a failure other than -EAGAIN the stream is gone; after all was written it may be. Returns 1 while it is there. */
static int stream_write(Stream *stream) {
        Arrival *arrival = g_queue_peek_head(&stream->backlog);
        int64_t n = arrival ? write_arrival(stream, arrival) : 0;

        if ((n == -EPIPE || n == -ECONNRESET) && (stream->flags & PROXY_STREAM_TO_CLIENT))
                throw_backlog_away(stream);
        else if (n < 0 && n != -EAGAIN) {
                stream_fail_errno(stream, (int) n, "Unable to write to stream");
                return (int) n;
        } else if (arrival && is_written(arrival))
                backlog_pop(stream);

        if (stream->backlog_size <= PROXY_STREAM_BACKLOG / 2)
                release_reading(stream);
        if (stream->finishing && !wants_to_write(stream)) {
                stream_end(stream);
                return 0;
        }
        return 1;
}

static void keep_arrival(Stream *stream, ProxyPacket *packet, uint64_t hole) {
        Arrival *arrival = g_new(Arrival, 1);

        *arrival = (Arrival){ .packet = packet, .hole = hole };
        g_queue_push_tail(&stream->backlog, arrival);
        stream->backlog_size += arrival_cost(arrival);
        if (stream->backlog_size > PROXY_STREAM_BACKLOG && !stream->holds) {
                stream->holds = true;
                proxy_connection_hold_reading(stream->streams->connection);
        }
        /* What it takes at once need not wait for the loop. */
        if (stream_write(stream) > 0)
                stream_watch(stream);
}

static void on_hole(Stream *stream, const ProxyPacket *packet) {
        g_auto(ProxyArena) arena = {};
        XdrProblem problem = {};
        RpcStreamHole hole = {};

        if (xdr_decode(&rpc_type_stream_hole, packet->body, packet->size, &arena, &hole, &problem) < 0 || hole.length < 0 ||
            hole.flags != 0)
                stream_refuse(stream, "a hole in a stream without a length");
        else if (!(stream->flags & PROXY_STREAM_SPARSE) || !(stream->flags & PROXY_STREAM_FROM_CLIENT))
                stream_refuse(stream, "a hole in a stream that has none");
        else if (hole.length > 0)
                keep_arrival(stream, NULL, (uint64_t) hole.length);
}

static void on_data(Stream *stream, ProxyPacket *packet) {
        g_autoptr(ProxyPacket) own = packet;

        if (!(stream->flags & PROXY_STREAM_FROM_CLIENT))
                stream_refuse(stream, "data on a stream that is only read");
        else if (packet->size > 0) /* nothing: the end of data, after which the client finishes */
                keep_arrival(stream, g_steal_pointer(&own), 0);
}

static void on_finish(Stream *stream) {
        stream->finishing = true;
        if (!wants_to_write(stream))
                stream_end(stream);
        else
                stream_watch(stream);
}

static bool belongs_to(const ProxyPacket *packet, const Stream *stream) {
        return packet->header.program == stream->header.program && packet->header.procedure == stream->header.procedure;
}

static int take(ProxyConnection *connection, ProxyPacket *given, void *userdata) {
        Streams *streams = userdata;
        Stream *stream = g_hash_table_lookup(streams->by_serial, GUINT_TO_POINTER(given->header.serial));
        g_autoptr(ProxyPacket) packet = NULL;

        /* Of one that has failed, there may still be something on its way. */
        if (!stream || !belongs_to(given, stream))
                return 0;

        packet = given;
        if (packet->header.type == PROXY_PACKET_STREAM && packet->header.status == PROXY_PACKET_ERROR)
                stream_end(stream);
        else if (stream->finishing)
                stream_refuse(stream, "a packet on a stream that the client has finished");
        else if (packet->header.type == PROXY_PACKET_STREAM_HOLE && packet->header.status == PROXY_PACKET_CONTINUE)
                on_hole(stream, packet);
        else if (packet->header.type == PROXY_PACKET_STREAM && packet->header.status == PROXY_PACKET_CONTINUE)
                on_data(stream, g_steal_pointer(&packet));
        else if (packet->header.type == PROXY_PACKET_STREAM && packet->header.status == PROXY_PACKET_OK)
                on_finish(stream);
        else
                stream_refuse(stream, "a packet on a stream with a status that is none");
        return 1;
}

/* --- beginning ------------------------------------------------------------------------------------------------------ */

static void stream_turn(Stream *stream, bool readable, bool writable) {
        if (readable && wants_to_read(stream) && stream_read(stream) < 0)
                return;
        if (writable && wants_to_write(stream) && stream_write(stream) <= 0)
                return;
        stream_watch(stream);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        stream_turn(userdata, events & (EPOLLIN | EPOLLHUP | EPOLLERR), events & (EPOLLOUT | EPOLLHUP | EPOLLERR));
        return 0;
}

static int on_file_turn(sd_event_source *source, void *userdata) {
        stream_turn(userdata, true, true);
        return 0;
}

static int stream_connect(Stream *stream, sd_event *event) {
        int r;

        r = proxy_stream_fd_prepare(stream->fd);
        if (r < 0)
                return r;
        stream->is_file = r > 0;
        if (stream->is_file)
                r = sd_event_add_defer(event, &stream->source, on_file_turn, stream);
        else
                r = sd_event_add_io(event, &stream->source, stream->fd, EPOLLIN, on_ready, stream);
        if (r < 0)
                return r;
        /* The client's own calls come first. */
        return sd_event_source_set_priority(stream->source, SD_EVENT_PRIORITY_NORMAL + 10);
}

static Streams *get_streams(ProxyConnection *connection) {
        static const char key;
        Streams *streams = proxy_connection_data(connection, &key);

        if (streams)
                return streams;
        streams = g_new0(Streams, 1);
        streams->connection = connection;
        streams->by_serial = g_hash_table_new_full(NULL, NULL, NULL, stream_free);
        proxy_connection_set_data(connection, &key, streams, streams_free);
        proxy_connection_set_streams(connection, take, streams);
        return streams;
}

int proxy_stream_start(ProxyCall *call, int fd, ProxyStreamFlags flags, sd_bus_error *reterr) {
        vb_autofd own = fd;
        ProxyConnection *connection = proxy_call_connection(call);
        const RpcProcedure *procedure = proxy_call_procedure(call);
        const RpcProgram *program = &rpc_programs[procedure->program];
        uint32_t serial = proxy_call_serial(call);
        Streams *streams;
        Stream *stream;
        int r;

        if (proxy_call_is_orphan(call))
                return 0;
        streams = get_streams(connection);
        if (g_hash_table_size(streams->by_serial) >= PROXY_STREAMS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "this connection has %d streams open already",
                                         PROXY_STREAMS_MAX);
        if (g_hash_table_contains(streams->by_serial, GUINT_TO_POINTER(serial)))
                return proxy_error_set(reterr, VIR_ERR_RPC, VIR_FROM_STREAMS, "serial %u is that of a stream already", serial);

        stream = g_new(Stream, 1);
        *stream = (Stream){
                .streams = streams,
                .header = { .program = program->id, .version = program->version, .procedure = procedure->number, .serial = serial },
                .error_domain = procedure->domain,
                .flags = flags,
                .fd = vb_steal_fd(&own),
        };
        (void) g_hash_table_insert(streams->by_serial, GUINT_TO_POINTER(serial), stream);
        r = stream_connect(stream, proxy_worker_event(proxy_connection_worker(connection)));
        if (r < 0) {
                stream_remove(stream);
                return sd_bus_error_set_errnof(reterr, r, "cannot watch what the stream leads to: %m");
        }
        stream_watch(stream);
        return 0;
}
