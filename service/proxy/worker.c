/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/worker.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/connection-private.h"
#include "proxy/control.h"
#include "proxy/drivers.h"
#include "proxy/sandbox.h"

/* The loop ends when the listener closes the control socket: it does so when the worker has had no clients for a while, and only it can,
 * for only it knows whether one is on its way. */

enum {
        QUESTIONS_MAX = 8192, /* without an answer, of all clients together */
};

/* What the listener still owes. */
typedef struct Question {
        ProxyWorker *worker;
        ProxyLinkOpened opened; /* of a link */
        ProxyAnswer answered; /* of the administration */
        void *userdata;
} Question;

struct ProxyWorker {
        ProxyIdentity *identity;
        bool session;
        sd_event *event;
        ProxyControl *control;
        GHashTable *connections; /* by id of the client; owns */
        GQueue lingering; /* those whose client has left, in that order */
        GHashTable *backends; /* by driver's name; owns */
        GHashTable *questions; /* by number; owns */
        uint64_t n_questions;
        size_t held; /* by all connections together */
};

/* Questions */

static int ask(ProxyWorker *worker, ProxyControlHead *head, const void *tail, size_t n_tail, const Question *question) {
        int r;

        if (g_hash_table_size(worker->questions) >= QUESTIONS_MAX)
                return -EBUSY;
        head->id = ++worker->n_questions;
        r = proxy_control_send(worker->control, head, tail, n_tail, /* fd= */ -EBADF);
        if (r < 0)
                return r;
        g_hash_table_insert(worker->questions, g_memdup2(&head->id, sizeof head->id), g_memdup2(question, sizeof *question));
        return 0;
}

static int open_link(void *opener, const char *driver, uint64_t client, bool read_only, bool with_signals,
                     ProxyLinkOpened opened, void *userdata) {
        ProxyWorker *worker = opener;
        ProxyControlHead head = {
                .kind = PROXY_CONTROL_OPEN_LINK,
                .link = { .client = client, .read_only = read_only, .with_signals = with_signals },
        };

        g_strlcpy(head.link.driver, driver, sizeof head.link.driver);
        return ask(worker, &head, /* tail= */ NULL, 0,
                   &(Question){ .worker = worker, .opened = opened, .userdata = userdata });
}

int proxy_worker_ask(ProxyWorker *worker, int question, const void *payload, size_t size, ProxyAnswer answered,
                     void *userdata) {
        ProxyControlHead head = { .kind = PROXY_CONTROL_ASK, .result = question };

        return ask(worker, &head, payload, size,
                   &(Question){ .worker = worker, .answered = answered, .userdata = userdata });
}

/* The tail of a failure: name and message, NUL between them and behind them. */
static void set_error(sd_bus_error *error, int r, const char *tail, size_t n_tail) {
        size_t name = strnlen(tail, n_tail);

        if (name > 0 && name + 1 <= n_tail && sd_bus_error_set(error, tail, tail + name + 1) != 0)
                return;
        (void) sd_bus_error_set_errno(error, r);
}

static int on_answer(ProxyWorker *worker, const ProxyControlHead *head, const void *tail, size_t n_tail, int *fd) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree Question *question = NULL;
        g_autofree uint64_t *number = NULL;

        if (!g_hash_table_steal_extended(worker->questions, &head->id, (gpointer *) &number, (gpointer *) &question))
                return -EBADMSG;
        if (head->result < 0)
                set_error(&error, head->result, tail, n_tail);
        if (question->answered)
                question->answered(head->result, tail, n_tail, question->userdata);
        else if (head->result >= 0 && *fd < 0)
                return -EBADMSG;
        else
                question->opened(head->result < 0 ? -EBADF : vb_steal_fd(fd), head->result, &error, question->userdata);
        return 0;
}

/* Clients */

static int on_client(ProxyWorker *worker, const ProxyClient *client, int *fd) {
        ProxyConnection *connection;
        int r;

        if (*fd < 0 || client->uid != worker->identity->uid || client->door != worker->identity->door)
                return -EBADMSG;
        r = proxy_connection_new(&connection, worker, client, vb_steal_fd(fd));
        if (r < 0) {
                const ProxyControlHead gone = { .kind = PROXY_CONTROL_GONE, .id = client->id };

                (void) vb_log_warning_errno(r, "cannot serve a client: %m");
                return proxy_control_send(worker->control, &gone, NULL, 0, -EBADF);
        }
        g_hash_table_insert(worker->connections, g_memdup2(&client->id, sizeof client->id), connection);
        return 0;
}

