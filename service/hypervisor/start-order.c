/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/start-order.h"

#include <limits.h>

#include "base/error.h"
#include "hypervisor/metadata.h"
#include "xml/document.h"

#define NO_PLACE (VB_START_ORDER_MAX + 1)

/* What the order goes by, read once: a comparison reads no XML. */
typedef struct Row {
        VbDomain *domain;
        unsigned place;
        unsigned started_as;
} Row;

static int read_place(const char *element, unsigned *ret, sd_bus_error *reterr) {
        g_autoptr(xmlDoc) document = NULL;
        xmlChar *text;
        guint64 place;
        bool good;
        int r;

        r = vb_xml_document_read(&document, element, strlen(element), reterr);
        if (r < 0)
                return r;
        text = xmlGetNoNsProp(xmlDocGetRootElement(document), (const xmlChar *) "order");
        if (!text)
                return 0;
        good = g_ascii_string_to_unsigned((const char *) text, 10, 0, VB_START_ORDER_MAX, &place, NULL);
        if (!good)
                r = sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<start order='%.32s'>: not a number from 0 to %u",
                                      (const char *) text, VB_START_ORDER_MAX);
        xmlFree(text);
        if (good)
                *ret = (unsigned) place;
        return r;
}

int vb_start_order_read(const VbDomainDefinition *definition, unsigned *ret, sd_bus_error *reterr) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *element = NULL;
        int r;

        /* Hardly any definition has one, and looking for it in the text is cheap. */
        *ret = NO_PLACE;
        if (!definition->metadata || !strstr(definition->metadata, VB_START_NAMESPACE))
                return 0;
        r = vb_metadata_get(definition, VB_METADATA_ELEMENT, VB_START_NAMESPACE, &element, &error);
        if (r >= 0)
                return read_place(element, ret, reterr);
        if (sd_bus_error_has_name(&error, VB_ERROR_NO_METADATA))
                return 0;
        (void) sd_bus_error_copy(reterr, &error);
        return r;
}

int vb_start_order_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        unsigned place;

        return vb_start_order_read(definition, &place, reterr);
}

static void fill(Row *row, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        *row = (Row){ .domain = domain, .place = NO_PLACE, .started_as = UINT_MAX };
        if (vb_start_order_read(domain->config, &row->place, &error) < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': its place among the guests that start with the host: %s",
                                   domain->name, error.message);
        /* One that did not run has no number, or one of some earlier boot, which says nothing beside those of the last. */
        if (domain->autostart_once && domain->started_as > 0)
                row->started_as = (unsigned) domain->started_as;
}

static int compare(const void *a, const void *b) {
        const Row *first = a, *second = b;

        if (first->place != second->place)
                return first->place < second->place ? -1 : 1;
        if (first->started_as != second->started_as)
                return first->started_as < second->started_as ? -1 : 1;
        return strcmp(first->domain->name, second->domain->name);
}

void vb_start_order_sort(GPtrArray *domains) {
        g_autofree Row *rows = g_new(Row, domains->len);

        for (unsigned i = 0; i < domains->len; i++)
                fill(&rows[i], domains->pdata[i]);
        if (domains->len > 1)
                qsort(rows, domains->len, sizeof(*rows), compare);
        for (unsigned i = 0; i < domains->len; i++)
                domains->pdata[i] = rows[i].domain;
}
