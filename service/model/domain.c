/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/domain.h"

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_domain_type, VbDomainType, VB_DOMAIN_TYPE_MAX,
                [VB_DOMAIN_TYPE_QEMU] = "qemu",
                [VB_DOMAIN_TYPE_KVM] = "kvm")
VB_STRING_TABLE(vb_lifecycle_action, VbLifecycleAction, VB_LIFECYCLE_MAX,
                [VB_LIFECYCLE_DESTROY] = "destroy",
                [VB_LIFECYCLE_RESTART] = "restart",
                [VB_LIFECYCLE_RENAME_RESTART] = "rename-restart",
                [VB_LIFECYCLE_PRESERVE] = "preserve",
                [VB_LIFECYCLE_COREDUMP_DESTROY] = "coredump-destroy",
                [VB_LIFECYCLE_COREDUMP_RESTART] = "coredump-restart")

#define F(field) VB_XML_FIELD(VbDomainDefinition, field)

#define TEXT_MAX 65536
#define METADATA_MAX (1024 * 1024)
#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define VIRTBUS_NAMESPACE "https://virtbus.org/schemas/domain/1.0"

/* <qemu:commandline> */

static const VbXmlRow arg_rows[] = {
        VB_XML_ATTRIBUTE("value", VB_XML_STRING, VB_XML_FIELD(VbCommandlineArg, value),
                         .flags = VB_XML_REQUIRED, .max = TEXT_MAX),
        {},
};

static const VbXmlRow env_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_STRING, VB_XML_FIELD(VbCommandlineEnv, name), .flags = VB_XML_REQUIRED,
                         .max = 255),
        VB_XML_ATTRIBUTE("value", VB_XML_STRING, VB_XML_FIELD(VbCommandlineEnv, value), .max = TEXT_MAX),
        {},
};

static int env_finish(void *item, VbXmlReader *reader) {
        const VbCommandlineEnv *env = item;

        for (const char *c = env->name; *c; c++)
                if (!g_ascii_isalnum(*c) && *c != '_')
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                           "name '%s': only letters, digits and '_' are allowed", env->name);
        if (env->name[0] == '\0' || g_ascii_isdigit(env->name[0]))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "name '%s': must begin with a letter or '_'",
                                   env->name);
        return 0;
}

static const VbXmlTable arg_table = { "arg", sizeof(VbCommandlineArg), arg_rows };
static const VbXmlTable env_table = { "env", sizeof(VbCommandlineEnv), env_rows, env_finish };

static const VbXmlRow commandline_rows[] = {
        VB_XML_LIST("qemu:arg", arg_table, VB_XML_FIELD(VbCommandline, args), .namespace_uri = QEMU_NAMESPACE),
        VB_XML_LIST("qemu:env", env_table, VB_XML_FIELD(VbCommandline, env), .namespace_uri = QEMU_NAMESPACE),
        {},
};

const VbXmlTable vb_commandline_table = { "commandline", sizeof(VbCommandline), commandline_rows };

/* <domain> */

static const VbXmlRow memory_attributes[] = {
        VB_XML_UNIT_ATTRIBUTE,
        VB_XML_UNBUILT_ATTRIBUTES("dumpCore"),
        {},
};

static const VbXmlRow vcpu_rows[] = {
        VB_XML_ATTRIBUTE("placement", VB_XML_ENUM(vb_vcpu_placement), F(vcpu_placement), .unbuilt = "auto"),
        VB_XML_ATTRIBUTE("cpuset", VB_XML_CPUSET, F(vcpu_cpuset)),
        VB_XML_ATTRIBUTE("current", VB_XML_OPT_UINT, F(vcpus_current), VB_XML_RANGE(1, VB_DOMAIN_VCPUS_MAX)),
        VB_XML_TEXT(VB_XML_UINT, F(vcpus), VB_XML_RANGE(1, VB_DOMAIN_VCPUS_MAX)),
        {},
};

static const VbXmlRow vcpus_rows[] = {
        VB_XML_LIST("vcpu", vb_vcpu_table, F(vcpu_list), .max = VB_DOMAIN_VCPUS_MAX),
        {},
};

