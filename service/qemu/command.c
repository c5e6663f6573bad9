/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/command.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "qemu/command-build.h"

void qemu_build_add(QemuBuild *build, const char *option, const char *value) {
        g_ptr_array_add(build->argv, g_strdup(option));
        if (value)
                g_ptr_array_add(build->argv, g_strdup(value));
}

void qemu_build_add_options(QemuBuild *build, const char *option, GString *options) {
        g_ptr_array_add(build->argv, g_strdup(option));
        g_ptr_array_add(build->argv, g_string_free(options, FALSE));
}

void qemu_build_add_json(QemuBuild *build, const char *option, VbJson *json) {
        qemu_build_add(build, option, qemu_json_text(json));
        vb_json_put(json);
}

int qemu_build_keep_fd(QemuBuild *build, int *fd) {
        int number = vb_steal_fd(fd);

        assert(number > STDERR_FILENO);
        g_array_append_val(build->fds, number);
        return number;
}

char *qemu_build_add_fdset(QemuBuild *build, int *fd, const char *name) {
        GString *options = qemu_options_new(NULL);
        unsigned set = build->n_fdsets++;

        qemu_options_add_number(options, "set", set);
        qemu_options_add_number(options, "fd", (uint64_t) qemu_build_keep_fd(build, fd));
        qemu_options_add(options, "opaque", name);
        qemu_build_add_options(build, "-add-fd", options);

        return g_strdup_printf("/dev/fdset/%u", set);
}

int qemu_build_find_file(QemuBuild *build, const char *id, VbOpenImage **ret, sd_bus_error *reterr) {
        VbOpenChain *chain = build->resources->opened ? vb_open_result_find(build->resources->opened, id) : NULL;

        if (!chain || chain->n_images == 0 || chain->images[0].fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': %s was not opened",
                                         build->context.definition->name, id);

        *ret = &chain->images[0];
        return 0;
}

int qemu_build_file_path(QemuBuild *build, const char *id, char **ret, sd_bus_error *reterr) {
        QemuLogPipe *log = qemu_resources_find_log(build->resources, id);
        VbOpenImage *image;
        int r;

        if (log && log->fd >= 0) {
                *ret = qemu_build_add_fdset(build, &log->fd, log->path);
                return 0;
        }
        r = qemu_build_find_file(build, id, &image, reterr);
        if (r < 0)
                return r;

        *ret = qemu_build_add_fdset(build, &image->fd, image->path ?: id);
        return 0;
}

static QemuSetup *add_setup(QemuBuild *build, const char *command, VbJson *arguments) {
        QemuSetup setup = { .command = g_strdup(command), .arguments = arguments, .fd = -EBADF };

        g_array_append_val(build->setup, setup);
        return &g_array_index(build->setup, QemuSetup, build->setup->len - 1);
}

void qemu_build_add_setup(QemuBuild *build, const char *command, VbJson *arguments) {
        (void) add_setup(build, command, arguments);
}

void qemu_build_add_setup_fd(QemuBuild *build, const char *command, VbJson *arguments, int *fd) {
        add_setup(build, command, arguments)->fd = vb_steal_fd(fd);
}

void qemu_build_add_setup_secret(QemuBuild *build, const char *command, VbJson *arguments) {
        add_setup(build, command, arguments)->secret = true;
}

static void clear_setup(void *element) {
        QemuSetup *setup = element;

        g_free(setup->command);
        vb_json_put(setup->arguments);
        setup->fd = vb_close(setup->fd);
}

static void clear_fd(void *element) {
        vb_closep(element);
}

static void build_init(QemuBuild *build) {
        build->argv = g_ptr_array_new_with_free_func(g_free);
        build->envp = g_ptr_array_new_with_free_func(g_free);
        build->fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_array_set_clear_func(build->fds, clear_fd);
        build->setup = g_array_new(FALSE, FALSE, sizeof(QemuSetup));
        g_array_set_clear_func(build->setup, clear_setup);
}

