/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a guest needs of the host before its emulator can start: files, sockets and network plugs. One list of them is
 * made from the definition, each entry with a place for the descriptor. Who starts the guest fills the places in, and
 * the command line is built from the same list. So nothing is listed twice, and nothing opened twice. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "model/domain.h"
#include "qemu/capabilities.h"
#include "qemu/open.h"

typedef enum QemuSocketKind {
        QEMU_SOCKET_LISTEN_UNIX, /* bound to path, mode 0700, and listening */
        QEMU_SOCKET_LISTEN_TCP,  /* bound to host and port, and listening */
        QEMU_SOCKET_TPM,         /* one end of a pair whose other end is the TPM emulator's control channel */
} QemuSocketKind;

/* All sockets here are the daemon's: where a definition names a socket's path or a port of a character device itself,
 * QEMU binds or connects it with the owner's rights. */
typedef struct QemuSocket {
        char *id; /* "monitor", "channel0", "vnc0", "tpm0" */
        QemuSocketKind kind;
        char *path;    /* LISTEN_UNIX: in the run folder */
        char *host;    /* LISTEN_TCP: an address or name; "" is every address */
        uint16_t port; /* LISTEN_TCP: never below 1024. 0: the first free from 5900 on */
        int fd;        /* to be filled in */
        int peer_fd;   /* TPM: the other end, likewise */
} QemuSocket;

#define QEMU_TAP_QUEUES_MAX 64u

typedef enum QemuVhost {
        QEMU_VHOST_NO,
        QEMU_VHOST_OPTIONAL, /* /dev/vhost-net is worth trying, a guest without it runs as well */
        QEMU_VHOST_REQUIRED,
} QemuVhost;

/* One network card on a tap or macvtap device. */
typedef struct QemuTap {
        const VbInterface *interface; /* of the definition; its alias is the identity */
        unsigned queues;              /* descriptors wanted, of each kind */
        bool vnet_header;             /* TUNSETIFF with IFF_VNET_HDR */
        QemuVhost vhost;
        int fds[QEMU_TAP_QUEUES_MAX];       /* to be filled in: the first queues of them */
        int vhost_fds[QEMU_TAP_QUEUES_MAX]; /* likewise, or all left as they are */
} QemuTap;

/* What goes to virtlogd instead of a file: what a character device says, or its log. */
typedef struct QemuLogPipe {
        char *id;    /* "serial0", "serial0 log" */
        char *alias; /* "serial0" */
        char *path;  /* as the definition has it */
        bool is_device; /* the output itself, for which the guest may wait; else a log, for which all of QEMU waits */
        bool append;
        int fd; /* to be filled in */
} QemuLogPipe;

typedef struct QemuResources {
        /* For vb_open_request_add(), in this order. Ids: "disk vda", "disk vda backing 1", "kernel", "initrd", "dtb", "loader",
         * "nvram", "nvram template", "serial0", "serial0 log", "rng0". A caller's own descriptor for an image goes
         * into the fd of its entry. */
        VbOpenFile *files;
        size_t n_files;
        VbOpenResult *opened; /* to be filled in; owned from then on */

        QemuSocket *sockets;
        size_t n_sockets;
        QemuTap *taps;
        size_t n_taps;
        QemuLogPipe *logs;
        size_t n_logs;
} QemuResources;

/* The definition must be complete, have aliases, and stay as long as the resources do. run_directory is the guest's own
 * (/run/virtbus/qemu/UUID): sockets that the daemon chooses are bound there. Paths below log_directory are virtlogd's to write (NULL: none
 * are). Fails with UnsupportedConfiguration for what cannot be had at all. */
int qemu_resources_new(QemuResources **ret, const VbDomainDefinition *definition, const QemuCapabilities *capabilities,
                       const char *run_directory, const char *log_directory, sd_bus_error *reterr) VB_MUST_USE;

/* Closes whatever was not taken. Takes NULL, returns NULL. */
QemuResources *qemu_resources_free(QemuResources *resources);

/* By id; NULL if there is none. Borrowed. */
VbOpenFile *qemu_resources_find_file(QemuResources *resources, const char *id);
QemuSocket *qemu_resources_find_socket(QemuResources *resources, const char *id);
QemuLogPipe *qemu_resources_find_log(QemuResources *resources, const char *id);
QemuTap *qemu_resources_find_tap(QemuResources *resources, const char *alias);

/* --- The rules behind the list, for whoever opens more later (hotplug) --- */

/* "disk vda", and "disk vda backing 1" for what the definition says it is backed by. To be freed. */
char *qemu_disk_file_id(const VbDisk *disk, size_t level);
bool qemu_disk_is_writable(const VbDisk *disk);
/* Whether its source is opened with the owner's rights; else QEMU opens what everyone may read. */
bool qemu_rng_needs_file(const VbRng *rng);

/* Fills all places with descriptors of nothing, for a command line that is only to be looked at. */
int qemu_resources_stand_in(QemuResources *resources, sd_bus_error *reterr) VB_MUST_USE;

/* --- After opened was filled in --- */

/* Tells the live definition what was found: the images that disks are backed by and the numbers of all (<source
 * index='1'>, <backingStore>); an optional medium that is missing leaves an empty drive. live is the definition the resources were
 * made from. */
int qemu_resources_describe(QemuResources *resources, VbDomainDefinition *live, sd_bus_error *reterr) VB_MUST_USE;

/* Whether a disk's medium was to be opened, is missing, and may be. */
bool qemu_resources_lacks_medium(const QemuResources *resources, const VbDisk *disk);

/* Gives a variable store that was just created (it is empty) its first content, from the template. Nothing if it has some. Blocks for
 * the copy of a few MiB. */
int qemu_resources_fill_nvram(QemuResources *resources, sd_bus_error *reterr) VB_MUST_USE;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuResources, qemu_resources_free)
