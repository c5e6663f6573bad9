/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/listener.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "proxy/listener-private.h"

#define COMPLAIN_EVERY_USEC (10 * (uint64_t) G_USEC_PER_SEC)

/* How many */

static unsigned clients_of(ProxyListener *listener, uid_t uid) {
        return GPOINTER_TO_UINT(g_hash_table_lookup(listener->users, GUINT_TO_POINTER(uid)));
}

/* What comes beyond the limit waits in the sockets, as with libvirt's own daemon. */
void proxy_listener_count_changed(ProxyListener *listener) {
        unsigned n = g_hash_table_size(listener->served);
        bool full = n - listener->n_admin >= listener->clients_max;

        if (n > 0 && !listener->hold)
                listener->hold = vb_idle_hold(listener->daemon, "classic clients");
        else if (n == 0)
                listener->hold = vb_idle_release(listener->hold);
        proxy_sockets_pause(listener->sockets, listener->leaving ? PROXY_PAUSE_ALL
                                                : full          ? PROXY_PAUSE_CLIENTS
                                                                : PROXY_PAUSE_NONE);
        vb_daemon_leave_if_done(listener->daemon);
}

static void count_client(ProxyListener *listener, uid_t uid, ProxyDoor door, int more) {
        unsigned n = clients_of(listener, uid) + (unsigned) more;

        if (door == PROXY_DOOR_ADMIN)
                listener->n_admin += (unsigned) more;
        if (n == 0)
                (void) g_hash_table_remove(listener->users, GUINT_TO_POINTER(uid));
        else
                (void) g_hash_table_insert(listener->users, GUINT_TO_POINTER(uid), GUINT_TO_POINTER(n));
        proxy_listener_count_changed(listener);
}

/* One user's many connections must not keep others out, nor all users together the administrator. */
static bool has_room(ProxyListener *listener, uid_t uid, ProxyDoor door) {
        unsigned reserved = MIN(PROXY_CLIENTS_OF_ROOT, listener->clients_max / 10);

        if (door == PROXY_DOOR_ADMIN)
                return listener->n_admin < PROXY_CLIENTS_OF_ADMIN;
        if (uid == 0 || vb_daemon_is_session(listener->daemon))
                return true;
        return clients_of(listener, uid) < PROXY_CLIENTS_OF_USER &&
               g_hash_table_size(listener->served) - listener->n_admin < listener->clients_max - reserved;
}

/* Coming and going */

/* A user who tries again and again must not fill the log. */
static void turn_away(ProxyListener *listener, const ProxyClient *client, int error, const char *why) {
        uint64_t usec = (uint64_t) g_get_monotonic_time();

        if (listener->complained_usec != 0 && usec < listener->complained_usec + COMPLAIN_EVERY_USEC)
                return;
        listener->complained_usec = usec;
        (void) vb_log_warning_errno(error, "a client of user %u (process %d) is turned away: %s", client->uid, client->pid, why);
}

/* The modes of the sockets say the same; but a slip there must not open the doors. */
static bool may_enter(ProxyListener *listener, const ProxyClient *client) {
        if (vb_daemon_is_session(listener->daemon))
                return client->uid == getuid();
        return client->door != PROXY_DOOR_ADMIN || client->uid == 0;
}

static int hand_over(ProxyListener *listener, const ProxyClient *client, const ProxyIdentity *identity, int fd,
                     ProxyWorkerProcess **ret) {
        int r;

        r = proxy_worker_process_get(listener, identity, ret);
        return r < 0 ? r : proxy_worker_process_serve(*ret, client, fd);
}

static int serve(ProxyListener *listener, ProxyClient *client, const ProxyIdentity *identity, int fd) {
        ProxyWorkerProcess *worker = NULL;
        ProxyServed *served;
        int r;

        client->id = ++listener->last_id;
        client->since_usec = (uint64_t) g_get_real_time();
        r = hand_over(listener, client, identity, fd, &worker);
        if (r == -EPIPE)
                r = hand_over(listener, client, identity, fd, &worker);
        if (r < 0)
                return r;

        served = g_new0(ProxyServed, 1);
        served->client = *client;
        served->worker = worker;
        g_hash_table_insert(listener->served, &served->client.id, served);
        count_client(listener, client->uid, client->door, 1);
        return 0;
}

