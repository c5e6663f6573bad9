/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stream.c, keepalive.c and worker.c know of a connection, and nobody else. */

#include "proxy/connection.h"
#include "proxy/packet.h"

/* Streams take what is theirs (STREAM and STREAM_HOLE packets) by this; one that nobody takes is answered with an error. Returns 1 if it was
 * taken (then the packet is the taker's), 0 if no stream has this serial, negative to drop the client. */
typedef int (*ProxyStreamTake)(ProxyConnection *connection, ProxyPacket *packet, void *userdata);
void proxy_connection_set_streams(ProxyConnection *connection, ProxyStreamTake take, void *userdata);
/* A stream whose other end takes no more for now holds the client back: it is not read from as long as anyone does. Counted. */
void proxy_connection_hold_reading(ProxyConnection *connection);
void proxy_connection_release_reading(ProxyConnection *connection);

/* The client breaks the protocol, or has to go: it is dropped, from the loop, so that whoever says so can still finish. */
void proxy_connection_drop(ProxyConnection *connection, const char *why);

/* The worker is to end: what the client has sent so far is still answered, then it is closed. */
void proxy_connection_wind_up(ProxyConnection *connection);

/* connect_supports_feature asked for keepalive: from now on the server pings. */
void proxy_connection_start_keepalive(ProxyConnection *connection);
