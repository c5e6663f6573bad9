# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests: start, stand still, go on and end; outlive their daemon; and one that hangs holds up nobody."""

import os
import signal
import time
import unittest

from gi.repository import GLib

from harness import DOMAIN, ERROR, HYPERVISOR, variant, wait_until
from qemud import ROOT, QemuCase, QemuClient, variant_of_create, xml

UUID = "11111111-2222-3333-4444-555555555555"
PAUSED = "{'paused': <true>}"


class GuestCase(QemuCase):
    def started(self, name="web", options="{}", **what):
        path = self.client.define(xml(name, **what))
        self.client.domain(path, "Start", options)
        return path

    def pid(self, path):
        return self.qemud.emulator(self.client.property(path, "UUID"))

    def wait_for_state(self, path, state, reason):
        wait_until(lambda: self.client.state(path) == (state, reason))

    def assertRefused(self, failure, error, message):
        self.assertEqual((failure.name.removeprefix(ERROR), failure.message), (error, message))


class Life(GuestCase):
    def test_from_start_to_destroy(self):
        path = self.client.define(xml("web", UUID))
        changes = self.changes()
        self.client.domain(path, "Start")
        self.assertEqual(self.client.state(path), ("running", "booted"))
        self.assertEqual(self.client.property(path, "Id"), 1)
        self.assertEqual(changes.states(path)[-1], "running")
        self.assertEqual(self.client.hypervisor("GetDomainById", GLib.Variant("(i)", (1,)))[0], path)
        pid = self.pid(path)
        os.kill(pid, 0)

        self.client.domain(path, "Suspend")
        self.assertEqual(self.client.state(path), ("paused", "user"))
        self.client.domain(path, "Suspend")
        self.client.domain(path, "Resume")
        self.assertEqual(self.client.state(path), ("running", "unpaused"))
        self.client.domain(path, "Resume")

        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))
        self.assertEqual(self.client.property(path, "Id"), -1)
        self.assertEqual(changes.states(path)[-4:], ["running", "paused", "running", "shutoff"])
        self.assertTrue(has_ended(pid))
        self.assertFalse((self.qemud.run / UUID).exists())

    def test_paused_from_the_first_instruction(self):
        path = self.started(options=PAUSED)
        self.assertEqual(self.client.state(path), ("paused", "user"))
        self.client.domain(path, "Resume")
        self.assertEqual(self.client.state(path), ("running", "unpaused"))

    def test_reset_is_told(self):
        path = self.started()
        changes = self.changes()
        self.client.domain(path, "Reset")
        changes.wait_for(path, "Rebooted")
        self.assertEqual(self.client.state(path)[0], "running")

    def test_numbers_are_given_out_anew(self):
        path = self.started()
        self.client.domain(path, "Destroy")
        self.client.domain(path, "Start")
        self.assertEqual(self.client.property(path, "Id"), 2)

    def test_what_an_off_guest_cannot_do(self):
        path = self.client.define(xml("web"))
        for method in ("Shutdown", "Reboot", "Reset", "Destroy", "Suspend", "Resume"):
            self.assertRefused(self.client.refused(path, method), "InvalidState", "domain 'web': the guest is off")

    def test_what_a_running_guest_cannot_do(self):
        path = self.started(options=PAUSED)
        self.assertRefused(self.client.refused(path, "Start"), "InvalidState",
                           "domain 'web': the guest runs already (it is paused)")
        failure = self.client.fails(path, DOMAIN, "Rename", GLib.Variant("(sa{sv})", ("mail", {})))
        self.assertRefused(failure, "InvalidState", "domain 'web': the guest must be off to be renamed")

    def test_a_shutdown_that_is_not_heard(self):
        path = self.started(options=PAUSED)
        self.assertRefused(self.client.refused(path, "Shutdown", "{'timeout-usec': <uint64 100000>}"), "Timeout",
                           "domain 'web': the guest was not off in time")
        self.assertEqual(self.client.state(path)[0], "paused")
        self.client.domain(path, "Shutdown", "{'timeout-usec': <uint64 100000>, 'then': <'destroy'>}")
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))

    def test_an_agent_that_is_not_there(self):
        path = self.started(options=PAUSED)
        self.assertRefused(self.client.refused(path, "Shutdown", "{'mode': <'agent'>}"), "NoAgent",
                           "domain 'web' has no channel for a guest agent ('org.qemu.guest_agent.0')")

    def test_destroy_waits_for_nobody(self):
        path = self.client.define(xml("web"))
        start = self.client.send(path, DOMAIN, "Start", variant("(@a{sv} {},)"))
        self.client.domain(path, "Destroy")
        with self.assertRaisesRegex(Exception, "Canceled: cannot start domain 'web': it was destroyed"):
            start.result()
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))
        self.client.domain(path, "Start", PAUSED)

    def test_ends_with_who_started_it_if_asked_to(self):
        path, other = self.client.define(xml("web")), self.client.define(xml("mail"))
        starter = QemuClient(self.bus)
        starter.domain(path, "Start", "{'paused': <true>, 'bind': <true>}")
        starter.domain(other, "Start", PAUSED)
        starter.close()
        self.wait_for_state(path, "shutoff", "destroyed")
        self.assertEqual(self.client.state(other), ("paused", "user"))
        # It was for that run only.
        starter = QemuClient(self.bus)
        starter.domain(path, "Start", PAUSED)
        starter.close()
        self.client.domain(path, "Resume")
        self.assertEqual(self.client.state(path)[0], "running")

    def test_redefining_waits_for_the_next_start(self):
        path = self.started(uuid=UUID, memory=32, options=PAUSED)
        self.client.define(xml("web", UUID, memory=48))
        self.assertEqual(self.client.property(path, "MaxMemory"), 32 << 20)
        self.assertIn(str(32 << 10), self.client.xml(path))
        self.assertIn(str(48 << 10), self.client.xml(path, "{'inactive': <true>}"))
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.property(path, "MaxMemory"), 48 << 20)

    def test_undefined_it_runs_on_and_is_gone_when_off(self):
        path = self.started(options=PAUSED)
        self.client.domain(path, "Undefine")
        self.assertFalse(self.client.property(path, "Persistent"))
        self.assertRefused(self.client.refused(path, "Undefine"), "InvalidState",
                           "domain 'web' is transient: it has no persistent definition")
        self.assertRefused(self.client.refused(path, "GetXML", "{'inactive': <true>}"), "InvalidState",
                           "domain 'web' is transient: it has no persistent definition")
        changes = self.changes()
        self.client.domain(path, "Destroy")
        self.assertIn(("State", "shutoff"), changes.of(path))
        self.assertEqual(changes.of(path)[-1], ("InterfacesRemoved",))
        self.assertEqual(self.client.domains(), [])

    def test_live_metadata(self):
        path = self.started(options=PAUSED)
        self.client.call(path, DOMAIN, "SetMetadata", GLib.Variant("(ssssa{sv})", ("title", "", "", "now", {})))
        self.assertIn("<title>now</title>", self.client.xml(path))
        self.assertNotIn("<title>", self.client.xml(path, "{'inactive': <true>}"))
        self.qemud.restart(signal.SIGKILL)
        self.assertIn("<title>now</title>", self.client.xml(path))


