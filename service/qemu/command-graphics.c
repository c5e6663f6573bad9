/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How people see a guest. VNC servers are started without an address; their listening sockets and passwords are
 * handed over by QMP. So neither stands in a process list, and no port is taken by somebody else in between. */
#include "qemu/command-build.h"

#include <string.h>
#include <time.h>

#include "base/error.h"

static const VbListen *first_listen(const VbGraphics *graphics) {
        return graphics->listens.n > 0 ? graphics->listens.items[0] : NULL;
}

static void add_keymap(QemuBuild *build, const VbGraphics *graphics) {
        if (graphics->keymap)
                qemu_build_add(build, "-k", graphics->keymap);
}

/* --- Passwords --- */

/* "2026-11-30T15:51:00", UTC, as set_password's cousin wants it: seconds since 1970. */
static int parse_expiry(const QemuContext *context, const char *text, time_t *ret, sd_bus_error *reterr) {
        struct tm parts = {};
        const char *end;

        end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
        if (!end || *end)
                return qemu_unsupported(context, reterr, "passwdValidTo '%s' is not like 2030-01-31T23:59:59", text);

        *ret = timegm(&parts);
        return 0;
}

static int build_password(QemuBuild *build, const VbGraphics *graphics, const char *protocol, sd_bus_error *reterr) {
        VbJson *arguments;
        time_t expiry = 0;
        int r;

        if (!graphics->password)
                return 0;
        if (graphics->password_valid_to) {
                r = parse_expiry(&build->context, graphics->password_valid_to, &expiry, reterr);
                if (r < 0)
                        return r;
        }

        /* With an empty one nobody gets in: that is what QEMU does anyway as long as it has been told none. */
        if (*graphics->password) {
                arguments = qemu_json_new();
                qemu_json_add(arguments, "protocol", protocol);
                qemu_json_add(arguments, "password", graphics->password);
                if (graphics->connected != VB_PASSWORD_CONNECTED_ABSENT)
                        qemu_json_add(arguments, "connected",
                                      vb_password_connected_to_string(graphics->connected));
                qemu_build_add_setup_secret(build, "set_password", arguments);
        }
        if (graphics->password_valid_to) {
                arguments = qemu_json_new();
                qemu_json_add(arguments, "protocol", protocol);
                qemu_json_addf(arguments, "time", "%" PRIi64, (int64_t) expiry);
                qemu_build_add_setup(build, "expire_password", arguments);
        }
        return 0;
}

/* --- VNC --- */

/* getfd names the socket, display-update lets the server listen on it. */
static void build_vnc_listener(QemuBuild *build, QemuSocket *socket) {
        VbJson *arguments, *address, *addresses;

        arguments = qemu_json_new();
        qemu_json_add(arguments, "fdname", socket->id);
        qemu_build_add_setup_fd(build, "getfd", arguments, &socket->fd);

        address = qemu_json_new();
        qemu_json_add(address, "type", "fd");
        qemu_json_add(address, "str", socket->id);
        addresses = json_object_new_array();
        (void) json_object_array_add(addresses, address);
        arguments = qemu_json_new();
        qemu_json_add(arguments, "type", "vnc");
        qemu_json_add_json(arguments, "addresses", addresses);
        qemu_build_add_setup(build, "display-update", arguments);
}

static void add_vnc_address(GString *options, const VbListen *listen, const QemuSocket *socket) {
        /* A path of people's choice QEMU binds itself, with the owner's rights. */
        if (!socket && listen && listen->type == VB_LISTEN_SOCKET)
                qemu_options_addf(options, "vnc", "unix:%s", listen->socket);
        else
                qemu_options_add(options, "vnc", "none");
}

static int build_vnc(QemuBuild *build, const VbGraphics *graphics, size_t index, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        g_autofree char *id = g_strdup_printf("vnc%zu", index);
        QemuSocket *socket = qemu_resources_find_socket(build->resources, id);
        GString *options;

        if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_OPTION, "vnc"))
                return qemu_not_offered(&build->context, reterr, "graphics of type 'vnc'");
        if (graphics->websocket != 0)
                return qemu_unsupported(&build->context, reterr, "graphics of type 'vnc': web sockets are not supported");
        if (socket && socket->fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': the socket of VNC was not opened", definition->name);

        options = qemu_options_new(NULL);
        add_vnc_address(options, first_listen(graphics), socket);
        if (graphics->password)
                qemu_options_add_switch(options, "password", true);
        if (graphics->share_policy != VB_SHARE_POLICY_ABSENT)
                qemu_options_add(options, "share", vb_share_policy_to_string(graphics->share_policy));
        if (definition->audios.n > 0 && definition->sounds.n > 0)
                qemu_options_addf(options, "audiodev", "audio%u", definition->audios.items[0]->id);
        qemu_build_add_options(build, "-vnc", options);
        add_keymap(build, graphics);

        if (socket)
                build_vnc_listener(build, socket);
        return build_password(build, graphics, "vnc", reterr);
}

/* --- SPICE --- */

static int add_spice_address(const QemuContext *context, GString *options, const VbGraphics *graphics,
                             sd_bus_error *reterr) {
        const VbListen *listen = first_listen(graphics);

        if (graphics->tls_port > 0)
                return qemu_unsupported(context, reterr, "graphics of type 'spice': TLS is not supported");

        if (listen && listen->type == VB_LISTEN_NONE) {
                /* Clients come through the daemon. */
                qemu_options_add_number(options, "port", 0);
                return 0;
        }
        if (listen && listen->type == VB_LISTEN_SOCKET) {
                if (!listen->socket)
                        return qemu_unsupported(context, reterr,
                                                "graphics of type 'spice': <listen type='socket'> needs a path; "
                                                "clients of <listen type='none'> come through the daemon");
                qemu_options_add_switch(options, "unix", true);
                qemu_options_add(options, "addr", listen->socket);
                return 0;
        }

        if (graphics->port < 1 || graphics->port > UINT16_MAX)
                return qemu_unsupported(context, reterr, "graphics of type 'spice': no port was chosen");
        qemu_options_add_number(options, "port", (uint64_t) graphics->port);
        qemu_options_add(options, "addr", listen && listen->address ? listen->address : "127.0.0.1");
        return 0;
}

