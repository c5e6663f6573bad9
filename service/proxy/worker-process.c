/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "proxy/listener-private.h"

/* A worker is this very program once more (by /proc/self/exe, so that one that was upgraded meanwhile is not mixed with the old), with an
 * environment of its own and one descriptor beside stderr: the control socket. The first packet there says whom to become.
 *
 * It ends by itself when the control socket closes: that is how the listener retires one that has been without clients for a while. One that
 * ends without being told to has crashed; its clients are gone with it, and nobody else's. */

enum {
        IDLE_SEC = 10, /* kept warm for the next client */
        END_WITHIN_SEC = 10, /* when told to */
        /* A socket and a link for each client, of which root may have 5000, and streams. As many as the unit has, since it is also how many descriptors of
         * root's, virtlockd's and virtlogd's stored ones among them, may be on their way when root's worker wants to pass one. */
        DESCRIPTORS_MAX = 65536,
        CRASHES_FORGOTTEN_SEC = 300,
        CRASH_DELAY_MAX_SEC = 60,
};

#define MEMORY_MAX (2048ull * 1024 * 1024)

/* Of one user at one door. */
typedef struct Crashes {
        unsigned n;
        uint64_t last_usec;
} Crashes;

static int64_t crash_key(const ProxyIdentity *identity) {
        return (int64_t) identity->uid * _PROXY_DOOR_MAX + identity->door;
}

/* The first crash costs nothing; then the next worker waits for 1, 4, 16 seconds, a minute. */
static bool crashes_too_fast(ProxyListener *listener, const ProxyIdentity *identity) {
        int64_t key = crash_key(identity);
        const Crashes *crashes = g_hash_table_lookup(listener->crashes, &key);
        uint64_t usec = (uint64_t) g_get_monotonic_time(), delay;

        if (!crashes || crashes->n < 2)
                return false;
        if (usec > crashes->last_usec + CRASHES_FORGOTTEN_SEC * (uint64_t) G_USEC_PER_SEC) {
                (void) g_hash_table_remove(listener->crashes, &key);
                return false;
        }
        delay = crashes->n > 4 ? CRASH_DELAY_MAX_SEC : 1ull << (2 * (crashes->n - 2));
        return usec < crashes->last_usec + delay * G_USEC_PER_SEC;
}

static void note_crash(ProxyListener *listener, const ProxyIdentity *identity) {
        int64_t key = crash_key(identity);
        Crashes *crashes = g_hash_table_lookup(listener->crashes, &key);

        if (!crashes) {
                crashes = g_new0(Crashes, 1);
                g_hash_table_insert(listener->crashes, g_memdup2(&key, sizeof key), crashes);
        }
        crashes->n++;
        crashes->last_usec = (uint64_t) g_get_monotonic_time();
}

/* Its end */

static void kill_now(ProxyWorkerProcess *worker) {
        int r;

        r = vb_process_kill(worker->process, SIGKILL);
        if (r < 0 && r != -ESRCH)
                (void) vb_log_error_errno(r, "cannot kill a worker: %m");
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata) {
        ProxyWorkerProcess *worker = userdata;

        vb_log_warning("the worker of user %u does not end, and is killed", worker->identity->uid);
        kill_now(worker);
        return 0;
}

static void set_timer(ProxyWorkerProcess *worker, unsigned seconds, sd_event_time_handler_t handler) {
        sd_event *event = vb_daemon_event(worker->listener->daemon);
        int r;

        worker->timer = sd_event_source_disable_unref(worker->timer);
        r = sd_event_add_time_relative(event, &worker->timer, CLOCK_MONOTONIC, seconds * (uint64_t) G_USEC_PER_SEC,
                                       G_USEC_PER_SEC, handler, worker);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch a worker's time: %m");
}

/* It is sent nothing any more, and the next client gets a new one. The process is watched until it has ended. */
static void retire(ProxyWorkerProcess *worker) {
        ProxyListener *listener = worker->listener;

        worker->retired = true;
        (void) g_hash_table_steal(listener->workers, worker->identity);
        (void) g_hash_table_add(listener->retired, worker);
        g_hash_table_remove_all(worker->links);
        worker->control = proxy_control_free(worker->control);
        proxy_links_ask_next(listener);
        proxy_listener_worker_gone(listener, worker);
        set_timer(worker, END_WITHIN_SEC, on_overdue);
}