class Transient(GuestCase):
    def test_comes_and_goes(self):
        changes = self.changes()
        path = self.client.create(xml("web"), PAUSED)
        self.assertEqual(self.client.state(path), ("paused", "user"))
        self.assertFalse(self.client.property(path, "Persistent"))
        self.assertIn(("InterfacesAdded",), changes.of(path))
        failure = self.client.fails(ROOT, HYPERVISOR, "Create", variant_of_create(xml("web")))
        self.assertRefused(failure, "Exists",
                           f"domain 'web': the name belongs to the domain with UUID {self.client.property(path, 'UUID')}")
        self.client.domain(path, "Destroy")
        self.assertEqual(changes.of(path)[-1], ("InterfacesRemoved",))

    def test_one_run_of_a_persistent_domain(self):
        path = self.client.define(xml("web", UUID, memory=32))
        self.assertEqual(self.client.create(xml("web", UUID, memory=48), PAUSED), path)
        self.assertEqual(self.client.property(path, "MaxMemory"), 48 << 20)
        failure = self.client.fails(ROOT, HYPERVISOR, "Create", variant_of_create(xml("web", UUID)))
        self.assertRefused(failure, "Exists", "domain 'web' runs already")
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.property(path, "MaxMemory"), 32 << 20)
        self.assertEqual(self.client.domains(), [path])

    def test_made_persistent_while_it_runs(self):
        path = self.client.create(xml("web", UUID), PAUSED)
        changes = self.changes()
        self.client.define(xml("web", UUID))
        self.assertIn(("Persistent", True), changes.of(path))
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.domains(), [path])

    def test_ends_with_its_creator_if_asked_to(self):
        creator = QemuClient(self.bus)
        path = creator.create(xml("web"), "{'paused': <true>, 'bind': <true>}")
        other = creator.create(xml("mail"), PAUSED)
        changes = self.changes()
        creator.close()
        changes.wait_for(path, "InterfacesRemoved")
        self.assertEqual(self.client.domains(), [other])

    def test_a_failed_start_leaves_nothing(self):
        text = xml("web", devices="<disk type='file'><source file='/no/such/image'/><target dev='vda'/></disk>")
        failure = self.client.fails(ROOT, HYPERVISOR, "Create", variant_of_create(text))
        self.assertEqual(failure.name, ERROR + "NoFile", failure.message)
        self.assertIn("/no/such/image", failure.message)
        self.assertEqual(self.client.domains(), [])
        self.assertEqual([p.name for p in self.qemud.run.iterdir() if p.is_dir()], [])


