/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bytes, some with a descriptor beside them, that wait for a stream socket to take them. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

typedef struct OutputQueue {
        GQueue chunks;
        size_t size; /* bytes that wait */
} OutputQueue;

#define OUTPUT_QUEUE_INIT { G_QUEUE_INIT, 0 }

void output_queue_clear(OutputQueue *queue);

/* Copies data; fd (or negative) is taken over and sent with the first of these bytes. first: before all others. */
void output_queue_add(OutputQueue *queue, const void *data, size_t size, int fd, bool first);

/* Sends what the socket takes: 0 if all is sent, 1 if something waits for the socket, negative errno if it failed. */
VB_MUST_USE int output_queue_send(OutputQueue *queue, int socket_fd);
