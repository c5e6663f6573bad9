/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/chardev.h"

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_char_type, VbCharType, VB_CHAR_TYPE_MAX,
                [VB_CHAR_NULL] = "null",
                [VB_CHAR_VC] = "vc",
                [VB_CHAR_PTY] = "pty",
                [VB_CHAR_DEV] = "dev",
                [VB_CHAR_FILE] = "file",
                [VB_CHAR_PIPE] = "pipe",
                [VB_CHAR_STDIO] = "stdio",
                [VB_CHAR_TCP] = "tcp",
                [VB_CHAR_UNIX] = "unix",
                [VB_CHAR_SPICEVMC] = "spicevmc",
                [VB_CHAR_SPICEPORT] = "spiceport",
                [VB_CHAR_QEMU_VDAGENT] = "qemu-vdagent",
                [VB_CHAR_DBUS] = "dbus")
VB_STRING_TABLE(vb_char_mode, VbCharMode, VB_CHAR_MODE_MAX,
                [VB_CHAR_MODE_CONNECT] = "connect",
                [VB_CHAR_MODE_BIND] = "bind")
VB_STRING_TABLE(vb_char_protocol, VbCharProtocol, VB_CHAR_PROTOCOL_MAX,
                [VB_CHAR_PROTOCOL_RAW] = "raw",
                [VB_CHAR_PROTOCOL_TELNET] = "telnet")
VB_STRING_TABLE(vb_char_target_type, VbCharTargetType, VB_CHAR_TARGET_MAX,
                [VB_CHAR_TARGET_ISA_SERIAL] = "isa-serial",
                [VB_CHAR_TARGET_USB_SERIAL] = "usb-serial",
                [VB_CHAR_TARGET_PCI_SERIAL] = "pci-serial",
                [VB_CHAR_TARGET_SYSTEM_SERIAL] = "system-serial",
                [VB_CHAR_TARGET_ISA_DEBUG] = "isa-debug",
                [VB_CHAR_TARGET_SERIAL] = "serial",
                [VB_CHAR_TARGET_VIRTIO] = "virtio")
VB_STRING_TABLE(vb_char_target_model, VbCharTargetModel, VB_CHAR_MODEL_MAX,
                [VB_CHAR_MODEL_ISA_SERIAL] = "isa-serial",
                [VB_CHAR_MODEL_USB_SERIAL] = "usb-serial",
                [VB_CHAR_MODEL_PCI_SERIAL] = "pci-serial",
                [VB_CHAR_MODEL_PL011] = "pl011",
                [VB_CHAR_MODEL_16550A] = "16550a",
                [VB_CHAR_MODEL_ISA_DEBUGCON] = "isa-debugcon")
VB_STRING_TABLE(vb_channel_state, VbChannelState, VB_CHANNEL_STATE_MAX,
                [VB_CHANNEL_STATE_CONNECTED] = "connected",
                [VB_CHANNEL_STATE_DISCONNECTED] = "disconnected")

/* The host's side; source is that member of VbChardev and VbRedirdev, at the same place in both. */

G_STATIC_ASSERT(offsetof(VbChardev, source) == offsetof(VbRedirdev, source));
#define S(field) VB_XML_FIELD(VbChardev, source.field)
#define OF(types) VB_XML_WHEN(VbChardev, source.type, types)
#define T(name) VB_XML_BIT(VB_CHAR_##name)
#define WITH_PATH (T(DEV) | T(FILE) | T(PIPE) | T(UNIX))

/* The mouse of qemu-vdagent: the client's, or one that the server draws. */
static int mouse_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (g_str_equal(text, "client"))
                *(VbTristate *) field = VB_TRISTATE_YES;
        else if (g_str_equal(text, "server"))
                *(VbTristate *) field = VB_TRISTATE_NO;
        else {
                *ret_why = g_strdup("not one of client, server");
                return -EINVAL;
        }
        return 0;
}

static bool mouse_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(const VbTristate *) field != VB_TRISTATE_ABSENT;
}

static void mouse_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, *(const VbTristate *) field == VB_TRISTATE_YES ? "client" : "server");
}

static const VbXmlType mouse_type = { "`client`, `server`", sizeof(VbTristate), mouse_parse, mouse_is_set,
                                      mouse_format, false };