static void build_done(QemuBuild *build) {
        g_clear_pointer(&build->argv, g_ptr_array_unref);
        g_clear_pointer(&build->envp, g_ptr_array_unref);
        g_clear_pointer(&build->fds, g_array_unref);
        g_clear_pointer(&build->setup, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuBuild, build_done)

/* Whom to talk to comes first: if anything later is refused by QEMU, its message goes to stderr, but a hang can still
 * be asked about. */
static int build_monitor(QemuBuild *build, sd_bus_error *reterr) {
        QemuSocket *monitor = qemu_resources_find_socket(build->resources, "monitor");
        GString *options;

        if (!monitor || monitor->fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': the monitor's socket was not opened",
                                         build->context.definition->name);

        options = qemu_options_new("socket");
        qemu_options_add(options, "id", "charmonitor");
        qemu_options_add_number(options, "fd", (uint64_t) qemu_build_keep_fd(build, &monitor->fd));
        qemu_options_add_switch(options, "server", true);
        qemu_options_add_switch(options, "wait", false);
        qemu_build_add_options(build, "-chardev", options);
        qemu_build_add(build, "-mon", "chardev=charmonitor,mode=control");
        return 0;
}

/* Everything that does not depend on the guest. */
static int build_frame(QemuBuild *build, sd_bus_error *reterr) {
        const QemuContext *context = &build->context;
        GString *name = qemu_options_new(NULL);

        g_ptr_array_add(build->argv, g_strdup(qemu_capabilities_path(context->capabilities)));

        qemu_options_add(name, "guest", context->definition->name);
        qemu_options_add_switch(name, "debug-threads", true);
        qemu_build_add_options(build, "-name", name);

        qemu_build_add(build, "-S", NULL);
        qemu_build_add(build, "-no-user-config", NULL);
        qemu_build_add(build, "-nodefaults", NULL);
        qemu_build_add(build, "-msg", "timestamp=on");
        if (qemu_capabilities_offers(context->capabilities, QEMU_SET_OPTION, "sandbox"))
                qemu_build_add(build, "-sandbox",
                               "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");

        return build_monitor(build, reterr);
}

static int build_passthrough(QemuBuild *build, sd_bus_error *reterr) {
        const VbCommandline *commandline = build->context.definition->commandline;

        if (build->options && build->options->incoming)
                qemu_build_add(build, "-incoming", "defer");

        for (size_t i = 0; commandline && i < commandline->args.n; i++)
                qemu_build_add(build, commandline->args.items[i]->value ?: "", NULL);
        return 0;
}

/* Last of the same name wins, as <qemu:env> comes last. */
static void set_environment(QemuBuild *build, const char *name, const char *value) {
        size_t length = strlen(name);

        for (unsigned i = 0; i < build->envp->len; i++) {
                const char *entry = build->envp->pdata[i];

                if (strncmp(entry, name, length) == 0 && entry[length] == '=') {
                        g_ptr_array_remove_index(build->envp, i);
                        break;
                }
        }
        g_ptr_array_add(build->envp, g_strdup_printf("%s=%s", name, value));
}

static int build_environment(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;

        set_environment(build, "LC_ALL", "C");
        set_environment(build, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        /* QEMU has no option for a time zone; localtime(3) has. */
        if (definition->clock.offset == VB_CLOCK_OFFSET_TIMEZONE && definition->clock.timezone)
                set_environment(build, "TZ", definition->clock.timezone);

        for (size_t i = 0; definition->commandline && i < definition->commandline->env.n; i++)
                set_environment(build, definition->commandline->env.items[i]->name,
                                definition->commandline->env.items[i]->value ?: "");
        return 0;
}

static int (*const parts[])(QemuBuild *build, sd_bus_error *reterr) = {
        build_frame,
        qemu_build_machine,
        qemu_build_clock,
        qemu_build_boot,
        qemu_build_controllers,
        qemu_build_disks,
        qemu_build_interfaces,
        qemu_build_audio,
        qemu_build_graphics,
        qemu_build_chardevs,
        qemu_build_videos,
        qemu_build_small_devices,
        build_passthrough,
        build_environment,
};

static QemuCommand *build_finish(QemuBuild *build) {
        QemuCommand *command = g_new0(QemuCommand, 1);

        g_ptr_array_add(build->argv, NULL);
        g_ptr_array_add(build->envp, NULL);
        command->argv = (char **) g_ptr_array_steal(build->argv, NULL);
        command->envp = (char **) g_ptr_array_steal(build->envp, NULL);
        command->fds = (int *) g_array_steal(build->fds, &command->n_fds);
        command->setup = (QemuSetup *) g_array_steal(build->setup, &command->n_setup);
        return command;
}

int qemu_command_build(QemuCommand **ret, const VbDomainDefinition *definition, const QemuCapabilities *capabilities,
                       QemuResources *resources, const QemuCommandOptions *options, sd_bus_error *reterr) {
        g_auto(QemuBuild) build = {
                .context = { .definition = definition, .capabilities = capabilities },
                .resources = resources,
                .options = options,
        };
        int r;

        build_init(&build);
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
                r = parts[i](&build, reterr);
                if (r < 0)
                        return r;
        }

        *ret = build_finish(&build);
        return 0;
}

QemuCommand *qemu_command_free(QemuCommand *command) {
        if (!command)
                return NULL;

        g_strfreev(command->argv);
        g_strfreev(command->envp);
        for (size_t i = 0; i < command->n_fds; i++)
                command->fds[i] = vb_close(command->fds[i]);
        g_free(command->fds);
        for (size_t i = 0; i < command->n_setup; i++)
                clear_setup(&command->setup[i]);
        g_free(command->setup);
        g_free(command);
        return NULL;
}

/* What needs no quoting in a shell is left as it is: the log is for reading. */
static void append_quoted(GString *text, const char *argument) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=,./:@%+";
        g_autofree char *quoted = NULL;

        if (*argument && strspn(argument, plain) == strlen(argument)) {
                g_string_append(text, argument);
                return;
        }
        quoted = g_shell_quote(argument);
        g_string_append(text, quoted);
}

char *qemu_command_to_string(const QemuCommand *command) {
        GString *text = g_string_new(NULL);

        for (char **entry = command->envp; *entry; entry++) {
                if (text->len > 0)
                        g_string_append_c(text, ' ');
                append_quoted(text, *entry);
        }
        for (char **argument = command->argv; *argument; argument++) {
                /* One option a line. */
                g_string_append(text, (*argument)[0] == '-' || argument == command->argv ? " \\\n" : " ");
                append_quoted(text, *argument);
        }
        return g_string_free(text, FALSE);
}
