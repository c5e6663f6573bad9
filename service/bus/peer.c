/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/peer.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/names.h"

enum {
        PEERS_KEPT = 128,
        PEERS_MAX = 192,
        PEERS_BUSY_PER_USER = 32,
        CALLS_WAITING_PER_USER = 128,
        /* Links cost no match rules, and are counted where they are opened; a thousand of one user may ask at once. */
        LINK_CALLS_WAITING_PER_USER = 4096,
        CALLS_PER_LINK = 1024,
};

#define UID_TIMEOUT_USEC (10 * G_USEC_PER_SEC)

struct VbPeer {
        VbPeers *peers;
        unsigned n_refs;
        char *name, *label;
        GList link; /* in the order of use while in the table; or among the links */

        VbLink *at; /* the link whose other end it is; NULL when that is closed */
        bool is_link, read_only;
        pid_t pid;
        uint64_t start_time;

        uid_t uid;
        bool kept; /* in the table */
        bool known, gone;
        bool ended; /* the process that a link speaks for */
        bool touched; /* has called a member that needs a right */
        unsigned n_waiting;
        unsigned n_calls;

        sd_bus_slot *watch_slot; /* for its leaving */
        sd_bus_slot *uid_slot; /* the question for its uid */
        VbPeerListener *waiting; /* for the uid */
        VbPeerListener *watching; /* for the end */
        GHashTable *verdicts;
};

/* What one user keeps us busy with. */
typedef struct User {
        unsigned n_peers, n_calls, n_link_calls;
} User;

struct VbPeers {
        sd_bus *bus;
        GHashTable *by_name; /* name → VbPeer, one reference each */
        GQueue by_use; /* least recently used first */
        GHashTable *users; /* uid → User */
        GQueue links; /* of peers, not owned */
        unsigned n_touched;
        void (*changed)(void *userdata);
        void *userdata;
};

/* One peer */

static VbPeer *peer_new(VbPeers *peers, const char *name) {
        VbPeer *peer = g_new0(VbPeer, 1);

        peer->peers = peers;
        peer->n_refs = 1;
        peer->name = g_strdup(name);
        peer->label = g_strdup(name);
        peer->link.data = peer;
        peer->uid = (uid_t) -1;
        return peer;
}

VbPeer *vb_peer_ref(VbPeer *peer) {
        peer->n_refs++;
        return peer;
}

VbPeer *vb_peer_unref(VbPeer *peer) {
        if (!peer || --peer->n_refs > 0)
                return NULL;
        assert(!peer->waiting && !peer->watching);
        assert(!peer->is_link || peer->gone);
        assert(peer->n_waiting == 0);
        sd_bus_slot_unref(peer->watch_slot);
        sd_bus_slot_unref(peer->uid_slot);
        g_clear_pointer(&peer->verdicts, g_hash_table_unref);
        g_free(peer->label);
        g_free(peer->name);
        g_free(peer);
        return NULL;
}

bool vb_peer_is_known(const VbPeer *peer) {
        return peer->known;
}

bool vb_peer_is_gone(const VbPeer *peer) {
        return peer->gone;
}

uid_t vb_peer_uid(const VbPeer *peer) {
        return peer->uid;
}

const char *vb_peer_label(const VbPeer *peer) {
        return peer->label;
}

const char *vb_peer_name(const VbPeer *peer) {
        return peer->name;
}

pid_t vb_peer_pid(const VbPeer *peer) {
        return peer->pid;
}

uint64_t vb_peer_start_time(const VbPeer *peer) {
        return peer->start_time;
}

bool vb_peer_is_link(const VbPeer *peer) {
        return peer->is_link;
}

VbLink *vb_peer_link(const VbPeer *peer) {
        return peer->at;
}

bool vb_peer_is_read_only(const VbPeer *peer) {
        return peer->read_only;
}

bool vb_peer_is_ended(const VbPeer *peer) {
        return peer->ended;
}

GHashTable *vb_peer_verdicts(VbPeer *peer) {
        if (!peer->verdicts)
                peer->verdicts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                       /* value_destroy_func= */ NULL);
        return peer->verdicts;
}

/* Listeners */