class Failures(GuestCase):
    PASSTHROUGH = """<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
        <qemu:arg value='-frobnicate'/></qemu:commandline>"""

    def passthrough(self):
        return xml("web").replace("<domain type='qemu'>",
                                  "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>").replace(
            "</domain>", "<qemu:commandline><qemu:arg value='-frobnicate'/></qemu:commandline></domain>")

    def test_the_emulators_last_words(self):
        path = self.client.define(self.passthrough())
        failure = self.client.refused(path, "Start")
        self.assertEqual(failure.name, ERROR + "EmulatorFailed")
        self.assertRegex(failure.message, "^domain 'web': the emulator exited with status 1: .*-frobnicate: invalid option")
        self.assertEqual(self.client.state(path), ("shutoff", "failed"))
        self.assertIn("-frobnicate", (self.qemud.logs / "web.log").read_text())

    def test_killed(self):
        path = self.started()
        changes = self.changes()
        os.kill(self.pid(path), signal.SIGKILL)
        changes.wait_for(path, "State", "shutoff")
        self.assertEqual(self.client.state(path), ("shutoff", "crashed"))
        self.qemud.wait_logged("was killed by signal 9")

    def test_ended_by_a_signal_from_outside(self):
        path = self.started()
        os.kill(self.pid(path), signal.SIGTERM)
        self.wait_for_state(path, "shutoff", "destroyed")

    def test_hung_it_delays_nobody_and_can_be_destroyed(self):
        hung, other = self.started("hung"), self.started("other")
        os.kill(self.pid(hung), signal.SIGSTOP)
        suspend = self.client.send(hung, DOMAIN, "Suspend", variant("(@a{sv} {},)"))

        begin = time.monotonic()
        self.client.domain(other, "Suspend")
        self.client.domain(other, "Resume")
        stats = dict(self.client.hypervisor("GetStats", variant("(@ao [], @a{sv} {})"))[0])
        self.assertEqual(stats[hung]["state.state"], "running")
        self.assertEqual(stats[other]["state.state"], "running")
        self.assertLess(time.monotonic() - begin, 10)
        self.assertFalse(suspend.is_done())
        resume = self.client.send(hung, DOMAIN, "Resume", variant("(@a{sv} {},)"))

        self.client.domain(hung, "Destroy")
        self.assertEqual(self.client.state(hung), ("shutoff", "destroyed"))
        for call in (suspend, resume):
            with self.assertRaises(Exception):
                call.result()


