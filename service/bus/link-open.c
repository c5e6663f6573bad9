/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Daemon1.OpenLink, and listening sockets: who may open how many links, and for whom they speak. */

#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/link-private.h"
#include "bus/names.h"

enum {
        LINKS_MAX = 8192, /* virtproxyd opens one for each of its clients, and one for each of its workers */
        LINKS_PER_USER = 8,
};

static unsigned links_of(const VbLinks *links, uid_t opener) {
        return GPOINTER_TO_UINT(g_hash_table_lookup(links->by_opener, GUINT_TO_POINTER(opener)));
}

static int check_limits(VbLinks *links, uid_t opener, sd_bus_error *reterr) {
        if (g_queue_get_length(&links->all) >= LINKS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%d links are open already", LINKS_MAX);
        if (opener != VB_UID_NOBODYS && links_of(links, opener) >= LINKS_PER_USER)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "user %u has %d links open already; close one first", opener, LINKS_PER_USER);
        return 0;
}

/* Finds the process, and that it is what it is said to be. From then on it is held by a pidfd. */
static int find_process(VbLink *link, const VbDaemon1OpenLinkArgs *args, sd_bus_error *reterr) {
        uint32_t pid = args->options.pid;
        uid_t uid;
        int r;

        if (pid == 0 || pid > INT32_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "pid %" PRIu32 ": not a process", pid);
        r = vb_process_adopt(&link->process, vb_daemon_event(link->links->daemon), (pid_t) pid,
                             args->options.start_time, vb_link_on_process_exited, link);
        if (r >= 0)
                r = vb_process_read_uid(link->process, &uid);
        if (r == -ESRCH)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "process %" PRIu32 ", started at %" PRIu64 ": there is no such process (any more)",
                                         pid, args->options.start_time);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "process %" PRIu32 ": cannot look at it: %s", pid,
                                               g_strerror(-r));
        if (uid != args->options.uid)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "process %" PRIu32 ": runs as user %u, not as user %" PRIu32, pid, uid,
                                         args->options.uid);
        return 0;
}

/* For a process: only who may do everything may speak for others. */
static int speak_for_process(VbLink *link, VbPeer *opener, const VbDaemon1OpenLinkArgs *args, sd_bus_error *reterr) {
        VbDaemon *daemon = link->links->daemon;
        int r;

        if (!args->options.has_pid || !args->options.has_start_time || !args->options.has_uid || args->options.start_time == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "OpenLink: of 'pid', 'start-time' and 'uid' all are needed, or none");
        if (!vb_authorization_is_privileged(vb_daemon_authorization(daemon), opener))
                return sd_bus_error_setf(reterr, VB_ERROR_ACCESS_DENIED,
                                         "OpenLink: user %u may not open links that speak for others; only %s may",
                                         vb_peer_uid(opener), vb_daemon_is_session(daemon) ? "the session's user" : "root");
        r = find_process(link, args, reterr);
        if (r < 0)
                return r;
        link->peer = vb_peer_new_for_link(vb_daemon_peers(daemon), link,
                                          &(VbPeerIdentity){
                                                  .uid = args->options.uid,
                                                  .pid = (pid_t) args->options.pid,
                                                  .start_time = args->options.start_time,
                                                  .read_only = args->options.read_only,
                                          });
        return 0;
}

static int speak_for_opener(VbLink *link, VbPeer *opener, const VbDaemon1OpenLinkArgs *args, sd_bus_error *reterr) {
        if (vb_peer_is_gone(opener))
                return sd_bus_error_setf(reterr, VB_ERROR_CANCELED, "the caller has left the bus");
        link->opener_gone.tell = vb_link_on_opener_gone;
        vb_peer_watch(opener, &link->opener_gone);
        link->peer = vb_peer_new_for_link(vb_daemon_peers(link->links->daemon), link,
                                          &(VbPeerIdentity){
                                                  .uid = vb_peer_uid(opener),
                                                  .name = vb_peer_name(opener),
                                                  .read_only = args->options.read_only,
                                          });
        return 0;
}

