/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/link.h"

#include <assert.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/adopt.h"
#include "bus/daemon-private.h"
#include "bus/dispatch.h"
#include "bus/link-private.h"

/* sd-bus could attach a link to the loop by itself, but then looks after each of them in every turn of the loop, which a thousand links
 * would make slow. So the loop watches the sockets alone, and we call sd-bus when one has something for it. Edge-triggered, as the
 * loop serves one source in a turn: else each turn would collect all that are ready anew, and a thousand that close at once take seconds. */

enum {
        SIGNALS_QUEUED_MAX = 16 * 1024,
        TURNS_MAX = 16, /* messages of one link before others have their turn */
};

#define HALF_DONE_USEC (30 * (uint64_t) G_USEC_PER_SEC)
#define LAST_WORDS_USEC (1 * (uint64_t) G_USEC_PER_SEC)

/* Ending */

static void count(VbLink *link, int change) {
        GHashTable *by_opener = link->links->by_opener;
        void *key = GUINT_TO_POINTER(link->opener);
        unsigned n;

        if (link->opener == VB_UID_NOBODYS)
                return;
        n = GPOINTER_TO_UINT(g_hash_table_lookup(by_opener, key)) + (unsigned) change;
        if (n > 0)
                g_hash_table_insert(by_opener, key, GUINT_TO_POINTER(n));
        else
                g_hash_table_remove(by_opener, key);
}

VbLink *vb_link_free(VbLink *link) {
        if (!link)
                return NULL;
        if (link->in_all.data) {
                g_queue_unlink(&link->links->all, &link->in_all);
                count(link, -1);
        }
        if (link->in_listening.data)
                g_queue_unlink(&link->links->listening, &link->in_listening);
        if (link->doomed)
                g_queue_unlink(&link->links->doomed, &link->in_doomed);
        sd_event_source_disable_unref(link->io);
        sd_bus_slot_unref(link->filter);
        sd_bus_close_unref(link->bus);
        vb_peer_unlisten(&link->opener_gone);
        vb_process_free(link->process);
        if (link->peer)
                vb_peer_close(link->peer);
        vb_peer_unref(link->peer);
        g_free(link);
        return NULL;
}

/* Not now: we may be in the midst of a call that came by it, or of a walk through all. */
static void end_soon(VbLink *link) {
        int r;

        if (link->doomed)
                return;
        link->doomed = true;
        link->in_doomed.data = link;
        g_queue_push_tail_link(&link->links->doomed, &link->in_doomed);
        r = sd_event_source_set_enabled(link->links->reap, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot plan to close %s: %m", vb_peer_label(link->peer));
}

static void end_for(VbLink *link, const char *why) {
        if (!link->doomed)
                vb_log_info("%s of user %u is closed: %s", vb_peer_label(link->peer), vb_peer_uid(link->peer), why);
        end_soon(link);
}

static int on_reap(sd_event_source *source, void *userdata) {
        VbLinks *links = userdata;

        while (links->doomed.head)
                vb_link_free(links->doomed.head->data);
        return 0;
}

void vb_link_on_opener_gone(VbPeerListener *listener, const sd_bus_error *error) {
        end_soon(vb_container_of(listener, VbLink, opener_gone));
}

void vb_link_on_process_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        VbLink *link = userdata;

        vb_peer_set_ended(link->peer);
        vb_authorization_peer_ended(vb_daemon_authorization(link->links->daemon), link->peer);
}

/* What is begun and not ended, a handshake or a message, holds memory. Looked at only while there is any. */

static uint64_t now_usec(VbLinks *links) {
        uint64_t usec = 0;

        (void) sd_event_now(vb_daemon_event(links->daemon), CLOCK_MONOTONIC, &usec);
        return usec;
}

