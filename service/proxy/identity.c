/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/identity.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/process.h"

/* All that is said here is what the kernel wrote down when the client called connect(), so nobody can change it afterwards: credentials
 * and groups are those of that moment, and a setuid program that the client turns into later lends it nothing.
 *
 * The process is another matter: polkit finds its session by its number and start time, and the start time is read here, a moment
 * later. From Linux 6.5 on, the kernel gives a descriptor of the very process; if that still lives after the start time was read, it was
 * its own. Before, someone who ends in between could have the number given to another process. It gains nothing from that: the uid
 * that goes to polkit beside it is still that of the moment. */

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

const char *proxy_door_to_string(ProxyDoor door) {
        static const char *const words[_PROXY_DOOR_MAX] = {
                [PROXY_DOOR_MAIN] = "main",
                [PROXY_DOOR_READ_ONLY] = "read-only",
                [PROXY_DOOR_ADMIN] = "admin",
        };

        return door >= 0 && door < _PROXY_DOOR_MAX ? words[door] : NULL;
}

/* A pidfd becomes readable when its process ends. */
static bool has_ended(int pidfd) {
        struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

        return poll(&poll_fd, 1, /* timeout= */ 0) > 0;
}

static int read_start_time(int fd, pid_t pid, uint64_t *ret) {
        vb_autofd pidfd = -EBADF;
        socklen_t size = sizeof pidfd;
        uint64_t start_time = 0;
        int taken = -EBADF, r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &taken, &size) >= 0)
                pidfd = taken;
        else if (errno == ESRCH || errno == EINVAL || errno == ENODATA)
                return -ESRCH; /* reaped already */
        else if (errno != ENOPROTOOPT)
                return -errno;

        r = vb_process_read_start_time(pid, &start_time);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        if (pidfd >= 0 && has_ended(pidfd))
                return -ESRCH;
        *ret = start_time;
        return 0;
}

static int compare_gids(const void *a, const void *b) {
        return (*(const gid_t *) a > *(const gid_t *) b) - (*(const gid_t *) a < *(const gid_t *) b);
}

static int read_groups(int fd, const struct ucred *credentials, ProxyDoor door, ProxyIdentity **ret) {
        g_autofree ProxyIdentity *identity = g_malloc0(sizeof *identity + PROXY_GROUPS_MAX * sizeof(gid_t));
        socklen_t size = PROXY_GROUPS_MAX * sizeof(gid_t);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, identity->groups, &size) < 0)
                return errno == ERANGE ? -E2BIG : -errno;
        *identity = (ProxyIdentity){
                .uid = credentials->uid,
                .gid = credentials->gid,
                .door = door,
                .n_groups = (unsigned) (size / sizeof(gid_t)),
        };
        qsort(identity->groups, identity->n_groups, sizeof(gid_t), compare_gids);
        *ret = g_steal_pointer(&identity);
        return 0;
}

int proxy_identity_of_peer(int fd, ProxyDoor door, ProxyClient *ret_client, ProxyIdentity **ret) {
        g_autofree ProxyIdentity *identity = NULL;
        struct ucred credentials;
        socklen_t size = sizeof credentials;
        uint64_t start_time = 0;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;
        /* 0: of a process that our pid namespace does not know. */
        if (credentials.pid <= 0 || credentials.uid == (uid_t) -1 || credentials.gid == (gid_t) -1)
                return -ESRCH;
        r = read_start_time(fd, credentials.pid, &start_time);
        if (r < 0)
                return r;
        r = read_groups(fd, &credentials, door, &identity);
        if (r < 0)
                return r;

        ret_client->start_time = start_time;
        ret_client->pid = credentials.pid;
        ret_client->uid = credentials.uid;
        ret_client->gid = credentials.gid;
        ret_client->door = door;
        *ret = g_steal_pointer(&identity);
        return 0;
}

size_t proxy_identity_size(const ProxyIdentity *identity) {
        return sizeof *identity + identity->n_groups * sizeof(gid_t);
}

ProxyIdentity *proxy_identity_copy(const ProxyIdentity *identity) {
        return g_memdup2(identity, proxy_identity_size(identity));
}

guint proxy_identity_hash(gconstpointer p) {
        const ProxyIdentity *identity = p;

        return identity->uid * 31 + identity->gid * 7 + (unsigned) identity->door;
}

gboolean proxy_identity_equal(gconstpointer a, gconstpointer b) {
        const ProxyIdentity *one = a, *other = b;
        size_t size = proxy_identity_size(one);

        return size == proxy_identity_size(other) && memcmp(one, other, size) == 0;
}
