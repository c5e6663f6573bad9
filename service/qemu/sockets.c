/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/sockets.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

/* Displays choose the first free port from here on, as clients expect. */
#define PORT_FIRST 5900
#define PORT_LAST 65535

static int listen_unix(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        vb_autofd fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* Its mode would follow the umask, but the folder around it lets nobody in anyway. */
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return vb_steal_fd(&fd);
}

static int bind_tcp(const struct addrinfo *info, uint16_t port) {
        struct sockaddr_storage address = { 0 };
        vb_autofd fd = -EBADF;
        int on = 1;

        memcpy(&address, info->ai_addr, info->ai_addrlen);
        if (info->ai_family == AF_INET6)
                ((struct sockaddr_in6 *) &address)->sin6_port = htobe16(port);
        else
                ((struct sockaddr_in *) &address)->sin_port = htobe16(port);

        fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (struct sockaddr *) &address, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return vb_steal_fd(&fd);
}

static int bind_first_free(const struct addrinfo *info, uint16_t *ret_port) {
        for (unsigned port = PORT_FIRST; port <= PORT_LAST; port++) {
                int fd = bind_tcp(info, (uint16_t) port);

                if (fd == -EADDRINUSE)
                        continue;
                *ret_port = (uint16_t) port;
                return fd;
        }
        return -EADDRINUSE;
}

/* Addresses only: to look up a name could take as long as the network likes. */
static int resolve(const char *host, struct addrinfo **ret) {
        const struct addrinfo hints = {
                .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
                .ai_socktype = SOCK_STREAM,
        };

        if (g_str_equal(host, "localhost"))
                host = "127.0.0.1";
        return getaddrinfo(host[0] != '\0' ? host : "0.0.0.0", NULL, &hints, ret) == 0 ? 0 : -EINVAL;
}

static int listen_tcp(QemuSocket *wanted, const char *name, sd_bus_error *reterr) {
        struct addrinfo *info = NULL;
        int fd;

        if (resolve(wanted->host ?: "", &info) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': %s: '%s' is not an IP address to listen on", name, wanted->id,
                                         wanted->host);
        fd = wanted->port != 0 ? bind_tcp(info, wanted->port) : bind_first_free(info, &wanted->port);
        freeaddrinfo(info);
        if (fd < 0)
                return sd_bus_error_setf(reterr, fd == -EADDRINUSE ? VB_ERROR_RESOURCE_BUSY : VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': %s: cannot listen on %s port %u: %s", name, wanted->id,
                                         wanted->host, wanted->port, g_strerror(-fd));
        wanted->fd = fd;
        return 0;
}

int qemu_sockets_find_port(const char *host) {
        struct addrinfo *info = NULL;
        uint16_t port = 0;
        int fd;

        if (resolve(host, &info) < 0)
                return -EINVAL;
        fd = bind_first_free(info, &port);
        freeaddrinfo(info);
        if (fd < 0)
                return fd;
        (void) close(fd);
        return port;
}

static int open_socket(QemuSocket *wanted, const char *name, sd_bus_error *reterr) {
        int fd, pair[2];

        switch (wanted->kind) {
        case QEMU_SOCKET_LISTEN_UNIX:
                fd = listen_unix(wanted->path);
                if (fd < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                                 "domain '%s': %s: cannot listen on '%s': %s", name, wanted->id,
                                                 wanted->path, g_strerror(-fd));
                wanted->fd = fd;
                return 0;
        case QEMU_SOCKET_LISTEN_TCP:
                return listen_tcp(wanted, name, reterr);
        case QEMU_SOCKET_TPM:
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                        return sd_bus_error_set_errnof(reterr, -errno, "domain '%s': %s: cannot make a socket pair: %m", name,
                                                       wanted->id);
                wanted->fd = pair[0];
                wanted->peer_fd = pair[1];
                return 0;
        default:
                return -EINVAL;
        }
}

int qemu_sockets_open(QemuResources *resources, const char *name, sd_bus_error *reterr) {
        int r;

        for (size_t i = 0; i < resources->n_sockets; i++) {
                r = open_socket(&resources->sockets[i], name, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}
