/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#define BUFFER_SIZE ((size_t) 64 * 1024)

/* One direction. What is in the buffer lies between start and end; it is filled again only when it is empty, as
 * both a console and its reader work in small pieces. */
typedef struct Flow {
        size_t start, end;
        bool finished; /* the source has no more */
        char *buffer;  /* allocated when first needed */
} Flow;

typedef struct Side {
        VbRelay *relay;
        int fd;
        sd_event_source *source;
        Flow flow; /* what comes from here and goes to the other side */
} Side;

struct VbRelay {
        Side sides[2];
        VbRelayEnded ended;
        void *userdata;
};

static Side *side_get_other(Side *side) {
        return side == &side->relay->sides[0] ? &side->relay->sides[1] : &side->relay->sides[0];
}

static bool flow_is_empty(const Flow *flow) {
        return flow->start == flow->end;
}

/* Returns 0 when nothing more can be read now or ever (then finished is set), else a negative errno. */
static int side_read(Side *side) {
        Flow *flow = &side->flow;
        ssize_t n;

        if (!flow_is_empty(flow) || flow->finished)
                return 0;
        if (!flow->buffer)
                flow->buffer = g_malloc(BUFFER_SIZE);

        n = read(side->fd, flow->buffer, BUFFER_SIZE);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        /* A terminal whose other end is closed answers with EIO, where a socket says that there is no more. */
        if (n == 0 || (n < 0 && (errno == EIO || errno == ECONNRESET))) {
                flow->finished = true;
                return 0;
        }
        if (n < 0)
                return -errno;

        flow->start = 0;
        flow->end = (size_t) n;
        return 0;
}

static int side_write(Side *side) {
        Flow *flow = &side_get_other(side)->flow;

        while (!flow_is_empty(flow)) {
                ssize_t n = write(side->fd, flow->buffer + flow->start, flow->end - flow->start);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0)
                        return -errno;
                flow->start += (size_t) n;
        }
        return 0;
}

/* Listens for what can go on: to read where the buffer is free, to write where it is not. */
static int side_arm(Side *side) {
        uint32_t events = 0;

        if (flow_is_empty(&side->flow) && !side->flow.finished)
                events |= EPOLLIN;
        if (!flow_is_empty(&side_get_other(side)->flow))
                events |= EPOLLOUT;
        return sd_event_source_set_io_events(side->source, events);
}

static void relay_end(VbRelay *relay, int r) {
        for (size_t i = 0; i < G_N_ELEMENTS(relay->sides); i++)
                relay->sides[i].source = sd_event_source_disable_unref(relay->sides[i].source);
        if (relay->ended)
                relay->ended(relay, r, relay->userdata);
}

/* Each side hangs up once what it said is delivered. Half-open conversations are of no use on a console. */
static bool relay_is_over(const VbRelay *relay) {
        for (size_t i = 0; i < G_N_ELEMENTS(relay->sides); i++)
                if (relay->sides[i].flow.finished && flow_is_empty(&relay->sides[i].flow))
                        return true;
        return false;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Side *side = userdata, *other = side_get_other(side);
        VbRelay *relay = side->relay;
        int r = 0;

        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                r = side_read(side);
        if (r >= 0)
                r = side_write(other);
        if (r >= 0 && (revents & EPOLLOUT))
                r = side_write(side);

        /* Hung up while its last words still wait for the other side: drop out of epoll's reach, which would report
         * the hang-up again and again; the other side's EPOLLOUT brings us back. */
        if (r >= 0 && (revents & (EPOLLHUP | EPOLLERR)) && !flow_is_empty(&side->flow)) {
                side->flow.finished = true;
                (void) sd_event_source_set_enabled(side->source, SD_EVENT_OFF);
        }

        if (r < 0 || relay_is_over(relay)) {
                relay_end(relay, r == -EPIPE ? 0 : r);
                return 0;
        }

        r = side_arm(side);
        if (r >= 0)
                r = side_arm(other);
        if (r < 0)
                relay_end(relay, r);
        return 0;
}

static int side_start(Side *side, sd_event *event) {
        int flags, r;

        flags = fcntl(side->fd, F_GETFL);
        if (flags < 0 || fcntl(side->fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;

        r = sd_event_add_io(event, &side->source, side->fd, EPOLLIN, on_io, side);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(side->source, "relay");
        /* After everything else: a guest that floods its console must not get in front of anybody's call. */
        return sd_event_source_set_priority(side->source, SD_EVENT_PRIORITY_IDLE);
}

int vb_relay_new(VbRelay **ret, sd_event *event, int left, int right, VbRelayEnded ended, void *userdata) {
        g_autoptr(VbRelay) relay = g_new0(VbRelay, 1);
        int fds[] = { left, right };
        int r;

        *relay = (VbRelay){ .ended = ended, .userdata = userdata };
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                relay->sides[i] = (Side){ .relay = relay, .fd = fds[i] };

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                r = side_start(&relay->sides[i], event);
                if (r < 0)
                        return r;
        }

        *ret = g_steal_pointer(&relay);
        return 0;
}

bool vb_relay_right_has_left(VbRelay *relay) {
        Side *left = &relay->sides[0], *right = &relay->sides[1];
        struct pollfd gone = { .fd = right->fd, .events = POLLRDHUP };

        if (poll(&gone, 1, /* timeout= */ 0) <= 0)
                return false;
        while (side_write(left) >= 0 && flow_is_empty(&right->flow) && !right->flow.finished)
                if (side_read(right) < 0 || flow_is_empty(&right->flow))
                        break;
        return true;
}

VbRelay *vb_relay_free(VbRelay *relay) {
        if (!relay)
                return NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(relay->sides); i++) {
                Side *side = &relay->sides[i];

                side->source = sd_event_source_disable_unref(side->source);
                side->fd = vb_close(side->fd);
                g_clear_pointer(&side->flow.buffer, g_free);
        }
        g_free(relay);
        return NULL;
}
