/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading: a tree of elements is walked along the rows of tables. */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "xml/document.h"
#include "xml/internal.h"
#include "xml/table.h"

const VbXmlRow vb_xml_size_rows[] = { VB_XML_UNIT_ATTRIBUTE, {} };

struct VbXmlReader {
        VbXmlMode mode;
        const xmlNode *node; /* the element whose rows are being read; what complaints are about */
        sd_bus_error *reterr;
};

static int read_element(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, void *item);

VbXmlMode vb_xml_reader_mode(const VbXmlReader *reader) {
        return reader->mode;
}

static const char *node_name(const xmlNode *node) {
        return (const char *) node->name;
}

/* Complains with "line N: WHAT: WHY". */
static int complain(VbXmlReader *reader, const char *error, const char *what, const char *why) {
        return sd_bus_error_setf(reader->reterr, error, "line %ld: %s: %s", xmlGetLineNo(reader->node), what,
                                 why);
}

int vb_xml_fail(VbXmlReader *reader, const char *error, const char *format, ...) {
        g_autofree char *why = NULL, *what = NULL;
        va_list arguments;

        va_start(arguments, format);
        why = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        what = g_strdup_printf("<%s>", node_name(reader->node));
        return complain(reader, error, what, why);
}

/* Values can be as long as the document; a message shows the beginning. */
static char *excerpt(const char *value) {
        g_autofree char *valid = g_utf8_strlen(value, -1) > 80 ? g_utf8_substring(value, 0, 80) : NULL;

        return valid ? g_strconcat(valid, "…", NULL) : g_strdup(value);
}

static int complain_attribute(VbXmlReader *reader, const char *error, const char *name, const char *value,
                              const char *why) {
        g_autofree char *shown = value ? excerpt(value) : NULL;
        g_autofree char *what = value ? g_strdup_printf("<%s %s='%s'>", node_name(reader->node), name, shown)
                                      : g_strdup_printf("<%s %s>", node_name(reader->node), name);

        return complain(reader, error, what, why);
}

static int complain_text(VbXmlReader *reader, const VbXmlRow *row, const char *value, const char *why) {
        g_autofree char *shown = excerpt(value), *what = NULL;

        what = row->flags & VB_XML_SECRET ? g_strdup_printf("<%s>", node_name(reader->node))
                                          : g_strdup_printf("<%s> '%s'", node_name(reader->node), shown);
        return complain(reader, VB_ERROR_INVALID_XML, what, why);
}

static int complain_unbuilt(VbXmlReader *reader, const char *attribute, const char *value) {
        static const char why[] = "not supported by virtbus yet";

        if (attribute)
                return complain_attribute(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION, attribute, value, why);
        return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION, "%s", why);
}

/* Whether a row is to be read at all, under the mode asked for. */
static bool row_is_open(const VbXmlReader *reader, const VbXmlRow *row, const void *item) {
        if ((row->flags & VB_XML_LIVE_ONLY) && !(reader->mode & VB_XML_LIVE))
                return false;
        if ((row->flags & VB_XML_PRIVATE_ONLY) && !(reader->mode & VB_XML_PRIVATE))
                return false;
        return vb_xml_row_applies(row, item);
}

static bool node_in_namespace(const xmlNode *node, const char *uri) {
        if (!uri)
                return !node->ns || !node->ns->href;
        return node->ns && node->ns->href && strcmp((const char *) node->ns->href, uri) == 0;
}

/* "qemu:commandline" is named so in rows, and "commandline" by libxml2. */
static const char *local_name(const VbXmlRow *row) {
        const char *colon = row->namespace_uri ? strchr(row->name, ':') : NULL;

        return colon ? colon + 1 : row->name;
}

static bool row_is_child(const VbXmlRow *row) {
        return row->kind >= VB_XML_KIND_VALUE && row->kind <= VB_XML_KIND_RAW;
}

