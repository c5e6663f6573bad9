/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What anybody may submit as a definition: it is refused, or it can be written, read again, copied and
 * completed. */

#include <glib.h>

#include "../unit/domain-host.h"
#include "base/error.h"
#include "fuzz.h"
#include "model/domain.h"

static void check_round(VbDomainDefinition *definition, VbDomainParseFlags parse, VbDomainFormatFlags format) {
        g_autofree char *first = vb_domain_definition_format(definition, format), *second = NULL;
        g_autoptr(VbDomainDefinition) again = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (vb_domain_definition_parse(&again, first, strlen(first), parse, &error) < 0)
                g_error("what was written cannot be read: %s\n%s", error.message, first);
        second = vb_domain_definition_format(again, format);
        if (!g_str_equal(first, second))
                g_error("written, read and written again:\n%s\n%s", first, second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(VbDomainDefinition) definition = NULL, copy = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        vb_error_init();
        if (vb_domain_definition_parse(&definition, (const char *) data, size, 0, &error) < 0) {
                g_assert_true(sd_bus_error_is_set(&error));
                return 0;
        }

        check_round(definition, VB_DOMAIN_PARSE_PRIVATE, VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE);
        copy = vb_domain_definition_copy(definition);
        if (vb_domain_definition_complete(copy, &test_host, &error) < 0)
                return 0;
        vb_domain_definition_assign_aliases(copy);
        check_round(copy, VB_DOMAIN_PARSE_LIVE | VB_DOMAIN_PARSE_PRIVATE, VB_DOMAIN_FORMAT_SECURE);
        return 0;
}
