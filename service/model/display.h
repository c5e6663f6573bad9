/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a person meets: <graphics>, <video>, <input>, <sound>, <audio>. */

#include "model/device.h"

typedef enum __attribute__((packed)) VbGraphicsType {
        VB_GRAPHICS_ABSENT,
        VB_GRAPHICS_VNC,
        VB_GRAPHICS_SPICE,
        VB_GRAPHICS_EGL_HEADLESS,
        VB_GRAPHICS_DBUS,
        VB_GRAPHICS_TYPE_MAX,
} VbGraphicsType;
VB_STRING_TABLE_DECLARE(vb_graphics_type, VbGraphicsType);

typedef enum __attribute__((packed)) VbListenType {
        VB_LISTEN_ABSENT,
        VB_LISTEN_ADDRESS,
        VB_LISTEN_SOCKET,
        VB_LISTEN_NONE,
        VB_LISTEN_TYPE_MAX,
} VbListenType;
VB_STRING_TABLE_DECLARE(vb_listen_type, VbListenType);

/* Most of them were given as <listen>; a domain without any has one of type address without an address. */
typedef struct VbListen {
        VbListenType type;
        bool short_form; /* only while reading: it was an attribute of <graphics> */
        char *address;
        char *socket;
} VbListen;

typedef enum __attribute__((packed)) VbSharePolicy {
        VB_SHARE_POLICY_ABSENT,
        VB_SHARE_POLICY_ALLOW_EXCLUSIVE,
        VB_SHARE_POLICY_FORCE_SHARED,
        VB_SHARE_POLICY_IGNORE,
        VB_SHARE_POLICY_MAX,
} VbSharePolicy;
VB_STRING_TABLE_DECLARE(vb_share_policy, VbSharePolicy);

/* What happens to a connection when the password changes. */
typedef enum __attribute__((packed)) VbPasswordConnected {
        VB_PASSWORD_CONNECTED_ABSENT,
        VB_PASSWORD_CONNECTED_FAIL,
        VB_PASSWORD_CONNECTED_DISCONNECT,
        VB_PASSWORD_CONNECTED_KEEP,
        VB_PASSWORD_CONNECTED_MAX,
} VbPasswordConnected;
VB_STRING_TABLE_DECLARE(vb_password_connected, VbPasswordConnected);

typedef enum __attribute__((packed)) VbSpiceImageCompression {
        VB_SPICE_IMAGE_ABSENT,
        VB_SPICE_IMAGE_AUTO_GLZ,
        VB_SPICE_IMAGE_AUTO_LZ,
        VB_SPICE_IMAGE_QUIC,
        VB_SPICE_IMAGE_GLZ,
        VB_SPICE_IMAGE_LZ,
        VB_SPICE_IMAGE_OFF,
        VB_SPICE_IMAGE_MAX,
} VbSpiceImageCompression;
VB_STRING_TABLE_DECLARE(vb_spice_image_compression, VbSpiceImageCompression);

typedef enum __attribute__((packed)) VbSpiceLossy {
        VB_SPICE_LOSSY_ABSENT,
        VB_SPICE_LOSSY_AUTO,
        VB_SPICE_LOSSY_NEVER,
        VB_SPICE_LOSSY_ALWAYS,
        VB_SPICE_LOSSY_MAX,
} VbSpiceLossy;
VB_STRING_TABLE_DECLARE(vb_spice_lossy, VbSpiceLossy);

typedef enum __attribute__((packed)) VbSpiceStreaming {
        VB_SPICE_STREAMING_ABSENT,
        VB_SPICE_STREAMING_FILTER,
        VB_SPICE_STREAMING_ALL,
        VB_SPICE_STREAMING_OFF,
        VB_SPICE_STREAMING_MAX,
} VbSpiceStreaming;
VB_STRING_TABLE_DECLARE(vb_spice_streaming, VbSpiceStreaming);

typedef enum __attribute__((packed)) VbSpiceMouse {
        VB_SPICE_MOUSE_ABSENT,
        VB_SPICE_MOUSE_SERVER,
        VB_SPICE_MOUSE_CLIENT,
        VB_SPICE_MOUSE_MAX,
} VbSpiceMouse;
VB_STRING_TABLE_DECLARE(vb_spice_mouse, VbSpiceMouse);

typedef struct VbGraphics {
        VbDeviceInfo info; /* nothing of it is used */

        VbGraphicsType type;
        VbTristate autoport;
        VbSharePolicy share_policy;
        VbPasswordConnected connected;
        VbTristate gl;
        VbTristate p2p; /* dbus: clients come over the monitor, on no bus */

        /* -1: to be chosen at start, 0: none. With autoport, a port that is set is live. */
        int32_t port;
        int32_t tls_port;
        int32_t websocket;

        char *keymap;
        char *password;          /* a secret */
        char *password_valid_to; /* UTC, "2026-11-30T15:51:00" */
        char *dbus_address;
        char *rendernode;
        VB_LIST(VbListen) listens;

        /* spice */
        VbSpiceImageCompression image_compression;
        VbSpiceLossy jpeg_compression;
        VbSpiceLossy zlib_compression;
        VbTristate playback_compression;
        VbSpiceStreaming streaming;
        VbSpiceMouse mouse;
        VbTristate clipboard_copypaste;
        VbTristate filetransfer;
} VbGraphics;

