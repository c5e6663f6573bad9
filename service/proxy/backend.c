/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/backend.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/names.h"
#include "interfaces/actions.h"
#include "proxy/backend-link.h"
#include "proxy/domains-private.h"
#include "proxy/drivers.h"

/* A channel is what a client has to a driver, for as long as it stays; a wire is one link, from its opening to its end. A channel without
 * a wire asks the listener for a link when there is a call to be sent; calls wait in the channel until the handshake is done,
 * and are then the wire's.
 *
 * A driver that ends takes no more calls, but answers what it has. Its wire then retires: it is the channel's no more, and lives on until its
 * last call is answered or its socket is closed, while the channel has already asked for the next one, which starts the
 * next daemon.
 *
 * The shared channel (client 0) has the signals. Each of its wires begins with all that there is; until that has been read, who wants the
 * records waits. It comes back by itself only while somebody watches. */

enum {
        ATTEMPTS_MAX = 3, /* links that end before they have answered anything */
        RETRY_SECONDS_MAX = 32,
        /* The first time: a service that is being stopped shall have stopped by then, or its start would cancel that. */
        RETRY_USEC = 200 * 1000,
};

typedef struct Channel Channel;
typedef struct Wire Wire;

struct ProxyBackendCall {
        GQueue *list; /* the channel's waiting, or a wire's sent; NULL when it is answered */
        GList link;
        sd_bus_message *message;
        sd_bus_slot *slot;
        Wire *wire; /* that it was sent on */
        bool again; /* it was sent before, on a wire that ended */
        ProxyBackendAnswered answered;
        void *userdata;
};

struct Wire {
        ProxyBackend *backend;
        Channel *channel; /* NULL: retired */
        uint64_t client;
        GList link; /* among the retired */
        ProxyBackendLink *bus;
        bool ready;
        GQueue sent;
};

/* What the listener has been asked for. Cannot be taken back; so if the channel goes, it stays until the answer has come. */
typedef struct Opening {
        ProxyBackend *backend;
        Channel *channel;
        GList link;
} Opening;

struct Channel {
        ProxyBackend *backend;
        uint64_t client;
        bool read_only;
        Wire *wire;
        Opening *opening;
        GQueue waiting;
        unsigned attempts;
};

/* Who waits for the records. */
typedef struct Reader {
        ProxyBackendReady ready;
        void *userdata;
} Reader;

struct ProxyBackend {
        sd_event *event;
        const ProxyDriver *driver;
        ProxyOpenLink open;
        void *opener;
        sd_bus *mould; /* messages are made on it, and then sent on other connections; it never talks */
        int mould_end;

        GHashTable *channels; /* client → Channel, owned */
        GQueue openings, retired;

        Channel *shared;
        ProxyBackendCall *load; /* GetManagedObjects, under way */
        ProxyDomains *domains;
        bool loaded;
        GQueue readers;
        sd_event_source *retry;
        unsigned retry_seconds;
};

static int channel_open(Channel *channel);
static void begin_load(ProxyBackend *backend);
static void retry_load(ProxyBackend *backend);

/* Calls */

static void call_enqueue(ProxyBackendCall *call, GQueue *list) {
        call->list = list;
        g_queue_push_tail_link(list, &call->link);
}

static void call_dequeue(ProxyBackendCall *call) {
        if (call->list)
                g_queue_unlink(call->list, &call->link);
        call->list = NULL;
}

ProxyBackendCall *proxy_backend_call_cancel(ProxyBackendCall *call) {
        if (!call)
                return NULL;
        call_dequeue(call);
        sd_bus_slot_unref(call->slot);
        sd_bus_message_unref(call->message);
        g_free(call);
        return NULL;
}

/* May free the call, and anything else. */
static void call_answer(ProxyBackendCall *call, sd_bus_message *answer, int r, const sd_bus_error *error) {
        call_dequeue(call);
        call->wire = NULL;
        call->answered(answer, r, error, call->userdata);
}

static void take_all(GQueue *from, GQueue *to) {
        while (from->head) {
                ProxyBackendCall *call = from->head->data;

                call_dequeue(call);
                call_enqueue(call, to);
        }
}

