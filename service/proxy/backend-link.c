/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/backend-link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"

/* Like the driver's end (bus/link.c), not attached to the loop by sd-bus, which would look after every link in each turn of the loop, and
 * edge-triggered: a worker may have a thousand. */

enum {
        TURNS_MAX = 16, /* messages of one link before others have their turn */
};

struct ProxyBackendLink {
        unsigned n_refs; /* the owner's, and one while we are at work: what we tell may make the owner free it */
        bool freed;
        sd_bus *bus;
        sd_bus_slot *filter;
        sd_event_source *io;
        sd_event_source *ended; /* tells gone(), once, from the loop */
        uint32_t events;
        bool ready, processing;
        ProxyBackendLinkEnds ends;
        void *userdata;
};

static ProxyBackendLink *link_unref(ProxyBackendLink *link) {
        if (--link->n_refs > 0)
                return NULL;
        sd_event_source_disable_unref(link->io);
        sd_event_source_disable_unref(link->ended);
        sd_bus_slot_unref(link->filter);
        sd_bus_close_unref(link->bus);
        g_free(link);
        return NULL;
}
typedef ProxyBackendLink LinkRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LinkRef, link_unref)

static LinkRef *link_ref(ProxyBackendLink *link) {
        link->n_refs++;
        return link;
}

static int on_ended(sd_event_source *source, void *userdata) {
        ProxyBackendLink *link = userdata;

        link->ends.gone(link->userdata);
        return 0;
}

/* Not at once: who calls us may be in the midst of something, and gone() may free the link. */
static void end(ProxyBackendLink *link) {
        int r;

        (void) sd_event_source_set_enabled(link->io, SD_EVENT_OFF);
        r = sd_event_source_set_enabled(link->ended, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot plan the end of a link: %m");
}

/* What is ready now counts as news, too. */
static void arm(ProxyBackendLink *link, uint32_t events) {
        link->events = events;
        if (sd_event_source_set_io_events(link->io, events) < 0)
                end(link);
}

static void watch_for(ProxyBackendLink *link) {
        uint32_t events = (uint32_t) MAX(sd_bus_get_events(link->bus), 0) | EPOLLIN | EPOLLET;

        if (events != link->events)
                arm(link, events);
}

/* One turn of sd-bus. Returns whether there was anything. */
static bool process(ProxyBackendLink *link) {
        int r;

        link->processing = true;
        r = sd_bus_process(link->bus, /* ret= */ NULL);
        link->processing = false;
        if (link->freed)
                return false;
        if (r < 0 || sd_bus_is_open(link->bus) <= 0) {
                end(link);
                return false;
        }
        if (!link->ready && sd_bus_is_ready(link->bus) > 0) {
                link->ready = true;
                link->ends.ready(link->userdata);
        }
        return r > 0 && !link->freed;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        g_autoptr(LinkRef) link = link_ref(userdata);
        bool more = true;

        for (unsigned n = 0; more && n < TURNS_MAX; n++)
                more = process(link);
        if (link->freed || sd_bus_is_open(link->bus) <= 0)
                return 0;
        watch_for(link);
        if (more)
                arm(link, link->events);
        return 0;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        ProxyBackendLink *link = userdata;

        if (sd_bus_message_is_signal(message, /* interface= */ NULL, /* member= */ NULL) <= 0)
                return 0;
        link->ends.signal(message, link->userdata);
        return 1;
}

bool proxy_backend_link_takes_calls(const ProxyBackendLink *link) {
        /* What it has sent is there to be read, while nobody reads from us any more: sd-bus would find that only by failing, and then
         * not read on. Nothing is sent by this. */
        return send(sd_bus_get_fd(link->bus), "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EPIPE;
}

int proxy_backend_link_call(ProxyBackendLink *link, sd_bus_slot **ret, sd_bus_message *message,
                            sd_bus_message_handler_t answered, void *userdata) {
        int r;

        r = sd_bus_call_async(link->bus, ret, message, answered, userdata, /* usec= */ UINT64_MAX);
        if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE) {
                end(link);
                return -EPIPE;
        }
        if (r < 0)
                return r;
        watch_for(link);
        return 0;
}

bool proxy_backend_link_drain(ProxyBackendLink *link) {
        g_autoptr(LinkRef) keep = link_ref(link);

        while (!keep->processing && process(keep))
                continue;
        return !keep->freed && sd_bus_is_open(keep->bus) > 0;
}

static int start_bus(ProxyBackendLink *link, int fd) {
        int r;

        r = sd_bus_new(&link->bus);
        if (r >= 0)
                r = sd_bus_set_fd(link->bus, fd, fd);
        if (r < 0) {
                vb_close(fd);
                return r;
        }
        /* Who we are was said when the link was opened. */
        r = sd_bus_set_anonymous(link->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(link->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_add_filter(link->bus, &link->filter, on_message, link);
        return r < 0 ? r : sd_bus_start(link->bus);
}

int proxy_backend_link_new(ProxyBackendLink **ret, sd_event *event, int fd, const ProxyBackendLinkEnds *ends, void *userdata) {
        g_autoptr(ProxyBackendLink) link = g_new0(ProxyBackendLink, 1);
        int r;

        link->n_refs = 1;
        link->ends = *ends;
        link->userdata = userdata;
        r = start_bus(link, fd);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &link->ended, on_ended, link);
        if (r >= 0)
                r = sd_event_source_set_enabled(link->ended, SD_EVENT_OFF);
        link->events = (uint32_t) MAX(sd_bus_get_events(link->bus), 0) | EPOLLIN | EPOLLET;
        if (r >= 0)
                r = sd_event_add_io(event, &link->io, sd_bus_get_fd(link->bus), link->events, on_io, link);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&link);
        return 0;
}

ProxyBackendLink *proxy_backend_link_free(ProxyBackendLink *link) {
        if (!link)
                return NULL;
        link->freed = true;
        if (link->io)
                (void) sd_event_source_set_enabled(link->io, SD_EVENT_OFF);
        if (link->ended)
                (void) sd_event_source_set_enabled(link->ended, SD_EVENT_OFF);
        if (link->bus)
                sd_bus_close(link->bus);
        return link_unref(link);
}
