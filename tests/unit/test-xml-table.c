/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table engine, by a format of its own. */

#include <string.h>

#include "base/error.h"
#include "xml/table.h"

typedef enum __attribute__((packed)) Kind {
        KIND_ABSENT,
        KIND_BALL,
        KIND_BOX,
        KIND_MAX,
} Kind;

VB_STRING_TABLE_DECLARE(kind, Kind);
VB_STRING_TABLE(kind, Kind, KIND_MAX, [KIND_BALL] = "ball", [KIND_BOX] = "box")

typedef struct Part {
        char *name;
        VbOptUint weight;
} Part;

typedef struct Toy {
        Kind kind;
        VbTristate soft;
        bool broken;
        uint32_t radius;
        uint32_t edge;
        uint64_t price;
        char *owner;
        char *secret;
        char *place;
        char *notes;
        char *private;
        Part *handle;
        VB_LIST(Part) parts;
} Toy;

#define F(field) VB_XML_FIELD(Toy, field)

static const VbXmlRow part_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_STRING, VB_XML_FIELD(Part, name), .flags = VB_XML_REQUIRED, .max = 8),
        VB_XML_ATTRIBUTE("weight", VB_XML_OPT_UINT, VB_XML_FIELD(Part, weight), VB_XML_RANGE(0, 100)),
        {},
};

static int part_finish(void *item, VbXmlReader *reader) {
        const Part *part = item;

        return g_str_equal(part->name, "bad")
                       ? vb_xml_fail(reader, VB_ERROR_INVALID_XML, "part '%s'", part->name)
                       : 0;
}

static const VbXmlTable part_table = { "part", sizeof(Part), part_rows, part_finish };

static const VbXmlRow size_rows[] = {
        VB_XML_ATTRIBUTE("radius", VB_XML_UINT, F(radius), VB_XML_WHEN(Toy, kind, VB_XML_BIT(KIND_BALL))),
        VB_XML_ATTRIBUTE("edge", VB_XML_UINT, F(edge), VB_XML_WHEN(Toy, kind, VB_XML_BIT(KIND_BOX)),
                         .flags = VB_XML_HEXADECIMAL, .digits = 4),
        {},
};

static const VbXmlRow feel_rows[] = {
        VB_XML_ATTRIBUTE("soft", VB_XML_YES_NO, F(soft), .fallback = "yes"),
        {},
};

static const VbXmlRow toy_rows[] = {
        VB_XML_ATTRIBUTE("kind", VB_XML_ENUM(kind), F(kind), .flags = VB_XML_REQUIRED, .unbuilt = "kite drone"),
        VB_XML_ATTRIBUTE("secret", VB_XML_STRING, F(secret), .flags = VB_XML_SECRET),
        VB_XML_VALUE("owner", VB_XML_STRING, F(owner), .flags = VB_XML_NOT_MIGRATABLE),
        VB_XML_GROUP("size", size_rows),
        VB_XML_GROUP("feel", feel_rows),
        VB_XML_FLAG("broken", F(broken)),
        VB_XML_SIZE("price", F(price)),
        VB_XML_VALUE("place", VB_XML_STRING, F(place), .flags = VB_XML_LIVE_ONLY),
        VB_XML_VALUE("private", VB_XML_STRING, F(private), .flags = VB_XML_PRIVATE_ONLY),
        VB_XML_RAW("notes", F(notes)),
        VB_XML_SINGLE("handle", part_table, F(handle)),
        VB_XML_LIST("part", part_table, F(parts), .max = 2),
        VB_XML_UNBUILT_ELEMENTS("wing motor"),
        VB_XML_UNBUILT_ATTRIBUTES("speed"),
        {},
};

static const VbXmlTable toy_table = { "toy", sizeof(Toy), toy_rows };

static const char full[] =
        "<toy kind='box' secret='a&amp;b'>\n"
        "  <owner>&lt;Kim&gt;</owner>\n"
        "  <size edge='0x00ff'/>\n"
        "  <feel soft='no'/>\n"
        "  <broken/>\n"
        "  <price unit='KiB'>2048</price>\n"
        "  <place>shelf</place>\n"
        "  <private>diary</private>\n"
        "  <notes>\n"
        "    <n:a xmlns:n=\"http://example.com/\">x</n:a>\n"
        "  </notes>\n"
        "  <handle name='grip'/>\n"
        "  <part name='lid' weight='0'/>\n"
        "  <part name='base' weight='7'/>\n"
        "</toy>\n";

