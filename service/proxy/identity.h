/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is at the other end of a classic socket, as the kernel says, and whom a worker becomes to serve her. Whoever has the same identity
 * and came in by the same door is served by the same worker. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

enum {
        PROXY_GROUPS_MAX = 1024, /* supplementary groups of a client; who has more is not served */
        PROXY_DRIVER_MAX = 16, /* with the NUL */
};

/* Which socket it came in by. */
typedef enum ProxyDoor {
        PROXY_DOOR_MAIN,
        PROXY_DOOR_READ_ONLY,
        PROXY_DOOR_ADMIN,
        _PROXY_DOOR_MAX,
} ProxyDoor;

const char *proxy_door_to_string(ProxyDoor door); /* "main", "read-only", "admin" */

/* One client. Also travels from the listener to the worker. */
typedef struct ProxyClient {
        uint64_t id; /* unique as long as the listener lives; 0 for none */
        uint64_t since_usec; /* CLOCK_REALTIME */
        uint64_t start_time; /* of the process, in the kernel's ticks since boot: with pid, unambiguous */
        pid_t pid;
        uid_t uid;
        gid_t gid;
        ProxyDoor door;
        char driver[PROXY_DRIVER_MAX]; /* "qemu" on virtqemud-sock; "" on libvirt-sock: the URI decides */
} ProxyClient;

/* What a worker is. */
typedef struct ProxyIdentity {
        uid_t uid;
        gid_t gid;
        ProxyDoor door;
        unsigned n_groups;
        gid_t groups[]; /* sorted */
} ProxyIdentity;

/* The peer of a connected unix socket: pid, start time, uid and gid of ret_client, and her whole identity. -ESRCH: the process that
 * connected has ended, so that its number may be another's by now. -E2BIG: too many groups. */
VB_MUST_USE int proxy_identity_of_peer(int fd, ProxyDoor door, ProxyClient *ret_client, ProxyIdentity **ret);

size_t proxy_identity_size(const ProxyIdentity *identity);
ProxyIdentity *proxy_identity_copy(const ProxyIdentity *identity);

/* For hash tables. */
guint proxy_identity_hash(gconstpointer identity);
gboolean proxy_identity_equal(gconstpointer a, gconstpointer b);