typedef enum __attribute__((packed)) VbVideoModel {
        VB_VIDEO_ABSENT,
        VB_VIDEO_VGA,
        VB_VIDEO_CIRRUS,
        VB_VIDEO_VMVGA,
        VB_VIDEO_QXL,
        VB_VIDEO_VIRTIO,
        VB_VIDEO_NONE,
        VB_VIDEO_BOCHS,
        VB_VIDEO_RAMFB,
        VB_VIDEO_MODEL_MAX,
} VbVideoModel;
VB_STRING_TABLE_DECLARE(vb_video_model, VbVideoModel);

typedef enum __attribute__((packed)) VbVideoVgaconf {
        VB_VIDEO_VGACONF_ABSENT,
        VB_VIDEO_VGACONF_IO,
        VB_VIDEO_VGACONF_ON,
        VB_VIDEO_VGACONF_OFF,
        VB_VIDEO_VGACONF_MAX,
} VbVideoVgaconf;
VB_STRING_TABLE_DECLARE(vb_video_vgaconf, VbVideoVgaconf);

typedef struct VbVideo {
        VbDeviceInfo info;

        VbVideoModel model;
        VbTristate primary; /* yes of exactly one, the first unless another is told so */
        VbTristate acceleration_3d;
        VbTristate acceleration_2d;
        VbTristate blob;
        VbVideoVgaconf vgaconf;
        uint32_t heads;
        /* KiB; 0: not given */
        uint32_t ram;
        uint32_t vram;
        uint32_t vram64;
        uint32_t vgamem;
        uint32_t resolution_x;
        uint32_t resolution_y;
        char *rendernode;
        VbVirtioOptions virtio;
} VbVideo;

typedef enum __attribute__((packed)) VbInputType {
        VB_INPUT_ABSENT,
        VB_INPUT_MOUSE,
        VB_INPUT_TABLET,
        VB_INPUT_KEYBOARD,
        VB_INPUT_TYPE_MAX,
} VbInputType;
VB_STRING_TABLE_DECLARE(vb_input_type, VbInputType);

typedef enum __attribute__((packed)) VbInputBus {
        VB_INPUT_BUS_ABSENT, /* never after completion */
        VB_INPUT_BUS_PS2,
        VB_INPUT_BUS_USB,
        VB_INPUT_BUS_VIRTIO,
        VB_INPUT_BUS_MAX,
} VbInputBus;
VB_STRING_TABLE_DECLARE(vb_input_bus, VbInputBus);

/* Of all virtio devices that have nothing more to choose than this. */
typedef enum __attribute__((packed)) VbVirtioModel {
        VB_VIRTIO_MODEL_ABSENT,
        VB_VIRTIO_MODEL_VIRTIO,
        VB_VIRTIO_MODEL_TRANSITIONAL,
        VB_VIRTIO_MODEL_NON_TRANSITIONAL,
        VB_VIRTIO_MODEL_MAX,
} VbVirtioModel;
VB_STRING_TABLE_DECLARE(vb_virtio_model, VbVirtioModel);

typedef struct VbInput {
        VbDeviceInfo info;

        VbInputType type;
        VbInputBus bus;
        VbVirtioModel model;
        VbVirtioOptions virtio;
} VbInput;

typedef enum __attribute__((packed)) VbSoundModel {
        VB_SOUND_ABSENT,
        VB_SOUND_SB16,
        VB_SOUND_ES1370,
        VB_SOUND_PCSPK,
        VB_SOUND_AC97,
        VB_SOUND_ICH6,
        VB_SOUND_ICH9,
        VB_SOUND_USB,
        VB_SOUND_MODEL_MAX,
} VbSoundModel;
VB_STRING_TABLE_DECLARE(vb_sound_model, VbSoundModel);

typedef enum __attribute__((packed)) VbSoundCodecType {
        VB_SOUND_CODEC_ABSENT,
        VB_SOUND_CODEC_DUPLEX,
        VB_SOUND_CODEC_MICRO,
        VB_SOUND_CODEC_OUTPUT,
        VB_SOUND_CODEC_TYPE_MAX,
} VbSoundCodecType;
VB_STRING_TABLE_DECLARE(vb_sound_codec_type, VbSoundCodecType);

typedef struct VbSoundCodec {
        VbSoundCodecType type;
} VbSoundCodec;

typedef struct VbSound {
        VbDeviceInfo info;

        VbSoundModel model;
        VbTristate multichannel; /* usb */
        uint32_t audio_id;       /* 0: the first <audio> */
        VB_LIST(VbSoundCodec) codecs;
} VbSound;

typedef enum __attribute__((packed)) VbAudioType {
        VB_AUDIO_ABSENT,
        VB_AUDIO_NONE,
        VB_AUDIO_SPICE,
        VB_AUDIO_DBUS,
        VB_AUDIO_TYPE_MAX,
} VbAudioType;
VB_STRING_TABLE_DECLARE(vb_audio_type, VbAudioType);

typedef struct VbAudio {
        uint32_t id; /* from 1 */
        VbAudioType type;
        uint32_t timer_period; /* 0: not given */
} VbAudio;
