/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The limits: what the bus, the disk and QEMU cost by themselves. The bus rows talk to bench-peer, a service of
 * plain sd-bus vtables; definitions are files that are written and synced as virtbus promises to do; a guest is a
 * bare QEMU that is waited for until its monitor has answered the first question. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend.h"
#include "base/cleanup.h"
#include "bus-client.h"

#define PEER_NAME "org.virtbus.bench.Peer"
#define PEER_PATH "/org/virtbus/bench"
#define PEER_OBJECT "org.virtbus.bench.Object"
#define DEFINITIONS "/etc/bench-definitions"

static int folder = -EBADF;
static GHashTable *guests; /* number of the domain → pid */

static int bare_connect(void) {
        (void) mkdir(DEFINITIONS, 0700);
        folder = open(DEFINITIONS, O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return log_error(-errno, "cannot open %s", DEFINITIONS);
        guests = g_hash_table_new(NULL, NULL);
        return bus_client_connect();
}

static void bare_disconnect(void) {
        folder = vb_close(folder);
        g_clear_pointer(&guests, g_hash_table_unref);
        bus_client_disconnect();
}

static int bare_ping(void) {
        return bus_client_call(PEER_NAME, PEER_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL);
}

static int bare_first(void) {
        return bus_client_get(PEER_NAME, PEER_PATH "/0", PEER_OBJECT, "State", "s");
}

static int bare_state(unsigned index) {
        return bus_client_call(PEER_NAME, PEER_PATH "/0", PEER_OBJECT, "GetState", "ss");
}

static int bare_property(unsigned index) {
        return bus_client_get(PEER_NAME, PEER_PATH "/0", PEER_OBJECT, "State", "s");
}

static int bare_list(unsigned *ret_n, uint64_t *ret_replied) {
        return bus_client_managed_objects(PEER_NAME, PEER_PATH, PEER_OBJECT, ret_n, ret_replied);
}

/* A definition */

static int write_all(int fd, const char *data) {
        size_t left = strlen(data);

        while (left > 0) {
                ssize_t n = write(fd, data, left);

                if (n < 0)
                        return -errno;
                data += n;
                left -= (size_t) n;
        }
        return 0;
}

static int write_definition(const char *name, const char *xml) {
        vb_autofd fd = openat(folder, ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = write_all(fd, xml);
        if (r < 0)
                return r;
        if (fsync(fd) < 0 || renameat(folder, ".new", folder, name) < 0 || fsync(folder) < 0)
                return -errno;
        return 0;
}

static int bare_define(unsigned index, const char *xml) {
        g_autofree char *name = g_strdup_printf(DOMAIN_NAME_FORMAT ".xml", index);
        int r = write_definition(name, xml);

        return r < 0 ? log_error(r, "cannot write %s", name) : 0;
}

static int bare_undefine(unsigned index) {
        g_autofree char *name = g_strdup_printf(DOMAIN_NAME_FORMAT ".xml", index);

        if (unlinkat(folder, name, 0) < 0 || fsync(folder) < 0)
                return log_error(-errno, "cannot remove %s", name);
        return 0;
}

/* A guest */

static int spawn_emulator(const char *emulator, bool paused, int monitor, pid_t *ret_pid) {
        g_autofree char *qmp = g_strdup_printf("socket,id=qmp,fd=%d", monitor);
        const char *argv[] = {
                emulator, "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none",
                "-chardev", qmp, "-mon", "chardev=qmp,mode=control", paused ? "-S" : NULL, NULL,
        };
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                (void) fcntl(monitor, F_SETFD, 0);
                execv(emulator, (char **) argv);
                _exit(127);
        }
        *ret_pid = pid;
        return 0;
}

/* Reads until "word" has come. QMP ends each message with a line end; here it is enough to see the word. */
static int await_word(int fd, const char *word) {
        char buffer[4096];
        size_t size = 0;

        while (size < sizeof(buffer) - 1) {
                ssize_t n = read(fd, buffer + size, sizeof(buffer) - 1 - size);

                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;
                size += (size_t) n;
                buffer[size] = '\0';
                if (strstr(buffer, word))
                        return 0;
        }
        return -EMSGSIZE;
}

static int ask_first_question(int fd) {
        int r;

        r = await_word(fd, "QMP");
        if (r < 0)
                return r;
        r = write_all(fd, "{\"execute\":\"qmp_capabilities\"}\n");
        if (r < 0)
                return r;
        r = await_word(fd, "return");
        if (r < 0)
                return r;
        r = write_all(fd, "{\"execute\":\"query-status\"}\n");
        if (r < 0)
                return r;
        return await_word(fd, "return");
}

static int start_guest(const char *emulator, bool paused, pid_t *ret_pid) {
        int pair[2];
        int r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        vb_autofd ours = pair[0], theirs = pair[1];

        r = spawn_emulator(emulator, paused, theirs, ret_pid);
        if (r < 0)
                return r;
        theirs = vb_close(theirs);
        return ask_first_question(ours);
}

static int bare_create(unsigned index, const char *xml, bool paused) {
        pid_t pid = 0;
        int r = start_guest("/usr/bin/qemu-system-x86_64", paused, &pid);

        if (r < 0)
                return log_error(r, "bare QEMU did not answer");
        g_hash_table_insert(guests, GUINT_TO_POINTER(index + 1), GINT_TO_POINTER(pid));
        return 0;
}

static int bare_destroy(unsigned index) {
        pid_t pid = GPOINTER_TO_INT(g_hash_table_lookup(guests, GUINT_TO_POINTER(index + 1)));

        if (pid <= 0)
                return log_error(-ESRCH, "no guest %u", index);
        if (kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) < 0)
                return log_error(-errno, "cannot end guest %u", index);
        return 0;
}

/* Starting the emulator and hearing its first answer is the least that probing it can cost. */
static int bare_capabilities(const char *emulator) {
        pid_t pid = 0;
        int r = start_guest(emulator, true, &pid);

        if (pid > 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
        }
        return r < 0 ? log_error(r, "bare QEMU did not answer") : 0;
}

const Backend bare_backend = {
        .name = "bare",
        .unit = "bench-peer.service",
        .connect = bare_connect,
        .disconnect = bare_disconnect,
        .ping = bare_ping,
        .first = bare_first,
        .state = bare_state,
        .property = bare_property,
        .list = bare_list,
        .define = bare_define,
        .undefine = bare_undefine,
        .create = bare_create,
        .destroy = bare_destroy,
        .capabilities = bare_capabilities,
};