static const VbXmlRow mouse_rows[] = {
        VB_XML_ATTRIBUTE("mode", .type = &mouse_type, S(mouse), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlRow clipboard_rows[] = {
        VB_XML_ATTRIBUTE("copypaste", VB_XML_YES_NO, S(clipboard), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlRow reconnect_rows[] = {
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, S(reconnect), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("timeout", VB_XML_UINT, S(reconnect_timeout)),
        {},
};

static const VbXmlRow source_rows[] = {
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_char_mode), S(mode), OF(T(TCP) | T(UNIX)),
                         .unbuilt = "client server"),
        VB_XML_ATTRIBUTE("path", VB_XML_STRING, S(path), OF(WITH_PATH)),
        VB_XML_ATTRIBUTE("path", VB_XML_STRING, S(path), OF(T(PTY)), .flags = VB_XML_LIVE_ONLY),
        VB_XML_ATTRIBUTE("append", VB_XML_ON_OFF, S(append), OF(T(FILE))),
        VB_XML_ATTRIBUTE("host", VB_XML_STRING, S(host), OF(T(TCP)), .max = 255),
        VB_XML_ATTRIBUTE("service", VB_XML_STRING, S(service), OF(T(TCP)), .max = 32),
        VB_XML_ATTRIBUTE("channel", VB_XML_STRING, S(channel), OF(T(SPICEPORT) | T(DBUS)), .max = 255),
        VB_XML_GROUP("reconnect", reconnect_rows, OF(T(TCP) | T(UNIX))),
        VB_XML_GROUP("clipboard", clipboard_rows, OF(T(QEMU_VDAGENT))),
        VB_XML_GROUP("mouse", mouse_rows, OF(T(QEMU_VDAGENT))),
        VB_XML_UNBUILT_ATTRIBUTES("tls master slave"),
        VB_XML_UNBUILT_ELEMENTS("seclabel"),
        {},
};

static const VbXmlRow protocol_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_char_protocol), S(protocol), .unbuilt = "telnets tls"),
        {},
};

static const VbXmlRow log_rows[] = {
        VB_XML_ATTRIBUTE("file", VB_XML_STRING, S(log_file), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("append", VB_XML_ON_OFF, S(log_append)),
        {},
};

#define SOURCE_TYPE_ROW                                                                        \
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_char_type), S(type), .flags = VB_XML_REQUIRED, \
                         .unbuilt = "udp nmdm")

#define SOURCE_ROWS                                                \
        VB_XML_GROUP("source", source_rows),                       \
        VB_XML_GROUP("protocol", protocol_rows, OF(T(TCP))),       \
        VB_XML_GROUP("log", log_rows)

static int source_finish(VbCharSource *source, VbXmlReader *reader) {
        const char *type = vb_char_type_to_string(source->type);

        switch (source->type) {
        case VB_CHAR_DEV:
        case VB_CHAR_FILE:
        case VB_CHAR_PIPE:
                if (!source->path)
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "type '%s' needs <source path='…'/>",
                                           type);
                break;
        case VB_CHAR_UNIX:
                if (!source->path)
                        source->mode = VB_CHAR_MODE_ABSENT;
                else if (source->mode == VB_CHAR_MODE_ABSENT)
                        source->mode = VB_CHAR_MODE_CONNECT;
                break;
        case VB_CHAR_TCP:
                if (source->mode == VB_CHAR_MODE_ABSENT)
                        source->mode = VB_CHAR_MODE_CONNECT;
                if (!source->service || (source->mode == VB_CHAR_MODE_CONNECT && !source->host))
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                           "type 'tcp' needs a <source> with host and service");
                if (source->protocol == VB_CHAR_PROTOCOL_ABSENT)
                        source->protocol = VB_CHAR_PROTOCOL_RAW;
                break;
        case VB_CHAR_SPICEPORT:
        case VB_CHAR_DBUS:
                if (!source->channel)
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                           "type '%s' needs <source channel='…'/>", type);
                break;
        default: break;
        }

        if (source->reconnect == VB_TRISTATE_YES && source->mode != VB_CHAR_MODE_CONNECT)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<reconnect> needs mode='connect'");
        return 0;
}

static int chardev_finish(void *item, VbXmlReader *reader) {
        VbChardev *chardev = item;

        return source_finish(&chardev->source, reader);
}

/* The guest's side. */

#define F(field) VB_XML_FIELD(VbChardev, field)
#define TARGET(name) VB_XML_BIT(VB_CHAR_TARGET_##name)
#define PORT_ROW VB_XML_ATTRIBUTE("port", VB_XML_OPT_UINT, F(target_port), VB_XML_RANGE(0, 255))
#define DEVICE_ROWS VB_ALIAS_ROW, VB_ACPI_ROW, VB_ADDRESS_ROW

/* A console on the serial port has its terminal in its own tag, too; with serial and parallel that is
 * history. */
static bool tty_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbChardev *console = (const void *) ((const char *) field - row->offset);

        return console->source.path && console->target_type == VB_CHAR_TARGET_SERIAL;
}

static const VbXmlType tty_type = { "text",     sizeof(char *),       vb_xml_string_parse,
                                    tty_is_set, vb_xml_string_format, true };

#define TTY_ROW VB_XML_ATTRIBUTE("tty", .type = &tty_type, S(path), OF(T(PTY)), .flags = VB_XML_LIVE_ONLY)
#define OLD_TTY_ROW                                                 \
        VB_XML_ATTRIBUTE("tty", VB_XML_STRING, S(path), OF(T(PTY)), \
                         .flags = VB_XML_LIVE_ONLY | VB_XML_READ_ONLY)

