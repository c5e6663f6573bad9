/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a call costs over the bus, and over a link: the middle of many, one after the other.
 *
 *     bench-link [--session] NAME OBJECT [CALLS]
 *
 * NAME is the daemon's bus name, OBJECT the path of one of its domains. */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bus/names.h"
#include "interfaces/daemon1.h"
#include "interfaces/domain1.h"
#include "interfaces/hypervisor1.h"

typedef struct Target {
        const char *destination; /* NULL on a link */
        const char *object;
        const char *root;
} Target;

typedef int (*Fill)(sd_bus_message *message, const Target *target);

static int fill_nothing(sd_bus_message *message, const Target *target) {
        return 0;
}

static int fill_state(sd_bus_message *message, const Target *target) {
        return sd_bus_message_append(message, "ss", VB_INTERFACE_DOMAIN1, "State");
}

static int fill_stats(sd_bus_message *message, const Target *target) {
        return sd_bus_message_append(message, "aoa{sv}", 1, target->object, 1, "groups", "as", 1, "state");
}

static const struct {
        const char *title;
        bool root;
        const char *interface, *member;
        Fill fill;
} rows[] = {
        { "Peer.Ping", false, VB_DBUS_PEER_INTERFACE, "Ping", fill_nothing },
        { "Properties.Get of State", false, VB_DBUS_PROPERTIES_INTERFACE, "Get", fill_state },
        { "GetStats of state", true, VB_INTERFACE_HYPERVISOR1, "GetStats", fill_stats },
};

static int call_once(sd_bus *bus, const Target *target, size_t row) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, target->destination,
                                           rows[row].root ? target->root : target->object, rows[row].interface,
                                           rows[row].member);
        if (r >= 0)
                r = rows[row].fill(message, target);
        if (r >= 0)
                r = sd_bus_call(bus, message, /* usec= */ 0, &error, &reply);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", rows[row].title, error.message ? error.message : strerror(-r));
        return r;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return x < y ? -1 : x > y;
}

static double now_usec(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int measure(sd_bus *bus, const char *how, const Target *target, unsigned n) {
        g_autofree double *times = g_new(double, n);

        for (size_t row = 0; row < G_N_ELEMENTS(rows); row++) {
                for (unsigned i = 0; i < n; i++) {
                        double before = now_usec();
                        int r;

                        r = call_once(bus, target, row);
                        if (r < 0)
                                return r;
                        times[i] = now_usec() - before;
                }
                qsort(times, n, sizeof(*times), compare);
                printf("%-6s %-24s p50 %6.1f us   p10 %6.1f us   p99 %7.1f us\n", how, rows[row].title, times[n / 2],
                       times[n / 10], times[n - n / 100 - 1]);
        }
        return 0;
}

static int open_link(sd_bus *bus, const Target *target, sd_bus **ret) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus) link = NULL;
        int fd, r;

        r = sd_bus_call_method(bus, target->destination, target->root, VB_INTERFACE_DAEMON1, "OpenLink", &error, &reply,
                               "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0) {
                fprintf(stderr, "OpenLink: %s\n", error.message ? error.message : strerror(-r));
                return r;
        }
        fd = dup(fd);
        r = fd < 0 ? -errno : sd_bus_new(&link);
        if (r >= 0)
                r = sd_bus_set_fd(link, fd, fd);
        if (r >= 0)
                r = sd_bus_set_anonymous(link, /* b= */ true);
        if (r >= 0)
                r = sd_bus_start(link);
        if (r >= 0)
                *ret = g_steal_pointer(&link);
        return r;
}

int main(int argc, char **argv) {
        g_autoptr(sd_bus) bus = NULL, link = NULL;
        bool session = argc > 1 && strcmp(argv[1], "--session") == 0;
        char **words = argv + 1 + session;
        Target target;
        g_autofree char *root = NULL;
        unsigned n;
        int r;

        if (argc - session < 3) {
                fprintf(stderr, "usage: bench-link [--session] NAME OBJECT [CALLS]\n");
                return EXIT_FAILURE;
        }
        root = g_strdelimit(g_strconcat("/", words[0], NULL), ".", '/');
        target = (Target){ .destination = words[0], .object = words[1], .root = root };
        n = words[2] ? (unsigned) atoi(words[2]) : 10000;

        r = session ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = measure(bus, "bus", &target, n);
        if (r >= 0)
                r = open_link(bus, &target, &link);
        target.destination = NULL;
        if (r >= 0)
                r = measure(link, "link", &target, n);
        if (r < 0)
                fprintf(stderr, "bench-link: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