static void tell(ProxyWorker *worker, const ProxyControlHead *head) {
        int r;

        r = proxy_control_send(worker->control, head, NULL, 0, -EBADF);
        if (r < 0)
                (void) sd_event_exit(worker->event, r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE);
}

bool proxy_worker_account(ProxyWorker *worker, size_t before, size_t now) {
        worker->held += now - before;
        return worker->held <= PROXY_WORKER_HELD_MAX;
}

void proxy_worker_release(ProxyWorker *worker, size_t held) {
        worker->held -= held;
}

void proxy_worker_client_opened(ProxyWorker *worker, const ProxyConnection *connection) {
        tell(worker, &(ProxyControlHead){
                             .kind = PROXY_CONTROL_OPENED,
                             .id = proxy_connection_client(connection)->id,
                             .result = proxy_connection_is_read_only(connection),
                     });
}

static void forget_links(gpointer key, gpointer backend, gpointer client) {
        proxy_backend_forget(backend, *(uint64_t *) client);
}

void proxy_worker_client_left(ProxyWorker *worker, ProxyConnection *connection) {
        tell(worker, &(ProxyControlHead){ .kind = PROXY_CONTROL_LEFT, .id = proxy_connection_client(connection)->id });
        g_queue_push_tail(&worker->lingering, connection);
        if (worker->lingering.length > PROXY_WORKER_LINGER_MAX)
                proxy_worker_client_gone(worker, worker->lingering.head->data);
}

void proxy_worker_client_gone(ProxyWorker *worker, ProxyConnection *connection) {
        uint64_t id = proxy_connection_client(connection)->id;

        (void) g_queue_remove(&worker->lingering, connection);
        (void) g_hash_table_remove(worker->connections, &id);
        g_hash_table_foreach(worker->backends, forget_links, &id);
        tell(worker, &(ProxyControlHead){ .kind = PROXY_CONTROL_GONE, .id = id });
}

static void wind_up(gpointer key, gpointer connection, gpointer userdata) {
        proxy_connection_wind_up(connection);
}

/* From the listener */

static int use_log_rules(const void *tail, size_t n_tail) {
        return n_tail == sizeof(VbLogRules) ? vb_log_set_rules(tail, /* reterr= */ NULL) : -EBADMSG;
}

static int on_control(const ProxyControlHead *head, const void *tail, size_t n_tail, int *fd, void *userdata) {
        ProxyWorker *worker = userdata;
        ProxyConnection *connection;

        switch (head->kind) {
        case PROXY_CONTROL_CLIENT: return on_client(worker, &head->client, fd);
        case PROXY_CONTROL_LINK:
        case PROXY_CONTROL_ANSWER: return on_answer(worker, head, tail, n_tail, fd);
        case PROXY_CONTROL_DISCONNECT:
                connection = g_hash_table_lookup(worker->connections, &head->id);
                if (connection) /* else it has just left */
                        proxy_connection_drop(connection, "disconnected by the administrator");
                return 0;
        case PROXY_CONTROL_LOG: return use_log_rules(tail, n_tail);
        case PROXY_CONTROL_LEAVE: g_hash_table_foreach(worker->connections, wind_up, NULL); return 0;
        default: return -EBADMSG;
        }
}

static void on_control_gone(int r, void *userdata) {
        ProxyWorker *worker = userdata;

        if (r != -EPIPE && r != -ECONNRESET)
                (void) vb_log_error_errno(r, "lost the listener: %m");
        (void) sd_event_exit(worker->event, EXIT_SUCCESS);
}

/* For the others */

sd_event *proxy_worker_event(ProxyWorker *worker) {
        return worker->event;
}

bool proxy_worker_is_session(const ProxyWorker *worker) {
        return worker->session;
}

ProxyBackend *proxy_worker_backend(ProxyWorker *worker, const char *driver) {
        const ProxyDriver *known = proxy_driver_find(driver);
        ProxyBackend *backend;

        if (!known)
                return NULL;
        backend = g_hash_table_lookup(worker->backends, known->name);
        if (!backend) {
                backend = proxy_backend_new(worker->event, known->name, open_link, worker);
                g_hash_table_insert(worker->backends, (gpointer) known->name, backend);
        }
        return backend;
}

