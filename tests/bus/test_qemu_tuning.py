# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest has and gets of the host: told and changed, of the definition and of the guest that runs; and what is refused."""

import json
import os
import unittest

from gi.repository import GLib

from harness import DOMAIN, ERROR, variant, wait_until
from qemud import QemuCase, QemuClient, Qemud, xml
from services import Service

MIB = 1 << 20
PAUSED = "{'paused': <true>}"
LIVE, CONFIG, BOTH = "{'live': <true>}", "{'config': <true>}", "{'live': <true>, 'config': <true>}"
OFF = "domain 'web': the guest is off"
TRANSIENT = "domain 'web' is transient: it has no persistent definition"


class ServiceManager(Service):
    """A user's service manager that makes every scope, and remembers what it was told of it."""

    NAME, PATH, INTERFACE = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
    XML = """<node><interface name="org.freedesktop.systemd1.Manager">
      <method name="Subscribe"/>
      <method name="StartTransientUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a(sv)" direction="in"/>
        <arg type="a(sa(sv))" direction="in"/><arg type="o" direction="out"/></method>
      <method name="StopUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
      <method name="SetUnitProperties"><arg type="s" direction="in"/><arg type="b" direction="in"/><arg type="a(sv)" direction="in"/></method>
      <signal name="JobRemoved"><arg type="u"/><arg type="o"/><arg type="s"/><arg type="s"/></signal>
    </interface></node>"""

    def __init__(self, bus):
        self.told = []
        self.refuses = False
        super().__init__(bus)

    def _called(self, connection, _sender, _path, _interface, method, parameters, invocation):
        if method == "Subscribe":
            invocation.return_value(None)
        elif method == "SetUnitProperties":
            if self.refuses:
                invocation.return_dbus_error("org.freedesktop.DBus.Error.InvalidArgs", "not today")
                return
            self.told = parameters.unpack()[2]
            invocation.return_value(None)
        else:
            unit = parameters.unpack()[0]
            invocation.return_value(GLib.Variant("(o)", ("/job/1",)))
            connection.emit_signal(None, self.PATH, self.INTERFACE, "JobRemoved", GLib.Variant("(uoss)", (1, "/job/1", unit, "done")))


class TuningCase(QemuCase):
    def web(self, start=False, vcpu="<vcpu>1</vcpu>", **what):
        text = xml("web", **what)
        assert "<vcpu>1</vcpu>" in text
        path = self.client.define(text.replace("<vcpu>1</vcpu>", vcpu))
        if start:
            self.client.domain(path, "Start", PAUSED)
        return path

    def set(self, path, member, arguments):
        self.client.call(path, DOMAIN, member, variant(arguments))

    def ask(self, path, member, arguments="(@a{sv} {},)"):
        return self.client.call(path, DOMAIN, member, variant(arguments))

    def of(self, path, member, options="{}"):
        return self.ask(path, member, f"(@a{{sv}} {options},)")

    def refuses(self, path, member, arguments, error, message):
        failure = self.client.fails(path, DOMAIN, member, variant(arguments))
        self.assertEqual((failure.name.removeprefix(ERROR), failure.message), (error, message))

    def monitor(self, path, command, arguments="{}"):
        text = f'{{"execute": "{command}", "arguments": {arguments}}}'
        answer = json.loads(self.client.call(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (text, {})))[0])
        return answer["return"]


