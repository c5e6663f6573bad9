/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/display.h"

#include <string.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_graphics_type, VbGraphicsType, VB_GRAPHICS_TYPE_MAX,
                [VB_GRAPHICS_VNC] = "vnc",
                [VB_GRAPHICS_SPICE] = "spice",
                [VB_GRAPHICS_EGL_HEADLESS] = "egl-headless",
                [VB_GRAPHICS_DBUS] = "dbus")
VB_STRING_TABLE(vb_listen_type, VbListenType, VB_LISTEN_TYPE_MAX,
                [VB_LISTEN_ADDRESS] = "address",
                [VB_LISTEN_SOCKET] = "socket",
                [VB_LISTEN_NONE] = "none")
VB_STRING_TABLE(vb_share_policy, VbSharePolicy, VB_SHARE_POLICY_MAX,
                [VB_SHARE_POLICY_ALLOW_EXCLUSIVE] = "allow-exclusive",
                [VB_SHARE_POLICY_FORCE_SHARED] = "force-shared",
                [VB_SHARE_POLICY_IGNORE] = "ignore")
VB_STRING_TABLE(vb_password_connected, VbPasswordConnected, VB_PASSWORD_CONNECTED_MAX,
                [VB_PASSWORD_CONNECTED_FAIL] = "fail",
                [VB_PASSWORD_CONNECTED_DISCONNECT] = "disconnect",
                [VB_PASSWORD_CONNECTED_KEEP] = "keep")
VB_STRING_TABLE(vb_spice_image_compression, VbSpiceImageCompression, VB_SPICE_IMAGE_MAX,
                [VB_SPICE_IMAGE_AUTO_GLZ] = "auto_glz",
                [VB_SPICE_IMAGE_AUTO_LZ] = "auto_lz",
                [VB_SPICE_IMAGE_QUIC] = "quic",
                [VB_SPICE_IMAGE_GLZ] = "glz",
                [VB_SPICE_IMAGE_LZ] = "lz",
                [VB_SPICE_IMAGE_OFF] = "off")
VB_STRING_TABLE(vb_spice_lossy, VbSpiceLossy, VB_SPICE_LOSSY_MAX,
                [VB_SPICE_LOSSY_AUTO] = "auto",
                [VB_SPICE_LOSSY_NEVER] = "never",
                [VB_SPICE_LOSSY_ALWAYS] = "always")
VB_STRING_TABLE(vb_spice_streaming, VbSpiceStreaming, VB_SPICE_STREAMING_MAX,
                [VB_SPICE_STREAMING_FILTER] = "filter",
                [VB_SPICE_STREAMING_ALL] = "all",
                [VB_SPICE_STREAMING_OFF] = "off")
VB_STRING_TABLE(vb_spice_mouse, VbSpiceMouse, VB_SPICE_MOUSE_MAX,
                [VB_SPICE_MOUSE_SERVER] = "server",
                [VB_SPICE_MOUSE_CLIENT] = "client")
VB_STRING_TABLE(vb_video_model, VbVideoModel, VB_VIDEO_MODEL_MAX,
                [VB_VIDEO_VGA] = "vga",
                [VB_VIDEO_CIRRUS] = "cirrus",
                [VB_VIDEO_VMVGA] = "vmvga",
                [VB_VIDEO_QXL] = "qxl",
                [VB_VIDEO_VIRTIO] = "virtio",
                [VB_VIDEO_NONE] = "none",
                [VB_VIDEO_BOCHS] = "bochs",
                [VB_VIDEO_RAMFB] = "ramfb")
VB_STRING_TABLE(vb_video_vgaconf, VbVideoVgaconf, VB_VIDEO_VGACONF_MAX,
                [VB_VIDEO_VGACONF_IO] = "io",
                [VB_VIDEO_VGACONF_ON] = "on",
                [VB_VIDEO_VGACONF_OFF] = "off")
VB_STRING_TABLE(vb_input_type, VbInputType, VB_INPUT_TYPE_MAX,
                [VB_INPUT_MOUSE] = "mouse",
                [VB_INPUT_TABLET] = "tablet",
                [VB_INPUT_KEYBOARD] = "keyboard")
