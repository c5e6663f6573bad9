# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens inside a guest becomes its state, with the reason, and does what the definition wants. No operating system is needed for it:
the emulator's human monitor writes to the ports of the machine's chips, as a guest's kernel would."""

import json
import os
import re
import select
import socket
import unittest

from gi.repository import GLib

from harness import DEADLINE, DOMAIN, ERROR, variant, wait_until
from pretended import Pretended
from qemud import QemuCase, xml
from chips import CRASH_LOAD, HIBERNATE, PANIC, POWER_OFF, RESET, SLEEP, WATCHDOG

ACTIONS = "<on_poweroff>{0}</on_poweroff><on_reboot>{1}</on_reboot><on_crash>{2}</on_crash>"


class EventCase(QemuCase):
    def started(self, poweroff="destroy", reboot="restart", crash="destroy", devices="", more="", options="{}", recorded=False):
        """recorded: the start is heard, too."""
        more = "<features><acpi/></features>" + more + ACTIONS.format(poweroff, reboot, crash)
        path = self.client.define(xml("web", devices=devices, more=more))
        if recorded:
            self.changed = self.changes()
        self.client.domain(path, "Start", options)
        if not recorded:
            self.changed = self.changes()
        return path

    def monitor(self, path, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        answer = json.loads(self.client.call(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (json.dumps(request), {})))[0])
        self.assertIn("return", answer)
        return answer["return"]

    def port(self, path, line):
        self.monitor(path, "human-monitor-command", **{"command-line": line})

    def power_off(self, path):
        """Does not wait for the answer: the emulator may be gone by then."""
        request = {"execute": "human-monitor-command", "arguments": {"command-line": POWER_OFF}}
        self.client.send(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (json.dumps(request), {})))

    def firmware(self, path):
        """Waits until the firmware has switched power management on: before, the chip hears nothing."""
        def is_on():
            registers = self.monitor(path, "human-monitor-command", **{"command-line": "i /h 0x604"})
            return not registers.rstrip().endswith("0xffff")

        wait_until(is_on)

    def wait(self, path, state, reason):
        wait_until(lambda: self.client.state(path) == (state, reason))

    def states(self, path):
        return self.changed.states(path)


class PowerOff(EventCase):
    def test_by_itself(self):
        path = self.started()
        self.firmware(path)
        self.power_off(path)
        self.wait(path, "shutoff", "shutdown")
        self.assertEqual(self.states(path)[-1], "shutoff")

    def test_restart(self):
        path = self.started(poweroff="restart")
        self.firmware(path)
        self.power_off(path)
        self.changed.wait_for(path, "Rebooted")
        self.wait(path, "running", "booted")
        self.assertNotIn("shutoff", self.states(path))

    def test_preserve_is_refused(self):
        failure = self.client.define_fails(xml("web", more=ACTIONS.format("preserve", "restart", "destroy")))
        self.assertEqual(failure.name, ERROR + "UnsupportedConfiguration", failure.message)

    def test_while_the_daemon_is_away(self):
        path = self.started()
        self.firmware(path)
        monitor = self.qemud.run / self.client.property(path, "UUID") / "monitor.sock"
        self.qemud.end()
        qmp(monitor, "human-monitor-command", **{"command-line": POWER_OFF})
        self.qemud.start()
        self.wait(path, "shutoff", "shutdown")

    def test_asked_by_reboot_it_is_reset(self):
        path = self.started()
        self.firmware(path)
        self.client.domain(path, "Reboot", "{'mode': <'acpi'>}")
        self.power_off(path)
        self.changed.wait_for(path, "Rebooted")
        self.wait(path, "running", "booted")
        self.assertNotIn("shutoff", self.states(path))
        self.assertNotIn("paused", self.states(path))
        self.firmware(path)
        self.power_off(path)
        self.wait(path, "shutoff", "shutdown")


class Reboot(EventCase):
    def test_restart(self):
        path = self.started()
        self.firmware(path)
        self.port(path, RESET)
        self.changed.wait_for(path, "Rebooted")
        self.assertEqual(self.client.state(path)[0], "running")

    def test_destroy(self):
        path = self.started(reboot="destroy")
        self.firmware(path)
        self.port(path, RESET)
        self.wait(path, "shutoff", "shutdown")


