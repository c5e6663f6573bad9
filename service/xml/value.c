/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The types of values: text to field and back. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "base/uuid.h"
#include "xml/internal.h"
#include "xml/table.h"

/* Strings. */

int vb_xml_string_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        size_t length = strlen(text), max = row->max > 0 ? row->max : VB_XML_STRING_MAX;
        char **value = field;

        if (length > max) {
                *ret_why = g_strdup_printf("longer than %zu bytes", max);
                return -EINVAL;
        }

        g_free(*value);
        *value = g_strndup(text, length);
        return 0;
}

bool vb_xml_string_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(char *const *) field != NULL;
}

void vb_xml_string_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        const char *value = *(char *const *) field;

        g_string_append(out, value ?: "");
}

const VbXmlType vb_xml_type_string = {
        "text", sizeof(char *), vb_xml_string_parse, vb_xml_string_is_set, vb_xml_string_format, true
};

/* Enumerations and the two that everybody shares. */

bool vb_xml_word_in(const char *word, const char *words) {
        size_t length = strlen(word);

        if (!words || length == 0)
                return false;
        for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
                if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

bool vb_xml_enum_allows(const VbXmlRow *row, int value) {
        return row->words->words[value] && (row->words_mask == 0 || (row->words_mask & VB_XML_BIT(value)) != 0);
}

static char *enum_why(const VbXmlRow *row) {
        GString *why = g_string_new("not one of ");
        bool first = true;

        for (int i = 0; i < row->words->n_words; i++)
                if (vb_xml_enum_allows(row, i)) {
                        g_string_append_printf(why, "%s%s", first ? "" : ", ", row->words->words[i]);
                        first = false;
                }
        return g_string_free(why, FALSE);
}

int vb_xml_enum_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        int value = vb_string_table_find(row->words, text);

        if (value < 0 || !vb_xml_enum_allows(row, value)) {
                *ret_why = enum_why(row);
                return -EINVAL;
        }
        *(uint8_t *) field = (uint8_t) value;
        return 0;
}

static bool byte_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(const uint8_t *) field != 0;
}

void vb_xml_enum_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, vb_string_table_get(row->words, *(const uint8_t *) field) ?: "");
}

const VbXmlType vb_xml_type_enum = { "one of", 1, vb_xml_enum_parse, byte_is_set, vb_xml_enum_format, false };

static int tristate_parse(const char *yes, const char *no, const char *text, void *field, char **ret_why) {
        VbTristate *value = field;

        if (strcmp(text, yes) == 0)
                *value = VB_TRISTATE_YES;
        else if (strcmp(text, no) == 0)
                *value = VB_TRISTATE_NO;
        else {
                *ret_why = g_strdup_printf("not one of %s, %s", yes, no);
                return -EINVAL;
        }
        return 0;
}

static int on_off_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return tristate_parse("on", "off", text, field, ret_why);
}

int vb_xml_yes_no_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return tristate_parse("yes", "no", text, field, ret_why);
}

static void on_off_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, *(const VbTristate *) field == VB_TRISTATE_YES ? "on" : "off");
}

void vb_xml_yes_no_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, *(const VbTristate *) field == VB_TRISTATE_YES ? "yes" : "no");
}

const VbXmlType vb_xml_type_on_off = { "on or off", 1, on_off_parse, byte_is_set, on_off_format, false };
const VbXmlType vb_xml_type_yes_no = { "yes or no",          1,    vb_xml_yes_no_parse, byte_is_set,
                                       vb_xml_yes_no_format, false };

/* Numbers. White space around them is let pass, as it comes with text that was laid out by hand. */

static int number_why(const VbXmlRow *row, int64_t min, uint64_t max, char **ret_why) {
        if (row->flags & VB_XML_HEXADECIMAL)
                *ret_why = g_strdup_printf("not a number from %#" PRIx64 " to %#" PRIx64, (uint64_t) min, max);
        else
                *ret_why = g_strdup_printf("not a number from %" PRId64 " to %" PRIu64, min, max);
        return -EINVAL;
}

int vb_xml_parse_uint64(const char *text, bool hexadecimal, uint64_t *ret) {
        unsigned base = 10, n_digits = 0;
        uint64_t value = 0;

        while (g_ascii_isspace(*text))
                text++;
        if (hexadecimal && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
                base = 16;
                text += 2;
        }

        for (; g_ascii_isxdigit(*text); text++, n_digits++) {
                unsigned digit = (unsigned) g_ascii_xdigit_value(*text);

                if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return -EINVAL;
        }

        while (g_ascii_isspace(*text))
                text++;
        if (n_digits == 0 || *text != '\0')
                return -EINVAL;
        *ret = value;
        return 0;
}

