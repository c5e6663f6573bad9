/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/control.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PACKETS_A_TURN 64 /* so that one busy worker does not keep the listener from the others */

typedef struct Waiting {
        ProxyControlHead head;
        int fd;
        size_t n_tail;
        uint8_t tail[];
} Waiting;

struct ProxyControl {
        int fd;
        sd_event_source *source;
        const ProxyControlEnds *ends;
        void *userdata;
        GQueue queue; /* of Waiting */
        uint8_t *tail; /* of the packet that is being received */
        bool *freed; /* while it calls others */
};

typedef union DescriptorSpace {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int))];
} DescriptorSpace;

static int send_now(int control_fd, const ProxyControlHead *head, const void *tail, size_t n_tail, int fd) {
        struct iovec parts[] = {
                { .iov_base = (void *) head, .iov_len = sizeof *head },
                { .iov_base = (void *) tail, .iov_len = n_tail },
        };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_tail > 0 ? 2 : 1 };
        DescriptorSpace control = { 0 };

        if (fd >= 0) {
                struct cmsghdr *header = &control.align;

                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof fd);
                memcpy(CMSG_DATA(header), &fd, sizeof fd);
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
        }
        return sendmsg(control_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int take_descriptor(struct msghdr *message) {
        struct cmsghdr *header = CMSG_FIRSTHDR(message);
        int fd;

        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
            header->cmsg_len != CMSG_LEN(sizeof fd))
                return -EBADF;
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
        return fd;
}

static int receive(int control_fd, int flags, ProxyControlHead *ret, void *tail, size_t *n_tail, int *ret_fd) {
        struct iovec parts[] = {
                { .iov_base = ret, .iov_len = sizeof *ret },
                { .iov_base = tail, .iov_len = PROXY_CONTROL_TAIL_MAX },
        };
        DescriptorSpace control = { 0 };
        struct msghdr message = {
                .msg_iov = parts,
                .msg_iovlen = 2,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        vb_autofd fd = -EBADF;
        ssize_t n;

        do
                n = recvmsg(control_fd, &message, flags | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -EPIPE;
        fd = take_descriptor(&message);
        if ((size_t) n < sizeof *ret || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || ret->kind < 0 ||
            ret->kind >= _PROXY_CONTROL_KIND_MAX)
                return -EBADMSG;
        *n_tail = (size_t) n - sizeof *ret;
        ((char *) tail)[*n_tail] = '\0';
        *ret_fd = vb_steal_fd(&fd);
        return 0;
}

int proxy_control_receive(int control_fd, ProxyControlHead *ret, void *tail, size_t *n_tail, int *ret_fd) {
        return receive(control_fd, /* flags= */ 0, ret, tail, n_tail, ret_fd);
}

static void waiting_free(gpointer p) {
        Waiting *waiting = p;

        (void) vb_close(waiting->fd);
        g_free(waiting);
}

static int watch_for(ProxyControl *control, uint32_t events) {
        return sd_event_source_set_io_events(control->source, events);
}

/* What could not be sent at once, as far as it is taken now. */
static int send_waiting(ProxyControl *control) {
        while (control->queue.length > 0) {
                Waiting *waiting = control->queue.head->data;
                int r;

                r = send_now(control->fd, &waiting->head, waiting->tail, waiting->n_tail, waiting->fd);
                if (r == -EAGAIN || r == -EINTR)
                        return 0;
                if (r < 0)
                        return r;
                waiting_free(g_queue_pop_head(&control->queue));
        }
        return watch_for(control, EPOLLIN);
}

/* Returns 1 if there may be more, 0 if not. */
static int receive_one(ProxyControl *control) {
        ProxyControlHead head = { 0 };
        vb_autofd fd = -EBADF;
        bool freed = false;
        size_t n_tail = 0;
        int r;

        r = receive(control->fd, MSG_DONTWAIT, &head, control->tail, &n_tail, &fd);
        if (r == -EAGAIN)
                return 0;
        if (r < 0)
                return r;
        control->freed = &freed;
        r = control->ends->received(&head, control->tail, n_tail, &fd, control->userdata);
        if (freed)
                return 0;
        control->freed = NULL;
        return r < 0 ? r : 1;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        ProxyControl *control = userdata;
        int r = 0;

        if (events & EPOLLOUT)
                r = send_waiting(control);
        if (r >= 0 && (events & (EPOLLIN | EPOLLHUP))) {
                r = 1;
                for (unsigned i = 0; i < PACKETS_A_TURN && r > 0; i++)
                        r = receive_one(control); /* 0: nothing more, or no more control */
        }
        if (r < 0) {
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                control->ends->gone(r, control->userdata);
        }
        return 0;
}

int proxy_control_new(ProxyControl **ret, sd_event *event, int fd, const ProxyControlEnds *ends, void *userdata) {
        g_autoptr(ProxyControl) control = g_new0(ProxyControl, 1);
        int r;

        control->fd = fd;
        control->ends = ends;
        control->userdata = userdata;
        control->tail = g_malloc(PROXY_CONTROL_TAIL_MAX + 1);
        r = sd_event_add_io(event, &control->source, fd, EPOLLIN, on_io, control);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(control->source, "control");
        *ret = g_steal_pointer(&control);
        return 0;
}

static int wait_with(ProxyControl *control, const ProxyControlHead *head, const void *tail, size_t n_tail, int fd) {
        Waiting *waiting;
        int copy = -EBADF;

        if (control->queue.length >= PROXY_CONTROL_QUEUE_MAX)
                return -ENOBUFS;
        if (fd >= 0) {
                copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (copy < 0)
                        return -errno;
        }
        waiting = g_malloc(sizeof *waiting + n_tail);
        waiting->head = *head;
        waiting->fd = copy;
        waiting->n_tail = n_tail;
        if (n_tail > 0)
                memcpy(waiting->tail, tail, n_tail);
        g_queue_push_tail(&control->queue, waiting);
        return watch_for(control, EPOLLIN | EPOLLOUT);
}

int proxy_control_send(ProxyControl *control, const ProxyControlHead *head, const void *tail, size_t n_tail, int fd) {
        int r;

        assert(n_tail <= PROXY_CONTROL_TAIL_MAX);
        if (control->queue.length > 0)
                return wait_with(control, head, tail, n_tail, fd);
        r = send_now(control->fd, head, tail, n_tail, fd);
        if (r == -EAGAIN || r == -EINTR)
                return wait_with(control, head, tail, n_tail, fd);
        return r;
}

ProxyControl *proxy_control_free(ProxyControl *control) {
        if (!control)
                return NULL;
        if (control->freed)
                *control->freed = true;
        g_queue_clear_full(&control->queue, waiting_free);
        sd_event_source_disable_unref(control->source);
        (void) vb_close(control->fd);
        g_free(control->tail);
        g_free(control);
        return NULL;
}
