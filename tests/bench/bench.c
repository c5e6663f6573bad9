/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures one row on one backend: bench-bus BACKEND ROW [options]. What differs between the systems is in their
 * Backend tables; what is done, how often and what of it is timed is here, once, for all of them. The runner
 * (tests/bench/run) calls this in turns for the systems it compares. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "bench.h"
#include "measure.h"
#include "unit.h"

int log_error(int error, const char *format, ...) {
        va_list args;

        fputs("bench: ", stderr);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fprintf(stderr, " (%s)\n", strerror(-error));
        return error;
}

int row_unsupported(const Options *options) {
        return log_error(-EOPNOTSUPP, "%s has no %s", options->backend->name, options->row);
}

static int read_template(const Options *options, char **ret) {
        g_autoptr(GError) error = NULL;

        if (!options->xml)
                return log_error(-EINVAL, "%s needs --xml", options->row);
        if (!g_file_get_contents(options->xml, ret, NULL, &error))
                return log_error(-EIO, "%s", error->message);
        return 0;
}

static char *fill_template(const Options *options, const char *template, unsigned index) {
        g_autoptr(GString) xml = g_string_new(template);
        g_autofree char *name = g_strdup_printf(DOMAIN_NAME_FORMAT, index);
        g_autofree char *uuid = g_strdup_printf(DOMAIN_UUID_FORMAT, index);

        g_string_replace(xml, "@NAME@", name, 0);
        g_string_replace(xml, "@UUID@", uuid, 0);
        g_string_replace(xml, "@EMULATOR@", options->emulator, 0);
        return g_string_free(g_steal_pointer(&xml), false);
}

/* Rows that call one thing again and again */

static int repeat_plain(const Options *options, int (*call)(void)) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!call)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start = now_nsec();

                r = call();
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