VB_STRING_TABLE(vb_input_bus, VbInputBus, VB_INPUT_BUS_MAX,
                [VB_INPUT_BUS_PS2] = "ps2",
                [VB_INPUT_BUS_USB] = "usb",
                [VB_INPUT_BUS_VIRTIO] = "virtio")
VB_STRING_TABLE(vb_virtio_model, VbVirtioModel, VB_VIRTIO_MODEL_MAX,
                [VB_VIRTIO_MODEL_VIRTIO] = "virtio",
                [VB_VIRTIO_MODEL_TRANSITIONAL] = "virtio-transitional",
                [VB_VIRTIO_MODEL_NON_TRANSITIONAL] = "virtio-non-transitional")
VB_STRING_TABLE(vb_sound_model, VbSoundModel, VB_SOUND_MODEL_MAX,
                [VB_SOUND_SB16] = "sb16",
                [VB_SOUND_ES1370] = "es1370",
                [VB_SOUND_PCSPK] = "pcspk",
                [VB_SOUND_AC97] = "ac97",
                [VB_SOUND_ICH6] = "ich6",
                [VB_SOUND_ICH9] = "ich9",
                [VB_SOUND_USB] = "usb")
VB_STRING_TABLE(vb_sound_codec_type, VbSoundCodecType, VB_SOUND_CODEC_TYPE_MAX,
                [VB_SOUND_CODEC_DUPLEX] = "duplex",
                [VB_SOUND_CODEC_MICRO] = "micro",
                [VB_SOUND_CODEC_OUTPUT] = "output")
VB_STRING_TABLE(vb_audio_type, VbAudioType, VB_AUDIO_TYPE_MAX,
                [VB_AUDIO_NONE] = "none",
                [VB_AUDIO_SPICE] = "spice",
                [VB_AUDIO_DBUS] = "dbus")

#define DEVICE_ROWS VB_ALIAS_ROW, VB_ACPI_ROW, VB_ADDRESS_ROW

/* <graphics> */

static const VbXmlRow listen_rows[] = {
#define L(field) VB_XML_FIELD(VbListen, field)
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_listen_type), L(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "network"),
        VB_XML_ATTRIBUTE("address", VB_XML_STRING, L(address), .max = 255,
                         VB_XML_WHEN(VbListen, type, VB_XML_BIT(VB_LISTEN_ADDRESS))),
        VB_XML_ATTRIBUTE("socket", VB_XML_STRING, L(socket), .max = 107,
                         VB_XML_WHEN(VbListen, type, VB_XML_BIT(VB_LISTEN_SOCKET))),
        VB_XML_UNBUILT_ATTRIBUTES("network"),
        {},
};

static const VbXmlTable listen_table = { "listen", sizeof(VbListen), listen_rows };

#define F(field) VB_XML_FIELD(VbGraphics, field)
#define OF(types) VB_XML_WHEN(VbGraphics, type, types)
#define T(name) VB_XML_BIT(VB_GRAPHICS_##name)
#define REMOTE (T(VNC) | T(SPICE))

/* Some values are written as others of the struct want it. */
static const VbGraphics *graphics_of(const VbXmlRow *row, const void *field) {
        return (const void *) ((const char *) field - row->offset);
}

static bool listens_at_address(const VbGraphics *graphics) {
        return graphics->listens.n == 0 || graphics->listens.items[0]->type == VB_LISTEN_ADDRESS;
}

/* Ports. With autoport they are chosen at start: a definition then says -1 (VNC) or nothing (SPICE), whatever
 * the last run had. Without a network address to listen at there is no port. */

static int port_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        VbOptInt port = {};

        if (vb_xml_type_opt_int.parse(row, mode, text, &port, ret_why) < 0)
                return -EINVAL;
        *(int32_t *) field = port.value;
        return 0;
}