static void on_accepted(int fd, ProxyDoor door, const char *driver, void *userdata) {
        g_autofree ProxyIdentity *identity = NULL;
        ProxyListener *listener = userdata;
        ProxyClient client = { .pid = -1, .uid = (uid_t) -1 };
        vb_autofd connection = fd;
        int r;

        g_strlcpy(client.driver, driver, sizeof client.driver);
        r = proxy_identity_of_peer(connection, door, &client, &identity);
        if (r == -ESRCH)
                return; /* it has ended already */
        if (r < 0)
                turn_away(listener, &client, r, "who it is cannot be told");
        else if (!may_enter(listener, &client))
                turn_away(listener, &client, EACCES, "this socket is not for that user");
        else if (!has_room(listener, client.uid, door))
                turn_away(listener, &client, EDQUOT, "too many are connected already");
        else {
                r = serve(listener, &client, identity, connection);
                if (r < 0)
                        turn_away(listener, &client, r, r == -EAGAIN ? "the worker of that user crashed too often" : "no worker takes it");
        }
}

void proxy_listener_client_gone(ProxyListener *listener, uint64_t id) {
        ProxyServed *served = g_hash_table_lookup(listener->served, &id);
        ProxyClient client;

        if (!served)
                return;
        client = served->client;
        (void) g_hash_table_remove(listener->served, &id);
        count_client(listener, client.uid, client.door, -1);
}

void proxy_listener_worker_gone(ProxyListener *listener, const ProxyWorkerProcess *worker) {
        GHashTableIter iter;
        gpointer p;

        g_hash_table_iter_init(&iter, listener->served);
        while (g_hash_table_iter_next(&iter, NULL, &p)) {
                ProxyServed *served = p;
                ProxyClient client = served->client;

                if (served->worker != worker)
                        continue;
                g_hash_table_iter_remove(&iter);
                count_client(listener, client.uid, client.door, -1);
        }
}

/* Coming up */

static char *session_folder(VbDaemon *daemon) {
        const char *run = g_getenv("XDG_RUNTIME_DIR");

        return vb_daemon_is_session(daemon) && run ? g_build_filename(run, "libvirt", NULL) : NULL;
}

/* What the root of workers that need no files is. */
static int open_empty(ProxyListener *listener) {
        g_autofree char *path = g_build_filename(vb_daemon_run_dir(listener->daemon), "proxy", "empty", NULL);
        int r;

        listener->empty_fd = -EBADF;
        if (vb_daemon_is_session(listener->daemon))
                return 0; /* only root can change the root; there, the system call filter alone keeps files away */
        r = vb_mkdir(path, 0555);
        if (r < 0)
                return r;
        listener->empty_fd = open(path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return listener->empty_fd < 0 ? -errno : 0;
}

static void free_worker_process(gpointer worker) {
        proxy_worker_process_free(worker);
}

int proxy_listener_new(ProxyListener **ret, VbDaemon *daemon, sd_bus_error *reterr) {
        g_autoptr(ProxyListener) listener = g_new0(ProxyListener, 1);
        g_autofree char *folder = session_folder(daemon);
        int r;

        listener->daemon = daemon;
        listener->clients_max = listener->workers_max = PROXY_CLIENTS_MAX; /* at worst, each client is another user */
        listener->served = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        listener->users = g_hash_table_new(NULL, NULL);
        listener->workers = g_hash_table_new_full(proxy_identity_hash, proxy_identity_equal, NULL,
                                                  free_worker_process);
        listener->retired = g_hash_table_new_full(NULL, NULL, free_worker_process, NULL);
        listener->crashes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
        r = open_empty(listener);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot make an empty folder for workers: %m");
        r = proxy_sockets_new(&listener->sockets, vb_daemon_event(daemon), folder, on_accepted, listener);
        if (r == -ENOENT)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "the service manager passes no sockets; start virtproxyd by its socket units");
        if (r == -EAGAIN || r == -EWOULDBLOCK)
                return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY, "%s: another virtproxyd serves it", folder);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot listen: %m");
        *ret = g_steal_pointer(&listener);
        return 0;
}

void proxy_listener_leave(ProxyListener *listener) {
        listener->leaving = true;
        proxy_sockets_pause(listener->sockets, PROXY_PAUSE_ALL);
        proxy_worker_processes_leave(listener);
}

bool proxy_listener_is_busy(const ProxyListener *listener) {
        return g_hash_table_size(listener->served) > 0;
}

ProxyListener *proxy_listener_free(ProxyListener *listener) {
        if (!listener)
                return NULL;
        proxy_sockets_free(listener->sockets);
        g_hash_table_unref(listener->workers);
        g_hash_table_unref(listener->retired);
        g_hash_table_unref(listener->served);
        g_hash_table_unref(listener->users);
        g_hash_table_unref(listener->crashes);
        vb_idle_release(listener->hold);
        (void) vb_close(listener->empty_fd);
        g_free(listener);
        return NULL;
}
