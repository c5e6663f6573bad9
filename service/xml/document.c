/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/document.h"

#include <assert.h>
#include <glib.h>
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

#include "base/error.h"
#include "xml/table.h"

/* What the parser's callbacks keep; hangs on the parser context. */
typedef struct Guard {
        unsigned n_elements;
        const char *refused; /* why the parser was stopped by us */
        int line;
        bool over_limit;
} Guard;

static void xml_parser_free(xmlParserCtxt *parser) {
        if (parser)
                xmlFreeParserCtxt(parser);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xml_parser_free)

static void guard_refuse(xmlParserCtxt *parser, const char *why, bool over_limit) {
        Guard *guard = parser->_private;

        if (!guard->refused) {
                guard->refused = why;
                guard->over_limit = over_limit;
                guard->line = parser->input ? parser->input->line : 0;
        }
        xmlStopParser(parser);
}

/* Entities are what document type declarations are misused for (files read, memory filled), and no definition
 * needs one. Stopping here comes before any of them is declared. */
static void on_internal_subset(void *data, const xmlChar *name, const xmlChar *id, const xmlChar *system_id) {
        guard_refuse(data, "a document type declaration (<!DOCTYPE>) is not allowed", false);
}

static void on_start_element(void *data,
                             const xmlChar *name,
                             const xmlChar *prefix,
                             const xmlChar *uri,
                             int n_namespaces,
                             const xmlChar **namespaces,
                             int n_attributes,
                             int n_defaulted,
                             const xmlChar **attributes) {
        xmlParserCtxt *parser = data;
        Guard *guard = parser->_private;

        if ((unsigned) parser->nodeNr >= VB_XML_DEPTH_MAX) {
                guard_refuse(parser, "elements are nested too deeply (at most 64 levels)", true);
                return;
        }
        if (guard->n_elements++ >= VB_XML_ELEMENTS_MAX) {
                guard_refuse(parser, "too many elements (at most 65536)", true);
                return;
        }
        xmlSAX2StartElementNs(data, name, prefix, uri, n_namespaces, namespaces, n_attributes, n_defaulted,
                              attributes);
}
G_STATIC_ASSERT(VB_XML_DEPTH_MAX == 64 && VB_XML_ELEMENTS_MAX == 65536);

/* libxml2 compares each attribute of an element with all others, and each prefix with all namespaces in
 * sight: an element with 100000 attributes costs minutes. So they are counted (too many rather than too few:
 * '=' signs before a quote, between two '<') before it sees them. */
static int check_attributes(const char *text, size_t length, sd_bus_error *reterr) {
        unsigned line = 1, n = 0;

        for (size_t i = 0; i < length; i++) {
                size_t next = i + 1;

                if (text[i] == '\n')
                        line++;
                else if (text[i] == '<')
                        n = 0;
                if (text[i] != '=')
                        continue;

                while (next < length && g_ascii_isspace(text[next]))
                        next++;
                if (next < length && (text[next] == '\'' || text[next] == '"') && ++n > VB_XML_ATTRIBUTES_MAX)
                        return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                                 "line %u: an element with too many attributes (at most %u)",
                                                 line, VB_XML_ATTRIBUTES_MAX);
        }
        return 0;
}

static int check_text(const char *text, size_t length, sd_bus_error *reterr) {
        const char *end;

        if (length == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "line 1: the document is empty");
        if (length > VB_XML_SIZE_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                         "line 1: the document has %zu bytes, at most %u are allowed", length,
                                         VB_XML_SIZE_MAX);

        /* This also takes care of NUL bytes, and of the exotic encodings that would go through iconv. */
        if (!g_utf8_validate(text, (gssize) length, &end)) {
                unsigned line = 1;

                for (const char *c = text; c < end; c++)
                        line += *c == '\n';
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "line %u: not UTF-8 text", line);
        }

        return check_attributes(text, length, reterr);
}

static int report(xmlParserCtxt *parser, const Guard *guard, sd_bus_error *reterr) {
        const xmlError *error = xmlCtxtGetLastError(parser);
        g_autofree char *message = NULL;

        if (guard->refused)
                return sd_bus_error_setf(reterr,
                                         guard->over_limit ? VB_ERROR_LIMIT_EXCEEDED : VB_ERROR_INVALID_XML,
                                         "line %d: %s", guard->line, guard->refused);
        if (!error || !error->message)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "line 1: not well-formed XML");

        message = g_strchomp(g_strdup(error->message));
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "line %d: not well-formed: %s", error->line,
                                 message);
}

int vb_xml_document_read(xmlDoc **ret, const char *text, size_t length, sd_bus_error *reterr) {
        g_autoptr(xmlParserCtxt) parser = NULL;
        g_autoptr(xmlDoc) document = NULL;
        Guard guard = {};
        int r;

        r = check_text(text, length, reterr);
        if (r < 0)
                return r;

        parser = xmlNewParserCtxt();
        assert(parser);
        parser->_private = &guard;
        parser->sax->internalSubset = on_internal_subset;
        parser->sax->startElementNs = on_start_element;

        document = xmlCtxtReadMemory(parser, text, (int) length, NULL, "UTF-8",
                                     XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                             XML_PARSE_NOBLANKS | XML_PARSE_NOCDATA | XML_PARSE_BIG_LINES |
                                             XML_PARSE_COMPACT);
        if (!document || guard.refused)
                return report(parser, &guard, reterr);

        *ret = g_steal_pointer(&document);
        return 0;
}
