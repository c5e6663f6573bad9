/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The classic streams: data that flows on a connection under the serial of the call that opened it. Here each is tied to a
 * descriptor of the bus's world: a console, a screenshot, a volume's. Back-pressure both ways: nothing is read of the
 * descriptor while the client's queue is full, and the client is not read from while the descriptor takes no more.
 *
 * A stream lives from proxy_stream_start() until the client finishes or aborts it, something fails (which the client is told), or the
 * connection ends. Packets that the client had sent before it could know of a failure are thrown away. */

#include "proxy/call.h"

enum {
        PROXY_STREAMS_MAX = 64, /* of one connection */
        PROXY_STREAM_DATA_MAX = 262120, /* bytes of a packet, as every peer takes them */
        PROXY_STREAM_BACKLOG = 1024 * 1024, /* what the client has sent and the descriptor has not taken; then the client has to wait */
};

typedef enum ProxyStreamFlags {
        PROXY_STREAM_TO_CLIENT = 1 << 0, /* the descriptor is read */
        PROXY_STREAM_FROM_CLIENT = 1 << 1, /* the descriptor is written */
        PROXY_STREAM_SPARSE = 1 << 2, /* holes are told as such, both ways */
} ProxyStreamFlags;

/* Right before the call's own reply, which must be queued in the same turn of the loop: then data flows. The descriptor is taken over
 * (also if this fails), and made non-blocking. */
VB_MUST_USE int proxy_stream_start(ProxyCall *call, int fd, ProxyStreamFlags flags, sd_bus_error *reterr);
