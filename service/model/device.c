/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What all devices share: alias, address, boot order, option ROM. */

#include "model/device.h"

#include <string.h>

#include "model/tables.h"

VB_STRING_TABLE(vb_address_type, VbAddressType, VB_ADDRESS_TYPE_MAX,
                [VB_ADDRESS_PCI] = "pci",
                [VB_ADDRESS_DRIVE] = "drive",
                [VB_ADDRESS_VIRTIO_SERIAL] = "virtio-serial",
                [VB_ADDRESS_CCID] = "ccid",
                [VB_ADDRESS_USB] = "usb",
                [VB_ADDRESS_VIRTIO_MMIO] = "virtio-mmio",
                [VB_ADDRESS_ISA] = "isa")

/* Aliases. The daemon gives one to each device of a running domain; only those that begin with "ua-" are a
 * user's own, and belong to the definition. */

#define USER_ALIAS_PREFIX "ua-"

static bool alias_is_users(const char *alias) {
        return g_str_has_prefix(alias, USER_ALIAS_PREFIX) &&
               strspn(alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                       strlen(alias);
}

static int alias_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (!(mode & VB_XML_LIVE) && !alias_is_users(text))
                return 0;
        return vb_xml_string_parse(row, mode, text, field, ret_why);
}

static bool alias_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        const char *alias = *(char *const *) field;

        return alias && ((mode & VB_XML_LIVE) || alias_is_users(alias));
}

static const VbXmlType alias_type = { "name; a user's own begins with ua-", sizeof(char *), alias_parse,
                                      alias_is_set, vb_xml_string_format, true };

const VbXmlRow vb_alias_rows[] = {
        VB_XML_ATTRIBUTE("name", .type = &alias_type, .max = 255, VB_XML_FIELD(VbDeviceInfo, alias)),
        {},
};

/* USB ports: "1.2.3", each from 1. */

static int usb_port_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        uint8_t port[VB_USB_PORT_DEPTH_MAX] = {};
        const char *rest = text;

        for (size_t i = 0; i < VB_USB_PORT_DEPTH_MAX; i++) {
                unsigned number = 0;

                while (g_ascii_isdigit(*rest) && number <= UINT8_MAX)
                        number = number * 10 + (unsigned) (*rest++ - '0');
                if (number == 0 || number > UINT8_MAX)
                        break;
                port[i] = (uint8_t) number;
                if (*rest == '\0') {
                        memcpy(field, port, sizeof(port));
                        return 0;
                }
                if (*rest++ != '.')
                        break;
        }

        *ret_why = g_strdup("not a USB port like 1 or 1.2, four levels at most");
        return -EINVAL;
}

static bool usb_port_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return ((const uint8_t *) field)[0] != 0;
}

static void usb_port_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        const uint8_t *port = field;

        for (size_t i = 0; i < VB_USB_PORT_DEPTH_MAX && port[i] != 0; i++)
                g_string_append_printf(out, "%s%u", i > 0 ? "." : "", port[i]);
}

static const VbXmlType usb_port_type = { "port, or path of ports with dots between", VB_USB_PORT_DEPTH_MAX,
                                         usb_port_parse, usb_port_is_set, usb_port_format, false };

/* Addresses. Which attributes there are follows from the type. */

#define A(field) VB_XML_FIELD(VbDeviceInfo, address.field)
#define OF(name) VB_XML_WHEN(VbDeviceInfo, address.type, VB_XML_BIT(VB_ADDRESS_##name))
#define HEX(n) .flags = VB_XML_HEXADECIMAL | VB_XML_SHOWN_ALWAYS, .digits = (n)
#define DEC .flags = VB_XML_SHOWN_ALWAYS

