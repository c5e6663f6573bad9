# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks and memory of guests: their sizes, limits, errors and contents; and the buttons beside those for power."""

import json
import os
import subprocess
import unittest

from harness import DOMAIN, ERROR, variant
from qemud import xml
from test_qemu_tuning import BOTH, CONFIG, LIVE, OFF, TuningCase

MIB = 1 << 20


class DiskCase(TuningCase):
    def disk(self, name="vda", size=8, format="qcow2", bus="virtio", more=""):
        """A disk of so many MiB, with an image of its own."""
        image = self.bus.directory / f"{name}.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", format, image, f"{size}M"], check=True)
        return (f"<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{image}'/>"
                f"<target dev='{name}' bus='{bus}'/>{more}</disk>")

    def top_node(self, path, alias="virtio-disk0"):
        """What the device uses, and what QEMU says of the limits there."""
        for entry in self.monitor(path, "query-block"):
            if alias in entry["qdev"]:
                return entry["inserted"]["node-name"]
        raise AssertionError(f"there is no {alias}")

    def limits(self, path, group):
        found = self.monitor(path, "qom-get", json.dumps({"path": f"/objects/{group}", "property": "limits"}))
        return {key: value for key, value in found.items() if value and not key.endswith("-length")}

    def groups(self, path):
        return sorted(entry["name"] for entry in self.monitor(path, "qom-list", '{"path": "/objects"}') if "throttle" in entry["type"])

    def tune(self, path, disk, values, options="{}"):
        self.set(path, "SetDiskTuning", f"('{disk}', {values}, @a{{sv}} {options})")

    def tuning(self, path, disk="vda", options="{}"):
        return self.ask(path, "GetDiskTuning", f"('{disk}', @a{{sv}} {options})")[0]