static bool port_is_chosen(const VbGraphics *graphics, VbXmlMode mode) {
        return graphics->autoport == VB_TRISTATE_YES && !(mode & VB_XML_LIVE);
}

static bool vnc_port_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbGraphics *graphics = graphics_of(row, field);

        return listens_at_address(graphics) && (graphics->port != 0 || graphics->autoport == VB_TRISTATE_YES);
}

static void vnc_port_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append_printf(out, "%d",
                               port_is_chosen(graphics_of(row, field), mode) ? -1 : *(const int32_t *) field);
}

static bool spice_port_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbGraphics *graphics = graphics_of(row, field);

        return listens_at_address(graphics) && *(const int32_t *) field != 0 && !port_is_chosen(graphics, mode);
}

static bool websocket_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(const int32_t *) field != 0;
}

static void port_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append_printf(out, "%d", *(const int32_t *) field);
}

static bool autoport_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return listens_at_address(graphics_of(row, field)) && *(const VbTristate *) field != VB_TRISTATE_ABSENT;
}

static const VbXmlType vnc_port_type = { "number",        sizeof(int32_t), port_parse,
                                         vnc_port_is_set, vnc_port_format, false };
static const VbXmlType spice_port_type = { "number",          sizeof(int32_t), port_parse,
                                           spice_port_is_set, port_format,     false };
static const VbXmlType websocket_type = { "number",         sizeof(int32_t), port_parse,
                                          websocket_is_set, port_format,     false };
static const VbXmlType autoport_type = { "yes or no",     sizeof(VbTristate), vb_xml_yes_no_parse,
                                         autoport_is_set, vb_xml_yes_no_format,    false };

/* listen='…' and socket='…' say again what the first <listen> says, for old clients. */

static int listen_append(VbListenType type, const char *text, void *field, char **ret_why) {
        VbListen *listen;

        if (strlen(text) > 255) {
                *ret_why = g_strdup("longer than 255 bytes");
                return -EINVAL;
        }

        listen = vb_xml_new(&listen_table);
        listen->type = type;
        listen->short_form = true;
        *(type == VB_LISTEN_SOCKET ? &listen->socket : &listen->address) = *text ? g_strdup(text) : NULL;
        vb_list_append(field, listen);
        return 0;
}

static const VbListen *first_listen(const void *field, VbListenType type) {
        const VbList *list = field;
        const VbListen *listen = list->n > 0 ? list->items[0] : NULL;

        return listen && listen->type == type ? listen : NULL;
}

static int listen_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return listen_append(VB_LISTEN_ADDRESS, text, field, ret_why);
}

static bool listen_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbListen *listen = first_listen(field, VB_LISTEN_ADDRESS);

        return listen && listen->address;
}

static void listen_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, first_listen(field, VB_LISTEN_ADDRESS)->address);
}

static int socket_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return listen_append(VB_LISTEN_SOCKET, text, field, ret_why);
}

static bool socket_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const VbListen *listen = first_listen(field, VB_LISTEN_SOCKET);

        return listen && listen->socket;
}

static void socket_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, first_listen(field, VB_LISTEN_SOCKET)->socket);
}

static const VbXmlType listen_type = { "text",        sizeof(VbList), listen_parse,
                                       listen_is_set, listen_format,  false };
static const VbXmlType socket_type = { "text",        sizeof(VbList), socket_parse,
                                       socket_is_set, socket_format,  false };

static int valid_to_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        g_autofree char *zulu = g_strconcat(text, "Z", NULL);
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(zulu, NULL);

        if (!time || strlen(text) != strlen("2026-11-30T15:51:00")) {
                *ret_why = g_strdup("not a UTC time like 2026-11-30T15:51:00");
                return -EINVAL;
        }
        return vb_xml_string_parse(row, mode, text, field, ret_why);
}

static const VbXmlType valid_to_type = { "time in UTC",   sizeof(char *),  valid_to_parse,
                                         vb_xml_string_is_set, vb_xml_string_format, true };