/* Text of an element or attribute. Where it is one node, as nearly always, there is nothing to copy. */
static const char *node_text(const xmlNode *children, char **ret_buffer) {
        if (!children)
                return "";
        if (!children->next && children->type == XML_TEXT_NODE)
                return (const char *) children->content;

        GString *text = g_string_new(NULL);
        for (const xmlNode *child = children; child; child = child->next)
                if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE)
                        g_string_append(text, (const char *) child->content);
        *ret_buffer = g_string_free(text, FALSE);
        return *ret_buffer;
}

static const xmlAttr *find_attribute(const xmlNode *node, const char *name) {
        for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next)
                if (!attribute->ns && strcmp((const char *) attribute->name, name) == 0)
                        return attribute;
        return NULL;
}

static int read_attribute_value(VbXmlReader *reader, const VbXmlRow *row, const char *text, void *item) {
        g_autofree char *why = NULL;

        if (vb_xml_word_in(text, row->unbuilt))
                return complain_unbuilt(reader, row->name, text);
        if (row->type->parse(row, reader->mode, text, vb_xml_field(row, item), &why) < 0)
                return complain_attribute(reader, VB_ERROR_INVALID_XML, row->name,
                                          row->flags & VB_XML_SECRET ? NULL : text, why);
        return 0;
}

/* Row by row, not as they stand in the document: a row may depend on those before it. */
static int read_attributes(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, void *item) {
        int r;

        VB_XML_FOREACH_ROW(row, rows) {
                g_autofree char *buffer = NULL;
                const xmlAttr *attribute;
                const char *text;

                if (row->kind != VB_XML_KIND_ATTRIBUTE || !row_is_open(reader, row, item))
                        continue;

                attribute = find_attribute(node, row->name);
                text = attribute ? node_text(attribute->children, &buffer) : row->fallback;
                if (!text && (row->flags & VB_XML_REQUIRED))
                        return complain_attribute(reader, VB_ERROR_INVALID_XML, row->name, NULL,
                                                  "this attribute is missing");
                if (!text)
                        continue;

                r = read_attribute_value(reader, row, text, item);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool attribute_has_row(const VbXmlReader *reader, const char *name, const VbXmlRow *rows,
                              const void *item) {
        VB_XML_FOREACH_ROW(row, rows)
                if (row->kind == VB_XML_KIND_ATTRIBUTE && strcmp(row->name, name) == 0 &&
                    (!(reader->mode & VB_XML_VALIDATE) || vb_xml_row_applies(row, item)))
                        return true;
        return false;
}

static int check_attributes(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, const void *item) {
        for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
                const char *name = (const char *) attribute->name;
                g_autofree char *buffer = NULL;

                if (attribute->ns || attribute_has_row(reader, name, rows, item))
                        continue;
                VB_XML_FOREACH_ROW(row, rows)
                        if (row->kind == VB_XML_KIND_UNBUILT_ATTRIBUTES && vb_xml_word_in(name, row->name))
                                return complain_unbuilt(reader, name, node_text(attribute->children, &buffer));
                if (reader->mode & VB_XML_VALIDATE)
                        return complain_attribute(reader, VB_ERROR_INVALID_XML, name,
                                                  node_text(attribute->children, &buffer),
                                                  "this attribute has no place here");
        }
        return 0;
}

static int read_text(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        g_autofree char *buffer = NULL, *why = NULL;
        const char *text = node_text(node->children, &buffer);

        if (text[0] == '\0' && !(row->flags & VB_XML_SHOWN_ALWAYS)) {
                if (row->flags & VB_XML_REQUIRED)
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "is empty");
                return 0;
        }
        if (row->type->parse(row, reader->mode, text, vb_xml_field(row, item), &why) < 0)
                return complain_text(reader, row, text, why);
        return 0;
}