static const VbXmlRow iothreadids_rows[] = {
        VB_XML_LIST("iothread", vb_iothread_table, F(iothread_ids), .max = VB_DOMAIN_IOTHREADS_MAX),
        {},
};

static const VbXmlRow suspend_to_mem_rows[] = {
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, F(suspend_to_mem)),
        {},
};

static const VbXmlRow suspend_to_disk_rows[] = {
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, F(suspend_to_disk)),
        {},
};

static const VbXmlRow pm_rows[] = {
        VB_XML_GROUP("suspend-to-mem", suspend_to_mem_rows),
        VB_XML_GROUP("suspend-to-disk", suspend_to_disk_rows),
        {},
};

static const VbXmlRow device_rows[] = {
        VB_XML_VALUE("emulator", VB_XML_STRING, F(emulator)),
        VB_XML_LIST("disk", vb_disk_table, F(disks)),
        VB_XML_LIST("controller", vb_controller_table, F(controllers)),
        VB_XML_LIST("lease", vb_lease_table, F(leases), .max = 64),
        VB_XML_LIST("interface", vb_interface_table, F(interfaces)),
        VB_XML_LIST("serial", vb_serial_table, F(serials), .max = 64),
        VB_XML_LIST("parallel", vb_parallel_table, F(parallels), .max = 64),
        VB_XML_LIST("console", vb_console_table, F(consoles), .max = 64),
        VB_XML_LIST("channel", vb_channel_table, F(channels)),
        VB_XML_LIST("input", vb_input_table, F(inputs), .max = 64),
        VB_XML_LIST("tpm", vb_tpm_table, F(tpms), .max = 1),
        VB_XML_LIST("graphics", vb_graphics_table, F(graphics), .max = 8),
        VB_XML_LIST("sound", vb_sound_table, F(sounds), .max = 64),
        VB_XML_LIST("audio", vb_audio_table, F(audios), .max = 64),
        VB_XML_LIST("video", vb_video_table, F(videos), .max = 32),
        VB_XML_LIST("redirdev", vb_redirdev_table, F(redirdevs), .max = 64),
        VB_XML_LIST("watchdog", vb_watchdog_table, F(watchdogs), .max = 1),
        VB_XML_LIST("memballoon", vb_memballoon_table, F(memballoons), .max = 1),
        VB_XML_LIST("rng", vb_rng_table, F(rngs), .max = 64),
        VB_XML_LIST("panic", vb_panic_table, F(panics), .max = 8),
        VB_XML_UNBUILT_ELEMENTS("crypto filesystem hostdev hub iommu memory nvram pstore redirfilter "
                                "shmem smartcard vsock"),
        {},
};

static const VbXmlRow owner_rows[] = {
        VB_XML_ATTRIBUTE("uid", VB_XML_OPT_UINT, F(owner), .flags = VB_XML_REQUIRED),
        {},
};

#define ON_SIGNALLED_WORDS \
        .words_mask = ~(VB_XML_BIT(VB_LIFECYCLE_COREDUMP_DESTROY) | VB_XML_BIT(VB_LIFECYCLE_COREDUMP_RESTART))

