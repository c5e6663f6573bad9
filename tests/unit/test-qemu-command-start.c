/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each command line of the tests, given to the QEMU that this machine has: it must get as far as its monitor, take the QMP
 * commands that go with it, and have nothing to say on stderr: what is deprecated would be warned of there. */
#include "qemu/command.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/error.h"
#include "qemu-command-cases.h"
#include "qemu-command-util.h"
#include "base/file.h"
#include "qemu/firmware.h"

typedef struct Fixture {
        sd_event *event;
        QemuCapabilitiesManager *manager;
        QemuCapabilities *capabilities;
        char *folder;
} Fixture;

static Fixture fixture;

typedef struct Emulator {
        const char *name;
        GPid pid;
        int monitor;
        int errors;
        GString *line;
} Emulator;

static char *emulator_errors(Emulator *emulator) {
        char *text;

        g_assert_cmpint(lseek(emulator->errors, 0, SEEK_SET), ==, 0);
        g_assert_cmpint(vb_file_read_fd(emulator->errors, 1 << 20, &text, NULL), ==, 0);
        return text;
}

static void emulator_fail(Emulator *emulator, const char *what) {
        g_autofree char *errors = emulator_errors(emulator);

        (void) kill(emulator->pid, SIGKILL);
        g_error("%s: %s; QEMU says:\n%s", emulator->name, what, errors);
}

static void emulator_spawn(Emulator *emulator, const QemuCommand *command) {
        g_autofree char *path = g_build_filename(fixture.folder, "stderr", NULL);
        g_autoptr(GError) error = NULL;

        emulator->errors = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        g_assert_cmpint(emulator->errors, >=, 0);
        g_spawn_async_with_pipes_and_fds(NULL, (const char *const *) command->argv, (const char *const *) command->envp,
                                         G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1, emulator->errors, emulator->errors,
                                         command->fds, command->fds, command->n_fds, &emulator->pid, NULL, NULL, NULL,
                                         &error);
        g_assert_no_error(error);
}

static void emulator_connect(Emulator *emulator) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *path = g_build_filename(fixture.folder, "monitor.sock", NULL);

        /* The socket listens since before QEMU began: no need to wait for it. */
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        emulator->monitor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(emulator->monitor, (struct sockaddr *) &address, sizeof(address)), ==, 0);
}

static VbJson *emulator_read(Emulator *emulator) {
        for (;;) {
                struct pollfd poll_fd = { .fd = emulator->monitor, .events = POLLIN };
                char byte;

                if (poll(&poll_fd, 1, TEST_DEADLINE_USEC / 1000) != 1)
                        emulator_fail(emulator, "does not answer");
                if (read(emulator->monitor, &byte, 1) != 1)
                        emulator_fail(emulator, "has gone");
                if (byte != '\n') {
                        g_string_append_c(emulator->line, byte);
                        continue;
                }

                VbJson *json = json_tokener_parse(emulator->line->str);

                g_string_truncate(emulator->line, 0);
                g_assert_nonnull(json);
                if (!json_object_object_get_ex(json, "event", NULL))
                        return json;
                vb_json_put(json);
        }
}

static void emulator_send(Emulator *emulator, const char *text, int fd) {
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct iovec data = { (char *) text, strlen(text) };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

        if (fd >= 0) {
                message.msg_control = control.buffer;
                message.msg_controllen = sizeof(control.buffer);
                *CMSG_FIRSTHDR(&message) = (struct cmsghdr) { .cmsg_level = SOL_SOCKET,
                                                              .cmsg_type = SCM_RIGHTS,
                                                              .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(int));
        }
        g_assert_cmpint(sendmsg(emulator->monitor, &message, MSG_NOSIGNAL), ==, strlen(text));
}