class Panic(EventCase):
    DEVICE = "<panic model='isa'/>"

    def test_destroy(self):
        path = self.started(devices=self.DEVICE)
        self.port(path, PANIC)
        self.wait(path, "shutoff", "crashed")

    def test_preserve(self):
        path = self.started(crash="preserve", devices=self.DEVICE)
        self.port(path, PANIC)
        self.wait(path, "crashed", "panicked")
        failure = self.client.refused(path, "Resume")
        self.assertEqual((failure.name, failure.message), (
            ERROR + "InvalidState", "domain 'web': the guest is crashed; Reset makes it boot anew, Destroy ends it"))
        self.qemud.restart()
        self.assertEqual(self.client.state(path), ("crashed", "panicked"))
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))

    def test_restart(self):
        path = self.started(crash="restart", devices=self.DEVICE)
        self.port(path, PANIC)
        self.changed.wait_for(path, "State", "crashed")
        self.wait(path, "running", "crashed")
        self.assertIn(("Rebooted",), self.changed.of(path))

    def test_a_guest_that_dumps_itself_goes_on(self):
        path = self.started(devices=self.DEVICE)
        self.port(path, CRASH_LOAD)
        self.changed.wait_for(path, "CrashLoaded")
        self.assertEqual(self.client.state(path), ("running", "booted"))


class CrashDump(EventCase):
    DEVICE = Panic.DEVICE

    def dump_of(self, path):
        return self.qemud.dumps / str(os.getuid()) / f"{self.client.property(path, 'UUID')}.elf"

    def assertIsDump(self, path):
        dump = self.dump_of(path)
        self.assertEqual(dump.read_bytes()[:4], b"\x7fELF")
        self.assertGreater(dump.stat().st_size, 32 << 20)
        self.assertEqual((dump.stat().st_mode & 0o777, dump.parent.stat().st_mode & 0o777), (0o600, 0o700))
        self.assertEqual([entry.name for entry in dump.parent.iterdir()], [dump.name])

    def test_and_destroy(self):
        path = self.started(crash="coredump-destroy", devices=self.DEVICE)
        self.port(path, PANIC)
        self.wait(path, "shutoff", "crashed")
        self.assertIsDump(path)
        (operation, result, elapsed, done, total), = [event[1:] for event in self.changed.of(path) if event[0] == "JobCompleted"]
        self.assertEqual((operation, result, done), ("dump", "completed", total))
        self.assertGreater(min(elapsed, total), 0)
        # The next crash takes its place.
        before = self.dump_of(path).stat().st_ino
        self.client.domain(path, "Start")
        self.port(path, PANIC)
        self.wait(path, "shutoff", "crashed")
        self.assertIsDump(path)
        self.assertNotEqual(self.dump_of(path).stat().st_ino, before)

    def test_and_restart(self):
        path = self.started(crash="coredump-restart", devices=self.DEVICE)
        self.port(path, PANIC)
        self.changed.wait_for(path, "State", "crashed")
        self.wait(path, "running", "crashed")
        self.assertIn(("Rebooted",), self.changed.of(path))
        self.assertIsDump(path)
        self.assertEqual(self.client.property(path, "Job"), "/")

    def test_without_a_place_for_it_the_guest_ends_nevertheless(self):
        path = self.started(crash="coredump-destroy", devices=self.DEVICE)
        self.qemud.dumps.write_text("in the way")
        self.port(path, PANIC)
        self.wait(path, "shutoff", "crashed")
        self.qemud.wait_logged("no dump of its crash")

    def test_while_the_daemon_is_away(self):
        path = self.started(crash="coredump-destroy", devices=self.DEVICE)
        monitor = self.qemud.run / self.client.property(path, "UUID") / "monitor.sock"
        self.qemud.end()
        qmp(monitor, "human-monitor-command", **{"command-line": PANIC})
        self.qemud.start()
        self.wait(path, "shutoff", "crashed")
        self.assertIsDump(path)


class Sleep(EventCase):
    def test_on_its_disk(self):
        path = self.started(more="<pm><suspend-to-disk enabled='yes'/></pm>")
        self.firmware(path)
        self.port(path, HIBERNATE)
        self.changed.wait_for(path, "SuspendedToDisk")
        self.wait(path, "shutoff", "shutdown")

    def test_and_wakes(self):
        path = self.started(more="<pm><suspend-to-mem enabled='yes'/></pm>")
        self.firmware(path)
        self.port(path, SLEEP)
        self.wait(path, "pmsuspended", "unknown")
        failure = self.client.refused(path, "Suspend")
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidState", "domain 'web': the guest sleeps"))
        self.client.domain(path, "Resume")
        self.wait(path, "running", "wakeup")


