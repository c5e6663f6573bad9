/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/sockets.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/file.h"
#include "base/log.h"
#include "proxy/drivers.h"

enum {
        SOCKETS_MAX = 64,
        ACCEPT_A_TURN = 16, /* so that clients who are served already are not kept waiting by a crowd at the door */
        BACKLOG = 128, /* of our own sockets */
        BACK_OFF_USEC = 500 * 1000, /* when descriptors or memory are out */
};

typedef struct Socket {
        ProxySockets *sockets;
        int fd;
        ProxyDoor door;
        char driver[PROXY_DRIVER_MAX];
        char *path; /* of one that we made */
        sd_event_source *source;
} Socket;

struct ProxySockets {
        sd_event *event;
        ProxyAccepted accepted;
        void *userdata;
        GPtrArray *all; /* of Socket */
        int lock_fd; /* of our own ones */
        char *lock_path;
        sd_event_source *timer; /* while backing off */
        ProxyPause pause;
};

static void socket_free(gpointer p) {
        Socket *one = p;

        if (one->path)
                (void) unlink(one->path);
        sd_event_source_disable_unref(one->source);
        (void) vb_close(one->fd);
        g_free(one->path);
        g_free(one);
}

static bool is_paused(const Socket *one) {
        const ProxySockets *sockets = one->sockets;

        return sockets->timer || sockets->pause == PROXY_PAUSE_ALL ||
               (sockets->pause == PROXY_PAUSE_CLIENTS && one->door != PROXY_DOOR_ADMIN);
}

static void update(ProxySockets *sockets) {
        for (guint i = 0; i < sockets->all->len; i++) {
                Socket *one = g_ptr_array_index(sockets->all, i);

                (void) sd_event_source_set_enabled(one->source, is_paused(one) ? SD_EVENT_OFF : SD_EVENT_ON);
        }
}

void proxy_sockets_pause(ProxySockets *sockets, ProxyPause pause) {
        if (sockets->pause == pause)
                return;
        sockets->pause = pause;
        update(sockets);
}

static int on_back_off(sd_event_source *source, uint64_t usec, void *userdata) {
        ProxySockets *sockets = userdata;

        sockets->timer = sd_event_source_disable_unref(sockets->timer);
        update(sockets);
        return 0;
}

/* The sockets stay readable as long as somebody waits, so that trying on would keep the loop spinning. */
static void back_off(ProxySockets *sockets, int error) {
        int r;

        if (sockets->timer)
                return;
        (void) vb_log_warning_errno(error, "cannot accept clients; tries again in a moment: %m");
        r = sd_event_add_time_relative(sockets->event, &sockets->timer, CLOCK_MONOTONIC, BACK_OFF_USEC, 0, on_back_off,
                                       sockets);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot wait before accepting clients again: %m");
        else
                update(sockets);
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Socket *one = userdata;
        ProxySockets *sockets = one->sockets;

        for (unsigned i = 0; i < ACCEPT_A_TURN && !is_paused(one); i++) {
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (client < 0) {
                        if (errno == EINTR || errno == ECONNABORTED)
                                continue;
                        if (errno != EAGAIN)
                                back_off(sockets, errno);
                        break;
                }
                sockets->accepted(client, one->door, one->driver, sockets->userdata);
        }
        return 0;
}

static int add(ProxySockets *sockets, int fd, ProxyDoor door, const char *driver, char *path) {
        Socket *one = g_new0(Socket, 1);
        int r;

        one->sockets = sockets;
        one->fd = fd;
        one->door = door;
        one->path = path;
        g_strlcpy(one->driver, driver, sizeof one->driver);
        g_ptr_array_add(sockets->all, one);
        r = sd_event_add_io(sockets->event, &one->source, fd, EPOLLIN, on_socket, one);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(one->source, "listening socket");
        return 0;
}

/* Names of sockets: "libvirt" or "virtDRIVERd", and what comes behind. */

static const struct {
        const char *suffix;
        ProxyDoor door;
} doors[] = {
        { "-ro", PROXY_DOOR_READ_ONLY },
        { "-admin", PROXY_DOOR_ADMIN },
        { "", PROXY_DOOR_MAIN },
};

static char *base_name(const ProxyDriver *driver) {
        return driver->name ? g_strdup_printf("virt%sd", driver->name) : g_strdup("libvirt");
}

