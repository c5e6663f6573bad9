/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Formatting: structs to text, in the order of the rows and the look of libvirt. */

#include <string.h>

#include "xml/internal.h"
#include "xml/table.h"

#define INDENT 2

typedef struct Writer {
        VbXmlMode mode;
        GString *out;
        GString *value; /* scratch: a value before it is escaped */
} Writer;

static bool write_element(Writer *w, const char *name, const VbXmlRow *rows, const void *item, int depth,
                          bool always);

static bool row_is_open(const Writer *w, const VbXmlRow *row, const void *item) {
        if ((row->flags & VB_XML_SECRET) && !(w->mode & VB_XML_SECURE))
                return false;
        if ((row->flags & VB_XML_LIVE_ONLY) && !(w->mode & VB_XML_LIVE))
                return false;
        if ((row->flags & VB_XML_PRIVATE_ONLY) && !(w->mode & VB_XML_PRIVATE))
                return false;
        if ((row->flags & VB_XML_NOT_MIGRATABLE) && (w->mode & VB_XML_MIGRATABLE))
                return false;
        return !(row->flags & VB_XML_READ_ONLY) && vb_xml_row_applies(row, item);
}

/* printf() would be half of the time that formatting takes. */
static void write_text(Writer *w, const char *text) {
        g_string_append_len(w->out, text, (gssize) strlen(text));
}

static void write_indent(Writer *w, int depth) {
        static const char spaces[] = "                                                                ";

        g_string_append_len(w->out, spaces, MIN(depth * INDENT, (int) sizeof(spaces) - 1));
}

static void write_open(Writer *w, const char *name, int depth) {
        write_indent(w, depth);
        g_string_append_c(w->out, '<');
        write_text(w, name);
}

static void write_close(Writer *w, const char *name) {
        write_text(w, "</");
        write_text(w, name);
        write_text(w, ">\n");
}

/* Line breaks and tabs in attributes would come back as spaces; so would a carriage return anywhere. */
static void write_escaped(Writer *w, const char *text, bool attribute) {
        for (const char *rest = text;;) {
                size_t plain = strcspn(rest, attribute ? "<>&'\"\r\n\t" : "<>&'\"\r");

                g_string_append_len(w->out, rest, (gssize) plain);
                rest += plain;
                switch (*rest++) {
                case '\0': return;
                case '<': g_string_append(w->out, "&lt;"); break;
                case '>': g_string_append(w->out, "&gt;"); break;
                case '&': g_string_append(w->out, "&amp;"); break;
                case '\'': g_string_append(w->out, "&apos;"); break;
                case '"': g_string_append(w->out, "&quot;"); break;
                default: g_string_append_printf(w->out, "&#%d;", rest[-1]);
                }
        }
}

static bool value_is_shown(const Writer *w, const VbXmlRow *row, const void *item) {
        return (row->flags & VB_XML_SHOWN_ALWAYS) ||
               row->type->is_set(row, w->mode, vb_xml_field_const(row, item));
}

static void write_value(Writer *w, const VbXmlRow *row, const void *item) {
        g_string_truncate(w->value, 0);
        row->type->format(row, w->mode, vb_xml_field_const(row, item), w->value);
        write_escaped(w, w->value->str, row->kind == VB_XML_KIND_ATTRIBUTE);
}

static bool field_is_zero(const VbXmlRow *row, const void *item) {
        const char *field = vb_xml_field_const(row, item);

        for (size_t i = 0; i < row->size; i++)
                if (field[i] != 0)
                        return false;
        return true;
}

static bool write_attributes(Writer *w, const VbXmlRow *rows, const void *item) {
        bool any = false;

        VB_XML_FOREACH_ROW(row, rows) {
                if (row->kind == VB_XML_KIND_NAMESPACE && row_is_open(w, row, item) &&
                    !field_is_zero(row, item))
                        g_string_append_printf(w->out, " xmlns:%s='%s'", row->name, row->namespace_uri);
                if (row->kind != VB_XML_KIND_ATTRIBUTE || !row_is_open(w, row, item) ||
                    !value_is_shown(w, row, item))
                        continue;

                g_string_append_c(w->out, ' ');
                write_text(w, row->name);
                write_text(w, "='");
                write_value(w, row, item);
                g_string_append_c(w->out, '\'');
                any = true;
        }
        return any;
}

