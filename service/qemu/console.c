/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/console.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/file.h"
#include "base/relay.h"

#define AGENT_NAME "org.qemu.guest_agent.0"

/* Unix98 terminals: Documentation/admin-guide/devices.txt of the kernel. */
#define PTY_MAJOR_FIRST 136u
#define PTY_MAJOR_LAST 143u

struct QemuConsoles {
        sd_event *event;
        uid_t uid;
        char *run_directory;
        GHashTable *relays; /* alias → VbRelay */
};

static void relay_destroy(gpointer data) {
        vb_relay_free(data);
}

QemuConsoles *qemu_consoles_new(sd_event *event, uid_t uid, const char *run_directory) {
        QemuConsoles *consoles = g_new0(QemuConsoles, 1);

        consoles->event = sd_event_ref(event);
        consoles->uid = uid;
        consoles->run_directory = g_strdup(run_directory);
        consoles->relays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, relay_destroy);
        return consoles;
}

QemuConsoles *qemu_consoles_free(QemuConsoles *consoles) {
        if (!consoles)
                return NULL;

        g_hash_table_destroy(consoles->relays);
        g_free(consoles->run_directory);
        sd_event_unref(consoles->event);
        g_free(consoles);
        return NULL;
}

static const VbChardev *find_alias(VbChardev *const *items, size_t n, const char *alias) {
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(items[i]->info.alias, alias) == 0)
                        return items[i];
        return NULL;
}

int qemu_console_find(const VbDomainDefinition *live, const char *alias, const VbChardev **ret, sd_bus_error *reterr) {
        const VbChardev *device = NULL;

        if (!*alias) {
                /* The first console is the first serial port seen once more; the port has the path. */
                if (live->consoles.n > 0 && live->consoles.items[0]->target_type != VB_CHAR_TARGET_SERIAL)
                        device = live->consoles.items[0];
                else if (live->serials.n > 0)
                        device = live->serials.items[0];
                if (!device)
                        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE,
                                                 "domain '%s' has neither a console nor a serial port", live->name);
        } else {
                device = find_alias(live->serials.items, live->serials.n, alias);
                if (!device)
                        device = find_alias(live->consoles.items, live->consoles.n, alias);
                if (!device)
                        device = find_alias(live->parallels.items, live->parallels.n, alias);
                if (!device)
                        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE,
                                                 "domain '%s' has no serial, console or parallel device '%s'", live->name,
                                                 alias);
        }

        *ret = device;
        return 0;
}

bool qemu_channel_is_agent(const VbChardev *channel) {
        return channel->target_type == VB_CHAR_TARGET_VIRTIO && g_strcmp0(channel->target_name, AGENT_NAME) == 0;
}

int qemu_channel_find(const VbDomainDefinition *live, const char *name, const VbChardev **ret, sd_bus_error *reterr) {
        for (size_t i = 0; i < live->channels.n; i++) {
                const VbChardev *channel = live->channels.items[i];
                bool agent = qemu_channel_is_agent(channel);

                if (*name ? g_strcmp0(channel->target_name, name) != 0 && g_strcmp0(channel->info.alias, name) != 0 : agent)
                        continue;
                if (agent)
                        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                                 "domain '%s': channel '%s' is the guest agent's; use GuestAgentCommand",
                                                 live->name, name);
                *ret = channel;
                return 0;
        }

        if (*name)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no channel '%s'", live->name, name);
        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no channel for clients", live->name);
}

/* The path is what the emulator told, and the guest may have taken it over: only a terminal of its own user is opened. */
static int open_terminal(const VbChardev *device, uid_t uid, sd_bus_error *reterr) {
        const char *alias = device->info.alias, *path = device->source.path;
        vb_autofd fd = -EBADF;
        struct stat st;

        if (!path || !g_str_has_prefix(path, "/dev/pts/") || !*(path + strlen("/dev/pts/")) ||
            strspn(path + strlen("/dev/pts/"), "0123456789") != strlen(path + strlen("/dev/pts/")))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "device '%s' has no terminal", alias);

        fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "device '%s': cannot open its terminal: %s", alias,
                                         g_strerror(errno));
        if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) < PTY_MAJOR_FIRST ||
            major(st.st_rdev) > PTY_MAJOR_LAST || st.st_uid != uid)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE,
                                         "device '%s': %s is not a terminal of the guest's user", alias, path);
        return vb_steal_fd(&fd);
}