static const VbXmlRow gl_rows[] = {
        VB_XML_ATTRIBUTE("enable", VB_XML_YES_NO, F(gl), OF(T(SPICE) | T(DBUS)), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("rendernode", VB_XML_STRING, F(rendernode)),
        {},
};

#define SPICE_ROWS(name, attribute, ...)                                                                  \
        static const VbXmlRow name##_rows[] = {                                                            \
                VB_XML_ATTRIBUTE(attribute, __VA_ARGS__, .flags = VB_XML_REQUIRED),                        \
                {},                                                                                        \
        }

SPICE_ROWS(image, "compression", VB_XML_ENUM(vb_spice_image_compression), F(image_compression));
SPICE_ROWS(jpeg, "compression", VB_XML_ENUM(vb_spice_lossy), F(jpeg_compression));
SPICE_ROWS(zlib, "compression", VB_XML_ENUM(vb_spice_lossy), F(zlib_compression));
SPICE_ROWS(playback, "compression", VB_XML_ON_OFF, F(playback_compression));
SPICE_ROWS(streaming, "mode", VB_XML_ENUM(vb_spice_streaming), F(streaming));
SPICE_ROWS(mouse, "mode", VB_XML_ENUM(vb_spice_mouse), F(mouse));
SPICE_ROWS(clipboard, "copypaste", VB_XML_YES_NO, F(clipboard_copypaste));
SPICE_ROWS(filetransfer, "enable", VB_XML_YES_NO, F(filetransfer));

#define PORT_RANGE VB_XML_RANGE(-1, 65535)

static const VbXmlRow graphics_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_graphics_type), F(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "sdl rdp desktop"),
        VB_XML_ATTRIBUTE("p2p", VB_XML_YES_NO, F(p2p), OF(T(DBUS))),
        VB_XML_ATTRIBUTE("address", VB_XML_STRING, F(dbus_address), OF(T(DBUS)), .max = 255),
        VB_XML_ATTRIBUTE("socket", .type = &socket_type, F(listens), OF(T(VNC))),
        VB_XML_ATTRIBUTE("port", .type = &vnc_port_type, F(port), OF(T(VNC)), PORT_RANGE),
        VB_XML_ATTRIBUTE("port", .type = &spice_port_type, F(port), OF(T(SPICE)), PORT_RANGE),
        VB_XML_ATTRIBUTE("tlsPort", .type = &spice_port_type, F(tls_port), OF(T(SPICE)), PORT_RANGE),
        VB_XML_ATTRIBUTE("autoport", .type = &autoport_type, F(autoport), OF(REMOTE)),
        VB_XML_ATTRIBUTE("websocket", .type = &websocket_type, F(websocket), OF(T(VNC)), PORT_RANGE),
        VB_XML_ATTRIBUTE("listen", .type = &listen_type, F(listens), OF(REMOTE)),
        VB_XML_ATTRIBUTE("keymap", VB_XML_STRING, F(keymap), OF(REMOTE), .max = 32),
        VB_XML_ATTRIBUTE("sharePolicy", VB_XML_ENUM(vb_share_policy), F(share_policy), OF(T(VNC))),
        VB_XML_ATTRIBUTE("passwd", VB_XML_STRING, F(password), OF(REMOTE), .flags = VB_XML_SECRET, .max = 255),
        VB_XML_ATTRIBUTE("passwdValidTo", .type = &valid_to_type, F(password_valid_to), OF(REMOTE)),
        VB_XML_ATTRIBUTE("connected", VB_XML_ENUM(vb_password_connected), F(connected), OF(REMOTE)),
        VB_XML_LIST("listen", listen_table, F(listens), OF(REMOTE), .max = 8),
        VB_XML_GROUP("image", image_rows, OF(T(SPICE))),
        VB_XML_GROUP("jpeg", jpeg_rows, OF(T(SPICE))),
        VB_XML_GROUP("zlib", zlib_rows, OF(T(SPICE))),
        VB_XML_GROUP("playback", playback_rows, OF(T(SPICE))),
        VB_XML_GROUP("streaming", streaming_rows, OF(T(SPICE))),
        VB_XML_GROUP("mouse", mouse_rows, OF(T(SPICE))),
        VB_XML_GROUP("clipboard", clipboard_rows, OF(T(SPICE))),
        VB_XML_GROUP("filetransfer", filetransfer_rows, OF(T(SPICE))),
        VB_XML_GROUP("gl", gl_rows, OF(T(SPICE) | T(DBUS) | T(EGL_HEADLESS))),
        VB_XML_UNBUILT_ATTRIBUTES("defaultMode powerControl display xauth fullscreen multiUser replaceUser"),
        VB_XML_UNBUILT_ELEMENTS("channel audio"),
        {},
};

