/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/console.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

#include "base/error.h"

typedef struct Fixture {
        sd_event *event;
        char *run_directory, *socket;
        QemuConsoles *consoles;
        int terminal; /* the emulator's side of a pty */
        int listener; /* and of a channel */
        VbChardev serial, channel;
} Fixture;

static void set_up(Fixture *fixture, const void *data) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct termios mode;

        *fixture = (Fixture){};
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->run_directory = g_dir_make_tmp("virtbus-console-XXXXXX", NULL);
        fixture->consoles = qemu_consoles_new(fixture->event, getuid(), fixture->run_directory);

        fixture->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        g_assert_cmpint(fixture->terminal, >=, 0);
        g_assert_cmpint(unlockpt(fixture->terminal), ==, 0);
        /* As the emulator does it. */
        g_assert_cmpint(tcgetattr(fixture->terminal, &mode), ==, 0);
        cfmakeraw(&mode);
        g_assert_cmpint(tcsetattr(fixture->terminal, TCSANOW, &mode), ==, 0);
        fixture->serial = (VbChardev){ .info.alias = (char *) "serial0", .source.type = VB_CHAR_PTY };
        fixture->serial.source.path = g_strdup(ptsname(fixture->terminal));

        fixture->channel = (VbChardev){ .info.alias = (char *) "channel0", .source.type = VB_CHAR_UNIX };
        fixture->socket = g_build_filename(fixture->run_directory, "channel0.sock", NULL);
        fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpuint(g_strlcpy(address.sun_path, fixture->socket, sizeof(address.sun_path)), <,
                         sizeof(address.sun_path));
        g_assert_cmpint(bind(fixture->listener, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(fixture->listener, 1), ==, 0);
}

static void tear_down(Fixture *fixture, const void *data) {
        fixture->consoles = qemu_consoles_free(fixture->consoles);
        fixture->terminal = vb_close(fixture->terminal);
        fixture->listener = vb_close(fixture->listener);
        (void) g_unlink(fixture->socket);
        (void) g_rmdir(fixture->run_directory);
        g_free(fixture->serial.source.path);
        g_free(fixture->socket);
        g_free(fixture->run_directory);
        sd_event_unref(fixture->event);
}

static void settle(Fixture *fixture) {
        while (sd_event_run(fixture->event, 0) > 0)
                ;
}

/* The kernel passes a terminal's bytes on in its own time. */
static void wait_readable(Fixture *fixture, int fd) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        while (poll(&ready, 1, /* timeout= */ 0) == 0)
                g_assert_cmpint(sd_event_run(fixture->event, /* usec= */ 10 * G_USEC_PER_SEC), >, 0);
}

static void assert_open_fails(Fixture *fixture, const VbChardev *device, const char *name, const char *message) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int fd = -EBADF;

        g_assert_cmpint(qemu_consoles_open(fixture->consoles, device, false, &fd, &error), <, 0);
        g_assert_cmpint(fd, ==, -EBADF);
        g_assert_cmpstr(error.name, ==, name);
        g_assert_nonnull(strstr(error.message, message));
}

static void test_terminal(Fixture *fixture, const void *data) {
        struct pollfd typed = { .fd = fixture->terminal, .events = POLLIN };
        char buffer[32] = "";
        int client = -EBADF;

        g_assert_cmpint(qemu_consoles_open(fixture->consoles, &fixture->serial, false, &client, NULL), ==, 0);
        g_assert_cmpint(write(fixture->terminal, "login: ", 7), ==, 7);
        wait_readable(fixture, client);
        g_assert_cmpint(read(client, buffer, sizeof(buffer)), ==, 7);
        g_assert_cmpmem(buffer, 7, "login: ", 7);

        /* Who leaves makes room for the next, at once, and what was typed last arrives. */
        g_assert_cmpint(write(client, "exit\n", 5), ==, 5);
        client = vb_close(client);
        g_assert_cmpint(qemu_consoles_open(fixture->consoles, &fixture->serial, false, &client, NULL), ==, 0);
        g_assert_cmpint(poll(&typed, 1, /* timeout= */ 60 * 1000), ==, 1);
        g_assert_cmpint(read(fixture->terminal, buffer, sizeof(buffer)), ==, 5);
        g_assert_cmpmem(buffer, 5, "exit\n", 5);
        client = vb_close(client);
        settle(fixture);
        g_assert_cmpint(qemu_consoles_open(fixture->consoles, &fixture->serial, false, &client, NULL), ==, 0);
        client = vb_close(client);
}

