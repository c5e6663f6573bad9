/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What link.c, which serves links, and link-open.c, which opens them, share. */

#include "base/process.h"
#include "bus/link.h"
#include "bus/objects.h"

struct VbLinks {
        VbDaemon *daemon;
        GQueue all; /* in the order of opening */
        GQueue listening; /* those that want signals */
        GQueue doomed; /* those to be closed in the loop's next turn */
        GHashTable *by_opener; /* uid → how many it has opened; privileged openers are not counted */
        sd_event_source *reap; /* closes them */
        sd_event_source *half_done; /* closes those that do not go on */
        GPtrArray *listeners; /* sd_event_source */
        bool shut;
};

struct VbLink {
        VbLinks *links;
        GList in_all, in_listening, in_doomed;

        /* configured */
        uid_t opener; /* for counting; VB_UID_NOBODYS: not counted */
        bool signals;

        /* runtime */
        sd_bus *bus;
        sd_bus_slot *filter;
        sd_event_source *io;
        uint32_t events; /* what io watches for */
        VbObjectsRegistered registered;
        bool ready; /* the handshake is done */
        bool served; /* a message, or the handshake, came to its end in this turn */
        bool partial; /* a message has been read in part, or may have been */
        bool beyond; /* with the handshake's end, more came than that */
        bool doomed; /* will be closed in the loop's next turn */
        uint64_t half_done_since; /* the handshake, or a message; 0: neither */

        /* for whom it speaks */
        VbPeer *peer;
        VbPeerListener opener_gone;
        VbProcess *process; /* or NULL */
};

/* Of event sources, which close their sockets. */
GPtrArray *vb_link_listeners_new(void);

/* For link-open.c: begins to serve a connected socket, which is taken over. */
VB_MUST_USE int vb_link_start(VbLink *link, int fd);
/* The same with a socket on which the handshake was done by the run before (bus/restart.h). */
VB_MUST_USE int vb_link_go_on(VbLink *link, int fd);
/* A link that is complete but for its bus, or not even that. */
VbLink *vb_link_free(VbLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbLink, vb_link_free)
/* The process that a link speaks for has ended. */
void vb_link_on_process_exited(VbProcess *process, const VbProcessExit *exit, void *userdata);
/* The caller for whom a link speaks has left the bus. */
void vb_link_on_opener_gone(VbPeerListener *listener, const sd_bus_error *error);
