/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tables are data that no compiler understands; what it would have said about them is said here, in tests. */

#include <string.h>

#include "xml/internal.h"
#include "xml/table.h"

#define ROWS_MAX 64 /* the reader has one bit for each */

static bool kind_has_field(VbXmlKind kind) {
        return kind != VB_XML_KIND_GROUP && kind != VB_XML_KIND_UNBUILT_ATTRIBUTES &&
               kind != VB_XML_KIND_UNBUILT_ELEMENTS;
}

static size_t field_size_wanted(const VbXmlRow *row) {
        switch (row->kind) {
        case VB_XML_KIND_FLAG: return sizeof(bool);
        case VB_XML_KIND_SINGLE: return sizeof(void *);
        case VB_XML_KIND_LIST: return sizeof(VbList);
        default: return row->type ? row->type->size : 0;
        }
}

static bool is_unit(const VbXmlRow *row) {
        return row->kind == VB_XML_KIND_ATTRIBUTE && strcmp(row->name, "unit") == 0 && !row->type;
}

static void verify_words(const VbXmlRow *row) {
        int n = 0;

        g_assert_cmpint(row->words->n_words, <=, 64);
        g_assert_null(row->words->words[0]);
        for (int i = 1; i < row->words->n_words; i++) {
                /* A hole would be a value without a word: it could be set, but not be written. */
                g_assert_nonnull(row->words->words[i]);
                n += vb_xml_enum_allows(row, i);
                g_assert_cmpint(vb_string_table_find(row->words, row->words->words[i]), ==, i);
                g_assert_false(vb_xml_word_in(row->words->words[i], row->unbuilt) &&
                               vb_xml_enum_allows(row, i));
        }
        g_assert_cmpint(n, >, 0);
}

static void verify_fallback(const VbXmlRow *row) {
        g_autofree char *why = NULL;
        char field[64] = {};

        g_assert_cmpuint(row->size, <=, sizeof(field));
        g_assert_cmpint(row->type->parse(row, 0, row->fallback, field, &why), ==, 0);
        if (row->type->owned)
                g_free(*(char **) (void *) field);
}

/* Two rows of one name must not both apply to the same struct. */
static void verify_unique(const VbXmlRow *rows, const VbXmlRow *row) {
        for (const VbXmlRow *other = rows; other < row; other++) {
                bool same_kind = (other->kind == VB_XML_KIND_ATTRIBUTE) == (row->kind == VB_XML_KIND_ATTRIBUTE);

                if (!same_kind || strcmp(other->name, row->name) != 0)
                        continue;
                if (g_strcmp0(other->namespace_uri, row->namespace_uri) != 0)
                        continue;
                g_assert_true(row->when_mask != 0 && other->when_mask != 0);
                g_assert_cmpuint(row->when_mask & other->when_mask, ==, 0);
        }
}

static void verify_rows(const VbXmlRow *rows, size_t struct_size, GHashTable *seen);

static void verify_row(const VbXmlRow *rows, const VbXmlRow *row, size_t struct_size, GHashTable *seen) {
        size_t wanted = field_size_wanted(row);

        g_assert_nonnull(row->name);
        if (!is_unit(row)) {
                verify_unique(rows, row);
                g_assert_true(!kind_has_field(row->kind) || row->size > 0);
                g_assert_cmpuint(row->offset + row->size, <=, struct_size);
        }
        if (wanted > 0)
                g_assert_cmpuint(row->size, ==, wanted);
        if (row->when_mask)
                g_assert_cmpuint(row->when_offset, <, struct_size);
        if (row->words)
                verify_words(row);
        if (row->fallback)
                verify_fallback(row);
        if (row->kind == VB_XML_KIND_LIST || row->kind == VB_XML_KIND_SINGLE) {
                g_assert_nonnull(row->table);
                if (g_hash_table_add(seen, (void *) row->table))
                        verify_rows(row->table->rows, row->table->size, seen);
        } else if (row->children)
                verify_rows(row->children, struct_size, seen);
}

static void verify_rows(const VbXmlRow *rows, size_t struct_size, GHashTable *seen) {
        VB_XML_FOREACH_ROW(row, rows) {
                g_assert_cmpint(row - rows, <, ROWS_MAX);
                if (!(row->kind == VB_XML_KIND_ATTRIBUTE || row->kind == VB_XML_KIND_VALUE ||
                      row->kind == VB_XML_KIND_TEXT) || row->type || is_unit(row))
                        verify_row(rows, row, struct_size, seen);
                else
                        g_error("row '%s' has no type", row->name);
        }
}

void vb_xml_table_verify(const VbXmlTable *table) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        g_hash_table_add(seen, (void *) table);
        verify_rows(table->rows, table->size, seen);
}