class Memory(TuningCase):
    def test_of_a_guest_that_is_off(self):
        path = self.web(memory=64)
        changes = self.changes()
        self.set(path, "SetMemory", f"(uint64 {32 * MIB - 1}, @a{{sv}} {{}})")
        self.assertIn(("Memory", 32 * MIB), changes.of(path))
        self.set(path, "SetMemory", f"(uint64 {16 * MIB}, {{'maximum': <true>}})")
        self.assertEqual((self.client.property(path, "Memory"), self.client.property(path, "MaxMemory")), (16 * MIB, 16 * MIB))
        self.set(path, "SetMemory", f"(uint64 {128 * MIB}, {{'maximum': <true>, 'config': <true>}})")
        self.assertEqual((self.client.property(path, "Memory"), self.client.property(path, "MaxMemory")), (16 * MIB, 128 * MIB))
        self.qemud.restart()
        self.assertEqual((self.client.property(path, "Memory"), self.client.property(path, "MaxMemory")), (16 * MIB, 128 * MIB))

    def test_of_a_guest_that_runs(self):
        path = self.web(start=True, memory=64, devices="<memballoon model='virtio'/>")
        # Nobody in the guest serves its balloon: it keeps what it has, and the definition for the next start is another matter.
        self.set(path, "SetMemory", f"(uint64 {32 * MIB}, {BOTH})")
        self.assertEqual(self.client.property(path, "Memory"), 64 * MIB)
        self.assertIn("<currentMemory unit='KiB'>32768<", self.client.xml(path, "{'inactive': <true>}"))
        self.refuses(path, "SetMemory", f"(uint64 {128 * MIB}, {{'maximum': <true>}})", "InvalidState",
                     "domain 'web': how much a guest can be given cannot be changed while it runs")
        self.set(path, "SetMemory", f"(uint64 {128 * MIB}, {{'maximum': <true>, 'config': <true>}})")
        self.assertIn("<memory unit='KiB'>131072<", self.client.xml(path, "{'inactive': <true>}"))
        self.assertIn("<memory unit='KiB'>65536<", self.client.xml(path))

    def test_without_a_balloon(self):
        path = self.web(start=True, devices="<memballoon model='none'/>")
        self.refuses(path, "SetMemory", f"(uint64 {16 * MIB}, @a{{sv}} {{}})", "InvalidState",
                     "domain 'web': the memory of a guest that runs can only be changed with a balloon, and it has none")
        self.refuses(path, "SetMemoryStatsPeriod", "(uint32 5, @a{sv} {})", "InvalidState",
                     "domain 'web': the guest has no balloon that tells figures")

    def test_what_is_refused(self):
        path = self.web(memory=64)
        self.refuses(path, "SetMemory", "(uint64 0, @a{sv} {})", "InvalidArgument", "domain 'web': a guest cannot be without memory")
        self.refuses(path, "SetMemory", f"(uint64 {65 * MIB}, @a{{sv}} {{}})", "InvalidArgument",
                     f"domain 'web': cannot set memory higher than max memory: {65 * MIB} > {64 * MIB} bytes")
        failure = self.client.fails(path, DOMAIN, "SetMemory", variant(f"(uint64 {2 ** 64 - 1}, {{'maximum': <true>}})"))
        self.assertEqual(failure.name, ERROR + "InvalidArgument")
        self.refuses(path, "SetMemory", f"(uint64 {MIB}, {LIVE})", "InvalidState", OFF)
        self.assertEqual(self.client.property(path, "MaxMemory"), 64 * MIB)

    def test_the_period_of_figures(self):
        path = self.web(start=True, devices="<memballoon model='virtio'/>")
        self.set(path, "SetMemoryStatsPeriod", f"(uint32 7, {BOTH})")
        self.assertEqual(self.monitor(path, "qom-get", '{"path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval"}'), 7)
        for options in ("{}", "{'inactive': <true>}"):
            self.assertIn("<stats period='7'/>", self.client.xml(path, options))
        self.set(path, "SetMemoryStatsPeriod", f"(uint32 0, {LIVE})")
        self.assertNotIn("<stats", self.client.xml(path))


class Agent(TuningCase):
    def test_how_long_it_is_waited_for(self):
        path = self.web(start=True)
        changes = self.changes()
        self.client.set(path, DOMAIN, "AgentTimeoutUSec", GLib.Variant("t", 0))
        self.assertIn(("AgentTimeoutUSec", 0), changes.of(path))
        self.qemud.restart()
        self.assertEqual(self.client.property(path, "AgentTimeoutUSec"), 0)
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.property(path, "AgentTimeoutUSec"), 0)
        self.qemud.restart()
        self.assertEqual(self.client.property(path, "AgentTimeoutUSec"), 60_000_000)