static int unsigned_parse(const VbXmlRow *row, uint64_t limit, const char *text, uint64_t *ret,
                          char **ret_why) {
        uint64_t max = row->max > 0 ? row->max : limit, value;

        if (vb_xml_parse_uint64(text, row->flags & VB_XML_HEXADECIMAL, &value) < 0 || value > max ||
            value < (uint64_t) row->min)
                return number_why(row, row->min, max, ret_why);
        *ret = value;
        return 0;
}

static int signed_parse(const VbXmlRow *row, int64_t least, int64_t most, const char *text, int64_t *ret,
                        char **ret_why) {
        int64_t min = row->min || row->max ? row->min : least, value;
        uint64_t max = row->max > 0 ? row->max : (uint64_t) most, magnitude;
        const char *digits = text;

        while (g_ascii_isspace(*digits))
                digits++;
        if (*digits == '-')
                digits++;
        if (!g_ascii_isdigit(*digits) || vb_xml_parse_uint64(digits, false, &magnitude) < 0 ||
            magnitude > INT64_MAX)
                return number_why(row, min, max, ret_why);

        value = digits > text && digits[-1] == '-' ? -(int64_t) magnitude : (int64_t) magnitude;
        if (value < min || (value > 0 && (uint64_t) value > max))
                return number_why(row, min, max, ret_why);
        *ret = value;
        return 0;
}

static void unsigned_format(const VbXmlRow *row, uint64_t value, GString *out) {
        static const char digits[] = "0123456789abcdef";
        bool hexadecimal = row->flags & VB_XML_HEXADECIMAL;
        unsigned base = hexadecimal ? 16 : 10, least = MAX(row->digits, 1U);
        char buffer[24], *start = buffer + sizeof(buffer);

        for (unsigned n = 0; n < least || value > 0; n++, value /= base)
                *--start = digits[value % base];
        if (hexadecimal)
                g_string_append(out, "0x");
        g_string_append_len(out, start, buffer + sizeof(buffer) - start);
}

static int uint_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        uint64_t value;

        if (unsigned_parse(row, UINT32_MAX, text, &value, ret_why) < 0)
                return -EINVAL;
        *(uint32_t *) field = (uint32_t) value;
        return 0;
}

static bool uint_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(const uint32_t *) field != 0;
}

static void uint_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        unsigned_format(row, *(const uint32_t *) field, out);
}

const VbXmlType vb_xml_type_uint = { "number", sizeof(uint32_t), uint_parse, uint_is_set, uint_format, false };

static int uint8_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        uint64_t value;

        if (unsigned_parse(row, UINT8_MAX, text, &value, ret_why) < 0)
                return -EINVAL;
        *(uint8_t *) field = (uint8_t) value;
        return 0;
}

static void uint8_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        unsigned_format(row, *(const uint8_t *) field, out);
}

const VbXmlType vb_xml_type_uint8 = {
        "number", sizeof(uint8_t), uint8_parse, byte_is_set, uint8_format, false
};

static int uint64_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return unsigned_parse(row, UINT64_MAX, text, field, ret_why);
}

static bool uint64_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return *(const uint64_t *) field != 0;
}

static void uint64_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        unsigned_format(row, *(const uint64_t *) field, out);
}

const VbXmlType vb_xml_type_uint64 = {
        "number", sizeof(uint64_t), uint64_parse, uint64_is_set, uint64_format, false
};

static int int64_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        return signed_parse(row, INT64_MIN, INT64_MAX, text, field, ret_why);
}

static void int64_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append_printf(out, "%" PRId64, *(const int64_t *) field);
}

const VbXmlType vb_xml_type_int64 = { "number",      sizeof(int64_t), int64_parse,
                                      uint64_is_set, int64_format,    false };

static int opt_uint_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        uint64_t value;

        if (unsigned_parse(row, UINT32_MAX, text, &value, ret_why) < 0)
                return -EINVAL;
        *(VbOptUint *) field = (VbOptUint) VB_OPT((uint32_t) value);
        return 0;
}

static bool opt_uint_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return ((const VbOptUint *) field)->set;
}

static void opt_uint_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        unsigned_format(row, ((const VbOptUint *) field)->value, out);
}

const VbXmlType vb_xml_type_opt_uint = {
        "number", sizeof(VbOptUint), opt_uint_parse, opt_uint_is_set, opt_uint_format, false
};