class Limits(DiskCase):
    def test_of_a_guest_that_is_off(self):
        path = self.web(devices=self.disk())
        self.tune(path, "vda", "{'total-bytes-sec': <uint64 1000>, 'total-bytes-sec-max': <uint64 2000>, 'read-iops-sec': <uint64 5>}")
        self.assertEqual(self.tuning(path), {"total-bytes-sec": 1000, "total-bytes-sec-max": 2000, "read-iops-sec": 5})
        # One for reading takes the place of that on all, and of its burst.
        self.tune(path, self.bus.directory / "vda.img", "{'read-bytes-sec': <uint64 700>}")
        self.assertEqual(self.tuning(path), {"read-bytes-sec": 700, "read-iops-sec": 5})
        self.tune(path, "vda", "{'read-bytes-sec': <uint64 0>, 'read-iops-sec': <uint64 0>}")
        self.assertEqual(self.tuning(path), {})
        self.assertNotIn("iotune", self.client.xml(path))

    def test_of_a_guest_that_runs(self):
        path = self.web(start=True, devices=self.disk())
        self.assertEqual(self.top_node(path), "vda-1-format")
        self.tune(path, "vda", "{'total-bytes-sec': <uint64 1000000>}", BOTH)
        self.assertEqual(self.top_node(path), "vda-throttle")
        self.assertEqual(self.limits(path, "throttle-vda"), {"bps-total": 1000000})
        self.assertEqual((self.tuning(path, options=LIVE), self.tuning(path, options=CONFIG)), ({"total-bytes-sec": 1000000},) * 2)

        self.tune(path, "vda", "{'write-iops-sec': <uint64 9>, 'read-bytes-sec': <uint64 4096>, 'read-bytes-sec-max': <uint64 8192>}")
        self.assertEqual(self.limits(path, "throttle-vda"), {"bps-read": 4096, "bps-read-max": 8192, "iops-write": 9})
        self.assertEqual(self.tuning(path, options=CONFIG), {"total-bytes-sec": 1000000})

        # The next daemon finds all as it is.
        self.qemud.restart()
        self.tune(path, "vda", "{'write-iops-sec': <uint64 0>, 'read-bytes-sec': <uint64 0>}")
        self.assertEqual((self.top_node(path), self.groups(path), self.tuning(path)), ("vda-1-format", [], {}))
        # And so does the next start.
        self.client.domain(path, "Destroy")
        self.client.domain(path, "Start")
        self.assertEqual((self.top_node(path), self.limits(path, "throttle-vda")), ("vda-throttle", {"bps-total": 1000000}))
        self.tune(path, "vda", "{'total-bytes-sec': <uint64 0>}", BOTH)
        self.assertEqual((self.top_node(path), self.groups(path)), ("vda-1-format", []))

    def test_on_every_bus(self):
        devices = ("<controller type='usb' model='qemu-xhci'/><controller type='scsi' model='virtio-scsi'/>"
                   + self.disk("sda", bus="scsi") + self.disk("hda", bus="ide") + self.disk("sdb", bus="usb"))
        text = xml("web", devices=devices).replace("<controller type='usb' model='none'/>", "")
        path = self.client.define(text)
        self.client.domain(path, "Start", "{'paused': <true>}")
        for disk, alias in (("sda", "scsi0-0-0-0"), ("hda", "ide0-0-0"), ("sdb", "usb-disk")):
            with self.subTest(disk):
                self.tune(path, disk, "{'total-iops-sec': <uint64 100>}")
                self.assertEqual(self.top_node(path, alias), f"{disk}-throttle")
                self.tune(path, disk, "{'total-iops-sec': <uint64 0>}")
                self.assertEqual(self.top_node(path, alias), f"{disk}-1-format")

    def test_groups_share_their_limits(self):
        path = self.web(start=True, devices=self.disk("vda") + self.disk("vdb"))
        self.tune(path, "vda", "{'total-iops-sec': <uint64 100>, 'group': <'pair'>}")
        self.tune(path, "vdb", "{'group': <'pair'>}")
        self.assertEqual(self.tuning(path, "vdb"), {"total-iops-sec": 100, "group": "pair"})
        self.tune(path, "vdb", "{'total-iops-sec': <uint64 200>}")
        self.assertEqual(self.tuning(path, "vda"), {"total-iops-sec": 200, "group": "pair"})
        self.assertEqual((self.groups(path), self.limits(path, "throttle-group-pair")), (["throttle-group-pair"], {"iops-total": 200}))
        self.refuses(path, "SetDiskTuning", "('vda', {'group': <'other'>}, @a{sv} {})", "UnsupportedConfiguration",
                     "domain 'web': disk 'vda' cannot change its group while it has limits; take them away first")

    def test_what_is_refused(self):
        path = self.web(devices=self.disk() + "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>")
        for values, message in (
                ("@a{sv} {}", "no value was given"),
                ("{'total-bytes-sec': <uint64 5>, 'read-bytes-sec': <uint64 5>}",
                 "value 'total-bytes-sec': cannot be set together with that of reading or writing"),
                ("{'read-iops-sec-max': <uint64 5>}", "value 'read-iops-sec-max': there is no 'read-iops-sec' that it goes beyond"),
                ("{'read-iops-sec': <uint64 7>, 'read-iops-sec-max': <uint64 5>}",
                 "value 'read-iops-sec-max': 5 is less than 'read-iops-sec', 7"),
                ("{'read-iops-sec': <uint64 7>, 'read-iops-sec-max-length': <uint64 5>}",
                 "value 'read-iops-sec-max-length': there is no 'read-iops-sec-max' that it is of")):
            with self.subTest(values):
                self.refuses(path, "SetDiskTuning", f"('vda', {values}, @a{{sv}} {{}})", "InvalidArgument", message)
        failure = self.client.fails(path, DOMAIN, "SetDiskTuning", variant(f"('vda', {{'read-bytes-sec': <uint64 {10 ** 15 + 1}>}}, @a{{sv}} {{}})"))
        self.assertEqual(failure.name, ERROR + "InvalidArgument")
        self.refuses(path, "SetDiskTuning", "('vdz', {'read-bytes-sec': <uint64 1>}, @a{sv} {})", "NoDevice", "domain 'web' has no disk 'vdz'")
        self.refuses(path, "GetDiskTuning", "('', @a{sv} {})", "NoDevice", "domain 'web' has no disk ''")
        self.client.domain(path, "Start", "{'paused': <true>}")
        self.refuses(path, "SetDiskTuning", "('hdc', {'read-bytes-sec': <uint64 1>}, @a{sv} {})", "UnsupportedConfiguration",
                     "domain 'web': disk 'hdc' has no medium whose use could be limited")
        self.assertEqual(self.tuning(path), {})