class IOThreads(TuningCase):
    DISK = ("<disk type='file'><driver name='qemu' type='raw' iothread='2'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>")

    def guest(self, more="<iothreads>2</iothreads>"):
        image = self.bus.directory / "disk.raw"
        image.write_bytes(bytes(1 << 20))
        return self.web(start=True, vcpu=f"<vcpu>1</vcpu>{more}", devices=self.DISK.format(image))

    def threads(self, path):
        return {thread["id"]: thread["thread-id"] for thread in self.monitor(path, "query-iothreads")}

    def numbers(self, path, options="{}"):
        return [number for number, _cpus in self.of(path, "ListIOThreads", options)[0]]

    def test_of_a_guest_that_runs(self):
        path = self.guest()
        self.assertEqual(set(self.threads(path)), {"iothread1", "iothread2"})
        self.assertEqual(self.monitor(path, "qom-get", '{"path": "/machine/peripheral/virtio-disk0", "property": "iothread"}'),
                         "/objects/iothread2")
        self.set(path, "AddIOThread", f"(uint32 9, {BOTH})")
        self.assertEqual((self.numbers(path), self.numbers(path, CONFIG)), ([1, 2, 9], [1, 2, 9]))
        self.assertIn("iothread9", self.threads(path))
        self.assertIn("<iothreads>3</iothreads>\n  <iothreadids>\n    <iothread id='1'/>", self.client.xml(path))

        self.set(path, "PinIOThread", f"(uint32 9, '0', {LIVE})")
        self.assertEqual(os.sched_getaffinity(self.threads(path)["iothread9"]), {0})
        self.assertEqual(dict(self.of(path, "ListIOThreads", LIVE)[0])[9], "0")
        everywhere = os.sched_getaffinity(self.threads(path)["iothread1"])
        self.set(path, "PinEmulator", f"('0', {LIVE})")
        self.assertEqual(os.sched_getaffinity(self.threads(path)["iothread1"]), everywhere)

        self.qemud.restart()
        self.set(path, "RemoveIOThread", f"(uint32 9, {BOTH})")
        self.assertNotIn("iothread9", self.threads(path))
        self.assertNotIn("iothreadpin", self.client.xml(path))
        self.refuses(path, "RemoveIOThread", f"(uint32 2, {LIVE})", "InvalidArgument",
                     "domain 'web': cannot remove IOThread 2 since it is being used by disk 'vda'")
        self.refuses(path, "RemoveIOThread", f"(uint32 9, {LIVE})", "InvalidArgument",
                     "domain 'web': cannot find IOThread '9' in iothreadids list")
        self.refuses(path, "AddIOThread", f"(uint32 2, {LIVE})", "InvalidArgument",
                     "domain 'web': an IOThread is already using iothread_id '2'")
        self.refuses(path, "AddIOThread", f"(uint32 0, {LIVE})", "InvalidArgument", "I/O threads are numbered from 1")

    def test_places_from_the_start(self):
        path = self.guest("<iothreads>2</iothreads><iothreadids><iothread id='2' thread_pool_max='8'/></iothreadids>"
                          "<cputune><emulatorpin cpuset='0'/><iothreadpin iothread='2' cpuset='0'/></cputune>")
        threads = self.threads(path)
        self.assertEqual(set(threads), {"iothread1", "iothread2"})
        self.assertEqual(os.sched_getaffinity(threads["iothread2"]), {0})
        self.assertEqual(len(os.sched_getaffinity(threads["iothread1"])), len(os.sched_getaffinity(0)))
        self.assertEqual(self.monitor(path, "qom-get", '{"path": "/objects/iothread2", "property": "thread-pool-max"}'), 8)

    def tune(self, path, number, values, options="{}"):
        self.set(path, "SetIOThreadTuning", f"(uint32 {number}, {{{values}}}, @a{{sv}} {options})")

    def tuning(self, path, number, options="{}"):
        return self.ask(path, "GetIOThreadTuning", f"(uint32 {number}, @a{{sv}} {options})")[0]

    def test_how_they_wait(self):
        path = self.guest("<iothreads>2</iothreads><iothreadids><iothread id='2'><poll max='1000' grow='3'/></iothread></iothreadids>")
        property_of = lambda number, name: self.monitor(  # noqa: E731
            path, "qom-get", f'{{"path": "/objects/iothread{number}", "property": "{name}"}}')
        self.assertEqual((property_of(2, "poll-max-ns"), property_of(2, "poll-grow")), (1000, 3))
        self.tune(path, 2, "'poll-max-nsec': <uint64 0>, 'poll-shrink': <uint32 7>", BOTH)
        self.assertEqual([property_of(2, name) for name in ("poll-max-ns", "poll-grow", "poll-shrink")], [0, 3, 7])
        for options in ("{}", "{'inactive': <true>}"):
            self.assertIn("<iothread id='2'>\n      <poll max='0' grow='3' shrink='7'/>", self.client.xml(path, options))
        self.assertEqual(self.tuning(path, 2), {"poll-max-nsec": 0, "poll-grow": 3, "poll-shrink": 7})
        self.assertEqual(self.tuning(path, 1), {})
        # Helpers: more at least than were at most before, and back.
        self.tune(path, 1, "'pool-min': <uint32 100>, 'pool-max': <uint32 200>")
        self.assertEqual((property_of(1, "thread-pool-min"), property_of(1, "thread-pool-max")), (100, 200))
        self.tune(path, 1, "'pool-min': <uint32 2>, 'pool-max': <uint32 3>")
        self.assertEqual((property_of(1, "thread-pool-min"), property_of(1, "thread-pool-max")), (2, 3))
        self.qemud.restart()
        self.assertEqual((self.tuning(path, 1), self.tuning(path, 1, CONFIG)), ({"pool-min": 2, "pool-max": 3}, {}))
        # The figures are the emulator's own.
        stats = self.client.hypervisor("GetStats", variant(f"([objectpath '{path}'], {{'groups': <['iothread']>}})"))[0][0][1]
        stats.pop("updated-usec")
        self.assertEqual(stats, {"iothread.count": 2, "iothread.1.poll-max-ns": 32768, "iothread.1.poll-grow": 0, "iothread.1.poll-shrink": 0,
                                 "iothread.2.poll-max-ns": 0, "iothread.2.poll-grow": 3, "iothread.2.poll-shrink": 7})

    def test_how_they_cannot_wait(self):
        path = self.guest()
        refuses = lambda number, values, message: self.refuses(  # noqa: E731
            path, "SetIOThreadTuning", f"(uint32 {number}, @a{{sv}} {values}, @a{{sv}} {{}})", "InvalidArgument", message)
        refuses(2, "{}", "no value was given")
        refuses(3, "{'pool-max': <uint32 1>}", "domain 'web': cannot find IOThread '3' in iothreadids list")
        refuses(2, "{'pool-max': <uint32 0>}", "value 'pool-max': 0 is less than 1 or 'pool-min', 0")
        refuses(2, "{'pool-min': <uint32 9>, 'pool-max': <uint32 8>}", "value 'pool-max': 8 is less than 1 or 'pool-min', 9")
        self.refuses(path, "GetIOThreadTuning", "(uint32 3, @a{sv} {})", "InvalidArgument",
                     "domain 'web': cannot find IOThread '3' in iothreadids list")
        # What only the emulator can know: the second of two is refused, and so is the whole.
        self.tune(path, 2, "'poll-grow': <uint32 4>")
        failure = self.client.fails(path, DOMAIN, "SetIOThreadTuning",
                                    variant("(uint32 2, {'poll-grow': <uint32 5>, 'pool-min': <uint32 65>}, @a{sv} {})"))
        self.assertEqual(failure.name, ERROR + "MonitorFailed")
        self.assertEqual(self.monitor(path, "qom-get", '{"path": "/objects/iothread2", "property": "poll-grow"}'), 4)
        self.assertEqual(self.tuning(path, 2), {"poll-grow": 4})

    def test_of_a_controller(self):
        scsi = "<controller type='scsi' model='virtio-scsi'><driver iothread='2'/></controller>"
        path = self.web(start=True, vcpu="<vcpu>1</vcpu><iothreads>2</iothreads>", devices=scsi)
        self.assertEqual(self.monitor(path, "qom-get", '{"path": "/machine/peripheral/scsi0", "property": "iothread"}'), "/objects/iothread2")
        self.refuses(path, "RemoveIOThread", f"(uint32 2, {LIVE})", "InvalidArgument",
                     "domain 'web': cannot remove IOThread 2 since it is being used by controller 'scsi' 0")

    def test_one_that_is_not_there(self):
        text = xml("web", devices=self.DISK.format("/none"))
        self.assertIn("disk 'vda': there is no I/O thread 2 (<iothreads>)", self.client.define_fails(text).message)