const VbXmlRow vb_address_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_address_type), A(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "ccw spapr-vio virtio-s390 dimm unassigned xenbus usb-hub"),
        VB_XML_ATTRIBUTE("domain", VB_XML_UINT, A(pci.domain), OF(PCI), HEX(4), VB_XML_RANGE(0, 0xffff)),
        VB_XML_ATTRIBUTE("bus", VB_XML_UINT8, A(pci.bus), OF(PCI), HEX(2)),
        VB_XML_ATTRIBUTE("slot", VB_XML_UINT8, A(pci.slot), OF(PCI), HEX(2), VB_XML_RANGE(0, 0x1f)),
        VB_XML_ATTRIBUTE("function", VB_XML_UINT8, A(pci.function), OF(PCI), HEX(1), VB_XML_RANGE(0, 7)),
        VB_XML_ATTRIBUTE("multifunction", VB_XML_ON_OFF, A(pci.multifunction), OF(PCI)),

        VB_XML_ATTRIBUTE("controller", VB_XML_UINT, A(drive.controller), OF(DRIVE), DEC),
        VB_XML_ATTRIBUTE("bus", VB_XML_UINT, A(drive.bus), OF(DRIVE), DEC),
        VB_XML_ATTRIBUTE("target", VB_XML_UINT, A(drive.target), OF(DRIVE), DEC),
        VB_XML_ATTRIBUTE("unit", VB_XML_UINT, A(drive.unit), OF(DRIVE), DEC),

        VB_XML_ATTRIBUTE("controller", VB_XML_UINT, A(virtio_serial.controller), OF(VIRTIO_SERIAL), DEC),
        VB_XML_ATTRIBUTE("bus", VB_XML_UINT, A(virtio_serial.bus), OF(VIRTIO_SERIAL), DEC),
        VB_XML_ATTRIBUTE("port", VB_XML_UINT, A(virtio_serial.port), OF(VIRTIO_SERIAL), DEC),

        VB_XML_ATTRIBUTE("controller", VB_XML_UINT, A(ccid.controller), OF(CCID), DEC),
        VB_XML_ATTRIBUTE("slot", VB_XML_UINT, A(ccid.port), OF(CCID), DEC),

        VB_XML_ATTRIBUTE("bus", VB_XML_UINT, A(usb.bus), OF(USB), DEC),
        VB_XML_ATTRIBUTE("port", .type = &usb_port_type, A(usb.port), OF(USB)),

        VB_XML_ATTRIBUTE("iobase", VB_XML_UINT, A(isa.iobase), OF(ISA), .flags = VB_XML_HEXADECIMAL),
        VB_XML_ATTRIBUTE("irq", VB_XML_UINT, A(isa.irq), OF(ISA), .flags = VB_XML_HEXADECIMAL),

        VB_XML_UNBUILT_ATTRIBUTES("cssid devno reg ssid base"),
        VB_XML_UNBUILT_ELEMENTS("zpci"),
        {},
};

const VbXmlRow vb_boot_rows[] = {
        VB_XML_ATTRIBUTE("order", VB_XML_UINT, VB_XML_FIELD(VbDeviceInfo, boot_order), .flags = VB_XML_REQUIRED,
                         VB_XML_RANGE(1, INT32_MAX)),
        VB_XML_UNBUILT_ATTRIBUTES("loadparm"),
        {},
};

const VbXmlRow vb_acpi_rows[] = {
        VB_XML_ATTRIBUTE("index", VB_XML_UINT, VB_XML_FIELD(VbDeviceInfo, acpi_index), VB_XML_RANGE(1, 16383)),
        {},
};

static const VbXmlRow rom_rows[] = {
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, VB_XML_FIELD(VbRom, enabled)),
        VB_XML_ATTRIBUTE("bar", VB_XML_ON_OFF, VB_XML_FIELD(VbRom, bar)),
        VB_XML_ATTRIBUTE("file", VB_XML_STRING, VB_XML_FIELD(VbRom, file)),
        {},
};

const VbXmlTable vb_rom_table = { "rom", sizeof(VbRom), rom_rows };
