/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel has parsed the firmware's tables itself, and shows those of their strings that tell about the machine as a whole. What
 * dmidecode would find beyond (slots, memory modules) needs the raw tables. The processors are in no such file; what the kernel knows of
 * them comes from themselves. */

#include "model/sysinfo.h"

#include <ctype.h>
#include <string.h>

#include "model/host-private.h"

typedef struct Entry {
        const char *name; /* libvirt's */
        const char *file; /* in /sys/class/dmi/id */
        bool serial;
} Entry;

static const struct {
        const char *name;
        Entry entries[8];
} sections[] = {
        { "bios",
          {
                  { "vendor", "bios_vendor" },
                  { "version", "bios_version" },
                  { "date", "bios_date" },
                  { "release", "bios_release" },
          } },
        { "system",
          {
                  { "manufacturer", "sys_vendor" },
                  { "product", "product_name" },
                  { "version", "product_version" },
                  { "serial", "product_serial", .serial = true },
                  { "uuid", "product_uuid", .serial = true },
                  { "sku", "product_sku" },
                  { "family", "product_family" },
          } },
        { "baseBoard",
          {
                  { "manufacturer", "board_vendor" },
                  { "product", "board_name" },
                  { "version", "board_version" },
                  { "serial", "board_serial", .serial = true },
                  { "asset", "board_asset_tag", .serial = true },
          } },
        { "chassis",
          {
                  { "manufacturer", "chassis_vendor" },
                  { "version", "chassis_version" },
                  { "serial", "chassis_serial", .serial = true },
                  { "asset", "chassis_asset_tag", .serial = true },
          } },
};

/* Firmware is not careful about its strings: what XML cannot hold is left out, and so is what is empty. */
static char *clean(const char *text) {
        g_autoptr(GString) clean = g_string_new(NULL);

        for (const char *c = text; *c && clean->len < 256; c++)
                if (isprint((unsigned char) *c) && (unsigned char) *c < 0x80)
                        g_string_append_c(clean, *c);
        (void) g_strstrip(clean->str);
        return *clean->str ? g_strdup(clean->str) : NULL;
}

static void put_entry(GString *body, const char *name, const char *text) {
        g_autofree char *value = text ? clean(text) : NULL;
        g_autofree char *escaped = value ? g_markup_escape_text(value, -1) : NULL;

        if (escaped)
                g_string_append_printf(body, "    <entry name='%s'>%s</entry>\n", name, escaped);
}

static void put_section(GString *xml, const char *name, const GString *body) {
        if (body->len > 0)
                g_string_append_printf(xml, "  <%s>\n%s  </%s>\n", name, body->str, name);
}

static void put_firmware(GString *xml, const char *root, bool serials) {
        for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
                g_autoptr(GString) body = g_string_new(NULL);

                for (const Entry *entry = sections[i].entries; entry->name; entry++) {
                        g_autofree char *line = NULL;

                        if (entry->serial && !serials)
                                continue;
                        line = host_read_line(root, "/sys/class/dmi/id/%s", entry->file);
                        put_entry(body, entry->name, line);
                }
                put_section(xml, sections[i].name, body);
        }
}

/* One for each socket, which are all alike. */
static void put_processors(GString *xml, const char *root) {
        g_autoptr(VbHost) host = vb_host_load(root);
        g_autofree char *signature = NULL;
        g_autoptr(GString) body = g_string_new(NULL);
        unsigned sockets = host->sockets * host->cells->len;

        if (host->cpu_family)
                signature = g_strdup_printf("Family %u, Model %u, Stepping %u", host->cpu_family, host->cpu_model,
                                            host->cpu_stepping);
        put_entry(body, "manufacturer", host->cpu_vendor);
        put_entry(body, "signature", signature);
        put_entry(body, "version", host->cpu_name);
        for (unsigned i = 0; i < sockets && i < HOST_CPUS_MAX; i++)
                put_section(xml, "processor", body);
}

char *vb_sysinfo_format(const char *root, bool serials) {
        g_autoptr(GString) xml = g_string_new("<sysinfo type='smbios'>\n");
        gsize empty = xml->len;

        put_firmware(xml, root, serials);
        if (xml->len == empty) /* not a machine with SMBIOS; its processors alone say nothing about that */
                return NULL;
        put_processors(xml, root);
        g_string_append(xml, "</sysinfo>\n");
        return g_strdup(xml->str);
}