static const VbXmlRow domain_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_domain_type), F(type), .flags = VB_XML_REQUIRED,
                         .unbuilt = "xen lxc uml openvz test vmware hyperv vbox phyp parallels bhyve vz hvf"),
        VB_XML_ATTRIBUTE("id", VB_XML_OPT_INT, F(id), .flags = VB_XML_LIVE_ONLY),
        VB_XML_NAMESPACE("qemu", QEMU_NAMESPACE, F(commandline)),
        VB_XML_NAMESPACE("virtbus", VIRTBUS_NAMESPACE, F(owner.set), .flags = VB_XML_PRIVATE_ONLY),
        VB_XML_VALUE("name", VB_XML_STRING, F(name), .flags = VB_XML_REQUIRED),
        VB_XML_VALUE("uuid", VB_XML_UUID, F(uuid)),
        VB_XML_VALUE("title", VB_XML_STRING, F(title)),
        VB_XML_VALUE("description", VB_XML_STRING, F(description), .max = TEXT_MAX),
        VB_XML_RAW("metadata", F(metadata), .max = METADATA_MAX),
        VB_XML_SIZE("memory", F(memory), .flags = VB_XML_REQUIRED, .children = memory_attributes),
        VB_XML_SIZE("currentMemory", F(current_memory)),
        VB_XML_SINGLE("blkiotune", vb_blkiotune_table, F(blkiotune)),
        VB_XML_SINGLE("memtune", vb_memtune_table, F(memtune)),
        VB_XML_GROUP("vcpu", vcpu_rows),
        VB_XML_GROUP("vcpus", vcpus_rows),
        VB_XML_VALUE("iothreads", VB_XML_UINT, F(iothreads), VB_XML_RANGE(0, VB_DOMAIN_IOTHREADS_MAX)),
        VB_XML_GROUP("iothreadids", iothreadids_rows),
        VB_XML_SINGLE("cputune", vb_cputune_table, F(cputune)),
        VB_XML_SINGLE("numatune", vb_numatune_table, F(numatune)),
        VB_XML_SINGLE("sysinfo", vb_sysinfo_table, F(sysinfo)),
        VB_XML_GROUP("os", vb_os_rows, .flags = VB_XML_REQUIRED),
        VB_XML_SINGLE("features", vb_features_table, F(features)),
        VB_XML_SINGLE("cpu", vb_cpu_table, F(cpu)),
        VB_XML_GROUP("clock", vb_clock_rows),
        VB_XML_VALUE("on_poweroff", VB_XML_ENUM(vb_lifecycle_action), F(on_poweroff), ON_SIGNALLED_WORDS),
        VB_XML_VALUE("on_reboot", VB_XML_ENUM(vb_lifecycle_action), F(on_reboot), ON_SIGNALLED_WORDS),
        VB_XML_VALUE("on_crash", VB_XML_ENUM(vb_lifecycle_action), F(on_crash)),
        VB_XML_GROUP("pm", pm_rows),
        VB_XML_GROUP("devices", device_rows, .flags = VB_XML_SHOWN_ALWAYS),
        VB_XML_SINGLE("qemu:commandline", vb_commandline_table, F(commandline),
                      .namespace_uri = QEMU_NAMESPACE),
        VB_XML_GROUP("virtbus:owner", owner_rows, .flags = VB_XML_PRIVATE_ONLY,
                     .namespace_uri = VIRTBUS_NAMESPACE),
        VB_XML_UNBUILT_ELEMENTS(
                "genid maxMemory memoryBacking defaultiothread resource "
                "bootloader bootloader_args idmap keywrap launchSecurity on_lockfailure perf seclabel "
                "throttlegroups"),
        { .kind = VB_XML_KIND_UNBUILT_ELEMENTS,
          .name = "capabilities override deprecation",
          .namespace_uri = QEMU_NAMESPACE },
        {},
};

/* libvirt has them in this order, however they were given. */
static void sort_firmware_features(VbOs *os) {
        for (size_t i = 1; i < os->firmware_features.n; i++)
                for (size_t j = i; j > 0; j--) {
                        VbFirmwareFeature **pair = os->firmware_features.items + j - 1, *first = pair[0];

                        if (pair[0]->name <= pair[1]->name)
                                break;
                        pair[0] = pair[1];
                        pair[1] = first;
                }
}

