/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/reference.h"

#include "model/tables.h"

static const char introduction[] =
        "# Domain XML\n"
        "\n"
        "A domain's definition is libvirt's format for domains. What the elements mean is told by libvirt's "
        "documentation of it\n"
        "(<https://libvirt.org/formatdomain.html>); this page tells which of them virtbus knows. It is made "
        "from the tables that read and\n"
        "write definitions (`ninja -C build domain-xml-reference`), and a test keeps it true.\n"
        "\n"
        "What libvirt knows and virtbus does not yet is refused by name, with its line. What neither knows "
        "is dropped, as libvirt does, or\n"
        "refused with the option `validate`. An attribute or element that is only for another type of the "
        "device counts as unknown.\n"
        "\n";

char *vb_domain_reference(void) {
        g_autofree char *tables = vb_xml_reference(&vb_domain_table);

        return g_strconcat(introduction, tables, NULL);
}
