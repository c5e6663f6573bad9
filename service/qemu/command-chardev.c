/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Character devices: the host's side (-chardev) and the guest's (serial and parallel ports, consoles, channels, redirected USB). */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

/* --- The host's side --- */

static void add_server(GString *options, const VbCharSource *source) {
        bool bind = source->mode == VB_CHAR_MODE_BIND;

        qemu_options_add_switch(options, "server", bind);
        if (bind)
                qemu_options_add_switch(options, "wait", false);
}

static void add_reconnect(const QemuContext *context, GString *options, const VbCharSource *source) {
        if (source->mode == VB_CHAR_MODE_BIND || source->reconnect != VB_TRISTATE_YES)
                return;

        if (qemu_capabilities_has(context->capabilities, QEMU_FEATURE_CHARDEV_RECONNECT_MS))
                qemu_options_add_number(options, "reconnect-ms", (uint64_t) source->reconnect_timeout * 1000);
        else
                qemu_options_add_number(options, "reconnect", source->reconnect_timeout);
}

static int add_unix(QemuBuild *build, GString *options, const char *alias, const VbCharSource *source,
                    sd_bus_error *reterr) {
        QemuSocket *socket = qemu_resources_find_socket(build->resources, alias);

        if (!socket) {
                qemu_options_add(options, "path", source->path);
                add_server(options, source);
                add_reconnect(&build->context, options, source);
                return 0;
        }

        if (socket->fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': the socket of '%s' was not opened",
                                         build->context.definition->name, alias);
        qemu_options_add_number(options, "fd", (uint64_t) qemu_build_keep_fd(build, &socket->fd));
        qemu_options_add_switch(options, "server", true);
        qemu_options_add_switch(options, "wait", false);
        return 0;
}

static void add_tcp(const QemuContext *context, GString *options, const VbCharSource *source) {
        qemu_options_add(options, "host", source->host ?: "");
        qemu_options_add(options, "port", source->service ?: "");
        qemu_options_add_switch(options, "telnet", source->protocol == VB_CHAR_PROTOCOL_TELNET);
        add_server(options, source);
        add_reconnect(context, options, source);
}

/* A pipe to virtlogd cannot be truncated, which QEMU would do; where a log begins anew, virtlogd has seen to it. */
static bool appends(const QemuBuild *build, const char *id, VbTristate wanted) {
        return wanted == VB_TRISTATE_YES || qemu_resources_find_log(build->resources, id);
}

static int add_file(QemuBuild *build, GString *options, const char *id, sd_bus_error *reterr) {
        g_autofree char *path = NULL;
        int r;

        r = qemu_build_file_path(build, id, &path, reterr);
        if (r < 0)
                return r;

        qemu_options_add(options, "path", path);
        return 0;
}

static void add_vdagent(GString *options, const VbCharSource *source) {
        qemu_options_add(options, "name", "vdagent");
        if (source->clipboard != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, "clipboard", source->clipboard == VB_TRISTATE_YES);
        if (source->mouse != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, "mouse", source->mouse == VB_TRISTATE_YES);
}

/* QEMU's name of the backend; NULL for what virtbus does not offer. */
static const char *backend_name(VbCharType type) {
        switch (type) {
        case VB_CHAR_NULL:
                return "null";
        case VB_CHAR_VC:
                return "vc";
        case VB_CHAR_PTY:
                return "pty";
        case VB_CHAR_DEV:
                return "serial";
        case VB_CHAR_FILE:
                return "file";
        case VB_CHAR_TCP:
        case VB_CHAR_UNIX:
                return "socket";
        case VB_CHAR_SPICEVMC:
                return "spicevmc";
        case VB_CHAR_SPICEPORT:
                return "spiceport";
        case VB_CHAR_QEMU_VDAGENT:
                return "qemu-vdagent";
        case VB_CHAR_DBUS:
                return "dbus";
        default:
                return NULL;
        }
}

