# SPDX-License-Identifier: LGPL-2.1-or-later
"""Classic events of what happens to real guests: each with what it says, once, in its order, and only to who has registered for it."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

import libvirt
import libvirt_qemu

from gi.repository import GLib

from harness import DEADLINE, DOMAIN, Failure, wait_until
from chips import CRASH_LOAD, HIBERNATE, PANIC, POWER_OFF, RESET, SLEEP, WATCHDOG
from lifecycle import WORDS
from pretended import Pretended
from proxied import ProxiedCase, domain
from qemud import xml
from test_qemu_events import ACTIONS, look

ACPI = "<features><acpi/></features>"


class Heard:
    """What callbacks were called with: (id, name, …)."""

    def __init__(self):
        self.events = []
        self.lock = threading.Lock()

    def callback(self, number):
        def called(_connection, domain, *arguments):
            with self.lock:
                self.events.append((number, domain.name(), *arguments[:-1]))
        return called

    def of(self, number):
        with self.lock:
            return [event[2:] for event in self.events if event[0] == number]

    def lifecycle(self):
        with self.lock:
            return [(event[1], " ".join([WORDS[event[2]][0], WORDS[event[2]][1][event[3]]])) for event in self.events if event[0] == 0]

    def forget(self):
        with self.lock:
            self.events.clear()

    def wait(self, number, *arguments):
        wait_until(lambda: arguments in self.of(number))

    def wait_lifecycle(self, *said):
        """Nothing else, and in this order."""
        wait_until(lambda: len(self.lifecycle()) >= len(said))
        got = [what for _name, what in self.lifecycle()]
        assert got == list(said), f"{got} is not {list(said)}"


class EventCase(ProxiedCase):
    def register(self, *numbers, domain=None):
        heard = Heard()
        for number in numbers or range(libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE + 1):
            callback = self.connection.domainEventRegisterAny(domain, number, heard.callback(number), None)
            self.addCleanup(self.connection.domainEventDeregisterAny, callback)
        return heard

    def defined(self, devices="", more="", poweroff="destroy", reboot="restart", crash="destroy"):
        return self.connection.defineXML(xml("web", devices=devices, more=ACPI + more + ACTIONS.format(poweroff, reboot, crash)))

    def monitor(self, domain, command, **arguments):
        request = json.dumps({"execute": command, "arguments": arguments})
        answer = self.client.call(self.client.find(domain.name()), DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (request, {})))[0]
        return json.loads(answer)["return"]

    def port(self, domain, line):
        return self.monitor(domain, "human-monitor-command", **{"command-line": line})

    def last_port(self, domain, line):
        """One of which the emulator may end before it has answered."""
        try:
            self.port(domain, line)
        except Failure:
            pass

    def firmware(self, domain):
        wait_until(lambda: not self.port(domain, "i /h 0x604").rstrip().endswith("0xffff"))

    def is_quiet(self, heard):
        """Whether nothing else is on its way: what comes after it has been heard."""
        before = len(heard.events)
        self.connection.defineXML(xml("marker")).undefine()
        wait_until(lambda: ("marker", "undefined removed") in heard.lifecycle())
        return [event for event in heard.events[before:] if event[1] != "marker"] == []


class Lifecycle(EventCase):
    def test_of_definitions(self):
        heard = self.register(0)
        domain = self.defined()
        self.defined(devices="<serial type='null'/>", more=f"<uuid>{domain.UUIDString()}</uuid>")
        domain.rename("shop")
        domain.undefine()
        heard.wait_lifecycle("defined added", "defined updated", "undefined renamed", "defined renamed", "undefined removed")
        self.assertEqual([name for name, _what in heard.lifecycle()], ["web", "web", "web", "shop", "shop"])

    def test_of_a_guest(self):
        domain = self.defined()
        heard = self.register(0)
        domain.create()
        domain.suspend()
        domain.resume()
        domain.destroy()
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        domain.undefine()
        domain.destroy()
        heard.wait_lifecycle("resumed unpaused", "started booted", "suspended paused", "resumed unpaused", "shutdown host", "stopped destroyed",
                             "started booted", "suspended paused", "undefined removed", "shutdown host", "stopped destroyed")

    def test_of_a_transient_one(self):
        heard = self.register(0)
        domain = self.connection.createXML(xml("web"))
        self.assertTrue(domain.isActive())
        domain.destroy()
        heard.wait_lifecycle("resumed unpaused", "started booted", "shutdown host", "stopped destroyed")
        self.assertTrue(self.is_quiet(heard))

    def test_of_one_that_cannot_start(self):
        domain = self.defined(devices="<disk type='file' device='disk'><source file='/nonexistent'/><target dev='hda'/></disk>")
        heard = self.register(0)
        with self.assertRaises(libvirt.libvirtError):
            domain.create()
        self.assertTrue(self.is_quiet(heard))

    def test_of_a_saved_one(self):
        domain = self.defined()
        domain.create()
        heard = self.register(0, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION)
        domain.managedSave()
        domain.create()
        heard.wait_lifecycle("suspended paused", "stopped saved", "started restored", "resumed from-snapshot")
        figures = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED)[0][0]
        self.assertEqual(figures["operation"], libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE)
        self.assertTrue(figures["success"])
        self.assertEqual((figures["data_total"], figures["data_remaining"]), (figures["data_processed"], 0))
        self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION)[0], (1,))
        figures = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED)[1][0]
        self.assertEqual((figures["operation"], figures["success"]), (libvirt.VIR_DOMAIN_JOB_OPERATION_RESTORE, True))
        domain.coreDump(str(self.bus.directory / "core"), libvirt.VIR_DUMP_MEMORY_ONLY)
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED)) == 3)
        figures = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED)[2][0]
        self.assertEqual((figures["operation"], figures["success"]), (libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP, True))
        completed = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        self.assertEqual((completed["type"], completed["operation"]), (libvirt.VIR_DOMAIN_JOB_COMPLETED, libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP))
        self.assertEqual([completed[key] for key in ("time_elapsed", "data_total", "data_processed")],
                         [figures[key] for key in ("time_elapsed", "data_total", "data_processed")])
        self.assertGreater(figures["data_processed"], 0)

    def test_of_power(self):
        domain = self.defined()
        domain.create()
        self.firmware(domain)
        heard = self.register(0, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT)
        self.port(domain, RESET)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_REBOOT)
        self.firmware(domain)
        self.last_port(domain, POWER_OFF)
        heard.wait_lifecycle("shutdown guest", "stopped shutdown")

    def test_of_an_emulator_that_the_host_ends(self):
        domain = self.defined()
        domain.create()
        heard = self.register(0)
        os.kill(self.qemud.emulator(domain.UUIDString()), signal.SIGTERM)
        heard.wait_lifecycle("shutdown host", "stopped destroyed")

    def test_of_panic(self):
        domain = self.defined(devices="<panic model='isa'/>", crash="preserve")
        domain.create()
        heard = self.register(0)
        self.port(domain, CRASH_LOAD)
        self.port(domain, PANIC)
        heard.wait_lifecycle("crashed crashloaded", "crashed panicked")

    def test_of_sleep(self):
        domain = self.defined(more="<pm><suspend-to-mem enabled='yes'/><suspend-to-disk enabled='yes'/></pm>")
        domain.create()
        self.firmware(domain)
        heard = self.register()
        self.port(domain, SLEEP)
        heard.wait_lifecycle("pmsuspended memory")
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND, 0)
        self.client.domain(self.client.find("web"), "Resume")
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP, 0)
        self.firmware(domain)
        self.last_port(domain, HIBERNATE)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, 0)
        heard.wait_lifecycle("pmsuspended memory", "started wakeup", "pmsuspended disk", "shutdown guest", "stopped shutdown")


class Others(EventCase):
    def test_the_watchdog(self):
        domain = self.defined(devices="<watchdog model='ib700' action='pause'/>")
        domain.create()
        heard = self.register(0, libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG)
        self.port(domain, WATCHDOG)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, libvirt.VIR_DOMAIN_EVENT_WATCHDOG_PAUSE)
        heard.wait_lifecycle("suspended watchdog")

    def test_the_clock(self):
        domain = self.defined()
        domain.create()
        self.firmware(domain)
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_RTC_CHANGE)
        # One port says which register the other is: the firmware, which uses them too, must not come in between.
        domain.suspend()
        for line in ("o /b 0x70 0x09", "o /b 0x71 0x40"):  # the year, in BCD
            self.port(domain, line)
        domain.resume()
        wait_until(lambda: any(offset > 365 * 86400 for (offset,) in heard.of(libvirt.VIR_DOMAIN_EVENT_ID_RTC_CHANGE)))

    def test_a_tray(self):
        domain = self.defined(devices="<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>")
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE)
        self.monitor(domain, "blockdev-open-tray", id="ide0-1-0")
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, "ide0-1-0", libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN)
        self.monitor(domain, "blockdev-close-tray", id="ide0-1-0")
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, "ide0-1-0", libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE)

    def test_an_image_that_fills_up(self):
        image = self.bus.directory / "filling.raw"
        image.write_bytes(bytes(4 << 20))
        domain = self.defined(devices="<disk type='file'><driver name='qemu' type='raw'/>"
                                      f"<source file='{image}'/><target dev='vda' bus='virtio'/><shareable/></disk>")
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        event = libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD
        heard = self.register(event)
        domain.setBlockThreshold("vda", 2 << 20)
        # The emulator itself writes, where others may, too.
        for place in ("1M", "2M"):
            self.port(domain, f'qemu-io vda-1-format "write {place} 64k"')
        heard.wait(event, "vda", None, 2 << 20, 64 << 10)
        heard.wait(event, "vda[1]", None, 2 << 20, 64 << 10)
        # That was it, until it is set again; and 0 takes it away.
        domain.setBlockThreshold("vda[1]", 1 << 20)
        domain.setBlockThreshold("vda[1]", 0)
        self.port(domain, 'qemu-io vda-1-format "write 1M 64k"')
        domain.setBlockThreshold(str(image), 3 << 20)
        self.port(domain, 'qemu-io vda-1-format "write 3M 4k"')
        heard.wait(event, "vda[1]", None, 3 << 20, 4 << 10)
        self.assertEqual(len(heard.of(event)), 4)
        for name in ("vdb", "vda[2]", "vda[x]", "vda[1]]", "vda[99999999999999999999]"):
            with self.assertRaises(libvirt.libvirtError) as caught:
                domain.setBlockThreshold(name, 1)
            self.assertIn(name, str(caught.exception))

    def test_a_device_that_leaves(self):
        domain = self.defined(devices="<controller type='virtio-serial' index='0'/>")
        domain.create()
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED)
        self.monitor(domain, "device_add", driver="virtserialport", id="ua-port", bus="virtio-serial0.0")
        self.monitor(domain, "device_del", id="ua-port")
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, "ua-port")

    def test_an_agent_and_a_missing_medium(self):
        domain = self.defined(devices="<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
                              "<disk type='file' device='cdrom'><source file='/nonexistent/m.iso' startupPolicy='optional'/>"
                              "<target dev='hdc' bus='ide'/></disk>")
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE)
        domain.create()
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
                   libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE, None, None, "ide0-1-0", libvirt.VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START)

    def test_a_viewer(self):
        domain = self.defined(devices="<graphics type='vnc'><listen type='socket'/></graphics><video><model type='vga'/></video>")
        domain.create()
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)
        with socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)) as viewer:
            self.assertEqual(viewer.recv(12, socket.MSG_WAITALL), b"RFB 003.008\n")
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)) == 2)
        events = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)
        self.assertEqual([event[0] for event in events], [libvirt.VIR_DOMAIN_EVENT_GRAPHICS_CONNECT, libvirt.VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT])
        for _phase, local, remote, auth, subject in events:
            self.assertTrue(local["service"].endswith("/vnc0.sock"), local)
            self.assertEqual((local["family"], remote, auth, subject), (libvirt.VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX, {
                "family": libvirt.VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX, "node": "", "service": ""}, "none", []))

    def test_a_viewer_by_tcp(self):
        domain = self.defined(devices="<graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>")
        domain.create()
        port = re.search(r"port='(\d+)'", domain.XMLDesc())[1]
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)
        with socket.create_connection(("127.0.0.1", int(port)), DEADLINE) as viewer:
            own = str(viewer.getsockname()[1])
            look(viewer)
            wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)) == 2)
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)) == 3)
        events = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)
        self.assertEqual([event[0] for event in events], [libvirt.VIR_DOMAIN_EVENT_GRAPHICS_CONNECT, libvirt.VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE,
                                                          libvirt.VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT])
        local, remote = ({"family": libvirt.VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV4, "node": "127.0.0.1", "service": service} for service in (port, own))
        for event in events:
            self.assertEqual(event[1:], (local, remote, "none", []))

    def test_limits_that_change(self):
        image = self.bus.directory / "disk.raw"
        image.write_bytes(bytes(1 << 20))
        domain = self.defined(devices=f"<disk type='file' device='disk'><source file='{image}'/><target dev='hda' bus='ide'/></disk>")
        domain.create()
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE)
        domain.pinVcpu(0, (True,))
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE, {"cputune.vcpupin0": "0"})
        domain.setBlockIoTune("hda", {"total_iops_sec": 100})
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE)) == 2)
        (limits,) = heard.of(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE)[1]
        self.assertEqual((limits["blkdeviotune.disk"], limits["blkdeviotune.total_iops_sec"]), ("hda", 100))

    def test_metadata(self):
        domain = self.defined()
        domain.create()
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE)
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "a title", None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, libvirt.VIR_DOMAIN_METADATA_TITLE, None)
        for uri in ("http://example.org/one", "http://example.org/two"):
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "key", uri, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        heard.wait(libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, libvirt.VIR_DOMAIN_METADATA_ELEMENT, "http://example.org/two")
        self.assertIn((libvirt.VIR_DOMAIN_METADATA_ELEMENT, "http://example.org/one"), heard.of(libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE))


class Told(Pretended, EventCase):
    """What only other hosts and viewers bring about."""

    def setUp(self):
        super().setUp()
        self.set_up_pretended()
        self.domain = self.connection.defineXML(self.pretended_xml("web"))
        self.domain.create()
        self.path = self.client.find("web")

    def test_a_viewer_and_who_it_is(self):
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)
        server, client = {"host": "2001:db8::1", "port": "5930", "family": "ipv6"}, {"host": "2001:db8::2", "port": "40000", "family": "ipv6"}
        self.say(self.path, "SPICE_CONNECTED", server=server, client=client)
        self.say(self.path, "VNC_INITIALIZED", server={"host": "192.0.2.1", "service": "5900", "family": "ipv4", "auth": "vencrypt+x509+sasl"},
                 client={"host": "192.0.2.7", "service": "4711", "family": "ipv4", "x509_dname": "CN=Alice", "sasl_username": "alice"})
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)) == 2)
        ipv4, ipv6 = libvirt.VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV4, libvirt.VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV6
        self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS), [
            (libvirt.VIR_DOMAIN_EVENT_GRAPHICS_CONNECT, {"family": ipv6, "node": "2001:db8::1", "service": "5930"},
             {"family": ipv6, "node": "2001:db8::2", "service": "40000"}, "", []),
            (libvirt.VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE, {"family": ipv4, "node": "192.0.2.1", "service": "5900"},
             {"family": ipv4, "node": "192.0.2.7", "service": "4711"}, "vencrypt+x509+sasl", [("x509dname", "CN=Alice"), ("saslUsername", "alice")])])

    def test_memory_that_fails(self):
        heard = self.register(libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE)
        self.say(self.path, "MEMORY_FAILURE", recipient="hypervisor", action="fatal", flags={"action-required": True, "recursive": False})
        self.say(self.path, "MEMORY_FAILURE", recipient="guest", action="reset", flags={"action-required": False, "recursive": True})
        wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE)) == 2)
        self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE), [
            (libvirt.VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_HYPERVISOR, libvirt.VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_FATAL,
             libvirt.VIR_DOMAIN_MEMORY_FAILURE_ACTION_REQUIRED),
            (libvirt.VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_GUEST, libvirt.VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_RESET,
             libvirt.VIR_DOMAIN_MEMORY_FAILURE_RECURSIVE)])


class Registrations(EventCase):
    def test_for_one_domain(self):
        web, other = self.defined(), self.connection.defineXML(xml("other"))
        heard = self.register(0, domain=web)
        all_of_them = self.register(0)
        other.undefine()
        web.undefine()
        heard.wait_lifecycle("undefined removed")
        all_of_them.wait_lifecycle("undefined removed", "undefined removed")
        self.assertEqual([name for name, _what in heard.lifecycle()], ["web"])

    def test_no_more(self):
        heard, others, connection = Heard(), self.register(0), self.connect()
        callback = connection.domainEventRegisterAny(None, 0, heard.callback(0), None)
        connection.domainEventDeregisterAny(callback)
        self.defined()
        others.wait_lifecycle("defined added")
        self.assertEqual(heard.lifecycle(), [])

    def refused(self, raw, procedure, body=b""):
        return raw.fails(procedure, body).message

    def test_what_there_is_not(self):
        raw = self.raw()
        self.assertIn("unsupported event ID 28", self.refused(raw, 316, struct.pack(">iI", 28, 0)))
        self.assertIn("unsupported event ID -1", self.refused(raw, 316, struct.pack(">iI", -1, 0)))
        self.assertIn("unsupported event ID 16", self.refused(raw, 167, struct.pack(">i", 16)))
        self.assertIn("callback 5 not registered", self.refused(raw, 317, struct.pack(">i", 5)))
        self.assertIn("event 3 not registered", self.refused(raw, 168, struct.pack(">i", 3)))
        self.assertIn("not registered", self.refused(raw, 106))
        nobody = struct.pack(">iI", 0, 1) + domain("nobody", bytes(16))
        self.assertIn("no domain with matching uuid", self.refused(raw, 316, nobody))

    def test_as_it_was_done_before(self):
        """The oldest two ways: no number, and each event once however often it was asked for."""
        raw = self.raw()
        self.assertEqual(raw.call(105), struct.pack(">i", 1))
        self.assertIn("already registered", self.refused(raw, 105))
        raw.call(167, struct.pack(">i", 0))
        self.assertIn("already registered", self.refused(raw, 167, struct.pack(">i", 0)))
        web = self.defined()
        self.assertEqual(raw.wait_messages(1), [(107, domain("web", web.UUID()) + struct.pack(">ii", 0, 0))])
        self.assertEqual(raw.call(106), struct.pack(">i", 0))
        raw.call(168, struct.pack(">i", 0))
        web.undefine()
        raw.call(316, struct.pack(">iI", 0, 0))
        self.defined()
        self.assertEqual([procedure for procedure, _body in raw.wait_messages(2)], [107, 318])

    def test_limits(self):
        raw = self.raw()
        for _ in range(1024):
            raw.call(316, struct.pack(">iI", 0, 0))
        self.assertIn("1024", self.refused(raw, 316, struct.pack(">iI", 0, 0)))

    def test_other_objects_have_no_events_yet(self):
        with self.assertRaises(libvirt.libvirtError) as refused:
            self.connection.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, lambda *_: None, None)
        self.assertEqual(refused.exception.get_error_code(), libvirt.VIR_ERR_NO_SUPPORT)


class Restart(EventCase):
    def test_of_the_driver_under_a_connected_client(self):
        domain = self.defined()
        domain.create()
        heard = self.register(0)
        self.qemud.restart()
        self.assertTrue(self.is_quiet(heard))
        domain.suspend()
        wait_until(lambda: ("web", "suspended paused") in heard.lifecycle())

    def test_what_happened_meanwhile_is_told(self):
        domain = self.defined()
        domain.create()
        gone = self.connection.defineXML(xml("gone"))
        heard = self.register(0)
        emulator = self.qemud.emulator(domain.UUIDString())
        self.qemud.end(signal.SIGKILL)
        os.kill(emulator, signal.SIGKILL)
        (self.qemud.config / "gone.xml").unlink()
        self.qemud.start()
        wait_until(lambda: {("web", "stopped failed"), ("gone", "undefined removed")} <= set(heard.lifecycle()))
        self.assertEqual(len(heard.lifecycle()), 2)
        domain.create()
        self.assertEqual(gone.name(), "gone")
        wait_until(lambda: ("web", "started booted") in heard.lifecycle())


    def test_with_every_kind_registered(self):
        domain = self.defined(devices="<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk><video><model type='vga'/></video>"
                                      "<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>")
        domain.create()
        self.firmware(domain)
        port = int(re.search(r"<graphics[^>]* port='(\d+)'", domain.XMLDesc())[1])
        heard = self.register()
        for how in (signal.SIGTERM, signal.SIGKILL):
            heard.forget()
            self.qemud.restart(how)
            self.happen(domain, port, str(how))
            wait_until(lambda: len(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)) >= 3 and heard.of(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE))
            self.is_quiet(heard)  # whatever else was on its way has come
            # Each once, and nothing of before.
            self.assertEqual([what for name, what in heard.lifecycle() if name == "web"], ["suspended paused", "resumed unpaused"])
            self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE), [(libvirt.VIR_DOMAIN_METADATA_TITLE, None)])
            self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE), [({"cputune.vcpupin0": "0"},)])
            self.assertEqual(heard.of(libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE), [("ide0-1-0", libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN),
                                                                                 ("ide0-1-0", libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE)])
            self.assertEqual([event[0] for event in heard.of(libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS)],
                             [libvirt.VIR_DOMAIN_EVENT_GRAPHICS_CONNECT, libvirt.VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE, libvirt.VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT])

    def happen(self, domain, port, title):
        """Several things, each once."""
        domain.suspend()
        for command in ("blockdev-open-tray", "blockdev-close-tray"):
            self.monitor(domain, command, id="ide0-1-0")
        domain.resume()
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title, None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        domain.pinVcpu(0, (True,))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as viewer:
            look(viewer)

    def test_while_a_job_runs(self):
        domain = self.defined()
        domain.create()
        heard = self.register()
        reader, writer = os.pipe()
        with open(reader, "rb") as dump:
            self.client.send(self.client.find("web"), DOMAIN, "CoreDump", GLib.Variant("(ha{sv})", (0, {"format": GLib.Variant("s", "elf")})), fds=[writer])
            # Nobody reads: the emulator stands in the midst of it.
            self.assertEqual(len(dump.read(1 << 20)), 1 << 20)
            heard.wait_lifecycle("suspended paused")
            self.qemud.end(signal.SIGKILL)
            self.qemud.start()
            while dump.read(1 << 20):
                pass
        heard.wait_lifecycle("suspended paused", "resumed unpaused")
        self.is_quiet(heard)
        self.assertEqual([what for name, what in heard.lifecycle() if name == "web"], ["suspended paused", "resumed unpaused"])
        self.assertEqual(domain.state(), [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_SAVE_CANCELED])


class Monitor(EventCase):
    def listen(self, domain=None, event=None, flags=0):
        heard, connection = Heard(), self.connect()

        def called(_connection, about, name, seconds, micros, details, _opaque):
            with heard.lock:
                heard.events.append((name, about.name(), seconds, micros, details))
        domain = domain and connection.lookupByUUID(domain.UUID())
        callback = libvirt_qemu.qemuMonitorEventRegister(connection, domain, event, called, None, flags)
        self.addCleanup(libvirt_qemu.qemuMonitorEventDeregister, connection, callback)
        return heard

    def test_of_one_guest_over_its_starts(self):
        domain = self.defined()
        heard = self.listen(domain)
        for n in (1, 2):
            domain.create()
            wait_until(lambda: len(heard.of("RESUME")) == n)
            domain.destroy()
        seconds, _micros, details = heard.of("RESUME")[0]
        self.assertGreater(seconds, 1700000000)
        self.assertIsNone(details)

    def test_of_some_events_of_all_guests(self):
        heard = {"pattern": self.listen(event="^(stop|res)", flags=3), "name": self.listen(event="STOP"), "any case": self.listen(event="stop", flags=2)}
        domain = self.defined()
        domain.create()
        every = self.listen()
        domain.suspend()
        domain.resume()
        wait_until(lambda: heard["pattern"].of("STOP") and heard["pattern"].of("RESUME"))
        wait_until(lambda: heard["name"].of("STOP") and heard["any case"].of("STOP"))
        self.assertEqual({event[0] for name in ("name", "any case") for event in heard[name].events}, {"STOP"})
        # It has asked to hear a guest that ran already, and hears it once it may.
        def heard_by_every():
            domain.suspend()
            domain.resume()
            return every.of("STOP")
        wait_until(heard_by_every)

    def test_a_pattern_that_is_none(self):
        with self.assertRaises(libvirt.libvirtError) as refused:
            self.listen(event="(", flags=1)
        self.assertEqual(refused.exception.get_error_code(), libvirt.VIR_ERR_INVALID_ARG)

    def test_after_a_restart_of_the_driver(self):
        domain = self.defined()
        domain.create()
        heard = self.listen(domain)
        self.qemud.restart()

        def heard_again():
            domain.suspend()
            domain.resume()
            return heard.of("STOP")
        wait_until(heard_again)


class Virsh(EventCase):
    def test_prints_them(self):
        domain = self.defined()
        log = self.bus.directory / "virsh.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(self.virsh("event", "--all", "--loop"), stdout=output, stderr=output, stdin=subprocess.DEVNULL)

        def stop():
            process.terminate()
            process.wait()
        self.addCleanup(stop)

        def heard():
            domain.setAutostart(1)
            self.connection.defineXML(xml("marker")).undefine()
            return b"marker" in log.read_bytes()
        wait_until(heard)
        domain.create()
        domain.reset(0)
        # The emulator tells of it later than it answers.
        wait_until(lambda: b"event 'reboot'" in log.read_bytes())
        domain.destroy()
        wait_until(lambda: b"Stopped Destroyed" in log.read_bytes())
        text = log.read_text(encoding="utf-8")
        for line in ("event 'lifecycle' for domain 'web': Resumed Unpaused", "event 'lifecycle' for domain 'web': Started Booted",
                     "event 'reboot' for domain 'web'", "event 'lifecycle' for domain 'web': Stopped Destroyed"):
            self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()