/* Answers all of a list with an error. Whoever is told may free others of them, or what the list belongs to. */
static void fail_all(GQueue *list, int r, const sd_bus_error *error) {
        GQueue taken = G_QUEUE_INIT;

        take_all(list, &taken);
        while (taken.head)
                call_answer(taken.head->data, NULL, r, error);
}

/* Wires */

static Wire *wire_free(Wire *wire) {
        if (!wire)
                return NULL;
        assert(!wire->sent.head);
        if (wire->link.data)
                g_queue_unlink(&wire->backend->retired, &wire->link);
        proxy_backend_link_free(wire->bus);
        g_free(wire);
        return NULL;
}

static void wire_retire(Wire *wire) {
        wire->channel->wire = NULL;
        wire->channel = NULL;
        if (!wire->sent.head) {
                wire_free(wire);
                return;
        }
        wire->link.data = wire;
        g_queue_push_tail_link(&wire->backend->retired, &wire->link);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        ProxyBackendCall *call = userdata;
        Wire *wire = call->wire;

        if (wire->channel)
                wire->channel->attempts = 0;
        call_dequeue(call);
        if (!wire->channel && !wire->sent.head)
                wire_free(wire);
        call_answer(call, answer, 0, NULL);
        return 1;
}

/* Channels */

/* After a wire that has not answered anything, but not for ever. */
static int channel_open_again(Channel *channel) {
        if (++channel->attempts < ATTEMPTS_MAX)
                return channel_open(channel);
        channel->attempts = 0;
        return -ECONNREFUSED;
}

/* Sends, or lets it wait for the next wire. Negative: that cannot be; nobody has been told. */
static int channel_send(Channel *channel, ProxyBackendCall *call) {
        Wire *wire = channel->wire;
        int r = -EPIPE;

        if (!wire || !wire->ready) {
                call_enqueue(call, &channel->waiting);
                return wire ? 0 : channel_open(channel);
        }
        /* With nothing under way, finding out by failing loses nothing. */
        if (!wire->sent.head || proxy_backend_link_takes_calls(wire->bus))
                r = proxy_backend_link_call(wire->bus, &call->slot, call->message, on_answer, call);
        if (r >= 0) {
                call->wire = wire;
                call_enqueue(call, &wire->sent);
                return 0;
        }
        if (r != -EPIPE)
                return r;
        wire_retire(wire);
        /* The others that wait came after it. */
        call->list = &channel->waiting;
        g_queue_push_head_link(&channel->waiting, &call->link);
        return channel_open_again(channel);
}

static void on_ready(void *userdata) {
        const sd_bus_error refused =
                SD_BUS_ERROR_MAKE_CONST(VB_ERROR_OPERATION_FAILED, "the call cannot be sent to the driver");
        Wire *wire = userdata;
        Channel *channel = wire->channel;
        GQueue failed = G_QUEUE_INIT;

        wire->ready = true;
        while (channel->wire == wire && channel->waiting.head) {
                ProxyBackendCall *call = channel->waiting.head->data;

                call_dequeue(call);
                if (channel_send(channel, call) >= 0)
                        continue;
                call_dequeue(call);
                call_enqueue(call, &failed);
        }
        if (!channel->wire && !channel->opening)
                take_all(&channel->waiting, &failed); /* nobody would send them */
        fail_all(&failed, -EIO, &refused);
}

static void on_signal(sd_bus_message *signal, void *userdata) {
        Wire *wire = userdata;
        ProxyBackend *backend = wire->backend;
        int r;

        /* What comes before the records have been read, they have in them. */
        if (wire->channel != backend->shared || !backend->loaded)
                return;
        r = proxy_domains_signal(backend->domains, signal);
        if (r < 0)
                (void) vb_log_warning_errno(r, "driver '%s': cannot understand its signal %s: %m", backend->driver->name,
                                            sd_bus_message_get_member(signal));
}

/* What only reads may be asked twice. */
static bool only_reads(sd_bus_message *message) {
        const char *interface = sd_bus_message_get_interface(message), *member = sd_bus_message_get_member(message);

        /* Properties and the object manager, whose other member is Set. */
        if (g_str_has_prefix(interface, "org.freedesktop.DBus."))
                return g_str_has_prefix(member, "Get");
        return vb_method_reads(interface, member);
}