class VCPUs(TuningCase):
    def vcpus(self, path, options="{}"):
        return self.of(path, "ListVCPUs", options)[0]

    def test_how_many(self):
        path = self.web()
        self.set(path, "SetVCPUs", "(uint32 4, {'maximum': <true>})")
        self.assertEqual(self.client.property(path, "VCPUs"), 1)
        self.set(path, "SetVCPUs", "(uint32 2, @a{sv} {})")
        self.assertEqual([vcpu["state"] for vcpu in self.vcpus(path)], ["running"] * 2 + ["offline"] * 2)
        self.set(path, "PinVCPU", "(uint32 3, '0', @a{sv} {})")
        self.set(path, "SetVCPUs", "(uint32 2, {'maximum': <true>})")
        self.assertNotIn("cputune", self.client.xml(path))
        self.assertEqual((self.client.property(path, "VCPUs"), len(self.vcpus(path))), (2, 2))

        self.refuses(path, "SetVCPUs", "(uint32 0, @a{sv} {})", "InvalidArgument", "domain 'web': a guest cannot be without vCPUs")
        self.refuses(path, "SetVCPUs", "(uint32 3, @a{sv} {})", "InvalidArgument",
                     "requested vcpus is greater than max allowable vcpus of domain 'web': 3 > 2")
        failure = self.client.fails(path, DOMAIN, "SetVCPUs", variant("(uint32 4097, {'maximum': <true>})"))
        self.assertEqual(failure.name, ERROR + "InvalidArgument")
        self.refuses(path, "SetVCPUs", f"(uint32 1, {LIVE})", "InvalidState", OFF)

    def test_the_topology_counts(self):
        path = self.web(vcpu="<vcpu>2</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>")
        self.refuses(path, "SetVCPUs", "(uint32 4, {'maximum': <true>})", "InvalidArgument",
                     "domain 'web': its CPU topology is of 2 vCPUs, not 4")

    def test_of_a_guest_that_runs(self):
        path = self.web(start=True, vcpu="<vcpu current='1'>2</vcpu>")
        first, second = self.vcpus(path)
        self.assertEqual((first["number"], first["state"], second["state"]), (0, "running", "offline"))
        self.assertGreaterEqual(first["time"], 0)
        self.assertLess(first["cpu"], os.cpu_count() * 64)
        self.assertNotIn("time", second)
        self.assertNotIn("time", self.vcpus(path, CONFIG)[0])
        self.set(path, "SetVCPUs", f"(uint32 1, {LIVE})")
        self.refuses(path, "ListVCPUs", f"({BOTH},)", "InvalidArgument", "options 'live' and 'config': a question is about one of them")

    def there(self, path, options="{}"):
        return "".join("1" if vcpu["state"] == "running" else "0" for vcpu in self.vcpus(path, options))

    def threads(self, path):
        return {vcpu["cpu-index"]: vcpu["thread-id"] for vcpu in self.monitor(path, "query-cpus-fast")}

    def test_plugged_into_a_guest_that_runs(self):
        path = self.web(start=True, vcpu="<vcpu current='1'>4</vcpu>"
                        "<cputune><vcpupin vcpu='3' cpuset='0'/><emulatorpin cpuset='0'/></cputune>")
        changes = self.changes()
        self.set(path, "SetVCPUs", f"(uint32 2, {BOTH})")
        self.assertEqual((self.there(path, LIVE), self.there(path, CONFIG)), ("1100", "1100"))
        self.assertIn(("VCPUs", 2), changes.of(path))
        self.set(path, "EnableVCPUs", f"('3', true, {LIVE})")
        self.assertEqual((self.there(path, LIVE), self.there(path, CONFIG)), ("1101", "1100"))
        self.assertEqual([vcpu["hotpluggable"] for vcpu in self.vcpus(path)], [False, True, True, True])
        text = self.client.xml(path)
        self.assertIn("<vcpu placement='static' current='3'>4</vcpu>", text)
        self.assertIn("<vcpu id='3' enabled='yes' hotpluggable='yes' order='3'/>", text)
        self.assertNotIn("<vcpus>", self.client.xml(path, "{'inactive': <true>}"))

        threads = self.threads(path)
        self.assertEqual(set(threads), {0, 1, 3})
        self.assertEqual(os.sched_getaffinity(threads[3]), {0})
        self.assertEqual(os.sched_getaffinity(threads[1]), os.sched_getaffinity(threads[0]))
        self.assertGreaterEqual(self.vcpus(path)[3]["time"], 0)
        self.assertNotIn("time", self.vcpus(path)[2])

        self.qemud.restart()
        self.assertEqual((self.there(path, LIVE), self.client.property(path, "VCPUs")), ("1101", 3))
        # The emulator has to say again which threads they are.
        wait_until(lambda: "time" in self.vcpus(path)[3])
        self.set(path, "PinVCPU", f"(uint32 3, '0-{os.cpu_count() - 1}', {LIVE})")
        self.refuses(path, "PinVCPU", f"(uint32 2, '0', {LIVE})", "InvalidState", "domain 'web': the guest does not have vCPU 2 now")

    def test_that_can_be_taken_away_are_plugged_in_at_the_start(self):
        path = self.web(start=True, vcpu="<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no'/>"
                        "<vcpu id='2' enabled='yes' hotpluggable='yes'/></vcpus>")
        self.assertEqual(self.there(path), "1010")
        paths = {vcpu["cpu-index"]: vcpu["qom-path"] for vcpu in self.monitor(path, "query-cpus-fast")}
        self.assertEqual(paths[2], "/machine/peripheral/vcpu2")

    def test_who_stays(self):
        path = self.web(start=True, vcpu="<vcpu current='2'>3</vcpu>")
        self.refuses(path, "SetVCPUs", f"(uint32 1, {LIVE})", "InvalidArgument",
                     "domain 'web': failed to find appropriate hotpluggable vcpus to reach the desired target vcpu count: "
                     "2 vCPUs have been there from its start, and stay")
        self.refuses(path, "EnableVCPUs", f"('1', false, {LIVE})", "InvalidArgument",
                     "domain 'web': vCPU 1 has been there from its start, and stays")
        self.refuses(path, "EnableVCPUs", f"('1', true, {LIVE})", "InvalidArgument",
                     "domain 'web': vcpu '1' is already in requested state")
        self.refuses(path, "EnableVCPUs", f"('3', true, {LIVE})", "InvalidArgument",
                     "domain 'web': it has no vCPU 3; they are 0 to 2")
        self.refuses(path, "EnableVCPUs", f"('0', false, {CONFIG})", "InvalidArgument",
                     "domain 'web': a guest cannot be without vCPU 0")

    def test_pins(self):
        path = self.web(start=True)
        uuid = self.client.property(path, "UUID")
        emulator, thread = self.qemud.emulator(uuid), self.monitor(path, "query-cpus-fast")[0]["thread-id"]
        everywhere = os.sched_getaffinity(thread)

        self.set(path, "PinVCPU", f"(uint32 0, '0-1,^1', {BOTH})")
        self.assertEqual(os.sched_getaffinity(thread), {0})
        self.assertEqual(os.sched_getaffinity(emulator), everywhere)
        for options in (LIVE, CONFIG):
            self.assertEqual(self.vcpus(path, options)[0]["affinity"], "0")
        self.assertIn("<vcpupin vcpu='0' cpuset='0'/>", self.client.xml(path))

        self.set(path, "PinEmulator", f"('0', {LIVE})")
        self.assertEqual(os.sched_getaffinity(emulator), {0})
        self.assertEqual(self.of(path, "GetEmulatorAffinity"), ("0",))
        self.assertNotEqual(self.of(path, "GetEmulatorAffinity", CONFIG), ("0",))

        self.set(path, "PinVCPU", f"(uint32 0, '', {BOTH})")
        self.set(path, "PinEmulator", f"('', {BOTH})")
        self.assertEqual(os.sched_getaffinity(thread), os.sched_getaffinity(emulator))
        self.assertGreaterEqual(os.sched_getaffinity(thread), everywhere)
        self.assertNotIn("cputune", self.client.xml(path))

    def test_pins_that_are_refused(self):
        path = self.web(start=True, vcpu="<vcpu current='1'>2</vcpu>")
        for cpus in ("x", "0-", "-1", "0,,1", "^0", "9999999", "1-0"):
            with self.subTest(cpus):
                self.refuses(path, "PinVCPU", f"(uint32 0, '{cpus}', @a{{sv}} {{}})", "InvalidArgument",
                             f"'{cpus}' is not a list of CPUs such as 0-3,^2,7")
        self.refuses(path, "PinVCPU", "(uint32 0, '4095', @a{sv} {})", "InvalidArgument",
                     "domain 'web': vCPU 0: the host has none of the CPUs 4095 for it")
        self.refuses(path, "PinEmulator", "('4095', @a{sv} {})", "InvalidArgument",
                     "domain 'web': the emulator: the host has none of the CPUs 4095 for it")
        self.refuses(path, "PinVCPU", "(uint32 2, '0', @a{sv} {})", "InvalidArgument", "domain 'web': it has no vCPU 2; they are 0 to 1")
        self.refuses(path, "PinVCPU", f"(uint32 1, '0', {LIVE})", "InvalidState", "domain 'web': the guest does not have vCPU 1 now")
        self.set(path, "PinVCPU", f"(uint32 1, '0', {CONFIG})")


