/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small definitions, one row each: what is put into a plain domain, and what of the command line follows. The same
 * rows are started for real by test-qemu-command-start. */

#include <stdbool.h>

typedef struct CommandCase {
        const char *name;
        const char *machine; /* NULL: pc-q35-7.2 */
        const char *type;    /* NULL: qemu */
        const char *head;    /* between <vcpu> and <os>; with <vcpu> or <memory>, in place of the plain ones */
        const char *os;      /* in <os> */
        const char *features; /* NULL: <acpi/> */
        const char *body;    /* between </os> and <devices>: <cpu>, <clock>, on_… */
        const char *devices;
        const char *tail;    /* after </devices> */

        const char *expect; /* lines that must be there */
        const char *absent; /* a piece of text that must not */
        const char *error;  /* instead: a piece of the message */
        bool kvm;           /* on a host with KVM */
        bool no_start;      /* needs more of the host than a test may ask for */
        bool tap, tpm;      /* starts only where these can be had */
} CommandCase;

static inline char *command_case_xml(const CommandCase *c) {
        const char *head = c->head ?: "";

        return g_strdup_printf(
                "<domain type='%s' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
                "<name>web</name>\n<uuid>3a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d</uuid>\n"
                "%s%s%s"
                "<os><type arch='x86_64' machine='%s'>hvm</type>%s%s</os>\n"
                "<features>%s</features>\n%s\n"
                "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\n%s\n</devices>\n%s</domain>\n",
                c->type ?: "qemu", strstr(head, "<memory") ? "" : "<memory unit='MiB'>128</memory>\n",
                strstr(head, "<vcpu") ? "" : "<vcpu>1</vcpu>\n", head, c->machine ?: "pc-q35-7.2",
                /* Said, so that no other device gets a place in the boot order by default. */
                c->devices && strstr(c->devices, "<boot") ? "" : "<boot dev='network'/>", c->os ?: "",
                c->features ?: "<acpi/>", c->body ?: "", c->devices ?: "", c->tail ?: "");
}

#define NOT_OFFERED(what) "domain 'web': " what ": not offered by /usr/bin/qemu-system-x86_64 (7.2.22)"
#define PC .machine = "pc-i440fx-7.2"

