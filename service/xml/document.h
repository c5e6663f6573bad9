/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libxml2, tamed: text from anyone becomes a tree, or an error, at bounded cost and without touching anything
 * else. */

#include <libxml/tree.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"

static inline void vb_xml_document_free(xmlDoc *document) {
        if (document)
                xmlFreeDoc(document);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, vb_xml_document_free)

/* Reads UTF-8 text. White space between elements is dropped. Fails with InvalidXML or LimitExceeded and a
 * message that begins with the line. */
int vb_xml_document_read(xmlDoc **ret, const char *text, size_t length, sd_bus_error *reterr) VB_MUST_USE;