static int add_backend(QemuBuild *build, GString *options, const char *alias, const VbCharSource *source,
                       const char *spice_name, sd_bus_error *reterr) {
        switch (source->type) {
        case VB_CHAR_UNIX:
                return add_unix(build, options, alias, source, reterr);
        case VB_CHAR_TCP:
                add_tcp(&build->context, options, source);
                return 0;
        case VB_CHAR_FILE:
                qemu_options_add_switch(options, "append", appends(build, alias, source->append));
                return add_file(build, options, alias, reterr);
        case VB_CHAR_DEV:
                return add_file(build, options, alias, reterr);
        case VB_CHAR_SPICEVMC:
                qemu_options_add(options, "name", spice_name);
                return 0;
        case VB_CHAR_SPICEPORT:
        case VB_CHAR_DBUS:
                qemu_options_add(options, "name", source->channel);
                return 0;
        case VB_CHAR_QEMU_VDAGENT:
                add_vdagent(options, source);
                return 0;
        default:
                return 0;
        }
}

static int add_log(QemuBuild *build, GString *options, const char *alias, const VbCharSource *source,
                   sd_bus_error *reterr) {
        g_autofree char *id = g_strdup_printf("%s log", alias), *path = NULL;
        int r;

        if (!source->log_file)
                return 0;

        r = qemu_build_file_path(build, id, &path, reterr);
        if (r < 0)
                return r;
        qemu_options_add(options, "logfile", path);
        qemu_options_add_switch(options, "logappend", appends(build, id, source->log_append));
        return 0;
}

/* Its id is "char" and the device's alias. */
static int build_backend(QemuBuild *build, const char *alias, const VbCharSource *source, const char *spice_name,
                         sd_bus_error *reterr) {
        const char *backend = backend_name(source->type);
        g_autoptr(GString) options = NULL;
        int r;

        if (!backend)
                return qemu_unsupported(&build->context, reterr, "'%s': character devices of type '%s' are not supported",
                                        alias, vb_char_type_to_string(source->type));
        if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_CHARDEV, backend))
                return qemu_not_offered(&build->context, reterr, "'%s': character device of type '%s'", alias,
                                        vb_char_type_to_string(source->type));

        options = qemu_options_new(backend);
        qemu_options_addf(options, "id", "char%s", alias);
        r = add_backend(build, options, alias, source, spice_name, reterr);
        if (r < 0)
                return r;
        r = add_log(build, options, alias, source, reterr);
        if (r < 0)
                return r;

        qemu_build_add_options(build, "-chardev", g_steal_pointer(&options));
        return 0;
}

/* --- The guest's side --- */

static int new_port(const QemuContext *context, const char *driver, const VbDeviceInfo *info, const char *what,
                    VbJson **ret, sd_bus_error *reterr) {
        VbJson *device;
        int r;

        r = qemu_device_new(context, driver, info, what, &device, reterr);
        if (r < 0)
                return r;

        qemu_json_addf(device, "chardev", "char%s", info->alias);
        *ret = device;
        return 0;
}

int qemu_serial_device(const QemuContext *context, const VbChardev *serial, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *what = NULL;
        const char *driver;
        int r;

        switch (serial->target_type) {
        case VB_CHAR_TARGET_ABSENT:
        case VB_CHAR_TARGET_ISA_SERIAL:
                driver = "isa-serial";
                break;
        case VB_CHAR_TARGET_USB_SERIAL:
                driver = "usb-serial";
                break;
        case VB_CHAR_TARGET_PCI_SERIAL:
                driver = "pci-serial";
                break;
        case VB_CHAR_TARGET_ISA_DEBUG:
                driver = "isa-debugcon";
                break;
        default:
                return qemu_unsupported(context, reterr, "serial port of type '%s' is not supported",
                                        vb_char_target_type_to_string(serial->target_type));
        }

        what = g_strdup_printf("serial port of type '%s'", driver);
        r = new_port(context, driver, &serial->info, what, ret, reterr);
        if (r < 0)
                return r;
        if (strcmp(driver, "isa-serial") == 0 && serial->target_port.set)
                qemu_json_add_number(*ret, "index", serial->target_port.value);
        return 0;
}