static void add_spice_options(GString *options, const VbGraphics *graphics) {
        if (graphics->mouse != VB_SPICE_MOUSE_ABSENT)
                qemu_options_add_switch(options, "agent-mouse", graphics->mouse == VB_SPICE_MOUSE_CLIENT);
        if (graphics->image_compression != VB_SPICE_IMAGE_ABSENT)
                qemu_options_add(options, "image-compression",
                                 vb_spice_image_compression_to_string(graphics->image_compression));
        if (graphics->jpeg_compression != VB_SPICE_LOSSY_ABSENT)
                qemu_options_add(options, "jpeg-wan-compression",
                                 vb_spice_lossy_to_string(graphics->jpeg_compression));
        if (graphics->zlib_compression != VB_SPICE_LOSSY_ABSENT)
                qemu_options_add(options, "zlib-glz-wan-compression",
                                 vb_spice_lossy_to_string(graphics->zlib_compression));
        if (graphics->playback_compression != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, "playback-compression",
                                        graphics->playback_compression == VB_TRISTATE_YES);
        if (graphics->streaming != VB_SPICE_STREAMING_ABSENT)
                qemu_options_add(options, "streaming-video", vb_spice_streaming_to_string(graphics->streaming));
        if (graphics->clipboard_copypaste == VB_TRISTATE_NO)
                qemu_options_add_switch(options, "disable-copy-paste", true);
        if (graphics->filetransfer == VB_TRISTATE_NO)
                qemu_options_add_switch(options, "disable-agent-file-xfer", true);
        if (graphics->gl == VB_TRISTATE_YES) {
                qemu_options_add_switch(options, "gl", true);
                qemu_options_add(options, "rendernode", graphics->rendernode);
        }
        qemu_options_add_switch(options, "seamless-migration", true);
}

static int build_spice(QemuBuild *build, const VbGraphics *graphics, sd_bus_error *reterr) {
        g_autoptr(GString) options = qemu_options_new(NULL);
        int r;

        if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_OPTION, "spice"))
                return qemu_not_offered(&build->context, reterr, "graphics of type 'spice'");

        r = add_spice_address(&build->context, options, graphics, reterr);
        if (r < 0)
                return r;
        if (!graphics->password)
                qemu_options_add_switch(options, "disable-ticketing", true);
        add_spice_options(options, graphics);
        qemu_build_add_options(build, "-spice", g_steal_pointer(&options));
        add_keymap(build, graphics);
        return build_password(build, graphics, "spice", reterr);
}

/* --- Displays proper: of these, QEMU has one --- */

static int add_dbus(const QemuContext *context, GString *options, const VbGraphics *graphics, sd_bus_error *reterr) {
        if (graphics->dbus_address && graphics->p2p != VB_TRISTATE_YES)
                qemu_options_add(options, "addr", graphics->dbus_address);
        else if (qemu_capabilities_has(context->capabilities, QEMU_FEATURE_DISPLAY_DBUS_P2P))
                qemu_options_add_switch(options, "p2p", true);
        else
                return qemu_not_offered(context, reterr, "graphics of type 'dbus' with p2p='yes'");

        if (context->definition->audios.n > 0 && context->definition->audios.items[0]->type == VB_AUDIO_DBUS)
                qemu_options_addf(options, "audiodev", "audio%u", context->definition->audios.items[0]->id);
        if (graphics->gl != VB_TRISTATE_ABSENT)
                qemu_options_add_switch(options, "gl", graphics->gl == VB_TRISTATE_YES);
        qemu_options_add(options, "rendernode", graphics->rendernode);
        return 0;
}

static int build_display(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        g_autoptr(GString) options = NULL;
        int r;

        for (size_t i = 0; i < definition->graphics.n; i++) {
                const VbGraphics *graphics = definition->graphics.items[i];
                const char *word = vb_graphics_type_to_string(graphics->type);

                if (graphics->type != VB_GRAPHICS_DBUS && graphics->type != VB_GRAPHICS_EGL_HEADLESS)
                        continue;
                if (options)
                        return qemu_unsupported(&build->context, reterr,
                                                "graphics of type '%s': only one of 'dbus' and 'egl-headless' is possible",
                                                word);
                if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_DISPLAY, word))
                        return qemu_not_offered(&build->context, reterr, "graphics of type '%s'", word);

                options = qemu_options_new(word);
                if (graphics->type == VB_GRAPHICS_EGL_HEADLESS)
                        qemu_options_add(options, "rendernode", graphics->rendernode);
                else {
                        r = add_dbus(&build->context, options, graphics, reterr);
                        if (r < 0)
                                return r;
                }
        }

        if (!options)
                options = qemu_options_new("none");
        qemu_build_add_options(build, "-display", g_steal_pointer(&options));
        return 0;
}

int qemu_build_graphics(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        int r;

        r = build_display(build, reterr);
        for (size_t i = 0; r >= 0 && i < definition->graphics.n; i++) {
                const VbGraphics *graphics = definition->graphics.items[i];

                if (graphics->type == VB_GRAPHICS_VNC)
                        r = build_vnc(build, graphics, i, reterr);
                else if (graphics->type == VB_GRAPHICS_SPICE)
                        r = build_spice(build, graphics, reterr);
        }
        return r;
}
