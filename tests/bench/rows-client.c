/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rows about clients rather than calls: how they come and go, how many there may be, what they hear. */

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "unit.h"

int row_connect(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        options->backend->disconnect();
        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start = now_nsec();

                r = options->backend->connect();
                if (r < 0)
                        return r;
                options->backend->disconnect();
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return options->backend->connect();
}

/* Many clients at once */

/* Shared by the clients: they connect, wait for one another, and say that they are done. */
typedef struct Race {
        pthread_barrier_t start;
        pthread_barrier_t end;
} Race;

static int race_new(Race **ret, unsigned runners) {
        Race *race = mmap(NULL, sizeof(Race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pthread_barrierattr_t shared;

        if (race == MAP_FAILED)
                return log_error(-errno, "cannot share memory");
        (void) pthread_barrierattr_init(&shared);
        (void) pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
        (void) pthread_barrier_init(&race->start, &shared, runners);
        (void) pthread_barrier_init(&race->end, &shared, runners);
        (void) pthread_barrierattr_destroy(&shared);
        *ret = race;
        return 0;
}

/* A client's process. It takes part in both barriers whatever happens, or nobody would ever pass them. */
static int race_client(const Options *options, Race *race, unsigned index) {
        int r, calls = options->samples;

        r = options->backend->connect();
        if (r >= 0 && options->backend->find)
                r = options->backend->find(index);
        (void) pthread_barrier_wait(&race->start);
        for (int i = 0; r >= 0 && i < calls; i++)
                r = options->backend->state(index);
        (void) pthread_barrier_wait(&race->end);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int wait_for_clients(int n) {
        int failed = 0;

        for (int i = 0; i < n; i++) {
                int status;

                if (wait(&status) < 0)
                        return log_error(-errno, "cannot wait for a client");
                failed += status != 0;
        }
        return failed > 0 ? log_error(-EIO, "%d clients failed", failed) : 0;
}

int row_parallel(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        uint64_t start, end;
        Race *race = NULL;
        int r;

        if (!options->backend->state)
                return row_unsupported(options);
        r = race_new(&race, (unsigned) options->clients + 1);
        if (r < 0)
                return r;
        /* Connections do not survive a fork; each client makes its own. */
        options->backend->disconnect();
        for (int i = 0; i < options->clients; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return log_error(-errno, "cannot fork");
                if (pid == 0)
                        _exit(race_client(options, race, (unsigned) (options->first + i % options->count)));
        }
        (void) pthread_barrier_wait(&race->start);
        start = now_nsec();
        (void) pthread_barrier_wait(&race->end);
        end = now_nsec();
        r = wait_for_clients(options->clients);
        (void) munmap(race, sizeof(Race));
        if (r < 0)
                return r;
        samples_add(samples, 0, (end - start) / (uint64_t) options->clients / (uint64_t) options->samples);
        samples_print(samples, options->row, options->backend->name);
        return options->backend->connect();
}

/* Says that all are connected by a line, so that somebody can look at the daemon meanwhile. */
int row_hold(const Options *options) {
        char byte;
        int r;

        if (!options->backend->hold)
                return row_unsupported(options);
        r = options->backend->hold((unsigned) options->clients);
        if (r < 0)
                return r;
        puts("held");
        (void) fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        return 0;
}

int row_event(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->backend->event)
                return row_unsupported(options);
        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start, heard;

                r = options->backend->event((unsigned) options->first, &start, &heard);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add(samples, start, heard);
        }
        samples_print(samples, options->row, options->backend->name);
        return 0;
}

/* A command with everything cold */

static int run_command(const char *words) {
        char *const arguments[] = { (char *) "sh", (char *) "-c", (char *) words, NULL };
        extern char **environ;
        int r, status;
        pid_t pid;

        r = posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ);
        if (r != 0)
                return log_error(-r, "cannot run a shell");
        if (waitpid(pid, &status, 0) < 0)
                return log_error(-errno, "cannot wait for the command");
        return status != 0 ? log_error(-EIO, "%s failed", words) : 0;
}

int row_cold(const Options *options) {
        g_autoptr(Samples) samples = samples_new();
        int r;

        if (!options->command || !options->units)
                return log_error(-EINVAL, "%s needs --command and --stop", options->row);
        options->backend->disconnect();
        for (int i = -options->warmup; i < options->samples; i++) {
                uint64_t start;

                for (char **unit = options->units; *unit; unit++) {
                        r = unit_job("StopUnit", *unit);
                        if (r < 0)
                                return r;
                }
                start = now_nsec();
                r = run_command(options->command);
                if (r < 0)
                        return r;
                if (i >= 0)
                        samples_add_since(samples, start);
        }
        samples_print(samples, options->row, options->backend->name);
        return options->backend->connect();
}