class Sizes(DiskCase):
    def info(self, path, disk="vda"):
        return self.ask(path, "GetDiskInfo", f"('{disk}', @a{{sv}} {{}})")[0]

    def test_off_and_running_tell_the_same(self):
        path = self.web(devices=self.disk() + self.disk("vdb", format="raw", size=3))
        off = [self.info(path, disk) for disk in ("vda", "vdb")]
        self.client.domain(path, "Start", "{'paused': <true>}")
        for disk, before in zip(("vda", "vdb"), off):
            image = (self.bus.directory / f"{disk}.img").stat()
            now = self.info(path, disk)
            self.assertEqual(now["capacity"], before["capacity"])
            self.assertEqual(before, {"capacity": (8 if disk == "vda" else 3) * MIB, "physical": image.st_size, "allocation": image.st_blocks * 512})
            self.assertEqual((now["physical"], now["allocation"]), ((image.st_size + 511) // 512 * 512, image.st_blocks * 512))

    def test_what_is_not_there(self):
        path = self.web(devices=self.disk() + "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>")
        self.refuses(path, "GetDiskInfo", "('hdc', @a{sv} {})", "NoDevice", "domain 'web': disk 'hdc' is empty")
        os.unlink(self.bus.directory / "vda.img")
        failure = self.client.fails(path, DOMAIN, "GetDiskInfo", variant("('vda', @a{sv} {})"))
        self.assertEqual(failure.name, ERROR + "NoFile")

    def test_another_size(self):
        path = self.web(start=True, devices=self.disk() + self.disk("vdb", format="raw", more="<readonly/>"))
        self.set(path, "ResizeDisk", f"('vda', uint64 {16 * MIB}, @a{{sv}} {{}})")
        self.assertEqual(self.info(path)["capacity"], 16 * MIB)
        self.tune(path, "vda", "{'total-iops-sec': <uint64 100>}")
        self.set(path, "ResizeDisk", f"('vda', uint64 {32 * MIB}, @a{{sv}} {{}})")
        self.assertEqual(self.info(path)["capacity"], 32 * MIB)
        for size in (0, 511):
            self.refuses(path, "ResizeDisk", f"('vda', uint64 {size}, @a{{sv}} {{}})", "InvalidArgument",
                         "domain 'web': disk 'vda': a size is a multiple of 512 bytes, and not 0")
        self.refuses(path, "ResizeDisk", f"('vdb', uint64 {MIB}, @a{{sv}} {{}})", "UnsupportedConfiguration",
                     "domain 'web': disk 'vdb' cannot be written")
        failure = self.client.fails(path, DOMAIN, "ResizeDisk", variant(f"('vda', uint64 {2 ** 63 - 512}, @a{{sv}} {{}})"))
        self.assertEqual(failure.name, ERROR + "MonitorFailed")
        self.client.domain(path, "Destroy")
        self.refuses(path, "ResizeDisk", f"('vda', uint64 {MIB}, @a{{sv}} {{}})", "InvalidState", OFF)

    def test_errors(self):
        path = self.web(start=True, devices=self.disk())
        self.assertEqual(self.of(path, "GetDiskErrors"), ([],))
        self.client.domain(path, "Destroy")
        self.refuses(path, "GetDiskErrors", "(@a{sv} {},)", "InvalidState", OFF)


class Contents(DiskCase):
    def test_of_a_disk(self):
        path = self.web(devices=self.disk(format="raw", size=1))
        with open(self.bus.directory / "vda.img", "r+b") as image:
            image.seek(1000)
            image.write(b"hello")
        read = lambda offset, length: bytes(self.ask(path, "ReadDisk", f"('vda', uint64 {offset}, uint32 {length}, @a{{sv}} {{}})")[0])
        self.assertEqual(read(999, 7), b"\0hello\0")
        self.assertEqual(len(read(MIB - 4096, 4096)), 4096)
        self.client.domain(path, "Start", "{'paused': <true>}")
        self.assertEqual(read(1000, 5), b"hello")
        self.refuses(path, "ReadDisk", f"('vda', uint64 {MIB - 1}, uint32 2, @a{{sv}} {{}})", "InvalidArgument",
                     "disk 'vda': the image ends before")
        self.refuses(path, "ReadDisk", "('vda', uint64 0, uint32 0, @a{sv} {})", "InvalidArgument", "length: 0 bytes are none")
        for arguments in (f"('vda', uint64 0, uint32 {4 * MIB + 1}, @a{{sv}} {{}})", f"('vda', uint64 {2 ** 63}, uint32 1, @a{{sv}} {{}})"):
            self.assertEqual(self.client.fails(path, DOMAIN, "ReadDisk", variant(arguments)).name, ERROR + "InvalidArgument")
        self.refuses(path, "ReadDisk", f"('vda', uint64 {2 ** 63 - 1}, uint32 1, @a{{sv}} {{}})", "InvalidArgument",
                     "disk 'vda': the image ends before")

    def test_of_memory(self):
        path = self.web(start=True)
        read = lambda address, length, space: bytes(self.ask(
            path, "ReadMemory", f"(uint64 {address}, uint32 {length}, {{'space': <'{space}'>}})")[0])
        # The reset vector of the firmware begins with a jump.
        self.assertIn(read(0xfffffff0, 16, "physical")[0], (0xea, 0xe9, 0x90))
        self.assertEqual(len(read(MIB, 65536, "physical")), 65536)
        self.assertEqual(read(0, 64, "virtual"), read(0, 64, "physical"))
        self.refuses(path, "ReadMemory", f"(uint64 {2 ** 64 - 1}, uint32 2, @a{{sv}} {{}})", "InvalidArgument",
                     "there are no such addresses, or none were asked for")
        self.assertEqual(self.client.fails(path, DOMAIN, "ReadMemory", variant(f"(uint64 0, uint32 {4 * MIB + 1}, @a{{sv}} {{}})")).name,
                         ERROR + "InvalidArgument")
        # No descriptor stays with the emulator; those of a guest that stands still it keeps until it runs.
        self.client.domain(path, "Resume")
        before = self.monitor(path, "query-fdsets")
        read(0, 64, "physical")
        self.assertEqual(self.monitor(path, "query-fdsets"), before)
        self.client.domain(path, "Destroy")
        self.refuses(path, "ReadMemory", "(uint64 0, uint32 1, @a{sv} {})", "InvalidState", OFF)


class Others(DiskCase):
    def test_buttons_and_state(self):
        path = self.web(start=True)
        self.of(path, "InjectNMI")
        self.assertEqual(self.of(path, "GetControlState"), ("idle", 0))
        self.assertEqual(self.of(path, "GetMessages"), ([],))
        self.assertEqual(self.of(path, "GetHostAddresses"), ([],))
        self.refuses(path, "Sleep", "('memory', @a{sv} {})", "InvalidState", "domain 'web': the guest does not run (it is paused)")
        self.client.domain(path, "Resume")
        self.refuses(path, "Sleep", "('memory', @a{sv} {})", "NoAgent",
                     "domain 'web' has no channel for a guest agent ('org.qemu.guest_agent.0')")
        self.client.domain(path, "Destroy")
        for member in ("InjectNMI", "GetControlState", "GetHostAddresses"):
            self.refuses(path, member, "(@a{sv} {},)", "InvalidState", OFF)

    def test_what_is_out_of_the_ordinary(self):
        arguments = "".join(f"<qemu:arg value='{word}'/>" for word in ("-uuid", "11111111-2222-3333-4444-555555555555"))
        text = xml("web").replace("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
        path = self.client.define(text.replace("</domain>", f"<qemu:commandline>{arguments}</qemu:commandline></domain>"))
        self.assertEqual(self.of(path, "GetMessages"), ([],))
        self.client.domain(path, "Start", "{'paused': <true>}")
        self.assertEqual(self.of(path, "GetMessages"), (["tainted: custom configuration parameters specified"],))
        self.assertEqual(self.of(path, "GetMessages", "{'kinds': <['deprecated']>}"), ([],))

    def test_network_cards(self):
        mac = "52:54:00:11:22:33"
        path = self.web(devices=f"<interface type='user'><mac address='{mac}'/></interface>")
        self.assertEqual(self.ask(path, "GetInterfaceTuning", f"('{mac}', @a{{sv}} {{}})"), ({},))
        self.refuses(path, "GetInterfaceTuning", "('vnet9', @a{sv} {})", "NoDevice", "domain 'web' has no network card 'vnet9'")

    def test_what_a_network_card_may_carry(self):
        mac = "52:54:00:11:22:33"
        path = self.web(devices=f"<interface type='user'><mac address='{mac}'/></interface>")
        change = lambda values, options="{}": self.set(path, "SetInterfaceTuning", f"('{mac}', {{{values}}}, @a{{sv}} {options})")  # noqa: E731
        told = lambda options="{}": self.ask(path, "GetInterfaceTuning", f"('{mac}', @a{{sv}} {options})")[0]  # noqa: E731
        change("'inbound-average': <uint32 100>, 'inbound-peak': <uint32 200>, 'inbound-burst': <uint32 30>")
        change("'outbound-average': <uint32 7>")
        self.assertEqual(told(), {"inbound-average": 100, "inbound-peak": 200, "inbound-burst": 30, "outbound-average": 7})
        self.assertIn("<inbound average='100' peak='200' burst='30'/>", self.client.xml(path))
        # A direction is set as a whole.
        change("'inbound-average': <uint32 50>")
        self.assertEqual(told("{'config': <true>}"), {"inbound-average": 50, "outbound-average": 7})
        change("'inbound-average': <uint32 0>, 'outbound-average': <uint32 0>")
        self.assertEqual(told(), {})
        self.assertNotIn("bandwidth", self.client.xml(path))
        refuses = lambda values, *error: self.refuses(  # noqa: E731
            path, "SetInterfaceTuning", f"('{mac}', @a{{sv}} {values}, @a{{sv}} {{}})", *error)
        refuses("{}", "InvalidArgument", "no value was given")
        refuses("{'inbound-peak': <uint32 5>}", "InvalidArgument", "values 'inbound-peak' and 'inbound-burst': they need 'inbound-average'")
        refuses("{'inbound-average': <uint32 5>, 'inbound-floor': <uint32 5>}", "UnsupportedConfiguration",
                "value 'inbound-floor': floor attribute is supported only for interfaces of type network")
        self.client.domain(path, "Start", "{'paused': <true>}")
        refuses("{'inbound-average': <uint32 5>}", "UnsupportedConfiguration",
                "domain 'web': interface 'net0': it is not plugged into the host's networks, where its traffic could be limited")
        change("'inbound-average': <uint32 5>", "{'config': <true>}")
        self.assertEqual((told("{'live': <true>}"), told("{'config': <true>}")), ({}, {"inbound-average": 5}))

    def test_what_a_job_was(self):
        path = self.web(start=True)
        self.assertEqual(self.of(path, "GetJobStats"), ({"state": "none"},))
        self.assertEqual(self.of(path, "GetJobStats", "{'completed': <true>}"), ({"state": "none"},))
        self.client.domain(path, "ManagedSave")
        kept = self.of(path, "GetJobStats", "{'completed': <true>, 'keep': <true>}")[0]
        self.assertEqual((kept["state"], kept["operation"]), ("completed", "managed save"))
        self.assertGreater(kept["elapsed-usec"], 0)
        self.assertEqual(self.of(path, "GetJobStats", "{'completed': <true>}"), (kept,))
        self.assertEqual(self.of(path, "GetJobStats", "{'completed': <true>}"), ({"state": "none"},))
        self.assertEqual(self.of(path, "GetJobStats"), ({"state": "none"},))


if __name__ == "__main__":
    unittest.main()
