/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/keys.h"

#include <linux/input-event-codes.h>

#include "base/error.h"

#define HOLD_DEFAULT_USEC ((uint64_t) 100 * 1000)

/* Up to KEY_F12 without the few below, Linux's codes are the scan codes. */
#define LINUX_SAME_MAX KEY_F12

typedef struct Key {
        uint16_t code;
        uint8_t qnum;
} Key;

/* The rest, sorted by Linux's code. */
static const Key keys[] = {
        { KEY_RO, 0x73 },          { KEY_HENKAN, 0x79 },     { KEY_KATAKANAHIRAGANA, 0x70 }, { KEY_MUHENKAN, 0x7b },
        { KEY_KPENTER, 0x9c },     { KEY_RIGHTCTRL, 0x9d },  { KEY_KPSLASH, 0xb5 },          { KEY_SYSRQ, 0x54 },
        { KEY_RIGHTALT, 0xb8 },    { KEY_HOME, 0xc7 },       { KEY_UP, 0xc8 },               { KEY_PAGEUP, 0xc9 },
        { KEY_LEFT, 0xcb },        { KEY_RIGHT, 0xcd },      { KEY_END, 0xcf },              { KEY_DOWN, 0xd0 },
        { KEY_PAGEDOWN, 0xd1 },    { KEY_INSERT, 0xd2 },     { KEY_DELETE, 0xd3 },           { KEY_MUTE, 0xa0 },
        { KEY_VOLUMEDOWN, 0xae },  { KEY_VOLUMEUP, 0xb0 },   { KEY_POWER, 0xde },            { KEY_KPEQUAL, 0x59 },
        { KEY_PAUSE, 0xc6 },       { KEY_KPCOMMA, 0x7e },    { KEY_YEN, 0x7d },              { KEY_LEFTMETA, 0xdb },
        { KEY_RIGHTMETA, 0xdc },   { KEY_COMPOSE, 0xdd },    { KEY_STOP, 0xe8 },             { KEY_AGAIN, 0x85 },
        { KEY_PROPS, 0x86 },       { KEY_UNDO, 0x87 },       { KEY_FRONT, 0x8c },            { KEY_COPY, 0xf8 },
        { KEY_OPEN, 0x64 },        { KEY_PASTE, 0x65 },      { KEY_FIND, 0xc1 },             { KEY_CUT, 0xbc },
        { KEY_HELP, 0xf5 },        { KEY_MENU, 0x9e },       { KEY_CALC, 0xa1 },             { KEY_SLEEP, 0xdf },
        { KEY_WAKEUP, 0xe3 },      { KEY_MAIL, 0xec },       { KEY_BOOKMARKS, 0xe6 },        { KEY_COMPUTER, 0xeb },
        { KEY_BACK, 0xea },        { KEY_FORWARD, 0xe9 },    { KEY_NEXTSONG, 0x99 },         { KEY_PLAYPAUSE, 0xa2 },
        { KEY_PREVIOUSSONG, 0x90 }, { KEY_STOPCD, 0xa4 },    { KEY_HOMEPAGE, 0xb2 },         { KEY_REFRESH, 0xe7 },
        { KEY_F13, 0x5d },         { KEY_F14, 0x5e },        { KEY_F15, 0x5f },
};

int qemu_key_from_linux(uint32_t code) {
        if (code == KEY_RESERVED)
                return -EINVAL;
        /* 85 is nothing, and 84 is not a Linux key at all. */
        if (code <= LINUX_SAME_MAX)
                return code == 84 || code == KEY_ZENKAKUHANKAKU ? -EINVAL : (int) code;

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i].code == code)
                        return keys[i].qnum;
        return -EINVAL;
}

static int key_check(uint32_t code, bool is_linux, sd_bus_error *reterr) {
        int qnum = is_linux ? qemu_key_from_linux(code) : code > 0 && code <= 0xff ? (int) code : -EINVAL;

        if (qnum < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "key code %u is no key of %s", code,
                                         is_linux ? "a PC keyboard (codes are those of linux/input-event-codes.h)"
                                                  : "QEMU's: 1 to 255");
        return qnum;
}

int qemu_keys_to_arguments(const uint32_t *codes, size_t n_codes, bool linux_codes, uint64_t hold_usec, VbJson **ret,
                           sd_bus_error *reterr) {
        g_autoptr(VbJson) arguments = json_object_new_object();
        VbJson *array = json_object_new_array();

        (void) json_object_object_add(arguments, "keys", array);
        if (n_codes == 0 || n_codes > QEMU_KEYS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%zu keys were given; 1 to %d can be pressed at once",
                                         n_codes, QEMU_KEYS_MAX);

        for (size_t i = 0; i < n_codes; i++) {
                int qnum = key_check(codes[i], linux_codes, reterr);
                VbJson *key;

                if (qnum < 0)
                        return qnum;
                key = json_object_new_object();
                (void) json_object_object_add(key, "type", json_object_new_string("number"));
                (void) json_object_object_add(key, "data", json_object_new_int(qnum));
                (void) json_object_array_add(array, key);
        }

        if (hold_usec == 0)
                hold_usec = HOLD_DEFAULT_USEC;
        (void) json_object_object_add(arguments, "hold-time", json_object_new_uint64((hold_usec + 999) / 1000));
        *ret = g_steal_pointer(&arguments);
        return 0;
}