/* Has the next wire asked what this one has not answered, once. */
static void ask_again(Wire *wire) {
        GQueue asked = G_QUEUE_INIT;

        take_all(&wire->sent, &asked);
        while (asked.head) {
                ProxyBackendCall *call = asked.head->data;
                bool again = wire->channel && !call->again && only_reads(call->message);

                call_dequeue(call);
                call_enqueue(call, again ? &wire->channel->waiting : &wire->sent);
                if (!again)
                        continue;
                call->slot = sd_bus_slot_unref(call->slot);
                call->wire = NULL;
                call->again = true;
        }
}

/* A wire has come to its end. What it was sent may have been done or not, so nobody tries that again, but questions. */
static void wire_lost(Wire *wire) {
        ProxyBackend *backend = wire->backend;
        Channel *channel = wire->channel;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL, no_link = SD_BUS_ERROR_NULL;
        GQueue failed = G_QUEUE_INIT, unsent = G_QUEUE_INIT;

        (void) sd_bus_error_setf(&error, VB_ERROR_OPERATION_FAILED,
                                 "driver '%s': its daemon has ended before it answered; whether it was done is not known",
                                 backend->driver->name);
        (void) sd_bus_error_setf(&no_link, VB_ERROR_OPERATION_FAILED, "driver '%s': its daemon ends before it can be called",
                                 backend->driver->name);
        ask_again(wire);
        take_all(&wire->sent, &failed);
        if (channel) {
                channel->wire = NULL;
                if (channel == backend->shared)
                        backend->loaded = false;
                if (channel->waiting.head && channel_open_again(channel) < 0)
                        take_all(&channel->waiting, &unsent);
        }
        wire_free(wire);
        if (channel && channel == backend->shared && proxy_domains_is_watched(backend->domains) && !backend->load)
                retry_load(backend);
        fail_all(&failed, -ECONNRESET, &error);
        fail_all(&unsent, -ECONNREFUSED, &no_link);
}

static void on_gone(void *userdata) {
        wire_lost(userdata);
}

static int wire_new(Channel *channel, int fd) {
        static const ProxyBackendLinkEnds ends = { .ready = on_ready, .signal = on_signal, .gone = on_gone };
        Wire *wire = g_new0(Wire, 1);
        int r;

        wire->backend = channel->backend;
        wire->channel = channel;
        wire->client = channel->client;
        r = proxy_backend_link_new(&wire->bus, channel->backend->event, fd, &ends, wire);
        if (r < 0) {
                wire_free(wire);
                return r;
        }
        channel->wire = wire;
        return 0;
}

static void opening_free(Opening *opening) {
        g_queue_unlink(&opening->backend->openings, &opening->link);
        if (opening->channel)
                opening->channel->opening = NULL;
        g_free(opening);
}

/* Who was asked for the link ended before it answered: the next one is asked. */
static bool opened_by_nobody(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY);
}

static void on_opened(int fd, int r, const sd_bus_error *error, void *userdata) {
        Opening *opening = userdata;
        Channel *channel = opening->channel;

        opening_free(opening);
        if (!channel) {
                vb_close(fd);
                return;
        }
        if (r >= 0) {
                r = wire_new(channel, fd);
                error = NULL;
        } else if (opened_by_nobody(error) && channel_open_again(channel) >= 0)
                return;
        if (r < 0)
                fail_all(&channel->waiting, r, error);
}

static int channel_open(Channel *channel) {
        ProxyBackend *backend = channel->backend;
        bool is_shared = channel == backend->shared;
        Opening *opening;
        int r;

        if (channel->opening)
                return 0;
        opening = g_new0(Opening, 1);
        opening->backend = backend;
        opening->channel = channel;
        opening->link.data = opening;
        g_queue_push_tail_link(&backend->openings, &opening->link);
        channel->opening = opening;
        r = backend->open(backend->opener, backend->driver->name, channel->client, channel->read_only,
                          /* with_signals= */ is_shared, on_opened, opening);
        if (r < 0)
                opening_free(opening);
        return r;
}

