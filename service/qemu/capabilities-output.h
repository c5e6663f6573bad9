/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writing XML that nobody reads back here: a few words for libxml2's writer, which escapes and indents.
 * Memory aside it does not fail. */

#include <glib.h>
#include <libxml/xmlwriter.h>

typedef struct XmlOutput {
        xmlBuffer *buffer;
        xmlTextWriter *writer;
} XmlOutput;

static inline void xml_output_begin(XmlOutput *output) {
        output->buffer = xmlBufferCreate();
        output->writer = xmlNewTextWriterMemory(output->buffer, /* compression= */ 0);
        (void) xmlTextWriterSetIndent(output->writer, 1);
        (void) xmlTextWriterSetIndentString(output->writer, BAD_CAST "  ");
        (void) xmlTextWriterSetQuoteChar(output->writer, '\'');
}

/* The text; to be freed with g_free(). */
static inline char *xml_output_end(XmlOutput *output) {
        char *text;

        xmlFreeTextWriter(output->writer);
        text = g_strdup((const char *) xmlBufferContent(output->buffer));
        xmlBufferFree(output->buffer);
        return text;
}

static inline void xml_open(XmlOutput *output, const char *name) {
        (void) xmlTextWriterStartElement(output->writer, BAD_CAST name);
}

static inline void xml_close(XmlOutput *output) {
        (void) xmlTextWriterEndElement(output->writer);
}

static inline void xml_attribute(XmlOutput *output, const char *name, const char *value) {
        (void) xmlTextWriterWriteAttribute(output->writer, BAD_CAST name, BAD_CAST value);
}

static inline void xml_number(XmlOutput *output, const char *name, uint64_t value) {
        (void) xmlTextWriterWriteFormatAttribute(output->writer, BAD_CAST name, "%" G_GUINT64_FORMAT, value);
}

static inline void xml_text(XmlOutput *output, const char *text) {
        (void) xmlTextWriterWriteString(output->writer, BAD_CAST text);
}

static inline void xml_element(XmlOutput *output, const char *name, const char *text) {
        (void) xmlTextWriterWriteElement(output->writer, BAD_CAST name, BAD_CAST text);
}
