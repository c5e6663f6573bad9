/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stand-in for QEMU that only speaks QMP, so that 1000 guests fit on a small machine. It is started with QEMU's
 * command line, takes the monitor's socket from it, and answers what a daemon asks of a small guest. When it is
 * started to be asked for its capabilities (-machine none), it hands over to the real QEMU: so a daemon treats it as
 * that. It emulates nothing, and trusts its peer; it is good for nothing but measuring daemons. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAL_EMULATOR "/usr/bin/qemu-system-x86_64"

#define GREETING                                                                                                       \
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"fake\"}, "      \
        "\"capabilities\": [\"oob\"]}}\r\n"

static bool running;
static bool leaving;

/* The command line */

/* Finds the value of "key" in an option such as "socket,id=mon,fd=3". */
static bool find_key(const char *option, const char *key, char *ret, size_t size) {
        size_t length = strlen(key);

        for (const char *p = option; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (strncmp(p, key, length) == 0 && p[length] == '=') {
                        size_t n = strcspn(p + length + 1, ",");

                        if (n >= size)
                                return false;
                        memcpy(ret, p + length + 1, n);
                        ret[n] = '\0';
                        return true;
                }
        return false;
}

static int find_monitor(char **argv) {
        char wanted[64] = "", id[64], fd[16];

        for (char **arg = argv; arg[0] && arg[1]; arg++)
                if (strcmp(arg[0], "-mon") == 0)
                        (void) find_key(arg[1], "chardev", wanted, sizeof(wanted));
        for (char **arg = argv; arg[0] && arg[1]; arg++)
                if (strcmp(arg[0], "-chardev") == 0 && find_key(arg[1], "id", id, sizeof(id)) && strcmp(id, wanted) == 0 &&
                    find_key(arg[1], "fd", fd, sizeof(fd)))
                        return atoi(fd);
        return -ENOENT;
}

static bool has_argument(char **argv, const char *name, const char *value_start) {
        for (char **arg = argv; *arg; arg++)
                if (strcmp(*arg, name) == 0 && (!value_start || (arg[1] && strncmp(arg[1], value_start, strlen(value_start)) == 0)))
                        return true;
        return false;
}

/* QMP */

static void say(int fd, const char *text) {
        if (write(fd, text, strlen(text)) < 0)
                exit(EXIT_FAILURE);
}

static void say_event(int fd, const char *name, const char *data) {
        char line[512];

        (void) snprintf(line, sizeof(line), "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": \"%s\"%s%s}\r\n", name,
                        data ? ", \"data\": " : "", data ? data : "");
        say(fd, line);
}

static const char *on_status(int fd) {
        return running ? "{\"status\": \"running\", \"singlestep\": false, \"running\": true}"
                       : "{\"status\": \"prelaunch\", \"singlestep\": false, \"running\": false}";
}

static const char *on_cont(int fd) {
        running = true;
        say_event(fd, "RESUME", NULL);
        return "{}";
}

static const char *on_stop(int fd) {
        running = false;
        say_event(fd, "STOP", NULL);
        return "{}";
}

static const char *on_quit(int fd) {
        say_event(fd, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
        leaving = true;
        return "{}";
}

static const char *on_cpus(int fd) {
        static char answer[256];

        (void) snprintf(answer, sizeof(answer),
                        "[{\"cpu-index\": 0, \"thread-id\": %d, \"qom-path\": \"/machine/unattached/device[0]\", \"target\": \"x86_64\", "
                        "\"props\": {\"core-id\": 0, \"thread-id\": 0, \"socket-id\": 0}}]",
                        (int) getpid());
        return answer;
}

static const char *on_balloon(int fd) {
        return "{\"actual\": 33554432}";
}

static const char *on_object(int fd) {
        return "{}";
}

typedef struct Command {
        const char *name;
        const char *(*run)(int fd);
} Command;

static const Command commands[] = {
        { "query-status", on_status },   { "cont", on_cont },           { "stop", on_stop },
        { "quit", on_quit },             { "system_powerdown", on_quit }, { "query-cpus-fast", on_cpus },
        { "query-balloon", on_balloon }, { "query-migrate", on_object },  { "query-kvm", on_object },
        { "query-version", on_object },
};

static const char *run_command(const char *name, int fd) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
                if (strcmp(commands[i].name, name) == 0)
                        return commands[i].run(fd);

        /* What asks mostly asks for a list, and a small guest has nothing to put in it; all else is done. */
        return strncmp(name, "query-", 6) == 0 || strcmp(name, "qom-list") == 0 ? "[]" : "{}";
}

/* Copies the value that stands behind the first "key" in a message: a string with its quotes, or a number. Good
 * enough for the peers this has, which put "execute" and "id" outside of the arguments or have none named so. */
static bool find_member(const char *message, const char *key, char *ret, size_t size) {
        const char *p = strstr(message, key);
        size_t n;

        if (!p)
                return false;
        p += strlen(key);
        p += strspn(p, " :");
        n = *p == '"' ? strcspn(p + 1, "\"") + 2 : strcspn(p, " ,}");
        if (n >= size)
                return false;
        memcpy(ret, p, n);
        ret[n] = '\0';
        return true;
}

static void answer(int fd, const char *message) {
        char name[128], id[128] = "", line[1024];
        const char *result;

        if (!find_member(message, "\"execute\"", name, sizeof(name)) && !find_member(message, "\"exec-oob\"", name, sizeof(name)))
                return;
        name[strlen(name) - 1] = '\0';
        result = run_command(name + 1, fd);
        (void) snprintf(line, sizeof(line), "{\"return\": %s%s%s}\r\n", result,
                        find_member(message, "\"id\"", id, sizeof(id)) ? ", \"id\": " : "", id);
        say(fd, line);
}

/* Finds the end of the first whole JSON object in the buffer; 0 if it is not all there yet. */
static size_t object_end(const char *buffer, size_t size) {
        bool quoted = false;
        int depth = 0;

        for (size_t i = 0; i < size; i++)
                if (quoted && buffer[i] == '\\')
                        i++;
                else if (buffer[i] == '"')
                        quoted = !quoted;
                else if (!quoted && buffer[i] == '{')
                        depth++;
                else if (!quoted && buffer[i] == '}' && --depth == 0)
                        return i + 1;
        return 0;
}

static void serve(int fd) {
        char buffer[16384];
        size_t size = 0;

        say(fd, GREETING);
        while (!leaving) {
                ssize_t n = read(fd, buffer + size, sizeof(buffer) - 1 - size);
                size_t end;

                if (n <= 0)
                        return;
                size += (size_t) n;
                while ((end = object_end(buffer, size)) > 0) {
                        char next = buffer[end];

                        buffer[end] = '\0';
                        answer(fd, buffer);
                        buffer[end] = next;
                        size -= end;
                        memmove(buffer, buffer + end, size);
                }
        }
}

int main(int argc, char **argv) {
        int monitor;

        if (has_argument(argv, "-machine", "none") || has_argument(argv, "-M", "none") || has_argument(argv, "-version", NULL) ||
            has_argument(argv, "--version", NULL) || has_argument(argv, "-help", NULL)) {
                argv[0] = (char *) REAL_EMULATOR;
                execv(REAL_EMULATOR, argv);
                return EXIT_FAILURE;
        }

        running = !has_argument(argv, "-S", NULL);
        monitor = find_monitor(argv);
        if (monitor < 0) {
                fprintf(stderr, "fake-qemu: no -mon with a -chardev that has a descriptor\n");
                return EXIT_FAILURE;
        }
        while (!leaving) {
                int fd = accept(monitor, NULL, NULL);

                if (fd < 0)
                        return EXIT_FAILURE;
                serve(fd);
                (void) close(fd);
        }
        return EXIT_SUCCESS;
}
