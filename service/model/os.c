/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <os>: what the machine is, and what it boots; and <sysinfo>, what its firmware tells the guest about
 * itself. */

#include "model/tables.h"

VB_STRING_TABLE(vb_boot_device, VbBootDevice, VB_BOOT_DEVICE_MAX,
                [VB_BOOT_FD] = "fd",
                [VB_BOOT_CDROM] = "cdrom",
                [VB_BOOT_HD] = "hd",
                [VB_BOOT_NETWORK] = "network")
VB_STRING_TABLE(vb_firmware, VbFirmware, VB_FIRMWARE_MAX,
                [VB_FIRMWARE_BIOS] = "bios",
                [VB_FIRMWARE_EFI] = "efi")
VB_STRING_TABLE(vb_firmware_feature, VbFirmwareFeatureName, VB_FIRMWARE_FEATURE_MAX,
                [VB_FIRMWARE_FEATURE_ENROLLED_KEYS] = "enrolled-keys",
                [VB_FIRMWARE_FEATURE_SECURE_BOOT] = "secure-boot")
VB_STRING_TABLE(vb_loader_type, VbLoaderType, VB_LOADER_TYPE_MAX,
                [VB_LOADER_ROM] = "rom",
                [VB_LOADER_PFLASH] = "pflash")
VB_STRING_TABLE(vb_smbios_mode, VbSmbiosMode, VB_SMBIOS_MODE_MAX,
                [VB_SMBIOS_EMULATE] = "emulate",
                [VB_SMBIOS_HOST] = "host",
                [VB_SMBIOS_SYSINFO] = "sysinfo")

#define F(field) VB_XML_FIELD(VbDomainDefinition, os.field)

#define CMDLINE_MAX 65536

static const VbXmlRow type_rows[] = {
        VB_XML_ATTRIBUTE("arch", VB_XML_STRING, F(arch), .max = 32),
        VB_XML_ATTRIBUTE("machine", VB_XML_STRING, F(machine), .max = 64),
        VB_XML_TEXT(VB_XML_STRING, F(type), .max = 16),
        {},
};

static const VbXmlRow feature_rows[] = {
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, VB_XML_FIELD(VbFirmwareFeature, enabled),
                         .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("name", VB_XML_ENUM(vb_firmware_feature), VB_XML_FIELD(VbFirmwareFeature, name),
                         .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable feature_table = { "feature", sizeof(VbFirmwareFeature), feature_rows };

static const VbXmlRow firmware_rows[] = {
        VB_XML_LIST("feature", feature_table, F(firmware_features), .max = 8),
        {},
};

static const VbXmlRow loader_rows[] = {
        VB_XML_ATTRIBUTE("readonly", VB_XML_YES_NO, F(loader_readonly)),
        VB_XML_ATTRIBUTE("secure", VB_XML_YES_NO, F(loader_secure)),
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_loader_type), F(loader_type)),
        VB_XML_ATTRIBUTE("stateless", VB_XML_YES_NO, F(loader_stateless)),
        VB_XML_TEXT(VB_XML_STRING, F(loader)),
        VB_XML_UNBUILT_ATTRIBUTES("format"),
        {},
};

static const VbXmlRow nvram_rows[] = {
        VB_XML_ATTRIBUTE("template", VB_XML_STRING, F(nvram_template)),
        VB_XML_TEXT(VB_XML_STRING, F(nvram)),
        VB_XML_UNBUILT_ATTRIBUTES("type format templateFormat"),
        VB_XML_UNBUILT_ELEMENTS("source"),
        {},
};

