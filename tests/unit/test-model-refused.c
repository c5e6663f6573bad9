/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions that are broken, hostile or ask for what there is not: each gets its own complaint. */

#include "base/error.h"
#include "domain-host.h"
#include "model/domain.h"
#include "test-util.h"

#define BEFORE "<domain type='qemu'>\n<name>a</name>\n<memory>65536</memory>\n<os>\n<type>hvm</type>\n</os>\n"
#define AFTER "</domain>\n"
#define DEVICES(text) BEFORE "<devices>\n" text "</devices>\n" AFTER /* text begins in line 8 */
#define TOP(text) BEFORE text AFTER                                  /* text begins in line 7 */
#define DISK(inside) "<disk type='file'>\n<source file='/a'/>\n" inside "</disk>\n"
#define LEASE(lockspace, key, path, offset) \
        "<lease>\n" lockspace "<key>" key "</key>\n<target path='" path "' offset='" offset "'/>\n</lease>\n"
#define TARGET(name) DISK("<target dev='" name "'/>\n")

typedef struct Case {
        const char *name;
        const char *xml;
        const char *error; /* the last part of its name */
        const char *message;
        VbDomainParseFlags flags;
} Case;

#define XML "InvalidXML"
#define UNSUPPORTED "UnsupportedConfiguration"
#define LIMIT "LimitExceeded"