/* The answer, which must be a success. */
static VbJson *emulator_ask(Emulator *emulator, const char *command, VbJson *arguments, int fd) {
        g_autoptr(VbJson) request = json_object_new_object();
        VbJson *answer;

        json_object_object_add(request, "execute", json_object_new_string(command));
        if (arguments)
                json_object_object_add(request, "arguments", json_object_get(arguments));
        emulator_send(emulator, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), fd);

        answer = emulator_read(emulator);
        if (!json_object_object_get_ex(answer, "return", NULL))
                emulator_fail(emulator, json_object_to_json_string(answer));
        return answer;
}

static void emulator_greet(Emulator *emulator, const QemuCommand *command) {
        VbJson *status, *result;

        vb_json_put(emulator_read(emulator));
        vb_json_put(emulator_ask(emulator, "qmp_capabilities", NULL, -1));
        for (size_t i = 0; i < command->n_setup; i++)
                vb_json_put(emulator_ask(emulator, command->setup[i].command, command->setup[i].arguments,
                                         command->setup[i].fd));

        status = emulator_ask(emulator, "query-status", NULL, -1);
        g_assert_true(json_object_object_get_ex(status, "return", &result));
        g_assert_cmpstr(qemu_json_string(result, "status"), ==, "prelaunch");
        vb_json_put(status);
}

static void emulator_end(Emulator *emulator) {
        g_autofree char *errors = NULL;
        int status;

        vb_json_put(emulator_ask(emulator, "quit", NULL, -1));
        g_assert_cmpint(waitpid(emulator->pid, &status, 0), ==, emulator->pid);
        errors = emulator_errors(emulator);
        /* This is how QEMU tells of a pty. */
        if (*errors && !g_str_has_prefix(errors, "char device redirected to "))
                g_error("%s: QEMU says:\n%s", emulator->name, errors);
        g_assert_cmpint(status, ==, 0);

        (void) vb_close(emulator->monitor);
        (void) vb_close(emulator->errors);
        g_spawn_close_pid(emulator->pid);
        g_string_free(emulator->line, TRUE);
}

static void start(const char *name, const char *xml) {
        Emulator emulator = { .name = name, .line = g_string_new(NULL) };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(QemuCommand) command = command_new(xml, fixture.folder, fixture.capabilities, &error);

        if (!command)
                g_error("%s: %s", name, error.message);

        emulator_spawn(&emulator, command);
        emulator_connect(&emulator);
        emulator_greet(&emulator, command);
        emulator_end(&emulator);
}

/* --- What a guest is plugged into --- */

static int open_tap(unsigned queues, int *ret_fds) {
        struct ifreq request = { .ifr_name = "vbtest%d",
                                 .ifr_flags = (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
                                                       (queues > 1 ? IFF_MULTI_QUEUE : 0)) };

        for (unsigned i = 0; i < queues; i++) {
                vb_autofd fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

                if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
                        return -errno;
                ret_fds[i] = high_fd(vb_steal_fd(&fd));
        }
        return 0;
}

static bool have_tap(void) {
        int fd;

        if (open_tap(1, &fd) < 0)
                return false;
        (void) close(fd);
        return true;
}

/* It ends with its connection. */
static int start_tpm(void) {
        g_autofree char *state = g_strdup_printf("dir=%s", fixture.folder), *control = NULL;
        g_autoptr(GError) error = NULL;
        int ends[2], fd;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        fd = high_fd(ends[1]);
        control = g_strdup_printf("type=unixio,clientfd=%d", fd);
        g_spawn_async_with_pipes_and_fds(NULL,
                                         (const char *const[]) { "swtpm", "socket", "--tpm2", "--tpmstate", state,
                                                                 "--ctrl", control, "--terminate", NULL },
                                         NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, -1, -1, -1, &fd, &fd, 1, NULL, NULL,
                                         NULL, NULL, &error);
        g_assert_no_error(error);
        (void) close(fd);
        return high_fd(ends[0]);
}

static bool have_tpm(void) {
        g_autofree char *path = g_find_program_in_path("swtpm");

        return path != NULL;
}

