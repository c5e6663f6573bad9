/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/keys.h"

#include <linux/input-event-codes.h>

#include "base/error.h"

typedef struct KeyCase {
        const char *name;
        QemuKeyset set;
        uint32_t code;
        int qnum;
} KeyCase;

#define NO_KEY (-EINVAL)

static const KeyCase cases[] = {
        { "linux-a", QEMU_KEYSET_LINUX, KEY_A, 0x1e },
        { "linux-right-ctrl", QEMU_KEYSET_LINUX, KEY_RIGHTCTRL, 0x9d },
        { "linux-delete", QEMU_KEYSET_LINUX, KEY_DELETE, 0xd3 },
        { "linux-sysrq", QEMU_KEYSET_LINUX, KEY_SYSRQ, 0x54 },
        { "linux-pause", QEMU_KEYSET_LINUX, KEY_PAUSE, 0xc6 },
        { "linux-hangeul", QEMU_KEYSET_LINUX, KEY_HANGEUL, 0x72 },
        { "linux-reserved", QEMU_KEYSET_LINUX, KEY_RESERVED, NO_KEY },
        { "linux-84", QEMU_KEYSET_LINUX, 84, NO_KEY },
        { "linux-button", QEMU_KEYSET_LINUX, BTN_LEFT, NO_KEY },
        { "linux-large", QEMU_KEYSET_LINUX, UINT32_MAX, NO_KEY },
        { "linux-absent", QEMU_KEYSET_LINUX, UINT16_MAX, NO_KEY },
        { "qnum", QEMU_KEYSET_QNUM, 0xff, 0xff },
        { "qnum-0", QEMU_KEYSET_QNUM, 0, NO_KEY },
        { "qnum-256", QEMU_KEYSET_QNUM, 256, NO_KEY },
        { "xt-a", QEMU_KEYSET_XT, 0x1e, 0x1e },
        { "xt-right-ctrl", QEMU_KEYSET_XT, 0xe01d, 0x9d },
        { "xt-kbd-prefixed", QEMU_KEYSET_XT_KBD, 0xe01d, NO_KEY },
        { "atset1-right-ctrl", QEMU_KEYSET_ATSET1, 0xe01d, 0x9d },
        { "atset1-up", QEMU_KEYSET_ATSET1, 0xe048, 0xc8 },
        { "xt-kbd-up", QEMU_KEYSET_XT_KBD, 0x148, 0xc8 },
        { "atset2-a", QEMU_KEYSET_ATSET2, 0x1c, 0x1e },
        { "atset2-up", QEMU_KEYSET_ATSET2, 0xe075, 0xc8 },
        { "atset3-a", QEMU_KEYSET_ATSET3, 0x1c, 0x1e },
        { "atset3-up", QEMU_KEYSET_ATSET3, 0x63, 0xc8 },
        { "osx-a", QEMU_KEYSET_OSX, 0x00, 0x1e },
        { "osx-return", QEMU_KEYSET_OSX, 0x24, 0x1c },
        { "usb-a", QEMU_KEYSET_USB, 4, 0x1e },
        { "usb-enter", QEMU_KEYSET_USB, 40, 0x1c },
        { "usb-right-ctrl", QEMU_KEYSET_USB, 228, 0x9d },
        { "usb-0", QEMU_KEYSET_USB, 0, NO_KEY },
        { "win32-a", QEMU_KEYSET_WIN32, 'A', 0x1e },
        { "win32-return", QEMU_KEYSET_WIN32, 0x0d, 0x1c },
        { "win32-f12", QEMU_KEYSET_WIN32, 0x7b, 0x58 },
};

static void test_case(gconstpointer data) {
        const KeyCase *c = data;

        g_assert_cmpint(qemu_key_to_qnum(c->set, c->code), ==, c->qnum);
}

static void test_arguments(void) {
        const uint32_t codes[] = { 224, 226, 76 }, many[QEMU_KEYS_MAX + 1] = { 0 };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbJson) arguments = NULL;

        g_assert_cmpint(qemu_keys_to_arguments(codes, G_N_ELEMENTS(codes), QEMU_KEYSET_USB, 0, &arguments, &error), ==, 0);
        g_assert_cmpstr(json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN), ==,
                        "{\"keys\":[{\"type\":\"number\",\"data\":29},{\"type\":\"number\",\"data\":56},"
                        "{\"type\":\"number\",\"data\":211}],\"hold-time\":100}");
        g_assert_cmpint(qemu_keys_to_arguments(codes, 1, QEMU_KEYSET_ATSET3, 0, &arguments, &error), <, 0);
        g_assert_cmpstr(error.message, ==, "key code 224 is no key of the code set 'atset3'");
        sd_bus_error_free(&error);
        g_assert_cmpint(qemu_keys_to_arguments(many, G_N_ELEMENTS(many), QEMU_KEYSET_OSX, 0, &arguments, &error), <, 0);
        g_assert_cmpstr(error.message, ==, "17 keys were given; 1 to 16 can be pressed at once");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *path = g_strdup_printf("/qemu/keys/%s", cases[i].name);

                g_test_add_data_func(path, &cases[i], test_case);
        }
        g_test_add_func("/qemu/keys/arguments", test_arguments);
        return g_test_run();
}
