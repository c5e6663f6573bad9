/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of structs that tables describe: made, copied, freed. */

#include <string.h>

#include "xml/internal.h"
#include "xml/table.h"

static bool row_owns_string(const VbXmlRow *row) {
        return row->type && row->type->owned;
}

void *vb_xml_new(const VbXmlTable *table) {
        return g_malloc0(table->size);
}

static void clear_string(const VbXmlRow *row, char **string) {
        if (*string && (row->flags & VB_XML_SECRET))
                explicit_bzero(*string, strlen(*string));
        g_clear_pointer(string, g_free);
}

/* Several rows may share a field (a path that means something else for another type); so a field is cleared
 * as it is freed. */
void vb_xml_clear_rows(const VbXmlRow *rows, void *item) {
        VB_XML_FOREACH_ROW(row, rows) {
                void *field = vb_xml_field(row, item);

                switch (row->kind) {
                case VB_XML_KIND_FLAG:
                case VB_XML_KIND_GROUP:
                        if (row->children)
                                vb_xml_clear_rows(row->children, item);
                        break;
                case VB_XML_KIND_SINGLE: *(void **) field = vb_xml_free(row->table, *(void **) field); break;
                case VB_XML_KIND_LIST: {
                        VbList *list = field;

                        for (size_t i = 0; i < list->n; i++)
                                vb_xml_free(row->table, list->items[i]);
                        g_free(list->items);
                        *list = (VbList) {};
                        break;
                }
                default:
                        if (row_owns_string(row))
                                clear_string(row, field);
                }
        }
}

void *vb_xml_free(const VbXmlTable *table, void *item) {
        if (item) {
                vb_xml_clear_rows(table->rows, item);
                g_free(item);
        }
        return NULL;
}

static void copy_list(const VbXmlTable *table, const VbList *from, VbList *to) {
        to->items = from->n > 0 ? g_new(void *, from->n) : NULL;
        for (size_t i = 0; i < from->n; i++)
                to->items[i] = vb_xml_copy(table, from->items[i]);
}

/* to begins as a copy of from's bytes. A pointer that is still the same has not been copied by an earlier
 * row. */
static void copy_rows(const VbXmlRow *rows, const void *from, void *to) {
        VB_XML_FOREACH_ROW(row, rows) {
                const void *old = vb_xml_field_const(row, from);
                void *new = vb_xml_field(row, to);

                switch (row->kind) {
                case VB_XML_KIND_FLAG:
                case VB_XML_KIND_GROUP:
                        if (row->children)
                                copy_rows(row->children, from, to);
                        break;
                case VB_XML_KIND_SINGLE:
                        if (*(void **) new == *(void *const *) old)
                                *(void **) new = vb_xml_copy(row->table, *(void *const *) old);
                        break;
                case VB_XML_KIND_LIST:
                        if (((VbList *) new)->items == ((const VbList *) old)->items)
                                copy_list(row->table, old, new);
                        break;
                default:
                        if (row_owns_string(row) && *(char **) new == *(char *const *) old)
                                *(char **) new = g_strdup(*(char *const *) old);
                }
        }
}

void *vb_xml_copy(const VbXmlTable *table, const void *item) {
        void *copy;

        if (!item)
                return NULL;
        copy = g_memdup2(item, table->size);
        copy_rows(table->rows, item, copy);
        return copy;
}