static void test_case(const void *data) {
        const CommandCase *c = data;
        g_autofree char *xml = command_case_xml(c);

        if (c->tap && !have_tap())
                g_test_skip("no tap device can be made");
        else if (c->tpm && !have_tpm())
                g_test_skip("there is no swtpm");
        else
                start(c->name, xml);
}

/* A firmware of the host's choice, with its store of variables made from the template. */
static void test_efi(const void *data) {
        bool secure = GPOINTER_TO_INT(data);
        const CommandCase c = {
                .name = secure ? "efi-secure" : "efi",
                .os = secure ? "<loader secure='yes'/>" : "<loader secure='no'/>",
                .features = secure ? "<acpi/><smm state='on'/>" : "<acpi/>",
        };
        g_autofree char *plain = command_case_xml(&c);
        g_autofree char *xml = replace_all(plain, "<os>", "<os firmware='efi'>");
        g_autoptr(GPtrArray) firmwares = qemu_firmware_list(
                &(QemuFirmwareQuery) { .arch = "x86_64", .machine = "pc-q35-7.2", .format = "raw" });
        g_autofree char *variables = g_build_filename(fixture.folder, "3a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d_VARS.fd", NULL);

        if (firmwares->len == 0) {
                g_test_skip("there is no EFI firmware");
                return;
        }
        start(c.name, xml);
        g_assert_cmpint(unlink(variables), ==, 0);
}

static void test_whole(const void *data) {
        g_autofree char *path = g_strdup_printf("%s/qemu-command/%s.xml", g_getenv("VIRTBUS_TEST_FIXTURES"),
                                                (const char *) data);
        g_autofree char *xml = NULL;

        g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
        start(data, xml);
}

/* --- What this machine's QEMU can do --- */

static void have_capabilities(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        if (!capabilities)
                g_error("%s", error->message);
        fixture.capabilities = qemu_capabilities_ref(capabilities);
}

static void ask_capabilities(void) {
        const QemuCapabilitiesOptions options = { .uid = (uid_t) -1, .gid = (gid_t) -1, .no_kvm = true };
        QemuCapabilitiesRequest *request = NULL;

        fixture.event = test_event_new();
        g_assert_cmpint(qemu_capabilities_manager_new(&fixture.manager, fixture.event, &options), >=, 0);
        g_assert_cmpint(qemu_capabilities_get(fixture.manager, "/usr/bin/qemu-system-x86_64", have_capabilities, NULL,
                                              &request, NULL),
                        >=, 0);
        TEST_RUN_UNTIL(fixture.event, fixture.capabilities);
        qemu_capabilities_request_free(request);
}

int main(int argc, char **argv) {
        static const char *const whole[] = { "linux", "old-pc", "firmware" };
        int r;

        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
                g_print("1..0 # SKIP there is no qemu-system-x86_64\n");
                return 0;
        }
        ask_capabilities();
        fixture.folder = scratch_new();
        make_tap = open_tap;
        make_tpm = start_tpm;

        for (size_t i = 0; i < G_N_ELEMENTS(whole); i++) {
                g_autofree char *path = g_strdup_printf("/qemu-command-start/whole/%s", whole[i]);

                g_test_add_data_func(path, whole[i], test_whole);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(command_cases); i++) {
                const CommandCase *c = &command_cases[i];
                g_autofree char *path = g_strdup_printf("/qemu-command-start/case/%s", c->name);

                if (!c->error && !c->kvm && !c->no_start)
                        g_test_add_data_func(path, c, test_case);
        }

        g_test_add_data_func("/qemu-command-start/efi", GINT_TO_POINTER(false), test_efi);
        g_test_add_data_func("/qemu-command-start/efi-secure", GINT_TO_POINTER(true), test_efi);

        r = g_test_run();
        qemu_capabilities_unref(fixture.capabilities);
        qemu_capabilities_manager_free(fixture.manager);
        sd_event_unref(fixture.event);
        test_folder_free(fixture.folder);
        return r;
}