static int opt_int_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        int64_t value;

        if (signed_parse(row, INT32_MIN, INT32_MAX, text, &value, ret_why) < 0)
                return -EINVAL;
        *(VbOptInt *) field = (VbOptInt) VB_OPT((int32_t) value);
        return 0;
}

static bool opt_int_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return ((const VbOptInt *) field)->set;
}

static void opt_int_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append_printf(out, "%" PRId32, ((const VbOptInt *) field)->value);
}

const VbXmlType vb_xml_type_opt_int = {
        "number", sizeof(VbOptInt), opt_int_parse, opt_int_is_set, opt_int_format, false
};

/* MAC addresses and UUIDs. */

static int mac_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        VbMac mac;

        if (vb_mac_parse(text, &mac) < 0) {
                *ret_why = g_strdup("not a MAC address like 52:54:00:12:34:56");
                return -EINVAL;
        }
        if (mac.bytes[0] & 1) {
                *ret_why = g_strdup("a multicast address, not that of one card");
                return -EINVAL;
        }
        if (!vb_mac_is_set(&mac)) {
                *ret_why = g_strdup("no card can have the address of all zeros");
                return -EINVAL;
        }
        *(VbMac *) field = mac;
        return 0;
}

static bool mac_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return vb_mac_is_set(field);
}

static void mac_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        char buffer[VB_MAC_STRING_MAX];

        g_string_append(out, vb_mac_format(field, buffer));
}

const VbXmlType vb_xml_type_mac = { "MAC address", sizeof(VbMac), mac_parse, mac_is_set, mac_format, false };

static int uuid_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        VbUuid uuid;

        if (vb_uuid_parse(text, &uuid) < 0 || vb_uuid_is_null(&uuid)) {
                *ret_why = g_strdup("not a UUID like 68f8b4c8-5a3b-4d4b-9dd3-0e7ab58cf0b4");
                return -EINVAL;
        }
        memcpy(field, uuid.bytes, sizeof(uuid.bytes));
        return 0;
}

static bool uuid_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return !sd_id128_is_null(*(const sd_id128_t *) field);
}

static void uuid_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, SD_ID128_TO_UUID_STRING(*(const sd_id128_t *) field));
}

const VbXmlType vb_xml_type_uuid = { "UUID", sizeof(sd_id128_t), uuid_parse, uuid_is_set, uuid_format, false };

/* Sizes: a number and its unit. Units are those of the IEC (1024) and, where they end in B alone, powers of
 * 1000. */

int vb_xml_unit_factor(const char *unit, uint64_t *ret) {
        static const char letters[] = "kmgtpe";
        uint64_t factor = 1;
        const char *letter;
        bool decimal;

        if (g_ascii_strcasecmp(unit, "b") == 0 || g_ascii_strcasecmp(unit, "byte") == 0 ||
            g_ascii_strcasecmp(unit, "bytes") == 0) {
                *ret = 1;
                return 0;
        }

        letter = unit[0] != '\0' ? strchr(letters, g_ascii_tolower(unit[0])) : NULL;
        decimal = letter && g_ascii_strcasecmp(unit + 1, "b") == 0;
        if (!letter || (!decimal && unit[1] != '\0' && g_ascii_strcasecmp(unit + 1, "ib") != 0))
                return -EINVAL;

        for (const char *step = letters; step <= letter; step++)
                factor *= decimal ? 1000 : 1024;
        *ret = factor;
        return 0;
}

int vb_xml_parse_size(const VbXmlRow *row, const char *text, const char *unit, uint64_t *ret, char **ret_why) {
        uint64_t factor, own_factor, value;

        if (vb_xml_unit_factor(unit ?: row->unit, &factor) < 0) {
                *ret_why = g_strdup_printf(
                        "unknown unit '%s'; bytes, KiB, MiB, GiB, TiB, KB, MB, … are known", unit);
                return -EINVAL;
        }
        (void) vb_xml_unit_factor(row->unit, &own_factor);

        if (vb_xml_parse_uint64(text, false, &value) < 0) {
                *ret_why = g_strdup("not a number");
                return -EINVAL;
        }
        /* Rounded up: a guest gets no less than it was promised. */
        if (__builtin_mul_overflow(value, factor, &value) ||
            __builtin_add_overflow(value, own_factor - 1, &value) ||
            value / own_factor > (row->max > 0 ? row->max : INT64_MAX / own_factor)) {
                *ret_why = g_strdup("too large");
                return -EINVAL;
        }
        *ret = value / own_factor;
        return 0;
}