static void test_one_at_a_time(Fixture *fixture, const void *data) {
        int first = -EBADF, second = -EBADF;
        char buffer[8];

        g_assert_cmpint(qemu_consoles_open(fixture->consoles, &fixture->channel, false, &first, NULL), ==, 0);
        assert_open_fails(fixture, &fixture->channel, VB_ERROR_RESOURCE_BUSY, "open in another client");

        g_assert_cmpint(qemu_consoles_open(fixture->consoles, &fixture->channel, true, &second, NULL), ==, 0);
        g_assert_cmpint(read(first, buffer, sizeof(buffer)), ==, 0);
        first = vb_close(first);
        second = vb_close(second);
}

/* A guest that took its emulator over names a terminal that is another's, or no terminal at all. */
static void test_lies(Fixture *fixture, const void *data) {
        static const char *const paths[] = { "/etc/passwd", "/dev/pts/../null", "/dev/pts/", "/dev/pts/99999999", "/dev/pts/ptmx" };

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                VbChardev liar = fixture->serial;

                liar.source.path = (char *) paths[i];
                assert_open_fails(fixture, &liar, VB_ERROR_NO_DEVICE, "terminal");
        }

        fixture->consoles = qemu_consoles_free(fixture->consoles);
        fixture->consoles = qemu_consoles_new(fixture->event, getuid() + 1, fixture->run_directory);
        assert_open_fails(fixture, &fixture->serial, VB_ERROR_NO_DEVICE, "not a terminal of the guest's user");
}

/* A socket that the definition names is the owner's business. */
static void test_foreign_socket(Fixture *fixture, const void *data) {
        VbChardev channel = fixture->channel;

        channel.source.path = (char *) "/run/dbus/system_bus_socket";
        assert_open_fails(fixture, &channel, VB_ERROR_NO_DEVICE, "of its owner's, not to the daemon");
}

static void test_find(void) {
        VbChardev serial = { .info.alias = (char *) "serial0" };
        VbChardev twin = { .info.alias = (char *) "console0", .target_type = VB_CHAR_TARGET_SERIAL };
        VbChardev agent = { .info.alias = (char *) "channel0", .target_type = VB_CHAR_TARGET_VIRTIO,
                            .target_name = (char *) "org.qemu.guest_agent.0" };
        VbChardev channel = { .info.alias = (char *) "channel1", .target_type = VB_CHAR_TARGET_VIRTIO,
                              .target_name = (char *) "org.example.0" };
        VbChardev *serials[] = { &serial }, *consoles[] = { &twin }, *channels[] = { &agent, &channel };
        VbDomainDefinition live = { .name = (char *) "web" };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const VbChardev *found = NULL;

        g_assert_cmpint(qemu_console_find(&live, "", &found, &error), <, 0);
        g_assert_cmpstr(error.message, ==, "domain 'web' has neither a console nor a serial port");
        sd_bus_error_free(&error);

        live.serials.items = serials, live.serials.n = 1;
        live.consoles.items = consoles, live.consoles.n = 1;
        live.channels.items = channels, live.channels.n = 2;
        g_assert_cmpint(qemu_console_find(&live, "", &found, NULL), ==, 0);
        g_assert_true(found == &serial);
        g_assert_cmpint(qemu_console_find(&live, "serial1", &found, &error), <, 0);
        g_assert_cmpstr(error.name, ==, VB_ERROR_NO_DEVICE);
        sd_bus_error_free(&error);

        g_assert_cmpint(qemu_channel_find(&live, "", &found, NULL), ==, 0);
        g_assert_true(found == &channel);
        g_assert_cmpint(qemu_channel_find(&live, "org.example.0", &found, NULL), ==, 0);
        g_assert_true(found == &channel);
        g_assert_cmpint(qemu_channel_find(&live, "org.qemu.guest_agent.0", &found, &error), <, 0);
        g_assert_cmpstr(error.name, ==, VB_ERROR_RESOURCE_BUSY);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        vb_error_init();

#define ADD(name, function) g_test_add("/console/" name, Fixture, NULL, set_up, function, tear_down)
        ADD("terminal", test_terminal);
        ADD("one-at-a-time", test_one_at_a_time);
        ADD("lies", test_lies);
        ADD("foreign-socket", test_foreign_socket);
        g_test_add_func("/console/find", test_find);
        return g_test_run();
}
