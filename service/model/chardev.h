/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Character devices: <serial>, <parallel>, <console>, <channel>; and their host sides, which <redirdev> has,
 * too. */

#include "model/device.h"

typedef enum __attribute__((packed)) VbCharType {
        VB_CHAR_ABSENT,
        VB_CHAR_NULL,
        VB_CHAR_VC,
        VB_CHAR_PTY,
        VB_CHAR_DEV,
        VB_CHAR_FILE,
        VB_CHAR_PIPE,
        VB_CHAR_STDIO,
        VB_CHAR_TCP,
        VB_CHAR_UNIX,
        VB_CHAR_SPICEVMC,
        VB_CHAR_SPICEPORT,
        VB_CHAR_QEMU_VDAGENT,
        VB_CHAR_DBUS,
        VB_CHAR_TYPE_MAX,
} VbCharType;
VB_STRING_TABLE_DECLARE(vb_char_type, VbCharType);

typedef enum __attribute__((packed)) VbCharMode {
        VB_CHAR_MODE_ABSENT,
        VB_CHAR_MODE_CONNECT, /* QEMU connects */
        VB_CHAR_MODE_BIND,    /* QEMU listens */
        VB_CHAR_MODE_MAX,
} VbCharMode;
VB_STRING_TABLE_DECLARE(vb_char_mode, VbCharMode);

typedef enum __attribute__((packed)) VbCharProtocol {
        VB_CHAR_PROTOCOL_ABSENT, /* raw */
        VB_CHAR_PROTOCOL_RAW,
        VB_CHAR_PROTOCOL_TELNET,
        VB_CHAR_PROTOCOL_MAX,
} VbCharProtocol;
VB_STRING_TABLE_DECLARE(vb_char_protocol, VbCharProtocol);

typedef struct VbCharSource {
        VbCharType type;
        VbCharMode mode;         /* tcp, unix */
        VbCharProtocol protocol; /* tcp */
        VbTristate append;       /* file */
        VbTristate log_append;
        VbTristate reconnect;    /* tcp, unix, in mode connect */
        VbTristate clipboard;    /* qemu-vdagent */
        VbTristate mouse;        /* qemu-vdagent: yes is "client", no is "server" */
        uint32_t reconnect_timeout;
        char *path;     /* pty (live), dev, file, pipe, unix; none for unix: the daemon chooses */
        char *host;     /* tcp */
        char *service;  /* tcp: the port */
        char *channel;  /* spiceport, dbus */
        char *log_file;
} VbCharSource;

typedef enum __attribute__((packed)) VbCharTargetType {
        VB_CHAR_TARGET_ABSENT,

        /* <serial> */
        VB_CHAR_TARGET_ISA_SERIAL,
        VB_CHAR_TARGET_USB_SERIAL,
        VB_CHAR_TARGET_PCI_SERIAL,
        VB_CHAR_TARGET_SYSTEM_SERIAL,
        VB_CHAR_TARGET_ISA_DEBUG,

        /* <console> */
        VB_CHAR_TARGET_SERIAL, /* the first serial port, seen once more: no device of its own */
        VB_CHAR_TARGET_VIRTIO, /* of <channel>, too */
        VB_CHAR_TARGET_MAX,
} VbCharTargetType;
VB_STRING_TABLE_DECLARE(vb_char_target_type, VbCharTargetType);

typedef enum __attribute__((packed)) VbCharTargetModel {
        VB_CHAR_MODEL_ABSENT,
        VB_CHAR_MODEL_ISA_SERIAL,
        VB_CHAR_MODEL_USB_SERIAL,
        VB_CHAR_MODEL_PCI_SERIAL,
        VB_CHAR_MODEL_PL011,
        VB_CHAR_MODEL_16550A,
        VB_CHAR_MODEL_ISA_DEBUGCON,
        VB_CHAR_MODEL_MAX,
} VbCharTargetModel;
VB_STRING_TABLE_DECLARE(vb_char_target_model, VbCharTargetModel);

typedef enum __attribute__((packed)) VbChannelState {
        VB_CHANNEL_STATE_ABSENT,
        VB_CHANNEL_STATE_CONNECTED,
        VB_CHANNEL_STATE_DISCONNECTED,
        VB_CHANNEL_STATE_MAX,
} VbChannelState;
VB_STRING_TABLE_DECLARE(vb_channel_state, VbChannelState);

typedef struct VbChardev {
        VbDeviceInfo info;
        VbCharSource source;

        VbCharTargetType target_type;
        VbCharTargetModel target_model; /* serial */
        VbChannelState state;           /* channel, live */
        VbOptUint target_port;
        char *target_name; /* channel: "org.qemu.guest_agent.0" */
} VbChardev;

typedef struct VbRedirdev {
        VbDeviceInfo info;
        VbCharSource source; /* the bus is always usb */
} VbRedirdev;