static const Case cases[] = {
        /* Not XML, or hostile to the reader */
        { "empty", "", XML, "line 1: the document is empty" },
        { "text", "hello", XML, "line 1: not well-formed: Start tag expected, '<' not found" },
        { "unclosed", "<domain type='qemu'>\n<name>a", XML, "line 2: not well-formed: *" },
        { "other-root", "<network/>", XML, "line 1: <network>: the root element must be <domain>" },
        { "root-in-namespace", "<domain xmlns='http://a/'/>", XML, "line 1: <domain>: the root element must be <domain>" },
        { "latin-1", "<domain type='qemu'>\n<name>\xe4</name></domain>", XML, "line 2: not UTF-8 text" },
        { "entity-bomb",
          "<?xml version='1.0'?>\n<!DOCTYPE d [\n<!ENTITY a 'aaaaaaaaaa'>\n<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>\n]>\n"
          "<domain type='qemu'><name>&b;</name></domain>",
          XML, "line 2: a document type declaration (<!DOCTYPE>) is not allowed" },
        { "external-entity",
          "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain type='qemu'><name>&x;</name></domain>", XML,
          "line 1: a document type declaration (<!DOCTYPE>) is not allowed" },
        { "external-subset", "<!DOCTYPE d SYSTEM 'http://192.0.2.1/d.dtd'><domain/>", XML,
          "line 1: a document type declaration (<!DOCTYPE>) is not allowed" },
        { "unknown-entity", TOP("<title>&x;</title>\n"), XML, "line 7: not well-formed: Entity 'x' not defined" },
        { "xinclude", TOP("<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>\n"), XML,
          "line 7: <include>: this element has no place here", VB_DOMAIN_PARSE_VALIDATE },
        { "attribute-twice", "<domain type='qemu' type='kvm'/>", XML, "line 1: not well-formed: Attribute type redefined" },

        /* What is missing, stands twice, or is not known */
        { "no-type", "<domain/>", XML, "line 1: <domain type>: this attribute is missing" },
        { "no-name", "<domain type='qemu'><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "line 1: <domain>: <name> is missing in it" },
        { "no-memory", "<domain type='qemu'><name>a</name><os><type>hvm</type></os></domain>", XML,
          "line 1: <domain>: <memory> is missing in it" },
        { "no-os", "<domain type='qemu'><name>a</name><memory>1</memory></domain>", XML,
          "line 1: <domain>: <os> is missing in it" },
        { "os-type", "<domain type='qemu'><name>a</name><memory>1</memory><os><type>exe</type></os></domain>", UNSUPPORTED,
          "line 1: <domain>: <os> <type>exe</type>: only hvm is supported" },
        { "name-twice", TOP("<name>b</name>\n"), XML, "line 7: <name>: may stand here only once" },
        { "group-twice", TOP("<pm/>\n<pm/>\n"), XML, "line 8: <pm>: may stand here only once" },
        { "unknown-element", TOP("<frob/>\n"), XML, "line 7: <frob>: this element has no place here",
          VB_DOMAIN_PARSE_VALIDATE },
        { "unknown-attribute", TOP("<pm frob='1'/>\n"), XML, "line 7: <pm frob='1'>: this attribute has no place here",
          VB_DOMAIN_PARSE_VALIDATE },
        { "attribute-of-other-type", DEVICES("<interface type='user'>\n<target managed='no'/>\n</interface>\n"), XML,
          "line 9: <target managed='no'>: this attribute has no place here", VB_DOMAIN_PARSE_VALIDATE },

        /* Names */
        { "name-empty", "<domain type='qemu'><name/><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "line 1: <name>: is empty" },
        { "name-slash", "<domain type='qemu'><name>a/b</name><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "domain name 'a/b': must not contain '/'" },
        { "name-parent", "<domain type='qemu'><name>../../etc/cron.d/x</name><memory>1</memory><os><type>hvm</type></os></domain>",
          XML, "domain name '../../etc/cron.d/x': must not begin with a dot" },
        { "name-dot", "<domain type='qemu'><name>.</name><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "domain name '.': must not begin with a dot" },
        { "name-line-break", "<domain type='qemu'><name>a\nb</name><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "domain name: must not contain line breaks and other control characters" },
        { "name-blank", "<domain type='qemu'><name>&#32; </name><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "domain name: must not be blank" },
        { "name-control", "<domain type='qemu'><name>a&#x85;b</name><memory>1</memory><os><type>hvm</type></os></domain>", XML,
          "domain name: must not contain line breaks and other control characters" },
        { "title-lines", TOP("<title>a\nb</title>\n"), XML, "<title>: must be one line" },

        /* Numbers and sizes */
        { "memory-zero", "<domain type='qemu'><name>a</name><memory>0</memory><os><type>hvm</type></os></domain>", XML,
          "<memory>: must not be 0" },
        { "memory-negative", "<domain type='qemu'><name>a</name>\n<memory>-1</memory><os><type>hvm</type></os></domain>", XML,
          "line 2: <memory> '-1': not a number" },
        { "memory-overflow",
          "<domain type='qemu'><name>a</name>\n<memory unit='EiB'>99999999999</memory><os><type>hvm</type></os></domain>", XML,
          "line 2: <memory> '99999999999': too large" },
        { "memory-overflow-number",
          "<domain type='qemu'><name>a</name>\n<memory>18446744073709551616</memory><os><type>hvm</type></os></domain>", XML,
          "line 2: <memory> '18446744073709551616': not a number" },
        { "memory-unit", "<domain type='qemu'><name>a</name>\n<memory unit='lots'>1</memory><os><type>hvm</type></os></domain>",
          XML, "line 2: <memory> '1': unknown unit 'lots'; bytes, KiB, MiB, GiB, TiB, KB, MB, … are known" },
        { "memory-current", TOP("<currentMemory>65537</currentMemory>\n"), XML,
          "<currentMemory>: 65537 KiB is more than <memory>, 65536 KiB" },
        { "vcpu-zero", TOP("<vcpu>0</vcpu>\n"), XML, "line 7: <vcpu> '0': not a number from 1 to 4096" },
        { "vcpu-negative", TOP("<vcpu>-1</vcpu>\n"), XML, "line 7: <vcpu> '-1': not a number from 1 to 4096" },
        { "vcpu-many", TOP("<vcpu>4097</vcpu>\n"), XML, "line 7: <vcpu> '4097': not a number from 1 to 4096" },
        { "vcpu-current", TOP("<vcpu current='3'>2</vcpu>\n"), XML, "<vcpu current='3'>: more than the 2 there are" },
        { "vcpu-hexadecimal", TOP("<vcpu>0x2</vcpu>\n"), XML, "line 7: <vcpu> '0x2': not a number from 1 to 4096" },
        { "cpuset", TOP("<vcpu cpuset='0-'>2</vcpu>\n"), XML,
          "line 7: <vcpu cpuset='0-'>: not a set of CPUs like 0-3,^2,7" },
        { "cpuset-empty", TOP("<vcpu cpuset='1,^1'>2</vcpu>\n"), XML,
          "line 7: <vcpu cpuset='1,^1'>: not a set of CPUs like 0-3,^2,7" },
        { "cpuset-huge", TOP("<vcpu cpuset='0-99999999999'>2</vcpu>\n"), XML,
          "line 7: <vcpu cpuset='0-99999999999'>: not a set of CPUs like 0-3,^2,7" },
        { "quota", TOP("<cputune>\n<quota>-9223372036854775809</quota>\n</cputune>\n"), XML,
          "line 8: <quota> '-9223372036854775809': not a number from -1 to 17592186044415" },
        { "pin-twice", TOP("<vcpu>2</vcpu><cputune><vcpupin vcpu='1' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/></cputune>\n"),
          XML, "<vcpupin vcpu='1'>: told twice" },
        { "topology", TOP("<vcpu>3</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>\n"), XML,
          "<topology>: 1 sockets of 1 dies of 2 cores of 1 threads are not <vcpu>, 3" },
        { "uuid", TOP("<uuid>1234</uuid>\n"), XML,
          "line 7: <uuid> '1234': not a UUID like 68f8b4c8-5a3b-4d4b-9dd3-0e7ab58cf0b4" },

        /* CPU and command line: parts of QEMU's arguments */
        { "cpu-model-comma", TOP("<cpu>\n<model>qemu64,+vmx</model>\n</cpu>\n"), XML,
          "line 8: <model> 'qemu64,+vmx': not a name of letters, digits, '_', '.', '+' and '-'" },
        { "cpu-feature-comma", TOP("<cpu mode='maximum'>\n<feature name='a,b'/>\n</cpu>\n"), XML,
          "line 8: <feature name='a,b'>: not a name of letters, digits, '_', '.', '+' and '-'" },
        { "cpu-feature-twice", TOP("<cpu mode='maximum'>\n<feature name='a'/><feature name='a'/>\n</cpu>\n"), XML,
          "line 7: <cpu>: feature 'a' is told twice" },
        { "cpu-no-model", TOP("<cpu mode='custom'/>\n"), XML, "line 7: <cpu>: mode 'custom' needs a <model>" },
        { "environment",
          TOP("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
              "<qemu:env name='A=B' value='x'/>\n</qemu:commandline>\n"),
          XML, "line 8: <env>: name 'A=B': only letters, digits and '_' are allowed" },
        { "hyperv-vendor", TOP("<features>\n<hyperv>\n<vendor_id state='on' value='a,b'/>\n</hyperv>\n</features>\n"), XML,
          "line 8: <hyperv>: vendor_id 'a,b': a comma is not allowed" },

        /* Disks */
        { "disk-bus", DEVICES(DISK("<target dev='vda' bus='foo'/>\n")), XML,
          "line 10: <target bus='foo'>: not one of ide, fdc, scsi, virtio, usb, sata, sd" },
        { "disk-no-target", DEVICES(DISK("")), XML, "line 8: <disk>: <target> is missing in it" },
        { "disk-target", DEVICES(TARGET("../vda")), XML,
          "line 8: <disk>: target '../vda': not a device name like vda, sdb, hdc or fda" },
        { "disk-target-twice", DEVICES(TARGET("vda") TARGET("vda")), XML, "target 'vda': two disks have it" },
        { "disk-no-source", DEVICES("<disk type='file'><target dev='vda'/></disk>\n"), XML,
          "line 8: <disk>: disk 'vda' has no source; only cdrom and floppy may be empty" },
        { "disk-network", DEVICES("<disk type='network'><target dev='vda'/></disk>\n"), UNSUPPORTED,
          "line 8: <disk type='network'>: not supported by virtbus yet" },
        { "disk-format", DEVICES(DISK("<driver name='qemu' type='vmdk'/>\n<target dev='vda'/>\n")), UNSUPPORTED,
          "line 10: <driver type='vmdk'>: not supported by virtbus yet" },
        { "disk-format-unknown", DEVICES(DISK("<driver name='qemu' type='xyz'/>\n<target dev='vda'/>\n")), XML,
          "line 10: <driver type='xyz'>: not one of raw, qcow2" },
        { "disk-iothread", DEVICES(DISK("<driver name='qemu' iothread='1'/>\n<target dev='vda'/>\n")), "InvalidXML",
          "disk 'vda': there is no I/O thread 1 (<iothreads>)" },
        { "disk-encryption", DEVICES(DISK("<target dev='vda'/>\n<encryption format='luks'/>\n")), UNSUPPORTED,
          "line 11: <encryption>: not supported by virtbus yet" },
        { "disk-native", DEVICES(DISK("<driver io='native'/>\n<target dev='vda'/>\n")), UNSUPPORTED,
          "disk 'vda': io 'native' needs cache 'none' or 'directsync'" },
        { "disk-wwn", DEVICES(DISK("<target dev='sda'/>\n<wwn>xyz</wwn>\n")), XML,
          "line 8: <disk>: wwn 'xyz': not 16 hexadecimal digits" },
        { "disk-iotune",
          DEVICES(DISK("<target dev='sda'/>\n<iotune>\n<total_iops_sec>1</total_iops_sec>\n<read_iops_sec>1</read_iops_sec>\n"
                       "</iotune>\n")),
          XML, "line 11: <iotune>: a total and a read or write limit exclude each other" },
        { "cdrom-virtio", DEVICES("<disk device='cdrom'><target dev='vda' bus='virtio'/></disk>\n"), UNSUPPORTED,
          "disk 'vda': there is no virtio cdrom; sata, scsi, ide and usb have one" },
        { "backing-without-file", DEVICES(DISK("<backingStore type='file'/>\n<target dev='vda'/>\n")), XML,
          "line 10: <backingStore>: <source> names no file" },

        /* Other devices */
        { "controller-twice",
          DEVICES("<controller type='scsi' index='1'/>\n<controller type='scsi' index='1'/>\n"), XML,
          "<controller type='scsi' index='1'>: told twice" },
        { "controller-model", DEVICES("<controller type='scsi' model='qemu-xhci'/>\n"), XML,
          "line 8: <controller>: model 'qemu-xhci' is none of type 'scsi'" },
        { "controller-index", DEVICES("<controller type='scsi' index='256'/>\n"), XML,
          "line 8: <controller index='256'>: not a number from 0 to 255" },
        { "interface-network", DEVICES("<interface type='network'>\n<source network='default'/>\n</interface>\n"),
          UNSUPPORTED, "line 8: <interface type='network'>: not supported by virtbus yet" },
        { "interface-mac", DEVICES("<interface type='user'>\n<mac address='52:54:00:12:34'/>\n</interface>\n"), XML,
          "line 9: <mac address='52:54:00:12:34'>: not a MAC address like 52:54:00:12:34:56" },
        { "interface-multicast", DEVICES("<interface type='user'>\n<mac address='53:54:00:12:34:56'/>\n</interface>\n"),
          XML, "line 9: <mac address='53:54:00:12:34:56'>: a multicast address, not that of one card" },
        { "interface-mac-twice",
          DEVICES("<interface type='user'><mac address='52:54:00:12:34:56'/></interface>\n"
                  "<interface type='user'><mac address='52:54:00:12:34:56'/></interface>\n"),
          XML, "<mac address='52:54:00:12:34:56'/>: two interfaces have it" },
        { "interface-no-bridge", DEVICES("<interface type='bridge'/>\n"), XML,
          "line 8: <interface>: <source> is missing in it" },
        { "interface-bridge-long",
          DEVICES("<interface type='bridge'>\n<source bridge='a234567890123456'/>\n</interface>\n"), XML,
          "line 9: <source bridge='a234567890123456'>: longer than 15 bytes" },
        { "interface-bridge-path", DEVICES("<interface type='bridge'>\n<source bridge='../x'/>\n</interface>\n"), XML,
          "line 8: <interface>: bridge '../x': not a network interface's name" },
        { "interface-model",
          DEVICES("<interface type='user'>\n<model type='virtio,id=x'/>\n</interface>\n"), XML,
          "line 8: <interface>: model 'virtio,id=x': not a device's name" },
        { "interface-script", DEVICES("<interface type='ethernet'>\n<script path='/bin/sh'/>\n</interface>\n"), UNSUPPORTED,
          "line 9: <script>: not supported by virtbus yet" },
        { "interface-floor",
          DEVICES("<interface type='user'>\n<bandwidth>\n<inbound average='1' floor='1'/></bandwidth></interface>\n"), UNSUPPORTED,
          "line 10: <inbound>: floor attribute is supported only for inbound of interfaces of type network" },
        { "interface-no-average",
          DEVICES("<interface type='user'>\n<bandwidth>\n<outbound peak='1'/></bandwidth></interface>\n"), XML,
          "line 10: <outbound average>: this attribute is missing" },
        { "interface-peak-of-nothing",
          DEVICES("<interface type='user'>\n<bandwidth>\n<inbound average='0' peak='5'/></bandwidth></interface>\n"), XML,
          "line 10: <inbound>: 'peak' and 'burst' require 'average' attribute" },
        { "interface-average",
          DEVICES("<interface type='user'>\n<bandwidth>\n<inbound average='-1'/></bandwidth></interface>\n"), XML,
          "line 10: <inbound average='-1'>: not a number from 0 to 4294967295" },
        { "interface-ip", DEVICES("<interface type='user'>\n<ip address='10.0.0.256'/>\n</interface>\n"), XML,
          "line 9: <ip>: address '10.0.0.256': not an ipv4 address" },
        { "boot-order-twice",
          DEVICES("<interface type='user'><boot order='1'/></interface>\n<interface type='user'><boot order='1'/></interface>\n"),
          XML, "<boot order='1'/>: two devices have it" },
        { "boot-order-zero", DEVICES("<interface type='user'>\n<boot order='0'/></interface>\n"), XML,
          "line 9: <boot order='0'>: not a number from 1 to 2147483647" },
        { "boot-both",
          "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type><boot dev='hd'/></os><devices>"
          "<interface type='user'><boot order='1'/></interface></devices></domain>",
          XML, "<interface>: <boot order='1'/> and <boot dev='…'/> in <os> exclude each other" },
        { "alias-twice",
          DEVICES("<interface type='user'><alias name='ua-a'/></interface>\n<interface type='user'><alias name='ua-a'/></interface>\n"),
          XML, "alias 'ua-a': two devices have it" },
        { "serial-file", DEVICES("<serial type='file'/>\n"), XML, "line 8: <serial>: type 'file' needs <source path='…'/>" },
        { "serial-udp", DEVICES("<serial type='udp'/>\n"), UNSUPPORTED,
          "line 8: <serial type='udp'>: not supported by virtbus yet" },
        { "graphics-twice", DEVICES("<graphics type='vnc'/><graphics type='vnc'/>\n"), UNSUPPORTED,
          "<graphics type='vnc'>: at most one of a type is supported" },
        { "graphics-port", DEVICES("<graphics type='vnc' port='65536'/>\n"), XML,
          "line 8: <graphics port='65536'>: not a number from -1 to 65535" },
        { "graphics-listen", DEVICES("<graphics type='vnc' listen='::1'>\n<listen type='address' address='::2'/></graphics>\n"),
          XML, "line 8: <graphics>: the first <listen> and the attribute listen differ" },
        { "graphics-valid-to", DEVICES("<graphics type='vnc' passwd='x' passwdValidTo='tomorrow'/>\n"), XML,
          "line 8: <graphics passwdValidTo='tomorrow'>: not a UTC time like 2026-11-30T15:51:00" },
        { "video-primary",
          DEVICES("<video><model type='vga' primary='yes'/></video><video><model type='vga' primary='yes'/></video>\n"), XML,
          "<video>: at most one can be the primary one" },
        { "lease-no-key", DEVICES("<lease>\n<target path='/srv/a'/>\n</lease>\n"), XML, "line 8: <lease>: <key> is missing in it" },
        { "lease-no-target", DEVICES("<lease>\n<key>a</key>\n</lease>\n"), XML, "line 8: <lease>: <target> is missing in it" },
        { "lease-no-path", DEVICES("<lease>\n<key>a</key>\n<target offset='0'/>\n</lease>\n"), XML,
          "line 10: <target path>: this attribute is missing" },
        { "lease-relative", DEVICES(LEASE("", "a", "srv/a", "0")), XML,
          "line 8: <lease>: <target path='srv/a'>: must be an absolute path" },
        { "lease-key-path", DEVICES(LEASE("", "../../etc/shadow", "/srv/a", "0")), XML,
          "line 8: <lease>: <key>../../etc/shadow: must be a name, not a path" },
        { "lease-key-parent", DEVICES(LEASE("", "..", "/srv/a", "0")), XML,
          "line 8: <lease>: <key>..: must be a name, not a path" },
        { "lease-key-control", DEVICES(LEASE("", "a&#10;b", "/srv/a", "0")), XML,
          "line 8: <lease>: <key>: must not contain line breaks and other control characters" },
        { "lease-lockspace-path", DEVICES(LEASE("<lockspace>/</lockspace>\n", "a", "/srv/a", "0")), XML,
          "line 8: <lease>: <lockspace>/: must be a name, not a path" },
        { "lease-offset", DEVICES(LEASE("", "a", "/srv/a", "9223372036854775808")), XML,
          "line 10: <target offset='9223372036854775808'>: not a number from 0 to 9223372036854775807" },
        { "lease-twice", DEVICES(LEASE("", "a", "/srv/a", "0") LEASE("", "a", "/srv/a", "0")), XML,
          "<lease>: key 'a' of '/srv/a' is told twice" },
        { "watchdogs", DEVICES("<watchdog model='ib700'/>\n<watchdog model='i6300esb'/>\n"), LIMIT,
          "line 9: <watchdog>: more than 1 of them" },
        { "usb-port", DEVICES("<input type='tablet' bus='usb'>\n<address type='usb' bus='0' port='1..2'/></input>\n"), XML,
          "line 9: <address port='1..2'>: not a USB port like 1 or 1.2, four levels at most" },
        { "pci-slot", DEVICES("<video>\n<address type='pci' slot='0x20'/></video>\n"), XML,
          "line 9: <address slot='0x20'>: not a number from 0 to 0x1f" },

        /* Known to the format, not built */
        { "hostdev", DEVICES("<hostdev mode='subsystem' type='pci'/>\n"), UNSUPPORTED,
          "line 8: <hostdev>: not supported by virtbus yet" },
        { "filesystem", DEVICES("<filesystem/>\n"), UNSUPPORTED, "line 8: <filesystem>: not supported by virtbus yet" },
        { "memory-backing", TOP("<memoryBacking/>\n"), UNSUPPORTED, "line 7: <memoryBacking>: not supported by virtbus yet" },
        { "seclabel", TOP("<seclabel type='none'/>\n"), UNSUPPORTED, "line 7: <seclabel>: not supported by virtbus yet" },
        { "xen", "<domain type='xen'/>", UNSUPPORTED, "line 1: <domain type='xen'>: not supported by virtbus yet" },
        { "numa", TOP("<cpu>\n<numa/>\n</cpu>\n"), UNSUPPORTED, "line 8: <numa>: not supported by virtbus yet" },
        { "qemu-override",
          TOP("<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>\n"), UNSUPPORTED,
          "line 7: <override>: not supported by virtbus yet" },
        { "preserve", TOP("<on_reboot>preserve</on_reboot>\n"), UNSUPPORTED, "<on_poweroff> and <on_reboot>: *" },
};

static void test_case(const void *data) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *name = NULL;
        const Case *c = data;
        int r;

        r = vb_domain_definition_parse(&definition, c->xml, strlen(c->xml), c->flags, &error);
        g_assert_cmpint(r, <, 0);
        g_assert_null(definition);

        name = g_strconcat("org.virtbus.Error.", c->error, NULL);
        if (!g_pattern_match_simple(c->message, error.message))
                g_assert_cmpstr(error.message, ==, c->message);
        g_assert_cmpstr(error.name, ==, name);
        g_assert_cmpint(r, ==, -sd_bus_error_get_errno(&error));
}

/* What is dropped without a word, as libvirt does. */
static void test_dropped(void) {
        static const char *const texts[] = {
                TOP("<frob a='1'><b/></frob>\n"),
                TOP("<pm frob='1'/>\n"),
                TOP("<x:y xmlns:x='http://example.com/'/>\n"),
                DEVICES("<frob/>\n"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(VbDomainDefinition) definition = NULL;
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                g_assert_cmpint(vb_domain_definition_parse(&definition, texts[i], strlen(texts[i]), 0, &error), ==, 0);
                g_assert_nonnull(definition);
        }
}

/* What becomes clear only when places are given. */
static const Case place_cases[] = {
        { "drive-twice",
          DEVICES(DISK("<target dev='sda' bus='sata'/>\n")
                          DISK("<target dev='sdb' bus='sata'/><address type='drive' controller='0' bus='0' unit='0'/>\n")),
          UNSUPPORTED, "disk 'sdb': another disk is at its place on bus 'sata'" },
        { "drive-unit", DEVICES(DISK("<target dev='sda' bus='sata'/><address type='drive' unit='6'/>\n")), UNSUPPORTED,
          "disk 'sda': bus 'sata' has no place controller 0 bus 0 target 0 unit 6" },
        { "drive-for-virtio", DEVICES(DISK("<target dev='vda'/><address type='drive'/>\n")), UNSUPPORTED,
          "disk 'vda': on bus 'virtio' an address of type 'pci' is wanted, not 'drive'" },
        { "pci-for-ide", DEVICES(DISK("<target dev='hda'/><address type='pci' slot='5'/>\n")), UNSUPPORTED,
          "disk 'hda': on bus 'ide' an address of type 'drive' is wanted, not 'pci'" },
        { "pci-twice",
          DEVICES("<interface type='user'><address type='pci' slot='5'/></interface>\n"
                  "<interface type='user'><address type='pci' slot='5'/></interface>\n"),
          UNSUPPORTED, "<interface>: PCI address 0000:00:05.0: another device has it" },
        { "pci-domain", DEVICES("<interface type='user'><address type='pci' domain='1' slot='5'/></interface>\n"),
          UNSUPPORTED, "<interface>: PCI domain 1: there is only domain 0" },
        { "pci-bus-slot", DEVICES("<interface type='user'><address type='pci' bus='1' slot='0'/></interface>\n"),
          UNSUPPORTED, "<interface>: PCI bus 1 has the slots 1 to 31, and not slot 0" },
        { "pci-root", DEVICES("<controller type='pci' index='0' model='pcie-root'/>\n"), UNSUPPORTED,
          "<controller type='pci' index='0'>: machine 'pc-i440fx-7.2' has model 'pci-root' there, not 'pcie-root'" },
        { "usb-full",
          DEVICES("<input type='tablet'/><input type='mouse' bus='usb'/><input type='keyboard' bus='usb'/>\n"), UNSUPPORTED,
          "<input>: no USB port is left; a controller of model qemu-xhci has up to 15 (ports='15')" },
        { "usb-twice",
          DEVICES("<input type='tablet'><address type='usb' bus='0' port='1'/></input>\n"
                  "<input type='mouse' bus='usb'><address type='usb' bus='0' port='1'/></input>\n"),
          UNSUPPORTED, "<input>: USB bus 0 port 1: another device has it" },
        { "serial-port-twice",
          DEVICES("<channel type='pty'><target type='virtio'/><address type='virtio-serial' controller='0' bus='0' port='1'/>"
                  "</channel><channel type='pty'><target type='virtio'/>"
                  "<address type='virtio-serial' controller='0' bus='0' port='1'/></channel>\n"),
          UNSUPPORTED, "virtio-serial controller 0 port 1: two devices want it" },
};

static void test_place(const void *data) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const Case *c = data;

        if (vb_domain_definition_parse(&definition, c->xml, strlen(c->xml), 0, &error) < 0)
                g_error("%s", error.message);
        g_assert_cmpint(vb_domain_definition_complete(definition, &test_host, &error), <, 0);
        g_assert_cmpstr(error.message, ==, c->message);
}

/* Sizes. */

static void assert_limit(const char *xml, size_t length, const char *message) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        uint64_t start = test_cpu_usec();

        g_assert_cmpint(vb_domain_definition_parse(&definition, xml, length, 0, &error), <, 0);
        if (!g_pattern_match_simple(message, error.message))
                g_assert_cmpstr(error.message, ==, message);
        g_assert_cmpuint(test_cpu_usec() - start, <, 10 * G_USEC_PER_SEC);
}

static char *repeated(const char *before, const char *text, size_t n, const char *after) {
        GString *out = g_string_new(before);

        for (size_t i = 0; i < n; i++)
                g_string_append(out, text);
        g_string_append(out, after);
        return g_string_free(out, FALSE);
}

static void test_huge(void) {
        g_autofree char *big = g_strnfill(2 * 1024 * 1024 + 1, ' '),
                        *deep = repeated("", "<a>", 100000, ""),
                        *deep_closed = repeated("<domain type='qemu'>", "<a>", 64, ""),
                        *many = repeated("<domain type='qemu'>", "<a/>", 70000, "</domain>"),
                        *attributes = repeated("<domain ", "a='1' ", 100000, "/>"),
                        *spaced = repeated("<domain ", "a = \"1\" ", 100000, "/>"),
                        *name = repeated("<domain type='qemu'><name>", "a", 251,
                                         "</name><memory>1</memory><os><type>hvm</type></os></domain>"),
                        *element = repeated("<", "a", 60000, "/>"),
                        *disks = repeated(BEFORE "<devices>", "<rng model='virtio'><backend model='builtin'/></rng>", 65,
                                          "</devices>" AFTER),
                        *key = repeated(BEFORE "<devices><lease><key>", "a", VB_LEASE_NAME_MAX + 1,
                                        "</key><target path='/a'/></lease></devices>" AFTER),
                        *namespaces = repeated("<domain type='qemu'>", "<a xmlns:a='a' xmlns:b='b'><b/>", 62, "");

        assert_limit(big, strlen(big), "line 1: the document has 2097153 bytes, at most 2097152 are allowed");
        assert_limit(deep, strlen(deep), "line 1: elements are nested too deeply (at most 64 levels)");
        assert_limit(deep_closed, strlen(deep_closed), "line 1: elements are nested too deeply (at most 64 levels)");
        assert_limit(many, strlen(many), "line 1: too many elements (at most 65536)");
        assert_limit(attributes, strlen(attributes), "line 1: an element with too many attributes (at most 64)");
        assert_limit(spaced, strlen(spaced), "line 1: an element with too many attributes (at most 64)");
        assert_limit(name, strlen(name), "domain name 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…': 251 bytes long, at most 250 are allowed");
        assert_limit(element, strlen(element), "line 1: *");
        assert_limit(disks, strlen(disks), "line 7: <rng>: more than 64 of them");
        assert_limit(key, strlen(key), "line 7: <key> 'aaa*…': longer than 255 bytes");
        assert_limit(namespaces, strlen(namespaces), "line 1: not well-formed: *");
}

/* A NUL byte ends a C string; what comes after it must not be lost in silence. */
static void test_nul(void) {
        static const char xml[] = "<domain type='qemu'><name>a\0b</name></domain>";

        assert_limit(xml, sizeof(xml) - 1, "line 1: not UTF-8 text");
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/model/refused/dropped", test_dropped);
        g_test_add_func("/model/refused/huge", test_huge);
        g_test_add_func("/model/refused/nul", test_nul);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = g_strconcat("/model/refused/", cases[i].name, NULL);

                g_test_add_data_func(name, &cases[i], test_case);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(place_cases); i++) {
                g_autofree char *name = g_strconcat("/model/refused/place/", place_cases[i].name, NULL);

                g_test_add_data_func(name, &place_cases[i], test_place);
        }
        return g_test_run();
}
