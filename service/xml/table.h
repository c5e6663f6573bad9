/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* XML to structs and back, by tables.
 *
 * A VbXmlTable describes a struct and the element it comes from. Each of its rows describes one attribute or
 * child element: its name, what values it may have, and where in the struct it is stored. Reading, checking,
 * formatting, copying, freeing and the reference in docs/ all walk the same rows, so that what can be read
 * can be written, and is documented.
 *
 *     #define F(field) VB_XML_FIELD(VbRng, field)
 *     static const VbXmlRow rng_rows[] = {
 *             VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_virtio_model), F(model), VB_XML_NEEDED),
 *             VB_XML_GROUP("rate", rng_rate_rows),
 *             {},
 *     };
 *     const VbXmlTable vb_rng_table = { "rng", sizeof(VbRng), rng_rows };
 *
 * Rows stand in the order in which they are formatted. An attribute's row may depend on one that stands
 * before it (VB_XML_WHEN), wherever in the document the two are. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/string-table.h"
#include "xml/types.h"

/* Limits on a document, before its meaning is looked at. */
#define VB_XML_SIZE_MAX (2U * 1024 * 1024)
#define VB_XML_DEPTH_MAX 64U
#define VB_XML_ELEMENTS_MAX 65536U
#define VB_XML_ATTRIBUTES_MAX 64U /* of one element */
#define VB_XML_STRING_MAX 4096U   /* unless a row says otherwise */
#define VB_XML_LIST_MAX 1024U     /* items of one list */

typedef struct VbXmlRow VbXmlRow;
typedef struct VbXmlTable VbXmlTable;
typedef struct VbXmlReader VbXmlReader; /* a document being read; for finish functions to complain to */

/* What a caller asks of reading or formatting. */
typedef enum VbXmlMode {
        VB_XML_VALIDATE = 1 << 0,   /* reading: refuse what no row knows */
        VB_XML_LIVE = 1 << 1,       /* with VB_XML_LIVE_ONLY rows */
        VB_XML_PRIVATE = 1 << 2,    /* with VB_XML_PRIVATE_ONLY rows */
        VB_XML_SECURE = 1 << 3,     /* formatting: with VB_XML_SECRET rows */
        VB_XML_MIGRATABLE = 1 << 4, /* formatting: without VB_XML_NOT_MIGRATABLE rows */
} VbXmlMode;

typedef enum VbXmlRowFlags {
        VB_XML_REQUIRED = 1 << 0,
        VB_XML_SECRET = 1 << 1,
        VB_XML_LIVE_ONLY = 1 << 2,
        VB_XML_PRIVATE_ONLY = 1 << 3,
        VB_XML_NOT_MIGRATABLE = 1 << 4,
        VB_XML_SHOWN_ALWAYS = 1 << 5, /* formatted even when it is empty or zero */
        VB_XML_HEXADECIMAL = 1 << 6,  /* formatted as 0x… in digits digits; read in either base */
        VB_XML_READ_ONLY = 1 << 7,    /* read, but never formatted: an old way to say something */
} VbXmlRowFlags;

typedef enum VbXmlKind {
        VB_XML_KIND_END,
        VB_XML_KIND_ATTRIBUTE, /* name='value' */
        VB_XML_KIND_TEXT, /* the text of the element whose row this is */
        VB_XML_KIND_VALUE, /* <name>value</name> */
        VB_XML_KIND_SIZE, /* <name unit='KiB'>value</name> */
        VB_XML_KIND_FLAG, /* <name/>: a bool; may have attributes of its own (children) */
        VB_XML_KIND_GROUP, /* <name …>…</name> whose rows (children) store into the same struct */
        VB_XML_KIND_SINGLE, /* <name …>…</name> with a struct (table) of its own, NULL when absent */
        VB_XML_KIND_LIST, /* any number of such: a VB_LIST */
        VB_XML_KIND_RAW, /* <name>…</name> kept as text */
        VB_XML_KIND_NAMESPACE, /* xmlns:name='uri', formatted where the field is not all zeros */
        VB_XML_KIND_UNBUILT_ATTRIBUTES, /* names (words, with spaces between) that libvirt knows and we do not
                                           yet */
        VB_XML_KIND_UNBUILT_ELEMENTS,
} VbXmlKind;