/* Only to sockets that the daemon made, in the guest's run folder, where a definition names none: to connect to a socket of the
 * owner's choice would lend the daemon's name to whoever asks. */
static int connect_socket(const VbChardev *device, const char *run_directory, sd_bus_error *reterr) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *alias = device->info.alias;
        g_autofree char *path = g_strdup_printf("%s/%s.sock", run_directory, alias);
        vb_autofd fd = -EBADF;

        /* A running guest's definition tells the daemon's own path, too. */
        if (device->source.path && !g_str_equal(device->source.path, path))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE,
                                         "device '%s' leads to the socket '%s' of its owner's, not to the daemon", alias,
                                         device->source.path);
        if (strlen(path) >= sizeof(address.sun_path))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "device '%s': the path of its socket is too long", alias);
        (void) memcpy(address.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "device '%s': cannot make a socket: %m", alias);
        /* A full backlog is EAGAIN: the emulator hangs. */
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return sd_bus_error_setf(reterr, errno == EAGAIN ? VB_ERROR_RESOURCE_BUSY : VB_ERROR_NO_DEVICE,
                                         "device '%s': cannot connect: %s", alias, g_strerror(errno));
        return vb_steal_fd(&fd);
}

int qemu_channel_connect(const VbChardev *channel, const char *run_directory, int *ret_fd, sd_bus_error *reterr) {
        int fd = connect_socket(channel, run_directory, reterr);

        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

static int open_device(QemuConsoles *consoles, const VbChardev *device, sd_bus_error *reterr) {
        switch (device->source.type) {
        case VB_CHAR_PTY:
                return open_terminal(device, consoles->uid, reterr);
        case VB_CHAR_UNIX:
                return connect_socket(device, consoles->run_directory, reterr);
        default:
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE,
                                         "device '%s' is of type '%s', which does not lead to the daemon; 'pty' would",
                                         device->info.alias, vb_char_type_to_string(device->source.type));
        }
}

static gboolean is_relay(gpointer key, gpointer value, gpointer relay) {
        return value == relay;
}

static void on_ended(VbRelay *relay, int r, void *userdata) {
        QemuConsoles *consoles = userdata;

        (void) g_hash_table_foreach_remove(consoles->relays, is_relay, relay);
}

/* A client that has just left is no hindrance, though the loop may not have told yet. */
static bool is_taken(QemuConsoles *consoles, const char *alias) {
        VbRelay *relay = g_hash_table_lookup(consoles->relays, alias);

        return relay && !vb_relay_right_has_left(relay);
}

int qemu_consoles_open(QemuConsoles *consoles, const VbChardev *device, bool force, int *ret_fd, sd_bus_error *reterr) {
        const char *alias = device->info.alias;
        vb_autofd theirs = -EBADF, host = -EBADF;
        VbRelay *relay = NULL;
        int fds[2], r;

        if (!force && is_taken(consoles, alias))
                return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                         "device '%s' is open in another client; the option 'force' takes it from there", alias);

        /* The old client goes first: a channel's socket takes one at a time. */
        (void) g_hash_table_remove(consoles->relays, alias);

        host = open_device(consoles, device, reterr);
        if (host < 0)
                return host;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot make a socket pair: %m");
        theirs = fds[0];

        r = vb_relay_new(&relay, consoles->event, vb_steal_fd(&host), fds[1], on_ended, consoles);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "device '%s': cannot relay: %m", alias);
        (void) g_hash_table_insert(consoles->relays, g_strdup(alias), relay);

        *ret_fd = vb_steal_fd(&theirs);
        return 0;
}