/* Coming up */

static int receive_identity(ProxyIdentity **ret, ProxyControlHead *ret_head, int *ret_empty_fd) {
        g_autofree ProxyIdentity *identity = g_malloc(PROXY_CONTROL_TAIL_MAX + 1);
        vb_autofd empty_fd = -EBADF;
        size_t size;
        int r;

        r = proxy_control_receive(STDIN_FILENO, ret_head, identity, &size, &empty_fd);
        if (r < 0)
                return vb_log_error_errno(r, "nobody says whom to serve: standard input must be the listener's: %m");
        if (ret_head->kind != PROXY_CONTROL_IDENTITY || size < sizeof *identity ||
            identity->n_groups > PROXY_GROUPS_MAX || proxy_identity_size(identity) != size)
                return vb_log_error_errno(EBADMSG, "the listener said whom to serve in a way that is not understood");
        *ret = g_steal_pointer(&identity);
        *ret_empty_fd = vb_steal_fd(&empty_fd);
        return 0;
}

static int receive_log_rules(void) {
        g_autofree char *tail = g_malloc(PROXY_CONTROL_TAIL_MAX + 1);
        ProxyControlHead head = { 0 };
        vb_autofd fd = -EBADF;
        size_t size;
        int r;

        r = proxy_control_receive(STDIN_FILENO, &head, tail, &size, &fd);
        if (r >= 0)
                r = head.kind == PROXY_CONTROL_LOG ? use_log_rules(tail, size) : -EBADMSG;
        return r < 0 ? vb_log_error_errno(r, "the listener does not say what to log: %m") : 0;
}

static void free_connection(gpointer connection) {
        proxy_connection_free(connection);
}

static void free_backend(gpointer backend) {
        proxy_backend_free(backend);
}

static int set_up_loop(ProxyWorker *worker) {
        static const ProxyControlEnds ends = { .received = on_control, .gone = on_control_gone };
        int r;

        r = sd_event_new(&worker->event);
        if (r >= 0)
                r = proxy_control_new(&worker->control, worker->event, STDIN_FILENO, &ends, worker);
        if (r < 0)
                return vb_log_error_errno(r, "cannot set up the event loop: %m");
        worker->connections = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, free_connection);
        worker->backends = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_backend);
        worker->questions = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
        return 0;
}

static void worker_done(ProxyWorker *worker) {
        g_clear_pointer(&worker->connections, g_hash_table_unref);
        g_queue_clear(&worker->lingering);
        g_clear_pointer(&worker->backends, g_hash_table_unref);
        g_clear_pointer(&worker->questions, g_hash_table_unref);
        proxy_control_free(worker->control);
        sd_event_unref(worker->event);
        g_free(worker->identity);
}

static int run(ProxyWorker *worker) {
        ProxyControlHead head = { 0 };
        vb_autofd empty_fd = -EBADF;
        int r;

        r = receive_identity(&worker->identity, &head, &empty_fd);
        if (r < 0)
                return r;
        worker->session = head.identity.session;
        r = receive_log_rules();
        if (r < 0)
                return r;
        r = proxy_sandbox_become(worker->identity, worker->session, empty_fd);
        if (r < 0)
                return r;
        empty_fd = vb_close(empty_fd);
        r = set_up_loop(worker);
        if (r < 0)
                return r;
        r = proxy_sandbox_filter(worker->identity->door);
        if (r < 0)
                return r;
        vb_log_debug("serves the %s socket for user %u", proxy_door_to_string(worker->identity->door),
                     worker->identity->uid);
        return sd_event_loop(worker->event);
}

/* The service manager, and a terminal, send signals to all processes of the service. The listener decides, and we end with it. */
int proxy_worker_run(void) {
        static const int ignored[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP };
        ProxyWorker worker = { 0 };
        int r;

        (void) prctl(PR_SET_NAME, "virtproxyd", 0, 0, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
                (void) signal(ignored[i], SIG_IGN);
        vb_error_init();
        vb_log_init("proxy", LOG_INFO);
        r = run(&worker);
        worker_done(&worker);
        return r < 0 ? EXIT_FAILURE : r;
}