class Outliving(GuestCase):
    def test_killed_and_started_again(self):
        path = self.started(uuid=UUID, memory=48)
        transient = self.client.create(xml("passing"), PAUSED)
        pid, properties, text = self.pid(path), self.client.managed(), self.client.xml(path)
        self.qemud.restart(signal.SIGKILL)
        self.assertEqual(self.client.managed(), properties)
        self.assertEqual(self.client.xml(path), text)
        self.assertEqual(self.pid(path), pid)

        self.client.domain(path, "Suspend")
        self.client.domain(transient, "Resume")
        self.client.domain(transient, "Destroy")
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.domains(), [path])
        self.assertTrue(has_ended(pid))

    def test_ids_go_on(self):
        self.started("one", PAUSED)
        self.started("two", PAUSED)
        self.qemud.restart()
        three = self.started("three", PAUSED)
        self.assertEqual(self.client.property(three, "Id"), 3)

    def test_what_happened_meanwhile(self):
        gone, paused = self.started("gone"), self.started("paused")
        transient = self.client.create(xml("passing"), PAUSED)
        pids = [self.pid(path) for path in (gone, transient)]
        monitor = self.qemud.run / self.client.property(paused, "UUID") / "monitor.sock"
        self.qemud.end(signal.SIGKILL)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: has_ended(pid))
        qmp(monitor, "stop")
        self.qemud.start()
        self.wait_for_state(gone, "shutoff", "crashed")
        self.wait_for_state(paused, "paused", "unknown")
        wait_until(lambda: transient not in self.client.domains())

    def test_a_hung_one_shows_what_was_last_known(self):
        path, other = self.started("hung"), self.started("other")
        os.kill(self.pid(path), signal.SIGSTOP)
        self.qemud.restart(signal.SIGKILL)
        self.assertEqual(self.client.state(path), ("running", "booted"))
        self.client.domain(other, "Suspend")
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))

    def test_a_start_cut_in_half_is_undone(self):
        path = self.client.define(xml("web", UUID))
        state = self.qemud.run / UUID / "state"
        changes = self.changes()
        start = self.client.send(path, DOMAIN, "Start", variant("(@a{sv} {},)"))
        changes.wait_for(path, "StateReason", "starting-up")
        self.qemud.end(signal.SIGKILL)
        self.assertIn('"progress":"starting"', state.read_text())
        pid = self.qemud.emulator(UUID)
        with self.assertRaises(Exception):
            start.result()
        self.qemud.start()
        wait_until(lambda: self.client.state(path)[0] == "shutoff")
        self.assertEqual(self.client.state(path), ("shutoff", "failed"))
        wait_until(lambda: not state.parent.exists())
        self.assertTrue(has_ended(pid))
        self.client.domain(path, "Start", PAUSED)


@unittest.skipUnless(os.path.exists("/usr/share/qemu/firmware"), "there is no EFI firmware")
class FirmwareVariables(GuestCase):
    """Of a guest whose definition leaves their place to the daemon."""

    MARK = b"what the guest has set"

    def setUp(self):
        super().setUp()
        # Of the machine that the firmware is for.
        self.path = self.client.define(xml("web", UUID).replace("<os>", "<os firmware='efi'>").replace("machine='pc'", "machine='q35'"))
        self.file = self.qemud.nvram / f"{UUID}_VARS.fd"

    def mark(self, file):
        """As a guest would; at the end, where the firmware has nothing."""
        with open(file, "r+b") as stream:
            stream.seek(-len(self.MARK), os.SEEK_END)
            stream.write(self.MARK)

    def assertMarked(self, file):
        self.assertTrue(file.read_bytes().endswith(self.MARK))

    def run_once(self, path):
        self.client.domain(path, "Start", PAUSED)
        self.client.domain(path, "Destroy")

    def test_are_kept_by_a_renaming(self):
        self.run_once(self.path)
        self.mark(self.file)
        self.client.call(self.path, DOMAIN, "Rename", variant("('shop', @a{sv} {})"))
        self.run_once(self.path)
        self.assertMarked(self.file)
        self.assertEqual([entry.name for entry in self.qemud.nvram.iterdir()], [self.file.name])
        failure = self.client.refused(self.path, "Undefine")
        self.assertRefused(failure, "InvalidState",
                           "domain 'shop' has firmware variables; say with option 'nvram' to keep or remove them")
        self.client.domain(self.path, "Undefine", "{'nvram': <'remove'>}")
        wait_until(lambda: not self.file.exists())

    def test_named_after_the_domain_are_taken_over(self):
        self.run_once(self.path)
        self.mark(self.file)
        self.qemud.end()
        old = self.qemud.nvram / "web_VARS.fd"
        self.file.rename(old)
        self.qemud.start()
        self.assertMarked(self.file)
        self.assertFalse(old.exists())
        # Never over what is there.
        old.write_bytes(b"of another")
        self.qemud.restart()
        self.assertMarked(self.file)
        self.assertTrue(old.exists())