static const CommandCase command_cases[] = {
        /* --- Machine and processor --- */
        { "plain", .expect = "-machine pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram\n"
                             "-accel tcg\n"
                             "-smp 1,sockets=1,cores=1,threads=1\n"
                             "-m size=131072k\n"
                             "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":134217728}\n"
                             "-action shutdown=pause,reboot=reset,panic=pause\n"
                             "-display none\n"
                             "-rtc base=utc\n"
                             "-boot strict=on\n" },
        { "memory-rounded", .head = "<memory unit='KiB'>131073</memory>", .expect = "-m size=132096k\n" },
        { "numa-interleave", .head = "<memory unit='MiB'>128</memory><numatune><memory mode='interleave' nodeset='0'/></numatune>",
          .expect = "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":134217728,\"host-nodes\":[0],\"policy\":\"interleave\"}\n" },
        { "numa-preferred", .head = "<memory unit='MiB'>128</memory><numatune><memory mode='preferred' nodeset='0'/></numatune>",
          .expect = "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":134217728,\"host-nodes\":[0],\"policy\":\"preferred\"}\n" },
        { "numa-restrictive", .head = "<memory unit='MiB'>128</memory><numatune><memory mode='restrictive' nodeset='0'/></numatune>",
          .expect = "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":134217728}\n" },
        { "vcpus-current", .head = "<vcpu current='2'>4</vcpu>",
          .expect = "-smp 2,maxcpus=4,sockets=4,cores=1,threads=1\n" },
        { "topology", .head = "<vcpu>8</vcpu>",
          .body = "<cpu><topology sockets='1' dies='2' cores='4' threads='1'/></cpu>",
          .expect = "-smp 8,sockets=1,dies=2,cores=4,threads=1\n" },
        { "machine-unknown", .machine = "pc-q35-99.9", .error = NOT_OFFERED("machine type 'pc-q35-99.9'") },
        { "vcpus-too-many", .head = "<vcpu>300</vcpu>", .error = "machine type 'pc-q35-7.2' takes at most 288" },
        { "no-acpi", .features = "<apic/>", .expect = "-machine pc-q35-7.2,usb=off,acpi=off,dump-guest-core=off,memory-backend=pc.ram\n" },
        { "features", .features = "<acpi/><smm state='on'><tseg unit='MiB'>16</tseg></smm><vmport state='off'/><pmu state='off'/><vmcoreinfo state='on'/>",
          .expect = "-machine pc-q35-7.2,usb=off,vmport=off,smm=on,dump-guest-core=off,memory-backend=pc.ram\n"
                    "-cpu qemu64,pmu=off\n"
                    "-global mch.extended-tseg-mbytes=16\n"
                    "-device {\"driver\":\"vmcoreinfo\"}\n" },
        { "cpu-custom", .body = "<cpu mode='custom' match='exact' check='none'><model>qemu64</model><feature policy='disable' name='lahf_lm'/><feature policy='force' name='aes'/></cpu>",
          .expect = "-cpu qemu64,lahf-lm=off,aes=on\n" },
        { "cpu-required", .body = "<cpu mode='custom' match='exact' check='partial'><model>qemu64</model><feature policy='require' name='avx2'/></cpu>",
          .expect = "-cpu qemu64,avx2=on\n" },
        { "cpu-lacking", .body = "<cpu mode='custom' match='exact' check='partial'><model>Haswell</model></cpu>",
          .error = "CPU model 'Haswell' needs feature '" },
        { "cpu-feature-lacking", .body = "<cpu mode='custom' match='exact' check='partial'><model>qemu64</model><feature policy='require' name='avx512f'/></cpu>",
          .error = "CPU feature 'avx512f' is required" },
        { "cpu-optional", .body = "<cpu mode='custom' match='exact' check='partial'><model>qemu64</model><feature policy='optional' name='avx512f'/><feature policy='optional' name='avx2'/></cpu>",
          .expect = "-cpu qemu64,avx2=on\n" },
        { "cpu-forbidden", .body = "<cpu mode='custom' match='exact' check='partial'><model>qemu64</model><feature policy='forbid' name='avx2'/></cpu>",
          .error = "CPU feature 'avx2' is forbidden" },
        { "cpu-unchecked", .body = "<cpu mode='custom' match='exact'><model>qemu64</model><feature policy='forbid' name='avx2'/></cpu>",
          .expect = "-cpu qemu64,avx2=off\n" },
        { "cpu-unknown", .body = "<cpu mode='custom' match='exact' check='partial'><model>Z80</model></cpu>",
          .error = NOT_OFFERED("CPU model 'Z80'") },
        { "cpu-injection", .body = "<cpu mode='custom' match='exact' check='none'><model>qemu64</model><feature policy='force' name='aes=on,pmu'/></cpu>",
          .error = "aes=on,pmu" },
        { "cpu-passthrough-tcg", .body = "<cpu mode='host-passthrough'/>", .error = "needs domain type 'kvm'" },
        { "cpu-maximum", .body = "<cpu mode='maximum'/>", .expect = "-cpu max\n" },
        { "cpu-cache", .body = "<cpu mode='maximum'><cache level='3' mode='emulate'/></cpu>",
          .expect = "-cpu max,l3-cache=on,host-cache-info=off\n" },
        { "kvm-absent", .type = "kvm", .error = NOT_OFFERED("domain type 'kvm'") },
        { "kvm", .type = "kvm", .kvm = true,
          .features = "<acpi/><apic eoi='on'/><hyperv><relaxed state='on'/><vapic state='on'/><spinlocks state='on' retries='8191'/></hyperv><kvm><hidden state='on'/></kvm><ioapic driver='qemu'/>",
          .body = "<cpu mode='host-passthrough' migratable='on'/><clock offset='utc'><timer name='pit' tickpolicy='delay'/><timer name='kvmclock' present='no'/><timer name='hypervclock' present='yes'/></clock>",
          .expect = "-accel kvm,kernel-irqchip=split\n"
                    "-cpu host,migratable=on,kvmclock=off,hv-time=on,kvm-pv-eoi=on,hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,kvm=off\n"
                    "-global kvm-pit.lost_tick_policy=delay\n" },
        { "kvm-vhost", .type = "kvm", .kvm = true, .devices = "<interface type='ethernet'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>",
          .expect = "-netdev {\"type\":\"tap\",\"id\":\"hostnet0\",\"fd\":\"101\",\"vhost\":true,\"vhostfd\":\"102\"}\n" },
        { "pm", .body = "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>",
          .expect = "-global ICH9-LPC.disable_s3=1\n-global ICH9-LPC.disable_s4=1\n" },
        { "on-reboot", .body = "<on_reboot>destroy</on_reboot>", .expect = "-action shutdown=pause,reboot=shutdown,panic=pause\n" },

        /* --- Clock --- */
        { "clock-timezone", .body = "<clock offset='timezone' timezone='Europe/Berlin'/>",
          .expect = "-rtc base=localtime\nTZ=Europe/Berlin\n" },
        { "clock-absolute", .body = "<clock offset='absolute' start='1000000000'/>",
          .expect = "-rtc base=2001-09-09T01:46:40\n" },
        { "clock-rtc", .body = "<clock offset='utc'><timer name='rtc' tickpolicy='catchup' track='guest'/></clock>",
          .expect = "-rtc base=utc,clock=vm,driftfix=slew\n" },
        { "clock-pit", .body = "<clock offset='utc'><timer name='pit' tickpolicy='merge'/></clock>",
          .error = "timer 'pit': tickpolicy 'merge' is not one of delay, discard" },
        { "clock-hpet", .body = "<clock offset='utc'><timer name='hpet' present='no'/></clock>",
          .expect = "-machine pc-q35-7.2,usb=off,hpet=off,dump-guest-core=off,memory-backend=pc.ram\n" },

        /* --- Boot --- */
        { "bootmenu", .os = "<bootmenu enable='yes' timeout='3000'/><bios useserial='yes' rebootTimeout='1000'/>",
          .devices = "<serial type='null'/>",
          .expect = "-boot menu=on,splash-time=3000,reboot-timeout=1000,strict=on\n"
                    "-machine pc-q35-7.2,usb=off,graphics=off,dump-guest-core=off,memory-backend=pc.ram\n" },
        { "cmdline-commas", .os = "<kernel>@DIR@/vmlinuz</kernel><cmdline>a,b=c -d</cmdline>",
          .expect = "-append a,b=c -d\n" },
        { "rom", .os = "<loader type='rom'>@DIR@/rom.fd</loader>", .expect = "-bios /proc/self/fd/" , .no_start = true },
        { "sysinfo", .head = "<sysinfo type='smbios'><bios><entry name='vendor'>A, B</entry></bios><system><entry name='manufacturer'>virtbus</entry><entry name='serial'>1</entry></system><oemStrings><entry>x:y</entry><entry>z</entry></oemStrings></sysinfo>",
          .os = "<smbios mode='sysinfo'/>",
          .expect = "-smbios type=0,vendor=A,, B\n-smbios type=1,manufacturer=virtbus,serial=1\n-smbios type=11,value=x:y,value=z\n" },

        /* --- Disks --- */
        { "disk-virtio", .devices = "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none' io='io_uring' discard='unmap' detect_zeroes='unmap' error_policy='enospace' queues='2'/><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/></disk>",
          .expect = "-blockdev {\"driver\":\"file\",\"filename\":\"/dev/fdset/0\",\"node-name\":\"vda-1-storage\",\"read-only\":false,\"discard\":\"unmap\",\"cache\":{\"direct\":true,\"no-flush\":false},\"aio\":\"io_uring\"}\n"
                    "-blockdev {\"driver\":\"raw\",\"node-name\":\"vda-1-format\",\"read-only\":false,\"cache\":{\"direct\":true,\"no-flush\":false},\"discard\":\"unmap\",\"detect-zeroes\":\"unmap\",\"file\":\"vda-1-storage\"}\n",
          .absent = "rerror" },
        { "disk-detect-zeroes", .devices = "<disk type='file' device='disk'><driver name='qemu' type='raw' detect_zeroes='unmap' error_policy='stop'/><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/></disk>",
          .expect = "-blockdev {\"driver\":\"raw\",\"node-name\":\"vda-1-format\",\"read-only\":false,\"detect-zeroes\":\"on\",\"file\":\"vda-1-storage\"}\n" },
        { "disk-native-cached", .devices = "<disk type='file' device='disk'><driver name='qemu' type='raw' io='native'/><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/></disk>",
          .error = "needs cache 'none' or 'directsync'" },
        { "disk-iotune", .devices = "<disk type='file' device='disk'><driver name='qemu' type='qcow2' copy_on_read='on'/><source file='@DIR@/overlay.qcow2'/><target dev='vda' bus='virtio'/><iotune><total_bytes_sec>1000000</total_bytes_sec><total_bytes_sec_max>2000000</total_bytes_sec_max><total_bytes_sec_max_length>5</total_bytes_sec_max_length></iotune></disk>",
          .expect = "-object {\"qom-type\":\"throttle-group\",\"id\":\"throttle-vda\",\"limits\":{\"bps-total\":1000000,\"bps-total-max\":2000000,\"bps-total-max-length\":5}}\n"
                    "-blockdev {\"driver\":\"copy-on-read\",\"node-name\":\"vda-copy-on-read\",\"file\":\"vda-1-format\"}\n"
                    "-blockdev {\"driver\":\"throttle\",\"node-name\":\"vda-throttle\",\"throttle-group\":\"throttle-vda\",\"file\":\"vda-copy-on-read\"}\n" },
        { "disk-iotune-group", .devices = "<disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/><iotune><read_iops_sec>100</read_iops_sec><group_name>slow</group_name></iotune></disk>"
                                          "<disk type='file' device='disk'><source file='@DIR@/disk2.raw'/><target dev='vdb' bus='virtio'/><iotune><read_iops_sec>100</read_iops_sec><group_name>slow</group_name></iotune></disk>",
          .expect = "-object {\"qom-type\":\"throttle-group\",\"id\":\"throttle-group-slow\",\"limits\":{\"iops-read\":100}}\n"
                    "-blockdev {\"driver\":\"throttle\",\"node-name\":\"vda-throttle\",\"throttle-group\":\"throttle-group-slow\",\"file\":\"vda-1-format\"}\n"
                    "-blockdev {\"driver\":\"throttle\",\"node-name\":\"vdb-throttle\",\"throttle-group\":\"throttle-group-slow\",\"file\":\"vdb-1-format\"}\n" },
        { "disk-sata", .devices = "<disk type='file' device='disk'><driver cache='writethrough'/><source file='@DIR@/disk.raw'/><target dev='sda' bus='sata' rotation_rate='7200'/><serial>S-1</serial><wwn>5000c50015ea71ac</wwn></disk><disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>",
          .expect = "-device {\"driver\":\"ide-hd\",\"id\":\"sata0-0-0\",\"bus\":\"ide.0\",\"drive\":\"sda-1-format\",\"write-cache\":\"off\",\"wwn\":5764824127192592812,\"serial\":\"S-1\",\"rotation_rate\":7200}\n"
                    "-device {\"driver\":\"ide-cd\",\"id\":\"sata0-0-1\",\"bus\":\"ide.1\"}\n" },
        { "disk-scsi", .devices = "<controller type='scsi' index='0' model='virtio-scsi'><driver queues='2'/></controller><disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='sda' bus='scsi'/><vendor>VIRTBUS</vendor><product>DISK</product></disk><disk type='file' device='cdrom'><source file='@DIR@/cd.iso'/><target dev='sdb' bus='scsi'/><readonly/></disk>",
          .expect = "-device {\"driver\":\"scsi-hd\",\"id\":\"scsi0-0-0-0\",\"bus\":\"scsi0.0\",\"channel\":0,\"scsi-id\":0,\"lun\":0,\"drive\":\"sda-1-format\",\"device_id\":\"drive-scsi0-0-0-0\",\"vendor\":\"VIRTBUS\",\"product\":\"DISK\"}\n"
                    "-device {\"driver\":\"scsi-cd\",\"id\":\"scsi0-0-0-1\",\"bus\":\"scsi0.0\",\"channel\":0,\"scsi-id\":0,\"lun\":1,\"drive\":\"sdb-1-format\",\"device_id\":\"drive-scsi0-0-0-1\"}\n" },
        { "disk-lsi", PC, .devices = "<controller type='scsi' index='0' model='lsilogic'/><disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='sda' bus='scsi'/></disk>",
          .expect = "-device {\"driver\":\"scsi-hd\",\"id\":\"scsi0-0-0-0\",\"bus\":\"scsi0.0\",\"scsi-id\":0,\"drive\":\"sda-1-format\",\"device_id\":\"drive-scsi0-0-0-0\"}\n" },
        { "disk-usb", .devices = "<disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='sda' bus='usb' removable='on'/></disk>",
          .expect = "-device {\"driver\":\"usb-storage\",\"id\":\"usb-disk0\",\"bus\":\"usb.0\",\"port\":\"1\",\"drive\":\"sda-1-format\",\"removable\":true}\n" },
        { "disk-usb-empty", .devices = "<disk type='file' device='cdrom'><target dev='sda' bus='usb'/></disk>",
          .error = "disk 'sda': a drive of this kind cannot be without a medium" },
        { "disk-shareable", .devices = "<disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/><shareable/></disk>", .expect = "", .absent = "nothing" },
        { "disk-optional", .devices = "<disk type='file' device='cdrom'><source file='@DIR@/missing.iso' startupPolicy='optional'/><target dev='sda' bus='sata'/></disk>",
          .expect = "-device {\"driver\":\"ide-cd\",\"id\":\"sata0-0-0\",\"bus\":\"ide.0\"}\n", .absent = "-blockdev" },
        { "disk-backing-given", .devices = "<disk type='file' device='disk'><driver type='qcow2'/><source file='@DIR@/overlay.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='@DIR@/base.qcow2'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>",
          .expect = "-blockdev {\"driver\":\"qcow2\",\"node-name\":\"vda-2-format\",\"read-only\":true,\"file\":\"vda-2-storage\",\"backing\":null}\n"
                    "-blockdev {\"driver\":\"qcow2\",\"node-name\":\"vda-1-format\",\"read-only\":false,\"file\":\"vda-1-storage\",\"backing\":\"vda-2-format\"}\n" },
        { "disk-ua-alias", .devices = "<disk type='file' device='disk'><source file='@DIR@/disk.raw'/><target dev='vda' bus='virtio'/><alias name='ua-0123456789-0123456789-0123456789-0123456789'/></disk>",
          .expect = "-blockdev {\"driver\":\"raw\",\"node-name\":\"vda-1-format\",\"read-only\":false,\"file\":\"vda-1-storage\"}\n" },
        { "floppy-q35", .devices = "<disk type='file' device='floppy'><source file='@DIR@/floppy.img'/><target dev='fda' bus='fdc'/><boot order='1'/></disk>",
          .expect = "-device {\"driver\":\"isa-fdc\",\"id\":\"fdc0\",\"bootindexA\":1}\n"
                    "-device {\"driver\":\"floppy\",\"id\":\"fdc0-0-0\",\"unit\":0,\"drive\":\"fda-1-format\"}\n" },

        /* --- Controllers --- */
        { "controllers-pci", PC, .devices = "<controller type='pci' index='1' model='pci-bridge'/><controller type='usb' index='0' model='none'/>",
          .expect = "-device {\"driver\":\"pci-bridge\",\"id\":\"pci.1\",\"bus\":\"pci.0\",\"addr\":\"0x2\",\"chassis_nr\":1}\n", .absent = "usb-uhci" },
        { "controllers-usb-companions", PC, .devices =
          "<controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/><address type='pci' domain='0' bus='0' slot='7' function='0' multifunction='on'/></controller>"
          "<controller type='usb' index='0' model='ich9-ehci1'><address type='pci' domain='0' bus='0' slot='7' function='7'/></controller>"
          "<controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/><address type='pci' domain='0' bus='0' slot='7' function='1'/></controller>",
          .expect = "-device {\"driver\":\"ich9-usb-ehci1\",\"id\":\"usb\",\"bus\":\"pci.0\",\"addr\":\"0x7.0x7\"}\n"
                    "-device {\"driver\":\"ich9-usb-uhci1\",\"bus\":\"pci.0\",\"multifunction\":true,\"addr\":\"0x7\",\"masterbus\":\"usb.0\",\"firstport\":0}\n"
                    "-device {\"driver\":\"ich9-usb-uhci2\",\"bus\":\"pci.0\",\"addr\":\"0x7.0x1\",\"masterbus\":\"usb.0\",\"firstport\":2}\n" },
        { "controllers-reversed", .devices =
          "<controller type='pci' index='3' model='pcie-switch-downstream-port'><address type='pci' bus='2' slot='0'/></controller>"
          "<controller type='pci' index='2' model='pcie-switch-upstream-port'><address type='pci' bus='1' slot='0'/></controller>"
          "<controller type='pci' index='1' model='pcie-root-port'/>" , .expect = "" },

        /* --- Network --- */
        { "net-user", .devices = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='e1000e'/></interface>",
          .expect = "-netdev {\"type\":\"user\",\"id\":\"hostnet0\"}\n" },
        { "net-user-address", .devices = "<interface type='user'><mac address='52:54:00:00:00:01'/><ip family='ipv4' address='172.17.2.0' prefix='24'/><ip family='ipv6' address='2001:db8:ac10:fd01::' prefix='64'/><model type='virtio'/></interface>",
          .expect = "-netdev {\"type\":\"user\",\"id\":\"hostnet0\",\"net\":\"172.17.2.0/24\",\"ipv6-prefix\":\"2001:db8:ac10:fd01::\",\"ipv6-prefixlen\":64}\n" },
        { "net-virtio", .devices = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/><mtu size='1400'/><link state='down'/><driver txmode='iothread' rx_queue_size='512'><host csum='off' mrg_rxbuf='off'/><guest tso4='off'/></driver></interface>",
          .expect = "qmp set_link {\"name\":\"net0\",\"up\":false}\n" },
        { "net-bridge", .devices = "<interface type='bridge'><source bridge='br0'/><mac address='52:54:00:00:00:01'/><model type='virtio'/><driver queues='2'/></interface>",
          .expect = "-netdev {\"type\":\"tap\",\"id\":\"hostnet0\",\"fds\":\"101:102\"}\n", .tap = true },
        { "net-vhost", .devices = "<interface type='ethernet'><mac address='52:54:00:00:00:01'/><model type='virtio'/><driver name='vhost'/></interface>",
          .expect = "-netdev {\"type\":\"tap\",\"id\":\"hostnet0\",\"fd\":\"101\",\"vhost\":true,\"vhostfd\":\"102\"}\n", .no_start = true },
        { "net-model-unknown", .devices = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='ne9000'/></interface>",
          .error = NOT_OFFERED("interface model 'ne9000'") },

        /* --- Character devices --- */
        { "serial-file", .devices = "<serial type='file'><source path='@DIR@/serial.txt' append='on'/><target port='0'/></serial>",
          .expect = "-add-fd set=0,fd=100,opaque=@DIR@/serial.txt\n"
                    "-chardev file,id=charserial0,append=on,path=/dev/fdset/0\n"
                    "-device {\"driver\":\"isa-serial\",\"id\":\"serial0\",\"chardev\":\"charserial0\",\"index\":0}\n" },
        { "serial-unix-path", .devices = "<serial type='unix'><source mode='bind' path='@DIR@/a,b.sock'/><target port='0'/></serial>",
          .expect = "-chardev socket,id=charserial0,path=@DIR@/a,,b.sock,server=on,wait=off\n" },
        { "serial-tcp", .devices = "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='45454'/><protocol type='telnet'/><target port='0'/></serial>",
          .expect = "-chardev socket,id=charserial0,host=127.0.0.1,port=45454,telnet=on,server=on,wait=off\n" },
        { "serial-pci", .devices = "<serial type='null'><target type='pci-serial'><model name='pci-serial'/></target></serial>",
          .expect = "-chardev null,id=charserial0\n" },
        { "serial-usb", .devices = "<serial type='null'><target type='usb-serial'/></serial>", .expect = "" },
        { "serial-pipe", .devices = "<serial type='pipe'><source path='@DIR@/p'/></serial>",
          .error = "character devices of type 'pipe' are not supported" },
        { "console-virtio", .devices = "<console type='pty'><target type='virtio' port='0'/></console>",
          .expect = "-chardev pty,id=charconsole0\n" },
        { "channel-vdagent", .devices = "<channel type='qemu-vdagent'><source><clipboard copypaste='yes'/><mouse mode='client'/></source><target type='virtio'/></channel><video><model type='vga'/></video>",
          .expect = "-chardev qemu-vdagent,id=charchannel0,name=vdagent,clipboard=on,mouse=on\n" },
        { "channel-spice", .devices = "<channel type='spicevmc'><target type='virtio'/></channel><graphics type='spice'><listen type='none'/></graphics>",
          .expect = "-chardev spicevmc,id=charchannel0,name=vdagent\n" },

        /* --- Displays --- */
        { "vnc-port", .devices = "<graphics type='vnc' port='5907' sharePolicy='force-shared' passwd='geheim' passwdValidTo='2030-01-02T03:04:05' connected='keep'><listen type='address' address='0.0.0.0'/></graphics><video><model type='vga' vram='16384'/></video>",
          .expect = "-vnc vnc=none,password=on,share=force-shared\n"
                    "qmp getfd {\"fdname\":\"vnc0\"} (descriptor)\n"
                    "qmp display-update {\"type\":\"vnc\",\"addresses\":[{\"type\":\"fd\",\"str\":\"vnc0\"}]}\n"
                    "qmp set_password {\"protocol\":\"vnc\",\"password\":\"geheim\",\"connected\":\"keep\"} (secret)\n"
                    "qmp expire_password {\"protocol\":\"vnc\",\"time\":\"1893553445\"}\n" },
        { "vnc-low-port", .devices = "<graphics type='vnc' port='80' autoport='no'/>", .error = "vnc port 80 is not between 5900 and 65535" },
        { "vnc-socket-path", .devices = "<graphics type='vnc'><listen type='socket' socket='@DIR@/v,nc.sock'/></graphics><video><model type='vga'/></video>",
          .expect = "-vnc vnc=unix:@DIR@/v,,nc.sock\n" },
        { "spice", .devices = "<graphics type='spice' port='5999' passwd='geheim'><listen type='address' address='127.0.0.1'/><image compression='off'/><streaming mode='off'/><clipboard copypaste='no'/></graphics><video><model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1'/></video>",
          .expect = "-spice port=5999,addr=127.0.0.1,image-compression=off,streaming-video=off,disable-copy-paste=on,seamless-migration=on\n" },
        { "dbus", .devices = "<graphics type='dbus' p2p='yes'/><audio id='1' type='dbus'/><video><model type='virtio'/></video>",
          .expect = "-display dbus,p2p=on,audiodev=audio1\n" },
        { "video-two", .devices = "<video><model type='bochs' vram='16384'/></video><video><model type='virtio' heads='2'/></video>",
          .expect = "" },
        { "video-cirrus-second", .devices = "<video><model type='vga'/></video><video><model type='cirrus'/></video>",
          .error = "can only be the first" },

        /* --- Others --- */
        { "sound", .devices = "<sound model='ich9'><codec type='micro'/></sound><sound model='ac97'/><audio id='1' type='none'/>",
          .expect = "-audiodev {\"id\":\"audio1\",\"driver\":\"none\"}\n"
                    "-device {\"driver\":\"hda-micro\",\"id\":\"sound0-codec0\",\"bus\":\"sound0.0\",\"cad\":0,\"audiodev\":\"audio1\"}\n" },
        { "inputs", .devices = "<input type='tablet' bus='virtio'/><input type='keyboard' bus='usb'/><input type='mouse' bus='usb'/>",
          .expect = "" },
        { "watchdog", .devices = "<watchdog model='i6300esb' action='dump'/>",
          .expect = "-action shutdown=pause,reboot=reset,panic=pause,watchdog=pause\n" },
        { "balloon", .head = "<memory unit='MiB'>256</memory><currentMemory unit='MiB'>128</currentMemory>",
          .devices = "<memballoon model='virtio' autodeflate='on' freePageReporting='on'/>",
          .expect = "qmp balloon {\"value\":134217728}\n" },
        { "rng", .devices = "<rng model='virtio'><rate bytes='1024' period='2000'/><backend model='builtin'/></rng>",
          .expect = "-object {\"qom-type\":\"rng-builtin\",\"id\":\"objrng0\"}\n" },
        { "panic", .devices = "<panic model='isa'/>", .expect = "-device {\"driver\":\"pvpanic\",\"ioport\":1285}\n" },
        { "tpm", .devices = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", .tpm = true,
          .expect = "-chardev socket,id=chrtpm0,fd=101\n"
                    "-tpmdev emulator,id=tpm-tpm0,chardev=chrtpm0\n"
                    "-device {\"driver\":\"tpm-crb\",\"id\":\"tpm0\",\"tpmdev\":\"tpm-tpm0\"}\n" },
        { "passthrough", .tail = "<qemu:commandline><qemu:arg value='-fw_cfg'/><qemu:arg value='name=opt/a,string=b'/><qemu:env name='A' value='1'/></qemu:commandline>",
          .expect = "-fw_cfg name=opt/a,string=b\nA=1\n" },
};