static Channel *channel_new(ProxyBackend *backend, uint64_t client, bool read_only) {
        Channel *channel = g_new0(Channel, 1);

        channel->backend = backend;
        channel->client = client;
        channel->read_only = read_only;
        return channel;
}

static void channel_free(Channel *channel) {
        const sd_bus_error left = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the client has left");
        ProxyBackend *backend = channel->backend;
        GQueue failed = G_QUEUE_INIT;

        take_all(&channel->waiting, &failed);
        if (channel->wire) {
                take_all(&channel->wire->sent, &failed);
                wire_free(channel->wire);
        }
        for (GList *l = backend->retired.head, *next; l; l = next) {
                Wire *wire = l->data;

                next = l->next;
                if (wire->client != channel->client)
                        continue;
                take_all(&wire->sent, &failed);
                wire_free(wire);
        }
        if (channel->opening)
                channel->opening->channel = NULL;
        g_free(channel);
        fail_all(&failed, -ECANCELED, &left);
}

void proxy_backend_forget(ProxyBackend *backend, uint64_t client) {
        g_autofree uint64_t *key = NULL;
        Channel *channel = NULL;

        if (g_hash_table_steal_extended(backend->channels, &client, (void **) &key, (void **) &channel))
                channel_free(channel);
}

/* Calls of clients */

int proxy_backend_new_method(ProxyBackend *backend, sd_bus_message **ret, const char *path, const char *interface,
                             const char *member) {
        return sd_bus_message_new_method_call(backend->mould, ret, /* destination= */ NULL,
                                              path ? path : backend->driver->path, interface, member);
}

static ProxyBackendCall *call_new(sd_bus_message *message, ProxyBackendAnswered answered, void *userdata) {
        ProxyBackendCall *call = g_new0(ProxyBackendCall, 1);

        call->link.data = call;
        call->message = sd_bus_message_ref(message);
        call->answered = answered;
        call->userdata = userdata;
        return call;
}

int proxy_backend_call(ProxyBackendCall **ret, ProxyBackend *backend, const ProxyClient *client, bool read_only,
                       sd_bus_message *message, ProxyBackendAnswered answered, void *userdata, sd_bus_error *reterr) {
        Channel *channel = g_hash_table_lookup(backend->channels, &client->id);
        g_autoptr(ProxyBackendCall) call = call_new(message, answered, userdata);
        int r;

        if (!channel) {
                channel = channel_new(backend, client->id, read_only);
                g_hash_table_insert(backend->channels, g_memdup2(&client->id, sizeof client->id), channel);
        }
        r = channel_send(channel, call);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "driver '%s': cannot be called: %s", backend->driver->name,
                                               g_strerror(-r));
        *ret = g_steal_pointer(&call);
        return 0;
}

/* The records */

