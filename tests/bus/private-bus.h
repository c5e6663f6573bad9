/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A bus of the test's own: dbus-daemon without activation, in a temporary folder; ends with the test. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

typedef struct PrivateBus {
        char *folder;
        char *address;
        pid_t pid;
} PrivateBus;

static inline void private_bus_child(const char *config, int address_fd) {
        g_autofree char *config_argument = g_strdup_printf("--config-file=%s", config);
        g_autofree char *address_argument = g_strdup_printf("--print-address=%d", address_fd);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", config_argument,
                      address_argument, NULL);
        _exit(127);
}

static inline PrivateBus *private_bus_new(void) {
        PrivateBus *bus = g_new0(PrivateBus, 1);
        g_autofree char *config = NULL, *text = NULL;
        char address[512];
        ssize_t n;
        int ends[2];

        bus->folder = g_dir_make_tmp("virtbus-bus-XXXXXX", NULL);
        g_assert_nonnull(bus->folder);
        config = g_build_filename(bus->folder, "bus.conf", NULL);
        text = g_strdup_printf("<busconfig><listen>unix:path=%s/socket</listen>"
                               "<policy context='default'><allow send_destination='*'/><allow receive_sender='*'/>"
                               "<allow own='*'/></policy></busconfig>",
                               bus->folder);
        g_assert_true(g_file_set_contents(config, text, -1, NULL));
        g_assert_cmpint(pipe(ends), ==, 0);
        bus->pid = fork();
        g_assert_cmpint(bus->pid, >=, 0);
        if (bus->pid == 0)
                private_bus_child(config, ends[1]);
        (void) close(ends[1]);
        n = read(ends[0], address, sizeof address - 1); /* it writes its address when it listens */
        g_assert_cmpint(n, >, 0);
        (void) close(ends[0]);
        bus->address = g_strchomp(g_strndup(address, (gsize) n));
        return bus;
}

static inline void private_bus_free(PrivateBus *bus) {
        const char *argv[] = { "rm", "-rf", "--", bus->folder, NULL };

        (void) kill(bus->pid, SIGTERM);
        (void) waitpid(bus->pid, NULL, 0);
        (void) g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
        g_free(bus->folder);
        g_free(bus->address);
        g_free(bus);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateBus, private_bus_free)

static inline sd_bus *private_bus_connect(PrivateBus *bus, sd_event *event) {
        sd_bus *connection = NULL;

        g_assert_cmpint(sd_bus_new(&connection), >=, 0);
        g_assert_cmpint(sd_bus_set_address(connection, bus->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(connection, true), >=, 0);
        g_assert_cmpint(sd_bus_start(connection), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(connection, event, 0), >=, 0);
        return connection;
}