ProxyWorkerProcess *proxy_worker_process_free(ProxyWorkerProcess *worker) {
        if (!worker)
                return NULL;
        if (worker->links)
                g_hash_table_unref(worker->links);
        sd_event_source_disable_unref(worker->timer);
        proxy_control_free(worker->control);
        vb_process_free(worker->process);
        g_free(worker->identity);
        g_free(worker);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProxyWorkerProcess, proxy_worker_process_free)

static void on_exited(VbProcess *process, const VbProcessExit *how, void *userdata) {
        ProxyWorkerProcess *worker = userdata;

        if (!worker->retired || worker->lost) {
                g_autofree char *text = vb_process_exit_to_string(how);

                vb_log_error("the worker of user %u for the %s socket %s; %u clients are cut off", worker->identity->uid,
                             proxy_door_to_string(worker->identity->door), text, worker->n_clients);
                note_crash(worker->listener, worker->identity);
                if (!worker->retired)
                        retire(worker);
        }
        (void) g_hash_table_remove(worker->listener->retired, worker);
}

static void on_started(VbProcess *process, int r, const sd_bus_error *error, void *userdata) {
        if (r < 0)
                vb_log_error("cannot start a worker: %s", error->message); /* its end is told, too */
}

/* One that breaks the rules, or does not read any more, has to go. */
static void give_up(ProxyWorkerProcess *worker, int error) {
        if (error != -EPIPE && error != -ECONNRESET)
                (void) vb_log_error_errno(error, "the worker of user %u is ended: %m", worker->identity->uid);
        kill_now(worker); /* on_exited() does the rest */
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        retire(userdata);
        return 0;
}

/* What it says */

static ProxyServed *served_by(ProxyWorkerProcess *worker, uint64_t id) {
        ProxyServed *served = g_hash_table_lookup(worker->listener->served, &id);

        return served && served->worker == worker ? served : NULL;
}

static int on_control(const ProxyControlHead *head, const void *tail, size_t n_tail, int *fd, void *userdata) {
        ProxyWorkerProcess *worker = userdata;
        ProxyServed *served;

        switch (head->kind) {
        case PROXY_CONTROL_OPEN_LINK: return proxy_link_open(worker, head);
        case PROXY_CONTROL_OPENED:
                served = served_by(worker, head->id);
                if (!served)
                        return -EBADMSG;
                served->open = true;
                served->read_only = head->result > 0;
                return 0;
        case PROXY_CONTROL_LEFT:
                served = served_by(worker, head->id);
                if (!served)
                        return -EBADMSG;
                served->left = true;
                return 0;
        case PROXY_CONTROL_GONE:
                if (!served_by(worker, head->id))
                        return -EBADMSG;
                worker->n_clients--;
                proxy_listener_client_gone(worker->listener, head->id);
                if (worker->n_clients == 0)
                        set_timer(worker, IDLE_SEC, on_idle);
                return 0;
        case PROXY_CONTROL_ASK: return proxy_admin_answer(worker, head, tail, n_tail);
        default: return -EBADMSG;
        }
}

static void on_control_gone(int r, void *userdata) {
        give_up(userdata, r);
}

/* Its start */

/* No more than the listener itself may have: it could not give that. */
static rlim_t most_descriptors(void) {
        struct rlimit own;

        return getrlimit(RLIMIT_NOFILE, &own) < 0 ? DESCRIPTORS_MAX : MIN(own.rlim_max, DESCRIPTORS_MAX);
}

static int spawn(ProxyWorkerProcess *worker, int control_fd) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        g_autofree char *journal = g_strconcat("JOURNAL_STREAM=", stream, NULL);
        char *environment[] = { (char *) "PATH=/usr/bin:/bin", (char *) "LANG=C.UTF-8", stream ? journal : NULL, NULL };
        char *argv[] = { (char *) "virtproxyd", (char *) "--worker", NULL };
        const rlim_t descriptors = most_descriptors();
        const VbProcessLimit limits[] = {
                { RLIMIT_NOFILE, { descriptors, descriptors } },
#ifndef __SANITIZE_ADDRESS__
                { RLIMIT_DATA, { MEMORY_MAX, MEMORY_MAX } },
#endif
        };
        const VbProcessSpec spec = {
                .path = "/proc/self/exe",
                .argv = argv,
                .envp = environment,
                .in = { VB_STREAM_FD, control_fd },
                .err = { VB_STREAM_INHERIT },
                .die_with_parent = true,
                .kill_on_free = true,
                .limits = limits,
                .n_limits = G_N_ELEMENTS(limits),
                .started = on_started,
                .exited = on_exited,
                .userdata = worker,
        };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        return vb_process_spawn(&worker->process, vb_daemon_event(worker->listener->daemon), &spec, &error);
}