static void listen_on(VbPeer *peer, VbPeerListener **list, VbPeerListener *listener) {
        assert(!listener->peer);
        listener->peer = vb_peer_ref(peer);
        listener->list = list;
        listener->previous = NULL;
        listener->next = *list;
        if (*list)
                (*list)->previous = listener;
        *list = listener;
}

void vb_peer_wait(VbPeer *peer, VbPeerListener *listener) {
        assert(!peer->known);
        listen_on(peer, &peer->waiting, listener);
}

void vb_peer_watch(VbPeer *peer, VbPeerListener *listener) {
        assert(!peer->gone);
        listen_on(peer, &peer->watching, listener);
}

void vb_peer_unlisten(VbPeerListener *listener) {
        VbPeer *peer = listener->peer;

        if (!peer)
                return;
        *(listener->previous ? &listener->previous->next : listener->list) = listener->next;
        if (listener->next)
                listener->next->previous = listener->previous;
        listener->peer = NULL;
        listener->list = NULL;
        listener->previous = listener->next = NULL;
        vb_peer_unref(peer);
}

static void tell_all(VbPeer *peer, VbPeerListener **list, const sd_bus_error *error) {
        g_autoptr(VbPeer) keep = vb_peer_ref(peer);

        while (*list) {
                VbPeerListener *listener = *list;

                vb_peer_unlisten(listener);
                listener->tell(listener, error);
        }
        (void) keep;
}

/* Dropping */

static void forget_touch(VbPeer *peer) {
        if (peer->touched)
                peer->peers->n_touched--;
        peer->touched = false;
}

static void drop(VbPeers *peers, VbPeer *peer) {
        forget_touch(peer);
        peer->kept = false;
        peer->watch_slot = sd_bus_slot_unref(peer->watch_slot);
        peer->uid_slot = sd_bus_slot_unref(peer->uid_slot);
        g_queue_unlink(&peers->by_use, &peer->link);
        g_hash_table_remove(peers->by_name, peer->name);
}

static void lose(VbPeer *peer, const sd_bus_error *error) {
        g_autoptr(VbPeer) keep = vb_peer_ref(peer);
        VbPeers *peers = peer->peers;

        peer->gone = true;
        if (peer->kept)
                drop(peers, peer);
        tell_all(peer, &peer->waiting, error);
        tell_all(peer, &peer->watching, error);
        peers->changed(peers->userdata);
        (void) keep;
}

/* Makes room for one more: the longest unused that nobody depends on has to go. */
static int make_room(VbPeers *peers, sd_bus_error *reterr) {
        if (g_queue_get_length(&peers->by_use) < PEERS_KEPT)
                return 0;

        for (GList *link = peers->by_use.head; link; link = link->next) {
                VbPeer *peer = link->data;

                if (peer->n_refs == 1) {
                        drop(peers, peer);
                        return 0;
                }
        }
        if (g_queue_get_length(&peers->by_use) < PEERS_MAX)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                 "too many clients wait for an answer; try again later");
}

/* Asking the bus */

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error left = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the caller has left the bus");
        const char *name, *old_owner, *new_owner;
        VbPeer *peer = userdata;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);
        if (r < 0)
                return r;
        if (new_owner[0] == '\0' && strcmp(name, peer->name) == 0)
                lose(peer, &left);
        return 0;
}

/* Without the watch we would not notice its leaving, but can serve it. */
static int on_watch_installed(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbPeer *peer = userdata;

        if (sd_bus_message_is_method_error(message, NULL))
                vb_log_warning("cannot watch client %s: %s", peer->name,
                               sd_bus_message_get_error(message)->message);
        return 0;
}

static int on_uid(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbPeer *peer = userdata;
        uint32_t uid;
        int r;

        peer->uid_slot = sd_bus_slot_unref(peer->uid_slot);
        if (sd_bus_message_is_method_error(message, NULL)) {
                lose(peer, sd_bus_message_get_error(message));
                return 0;
        }
        r = sd_bus_message_read(message, "u", &uid);
        if (r < 0) {
                const sd_bus_error bad =
                        SD_BUS_ERROR_MAKE_CONST(VB_ERROR_ACCESS_DENIED, "the bus does not tell who calls");

                lose(peer, &bad);
                return 0;
        }
        peer->uid = uid;
        peer->known = true;
        tell_all(peer, &peer->waiting, NULL);
        return 0;
}