/* How a value is written as text. All work on the field; base is the struct around it. */
typedef struct VbXmlType {
        const char *name; /* for people: "on or off" */
        size_t size;      /* of the field; 0: any */

        /* Stores what text says. Returns -EINVAL and, in *ret_why, what would have been right ("not a
         * number"); the caller frees that. */
        int (*parse)(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why);
        bool (*is_set)(const VbXmlRow *row, VbXmlMode mode, const void *field);
        /* Appends the value as plain text; the caller escapes. */
        void (*format)(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out);

        bool owned; /* the field is a char* that belongs to the struct */
} VbXmlType;

struct VbXmlRow {
        VbXmlKind kind;
        const char *name;
        const VbXmlType *type;
        size_t offset;
        size_t size; /* of the field */
        VbXmlRowFlags flags;

        const VbStringTable *words; /* enumerations */
        const char *unbuilt;        /* words that libvirt knows here and we do not yet */
        uint64_t words_mask;        /* the values of the enumeration that are allowed here; 0: all */
        int64_t min;                /* numbers; min and max 0: whatever fits */
        uint64_t max;               /* numbers; of strings the bytes, of lists the items */
        unsigned digits;            /* VB_XML_HEXADECIMAL */
        const char *fallback;       /* attributes: taken where the element is there without it */

        const char *unit; /* sizes: that of a number without one, and the one it is stored and shown in */
        const char *namespace_uri;  /* of elements outside libvirt's own (which has none) */
        const VbXmlRow
                *children; /* groups and flags; of sizes the attributes known, if there are more than unit */
        const VbXmlTable *table;    /* single ones and lists */

        /* The row counts only where the enumeration (one byte) at when_offset has one of the values of
         * when_mask. */
        uint64_t when_mask;
        size_t when_offset;

        const char *note; /* for the reference */
};

struct VbXmlTable {
        const char *name;
        size_t size; /* of the struct; it begins as zeros */
        const VbXmlRow *rows;

        /* Called when all rows of an element have been read: sets defaults that depend on several, and
         * refuses what does not go together, by vb_xml_fail(). */
        int (*finish)(void *item, VbXmlReader *reader);
};

#define VB_XML_FIELD(Type, field) .offset = offsetof(Type, field), .size = sizeof(((Type *) NULL)->field)

#define VB_XML_ATTRIBUTE(n, ...) { .kind = VB_XML_KIND_ATTRIBUTE, .name = (n), __VA_ARGS__ }
#define VB_XML_TEXT(...) { .kind = VB_XML_KIND_TEXT, .name = "", __VA_ARGS__ }
#define VB_XML_VALUE(n, ...) { .kind = VB_XML_KIND_VALUE, .name = (n), __VA_ARGS__ }
#define VB_XML_SIZE(n, ...) \
        { .kind = VB_XML_KIND_SIZE, .name = (n), .type = &vb_xml_type_uint64, .unit = "KiB", __VA_ARGS__ }
