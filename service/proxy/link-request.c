/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "bus/names.h"
#include "interfaces/daemon1.h"
#include "proxy/drivers.h"
#include "proxy/listener-private.h"

/* Drivers are asked over the bus, in the listener's name, and a bus lets one connection wait for no more than 128 replies. So of each driver only
 * some links are asked for at a time, and the others wait here, in their order. */

enum {
        ASKED_AT_A_TIME = 8, /* of one driver */
};

/* A driver may have to be started by the bus, and read a thousand definitions. */
#define ANSWER_WITHIN_USEC (90 * (uint64_t) G_USEC_PER_SEC)
/* Left to who has waited here for long: the driver does not answer. */
#define ANSWER_AT_LEAST_WITHIN_USEC (1 * (uint64_t) G_USEC_PER_SEC)

typedef struct LinkRequest {
        ProxyWorkerProcess *worker;
        const ProxyDriver *driver;
        uint64_t id;
        uint64_t since_usec;
        sd_bus_message *message;
        sd_bus_slot *slot; /* once asked */
        GList place; /* among those of the listener that wait, or are asked */
} LinkRequest;

void proxy_link_request_free(gpointer p) {
        LinkRequest *request = p;
        ProxyListener *listener = request->worker->listener;

        g_queue_unlink(request->slot ? &listener->links_asked : &listener->links_waiting, &request->place);
        sd_bus_slot_unref(request->slot);
        sd_bus_message_unref(request->message);
        g_free(request);
}

static int answer(ProxyWorkerProcess *worker, uint64_t id, int fd) {
        return proxy_control_send(worker->control, &(ProxyControlHead){ .kind = PROXY_CONTROL_LINK, .id = id }, NULL, 0, fd);
}

static int answer_error(ProxyWorkerProcess *worker, uint64_t id, const sd_bus_error *error) {
        g_autofree char *message = g_utf8_make_valid(error->message ?: "", -1);
        g_autoptr(GByteArray) tail = g_byte_array_new();
        const ProxyControlHead head = { .kind = PROXY_CONTROL_LINK, .id = id, .result = -sd_bus_error_get_errno(error) };

        g_byte_array_append(tail, (const guint8 *) error->name, (guint) strlen(error->name) + 1);
        g_byte_array_append(tail, (const guint8 *) message, (guint) MIN(strlen(message), PROXY_CONTROL_ERROR_MAX));
        return proxy_control_send(worker->control, &head, tail->data, tail->len, -EBADF);
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        LinkRequest *request = userdata;
        ProxyWorkerProcess *worker = request->worker;
        uint64_t id = request->id;
        int fd, r;

        if (sd_bus_message_is_method_error(message, NULL))
                r = answer_error(worker, id, sd_bus_message_get_error(message));
        else {
                r = sd_bus_message_read(message, "h", &fd);
                if (r >= 0)
                        r = answer(worker, id, fd); /* the message keeps its own */
        }
        (void) g_hash_table_remove(worker->links, request);
        /* A worker that cannot be told is about to end, and to be noticed. */
        proxy_links_ask_next(worker->listener);
        return 0;
}

/* In whose name: the client's, or, for what everyone may know, the worker's own. */
typedef struct Speaker {
        pid_t pid;
        uint64_t start_time;
        uid_t uid;
} Speaker;

static bool find_speaker(ProxyWorkerProcess *worker, uint64_t client, Speaker *ret) {
        const ProxyServed *served;

        if (client == 0) {
                *ret = (Speaker){ vb_process_get_pid(worker->process), vb_process_get_start_time(worker->process),
                                  worker->identity->uid };
                return true;
        }
        served = g_hash_table_lookup(worker->listener->served, &client);
        if (!served || served->worker != worker)
                return false;
        *ret = (Speaker){ served->client.pid, served->client.start_time, served->client.uid };
        return true;
}

static int new_message(ProxyWorkerProcess *worker, const ProxyDriver *driver, const Speaker *speaker,
                       const ProxyControlHead *head, sd_bus_message **ret) {
        bool read_only = head->link.read_only || worker->identity->door == PROXY_DOOR_READ_ONLY;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = sd_bus_message_new_method_call(vb_daemon_bus(worker->listener->daemon), &message, driver->bus_name, driver->path,
                                           VB_INTERFACE_DAEMON1, "OpenLink");
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 5, "read-only", "b", (int) read_only, "signals", "b",
                                          (int) head->link.with_signals, "pid", "u", (uint32_t) speaker->pid, "start-time", "t",
                                          speaker->start_time, "uid", "u", (uint32_t) speaker->uid);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&message);
        return 0;
}

static int ask(LinkRequest *request) {
        ProxyListener *listener = request->worker->listener;
        uint64_t waited = (uint64_t) g_get_monotonic_time() - request->since_usec, within = ANSWER_AT_LEAST_WITHIN_USEC;
        int r;

        if (waited + within < ANSWER_WITHIN_USEC)
                within = ANSWER_WITHIN_USEC - waited;
        r = sd_bus_call_async(vb_daemon_bus(listener->daemon), &request->slot, request->message, on_answer, request, within);
        if (r < 0)
                return r;
        g_queue_unlink(&listener->links_waiting, &request->place);
        g_queue_push_tail_link(&listener->links_asked, &request->place);
        return 0;
}

static bool may_ask(const ProxyListener *listener, const ProxyDriver *driver) {
        unsigned n = 0;

        for (GList *link = listener->links_asked.head; link; link = link->next)
                if (((const LinkRequest *) link->data)->driver == driver)
                        n++;
        return n < ASKED_AT_A_TIME;
}

static LinkRequest *next_to_ask(ProxyListener *listener) {
        for (GList *link = listener->links_waiting.head; link; link = link->next)
                if (may_ask(listener, ((const LinkRequest *) link->data)->driver))
                        return link->data;
        return NULL;
}

void proxy_links_ask_next(ProxyListener *listener) {
        const sd_bus_error takes_none = SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_FAILED, "the bus takes no call");
        LinkRequest *request;

        while ((request = next_to_ask(listener))) {
                if (ask(request) >= 0)
                        continue;
                (void) answer_error(request->worker, request->id, &takes_none); /* who cannot be told is about to end */
                (void) g_hash_table_remove(request->worker->links, request);
        }
}

int proxy_link_open(ProxyWorkerProcess *worker, const ProxyControlHead *head) {
        size_t n = strnlen(head->link.driver, sizeof head->link.driver);
        const ProxyDriver *driver = n < sizeof head->link.driver ? proxy_driver_find(head->link.driver) : NULL;
        g_autoptr(sd_bus_message) message = NULL;
        LinkRequest *request;
        Speaker speaker;
        int r;

        if (!driver || g_hash_table_size(worker->links) > 2 * worker->n_clients + 2)
                return -EBADMSG;
        if (!find_speaker(worker, head->link.client, &speaker))
                return answer_error(worker, head->id, &SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the client has left"));

        r = new_message(worker, driver, &speaker, head, &message);
        if (r < 0)
                return r;
        request = g_new0(LinkRequest, 1);
        *request = (LinkRequest){
                .worker = worker,
                .driver = driver,
                .id = head->id,
                .since_usec = (uint64_t) g_get_monotonic_time(),
                .message = g_steal_pointer(&message),
        };
        (void) g_hash_table_add(worker->links, request);
        request->place.data = request;
        g_queue_push_tail_link(&worker->listener->links_waiting, &request->place);
        proxy_links_ask_next(worker->listener);
        return 0;
}