static const VbXmlRow serial_model_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_ENUM(vb_char_target_model), F(target_model), .flags = VB_XML_REQUIRED,
                         .unbuilt = "spapr-vty sclpconsole sclplmconsole"),
        {},
};

static const VbXmlRow serial_target_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_char_target_type), F(target_type),
                         .words_mask = TARGET(ISA_SERIAL) | TARGET(USB_SERIAL) | TARGET(PCI_SERIAL) |
                                       TARGET(SYSTEM_SERIAL) | TARGET(ISA_DEBUG),
                         .unbuilt = "spapr-vio-serial sclp-serial"),
        PORT_ROW,
        VB_XML_GROUP("model", serial_model_rows),
        {},
};

static const VbXmlRow serial_rows[] = {
        SOURCE_TYPE_ROW,
        OLD_TTY_ROW,
        SOURCE_ROWS,
        VB_XML_GROUP("target", serial_target_rows),
        DEVICE_ROWS,
        {},
};

const VbXmlTable vb_serial_table = { "serial", sizeof(VbChardev), serial_rows, chardev_finish };

static const VbXmlRow parallel_target_rows[] = {
        PORT_ROW,
        {},
};

static const VbXmlRow parallel_rows[] = {
        SOURCE_TYPE_ROW,
        OLD_TTY_ROW,
        SOURCE_ROWS,
        VB_XML_GROUP("target", parallel_target_rows),
        DEVICE_ROWS,
        {},
};

const VbXmlTable vb_parallel_table = { "parallel", sizeof(VbChardev), parallel_rows, chardev_finish };

static const VbXmlRow console_target_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_char_target_type), F(target_type),
                         .words_mask = TARGET(SERIAL) | TARGET(VIRTIO),
                         .unbuilt = "xen uml lxc openvz sclp sclplm"),
        PORT_ROW,
        VB_XML_UNBUILT_ELEMENTS("model"),
        {},
};

static const VbXmlRow console_rows[] = {
        SOURCE_TYPE_ROW,
        TTY_ROW,
        SOURCE_ROWS,
        VB_XML_GROUP("target", console_target_rows),
        DEVICE_ROWS,
        {},
};

const VbXmlTable vb_console_table = { "console", sizeof(VbChardev), console_rows, chardev_finish };

static const VbXmlRow channel_target_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_char_target_type), F(target_type), .flags = VB_XML_REQUIRED,
                         .words_mask = TARGET(VIRTIO), .unbuilt = "guestfwd xen"),
        VB_XML_ATTRIBUTE("name", VB_XML_STRING, F(target_name), .max = 255),
        VB_XML_ATTRIBUTE("state", VB_XML_ENUM(vb_channel_state), F(state), .flags = VB_XML_LIVE_ONLY),
        VB_XML_UNBUILT_ATTRIBUTES("address port"),
        {},
};

static const VbXmlRow channel_rows[] = {
        SOURCE_TYPE_ROW,
        SOURCE_ROWS,
        VB_XML_GROUP("target", channel_target_rows, .flags = VB_XML_REQUIRED),
        DEVICE_ROWS,
        {},
};

static int channel_finish(void *item, VbXmlReader *reader) {
        VbChardev *channel = item;

        /* Both sides of a SPICE agent must know each other by this name. */
        if ((channel->source.type == VB_CHAR_SPICEVMC || channel->source.type == VB_CHAR_QEMU_VDAGENT) &&
            !channel->target_name)
                channel->target_name = g_strdup("com.redhat.spice.0");
        return source_finish(&channel->source, reader);
}

const VbXmlTable vb_channel_table = { "channel", sizeof(VbChardev), channel_rows, channel_finish };

/* <redirdev bus='usb'>: the bus is no choice, but has to be said. */

static int usb_bus_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (g_str_equal(text, "usb"))
                return 0;
        *ret_why = g_strdup("not usb");
        return -EINVAL;
}

static bool usb_bus_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return true;
}

static void usb_bus_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, "usb");
}

static const VbXmlType usb_bus_type = { "`usb`", 0, usb_bus_parse, usb_bus_is_set, usb_bus_format, false };

static const VbXmlRow redirdev_rows[] = {
        VB_XML_ATTRIBUTE("bus", .type = &usb_bus_type, VB_XML_FIELD(VbRedirdev, info)),
        SOURCE_TYPE_ROW,
        SOURCE_ROWS,
        VB_BOOT_ROW,
        VB_ALIAS_ROW,
        VB_ADDRESS_ROW,
        {},
};

static int redirdev_finish(void *item, VbXmlReader *reader) {
        VbRedirdev *redirdev = item;

        return source_finish(&redirdev->source, reader);
}

const VbXmlTable vb_redirdev_table = { "redirdev", sizeof(VbRedirdev), redirdev_rows, redirdev_finish };