static int watch(VbPeers *peers, VbPeer *peer) {
        g_autofree char *rule =
                g_strdup_printf("type='signal',sender='" VB_DBUS_NAME "',path='" VB_DBUS_PATH
                                "',interface='" VB_DBUS_INTERFACE "',member='NameOwnerChanged',arg0='%s'",
                                peer->name);

        return sd_bus_add_match_async(peers->bus, &peer->watch_slot, rule, on_owner_changed, on_watch_installed,
                                      peer);
}

/* The watch is installed first: should the peer leave in between, the question for its uid fails. */
static int ask(VbPeers *peers, VbPeer *peer) {
        g_autoptr(sd_bus_message) question = NULL;
        int r;

        r = watch(peers, peer);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(peers->bus, &question, VB_DBUS_NAME, VB_DBUS_PATH,
                                           VB_DBUS_INTERFACE, "GetConnectionUnixUser");
        if (r < 0)
                return r;
        r = sd_bus_message_append(question, "s", peer->name);
        if (r < 0)
                return r;
        return sd_bus_call_async(peers->bus, &peer->uid_slot, question, on_uid, peer, UID_TIMEOUT_USEC);
}

static int add(VbPeers *peers, const char *name, VbPeer **ret, sd_bus_error *reterr) {
        VbPeer *peer;
        int r;

        r = make_room(peers, reterr);
        if (r < 0)
                return r;

        peer = peer_new(peers, name);
        peer->kept = true;
        g_hash_table_insert(peers->by_name, peer->name, peer);
        g_queue_push_tail_link(&peers->by_use, &peer->link);
        r = ask(peers, peer);
        if (r < 0) {
                drop(peers, peer);
                return sd_bus_error_set_errnof(reterr, r, "cannot ask the bus who calls: %m");
        }
        peers->changed(peers->userdata);
        *ret = vb_peer_ref(peer);
        return 0;
}

int vb_peers_get_name(VbPeers *peers, const char *name, VbPeer **ret, sd_bus_error *reterr) {
        VbPeer *peer;

        peer = g_hash_table_lookup(peers->by_name, name);
        if (!peer)
                return add(peers, name, ret, reterr);

        g_queue_unlink(&peers->by_use, &peer->link);
        g_queue_push_tail_link(&peers->by_use, &peer->link);
        *ret = vb_peer_ref(peer);
        return 0;
}

int vb_peers_get(VbPeers *peers, sd_bus_message *message, VbPeer **ret, sd_bus_error *reterr) {
        const char *name = sd_bus_message_get_sender(message);

        if (!name)
                return sd_bus_error_setf(reterr, VB_ERROR_ACCESS_DENIED, "the bus does not tell who calls");
        return vb_peers_get_name(peers, name, ret, reterr);
}

void vb_peers_unwatch(VbPeers *peers) {
        for (GList *link = peers->by_use.head, *next; link; link = next) {
                VbPeer *peer = link->data;

                next = link->next;
                if (peer->n_refs == 1)
                        drop(peers, peer);
                else
                        peer->watch_slot = sd_bus_slot_unref(peer->watch_slot);
        }
        peers->changed(peers->userdata);
}

void vb_peers_watch_again(VbPeers *peers) {
        for (GList *link = peers->by_use.head; link; link = link->next) {
                VbPeer *peer = link->data;

                if (!peer->watch_slot && watch(peers, peer) < 0)
                        vb_log_warning("cannot watch client %s", peer->name);
        }
}

/* Links */

VbPeer *vb_peer_new_for_link(VbPeers *peers, VbLink *link, const VbPeerIdentity *identity) {
        static uint64_t last_number = 0;
        VbPeer *peer = peer_new(peers, identity->name);

        g_free(peer->label);
        peer->label = g_strdup_printf("link %" G_GUINT64_FORMAT, ++last_number);
        peer->at = link;
        peer->is_link = true;
        peer->uid = identity->uid;
        peer->pid = identity->pid;
        peer->start_time = identity->start_time;
        peer->read_only = identity->read_only;
        peer->known = true;
        g_queue_push_tail_link(&peers->links, &peer->link);
        return peer;
}

void vb_peer_close(VbPeer *peer) {
        const sd_bus_error closed = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the caller has closed its link");

        assert(peer->is_link && !peer->gone);
        g_queue_unlink(&peer->peers->links, &peer->link);
        forget_touch(peer);
        peer->at = NULL;
        lose(peer, &closed);
}