static int open_link(VbLinks *links, VbPeer *opener, const VbDaemon1OpenLinkArgs *args, int *ret, sd_bus_error *reterr) {
        bool for_process = args->options.has_pid || args->options.has_start_time || args->options.has_uid;
        g_autoptr(VbLink) link = g_new0(VbLink, 1);
        int fds[2], r;

        link->links = links;
        link->opener = VB_UID_NOBODYS;
        link->signals = args->options.signals;
        r = for_process ? speak_for_process(link, opener, args, reterr) : speak_for_opener(link, opener, args, reterr);
        if (r < 0)
                return r;

        if (!vb_authorization_is_privileged(vb_daemon_authorization(links->daemon), opener))
                link->opener = vb_peer_uid(opener);
        r = check_limits(links, link->opener, reterr);
        if (r < 0) {
                link->opener = VB_UID_NOBODYS;
                return r;
        }

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "OpenLink: cannot make a socket: %s", g_strerror(errno));
        vb_autofd theirs = fds[1];
        r = vb_link_start(link, fds[0]);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "OpenLink: cannot serve a socket: %s", g_strerror(-r));
        (void) g_steal_pointer(&link);
        *ret = vb_steal_fd(&theirs);
        return 0;
}

int vb_links_on_open(VbCall *call, VbObject *object, const VbDaemon1OpenLinkArgs *args, sd_bus_error *reterr) {
        vb_autofd fd = -EBADF;
        int r;

        r = vb_call_identify(call, reterr);
        if (r <= 0)
                return r;
        if (vb_peer_is_link(vb_call_peer(call)))
                return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED,
                                         "OpenLink: links are opened over the bus, not over a link");
        r = open_link(vb_daemon_links(vb_call_daemon(call)), vb_call_peer(call), args, &fd, reterr);
        if (r < 0)
                return r;
        return vb_daemon1_reply_open_link(call, fd);
}

/* Listening sockets */

static void free_listener(void *source) {
        sd_event_source_disable_unref(source);
}

GPtrArray *vb_link_listeners_new(void) {
        return g_ptr_array_new_with_free_func(free_listener);
}

/* No more is known than the user, for which no question to polkit could be asked: so only those come in of whom none has to be. */
static int serve_connection(VbLinks *links, int fd) {
        g_autoptr(VbLink) link = g_new0(VbLink, 1);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        socklen_t size = sizeof(struct ucred);
        vb_autofd connection = fd;
        struct ucred who;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
                return -errno;
        link->links = links;
        link->opener = VB_UID_NOBODYS;
        link->peer = vb_peer_new_for_link(vb_daemon_peers(links->daemon), link, &(VbPeerIdentity){ .uid = who.uid });
        if (!vb_authorization_is_privileged(vb_daemon_authorization(links->daemon), link->peer))
                return -EACCES;
        r = check_limits(links, link->opener, &error);
        if (r >= 0)
                r = vb_link_start(link, vb_steal_fd(&connection));
        if (r < 0)
                return r;
        (void) g_steal_pointer(&link);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        int connection, r;

        connection = accept4(fd, /* addr= */ NULL, /* addr_len= */ NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        r = connection < 0 ? -errno : serve_connection(userdata, connection);
        if (r < 0 && r != -EAGAIN && r != -ECONNABORTED)
                (void) vb_log_warning_errno(r, "cannot serve a connection: %m");
        return 0;
}

int vb_links_listen(VbLinks *links, int fd) {
        g_autoptr(sd_event_source) source = NULL;
        vb_autofd listener = fd;
        int r;

        r = vb_fd_set_nonblock(fd, true);
        if (r >= 0)
                r = sd_event_add_io(vb_daemon_event(links->daemon), &source, fd, EPOLLIN, on_connection, links);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(source, /* own= */ true);
        if (r < 0)
                return r;
        (void) vb_steal_fd(&listener);
        g_ptr_array_add(links->listeners, g_steal_pointer(&source));
        return 0;
}