#define VB_XML_FLAG(n, ...) { .kind = VB_XML_KIND_FLAG, .name = (n), __VA_ARGS__ }
#define VB_XML_GROUP(n, rows_, ...) \
        { .kind = VB_XML_KIND_GROUP, .name = (n), .children = (rows_), ##__VA_ARGS__ }
#define VB_XML_SINGLE(n, table_, ...) \
        { .kind = VB_XML_KIND_SINGLE, .name = (n), .table = &(table_), __VA_ARGS__ }
#define VB_XML_LIST(n, table_, ...) { .kind = VB_XML_KIND_LIST, .name = (n), .table = &(table_), __VA_ARGS__ }
#define VB_XML_RAW(n, ...) \
        { .kind = VB_XML_KIND_RAW, .name = (n), .type = &vb_xml_type_string, __VA_ARGS__ }
#define VB_XML_NAMESPACE(n, uri, ...) \
        { .kind = VB_XML_KIND_NAMESPACE, .name = (n), .namespace_uri = (uri), __VA_ARGS__ }
#define VB_XML_UNBUILT_ATTRIBUTES(names) { .kind = VB_XML_KIND_UNBUILT_ATTRIBUTES, .name = (names) }
#define VB_XML_UNBUILT_ELEMENTS(names) { .kind = VB_XML_KIND_UNBUILT_ELEMENTS, .name = (names) }

/* Among the children of a VB_XML_SIZE. */
#define VB_XML_UNIT_ATTRIBUTE { .kind = VB_XML_KIND_ATTRIBUTE, .name = "unit" }

#define VB_XML_STRING .type = &vb_xml_type_string
#define VB_XML_ENUM(prefix) .type = &vb_xml_type_enum, .words = &prefix##_table
#define VB_XML_ON_OFF .type = &vb_xml_type_on_off
#define VB_XML_YES_NO .type = &vb_xml_type_yes_no
#define VB_XML_UINT .type = &vb_xml_type_uint
#define VB_XML_UINT8 .type = &vb_xml_type_uint8
#define VB_XML_UINT64 .type = &vb_xml_type_uint64
#define VB_XML_INT64 .type = &vb_xml_type_int64
#define VB_XML_OPT_UINT .type = &vb_xml_type_opt_uint
#define VB_XML_OPT_INT .type = &vb_xml_type_opt_int
#define VB_XML_MAC .type = &vb_xml_type_mac
#define VB_XML_UUID .type = &vb_xml_type_uuid

#define VB_XML_RANGE(min_, max_) .min = (min_), .max = (max_)
#define VB_XML_BIT(value) (UINT64_C(1) << (value))
#define VB_XML_WHEN(Type, field, mask) .when_offset = offsetof(Type, field), .when_mask = (mask)

extern const VbXmlType vb_xml_type_string;   /* char * */
extern const VbXmlType vb_xml_type_enum;     /* a packed enumeration of at most 64 values */
extern const VbXmlType vb_xml_type_on_off;   /* VbTristate */
extern const VbXmlType vb_xml_type_yes_no;   /* VbTristate */
extern const VbXmlType vb_xml_type_uint;     /* uint32_t, 0 is absent */
extern const VbXmlType vb_xml_type_uint8;    /* uint8_t, 0 is absent */
extern const VbXmlType vb_xml_type_uint64;   /* uint64_t, 0 is absent */
extern const VbXmlType vb_xml_type_int64;    /* int64_t, 0 is absent */
extern const VbXmlType vb_xml_type_opt_uint; /* VbOptUint */
extern const VbXmlType vb_xml_type_opt_int;  /* VbOptInt */
extern const VbXmlType vb_xml_type_mac;      /* VbMac */
extern const VbXmlType vb_xml_type_uuid;     /* sd_id128_t, zeros are absent */

/* The functions of some of them, for types that differ from them in one only. */
int vb_xml_string_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why);
bool vb_xml_string_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field);
void vb_xml_string_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out);
int vb_xml_enum_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why);
void vb_xml_enum_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out);
int vb_xml_yes_no_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why);
void vb_xml_yes_no_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out);

/* Reads a document whose root element is table->name. Fails with InvalidXML, LimitExceeded or
 * UnsupportedConfiguration; the message begins with the line. */
int vb_xml_parse(const VbXmlTable *table,
                 const char *text,
                 size_t length,
                 VbXmlMode mode,
                 void **ret,
                 sd_bus_error *reterr) VB_MUST_USE;

/* The mode that vb_xml_parse() was called with. */
VbXmlMode vb_xml_reader_mode(const VbXmlReader *reader);

/* For finish functions: fails with "line N: <element>: …", and with error's errno (a VB_ERROR_* name). */
int vb_xml_fail(VbXmlReader *reader, const char *error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The item as a document in libvirt's look: single quotes, two spaces for each level, a final newline. */
char *vb_xml_format(const VbXmlTable *table, const void *item, VbXmlMode mode);

/* A deep copy; NULL for NULL. */
void *vb_xml_copy(const VbXmlTable *table, const void *item);
/* A new item as if from an empty element: zeros. */
void *vb_xml_new(const VbXmlTable *table);
/* Frees item with all it owns; takes NULL, returns NULL. Secrets are wiped. */
void *vb_xml_free(const VbXmlTable *table, void *item);

/* Asserts that a table and all below it make sense: sizes of fields fit their types, names are not told
 * twice, words are there. For tests. */
void vb_xml_table_verify(const VbXmlTable *table);

/* The reference of table and all below it, as Markdown. */
char *vb_xml_reference(const VbXmlTable *table);

static inline bool vb_xml_row_applies(const VbXmlRow *row, const void *item) {
        return row->when_mask == 0 ||
               (row->when_mask & VB_XML_BIT(((const uint8_t *) item)[row->when_offset])) != 0;
}