static void tell_readers(ProxyBackend *backend, int r, const sd_bus_error *error) {
        GQueue taken = backend->readers;

        g_queue_init(&backend->readers);
        while (taken.head) {
                g_autofree Reader *reader = g_queue_pop_head(&taken);

                reader->ready(r, error, reader->userdata);
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        begin_load(userdata);
        return 0;
}

/* Somebody watches, so it has to come back: at once the first time, then ever more seldom. */
static void retry_load(ProxyBackend *backend) {
        uint64_t usec = MAX(backend->retry_seconds * (uint64_t) G_USEC_PER_SEC, (uint64_t) RETRY_USEC);
        int r;

        backend->retry_seconds = MIN(MAX(2 * backend->retry_seconds, 1), (unsigned) RETRY_SECONDS_MAX);
        if (backend->retry) {
                r = sd_event_source_set_time_relative(backend->retry, usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(backend->retry, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(backend->event, &backend->retry, CLOCK_MONOTONIC, usec, /* accuracy= */ 0,
                                               on_retry, backend);
        if (r < 0)
                (void) vb_log_error_errno(r, "driver '%s': its news are heard no more: %m", backend->driver->name);
}

static void on_loaded(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) refused = SD_BUS_ERROR_NULL;
        ProxyBackend *backend = userdata;

        backend->load = proxy_backend_call_cancel(backend->load);
        if (answer && sd_bus_message_is_method_error(answer, NULL)) {
                error = sd_bus_message_get_error(answer);
                r = -sd_bus_message_get_errno(answer);
        } else if (answer) {
                r = proxy_domains_load(backend->domains, answer);
                if (r < 0)
                        (void) sd_bus_error_setf(&refused, VB_ERROR_OPERATION_FAILED,
                                                 "driver '%s': cannot understand what it says of its domains: %s",
                                                 backend->driver->name, g_strerror(-r));
                error = &refused;
        }

        if (r >= 0) {
                backend->loaded = true;
                backend->retry_seconds = 0;
        } else if (proxy_domains_is_watched(backend->domains))
                retry_load(backend);
        tell_readers(backend, r, error);
}

static void begin_load(ProxyBackend *backend) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (backend->load)
                return;
        r = proxy_backend_new_method(backend, &message, /* path= */ NULL, VB_DBUS_OBJECT_MANAGER_INTERFACE,
                                     "GetManagedObjects");
        if (r >= 0) {
                backend->load = call_new(message, on_loaded, backend);
                r = channel_send(backend->shared, backend->load);
        }
        if (r < 0)
                on_loaded(NULL, r, NULL, backend);
}

/* Up to date: what any driver's reply has told somebody was written to the shared link before that reply. */
static bool is_up_to_date(ProxyBackend *backend) {
        Wire *wire = backend->shared->wire;

        if (!backend->loaded || !wire)
                return false;
        if (proxy_backend_link_drain(wire->bus))
                return true;
        /* Who was told of something may have found that out before us. */
        if (backend->shared->wire == wire)
                wire_lost(wire);
        return false;
}

int proxy_backend_domains(ProxyBackend *backend, ProxyDomains **ret, ProxyBackendReady ready, void *userdata,
                          sd_bus_error *reterr) {
        Reader *reader;

        if (is_up_to_date(backend)) {
                *ret = backend->domains;
                return 1;
        }
        reader = g_new(Reader, 1);
        *reader = (Reader){ ready, userdata };
        g_queue_push_tail(&backend->readers, reader);
        begin_load(backend);
        return 0;
}

/* The whole */

/* Messages need a connection to be made on, and take its word on whether descriptors can go with them: one that has not come so far as to
 * know lets all pass. */
static int make_mould(ProxyBackend *backend) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        backend->mould_end = fds[1];
        r = sd_bus_new(&backend->mould);
        if (r >= 0)
                r = sd_bus_set_fd(backend->mould, fds[0], fds[0]);
        if (r < 0) {
                vb_close(fds[0]);
                return r;
        }
        r = sd_bus_negotiate_fds(backend->mould, /* b= */ true);
        return r < 0 ? r : sd_bus_start(backend->mould);
}

static void free_channel(void *channel) {
        channel_free(channel);
}

ProxyBackend *proxy_backend_new(sd_event *event, const char *driver, ProxyOpenLink open, void *opener) {
        ProxyBackend *backend = g_new0(ProxyBackend, 1);
        int r;

        backend->event = sd_event_ref(event);
        backend->driver = proxy_driver_find(driver);
        assert(backend->driver);
        backend->open = open;
        backend->opener = opener;
        backend->mould_end = -EBADF;
        backend->channels = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, free_channel);
        backend->shared = channel_new(backend, /* client= */ 0, /* read_only= */ true);
        backend->domains = proxy_domains_new();
        r = make_mould(backend);
        if (r < 0)
                (void) vb_log_error_errno(r, "driver '%s': cannot be called: %m", driver);
        return backend;
}

ProxyBackend *proxy_backend_free(ProxyBackend *backend) {
        const sd_bus_error ends = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the worker ends");

        if (!backend)
                return NULL;
        g_hash_table_unref(backend->channels);
        backend->load = proxy_backend_call_cancel(backend->load);
        channel_free(backend->shared);
        tell_readers(backend, -ECANCELED, &ends);
        while (backend->openings.head)
                opening_free(backend->openings.head->data);
        sd_event_source_disable_unref(backend->retry);
        proxy_domains_free(backend->domains);
        sd_bus_close_unref(backend->mould);
        vb_close(backend->mould_end);
        sd_event_unref(backend->event);
        g_free(backend);
        return NULL;
}