class Definition(TuningCase):
    def test_what_is_set_is_told_and_stays(self):
        path = self.web()
        for what, values in (
                ("CPUTuning", {"shares": GLib.Variant("t", 512), "quota-usec": GLib.Variant("x", -1), "period-usec": GLib.Variant("t", 50000)}),
                ("MemoryTuning", {"hard-limit": GLib.Variant("t", 64 * MIB), "swap-hard-limit": GLib.Variant("t", 128 * MIB)}),
                ("NUMATuning", {"mode": GLib.Variant("s", "strict"), "nodes": GLib.Variant("s", "0")})):
            with self.subTest(what):
                self.client.call(path, DOMAIN, f"Set{what}", GLib.Variant("(a{sv}a{sv})", (values, {})))
                expected = {key: value.unpack() for key, value in values.items()}
                self.assertEqual(self.of(path, f"Get{what}"), (expected,))
        text = self.client.xml(path)
        for line in ("<shares>512</shares>", "<quota>-1</quota>", "<hard_limit unit='KiB'>65536</hard_limit>", "<memory mode='strict' nodeset='0'/>"):
            self.assertIn(line, text)
        self.qemud.restart()
        self.assertEqual(self.client.xml(path), text)

        # What is not given stays, 0 takes away, and what says nothing any more is not there.
        self.set(path, "SetCPUTuning", "({'shares': <uint64 100>}, @a{sv} {})")
        self.assertEqual(self.of(path, "GetCPUTuning")[0]["period-usec"], 50000)
        self.set(path, "SetCPUTuning", "({'shares': <uint64 0>, 'period-usec': <uint64 0>, 'quota-usec': <int64 0>}, @a{sv} {})")
        self.set(path, "SetMemoryTuning", "({'hard-limit': <uint64 0>, 'swap-hard-limit': <uint64 0>}, @a{sv} {})")
        self.assertEqual((self.of(path, "GetCPUTuning"), self.of(path, "GetMemoryTuning")), (({},), ({},)))
        for element in ("cputune", "memtune"):
            self.assertNotIn(element, self.client.xml(path))

    def test_block_devices(self):
        path = self.web()
        self.set(path, "SetBlockTuning", "('', {'weight': <uint32 300>}, @a{sv} {})")
        self.set(path, "SetBlockTuning", "('/dev/sdx', {'read-bytes-sec': <uint64 1000>, 'weight': <uint32 5>}, @a{sv} {})")
        self.set(path, "SetBlockTuning", "('/dev/sdy', {'write-iops-sec': <uint32 7>}, @a{sv} {})")
        self.assertEqual(self.of(path, "GetBlockTuning"), (
            300, [("/dev/sdx", {"weight": 5, "read-bytes-sec": 1000}), ("/dev/sdy", {"write-iops-sec": 7})]))
        self.set(path, "SetBlockTuning", "('/dev/sdx', {'read-bytes-sec': <uint64 0>, 'weight': <uint32 0>}, @a{sv} {})")
        self.assertEqual(self.of(path, "GetBlockTuning"), (300, [("/dev/sdy", {"write-iops-sec": 7})]))
        self.refuses(path, "SetBlockTuning", "('', {'read-bytes-sec': <uint64 5>}, @a{sv} {})", "InvalidArgument",
                     "without a device, only 'weight' can be set; the other values are of one device")
        for device in ("/srv/image", "sda", "/dev/../etc/passwd"):
            self.refuses(path, "SetBlockTuning", f"('{device}', {{'weight': <uint32 5>}}, @a{{sv}} {{}})", "InvalidArgument",
                         f"'{device}' is not a block device of the host's, below /dev")

    def test_values_that_are_refused(self):
        path = self.web()
        before = self.client.xml(path)
        for member, values, message in (
                ("SetCPUTuning", "@a{sv} {}", "no value was given"),
                ("SetCPUTuning", "{'period-usec': <uint64 999>}", "value 'period-usec': 999 is not from 1000 to 1000000"),
                ("SetCPUTuning", "{'quota-usec': <int64 999>}", "value 'quota-usec': 999 is not from 1000 to 17592186044415"),
                ("SetCPUTuning", f"{{'emulator-quota-usec': <int64 {2 ** 63 - 1}>}}",
                 f"value 'emulator-quota-usec': {2 ** 63 - 1} is not from 1000 to 17592186044415"),
                ("SetMemoryTuning", f"{{'hard-limit': <uint64 {64 * MIB}>, 'swap-hard-limit': <uint64 {MIB}>}}",
                 f"value 'swap-hard-limit': memory and swap together cannot be less than 'hard-limit', {64 * MIB} bytes"),
                ("SetNUMATuning", "{'nodes': <'a'>}", "'a' is not a list of CPUs such as 0-3,^2,7"),
                ("SetNUMATuning", "@a{sv} {}", "no value was given")):
            with self.subTest(f"{member} {values}"):
                self.refuses(path, member, f"({values}, @a{{sv}} {{}})", "InvalidArgument", message)
        for values in ("{'shares': <uint64 262145>}", "{'nonsense': <uint64 1>}", "{'shares': <'many'>}"):
            failure = self.client.fails(path, DOMAIN, "SetCPUTuning", variant(f"({values}, @a{{sv}} {{}})"))
            self.assertEqual(failure.name, ERROR + "InvalidArgument")
        self.refuses(path, "SetNUMATuning", "({'mode': <'preferred'>, 'nodes': <'0-1'>}, @a{sv} {})", "UnsupportedConfiguration",
                     "domain 'web': NUMA memory tuning in 'preferred' mode only supports single node, not '0-1'")
        self.refuses(path, "SetCPUTuning", f"({{'shares': <uint64 5>}}, {BOTH})", "InvalidState", OFF)
        self.assertEqual(self.client.xml(path), before)

    def test_of_a_transient_domain(self):
        path = self.client.create(xml("web"))
        for member in ("ListIOThreads", "GetCPUTuning", "GetMemoryTuning", "GetBlockTuning", "GetNUMATuning", "ListVCPUs", "GetEmulatorAffinity"):
            self.refuses(path, member, f"({CONFIG},)", "InvalidState", TRANSIENT)
            self.of(path, member)
        self.refuses(path, "SetMemoryTuning", f"({{'hard-limit': <uint64 1>}}, {CONFIG})", "InvalidState", TRANSIENT)

    def test_actions(self):
        path = self.web(start=True)
        self.set(path, "SetLifecycleAction", f"('reboot', 'destroy', {BOTH})")
        self.set(path, "SetLifecycleAction", f"('crash', 'coredump-restart', {CONFIG})")
        self.assertIn("<on_reboot>destroy</on_reboot>", self.client.xml(path))
        self.assertIn("<on_crash>coredump-restart</on_crash>", self.client.xml(path, "{'inactive': <true>}"))
        self.refuses(path, "SetLifecycleAction", "('reboot', 'coredump-destroy', @a{sv} {})", "InvalidArgument",
                     "action 'coredump-destroy': only a crash can be followed by it")
        # The emulator knows it, too: what would be a reboot ends the guest.
        changes = self.changes()
        self.client.domain(path, "Reset")
        changes.wait_for(path, "State", "shutoff")