/* The attributes' own entry stands first; it goes where a <listen> of the same type says the same, or more. */
static int merge_listens(VbGraphics *graphics, VbXmlReader *reader) {
        VbListen *attribute = graphics->listens.n > 0 ? graphics->listens.items[0] : NULL, *element;

        if (!attribute || !attribute->short_form)
                return 0;
        if (graphics->listens.n > 1 && graphics->listens.items[1]->short_form)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "the attributes listen and socket exclude each other");
        attribute->short_form = false;
        if (graphics->listens.n == 1)
                return 0;

        element = graphics->listens.items[1];
        if (element->type != attribute->type ||
            (element->address && g_strcmp0(element->address, attribute->address) != 0) ||
            (element->socket && g_strcmp0(element->socket, attribute->socket) != 0))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "the first <listen> and the attribute %s differ",
                                   attribute->type == VB_LISTEN_SOCKET ? "socket" : "listen");

        (void) VB_LIST_STEAL(&graphics->listens, 1);
        vb_xml_free(&listen_table, element);
        return 0;
}

/* Without a word about it, VNC listens at an address; so does SPICE if at least a port was asked for. */
static void add_listen(VbGraphics *graphics) {
        bool no_port =
                graphics->port == 0 && graphics->tls_port == 0 && graphics->autoport == VB_TRISTATE_ABSENT;
        VbListen *listen;

        if (graphics->listens.n > 0)
                return;
        listen = vb_xml_new(&listen_table);
        listen->type = graphics->type == VB_GRAPHICS_SPICE && no_port ? VB_LISTEN_NONE : VB_LISTEN_ADDRESS;
        VB_LIST_APPEND(&graphics->listens, listen);
}

static int graphics_finish(void *item, VbXmlReader *reader) {
        VbGraphics *graphics = item;
        bool live = vb_xml_reader_mode(reader) & VB_XML_LIVE;
        int r;

        if (graphics->type != VB_GRAPHICS_VNC && graphics->type != VB_GRAPHICS_SPICE)
                return 0;

        r = merge_listens(graphics, reader);
        if (r < 0)
                return r;
        add_listen(graphics);

        if (graphics->type == VB_GRAPHICS_VNC) {
                if (graphics->port == -1 || graphics->port == 0)
                        graphics->autoport = VB_TRISTATE_YES;
                if (graphics->autoport == VB_TRISTATE_YES && (!live || graphics->port == 0))
                        graphics->port = -1;
        } else {
                if (graphics->port == -1 && graphics->tls_port == -1)
                        graphics->autoport = VB_TRISTATE_YES;
                if (graphics->autoport == VB_TRISTATE_YES && !live)
                        graphics->port = graphics->tls_port = 0;
        }
        if (graphics->autoport == VB_TRISTATE_ABSENT)
                graphics->autoport = VB_TRISTATE_NO;
        return 0;
}

const VbXmlTable vb_graphics_table = { "graphics", sizeof(VbGraphics), graphics_rows, graphics_finish };
#undef F
#undef OF
#undef T

/* <video> */

#define F(field) VB_XML_FIELD(VbVideo, field)

static const VbXmlRow acceleration_rows[] = {
        VB_XML_ATTRIBUTE("accel2d", VB_XML_YES_NO, F(acceleration_2d)),
        VB_XML_ATTRIBUTE("accel3d", VB_XML_YES_NO, F(acceleration_3d)),
        VB_XML_ATTRIBUTE("rendernode", VB_XML_STRING, F(rendernode)),
        {},
};

