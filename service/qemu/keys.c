/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/keys.h"

#include <errno.h>

#include "base/error.h"

#define HOLD_DEFAULT_USEC ((uint64_t) 100 * 1000)
#define NONE UINT16_MAX

VB_STRING_TABLE(qemu_keyset, QemuKeyset, _QEMU_KEYSET_MAX,
                [QEMU_KEYSET_LINUX] = "linux",
                [QEMU_KEYSET_QNUM] = "qnum",
                [QEMU_KEYSET_XT] = "xt",
                [QEMU_KEYSET_ATSET1] = "atset1",
                [QEMU_KEYSET_XT_KBD] = "xt-kbd",
                [QEMU_KEYSET_ATSET2] = "atset2",
                [QEMU_KEYSET_ATSET3] = "atset3",
                [QEMU_KEYSET_OSX] = "osx",
                [QEMU_KEYSET_USB] = "usb",
                [QEMU_KEYSET_WIN32] = "win32")

typedef struct Key {
        uint16_t linux_code, atset1, atset2, atset3, osx, usb, win32;
} Key;

static const Key keys[] = {
#include "qemu/keys-table.inc" /* made of keys.tsv */
};

#define PREFIX 0xe000
#define SCAN_CODE 0x7f

/* Of the few codes that are neither below 0x80 nor prefixed (two keys of Korean keyboards), the lower bits, too. */
static int qnum_of(const Key *key) {
        return (key->atset1 & SCAN_CODE) | ((key->atset1 & 0xff00) == PREFIX ? 0x80 : 0);
}

static uint16_t code_of(const Key *key, QemuKeyset set) {
        switch (set) {
        case QEMU_KEYSET_LINUX: return key->linux_code;
        case QEMU_KEYSET_XT:
        case QEMU_KEYSET_ATSET1: return key->atset1;
        case QEMU_KEYSET_ATSET2: return key->atset2;
        case QEMU_KEYSET_ATSET3: return key->atset3;
        case QEMU_KEYSET_OSX: return key->osx;
        case QEMU_KEYSET_USB: return key->usb;
        case QEMU_KEYSET_WIN32: return key->win32;
        case QEMU_KEYSET_XT_KBD: return (key->atset1 & 0xff00) == PREFIX ? 0x100 | (key->atset1 & SCAN_CODE) : key->atset1;
        default: return NONE;
        }
}

int qemu_key_to_qnum(QemuKeyset set, uint32_t code) {
        if (set == QEMU_KEYSET_QNUM)
                return code > 0 && code <= 0xff ? (int) code : -EINVAL;
        for (size_t i = 0; code < NONE && i < G_N_ELEMENTS(keys); i++)
                if (code_of(&keys[i], set) == code)
                        return qnum_of(&keys[i]);
        return -EINVAL;
}

int qemu_keys_to_arguments(const uint32_t *codes, size_t n_codes, QemuKeyset set, uint64_t hold_usec, VbJson **ret,
                           sd_bus_error *reterr) {
        g_autoptr(VbJson) arguments = json_object_new_object();
        VbJson *array = json_object_new_array();

        (void) json_object_object_add(arguments, "keys", array);
        if (n_codes == 0 || n_codes > QEMU_KEYS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%zu keys were given; 1 to %d can be pressed at once",
                                         n_codes, QEMU_KEYS_MAX);

        for (size_t i = 0; i < n_codes; i++) {
                int qnum = qemu_key_to_qnum(set, codes[i]);
                VbJson *key;

                if (qnum < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "key code %u is no key of the code set '%s'", codes[i],
                                                 qemu_keyset_to_string(set));
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