static const VbXmlRow boot_rows[] = {
        VB_XML_ATTRIBUTE("dev", VB_XML_ENUM(vb_boot_device), VB_XML_FIELD(VbBoot, device),
                         .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable boot_table = { "boot", sizeof(VbBoot), boot_rows };

static const VbXmlRow bootmenu_rows[] = {
        VB_XML_ATTRIBUTE("enable", VB_XML_YES_NO, F(bootmenu)),
        VB_XML_ATTRIBUTE("timeout", VB_XML_OPT_UINT, F(bootmenu_timeout), VB_XML_RANGE(0, 65535),
                         VB_XML_WHEN(VbDomainDefinition, os.bootmenu, VB_XML_BIT(VB_TRISTATE_YES))),
        {},
};

static const VbXmlRow bios_rows[] = {
        VB_XML_ATTRIBUTE("useserial", VB_XML_YES_NO, F(bios_useserial)),
        VB_XML_ATTRIBUTE("rebootTimeout", VB_XML_OPT_INT, F(bios_reboot_timeout), VB_XML_RANGE(-1, 65535)),
        {},
};

static const VbXmlRow smbios_rows[] = {
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_smbios_mode), F(smbios), .flags = VB_XML_REQUIRED),
        {},
};

const VbXmlRow vb_os_rows[] = {
        VB_XML_ATTRIBUTE("firmware", VB_XML_ENUM(vb_firmware), F(firmware)),
        VB_XML_GROUP("type", type_rows, .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("firmware", firmware_rows),
        VB_XML_GROUP("loader", loader_rows),
        VB_XML_GROUP("nvram", nvram_rows),
        VB_XML_VALUE("kernel", VB_XML_STRING, F(kernel)),
        VB_XML_VALUE("initrd", VB_XML_STRING, F(initrd)),
        VB_XML_VALUE("cmdline", VB_XML_STRING, F(cmdline), .max = CMDLINE_MAX),
        VB_XML_VALUE("dtb", VB_XML_STRING, F(dtb)),
        VB_XML_LIST("boot", boot_table, F(boot), .max = VB_BOOT_DEVICE_MAX - 1),
        VB_XML_GROUP("bootmenu", bootmenu_rows),
        VB_XML_GROUP("bios", bios_rows),
        VB_XML_GROUP("smbios", smbios_rows),
        VB_XML_UNBUILT_ELEMENTS("acpi init initarg initdir initenv initgroup inituser root shim varstore"),
        {},
};

/* <sysinfo> */

static const VbXmlRow entry_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_STRING, VB_XML_FIELD(VbSysinfoEntry, name), .max = 32),
        VB_XML_TEXT(VB_XML_STRING, VB_XML_FIELD(VbSysinfoEntry, value), .max = CMDLINE_MAX),
        {},
};

static const VbXmlTable entry_table = { "entry", sizeof(VbSysinfoEntry), entry_rows };

#define ENTRIES(name, field)                                                                             \
        static const VbXmlRow name##_rows[] = {                                                          \
                VB_XML_LIST("entry", entry_table, VB_XML_FIELD(VbSysinfo, field), .max = 64), {}         \
        }

ENTRIES(sysinfo_bios, bios);
ENTRIES(sysinfo_system, system);
ENTRIES(sysinfo_base_board, base_board);
ENTRIES(sysinfo_chassis, chassis);
ENTRIES(sysinfo_oem_strings, oem_strings);

static int smbios_type_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field,
                             char **ret_why) {
        if (g_str_equal(text, "smbios"))
                return 0;
        *ret_why = g_strdup("not smbios");
        return -EINVAL;
}

static bool smbios_type_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return true;
}

static void smbios_type_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, "smbios");
}

static const VbXmlType smbios_type = { "`smbios`",         0,    smbios_type_parse, smbios_type_is_set,
                                       smbios_type_format, false };

static const VbXmlRow sysinfo_rows[] = {
        VB_XML_ATTRIBUTE("type", .type = &smbios_type, VB_XML_FIELD(VbSysinfo, bios), .unbuilt = "fwcfg"),
        VB_XML_GROUP("bios", sysinfo_bios_rows),
        VB_XML_GROUP("system", sysinfo_system_rows),
        VB_XML_GROUP("baseBoard", sysinfo_base_board_rows),
        VB_XML_GROUP("chassis", sysinfo_chassis_rows),
        VB_XML_GROUP("oemStrings", sysinfo_oem_strings_rows),
        VB_XML_UNBUILT_ELEMENTS("entry processor memory_device"),
        {},
};

const VbXmlTable vb_sysinfo_table = { "sysinfo", sizeof(VbSysinfo), sysinfo_rows };
