/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* domain-xml FILE: reads a definition, completes it as the daemon would, and prints it; for compare-domain-xml, and for
 * people who wonder. The host is assumed to be an x86_64 one with QEMU 7.2.
 * domain-xml --live FILE: the same for a dump of a running domain, which is only read and written.
 * domain-xml --reference: prints docs/domain-xml.md. */

#include <stdio.h>

#include "base/error.h"
#include "domain-host.h"
#include "model/domain.h"
#include "model/reference.h"

int main(int argc, char **argv) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *xml = NULL, *out = NULL;
        gsize length;

        vb_error_init();
        if (argc == 2 && g_str_equal(argv[1], "--reference")) {
                out = vb_domain_reference();
                fputs(out, stdout);
                return 0;
        }
        if (argc == 3 && g_str_equal(argv[1], "--live") && g_file_get_contents(argv[2], &xml, &length, NULL)) {
                if (vb_domain_definition_parse(&definition, xml, length, VB_DOMAIN_PARSE_LIVE, &error) < 0) {
                        fprintf(stderr, "%s\n", error.message);
                        return 1;
                }
                out = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_SECURE);
                fputs(out, stdout);
                return 0;
        }
        if (argc != 2 || !g_file_get_contents(argv[1], &xml, &length, NULL)) {
                fprintf(stderr, "Usage: domain-xml [--live] FILE | --reference\n");
                return 2;
        }
        if (vb_domain_definition_parse(&definition, xml, length, 0, &error) < 0 ||
            vb_domain_definition_complete(definition, &test_host, &error) < 0) {
                fprintf(stderr, "%s\n", error.message);
                return 1;
        }
        out = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE);
        fputs(out, stdout);
        return 0;
}
