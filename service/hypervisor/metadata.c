/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/metadata.h"

#include <string.h>

#include "base/error.h"
#include "xml/document.h"

VB_STRING_TABLE(vb_metadata_kind, VbMetadataKind, _VB_METADATA_KIND_MAX,
                [VB_METADATA_TITLE] = "title",
                [VB_METADATA_DESCRIPTION] = "description",
                [VB_METADATA_ELEMENT] = "element")

#define EMPTY "<metadata/>"

/* What the definition's own limits would refuse at the next start of the daemon must not get in here. */
#define TITLE_MAX 4096u
#define DESCRIPTION_MAX 65536u

static const xmlChar *xml(const char *text) {
        return (const xmlChar *) text;
}

/* The element of a namespace in <metadata>, or NULL. */
static xmlNode *find_element(xmlDoc *document, const char *uri) {
        for (xmlNode *node = xmlDocGetRootElement(document)->children; node; node = node->next)
                if (node->type == XML_ELEMENT_NODE && node->ns && xmlStrEqual(node->ns->href, xml(uri)))
                        return node;
        return NULL;
}

/* Calls change on the node and all elements below it. */
static void foreach_element(xmlNode *node, void (*change)(xmlNode *node, xmlNs *ns), xmlNs *ns) {
        change(node, ns);
        for (xmlNode *child = node->children; child; child = child->next)
                if (child->type == XML_ELEMENT_NODE)
                        foreach_element(child, change, ns);
}

static void put_into_namespace(xmlNode *node, xmlNs *ns) {
        if (!node->ns)
                xmlSetNs(node, ns);
}

static void take_out_of_namespace(xmlNode *node, xmlNs *ns) {
        if (node->ns && xmlStrEqual(node->ns->href, ns->href))
                node->ns = NULL;
}

/* As put_into_namespace() had it, and without the declaration. node must be a copy: it is taken apart. */
static void strip_namespace(xmlNode *node) {
        xmlNs *ns = node->ns;

        if (!ns)
                return;
        foreach_element(node, take_out_of_namespace, ns);
        for (xmlNs **link = &node->nsDef; *link; link = &(*link)->next)
                if (xmlStrEqual((*link)->href, ns->href)) {
                        xmlNs *gone = *link;

                        *link = gone->next;
                        xmlFreeNs(gone);
                        break;
                }
}

static char *dump(xmlDoc *document, xmlNode *node) {
        xmlBuffer *buffer = xmlBufferCreate();
        char *text;

        if (xmlNodeDump(buffer, document, node, /* level= */ 0, /* format= */ 1) < 0) {
                xmlBufferFree(buffer);
                return NULL;
        }
        text = g_strndup((const char *) xmlBufferContent(buffer), (size_t) xmlBufferLength(buffer));
        xmlBufferFree(buffer);
        return text;
}

static int read_metadata(const VbDomainDefinition *definition, xmlDoc **ret, sd_bus_error *reterr) {
        const char *text = definition->metadata ?: EMPTY;

        return vb_xml_document_read(ret, text, strlen(text), reterr);
}

static int get_element(const VbDomainDefinition *definition, const char *uri, char **ret, sd_bus_error *reterr) {
        g_autoptr(xmlDoc) document = NULL;
        xmlNode *node;
        int r;

        r = read_metadata(definition, &document, reterr);
        if (r < 0)
                return r;
        node = find_element(document, uri);
        *ret = NULL;
        if (!node)
                return 0;
        strip_namespace(node);
        *ret = dump(document, node);
        return *ret ? 0 : -ENOMEM;
}

int vb_metadata_get(const VbDomainDefinition *definition, VbMetadataKind kind, const char *uri, char **ret,
                    sd_bus_error *reterr) {
        g_autofree char *value = NULL;
        int r;

        if (kind == VB_METADATA_ELEMENT) {
                r = get_element(definition, uri, &value, reterr);
                if (r < 0)
                        return r;
        } else
                value = g_strdup(kind == VB_METADATA_TITLE ? definition->title : definition->description);

        if (!value)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_METADATA, "domain '%s' has no %s%s%s%s", definition->name,
                                         kind == VB_METADATA_ELEMENT ? "metadata element" : vb_metadata_kind_to_string(kind),
                                         kind == VB_METADATA_ELEMENT ? " of namespace '" : "",
                                         kind == VB_METADATA_ELEMENT ? uri : "", kind == VB_METADATA_ELEMENT ? "'" : "");
        *ret = g_steal_pointer(&value);
        return 0;
}

/* The caller's element, put into its namespace, as a part of document. */
static int read_element(xmlDoc *document, const char *uri, const char *key, const char *value, xmlNode **ret,
                        sd_bus_error *reterr) {
        g_autoptr(xmlDoc) given = NULL;
        xmlNode *node;
        xmlNs *ns;
        int r;

        if (xmlValidateNCName(xml(key), /* space= */ 0) != 0 || g_ascii_strncasecmp(key, "xml", 3) == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "key '%s': the prefix of an XML namespace is needed", key);
        r = vb_xml_document_read(&given, value, strlen(value), reterr);
        if (r < 0)
                return r;

        node = xmlDocCopyNode(xmlDocGetRootElement(given), document, /* recursive= */ 1);
        if (!node)
                return -ENOMEM;
        ns = xmlNewNs(node, xml(uri), xml(key));
        if (!ns) {
                /* The element declares the prefix itself, which is fine if it means the same. */
                ns = xmlSearchNs(document, node, xml(key));
                if (!ns || !xmlStrEqual(ns->href, xml(uri))) {
                        xmlFreeNode(node);
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                                 "key '%s': the element uses it for another namespace", key);
                }
        }
        foreach_element(node, put_into_namespace, ns);
        *ret = node;
        return 0;
}

static int set_element(VbDomainDefinition *definition, const char *uri, const char *key, const char *value,
                       sd_bus_error *reterr) {
        g_autoptr(xmlDoc) document = NULL;
        xmlNode *root, *old, *node = NULL;
        int r;

        if (uri[0] == '\0')
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "uri: an element needs an XML namespace");
        r = read_metadata(definition, &document, reterr);
        if (r < 0)
                return r;
        if (value[0] != '\0') {
                r = read_element(document, uri, key, value, &node, reterr);
                if (r < 0)
                        return r;
        }

        root = xmlDocGetRootElement(document);
        old = find_element(document, uri);
        if (old) {
                xmlUnlinkNode(old);
                xmlFreeNode(old);
        }
        if (node)
                xmlAddChild(root, node);

        g_free(definition->metadata);
        definition->metadata = root->children ? dump(document, root) : NULL;
        return 0;
}

int vb_metadata_set(VbDomainDefinition *definition, VbMetadataKind kind, const char *uri, const char *key, const char *value,
                    sd_bus_error *reterr) {
        char **field;

        if (kind == VB_METADATA_ELEMENT)
                return set_element(definition, uri, key, value, reterr);

        if (kind == VB_METADATA_TITLE && strchr(value, '\n'))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "a title must not have line breaks");
        if (strlen(value) > (kind == VB_METADATA_TITLE ? TITLE_MAX : DESCRIPTION_MAX))
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "the %s is too long",
                                         vb_metadata_kind_to_string(kind));
        field = kind == VB_METADATA_TITLE ? &definition->title : &definition->description;
        g_free(*field);
        *field = value[0] == '\0' ? NULL : g_strdup(value);
        return 0;
}