class Watchdog(EventCase):
    def bark(self, action):
        path = self.started(devices=f"<watchdog model='ib700' action='{action}'/>")
        # Not waiting for the answer: of "poweroff", the emulator dies with it.
        request = {"execute": "human-monitor-command", "arguments": {"command-line": WATCHDOG}}
        self.client.send(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (json.dumps(request), {})))
        self.changed.wait_for(path, "WatchdogFired", action)
        return path

    def test_pause(self):
        path = self.bark("pause")
        self.wait(path, "paused", "watchdog")
        self.client.domain(path, "Resume")
        self.wait(path, "running", "unpaused")

    def test_reset(self):
        path = self.bark("reset")
        self.changed.wait_for(path, "Rebooted")

    def test_poweroff(self):
        path = self.bark("poweroff")
        self.wait(path, "shutoff", "shutdown")


class Devices(EventCase):
    def test_a_tray_is_opened(self):
        path = self.started(devices="<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>")
        # The firmware resets the drive, which closes its tray without a word.
        self.client.domain(path, "Suspend")
        self.monitor(path, "blockdev-open-tray", id="ide0-1-0")
        self.changed.wait_for(path, "TrayChanged", "ide0-1-0", True)
        self.assertIn("tray='open'", self.client.xml(path))
        self.monitor(path, "blockdev-close-tray", id="ide0-1-0")
        self.changed.wait_for(path, "TrayChanged", "ide0-1-0", False)
        self.assertNotIn("tray='open'", self.client.xml(path))

    def set_year(self, path, year):
        # One port says which register the other is: the firmware, which uses them too, must not come in between.
        self.client.domain(path, "Suspend")
        for line in ("o /b 0x70 0x09", f"o /b 0x71 {year}"):  # in BCD
            self.port(path, line)
        self.client.domain(path, "Resume")

    def set_clock(self, clock=""):
        path = self.started(more=clock)
        self.firmware(path)
        self.set_year(path, "0x40")

        def changes():
            return [event[1] for event in self.changed.of(path) if event[0] == "ClockChanged" and event[1] > 365 * 86400]

        wait_until(changes)
        return path, changes()[-1]

    def test_the_clock_is_set(self):
        path, _offset = self.set_clock()
        self.assertIn("<clock offset='utc'/>", self.client.xml(path))

    def test_the_clock_of_a_variable_offset_is_kept(self):
        path, offset = self.set_clock(clock="<clock offset='variable' adjustment='3600'/>")
        self.assertAlmostEqual((offset - 3600 + 43200) % 86400, 43200, delta=5)  # some years on top of the hour
        self.assertIn(f"adjustment='{offset}'", self.client.xml(path))
        self.assertIn("adjustment='3600'", self.client.xml(path, "{'inactive': <true>}"))
        self.qemud.restart()
        self.assertIn(f"adjustment='{offset}'", self.client.xml(path))
        # From where the emulator has started it, and not from where it is now.
        self.changed = self.changes()
        self.set_year(path, "0x41")
        wait_until(lambda: [event for event in self.changed.of(path) if event[0] == "ClockChanged"])
        later = [event[1] for event in self.changed.of(path) if event[0] == "ClockChanged"][-1]
        self.assertAlmostEqual((later - offset) / 86400, 365.5, delta=0.6)

    def test_stopped_behind_the_daemons_back(self):
        path = self.started()
        self.monitor(path, "stop")
        self.wait(path, "paused", "user")
        self.monitor(path, "cont")
        self.wait(path, "running", "unpaused")

    def test_quit_behind_the_daemons_back(self):
        path = self.started()
        self.client.send(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", ('{"execute": "quit"}', {})))
        self.wait(path, "shutoff", "destroyed")
        self.assertEqual([event for event in self.changed.of(path) if event[0] in ("State", "StateReason")][:2],
                         [("State", "shutdown"), ("StateReason", "unknown")])

    def test_an_agent_is_awaited(self):
        channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        path = self.started(devices=channel, recorded=True)
        self.assertIn(("AgentAwaited",), self.changed.of(path))

    def test_one_leaves(self):
        path = self.started(devices="<controller type='virtio-serial' index='0'/>")
        self.monitor(path, "device_add", driver="virtserialport", id="ua-port", bus="virtio-serial0.0")
        self.monitor(path, "device_del", id="ua-port")
        self.changed.wait_for(path, "DeviceRemoved", "ua-port")

    def test_a_viewer_comes_and_goes(self):
        path = self.started(devices="<graphics type='vnc'><listen type='socket'/></graphics><video><model type='vga'/></video>")
        stream = self.client.send(path, DOMAIN, "OpenDisplay", GLib.Variant("(sa{sv})", ("vnc", {}))).descriptor()
        with socket.socket(fileno=stream) as viewer:
            look(viewer)
            self.wait_viewer(path, "vnc", "initialized", "none")
        number = self.wait_viewer(path, "vnc", "disconnected", "none")
        server, client, identities = self.viewer(path, number)
        self.assertEqual((server[:2], client, identities), (("unix", ""), ("unix", "", ""), []))
        self.assertTrue(server[2].endswith("/vnc0.sock"), server)

    def test_a_viewer_comes_by_tcp(self):
        path = self.started(devices="<graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>")
        port = re.search(r"port='(\d+)'", self.client.xml(path))[1]
        with socket.create_connection(("127.0.0.1", int(port)), DEADLINE) as viewer:
            own = str(viewer.getsockname()[1])
            look(viewer)
            numbers = [self.wait_viewer(path, "vnc", phase, "none") for phase in ("connected", "initialized")]
        numbers.append(self.wait_viewer(path, "vnc", "disconnected", "none"))
        for number in numbers:
            self.assertEqual(self.viewer(path, number), (("ipv4", "127.0.0.1", port), ("ipv4", "127.0.0.1", own), []))

    def wait_viewer(self, path, *told):
        """Returns the number of the one who comes, or goes, that way."""
        def numbers():
            return [event[4] for event in self.changed.of(path) if event[:4] == ("DisplayClient", *told)]
        wait_until(numbers)
        return numbers()[0]

    def viewer(self, path, number):
        return self.client.call(path, DOMAIN, "GetDisplayClient", GLib.Variant("(ta{sv})", (number, {})))

    def test_a_viewer_that_nobody_knows(self):
        path = self.started()
        for number in (0, 1, 2**64 - 1):
            failure = self.client.fails(path, DOMAIN, "GetDisplayClient", GLib.Variant("(ta{sv})", (number, {})))
            self.assertEqual(failure.name, ERROR + "InvalidArgument")

    def test_a_missing_medium_is_left_out(self):
        path = self.started(devices="<disk type='file' device='cdrom'><source file='/nonexistent/medium.iso' startupPolicy='optional'/>"
                                    "<target dev='hdc' bus='ide'/></disk>", recorded=True)
        self.assertIn(("MediumDropped", "ide0-1-0"), self.changed.of(path))
        self.assertEqual(self.client.state(path), ("running", "booted"))


def look(viewer):
    """As a viewer of VNC does: version 3.8, no authentication, a shared session."""
    viewer.settimeout(DEADLINE)
    assert viewer.recv(12, socket.MSG_WAITALL) == b"RFB 003.008\n"
    viewer.sendall(b"RFB 003.008\n")
    assert viewer.recv(2, socket.MSG_WAITALL) == b"\1\1"
    viewer.sendall(b"\1\1")
    assert viewer.recv(4, socket.MSG_WAITALL) == b"\0\0\0\0"


class Told(Pretended, EventCase):
    """What only other hosts, guests and viewers bring about."""

    def setUp(self):
        super().setUp()
        self.set_up_pretended()
        self.path = self.client.define(self.pretended_xml("web"))
        self.client.domain(self.path, "Start")
        self.changed = self.changes()

    def viewers(self):
        return [event[1:] for event in self.changed.of(self.path) if event[0] == "DisplayClient"]

    def viewer(self, number):
        return self.client.call(self.path, DOMAIN, "GetDisplayClient", GLib.Variant("(ta{sv})", (number, {})))

    def test_viewers(self):
        server, client = {"host": "2001:db8::1", "port": "5930", "family": "ipv6"}, {"host": "2001:db8::2", "port": "40000", "family": "ipv6"}
        self.say(self.path, "SPICE_CONNECTED", server=server, client=client)
        self.say(self.path, "SPICE_INITIALIZED", server={**server, "auth": "sasl"}, client={**client, "channel-id": 0, "channel-type": 1})
        self.say(self.path, "SPICE_DISCONNECTED", server=server, client=client)
        who = {"host": "192.0.2.7", "service": "4711", "family": "ipv4", "websocket": False, "x509_dname": "CN=Alice,O=Example", "sasl_username": "alice"}
        self.say(self.path, "VNC_INITIALIZED", server={"host": "192.0.2.1", "service": "5900", "family": "ipv4", "auth": "vencrypt+x509+sasl"}, client=who)
        wait_until(lambda: len(self.viewers()) == 4)
        told = self.viewers()
        self.assertEqual([event[:3] for event in told], [("spice", "connected", ""), ("spice", "initialized", "sasl"), ("spice", "disconnected", ""),
                                                         ("vnc", "initialized", "vencrypt+x509+sasl")])
        for event in told[:3]:
            self.assertEqual(self.viewer(event[3]), (("ipv6", "2001:db8::1", "5930"), ("ipv6", "2001:db8::2", "40000"), []))
        self.assertEqual(self.viewer(told[3][3]), (("ipv4", "192.0.2.1", "5900"), ("ipv4", "192.0.2.7", "4711"),
                                                   [("x509-name", "CN=Alice,O=Example"), ("sasl-username", "alice")]))

    def test_viewers_that_say_what_cannot_be(self):
        self.say(self.path, "VNC_INITIALIZED", server=[], client={"host": "a\nb", "service": "x" * 1000, "family": 4, "sasl_username": "\0"})
        wait_until(self.viewers)
        self.assertEqual(self.viewer(self.viewers()[0][3]), (("", "", ""), ("", "", ""), []))

    def test_many_viewers(self):
        for _ in range(65):
            self.say(self.path, "VNC_CONNECTED", server={"family": "unix"}, client={})
        wait_until(lambda: len(self.viewers()) == 65)
        first, *others = [event[3] for event in self.viewers()]
        self.assertEqual(self.client.fails(self.path, DOMAIN, "GetDisplayClient", GLib.Variant("(ta{sv})", (first, {}))).name, ERROR + "InvalidArgument")
        for number in others:
            self.assertEqual(self.viewer(number)[0][0], "unix")

    def test_what_a_panic_is_about(self):
        told = {"hyper-v: arg1='0x7e', arg2='0xffffffffc0000005', arg3='0x1', arg4='0x2', arg5='0x0'":
                {"type": "hyper-v", "arg1": 0x7e, "arg2": 0xffffffffc0000005, "arg3": 1, "arg4": 2, "arg5": 0},
                "s390: core='1' psw-mask='0x0002000180000000' psw-addr='0x000000000010f146' reason='disabled-wait'":
                {"type": "s390", "core": 1, "psw-mask": 0x2000180000000, "psw-addr": 0x10f146, "reason": "disabled-wait"},
                "s390: core='0' psw-mask='0x0000000000000000' psw-addr='0x0000000000000000' reason='unknown'": {"type": "s390", "reason": "x\ny"}}
        self.client.call(self.path, DOMAIN, "SetLifecycleAction", GLib.Variant("(ssa{sv})", ("crash", "preserve", {})))
        for info in told.values():
            self.say(self.path, "GUEST_PANICKED", action="pause", info=info)
        self.say(self.path, "GUEST_PANICKED", action="pause", info={"type": "other"})
        wait_until(lambda: self.client.state(self.path) == ("crashed", "panicked"))
        for line in told:
            wait_until(lambda: f"domain 'web': the guest has panicked: {line}\n" in self.qemud.logged())
        wait_until(lambda: "domain 'web': the guest has panicked\n" in self.qemud.logged())

    def test_memory_that_fails(self):
        for flags in ({"action-required": False, "recursive": False}, {"action-required": True, "recursive": False}, {"action-required": False, "recursive": True}):
            for recipient, action in (("hypervisor", "ignore"), ("hypervisor", "fatal"), ("guest", "inject"), ("guest", "reset")):
                self.say(self.path, "MEMORY_FAILURE", recipient=recipient, action=action, flags=flags)
                self.changed.wait_for(self.path, "MemoryFailed", recipient, action, flags["action-required"], flags["recursive"])


class Definitions(EventCase):
    def test_replacing_one_is_told(self):
        changed = self.changes()
        path = self.client.define(xml("web"))
        self.assertNotIn(("Redefined",), changed.of(path))
        identity = self.client.property(path, "UUID")
        self.client.define(xml("web", uuid=identity, memory=48))
        events = changed.of(path)
        self.assertIn(("Redefined",), events)
        self.assertLess(events.index(("MaxMemory", 48 << 20)), events.index(("Redefined",)))

    def test_a_job_tells_its_end(self):
        path = self.started()
        self.client.domain(path, "ManagedSave")
        events = self.changed.of(path)
        (operation, result, elapsed, done, total), = [event[1:] for event in events if event[0] == "JobCompleted"]
        self.assertEqual((operation, result), ("managed save", "completed"))
        self.assertGreater(elapsed, 0)
        self.assertGreater(done, 0)
        self.assertGreaterEqual(total, done)
        told = next(i for i, event in enumerate(events) if event[0] == "JobCompleted")
        self.assertLess(told, events.index(("State", "shutoff")))

    def test_a_restore_tells_its_end(self):
        path = self.started()
        self.client.domain(path, "ManagedSave")
        self.changed.forget()
        self.client.domain(path, "Start")
        events = self.changed.of(path)
        (operation, result, elapsed, done, total), = [event[1:] for event in events if event[0] == "JobCompleted"]
        self.assertEqual((operation, result), ("restore", "completed"))
        self.assertGreater(min(elapsed, done), 0)
        self.assertGreaterEqual(total, done)
        last = self.client.domain(path, "GetJobStats", "{'completed': <true>}")[0]
        self.assertEqual(last, {"state": "completed", "operation": "restore", "elapsed-usec": elapsed, "bytes-done": done, "bytes-total": total})

    def test_a_restore_that_fails_tells_it(self):
        path = self.started()
        self.client.domain(path, "ManagedSave")
        save = next((self.bus.directory / "state").rglob("*.save"))
        save.write_bytes(save.read_bytes()[:save.stat().st_size // 2])
        self.changed.forget()
        self.client.refused(path, "Start")
        self.assertEqual([event[1:3] for event in self.changed.of(path) if event[0] == "JobCompleted"], [("restore", "failed")])
        self.assertEqual(self.client.domain(path, "GetJobStats", "{'completed': <true>}")[0]["operation"], "restore")


class Watching(EventCase):
    """WatchMonitor: each event of the monitor is a packet."""

    def watch(self, path):
        reader = socket.socket(fileno=self.client.send(path, DOMAIN, "WatchMonitor", variant("(@a{sv} {},)")).descriptor())
        self.addCleanup(reader.close)
        reader.settimeout(DEADLINE)
        return reader

    def read_until(self, reader, name):
        """The packets up to the first of that name."""
        packets = []
        while not packets or packets[-1]["event"] != name:
            packet = reader.recv(1 << 20)
            self.assertNotEqual(packet, b"", f"ended before {name}: {packets}")
            packets.append(json.loads(packet))
        return packets

    def test_over_the_starts_of_a_guest(self):
        path = self.client.define(xml("web"))
        reader, other = self.watch(path), self.watch(path)
        for _ in range(2):
            self.client.domain(path, "Start")
            resumed = self.read_until(reader, "RESUME")[-1]
            self.assertGreater(resumed["timestamp"]["seconds"], 1700000000)
            self.client.domain(path, "Destroy")
            self.read_until(reader, "SHUTDOWN")
        # The other heard the same, and its end when the domain goes.
        self.read_until(other, "SHUTDOWN")
        self.client.domain(path, "Undefine")
        while reader.recv(1 << 20):
            pass

    def test_one_who_does_not_read_is_cut_off(self):
        path = self.started()
        lazy, busy = self.watch(path), self.watch(path)
        # Each is two events. Whoever reads hears them all.
        for _ in range(2000):
            self.monitor(path, "stop")
            self.monitor(path, "cont")
            self.read_until(busy, "RESUME")
            if ended(lazy):
                break
        self.assertTrue(ended(lazy))
        self.monitor(path, "stop")
        self.read_until(busy, "STOP")

    def test_there_is_a_limit(self):
        path = self.client.define(xml("web"))
        watchers = [self.watch(path) for _ in range(16)]
        failure = self.client.refused(path, "WatchMonitor")
        self.assertEqual((failure.name, failure.message), (ERROR + "LimitExceeded", "domain 'web': 16 watch its monitor already"))
        watchers[3].close()
        wait_until(lambda: self.watch(path) if not self.is_refused(path) else None)

    def is_refused(self, path):
        try:
            return self.client.refused(path, "WatchMonitor")
        except AssertionError:
            return None


def ended(reader):
    poll = select.poll()
    poll.register(reader, 0)
    return any(events & select.POLLHUP for _fd, events in poll.poll(0))


def qmp(path, command, **arguments):
    """Says one thing to an emulator's monitor."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()
        for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            while "return" not in json.loads(stream.readline()):
                pass


if __name__ == "__main__":
    unittest.main()
