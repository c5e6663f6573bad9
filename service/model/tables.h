/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables of the domain's parts, shared among the files of model/. */

#include "model/domain.h"
#include "xml/table.h"

extern const VbXmlTable vb_domain_table;

extern const VbXmlTable vb_clock_timer_table;
extern const VbXmlTable vb_cpu_table;
extern const VbXmlTable vb_features_table;
extern const VbXmlRow vb_clock_rows[]; /* of VbDomainDefinition */
extern const VbXmlRow vb_os_rows[];    /* of VbDomainDefinition */
extern const VbXmlTable vb_sysinfo_table;
extern const VbXmlTable vb_vcpu_table;
extern const VbXmlTable vb_iothread_table;
extern const VbXmlTable vb_cputune_table;
extern const VbXmlTable vb_memtune_table;
extern const VbXmlTable vb_blkiotune_table;
extern const VbXmlTable vb_numatune_table;
extern const VbXmlTable vb_commandline_table;

extern const VbXmlTable vb_disk_table;
extern const VbXmlTable vb_iotune_table;
extern const VbXmlTable vb_controller_table;
extern const VbXmlTable vb_lease_table;
extern const VbXmlTable vb_interface_table;
extern const VbXmlTable vb_serial_table;
extern const VbXmlTable vb_parallel_table;
extern const VbXmlTable vb_console_table;
extern const VbXmlTable vb_channel_table;
extern const VbXmlTable vb_redirdev_table;
extern const VbXmlTable vb_graphics_table;
extern const VbXmlTable vb_video_table;
extern const VbXmlTable vb_input_table;
extern const VbXmlTable vb_sound_table;
extern const VbXmlTable vb_audio_table;
extern const VbXmlTable vb_memballoon_table;
extern const VbXmlTable vb_rng_table;
extern const VbXmlTable vb_watchdog_table;
extern const VbXmlTable vb_panic_table;
extern const VbXmlTable vb_tpm_table;

/* Puts the disks of a definition that was just read into libvirt's order. */
void vb_disks_arrange(VbDomainDefinition *definition);
void vb_disks_guess_buses(VbDomainDefinition *definition);
/* The same for controllers. */
void vb_controllers_arrange(VbDomainDefinition *definition);

/* Completes <vcpus>, if it is there. */
int vb_vcpus_finish(VbDomainDefinition *definition, VbXmlReader *reader);

/* Completes <iothreadids>, if it is there. */
int vb_iothreads_finish(VbDomainDefinition *definition, VbXmlReader *reader);

/* A set of host CPUs, "0-3,7"; stored as a string in the shortest notation. */
extern const VbXmlType vb_xml_type_cpuset;
#define VB_XML_CPUSET .type = &vb_xml_type_cpuset

/* Rows for what every device has; info is its struct's first member. The kind of address is the device's own
 * business: it is checked where addresses are assigned. */
extern const VbXmlRow vb_alias_rows[];
extern const VbXmlRow vb_address_rows[];
extern const VbXmlRow vb_boot_rows[];
extern const VbXmlRow vb_acpi_rows[];
extern const VbXmlTable vb_rom_table;
#define VB_BOOT_ROW VB_XML_GROUP("boot", vb_boot_rows)
#define VB_ALIAS_ROW VB_XML_GROUP("alias", vb_alias_rows)
#define VB_ROM_ROW VB_XML_SINGLE("rom", vb_rom_table, VB_XML_FIELD(VbDeviceInfo, rom))
#define VB_ACPI_ROW VB_XML_GROUP("acpi", vb_acpi_rows)
#define VB_ADDRESS_ROW VB_XML_GROUP("address", vb_address_rows)

/* The attributes that all virtio devices' <driver> has; virtio is that member of the device's struct. */
#define VB_VIRTIO_OPTION_ROWS(Type)                                                          \
        VB_XML_ATTRIBUTE("iommu", VB_XML_ON_OFF, VB_XML_FIELD(Type, virtio.iommu)),          \
        VB_XML_ATTRIBUTE("ats", VB_XML_ON_OFF, VB_XML_FIELD(Type, virtio.ats)),              \
        VB_XML_ATTRIBUTE("packed", VB_XML_ON_OFF, VB_XML_FIELD(Type, virtio.packed)),        \
        VB_XML_ATTRIBUTE("page_per_vq", VB_XML_ON_OFF, VB_XML_FIELD(Type, virtio.page_per_vq))