static int read_size(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        g_autofree char *buffer = NULL, *unit_buffer = NULL, *why = NULL;
        const char *text = node_text(node->children, &buffer);
        const xmlAttr *unit = find_attribute(node, "unit");

        if (vb_xml_parse_size(row, text, unit ? node_text(unit->children, &unit_buffer) : NULL,
                              vb_xml_field(row, item), &why) < 0)
                return complain_text(reader, row, text, why);

        return check_attributes(reader, node, row->children ?: vb_xml_size_rows, item);
}

/* Elements inside <metadata> belong to whoever's namespace they are in: one for each. What has none, or the
 * same one as an earlier element, could not be found again, and goes; so do text and remarks between them. */
static void sanitize_raw(xmlNode *raw) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (xmlNode *child = raw->children, *next; child; child = next) {
                const char *uri = child->ns ? (const char *) child->ns->href : NULL;

                next = child->next;
                if (child->type == XML_ELEMENT_NODE && uri && g_hash_table_add(seen, (char *) uri))
                        continue;
                xmlUnlinkNode(child);
                xmlFreeNode(child);
        }
}

static int read_raw(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        g_autofree char *why = NULL;
        xmlNode *copy = xmlDocCopyNode((xmlNode *) node, node->doc, 1);
        xmlBuffer *buffer = xmlBufferCreate();
        int r;

        assert(copy && buffer);
        sanitize_raw(copy);
        (void) xmlNodeDump(buffer, node->doc, copy, 1, 1);
        r = row->type->parse(row, reader->mode, (const char *) xmlBufferContent(buffer),
                             vb_xml_field(row, item), &why);
        xmlBufferFree(buffer);
        xmlFreeNode(copy);

        return r < 0 ? vb_xml_fail(reader, VB_ERROR_INVALID_XML, "%s", why) : 0;
}

static int read_item(VbXmlReader *reader, const VbXmlTable *table, const xmlNode *node, void **ret) {
        void *item = vb_xml_new(table);
        int r;

        r = read_element(reader, node, table->rows, item);
        if (r >= 0 && table->finish) {
                reader->node = node;
                r = table->finish(item, reader);
        }
        if (r < 0) {
                vb_xml_free(table, item);
                return r;
        }

        *ret = item;
        return 0;
}

static int read_single(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        return read_item(reader, row->table, node, vb_xml_field(row, item));
}

static int read_list(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        VbList *list = vb_xml_field(row, item);
        size_t max = row->max > 0 ? row->max : VB_XML_LIST_MAX;
        void *new_item;
        int r;

        if (list->n >= max)
                return vb_xml_fail(reader, VB_ERROR_LIMIT_EXCEEDED, "more than %zu of them", max);

        r = read_item(reader, row->table, node, &new_item);
        if (r < 0)
                return r;
        vb_list_append(list, new_item);
        return 0;
}

static int read_value(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        static const VbXmlRow none[] = { {} };
        int r;

        r = check_attributes(reader, node, none, item);
        if (r < 0)
                return r;
        return read_text(reader, row, node, item);
}

static int read_flag(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        *(bool *) vb_xml_field(row, item) = true;
        return row->children ? read_element(reader, node, row->children, item) : 0;
}

static int read_child(VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, void *item) {
        switch (row->kind) {
        case VB_XML_KIND_VALUE: return read_value(reader, row, node, item);
        case VB_XML_KIND_SIZE: return read_size(reader, row, node, item);
        case VB_XML_KIND_FLAG: return read_flag(reader, row, node, item);
        case VB_XML_KIND_GROUP: return read_element(reader, node, row->children, item);
        case VB_XML_KIND_SINGLE: return read_single(reader, row, node, item);
        case VB_XML_KIND_LIST: return read_list(reader, row, node, item);
        case VB_XML_KIND_RAW: return read_raw(reader, row, node, item);
        default: g_assert_not_reached();
        }
}

static bool row_matches(const VbXmlReader *reader, const VbXmlRow *row, const xmlNode *node, const void *item) {
        return row_is_child(row) && strcmp(local_name(row), node_name(node)) == 0 &&
               node_in_namespace(node, row->namespace_uri) && row_is_open(reader, row, item);
}

