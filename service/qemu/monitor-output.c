/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/monitor-output.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef struct Chunk {
        int fd;
        size_t size, sent;
        char data[];
} Chunk;

static void chunk_free(Chunk *chunk) {
        vb_close(chunk->fd);
        g_free(chunk);
}

void output_queue_clear(OutputQueue *queue) {
        g_queue_clear_full(&queue->chunks, (GDestroyNotify) chunk_free);
        queue->size = 0;
}

void output_queue_add(OutputQueue *queue, const void *data, size_t size, int fd, bool first) {
        Chunk *chunk = g_malloc(sizeof *chunk + size);

        g_assert(size > 0);
        chunk->fd = fd;
        chunk->size = size;
        chunk->sent = 0;
        memcpy(chunk->data, data, size);
        queue->size += size;
        if (first)
                g_queue_push_head(&queue->chunks, chunk);
        else
                g_queue_push_tail(&queue->chunks, chunk);
}

static ssize_t send_chunk(int socket_fd, Chunk *chunk) {
        struct iovec bytes = { .iov_base = chunk->data + chunk->sent, .iov_len = chunk->size - chunk->sent };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };

        if (chunk->fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &chunk->fd, sizeof(int));
        }
        return sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int output_queue_send(OutputQueue *queue, int socket_fd) {
        Chunk *chunk;

        while ((chunk = g_queue_peek_head(&queue->chunks))) {
                ssize_t n = send_chunk(socket_fd, chunk);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 1 : -errno;
                chunk->fd = vb_close(chunk->fd);
                chunk->sent += (size_t) n;
                queue->size -= (size_t) n;
                if (chunk->sent == chunk->size)
                        chunk_free(g_queue_pop_head(&queue->chunks));
        }
        return 0;
}
