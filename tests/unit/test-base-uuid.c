/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/uuid.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define UUID_PLAIN "c7a5fdbdedaf9455926ad65c16db1809"

static const struct {
        const char *text;
        const char *expected; /* NULL: refused */
} cases[] = {
        { UUID, UUID },
        { UUID_PLAIN, UUID },
        { "C7A5FDBD-EDAF-9455-926A-D65C16DB1809", UUID },
        { "c7-a5fdbdedaf9455926ad65c16db1809", UUID },
        { "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000" },
        { "", NULL },
        { "-" UUID_PLAIN, NULL },
        { UUID "-", NULL },
        { UUID "0", NULL },
        { "c7a5fdbd--edaf-9455-926a-d65c16db1809", NULL },
        { "c7a5fdbd-edaf-9455-926a-d65c16db180", NULL },
        { "g7a5fdbd-edaf-9455-926a-d65c16db1809", NULL },
        { "c-7a5fdbdedaf9455926ad65c16db1809", NULL },
        { " " UUID, NULL },
};

static void test_parse(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                char text[VB_UUID_STRING_SIZE];
                VbUuid uuid;
                int r = vb_uuid_parse(cases[i].text, &uuid);

                g_test_message("'%s'", cases[i].text);
                g_assert_cmpint(r, ==, cases[i].expected ? 0 : -EINVAL);
                if (cases[i].expected)
                        g_assert_cmpstr(vb_uuid_format(&uuid, text), ==, cases[i].expected);
        }
}

static void test_path(void) {
        char label[VB_UUID_PATH_SIZE];
        VbUuid uuid, again;

        g_assert_cmpint(vb_uuid_parse(UUID, &uuid), ==, 0);
        g_assert_cmpstr(vb_uuid_path_format(&uuid, label), ==, "_c7a5fdbd_edaf_9455_926a_d65c16db1809");
        g_assert_cmpint(vb_uuid_path_parse(label, &again), ==, 0);
        g_assert_true(vb_uuid_equal(&uuid, &again));
        g_assert_cmpuint(vb_uuid_hash(&uuid), ==, vb_uuid_hash(&again));

        g_assert_cmpint(vb_uuid_path_parse("_C7a5fdbd_edaf_9455_926a_d65c16db1809", &again), ==, -EINVAL);
        g_assert_cmpint(vb_uuid_path_parse("_" UUID_PLAIN, &again), ==, -EINVAL);
        g_assert_cmpint(vb_uuid_path_parse("c7a5fdbd_edaf_9455_926a_d65c16db1809", &again), ==, -EINVAL);
        g_assert_cmpint(vb_uuid_path_parse("", &again), ==, -EINVAL);
}

static void test_new(void) {
        VbUuid a = vb_uuid_new(), b = vb_uuid_new(), null = { 0 };

        g_assert_false(vb_uuid_equal(&a, &b));
        g_assert_false(vb_uuid_is_null(&a));
        g_assert_true(vb_uuid_is_null(&null));
        g_assert_cmpint(a.bytes[6] >> 4, ==, 4);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/uuid/parse", test_parse);
        g_test_add_func("/uuid/path", test_path);
        g_test_add_func("/uuid/new", test_new);
        return g_test_run();
}