void vb_peer_set_ended(VbPeer *peer) {
        peer->ended = true;
        g_clear_pointer(&peer->verdicts, g_hash_table_unref);
}

void vb_peer_touch(VbPeer *peer) {
        if (peer->touched || peer->gone)
                return;
        peer->touched = true;
        peer->peers->n_touched++;
        peer->peers->changed(peer->peers->userdata);
}

int vb_peer_begin_call(VbPeer *peer, sd_bus_error *reterr) {
        if (peer->n_calls >= CALLS_PER_LINK)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%d calls of this link are under way already",
                                         CALLS_PER_LINK);
        peer->n_calls++;
        return 0;
}

void vb_peer_end_call(VbPeer *peer) {
        assert(peer->n_calls > 0);
        peer->n_calls--;
}

/* Limits per user */

int vb_peer_enter(VbPeer *peer, sd_bus_error *reterr) {
        User *user;

        if (peer->gone)
                return sd_bus_error_setf(reterr, VB_ERROR_CANCELED, "the caller has left the bus");

        user = g_hash_table_lookup(peer->peers->users, GUINT_TO_POINTER(peer->uid));
        if (!user) {
                user = g_new0(User, 1);
                g_hash_table_insert(peer->peers->users, GUINT_TO_POINTER(peer->uid), user);
        }
        if (peer->is_link ? user->n_link_calls >= LINK_CALLS_WAITING_PER_USER
                          : user->n_calls >= CALLS_WAITING_PER_USER ||
                                    (peer->n_waiting == 0 && user->n_peers >= PEERS_BUSY_PER_USER))
                return sd_bus_error_setf(
                        reterr, VB_ERROR_LIMIT_EXCEEDED,
                        "user %u has too many calls that wait for authorization; try again later", peer->uid);
        if (peer->is_link)
                user->n_link_calls++;
        else
                user->n_calls++;
        if (peer->n_waiting++ == 0 && !peer->is_link)
                user->n_peers++;
        return 0;
}

void vb_peer_leave(VbPeer *peer) {
        User *user = g_hash_table_lookup(peer->peers->users, GUINT_TO_POINTER(peer->uid));

        assert(user && peer->n_waiting > 0);
        if (peer->is_link)
                user->n_link_calls--;
        else
                user->n_calls--;
        if (--peer->n_waiting == 0 && !peer->is_link)
                user->n_peers--;
        if (user->n_calls == 0 && user->n_link_calls == 0)
                g_hash_table_remove(peer->peers->users, GUINT_TO_POINTER(peer->uid));
}

/* All of them */

unsigned vb_peers_count(const VbPeers *peers) {
        return peers->n_touched;
}

void vb_peers_forget_verdicts(VbPeers *peers) {
        for (GList *link = peers->by_use.head; link; link = link->next) {
                VbPeer *peer = link->data;

                g_clear_pointer(&peer->verdicts, g_hash_table_unref);
        }
        for (GList *link = peers->links.head; link; link = link->next) {
                VbPeer *peer = link->data;

                g_clear_pointer(&peer->verdicts, g_hash_table_unref);
        }
}

static void unref_peer(void *peer) {
        vb_peer_unref(peer);
}

VbPeers *vb_peers_new(sd_bus *bus, void (*changed)(void *userdata), void *userdata) {
        VbPeers *peers = g_new0(VbPeers, 1);

        peers->bus = bus;
        peers->changed = changed;
        peers->userdata = userdata;
        peers->by_name =
                g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, unref_peer);
        peers->users = g_hash_table_new_full(/* hash_func= */ NULL, /* key_equal_func= */ NULL,
                                             /* key_destroy_func= */ NULL, g_free);
        g_queue_init(&peers->by_use);
        g_queue_init(&peers->links);
        return peers;
}

VbPeers *vb_peers_free(VbPeers *peers) {
        if (!peers)
                return NULL;
        while (peers->by_use.head)
                drop(peers, peers->by_use.head->data);
        assert(!peers->links.head);
        g_hash_table_unref(peers->by_name);
        assert(g_hash_table_size(peers->users) == 0);
        g_hash_table_unref(peers->users);
        g_free(peers);
        return NULL;
}