class Autostart(GuestCase):
    def boot(self):
        """What a boot of the host does to the run folder."""
        (self.qemud.run / "autostarted").unlink()

    def test_once_for_each_boot(self):
        path = self.client.define(xml("web"))
        once = self.client.define(xml("once"))
        self.client.set(path, DOMAIN, "Autostart", variant("true"), destination="org.virtbus.Qemu1")
        self.client.set(once, DOMAIN, "AutostartOnce", variant("true"), destination="org.virtbus.Qemu1")
        self.qemud.restart()
        self.assertEqual(self.client.state(path)[0], "shutoff")

        self.qemud.end()
        self.boot()
        self.qemud.start()
        self.wait_for_state(path, "running", "booted")
        self.wait_for_state(once, "running", "booted")
        wait_until(lambda: not self.client.property(once, "AutostartOnce"))
        self.client.domain(path, "Destroy")
        self.client.domain(once, "Destroy")
        self.qemud.restart()
        self.assertEqual(self.client.state(path)[0], "shutoff")

        self.qemud.end()
        self.boot()
        self.qemud.start()
        self.wait_for_state(path, "running", "booted")
        self.assertEqual(self.client.state(once)[0], "shutoff")

    def test_not_for_passing_guests(self):
        path = self.client.create(xml("web"), PAUSED)
        for mark in ("Autostart", "AutostartOnce"):
            failure = self.client.fails(path, "org.freedesktop.DBus.Properties", "Set",
                                        GLib.Variant("(ssv)", (DOMAIN, mark, variant("true"))))
            self.assertRefused(failure, "InvalidState", "domain 'web' is transient: it has no persistent definition")


class Pinning(GuestCase):
    """One CPU is enough to see who is bound to it."""

    def affinities(self, pid):
        threads = {}
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                threads[file.read().strip()] = os.sched_getaffinity(int(task))
        return threads

    def test_vcpus_and_emulator(self):
        cpus = sorted(os.sched_getaffinity(0))
        tune = f"<cputune><vcpupin vcpu='0' cpuset='{cpus[-1]}'/><emulatorpin cpuset='{cpus[0]}'/></cputune>"
        path = self.started(more=tune, options=PAUSED)
        threads = self.affinities(self.pid(path))
        vcpus = [name for name in threads if name.startswith("CPU ")]
        self.assertTrue(vcpus)
        for name, affinity in threads.items():
            self.assertEqual(affinity, {cpus[-1]} if name in vcpus else {cpus[0]}, name)

    def test_a_cpu_that_is_not_there(self):
        path = self.client.define(xml("web", more="<cputune><vcpupin vcpu='0' cpuset='4000'/></cputune>"))
        self.assertRefused(self.client.refused(path, "Start"), "UnsupportedConfiguration",
                           "domain 'web': vCPU 0 cannot be bound to CPUs 4000: the host has none of them for it")
        self.assertEqual(self.client.state(path), ("shutoff", "failed"))


class Figures(GuestCase):
    def stats(self, options="{}"):
        return dict(self.client.hypervisor("GetStats", variant(f"(@ao [], @a{{sv}} {options})"))[0])

    def test_of_a_guest_that_runs(self):
        image = self.bus.directory / "disk.img"
        image.write_bytes(b"\0" * (1 << 20))
        path = self.started(devices=f"""<disk type='file' device='disk'><driver name='qemu' type='raw'/>
            <source file='{image}'/><target dev='vda' bus='virtio'/></disk><memballoon model='virtio'/>""")
        off = self.client.define(xml("off"))
        stats = self.stats("{'active': <true>}")
        self.assertNotIn(off, stats)
        figures = stats[path]
        self.assertEqual(figures["state.state"], "running")
        self.assertGreater(figures["cpu.time"], 0)
        self.assertEqual(figures["balloon.current"], 32 << 20)
        self.assertGreater(figures["balloon.rss"], 0)
        self.assertEqual(figures["vcpu.0.state"], "running")
        self.assertGreater(figures["vcpu.0.time"], 0)
        self.assertEqual(figures["block.count"], 1)
        self.assertEqual(figures["block.0.name"], "vda")
        self.assertEqual(figures["block.0.path"], str(image))
        self.assertEqual(figures["block.0.capacity"], 1 << 20)
        self.assertIn("block.0.rd.bytes", figures)
        self.assertEqual(figures["net.count"], 0)

        only_state = self.stats("{'groups': <['state']>}")
        self.assertEqual(set(only_state[off]), {"state.state", "state.reason"})


def has_ended(pid):
    """Also if nobody has reaped it: who started it may be gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def qmp(path, command):
    """Says one thing to an emulator's monitor."""
    import json
    import socket
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()
        for name in ("qmp_capabilities", command):
            stream.write(json.dumps({"execute": name}) + "\n")
            stream.flush()
            while "return" not in json.loads(stream.readline()):
                pass


if __name__ == "__main__":
    unittest.main()
