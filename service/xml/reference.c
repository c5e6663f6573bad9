/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What tables tell people: the reference, as Markdown. */

#include <inttypes.h>
#include <string.h>

#include "xml/internal.h"
#include "xml/table.h"

/* The tables one is in, innermost first: one may contain itself, as backing stores do. */
typedef struct Ancestor {
        const VbXmlTable *table;
        const struct Ancestor *outer;
} Ancestor;

static void describe_numbers(const VbXmlRow *row, GString *out) {
        if (row->min != 0 || row->max != 0)
                g_string_append_printf(out, ", %" PRId64 " to %" PRIu64, row->min, row->max);
}

static void describe_words(const VbXmlRow *row, GString *out) {
        bool first = true;

        for (int i = 0; i < row->words->n_words; i++)
                if (vb_xml_enum_allows(row, i)) {
                        g_string_append_printf(out, "%s`%s`", first ? "" : ", ", row->words->words[i]);
                        first = false;
                }
}

static void describe_value(const VbXmlRow *row, GString *out) {
        if (row->kind == VB_XML_KIND_RAW)
                g_string_append(out, "kept as it is");
        else if (row->kind == VB_XML_KIND_SIZE)
                g_string_append_printf(out, "a size with `unit`, `%s` if none is given", row->unit);
        else if (row->words)
                describe_words(row, out);
        else if (row->type)
                g_string_append(out, row->type->name);
        if (row->type && !row->words && row->type != &vb_xml_type_string && row->kind != VB_XML_KIND_SIZE)
                describe_numbers(row, out);
}

static void describe_flags(const VbXmlRow *row, GString *out) {
        static const struct {
                VbXmlRowFlags flag;
                const char *text;
        } flags[] = {
                { VB_XML_REQUIRED, "required" },
                { VB_XML_SECRET, "a secret" },
                { VB_XML_LIVE_ONLY, "of running domains" },
                { VB_XML_PRIVATE_ONLY, "of the daemon's own files" },
                { VB_XML_READ_ONLY, "read, never written" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
                if (row->flags & flags[i].flag)
                        g_string_append_printf(out, "; %s", flags[i].text);
        if (row->kind == VB_XML_KIND_LIST)
                g_string_append(out, "any number");
        if (row->fallback)
                g_string_append_printf(out, "; `%s` if not given", row->fallback);
        if (row->note)
                g_string_append_printf(out, "; %s", row->note);
        if (row->unbuilt)
                g_string_append_printf(out, "; not yet: %s", row->unbuilt);
}

static bool is_ancestor(const Ancestor *inner, const VbXmlTable *table) {
        for (; inner; inner = inner->outer)
                if (inner->table == table)
                        return true;
        return false;
}

static void describe_rows(const VbXmlRow *rows, const Ancestor *inner, int depth, GString *out);

static void describe_below(const VbXmlRow *row, const Ancestor *inner, int depth, GString *out) {
        if (row->table) {
                const Ancestor self = { row->table, inner };

                if (!is_ancestor(inner, row->table))
                        describe_rows(row->table->rows, &self, depth, out);
        } else if (row->children && row->kind != VB_XML_KIND_SIZE)
                describe_rows(row->children, inner, depth, out);
}

static void describe_name(const VbXmlRow *row, GString *out) {
        switch (row->kind) {
        case VB_XML_KIND_TEXT: g_string_append(out, "its text"); break;
        case VB_XML_KIND_ATTRIBUTE: g_string_append_printf(out, "`%s=`", row->name); break;
        case VB_XML_KIND_UNBUILT_ATTRIBUTES: g_string_append(out, "attributes not supported yet"); break;
        case VB_XML_KIND_UNBUILT_ELEMENTS: g_string_append(out, "elements not supported yet"); break;
        default: g_string_append_printf(out, "**`<%s>`**", row->name);
        }
}

static void describe_row(const VbXmlRow *row, const Ancestor *inner, int depth, GString *out) {
        g_autoptr(GString) about = g_string_new(NULL);
        const char *text;

        if (row->kind == VB_XML_KIND_NAMESPACE)
                return;

        if (row->kind == VB_XML_KIND_UNBUILT_ATTRIBUTES || row->kind == VB_XML_KIND_UNBUILT_ELEMENTS)
                g_string_append(about, row->name);
        describe_value(row, about);
        describe_flags(row, about);
        if (row->table && is_ancestor(inner, row->table))
                g_string_append(about, "; with the same inside");

        text = g_str_has_prefix(about->str, "; ") ? about->str + 2 : about->str;
        g_string_append_printf(out, "%*s- ", depth * 2, "");
        describe_name(row, out);
        g_string_append_printf(out, "%s%s\n", *text ? ": " : "", text);

        describe_below(row, inner, depth + 1, out);
}

static void describe_rows(const VbXmlRow *rows, const Ancestor *inner, int depth, GString *out) {
        VB_XML_FOREACH_ROW(row, rows)
                describe_row(row, inner, depth, out);
}

char *vb_xml_reference(const VbXmlTable *table) {
        const Ancestor self = { table, NULL };
        GString *out = g_string_new(NULL);

        g_string_append_printf(out, "- **`<%s>`**\n", table->name);
        describe_rows(table->rows, &self, 1, out);
        return g_string_free(out, FALSE);
}