static void watch_half_done(VbLinks *links, uint64_t usec) {
        int r;

        r = sd_event_source_set_time(links->half_done, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(links->half_done, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch for links that do not go on: %m");
}

static int on_half_done(sd_event_source *source, uint64_t usec, void *userdata) {
        uint64_t next = UINT64_MAX;
        VbLinks *links = userdata;

        for (GList *l = links->all.head; l; l = l->next) {
                VbLink *link = l->data;

                if (link->half_done_since == 0)
                        continue;
                if (link->half_done_since + HALF_DONE_USEC <= usec)
                        end_for(link, link->ready ? "it began a message and did not end it" : "it did not begin to talk");
                else
                        next = MIN(next, link->half_done_since + HALF_DONE_USEC);
        }
        if (next != UINT64_MAX)
                watch_half_done(links, next);
        return 0;
}

static void set_half_done(VbLink *link, bool half_done) {
        int enabled = SD_EVENT_OFF;

        if (half_done == (link->half_done_since > 0))
                return;
        link->half_done_since = half_done ? now_usec(link->links) : 0;
        if (!half_done)
                return;
        (void) sd_event_source_get_enabled(link->links->half_done, &enabled);
        if (enabled == SD_EVENT_OFF)
                watch_half_done(link->links, link->half_done_since + HALF_DONE_USEC);
}

/* Serving */

static uint64_t n_queued(VbLink *link) {
        uint64_t n = 0;

        (void) sd_bus_get_n_queued_write(link->bus, &n);
        return n;
}

/* What is ready now counts as news, too. */
static void arm(VbLink *link, uint32_t events) {
        link->events = events;
        if (sd_event_source_set_io_events(link->io, events) < 0)
                end_for(link, "it cannot be watched");
}

/* What the loop shall watch for. */
static void watch_for(VbLink *link) {
        uint64_t queued = n_queued(link);
        uint32_t events = 0;

        if (queued > SIGNALS_QUEUED_MAX) {
                end_for(link, "it does not read");
                return;
        }
        if (!link->ready)
                events = (uint32_t) MAX(sd_bus_get_events(link->bus), 0);
        else if (queued > 0)
                events = EPOLLOUT;
        else if (!link->links->shut)
                events = EPOLLIN;
        events |= EPOLLET;
        if (events != link->events)
                arm(link, events);
}

static size_t bytes_waiting(int fd) {
        int n = 0;

        return ioctl(fd, FIONREAD, &n) < 0 ? 0 : (size_t) n;
}

/* A client may send its first message together with the end of its handshake; then sd-bus has that, or a part of it, and cannot tell. */
static bool has_more_than_handshake(VbLink *link) {
        static const char end[] = "BEGIN\r\n";
        const size_t size = sizeof(end) - 1;
        char data[4096];
        ssize_t n;

        n = recv(sd_bus_get_fd(link->bus), data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
        if (n <= 0)
                return link->beyond;
        return (size_t) n == sizeof(data) || (size_t) n < size || memcmp(data + n - size, end, size) != 0;
}

/* One turn of sd-bus: it reads a message and serves it, or goes on with writing or with the handshake. Returns whether there was
 * anything. What a handshake has read beyond its end lies in sd-bus and would wake nobody, so that goes on until nothing is left. */
static bool process(VbLink *link) {
        bool shaking = !link->ready, any = false;
        int r;

        do {
                if (shaking)
                        link->beyond = has_more_than_handshake(link);
                r = sd_bus_process(link->bus, /* ret= */ NULL);
                any = any || r > 0;
        } while (r > 0 && shaking && sd_bus_is_ready(link->bus) <= 0); /* what follows is read by those who watch what it is */

        if (r < 0 || sd_bus_is_open(link->bus) <= 0) {
                end_soon(link);
                return false;
        }
        if (!link->ready && sd_bus_is_ready(link->bus) > 0)
                link->ready = link->served = true;
        return any;
}

/* Until there is nothing left, which is when the socket will be news again; or not taken, or it is the others' turn. */
static void serve(VbLink *link, uint32_t revents) {
        bool more = true;

        for (unsigned n = 0; more && n < TURNS_MAX && !link->doomed; n++) {
                bool shaking = !link->ready, writing = shaking || n_queued(link) > 0;

                link->served = false;
                more = process(link);
                if (shaking && link->ready)
                        link->partial = link->beyond && !link->served;
                else if (link->served)
                        link->partial = false;
                else if (more && !writing)
                        link->partial = true; /* read, but no message came of it */
                more = more && n_queued(link) == 0;
        }
        if (link->doomed)
                return;
        set_half_done(link, !link->ready || link->partial);
        watch_for(link);
        if (more)
                arm(link, link->events);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        VbLink *link = userdata;

        if (link->links->shut && (revents & (EPOLLHUP | EPOLLERR)))
                end_soon(link);
        if (!link->doomed && !link->links->shut)
                serve(link, revents);
        else if (!link->doomed) {
                (void) process(link); /* only to write what is left */
                if (!link->doomed)
                        watch_for(link);
        }
        /* Here nobody else is at work with it. */
        if (link->doomed)
                vb_link_free(link);
        return 0;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbLink *link = userdata;
        VbObjects *objects = vb_daemon_objects(link->links->daemon);
        int r;

        link->served = true;
        if (sd_bus_message_is_method_call(message, /* interface= */ NULL, /* member= */ NULL) <= 0)
                return 0;
        vb_daemon_touch(link->links->daemon);
        /* Who listens would have to come back at once if we left, and so start the next daemon, again and again. */
        if (link->signals)
                vb_peer_touch(link->peer);
        r = vb_dispatch(objects, message, link->peer, reterr);
        return r != 0 ? r : vb_objects_register(objects, link->bus, &link->registered);
}

void vb_links_signal(VbLinks *links, sd_bus_message *message) {
        for (GList *l = links->listening.head; l; l = l->next) {
                VbLink *link = l->data;

                if (link->doomed)
                        continue;
                if (sd_bus_send(link->bus, message, /* ret_cookie= */ NULL) < 0)
                        end_soon(link);
                else
                        watch_for(link);
        }
}

/* What the socket does not take waits in sd-bus, until we see to it. */
void vb_link_replied(VbLink *link) {
        if (!link->doomed)
                watch_for(link);
}

/* Shutting */

/* Serves what has been sent, but does not read on to the end of it: for sd-bus that would be the end of the connection, and
 * what is still to be answered would be lost. */
static void shut(VbLink *link) {
        int fd = sd_bus_get_fd(link->bus);

        if (!link->ready) {
                end_soon(link);
                return;
        }
        (void) shutdown(fd, SHUT_RD);
        while (!link->doomed && bytes_waiting(fd) > 0 && process(link))
                continue;
        if (!link->doomed)
                watch_for(link);
}

/* Beginning */

static int new_bus(VbLink *link) {
        sd_id128_t id;
        int r;

        r = sd_bus_new(&link->bus);
        if (r < 0)
                return r;
        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(link->bus, /* b= */ true, id);
        /* Who is there was settled when the link was opened; whatever the other end says of itself changes nothing. */
        if (r >= 0)
                r = sd_bus_set_anonymous(link->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(link->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_set_description(link->bus, vb_peer_label(link->peer));
        if (r >= 0)
                r = sd_bus_add_filter(link->bus, &link->filter, on_message, link);
        return r;
}

static int serve_from_now_on(VbLink *link) {
        VbLinks *links = link->links;
        int r;

        r = sd_event_add_io(vb_daemon_event(links->daemon), &link->io, sd_bus_get_fd(link->bus), link->events, on_io, link);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(link->io, "link");

        link->in_all.data = link;
        g_queue_push_tail_link(&links->all, &link->in_all);
        count(link, +1);
        if (link->signals) {
                link->in_listening.data = link;
                g_queue_push_tail_link(&links->listening, &link->in_listening);
        }
        if (links->shut)
                shut(link);
        return 0;
}

int vb_link_start(VbLink *link, int fd) {
        vb_autofd socket = fd;
        int r;

        r = new_bus(link);
        if (r >= 0)
                r = sd_bus_set_fd(link->bus, fd, fd);
        if (r < 0)
                return r;
        (void) vb_steal_fd(&socket);
        r = sd_bus_start(link->bus);
        if (r < 0)
                return r;
        link->events = (uint32_t) MAX(sd_bus_get_events(link->bus), 0) | EPOLLET;
        set_half_done(link, true);
        return serve_from_now_on(link);
}

int vb_link_go_on(VbLink *link, int fd) {
        vb_autofd socket = fd;
        int r;

        r = new_bus(link);
        if (r >= 0)
                r = vb_adopt_link(link->bus, vb_steal_fd(&socket));
        if (r < 0)
                return r;
        link->ready = true;
        link->events = EPOLLIN | EPOLLET;
        return serve_from_now_on(link);
}

/* The end of all */

void vb_links_shut(VbLinks *links) {
        links->shut = true;
        /* Who connects from now on waits for the next daemon. */
        g_ptr_array_set_size(links->listeners, 0);
        for (GList *l = links->all.head; l; l = l->next)
                shut(l->data);
}

/* At the very end, when the loop turns no more. */
static void write_rest(VbLink *link, uint64_t until_usec) {
        struct pollfd writable = { .fd = sd_bus_get_fd(link->bus), .events = POLLOUT };
        uint64_t now;

        while (!link->doomed && n_queued(link) > 0 && (now = (uint64_t) g_get_monotonic_time()) < until_usec) {
                if (poll(&writable, 1, (int) ((until_usec - now) / 1000) + 1) <= 0)
                        return;
                if (!process(link))
                        return;
        }
}

int vb_links_new(VbLinks **ret, VbDaemon *daemon) {
        g_autoptr(VbLinks) links = g_new0(VbLinks, 1);
        sd_event *event = vb_daemon_event(daemon);
        int r;

        links->daemon = daemon;
        links->by_opener = g_hash_table_new(/* hash_func= */ NULL, /* key_equal_func= */ NULL);
        g_queue_init(&links->all);
        g_queue_init(&links->listening);
        g_queue_init(&links->doomed);
        links->listeners = vb_link_listeners_new();
        r = sd_event_add_defer(event, &links->reap, on_reap, links);
        if (r >= 0)
                r = sd_event_source_set_enabled(links->reap, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &links->half_done, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ G_USEC_PER_SEC,
                                      on_half_done, links);
        if (r >= 0)
                r = sd_event_source_set_enabled(links->half_done, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(links->reap, "close-links");
        (void) sd_event_source_set_description(links->half_done, "half-done-links");
        *ret = g_steal_pointer(&links);
        return 0;
}

VbLinks *vb_links_free(VbLinks *links) {
        uint64_t until_usec = (uint64_t) g_get_monotonic_time() + LAST_WORDS_USEC;

        if (!links)
                return NULL;
        while (links->all.head) {
                write_rest(links->all.head->data, until_usec);
                vb_link_free(links->all.head->data);
        }
        assert(g_hash_table_size(links->by_opener) == 0);
        g_hash_table_unref(links->by_opener);
        g_ptr_array_unref(links->listeners);
        sd_event_source_disable_unref(links->reap);
        sd_event_source_disable_unref(links->half_done);
        g_free(links);
        return NULL;
}