static void write_leaf(Writer *w, const VbXmlRow *row, const void *item, int depth) {
        if (!value_is_shown(w, row, item))
                return;

        write_open(w, row->name, depth);
        if (row->kind == VB_XML_KIND_SIZE)
                g_string_append_printf(w->out, " unit='%s'", row->unit);
        g_string_append_c(w->out, '>');
        write_value(w, row, item);
        write_close(w, row->name);
}

static void write_items(Writer *w, const VbXmlRow *row, const void *item, int depth) {
        const VbList *list = vb_xml_field_const(row, item);

        for (size_t i = 0; i < list->n; i++)
                write_element(w, row->name, row->table->rows, list->items[i], depth, true);
}

static void write_raw(Writer *w, const VbXmlRow *row, const void *item, int depth) {
        const char *raw = *(char *const *) vb_xml_field_const(row, item);

        if (!raw)
                return;
        write_indent(w, depth);
        g_string_append(w->out, raw);
        g_string_append_c(w->out, '\n');
}

static void write_child(Writer *w, const VbXmlRow *row, const void *item, int depth) {
        const void *field = vb_xml_field_const(row, item);

        switch (row->kind) {
        case VB_XML_KIND_VALUE:
        case VB_XML_KIND_SIZE: write_leaf(w, row, item, depth); break;
        case VB_XML_KIND_FLAG:
                if (*(const bool *) field)
                        write_element(w, row->name, row->children, item, depth, true);
                break;
        case VB_XML_KIND_GROUP:
                write_element(w, row->name, row->children, item, depth, row->flags & VB_XML_SHOWN_ALWAYS);
                break;
        case VB_XML_KIND_SINGLE:
                if (*(void *const *) field)
                        write_element(w, row->name, row->table->rows, *(void *const *) field, depth, true);
                break;
        case VB_XML_KIND_LIST: write_items(w, row, item, depth); break;
        case VB_XML_KIND_RAW: write_raw(w, row, item, depth); break;
        default: break; /* not a child */
        }
}

static const VbXmlRow *text_row(const Writer *w, const VbXmlRow *rows, const void *item) {
        VB_XML_FOREACH_ROW(row, rows)
                if (row->kind == VB_XML_KIND_TEXT && row_is_open(w, row, item) && value_is_shown(w, row, item))
                        return row;
        return NULL;
}

/* Writes the element, and takes it back if there is nothing in it, unless always. Returns whether it stands. */
static bool write_element(Writer *w, const char *name, const VbXmlRow *rows, const void *item, int depth,
                          bool always) {
        static const VbXmlRow none[] = { {} };
        size_t start = w->out->len, body;
        const VbXmlRow *text;
        bool any;

        rows = rows ?: none;
        write_open(w, name, depth);
        any = write_attributes(w, rows, item);

        text = text_row(w, rows, item);
        if (text) {
                g_string_append_c(w->out, '>');
                write_value(w, text, item);
                write_close(w, name);
                return true;
        }

        body = w->out->len;
        g_string_append(w->out, ">\n");
        VB_XML_FOREACH_ROW(row, rows)
                if (row_is_open(w, row, item))
                        write_child(w, row, item, depth + 1);

        if (w->out->len > body + strlen(">\n")) {
                write_indent(w, depth);
                write_close(w, name);
                return true;
        }

        if (!any && !always) {
                g_string_truncate(w->out, start);
                return false;
        }
        g_string_truncate(w->out, body);
        g_string_append(w->out, "/>\n");
        return true;
}

char *vb_xml_format(const VbXmlTable *table, const void *item, VbXmlMode mode) {
        g_autoptr(GString) value = g_string_sized_new(256);
        Writer w = { mode, g_string_sized_new(4096), value };

        (void) write_element(&w, table->name, table->rows, item, 0, true);
        return g_string_free(w.out, FALSE);
}