static const VbXmlRow resolution_rows[] = {
        VB_XML_ATTRIBUTE("x", VB_XML_UINT, F(resolution_x), .flags = VB_XML_REQUIRED, VB_XML_RANGE(1, 65535)),
        VB_XML_ATTRIBUTE("y", VB_XML_UINT, F(resolution_y), .flags = VB_XML_REQUIRED, VB_XML_RANGE(1, 65535)),
        {},
};

static const VbXmlRow video_model_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_video_model), F(model), .flags = VB_XML_REQUIRED,
                         .unbuilt = "xen vbox parallels gop default"),
        VB_XML_ATTRIBUTE("ram", VB_XML_UINT, F(ram), VB_XML_WHEN(VbVideo, model, VB_XML_BIT(VB_VIDEO_QXL))),
        VB_XML_ATTRIBUTE("vram", VB_XML_UINT, F(vram)),
        VB_XML_ATTRIBUTE("vram64", VB_XML_UINT, F(vram64),
                         VB_XML_WHEN(VbVideo, model, VB_XML_BIT(VB_VIDEO_QXL))),
        VB_XML_ATTRIBUTE("vgamem", VB_XML_UINT, F(vgamem),
                         VB_XML_WHEN(VbVideo, model, VB_XML_BIT(VB_VIDEO_QXL))),
        VB_XML_ATTRIBUTE("heads", VB_XML_UINT, F(heads), VB_XML_RANGE(1, 64)),
        VB_XML_ATTRIBUTE("primary", VB_XML_YES_NO, F(primary)),
        VB_XML_ATTRIBUTE("blob", VB_XML_ON_OFF, F(blob)),
        VB_XML_GROUP("acceleration", acceleration_rows),
        VB_XML_GROUP("resolution", resolution_rows),
        VB_XML_UNBUILT_ATTRIBUTES("edid"),
        {},
};

static const VbXmlRow video_driver_rows[] = {
        VB_XML_ATTRIBUTE("vgaconf", VB_XML_ENUM(vb_video_vgaconf), F(vgaconf)),
        VB_VIRTIO_OPTION_ROWS(VbVideo),
        VB_XML_UNBUILT_ATTRIBUTES("name"),
        {},
};

static const VbXmlRow video_rows[] = {
        VB_XML_GROUP("driver", video_driver_rows),
        VB_XML_GROUP("model", video_model_rows),
        DEVICE_ROWS,
        {},
};

static uint32_t round_up_power_of_two(uint32_t n) {
        return n <= 1 ? n : n > UINT32_MAX / 2 ? UINT32_C(1) << 31 : UINT32_C(1) << (32 - __builtin_clz(n - 1));
}

/* What libvirt gives each model where nothing is said. */
static void video_set_memory(VbVideo *video) {
        switch (video->model) {
        case VB_VIDEO_QXL:
                video->vram = round_up_power_of_two(video->vram ?: 65536);
                video->ram = round_up_power_of_two(video->ram ?: 65536);
                video->vgamem = video->vgamem ?: 16384;
                break;
        case VB_VIDEO_VGA:
        case VB_VIDEO_CIRRUS:
        case VB_VIDEO_VMVGA:
        case VB_VIDEO_BOCHS: video->vram = video->vram ?: 16384; break;
        default: break;
        }
}

static int video_finish(void *item, VbXmlReader *reader) {
        VbVideo *video = item;

        if (video->model == VB_VIDEO_NONE || video->model == VB_VIDEO_ABSENT)
                return 0;
        video_set_memory(video);
        if (video->vgamem & (video->vgamem - 1))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "vgamem %u: not a power of two",
                                   video->vgamem);
        if (video->heads == 0)
                video->heads = 1;
        if (video->heads > 1 && video->model != VB_VIDEO_QXL && video->model != VB_VIDEO_VIRTIO)
                return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION, "model '%s' has one head only",
                                   vb_video_model_to_string(video->model));
        return 0;
}

