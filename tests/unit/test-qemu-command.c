/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/command.h"

#include "base/error.h"
#include "qemu-command-cases.h"
#include "qemu-command-util.h"
#include "qemu/command-text.h"

typedef struct Fixture {
        QemuCapabilities *capabilities, *kvm_capabilities;
        char *folder;
} Fixture;

static Fixture fixture;

/* --- The two languages --- */

static void test_options(void) {
        g_autoptr(GString) options = qemu_options_new("socket");
        g_autoptr(GString) empty = qemu_options_new(NULL);

        qemu_options_add(options, "id", "a,b=c,,d");
        qemu_options_add(options, "absent", NULL);
        qemu_options_add_switch(options, "wait", false);
        qemu_options_add_number(options, "n", UINT64_MAX);
        g_assert_cmpstr(options->str, ==, "socket,id=a,,b=c,,,,d,wait=off,n=18446744073709551615");

        qemu_options_add(empty, "guest", ",");
        g_assert_cmpstr(empty->str, ==, "guest=,,");
}

static void test_json(void) {
        g_autoptr(VbJson) json = qemu_json_new_driver("file");

        qemu_json_add(json, "filename", "/a\"b\\c\n,d");
        qemu_json_add(json, "absent", NULL);
        qemu_json_add_number(json, "n", UINT64_MAX);
        qemu_json_add_bool(json, "yes", true);
        qemu_json_add_json(json, "backing", NULL);
        g_assert_cmpstr(qemu_json_text(json), ==,
                        "{\"driver\":\"file\",\"filename\":\"/a\\\"b\\\\c\\n,d\",\"n\":18446744073709551615,"
                        "\"yes\":true,\"backing\":null}");
}

/* --- Rows --- */

static bool has_line(const char *text, const char *line, size_t length) {
        for (const char *found = text; (found = strstr(found, line)); found++)
                if ((found == text || found[-1] == '\n') && (length == 0 || found[length - 1] == '\n'))
                        return true;
        return false;
}

static void assert_lines(const char *name, const char *text, const char *expected) {
        g_auto(GStrv) lines = g_strsplit(expected, "\n", -1);

        for (char **line = lines; *line; line++) {
                /* What does not end in a newline is the beginning of a line. */
                g_autofree char *whole = line[1] ? g_strdup_printf("%s\n", *line) : g_strdup(*line);

                if (**line && !has_line(text, whole, line[1] ? strlen(whole) : 0))
                        g_test_fail_printf("%s: no line '%s' in:\n%s", name, *line, text);
        }
}

static QemuCapabilities *case_capabilities(const CommandCase *c) {
        return c->kvm ? fixture.kvm_capabilities : fixture.capabilities;
}

/* The same binary on a host with KVM. */
static QemuCapabilities *kvm_capabilities_new(void) {
        QemuCapabilities *capabilities = command_capabilities();
        g_autoptr(VbJson) json = qemu_fixture_load();

        capabilities->cpus[QEMU_ACCEL_KVM] = qemu_fixture_cpus(json);
        return capabilities;
}

static void test_case(const void *data) {
        const CommandCase *c = data;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *xml = command_case_xml(c), *text = NULL;
        g_autoptr(QemuCommand) command = command_new(xml, fixture.folder, case_capabilities(c), &error);

        if (c->error) {
                if (command || !error.message || !strstr(error.message, c->error))
                        g_test_fail_printf("%s: the message is '%s'", c->name, error.message ?: "none");
                return;
        }
        if (!command) {
                g_test_fail_printf("%s: %s", c->name, error.message);
                return;
        }

        text = command_text(command, fixture.folder);
        if (g_test_verbose())
                g_print("%s", text);
        assert_lines(c->name, text, c->expect ?: "");
        if (c->absent && strstr(text, c->absent))
                g_test_fail_printf("%s: '%s' should not be in:\n%s", c->name, c->absent, text);
}

/* No password may stand where every process on the host can read it. */
static void test_no_secrets(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(command_cases); i++) {
                const CommandCase *c = &command_cases[i];
                g_autofree char *xml = command_case_xml(c);
                g_autoptr(QemuCommand) command = NULL;

                if (c->error || !strstr(xml, "geheim"))
                        continue;
                command = command_new(xml, fixture.folder, fixture.capabilities, NULL);
                for (char **argument = command ? command->argv : NULL; argument && *argument; argument++)
                        g_assert_null(strstr(*argument, "geheim"));
        }
}

/* --- Whole definitions --- */

static char *fixture_path(const char *name, const char *suffix) {
        return g_strdup_printf("%s/qemu-command/%s.%s", g_getenv("VIRTBUS_TEST_FIXTURES"), name, suffix);
}