#define ALL (VB_XML_SECURE | VB_XML_LIVE | VB_XML_PRIVATE)

static Toy *read_toy(const char *text, VbXmlMode mode) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        void *toy = NULL;

        if (vb_xml_parse(&toy_table, text, strlen(text), mode, &toy, &error) < 0)
                g_error("%s", error.message);
        return toy;
}

static void test_round(void) {
        Toy *toy = read_toy(full, ALL | VB_XML_VALIDATE), *copy = vb_xml_copy(&toy_table, toy);
        g_autofree char *text = vb_xml_format(&toy_table, toy, ALL),
                        *copied = vb_xml_format(&toy_table, copy, ALL);

        g_assert_cmpstr(text, ==, full);
        g_assert_cmpstr(copied, ==, full);
        g_assert_true(copy->owner != toy->owner && copy->handle != toy->handle &&
                      copy->parts.items != toy->parts.items);
        g_assert_true(toy->parts.items[0]->weight.set);
        g_assert_cmpuint(toy->edge, ==, 255);
        vb_xml_free(&toy_table, toy);
        vb_xml_free(&toy_table, copy);
}

typedef struct Shown {
        VbXmlMode read, write;
        const char *there;
        const char *not_there;
} Shown;

/* What each mode takes and shows. */
static void test_modes(void) {
        static const Shown rows[] = {
                { ALL, ALL & ~VB_XML_SECURE, "diary", "secret" },
                { ALL, ALL & ~VB_XML_LIVE, "secret", "shelf" },
                { ALL, ALL & ~VB_XML_PRIVATE, "shelf", "diary" },
                { ALL, ALL | VB_XML_MIGRATABLE, "shelf", "Kim" },
                { ALL & ~VB_XML_LIVE, ALL, "diary", "shelf" },
                { ALL & ~VB_XML_PRIVATE, ALL, "shelf", "diary" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Toy *toy = read_toy(full, rows[i].read);
                g_autofree char *text = vb_xml_format(&toy_table, toy, rows[i].write);

                g_test_message("row %zu", i);
                g_assert_nonnull(strstr(text, rows[i].there));
                g_assert_null(strstr(text, rows[i].not_there));
                vb_xml_free(&toy_table, toy);
        }
}

/* What is read from text that leaves things out, or says them in another way. */
static void test_readings(void) {
        static const struct {
                const char *text, *result;
        } rows[] = {
                { "<toy kind='ball'/>", "<toy kind='ball'/>\n" },
                { "<toy kind='ball'><size/></toy>", "<toy kind='ball'/>\n" },
                { "<toy kind='ball'><feel/></toy>", "<toy kind='ball'>\n  <feel soft='yes'/>\n</toy>\n" },
                { "<toy kind='ball'><size edge='1' radius='2'/></toy>",
                  "<toy kind='ball'>\n  <size radius='2'/>\n</toy>\n" },
                { "<toy kind='ball'><size radius=' 2 '/></toy>",
                  "<toy kind='ball'>\n  <size radius='2'/>\n</toy>\n" },
                { "<toy kind='box'><size edge='16'/></toy>",
                  "<toy kind='box'>\n  <size edge='0x0010'/>\n</toy>\n" },
                { "<toy kind='ball'><price unit='MiB'>3</price></toy>",
                  "<toy kind='ball'>\n  <price unit='KiB'>3072</price>\n</toy>\n" },
                { "<toy kind='ball'><price unit='b'>1</price></toy>",
                  "<toy kind='ball'>\n  <price unit='KiB'>1</price>\n</toy>\n" },
                { "<toy kind='ball'><price unit='MB'>1</price></toy>",
                  "<toy kind='ball'>\n  <price unit='KiB'>977</price>\n</toy>\n" },
                { "<toy kind='ball'><owner><![CDATA[<x>]]>y</owner></toy>",
                  "<toy kind='ball'>\n  <owner>&lt;x&gt;y</owner>\n</toy>\n" },
                { "<toy kind='ball' secret='a&#10;b&#9;c'/>", "<toy kind='ball' secret='a&#10;b&#9;c'/>\n" },
                { "<toy kind='ball'><!-- remark --><?do it?><broken/></toy>",
                  "<toy kind='ball'>\n  <broken/>\n</toy>\n" },
                { "<toy kind='ball'><x:broken xmlns:x='http://a/'/></toy>", "<toy kind='ball'/>\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Toy *toy = read_toy(rows[i].text, ALL);
                g_autofree char *text = vb_xml_format(&toy_table, toy, ALL);

                g_test_message("row %zu", i);
                g_assert_cmpstr(text, ==, rows[i].result);
                vb_xml_free(&toy_table, toy);
        }
}

static void test_refusals(void) {
        static const struct {
                const char *text, *message;
        } rows[] = {
                { "<toy/>", "line 1: <toy kind>: this attribute is missing" },
                { "<toy kind='top'/>", "line 1: <toy kind='top'>: not one of ball, box" },
                { "<toy kind='drone'/>", "line 1: <toy kind='drone'>: not supported by virtbus yet" },
                { "<toy kind='dro'/>", "line 1: <toy kind='dro'>: not one of ball, box" },
                { "<toy kind='ball'>\n<wing/>\n</toy>", "line 2: <wing>: not supported by virtbus yet" },
                { "<toy kind='ball' speed='9'/>", "line 1: <toy speed='9'>: not supported by virtbus yet" },
                { "<toy kind='ball'>\n<part/>\n</toy>", "line 2: <part name>: this attribute is missing" },
                { "<toy kind='ball'>\n<part name='123456789'/>\n</toy>",
                  "line 2: <part name='123456789'>: longer than 8 bytes" },
                { "<toy kind='ball'>\n<part name='a' weight='101'/>\n</toy>",
                  "line 2: <part weight='101'>: not a number from 0 to 100" },
                { "<toy kind='ball'>\n<part name='bad'>\n<x/></part>\n</toy>", "line 2: <part>: part 'bad'" },
                { "<toy kind='ball'>\n<part name='a'/><part name='b'/>\n<part name='c'/>\n</toy>",
                  "line 3: <part>: more than 2 of them" },
                { "<toy kind='ball'>\n<feel soft='maybe'/>\n</toy>",
                  "line 2: <feel soft='maybe'>: not one of yes, no" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                void *toy = NULL;

                g_assert_cmpint(
                        vb_xml_parse(&toy_table, rows[i].text, strlen(rows[i].text), ALL, &toy, &error), <,
                        0);
                g_assert_cmpstr(error.message, ==, rows[i].message);
                g_assert_null(toy);
        }
}

/* A secret must not come back in the complaint about it. */
static void test_secret_in_error(void) {
        g_autofree char *value = g_strnfill(VB_XML_STRING_MAX + 1, 'x'),
                        *text = g_strdup_printf("<toy kind='ball' secret='%s'/>", value);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        void *toy = NULL;

        g_assert_cmpint(vb_xml_parse(&toy_table, text, strlen(text), ALL, &toy, &error), <, 0);
        g_assert_cmpstr(error.message, ==, "line 1: <toy secret>: longer than 4096 bytes");
}

static void test_verify(void) {
        vb_xml_table_verify(&toy_table);
}

static void test_reference(void) {
        g_autofree char *text = vb_xml_reference(&toy_table);

        g_assert_nonnull(strstr(text, "\n  - `kind=`: `ball`, `box`; required; not yet: kite drone\n"));
        g_assert_nonnull(strstr(text, "\n    - `weight=`: number, 0 to 100\n"));
        g_assert_nonnull(strstr(text, "\n  - elements not supported yet: wing motor\n"));
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xml/table/verify", test_verify);
        g_test_add_func("/xml/table/round", test_round);
        g_test_add_func("/xml/table/modes", test_modes);
        g_test_add_func("/xml/table/readings", test_readings);
        g_test_add_func("/xml/table/refusals", test_refusals);
        g_test_add_func("/xml/table/secret-in-error", test_secret_in_error);
        g_test_add_func("/xml/table/reference", test_reference);
        return g_test_run();
}
