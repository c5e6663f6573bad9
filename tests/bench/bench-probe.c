/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How long an emulator takes to tell what it can do, from nothing and from the cache, without a daemon and a
 * bus around it. Prints milliseconds: smallest, median, largest. Never asks for KVM.
 *
 *     bench-probe [EMULATOR [TIMES]] */

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "qemu/capabilities-private.h"
#include "qemu/capabilities-probe.h"

#define TIMES_MAX 1000u

typedef struct Bench {
        sd_event *event;
        const char *path;
        GBytes *file; /* what the last probe found, as the cache keeps it */
} Bench;

static void on_probed(QemuProbe *probe, QemuCapabilities *capabilities, const sd_bus_error *error,
                      void *userdata) {
        static const QemuBinaryIdentity identity = { 0 };
        Bench *bench = userdata;

        if (!capabilities) {
                fprintf(stderr, "%s\n", error->message);
                exit(EXIT_FAILURE);
        }
        g_clear_pointer(&bench->file, g_bytes_unref);
        bench->file = qemu_capabilities_format(capabilities, &identity, "tcg");
        qemu_capabilities_unref(capabilities);
        (void) sd_event_exit(bench->event, 0);
}

static void probe_once(Bench *bench) {
        QemuProbeSpec spec = { .path = bench->path, .uid = (uid_t) -1, .gid = (gid_t) -1 };
        g_autoptr(QemuProbe) probe = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (sd_event_new(&bench->event) < 0 ||
            qemu_probe_new(&probe, bench->event, &spec, on_probed, bench, &error) < 0 ||
            sd_event_loop(bench->event) < 0) {
                fprintf(stderr, "%s\n", error.message ?: "no event loop");
                exit(EXIT_FAILURE);
        }
        probe = qemu_probe_free(probe);
        bench->event = sd_event_unref(bench->event);
}

static void read_once(Bench *bench) {
        static const QemuBinaryIdentity identity = { 0 };
        g_autoptr(QemuCapabilities) capabilities = NULL;
        size_t size;
        const char *text = g_bytes_get_data(bench->file, &size);

        if (qemu_capabilities_parse(text, size, bench->path, &identity, "tcg", &capabilities) < 0)
                exit(EXIT_FAILURE);
}

static int compare(const void *a, const void *b) {
        double left = *(const double *) a, right = *(const double *) b;

        return left < right ? -1 : left > right;
}

static void measure(Bench *bench, const char *what, void (*once)(Bench *bench), unsigned times) {
        double took[TIMES_MAX];

        for (unsigned i = 0; i < times; i++) {
                gint64 begin = g_get_monotonic_time();

                once(bench);
                took[i] = (double) (g_get_monotonic_time() - begin) / 1e3;
        }
        qsort(took, times, sizeof(*took), compare);
        printf("%-12s min %8.2f ms   median %8.2f ms   max %8.2f ms   (%u times)\n", what, took[0],
               took[times / 2], took[times - 1], times);
}

int main(int argc, char **argv) {
        Bench bench = { .path = argc > 1 ? argv[1] : "/usr/bin/qemu-system-x86_64" };
        unsigned long times = argc > 2 ? strtoul(argv[2], NULL, 10) : 11;

        vb_error_init();
        if (times < 1 || times > TIMES_MAX) {
                fprintf(stderr, "usage: bench-probe [EMULATOR [TIMES]], with at most %u times\n", TIMES_MAX);
                return EXIT_FAILURE;
        }
        measure(&bench, "probe", probe_once, (unsigned) times);
        measure(&bench, "cached", read_once, (unsigned) times);
        printf("%-12s %zu bytes\n", "cache file", g_bytes_get_size(bench.file));
        g_bytes_unref(bench.file);
        return EXIT_SUCCESS;
}