static int repeat_domain(const Options *options, int (*call)(unsigned index)) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!call)
                return row_unsupported(options);

        for (int i = 0; options->backend->find && i < options->count; i++) {
                r = options->backend->find((unsigned) (options->first + i));
                if (r < 0)
                        return r;
        }
        for (int i = 0; i < options->warmup + options->samples; i++) {
                unsigned index = (unsigned) (options->first + i % options->count);
                uint64_t start = now_nsec();

                r = call(index);
                if (r < 0)
                        return r;
                if (i >= options->warmup)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

static int check_count(const Options *options, unsigned n) {
        if (n != (unsigned) options->count)
                return log_error(-ENODATA, "%s told of %u domains, not of %d", options->backend->name, n, options->count);
        return 0;
}

static int repeat_counted(const Options *options, int (*call)(unsigned *ret_n)) {
        g_autoptr(Samples) samples = samples_new();
        unsigned n = 0;
        int r;

        if (!call)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start = now_nsec();

                r = call(&n);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        r = check_count(options, n);
        if (r < 0)
                return r;
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

static int row_ping(const Options *options) {
        return repeat_plain(options, options->backend->ping);
}

static int row_state(const Options *options) {
        return repeat_domain(options, options->backend->state);
}

static int row_property(const Options *options) {
        return repeat_domain(options, options->backend->property);
}

/* Two rows: until the reply has come, and until the client has read it. */
static int row_list(const Options *options) {
        g_autoptr(Samples) replied = samples_new(), read = samples_new();
        unsigned n = 0;
        int r;

        if (!options->backend->list)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start = now_nsec(), end;

                r = options->backend->list(&n, &end);
                if (r < 0)
                        return r;
                if (i >= 0) {
                        samples_add(replied, start, end);
                        samples_add_since(read, start);
                }
        }
        r = check_count(options, n);
        if (r < 0)
                return r;
        samples_print(replied, "list", options->backend->name);
        samples_print(read, "list-read", options->backend->name);
        return 0;
}

static const Backend *stats_backend;

static int stats_state(unsigned *ret_n) {
        return stats_backend->stats(STATS_STATE, ret_n);
}

static int stats_all(unsigned *ret_n) {
        return stats_backend->stats(STATS_ALL, ret_n);
}

static int row_names(const Options *options) {
        return repeat_counted(options, options->backend->names);
}

static int row_stats_state(const Options *options) {
        stats_backend = options->backend;
        return repeat_counted(options, stats_backend->stats ? stats_state : NULL);
}

static int row_stats_all(const Options *options) {
        stats_backend = options->backend;
        return repeat_counted(options, stats_backend->stats ? stats_all : NULL);
}

/* Rows that change what there is */

static int row_define(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        g_autofree char *template = NULL;
        int r;

        if (!options->backend->define)
                return row_unsupported(options);
        r = read_template(options, &template);
        if (r < 0)
                return r;

        for (int i = 0; i < options->count; i++) {
                unsigned index = (unsigned) (options->first + i);
                g_autofree char *xml = fill_template(options, template, index);
                uint64_t start = now_nsec();

                r = options->backend->define(index, xml);
                if (r < 0)
                        return r;
                samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

static int row_undefine(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->backend->undefine)
                return row_unsupported(options);

        for (int i = 0; i < options->count; i++) {
                unsigned index = (unsigned) (options->first + i);
                uint64_t start;

                r = options->backend->find ? options->backend->find(index) : 0;
                if (r < 0)
                        return r;
                start = now_nsec();
                r = options->backend->undefine(index);
                if (r < 0)
                        return r;
                samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

/* Creates and destroys guests one after the other, and prints a row for each of the two. With --keep they are all
 * there at the end. */
static int row_create(const Options *options) {
        g_autoptr(Samples) created = samples_new(), destroyed = samples_new();
        g_autofree char *template = NULL;
        int r;

        if (!options->backend->create)
                return row_unsupported(options);
        r = read_template(options, &template);
        if (r < 0)
                return r;

        for (int i = -options->warmup; i < options->count; i++) {
                unsigned index = (unsigned) (options->first + MAX(i, 0));
                g_autofree char *xml = fill_template(options, template, index);
                uint64_t start = now_nsec();

                r = options->backend->create(index, xml, !options->running);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(created, start);
                if (options->keep)
                        continue;

                start = now_nsec();
                r = options->backend->destroy(index);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(destroyed, start);
        }
        samples_print(created, "create", options->backend->name);
        if (!options->keep)
                samples_print(destroyed, "destroy", options->backend->name);
        return 0;
}

static int row_destroy(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->backend->destroy)
                return row_unsupported(options);

        for (int i = 0; i < options->count; i++) {
                unsigned index = (unsigned) (options->first + i);
                uint64_t start;

                r = options->backend->find ? options->backend->find(index) : 0;
                if (r < 0)
                        return r;
                start = now_nsec();
                r = options->backend->destroy(index);
                if (r < 0)
                        return r;
                samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

/* Rows about the daemon itself */

/* From asking the service manager for a restart to the first list of all domains. */
static int row_restart(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        unsigned n = 0;
        int r;

        if (!options->backend->unit || !options->backend->list)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start, end;

                options->backend->disconnect();
                start = now_nsec();
                r = unit_job("RestartUnit", options->backend->unit);
                if (r < 0)
                        return r;
                r = options->backend->connect();
                if (r < 0)
                        return r;
                r = options->backend->list(&n, &end);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add(samples, start, end);
        }
        r = check_count(options, n);
        if (r < 0)
                return r;
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

/* From a call to a daemon that does not run to its answer. */
static int row_activate(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->backend->unit || !options->backend->first)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start;

                options->backend->disconnect();
                r = unit_job("StopUnit", options->backend->unit);
                if (r < 0)
                        return r;
                start = now_nsec();
                r = options->backend->connect();
                if (r < 0)
                        return r;
                r = options->backend->first();
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

/* Makes an emulator's file one that nobody has seen yet. Both systems recognize a binary by its times, libvirt by
 * whole seconds; so this takes until the next second has begun. */
static int renew_emulator(const char *emulator, int sample) {
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - 1000 - sample } };

        (void) usleep(1100 * 1000);
        if (utimensat(AT_FDCWD, emulator, times, 0) < 0)
                return log_error(-errno, "cannot touch %s", emulator);
        return 0;
}

/* What an emulator can do, asked of a daemon that runs and has not seen this binary. */
static int row_capabilities(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->backend->capabilities)
                return row_unsupported(options);

        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start;

                r = renew_emulator(options->emulator, i + options->warmup);
                if (r < 0)
                        return r;
                start = now_nsec();
                r = options->backend->capabilities(options->emulator);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

static const Row rows[] = {
        { "ping", row_ping, "the cheapest call" },
        { "state", row_state, "the state of a domain, by a method" },
        { "property", row_property, "one property of a domain" },
        { "list", row_list, "all domains with their properties or states" },
        { "stats-state", row_stats_state, "the state of all domains as statistics" },
        { "stats-all", row_stats_all, "all statistics of all domains" },
        { "define", row_define, "define domains" },
        { "undefine", row_undefine, "undefine domains" },
        { "create", row_create, "create and destroy transient guests" },
        { "destroy", row_destroy, "destroy guests that were kept" },
        { "restart", row_restart, "restart the daemon, to the first list" },
        { "activate", row_activate, "wake the daemon by a call, to its answer" },
        { "capabilities", row_capabilities, "what an unknown emulator can do" },
        { "names", row_names, "the list of all domains, nothing but who they are" },
        { "connect", row_connect, "connect and leave" },
        { "parallel", row_parallel, "many clients at once, each asking for states; us of all for each call" },
        { "hold", row_hold, "stay connected, many times, until standard input ends" },
        { "event", row_event, "suspend a guest, to the event" },
        { "cold", row_cold, "a command, with the units stopped before" },
};

static const Backend *find_backend(const char *name) {
        for (const Backend *const *b = backends; *b; b++)
                if (strcmp((*b)->name, name) == 0)
                        return *b;
        return NULL;
}

static const Row *find_row(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                if (strcmp(rows[i].name, name) == 0)
                        return &rows[i];
        return NULL;
}

static char *describe(void) {
        g_autoptr(GString) text = g_string_new("Backends:");

        for (const Backend *const *b = backends; *b; b++)
                g_string_append_printf(text, " %s", (*b)->name);
        g_string_append(text, "\n\nRows:\n");
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                g_string_append_printf(text, "  %-14s %s\n", rows[i].name, rows[i].what);
        return g_string_free(g_steal_pointer(&text), false);
}

static int parse_options(int argc, char **argv, Options *options, const Row **ret_row) {
        const GOptionEntry entries[] = {
                { "samples", 'n', 0, G_OPTION_ARG_INT, &options->samples, "How often the thing is timed", "N" },
                { "warmup", 'w', 0, G_OPTION_ARG_INT, &options->warmup, "How often it is done untimed before", "N" },
                { "first", 'f', 0, G_OPTION_ARG_INT, &options->first, "The number of the first domain", "N" },
                { "count", 'c', 0, G_OPTION_ARG_INT, &options->count, "How many domains", "N" },
                { "xml", 'x', 0, G_OPTION_ARG_FILENAME, &options->xml, "The template of definitions", "FILE" },
                { "emulator", 'e', 0, G_OPTION_ARG_FILENAME, &options->emulator, "The emulator", "PATH" },
                { "cpu", 0, 0, G_OPTION_ARG_INT, &options->cpu, "Run on this CPU alone", "N" },
                { "running", 'r', 0, G_OPTION_ARG_NONE, &options->running, "create: running, not paused", NULL },
                { "clients", 'p', 0, G_OPTION_ARG_INT, &options->clients, "parallel, hold: how many clients", "N" },
                { "stop", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options->units, "cold: a unit to be stopped before", "UNIT" },
                { "command", 0, 0, G_OPTION_ARG_STRING, &options->command, "cold: the command", "WORDS" },
                { "keep", 'k', 0, G_OPTION_ARG_NONE, &options->keep, "create: keep the guests", NULL },
                {},
        };
        g_autoptr(GOptionContext) context = g_option_context_new("BACKEND ROW");
        g_autofree char *description = describe();
        g_autoptr(GError) error = NULL;

        g_option_context_set_description(context, description);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                return log_error(-EINVAL, "%s", error->message);
        if (argc != 3)
                return log_error(-EINVAL, "a backend and a row are needed; see --help");

        options->backend = find_backend(argv[1]);
        if (!options->backend)
                return log_error(-EINVAL, "%s: no such backend", argv[1]);
        *ret_row = find_row(argv[2]);
        if (!*ret_row)
                return log_error(-EINVAL, "%s: no such row", argv[2]);
        options->row = (*ret_row)->name;
        if (options->samples < 1 || options->warmup < 0 || options->first < 0 || options->count < 0 || options->clients < 1)
                return log_error(-EINVAL, "the numbers make no sense");
        return 0;
}

static int bind_to_cpu(int cpu) {
        cpu_set_t cpus;

        if (cpu < 0)
                return 0;
        CPU_ZERO(&cpus);
        CPU_SET((size_t) cpu, &cpus);
        return sched_setaffinity(0, sizeof(cpus), &cpus) < 0 ? log_error(-errno, "cannot run on CPU %d", cpu) : 0;
}

int main(int argc, char **argv) {
        Options options = { .samples = 1, .count = 1, .clients = 1, .cpu = -1 };
        const Row *row = NULL;
        int r;

        r = parse_options(argc, argv, &options, &row);
        if (r < 0)
                return EXIT_FAILURE;
        if (!options.emulator)
                options.emulator = g_strdup("/usr/bin/qemu-system-x86_64");

        r = bind_to_cpu(options.cpu);
        if (r >= 0)
                r = options.backend->connect();
        if (r < 0)
                return EXIT_FAILURE;
        r = row->run(&options);
        options.backend->disconnect();

        g_free(options.xml);
        g_free(options.command);
        g_strfreev(options.units);
        g_free(options.emulator);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