/* Defaults that follow from the text alone. */
static int domain_finish(void *item, VbXmlReader *reader) {
        VbDomainDefinition *definition = item;
        VbClock *clock = &definition->clock;
        int r;

        if (definition->vcpus == 0)
                definition->vcpus = 1;
        if (definition->vcpus_current.set && definition->vcpus_current.value == definition->vcpus)
                definition->vcpus_current = (VbOptUint) {};
        r = vb_vcpus_finish(definition, reader);
        if (r >= 0)
                r = vb_iothreads_finish(definition, reader);
        if (r < 0)
                return r;
        if (definition->vcpu_placement == VB_VCPU_PLACEMENT_ABSENT)
                definition->vcpu_placement = VB_VCPU_PLACEMENT_STATIC;
        if (definition->current_memory == 0)
                definition->current_memory = definition->memory;

        if (!definition->os.type)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "<os> <type> is empty; write <type>hvm</type>");
        if (!g_str_equal(definition->os.type, "hvm"))
                return vb_xml_fail(reader, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                   "<os> <type>%s</type>: only hvm is supported", definition->os.type);

        /* What the daemon wrote itself has its order, and keeps it. */
        if (!(vb_xml_reader_mode(reader) & (VB_XML_LIVE | VB_XML_PRIVATE))) {
                vb_disks_arrange(definition);
                vb_controllers_arrange(definition);
        }
        vb_disks_guess_buses(definition);
        sort_firmware_features(&definition->os);

        if (clock->offset == VB_CLOCK_OFFSET_ABSENT)
                clock->offset = VB_CLOCK_OFFSET_UTC;
        if (clock->offset == VB_CLOCK_OFFSET_VARIABLE && clock->adjustment_reset)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "<clock offset='variable' adjustment='reset'>: not a number");
        if (clock->offset == VB_CLOCK_OFFSET_VARIABLE && !clock->adjustment.set)
                clock->adjustment = (VbOptInt) VB_OPT(0);
        if (clock->offset != VB_CLOCK_OFFSET_VARIABLE && clock->adjustment.set) {
                clock->basis = clock->offset == VB_CLOCK_OFFSET_LOCALTIME ? VB_CLOCK_BASIS_LOCALTIME
                                                                          : VB_CLOCK_BASIS_UTC;
                clock->offset = VB_CLOCK_OFFSET_VARIABLE;
        }

        if (definition->on_poweroff == VB_LIFECYCLE_ABSENT)
                definition->on_poweroff = VB_LIFECYCLE_DESTROY;
        if (definition->on_reboot == VB_LIFECYCLE_ABSENT)
                definition->on_reboot = VB_LIFECYCLE_RESTART;
        if (definition->on_crash == VB_LIFECYCLE_ABSENT)
                definition->on_crash = VB_LIFECYCLE_DESTROY;
        return 0;
}

const VbXmlTable vb_domain_table = { "domain", sizeof(VbDomainDefinition), domain_rows, domain_finish };

static VbXmlMode parse_mode(VbDomainParseFlags flags) {
        return (flags & VB_DOMAIN_PARSE_VALIDATE ? VB_XML_VALIDATE : 0) |
               (flags & VB_DOMAIN_PARSE_LIVE ? VB_XML_LIVE : 0) |
               (flags & VB_DOMAIN_PARSE_PRIVATE ? VB_XML_PRIVATE : 0);
}

static VbXmlMode format_mode(VbDomainFormatFlags flags) {
        return (flags & VB_DOMAIN_FORMAT_SECURE ? VB_XML_SECURE : 0) |
               (flags & VB_DOMAIN_FORMAT_INACTIVE ? 0 : VB_XML_LIVE) |
               (flags & VB_DOMAIN_FORMAT_MIGRATABLE ? VB_XML_MIGRATABLE : 0) |
               (flags & VB_DOMAIN_FORMAT_PRIVATE ? VB_XML_PRIVATE : 0);
}

int vb_domain_definition_parse(VbDomainDefinition **ret,
                               const char *xml,
                               size_t length,
                               VbDomainParseFlags flags,
                               sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        void *item = NULL;
        int r;

        r = vb_xml_parse(&vb_domain_table, xml, length, parse_mode(flags), &item, reterr);
        if (r < 0)
                return r;
        definition = item;

        r = vb_domain_definition_check(definition, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&definition);
        return 0;
}

char *vb_domain_definition_format(const VbDomainDefinition *definition, VbDomainFormatFlags flags) {
        return vb_xml_format(&vb_domain_table, definition, format_mode(flags));
}

VbDomainDefinition *vb_domain_definition_copy(const VbDomainDefinition *definition) {
        return vb_xml_copy(&vb_domain_table, definition);
}

VbDomainDefinition *vb_domain_definition_free(VbDomainDefinition *definition) {
        return vb_xml_free(&vb_domain_table, definition);
}