class Scope(TuningCase):
    def setUp(self):
        super(QemuCase, self).setUp()
        self.manager = self.enter(ServiceManager(self.bus))
        self.qemud = self.enter(Qemud(self.bus))
        self.client = self.enter(QemuClient(self.bus))
        self.addCleanup(self.end_guests)

    def test_limits_reach_it(self):
        path = self.web(start=True)
        none = 2 ** 64 - 1
        self.set(path, "SetCPUTuning", f"({{'shares': <uint64 512>, 'quota-usec': <int64 20000>}}, {BOTH})")
        self.assertEqual(self.manager.told, [("CPUWeight", 512), ("CPUQuotaPerSecUSec", 200000)])
        self.set(path, "SetCPUTuning", "({'quota-usec': <int64 -1>}, @a{sv} {})")
        self.assertEqual(self.manager.told, [("CPUWeight", 512), ("CPUQuotaPerSecUSec", none)])
        self.assertEqual(self.of(path, "GetCPUTuning", CONFIG)[0]["quota-usec"], 20000)

        self.set(path, "SetMemoryTuning", f"({{'soft-limit': <uint64 {64 * MIB}>}}, @a{{sv}} {{}})")
        self.assertEqual(self.manager.told, [("MemoryMax", none), ("MemoryHigh", 64 * MIB), ("MemorySwapMax", none)])
        self.set(path, "SetNUMATuning", "({'nodes': <'0'>}, @a{sv} {})")
        self.assertEqual(self.manager.told, [("AllowedMemoryNodes", [1])])
        self.set(path, "SetNUMATuning", "({'nodes': <''>}, @a{sv} {})")
        self.assertEqual(self.manager.told, [("AllowedMemoryNodes", [])])
        self.refuses(path, "SetNUMATuning", "({'mode': <'restrictive'>}, @a{sv} {})", "InvalidState",
                     "domain 'web': can't change numatune mode for running domain")

        self.set(path, "SetBlockTuning", "('/dev/sdx', {'read-iops-sec': <uint32 9>}, @a{sv} {})")
        self.assertEqual(self.manager.told, [
            ("IOWeight", none), ("IODeviceWeight", []), ("IOReadBandwidthMax", []), ("IOWriteBandwidthMax", []),
            ("IOReadIOPSMax", []), ("IOReadIOPSMax", [("/dev/sdx", 9)]), ("IOWriteIOPSMax", [])])

    def test_what_it_does_not_take_is_not_set(self):
        path = self.web(start=True)
        self.manager.refuses = True
        failure = self.client.fails(path, DOMAIN, "SetCPUTuning", variant(f"({{'shares': <uint64 512>}}, {BOTH})"))
        self.assertEqual(failure.name, ERROR + "MachineFailed")
        self.assertIn("not today", failure.message)
        self.assertEqual((self.of(path, "GetCPUTuning", LIVE), self.of(path, "GetCPUTuning", CONFIG)), (({},), ({},)))
        self.manager.refuses = False
        self.set(path, "SetCPUTuning", f"({{'shares': <uint64 512>}}, {BOTH})")


class NoScope(TuningCase):
    def test_there_is_nothing_to_set(self):
        path = self.web(start=True)
        self.refuses(path, "SetCPUTuning", f"({{'shares': <uint64 512>}}, {BOTH})", "MachineFailed",
                     "domain 'web': the guest has no scope whose limits could be changed")
        self.assertEqual(self.of(path, "GetCPUTuning", CONFIG), ({},))


if __name__ == "__main__":
    unittest.main()