/* Documents mostly have the order of the rows, so the search begins where the last one ended. */
static const VbXmlRow *find_row(const VbXmlReader *reader,
                                const xmlNode *node,
                                const VbXmlRow *rows,
                                const VbXmlRow *hint,
                                const void *item) {
        VB_XML_FOREACH_ROW(row, hint)
                if (row_matches(reader, row, node, item))
                        return row;
        for (const VbXmlRow *row = rows; row < hint; row++)
                if (row_matches(reader, row, node, item))
                        return row;
        return NULL;
}

static int refuse_child(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, const void *item) {
        VB_XML_FOREACH_ROW(row, rows) {
                if (row->kind == VB_XML_KIND_UNBUILT_ELEMENTS && node_in_namespace(node, row->namespace_uri) &&
                    vb_xml_word_in(node_name(node), row->name))
                        return complain_unbuilt(reader, NULL, NULL);
                /* What only running domains have is known, and has no meaning here. */
                if (row_is_child(row) && strcmp(local_name(row), node_name(node)) == 0 &&
                    node_in_namespace(node, row->namespace_uri) && vb_xml_row_applies(row, item))
                        return 0;
        }
        if (reader->mode & VB_XML_VALIDATE)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "this element has no place here");
        return 0;
}

static int read_children(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, void *item) {
        const VbXmlRow *hint = rows;
        uint64_t seen = 0;
        int r;

        for (const xmlNode *child = node->children; child; child = child->next) {
                const VbXmlRow *row;

                if (child->type != XML_ELEMENT_NODE)
                        continue;

                reader->node = child;
                row = find_row(reader, child, rows, hint, item);
                if (!row) {
                        r = refuse_child(reader, child, rows, item);
                        if (r < 0)
                                return r;
                        continue;
                }

                if (row->kind != VB_XML_KIND_LIST) {
                        assert(row - rows < 64);
                        if (seen & VB_XML_BIT(row - rows))
                                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "may stand here only once");
                        seen |= VB_XML_BIT(row - rows);
                }
                r = read_child(reader, row, child, item);
                if (r < 0)
                        return r;
                hint = row;
        }

        reader->node = node;
        VB_XML_FOREACH_ROW(row, rows)
                if (row_is_child(row) && (row->flags & VB_XML_REQUIRED) && !(seen & VB_XML_BIT(row - rows)) &&
                    row_is_open(reader, row, item))
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<%s> is missing in it", row->name);
        return 0;
}

static int read_element(VbXmlReader *reader, const xmlNode *node, const VbXmlRow *rows, void *item) {
        int r;

        reader->node = node;
        r = read_attributes(reader, node, rows, item);
        if (r < 0)
                return r;
        r = check_attributes(reader, node, rows, item);
        if (r < 0)
                return r;

        VB_XML_FOREACH_ROW(row, rows)
                if (row->kind == VB_XML_KIND_TEXT && row_is_open(reader, row, item)) {
                        r = read_text(reader, row, node, item);
                        if (r < 0)
                                return r;
                }
        return read_children(reader, node, rows, item);
}

int vb_xml_parse(const VbXmlTable *table,
                 const char *text,
                 size_t length,
                 VbXmlMode mode,
                 void **ret,
                 sd_bus_error *reterr) {
        VbXmlReader reader = { mode, NULL, reterr };
        g_autoptr(xmlDoc) document = NULL;
        int r;

        r = vb_xml_document_read(&document, text, length, reterr);
        if (r < 0)
                return r;

        reader.node = xmlDocGetRootElement(document);
        if (!node_in_namespace(reader.node, NULL) || strcmp(node_name(reader.node), table->name) != 0)
                return vb_xml_fail(&reader, VB_ERROR_INVALID_XML, "the root element must be <%s>", table->name);
        return read_item(&reader, table, reader.node, ret);
}