static bool parse_name(const char *name, ProxyDoor *ret_door, const char **ret_driver) {
        for (const ProxyDriver *driver = proxy_drivers;; driver++) {
                g_autofree char *base = base_name(driver);
                const char *suffix = g_str_has_prefix(name, base) ? name + strlen(base) : NULL;

                for (size_t i = 0; suffix && i < G_N_ELEMENTS(doors); i++)
                        if (strcmp(suffix, doors[i].suffix) == 0) {
                                *ret_door = doors[i].door;
                                *ret_driver = driver->name ?: "";
                                return true;
                        }
                if (!driver->name)
                        return false;
        }
}

/* Those that the service manager has opened */

static int take_passed(ProxySockets *sockets) {
        char **names = NULL;
        int n, r = 0;

        n = sd_listen_fds_with_names(/* unset_environment= */ true, &names);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                const char *driver;
                ProxyDoor door;

                if (r < 0 || i >= SOCKETS_MAX || !parse_name(names[i], &door, &driver) ||
                    sd_is_socket_unix(fd, SOCK_STREAM, /* listening= */ 1, NULL, 0) <= 0) {
                        vb_log_warning("the socket '%s' is not one of ours, and is closed", names[i]);
                        (void) vb_close(fd);
                } else {
                        r = vb_fd_set_nonblock(fd, true);
                        if (r >= 0)
                                r = add(sockets, fd, door, driver, /* path= */ NULL);
                        else
                                (void) vb_close(fd);
                }
                free(names[i]);
        }
        free(names);
        return r < 0 ? r : (int) sockets->all->len;
}

/* Those of our own */

static int listen_at(const char *folder, const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *path = g_build_filename(folder, name, NULL);
        vb_autofd fd = -EBADF;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* What is left of one that crashed: we hold the lock, so nobody listens there. */
        (void) unlink(path);
        if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        return vb_steal_fd(&fd);
}

/* Someone else may serve this folder: the distribution's libvirt, or another of us on another session bus. */
static int lock_folder(ProxySockets *sockets, const char *folder) {
        sockets->lock_path = g_build_filename(folder, "virtproxyd.lock", NULL);
        sockets->lock_fd = open(sockets->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (sockets->lock_fd < 0)
                return -errno;
        return flock(sockets->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int make_own(ProxySockets *sockets, const char *folder) {
        int r;

        r = vb_mkdir(folder, 0700);
        if (r >= 0)
                r = lock_folder(sockets, folder);
        if (r < 0)
                return r;
        for (const ProxyDriver *driver = proxy_drivers;; driver++) {
                g_autofree char *base = base_name(driver);

                for (size_t i = 0; i < G_N_ELEMENTS(doors); i++) {
                        g_autofree char *name = g_strdup_printf("%s%s-sock", base, doors[i].suffix);

                        /* libvirt's clients look for sock-ro after the rest of the name. */
                        if (doors[i].door == PROXY_DOOR_READ_ONLY)
                                continue;
                        r = listen_at(folder, name);
                        if (r < 0)
                                return r;
                        r = add(sockets, r, doors[i].door, driver->name ?: "", g_build_filename(folder, name, NULL));
                        if (r < 0)
                                return r;
                }
                if (!driver->name)
                        return 0;
        }
}

int proxy_sockets_new(ProxySockets **ret, sd_event *event, const char *session_folder, ProxyAccepted accepted,
                      void *userdata) {
        g_autoptr(ProxySockets) sockets = g_new0(ProxySockets, 1);
        int r;

        sockets->event = event;
        sockets->accepted = accepted;
        sockets->userdata = userdata;
        sockets->lock_fd = -EBADF;
        sockets->all = g_ptr_array_new_with_free_func(socket_free);
        r = take_passed(sockets);
        if (r < 0)
                return r;
        if (r == 0) {
                if (!session_folder)
                        return -ENOENT;
                r = make_own(sockets, session_folder);
                if (r < 0)
                        return r;
        }
        *ret = g_steal_pointer(&sockets);
        return 0;
}

ProxySockets *proxy_sockets_free(ProxySockets *sockets) {
        if (!sockets)
                return NULL;
        sd_event_source_disable_unref(sockets->timer);
        g_ptr_array_unref(sockets->all);
        (void) vb_close(sockets->lock_fd);
        g_free(sockets->lock_path);
        g_free(sockets);
        return NULL;
}