const VbXmlTable vb_video_table = { "video", sizeof(VbVideo), video_rows, video_finish };
#undef F

/* <input> */

#define F(field) VB_XML_FIELD(VbInput, field)

static const VbXmlRow input_driver_rows[] = { VB_VIRTIO_OPTION_ROWS(VbInput), {} };

static const VbXmlRow input_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_input_type), F(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "passthrough evdev"),
        VB_XML_ATTRIBUTE("bus", VB_XML_ENUM(vb_input_bus), F(bus), .unbuilt = "xen parallels none"),
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_virtio_model), F(model),
                         VB_XML_WHEN(VbInput, bus, VB_XML_BIT(VB_INPUT_BUS_VIRTIO))),
        VB_XML_GROUP("driver", input_driver_rows, VB_XML_WHEN(VbInput, bus, VB_XML_BIT(VB_INPUT_BUS_VIRTIO))),
        DEVICE_ROWS,
        VB_XML_UNBUILT_ELEMENTS("source"),
        {},
};

static int input_finish(void *item, VbXmlReader *reader) {
        const VbInput *input = item;

        if (input->bus == VB_INPUT_BUS_PS2 && input->type == VB_INPUT_TABLET)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "there is no ps2 tablet; usb and virtio have one");
        if (input->model > VB_VIRTIO_MODEL_VIRTIO)
                return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                   "type '%s' has model 'virtio' only", vb_input_type_to_string(input->type));
        return 0;
}

const VbXmlTable vb_input_table = { "input", sizeof(VbInput), input_rows, input_finish };
#undef F

/* <sound>, <audio> */

static const VbXmlRow codec_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_sound_codec_type), VB_XML_FIELD(VbSoundCodec, type),
                         .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable codec_table = { "codec", sizeof(VbSoundCodec), codec_rows };

static const VbXmlRow sound_audio_rows[] = {
        VB_XML_ATTRIBUTE("id", VB_XML_UINT, VB_XML_FIELD(VbSound, audio_id), .flags = VB_XML_REQUIRED,
                         VB_XML_RANGE(1, INT32_MAX)),
        {},
};

#define WITH_CODECS (VB_XML_BIT(VB_SOUND_ICH6) | VB_XML_BIT(VB_SOUND_ICH9))

static const VbXmlRow sound_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_sound_model), VB_XML_FIELD(VbSound, model),
                         .flags = VB_XML_REQUIRED, .unbuilt = "ich7 virtio"),
        VB_XML_ATTRIBUTE("multichannel", VB_XML_YES_NO, VB_XML_FIELD(VbSound, multichannel),
                         VB_XML_WHEN(VbSound, model, VB_XML_BIT(VB_SOUND_USB))),
        VB_XML_LIST("codec", codec_table, VB_XML_FIELD(VbSound, codecs),
                    VB_XML_WHEN(VbSound, model, WITH_CODECS), .max = 16),
        VB_XML_GROUP("audio", sound_audio_rows),
        DEVICE_ROWS,
        {},
};

const VbXmlTable vb_sound_table = { "sound", sizeof(VbSound), sound_rows };

static const VbXmlRow audio_rows[] = {
        VB_XML_ATTRIBUTE("id", VB_XML_UINT, VB_XML_FIELD(VbAudio, id), .flags = VB_XML_REQUIRED,
                         VB_XML_RANGE(1, INT32_MAX)),
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_audio_type), VB_XML_FIELD(VbAudio, type),
                         .flags = VB_XML_REQUIRED,
                         .unbuilt = "alsa coreaudio jack oss pulseaudio sdl file pipewire"),
        VB_XML_ATTRIBUTE("timerPeriod", VB_XML_UINT, VB_XML_FIELD(VbAudio, timer_period)),
        VB_XML_UNBUILT_ATTRIBUTES("driver dspPolicy exclusive path serverName tryMMap runtimeDir"),
        VB_XML_UNBUILT_ELEMENTS("input output"),
        {},
};

const VbXmlTable vb_audio_table = { "audio", sizeof(VbAudio), audio_rows };