static void test_whole(const void *data) {
        const char *name = data;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *xml_path = fixture_path(name, "xml"), *args_path = fixture_path(name, "args");
        g_autofree char *xml = NULL, *expected = NULL, *text = NULL;
        g_autoptr(QemuCommand) command = NULL;

        g_assert_true(g_file_get_contents(xml_path, &xml, NULL, NULL));
        command = command_new(xml, fixture.folder, fixture.capabilities, &error);
        if (!command) {
                g_test_fail_printf("%s: %s", name, error.message);
                return;
        }
        text = command_text(command, fixture.folder);

        /* To take a change over: VIRTBUS_TEST_UPDATE=1, and look at the difference. */
        if (g_getenv("VIRTBUS_TEST_UPDATE"))
                g_assert_true(g_file_set_contents(args_path, text, -1, NULL));
        g_assert_true(g_file_get_contents(args_path, &expected, NULL, NULL));
        g_assert_cmpstr(text, ==, expected);
}

/* --- What is listed before anything is opened --- */

static void test_resources(void) {
        g_autofree char *path = fixture_path("linux", "xml"), *xml = NULL;
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autoptr(QemuResources) resources = NULL;
        static const struct {
                const char *id;
                VbOpenAccess access;
                bool follow_chain;
        } files[] = {
                { "kernel", VB_OPEN_READ, false },
                { "initrd", VB_OPEN_READ, false },
                { "disk vda", VB_OPEN_WRITE, true },
                { "serial0 log", VB_OPEN_APPEND, false },
        };

        g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
        definition = definition_new(xml, fixture.folder, fixture.capabilities, NULL);
        g_assert_nonnull(definition);
        g_assert_cmpint(qemu_resources_new(&resources, definition, fixture.capabilities, "/run/x", NULL, NULL), ==, 0);

        g_assert_cmpuint(resources->n_files, ==, G_N_ELEMENTS(files));
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_assert_cmpstr(resources->files[i].id, ==, files[i].id);
                g_assert_cmpint(resources->files[i].access, ==, files[i].access);
                g_assert_cmpint(resources->files[i].follow_chain, ==, files[i].follow_chain);
        }
        g_assert_cmpuint(resources->n_sockets, ==, 4);
        g_assert_cmpstr(qemu_resources_find_socket(resources, "monitor")->path, ==, "/run/x/monitor.sock");
        g_assert_cmpstr(qemu_resources_find_socket(resources, "serial0")->path, ==, "/run/x/serial0.sock");
        g_assert_cmpstr(qemu_resources_find_socket(resources, "channel0")->path, ==, "/run/x/channel0.sock");
        g_assert_cmpint(qemu_resources_find_socket(resources, "vnc0")->kind, ==, QEMU_SOCKET_LISTEN_TCP);
        g_assert_null(qemu_resources_find_socket(resources, "spice0"));
}

/* The chain that was found is told to the live definition, and building again from it says the same. */
static void test_describe(void) {
        g_autofree char *path = fixture_path("linux", "xml"), *xml = NULL;
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autoptr(QemuResources) resources = NULL;
        const VbDisk *disk;

        g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
        definition = definition_new(xml, fixture.folder, fixture.capabilities, NULL);
        g_assert_cmpint(qemu_resources_new(&resources, definition, fixture.capabilities, fixture.folder, NULL, NULL), ==, 0);
        resources_fill(resources);

        for (int i = 0; i < 2; i++) {
                g_assert_cmpint(qemu_resources_describe(resources, definition, NULL), ==, 0);
                disk = definition->disks.items[0];
                g_assert_cmpuint(disk->source_index, ==, 1);
                g_assert_nonnull(disk->backing);
                g_assert_cmpuint(disk->backing->index, ==, 2);
                g_assert_true(g_str_has_suffix(disk->backing->path, "/base.qcow2"));
                g_assert_nonnull(disk->backing->backing);
                g_assert_cmpint(disk->backing->backing->type, ==, VB_DISK_TYPE_ABSENT);
        }
}