int qemu_parallel_device(const QemuContext *context, const VbChardev *parallel, VbJson **ret, sd_bus_error *reterr) {
        int r;

        r = new_port(context, "isa-parallel", &parallel->info, "parallel port", ret, reterr);
        if (r < 0)
                return r;
        if (parallel->target_port.set)
                qemu_json_add_number(*ret, "index", parallel->target_port.value);
        return 0;
}

int qemu_console_device(const QemuContext *context, const VbChardev *console, VbJson **ret, sd_bus_error *reterr) {
        switch (console->target_type) {
        case VB_CHAR_TARGET_ABSENT:
        case VB_CHAR_TARGET_SERIAL:
                *ret = NULL;
                return 0;
        case VB_CHAR_TARGET_VIRTIO:
                return new_port(context, "virtconsole", &console->info, "virtio console", ret, reterr);
        default:
                return qemu_unsupported(context, reterr, "console of type '%s' is not supported",
                                        vb_char_target_type_to_string(console->target_type));
        }
}

/* The name by which people and guests find a channel; two kinds of backends have their usual ones. */
static const char *channel_name(const VbChardev *channel) {
        if (channel->target_name)
                return channel->target_name;
        if (channel->source.type == VB_CHAR_SPICEVMC || channel->source.type == VB_CHAR_QEMU_VDAGENT)
                return "com.redhat.spice.0";
        return NULL;
}

int qemu_channel_device(const QemuContext *context, const VbChardev *channel, VbJson **ret, sd_bus_error *reterr) {
        int r;

        if (channel->target_type != VB_CHAR_TARGET_VIRTIO)
                return qemu_unsupported(context, reterr, "channel of type '%s' is not supported",
                                        vb_char_target_type_to_string(channel->target_type) ?: "");

        r = new_port(context, "virtserialport", &channel->info, "virtio channel", ret, reterr);
        if (r < 0)
                return r;
        qemu_json_add(*ret, "name", channel_name(channel));
        return 0;
}

int qemu_redirdev_device(const QemuContext *context, const VbRedirdev *redirdev, VbJson **ret, sd_bus_error *reterr) {
        int r;

        r = new_port(context, "usb-redir", &redirdev->info, "redirected USB device", ret, reterr);
        if (r < 0)
                return r;
        if (redirdev->info.boot_order != 0)
                qemu_json_add_number(*ret, "bootindex", redirdev->info.boot_order);
        return 0;
}

/* --- On the command line --- */

typedef int (*PortFunction)(const QemuContext *context, const VbChardev *port, VbJson **ret, sd_bus_error *reterr);

static int build_port(QemuBuild *build, const VbChardev *port, PortFunction describe, sd_bus_error *reterr) {
        VbJson *device;
        int r;

        r = describe(&build->context, port, &device, reterr);
        if (r < 0 || !device)
                return r;

        r = build_backend(build, port->info.alias, &port->source, "vdagent", reterr);
        if (r < 0) {
                vb_json_put(device);
                return r;
        }
        qemu_build_add_json(build, "-device", device);
        return 0;
}

static int build_redirdevs(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device;
        int r;

        for (size_t i = 0; i < definition->redirdevs.n; i++) {
                const VbRedirdev *redirdev = definition->redirdevs.items[i];

                r = build_backend(build, redirdev->info.alias, &redirdev->source, "usbredir", reterr);
                if (r < 0)
                        return r;
                r = qemu_redirdev_device(&build->context, redirdev, &device, reterr);
                if (r < 0)
                        return r;
                qemu_build_add_json(build, "-device", device);
        }
        return 0;
}

int qemu_build_chardevs(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        const struct {
                VbChardev **items;
                size_t n;
                PortFunction describe;
        } lists[] = {
                { definition->serials.items, definition->serials.n, qemu_serial_device },
                { definition->parallels.items, definition->parallels.n, qemu_parallel_device },
                { definition->channels.items, definition->channels.n, qemu_channel_device },
                { definition->consoles.items, definition->consoles.n, qemu_console_device },
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++) {
                        r = build_port(build, lists[i].items[j], lists[i].describe, reterr);
                        if (r < 0)
                                return r;
                }
        return build_redirdevs(build, reterr);
}