static int tell_log(ProxyControl *control) {
        VbLogRules rules;

        vb_log_get_rules(&rules);
        return proxy_control_send(control, &(ProxyControlHead){ .kind = PROXY_CONTROL_LOG }, &rules, sizeof rules, -EBADF);
}

static int introduce(ProxyWorkerProcess *worker) {
        const ProxyControlHead head = {
                .kind = PROXY_CONTROL_IDENTITY,
                .identity = { .session = vb_daemon_is_session(worker->listener->daemon) },
        };
        int r;

        r = proxy_control_send(worker->control, &head, worker->identity, proxy_identity_size(worker->identity),
                               worker->listener->empty_fd);
        return r < 0 ? r : tell_log(worker->control);
}

static int worker_process_new(ProxyWorkerProcess **ret, ProxyListener *listener, const ProxyIdentity *identity) {
        static const ProxyControlEnds control_ends = { .received = on_control, .gone = on_control_gone };
        g_autoptr(ProxyWorkerProcess) worker = g_new0(ProxyWorkerProcess, 1);
        vb_autofd child_end = -EBADF;
        int ends[2], r;

        worker->listener = listener;
        worker->identity = proxy_identity_copy(identity);
        worker->links = g_hash_table_new_full(NULL, NULL, proxy_link_request_free, NULL);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        child_end = ends[1];
        r = proxy_control_new(&worker->control, vb_daemon_event(listener->daemon), ends[0], &control_ends, worker);
        if (r >= 0)
                r = introduce(worker);
        if (r >= 0)
                r = spawn(worker, child_end);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&worker);
        return 0;
}

static unsigned workers_of(ProxyListener *listener, uid_t uid) {
        GHashTableIter iter;
        unsigned n = 0;
        gpointer key;

        g_hash_table_iter_init(&iter, listener->workers);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                if (((const ProxyIdentity *) key)->uid == uid)
                        n++;
        return n;
}

int proxy_worker_process_get(ProxyListener *listener, const ProxyIdentity *identity, ProxyWorkerProcess **ret) {
        ProxyWorkerProcess *worker = g_hash_table_lookup(listener->workers, identity);
        int r;

        if (!worker) {
                if (crashes_too_fast(listener, identity))
                        return -EAGAIN;
                if (workers_of(listener, identity->uid) >= PROXY_WORKERS_OF_USER)
                        return -EDQUOT;
                if (identity->uid != 0 && g_hash_table_size(listener->workers) >= listener->workers_max)
                        return -EDQUOT;
                r = worker_process_new(&worker, listener, identity);
                if (r < 0)
                        return r;
                g_hash_table_insert(listener->workers, worker->identity, worker);
        }
        *ret = worker;
        return 0;
}

int proxy_worker_process_serve(ProxyWorkerProcess *worker, const ProxyClient *client, int fd) {
        int r;

        r = proxy_control_send(worker->control, &(ProxyControlHead){ .kind = PROXY_CONTROL_CLIENT, .client = *client },
                               /* tail= */ NULL, 0, fd);
        if (r == -EPIPE || r == -ECONNRESET) {
                worker->lost = true;
                retire(worker);
                return -EPIPE;
        }
        if (r < 0) {
                give_up(worker, r);
                return r;
        }
        worker->timer = sd_event_source_disable_unref(worker->timer);
        worker->n_clients++;
        return 0;
}

void proxy_worker_processes_tell_log(ProxyListener *listener) {
        GHashTableIter iter;
        gpointer worker;

        g_hash_table_iter_init(&iter, listener->workers);
        while (g_hash_table_iter_next(&iter, NULL, &worker))
                if (tell_log(((ProxyWorkerProcess *) worker)->control) < 0)
                        continue; /* it ends, and says so elsewhere */
}

void proxy_worker_processes_leave(ProxyListener *listener) {
        GHashTableIter iter;
        gpointer worker;

        g_hash_table_iter_init(&iter, listener->workers);
        while (g_hash_table_iter_next(&iter, NULL, &worker))
                if (proxy_control_send(((ProxyWorkerProcess *) worker)->control,
                                       &(ProxyControlHead){ .kind = PROXY_CONTROL_LEAVE }, NULL, 0, -EBADF) < 0)
                        continue; /* the same */
}