/* What was not opened is an error that names it, not a crash and not a command line without it. */
static void test_not_opened(void) {
        g_autofree char *path = fixture_path("linux", "xml"), *xml = NULL;
        g_autoptr(VbDomainDefinition) definition = NULL;
        static const char *const missing[] = { "kernel", "disk 'vda'", "serial0", "monitor" };

        g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
        definition = definition_new(xml, fixture.folder, fixture.capabilities, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(missing); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_autoptr(QemuResources) resources = NULL;
                QemuCommand *command = NULL;

                g_assert_cmpint(qemu_resources_new(&resources, definition, fixture.capabilities, fixture.folder, NULL, NULL), ==,
                                0);
                resources_fill(resources);
                if (i == 0)
                        vb_closep(&vb_open_result_find(resources->opened, "kernel")->images[0].fd);
                else if (i == 1)
                        vb_closep(&vb_open_result_find(resources->opened, "disk vda")->images[1].fd);
                else
                        vb_closep(&qemu_resources_find_socket(resources, missing[i])->fd);

                g_assert_cmpint(qemu_command_build(&command, definition, fixture.capabilities, resources, NULL, &error), <,
                                0);
                if (!strstr(error.message, missing[i]))
                        g_test_fail_printf("%s: the message is '%s'", missing[i], error.message);
        }
}

/* A device that the kernel will not write to is refused with a way out, before QEMU refuses it without one. */
static void test_read_only_device(void) {
        static const CommandCase c = {
                .devices = "<disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/></disk>",
        };
        g_autofree char *xml = command_case_xml(&c);
        g_autoptr(VbDomainDefinition) definition = definition_new(xml, fixture.folder, fixture.capabilities, NULL);
        g_autoptr(QemuResources) resources = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuCommand *command = NULL;

        g_assert_cmpint(qemu_resources_new(&resources, definition, fixture.capabilities, fixture.folder, NULL, NULL), ==, 0);
        resources_fill(resources);
        vb_open_result_find(resources->opened, "disk vda")->images[0].read_only_device = true;
        g_assert_cmpint(qemu_command_build(&command, definition, fixture.capabilities, resources, NULL, &error), ==,
                        -EOPNOTSUPP);
        g_assert_nonnull(strstr(error.message, "<readonly/>"));
}

/* A saved guest waits for its state. */
static void test_incoming(void) {
        static const CommandCase c = {};
        g_autofree char *xml = command_case_xml(&c), *text = NULL;
        g_autoptr(VbDomainDefinition) definition = definition_new(xml, fixture.folder, fixture.capabilities, NULL);
        g_autoptr(QemuResources) resources = NULL;
        g_autoptr(QemuCommand) command = NULL;
        const QemuCommandOptions options = { .incoming = true };

        g_assert_cmpint(qemu_resources_new(&resources, definition, fixture.capabilities, fixture.folder, NULL, NULL), ==, 0);
        resources_fill(resources);
        g_assert_cmpint(qemu_command_build(&command, definition, fixture.capabilities, resources, &options, NULL), ==, 0);
        text = command_text(command, fixture.folder);
        g_assert_nonnull(strstr(text, "\n-incoming defer\n"));
}

/* What a shell would take: one option a line, quoted where it must be. */
static void test_to_string(void) {
        char *argv[] = { (char *) "/usr/bin/q", (char *) "-name", (char *) "guest=a b", (char *) "-S", NULL };
        char *envp[] = { (char *) "A=1", NULL };
        const QemuCommand command = { .argv = argv, .envp = envp };
        g_autofree char *text = qemu_command_to_string(&command);

        g_assert_cmpstr(text, ==, "A=1 \\\n/usr/bin/q \\\n-name 'guest=a b' \\\n-S");
}

int main(int argc, char **argv) {
        static const char *const whole[] = { "linux", "old-pc", "firmware" };
        int r;

        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        fixture.capabilities = command_capabilities();
        fixture.kvm_capabilities = kvm_capabilities_new();
        fixture.folder = scratch_new();

        g_test_add_func("/qemu-command/options", test_options);
        g_test_add_func("/qemu-command/json", test_json);
        for (size_t i = 0; i < G_N_ELEMENTS(command_cases); i++) {
                g_autofree char *path = g_strdup_printf("/qemu-command/case/%s", command_cases[i].name);

                g_test_add_data_func(path, &command_cases[i], test_case);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(whole); i++) {
                g_autofree char *path = g_strdup_printf("/qemu-command/whole/%s", whole[i]);

                g_test_add_data_func(path, whole[i], test_whole);
        }
        g_test_add_func("/qemu-command/no-secrets", test_no_secrets);
        g_test_add_func("/qemu-command/resources", test_resources);
        g_test_add_func("/qemu-command/describe", test_describe);
        g_test_add_func("/qemu-command/not-opened", test_not_opened);
        g_test_add_func("/qemu-command/read-only-device", test_read_only_device);
        g_test_add_func("/qemu-command/incoming", test_incoming);
        g_test_add_func("/qemu-command/to-string", test_to_string);

        r = g_test_run();
        qemu_capabilities_unref(fixture.capabilities);
        qemu_capabilities_unref(fixture.kvm_capabilities);
        test_folder_free(fixture.folder);
        return r;
}
