/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of xml/ share with one another, and nobody else needs. */

#include "xml/table.h"

/* The field a row stores into, in the struct that it belongs to. */
static inline void *vb_xml_field(const VbXmlRow *row, void *item) {
        return (char *) item + row->offset;
}

static inline const void *vb_xml_field_const(const VbXmlRow *row, const void *item) {
        return (const char *) item + row->offset;
}

#define VB_XML_FOREACH_ROW(row, rows) for (const VbXmlRow *row = (rows); row->kind != VB_XML_KIND_END; row++)

/* The attributes of a VB_XML_SIZE row without children. */
extern const VbXmlRow vb_xml_size_rows[];

/* Whether word is one of words, which have one space between them. words may be NULL. */
bool vb_xml_word_in(const char *word, const char *words);
/* Whether the enumeration's value has a word, and the row allows it. */
bool vb_xml_enum_allows(const VbXmlRow *row, int value);

/* A decimal (or, if told so, also 0x-hexadecimal) number without sign, with white space around it at most. */
int vb_xml_parse_uint64(const char *text, bool hexadecimal, uint64_t *ret);
int vb_xml_unit_factor(const char *unit, uint64_t *ret);
/* A size in the row's own unit; unit NULL is that. */
int vb_xml_parse_size(const VbXmlRow *row, const char *text, const char *unit, uint64_t *ret, char **ret_why);

/* Frees and clears what rows own in item; item itself stays. */
void vb_xml_clear_rows(const VbXmlRow *rows, void *item);
