# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that are saved, dumped and restored: they go on where they were, or run on as if nothing had been; never are they halved."""

import os
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from gi.repository import GLib

from guests import Console, GuestCase, emulators
from harness import DEADLINE, DOMAIN, ERROR, HYPERVISOR, JOB, Failure, options, variant, wait_until
from qemud import ROOT

TRIES = 20

# The first instructions of a firmware: counts down for a moment, and has the keyboard controller reset the machine.
RESETS = bytes.fromhex("66b900000400 67e2fd b0fe e664 ebfe f4")

AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


class SavingCase(GuestCase):
    def file(self, name, flags=os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        descriptor = os.open(self.folder / name, flags, 0o600)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def save(self, path, file, choices="{}"):
        return self.root.send_file(path, DOMAIN, "Save", file, choices)

    def dump(self, path, file, choices="{}"):
        return self.root.send_file(path, DOMAIN, "CoreDump", file, choices)

    def restore(self, file, choices="{}"):
        return self.root.send_file(ROOT, HYPERVISOR, "Restore", file, choices)

    def failure(self, pending):
        with self.assertRaises(Failure) as caught:
            pending.result()
        return caught.exception

    def runs(self, path):
        """Starts the guest if it is off."""
        if self.root.property(path, "State") == "shutoff":
            self.root.domain(path, "Start")
        self.assertEqual(self.root.property(path, "State"), "running")
        return path

    def assertRunsOn(self, path, reason="save-canceled"):
        self.assertEqual(self.root.state(path), ("running", reason))
        self.assertEqual(self.root.property(path, "Job"), "/")
        status = self.root.call(path, DOMAIN, "MonitorCommand", variant("""('{"execute": "query-status"}', @a{sv} {})"""))[0]
        self.assertIn('"running"', status)


class RealGuest(SavingCase):
    """A guest that counts on its console."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.web = cls.define("web", cmdline="guest.tick", devices=AGENT)
        cls.root.domain(cls.web, "Start")
        cls.tick(cls.web)

    @classmethod
    def tick(cls, path):
        console = Console(cls.root.open(path, "OpenConsole", "", "{'force': <true>}"))
        try:
            return int(console.wait(r"tick (\d+)\r").group(1))
        finally:
            console.close()

    def setUp(self):
        self.runs(self.web)
        self.tick(self.web)

    def test_a_saved_guest_goes_on_where_it_was(self):
        before = self.tick(self.web)
        order = self.order()
        file = self.file("saved")
        arguments = variant("(handle 0, @a{sv} {})")
        order.call(self.web, DOMAIN, "Save", arguments, fds=[file])
        events = order.events()
        self.assertEqual(self.root.state(self.web), ("shutoff", "saved"))

        self.assertEqual(sorted(order.progress()), order.progress())
        self.assertGreater(max(order.progress(), default=0), 0)

        # Changes, then the job's removal, then the reply.
        job = next(event[2] for event in events if event[:2] == (self.web, "Job") and event[2] != "/")
        self.assertEqual(events[-1], (None, "reply"))
        self.assertLess(events.index((self.web, "State", "paused")), events.index((job, "InterfacesRemoved")))
        self.assertLess(events.index((self.web, "Job", "/")), events.index((job, "InterfacesRemoved")))
        self.assertLess(events.index((self.web, "State", "shutoff")), len(events) - 1)
        self.assertIn("paused", order.states(self.web))

        self.assertEqual(self.restore(file).result()[0], self.web)
        self.assertEqual(self.root.state(self.web), ("running", "restored"))
        after = self.tick(self.web)
        self.assertGreater(after, before)
        self.assertLess(after, before + 60)
        self.assertTrue(self.root.property(self.web, "Persistent"))
        self.disk_is_intact()

    def disk_is_intact(self):
        self.root.domain(self.web, "Shutdown", "{'mode': <'acpi'>, 'timeout-usec': <uint64 60000000>}")
        subprocess.run(["qemu-img", "check", "-q", self.folder / "web.qcow2"], check=True)

    def test_a_managed_save_outlives_the_daemon_and_is_started_once(self):
        before = self.tick(self.web)
        self.root.domain(self.web, "ManagedSave")
        self.assertTrue(self.root.property(self.web, "HasManagedSave"))
        self.assertEqual(self.root.state(self.web), ("shutoff", "saved"))
        saved = list((self.folder / "state/virtbus/qemu/save").iterdir())
        self.assertEqual([path.name for path in saved], ["web.save"])
        self.assertEqual(saved[0].stat().st_mode & 0o777, 0o600)

        self.daemon.restart()
        self.assertTrue(self.root.property(self.web, "HasManagedSave"))
        self.assertEqual(self.root.domains("{'managed-save': <true>}"), [self.web])
        order = self.order()
        order.domain(self.web, "Start")
        self.assertEqual(self.root.state(self.web), ("running", "restored"))
        events = order.events()
        self.assertLess(events.index((self.web, "HasManagedSave", False)), events.index((self.web, "State", "running")))
        self.assertFalse(saved[0].exists())
        self.assertGreater(self.tick(self.web), before)

    def test_the_guest_agent_answers_after_a_restore(self):
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))
        self.root.domain(self.web, "ManagedSave")
        self.root.domain(self.web, "Start")
        choices = {"timeout-usec": GLib.Variant("t", 30_000_000)}
        answer = self.root.call(self.web, DOMAIN, "GuestAgentCommand",
                                GLib.Variant("(sa{sv})", ('{"execute": "guest-get-host-name"}', choices)))[0]
        self.assertIn("guest", answer)

    def stall(self, begin, file):
        """Begins a save, and stops the emulator in the midst of writing."""
        pid = self.emulator(self.web)
        size = lambda: os.stat(file).st_size if os.path.exists(file) else 0
        pending = begin()
        wait_until(lambda: size() > 4 << 20)
        os.kill(pid, signal.SIGSTOP)
        self.assertFalse(pending.is_done(), "the save was too quick for this test")
        return pid, pending

    def test_a_save_that_is_cancelled_lets_the_guest_run_on(self):
        before = self.tick(self.web)
        order = self.order()
        file = self.file("cancelled")
        pid, pending = self.stall(lambda: self.save(self.web, file), self.folder / "cancelled")
        job = self.root.property(self.web, "Job")
        self.assertEqual(self.root.get(job, JOB, "Operation"), "save")
        self.assertTrue(self.root.get(job, JOB, "Cancelable"))
        self.root.call(job, JOB, "Cancel", options())
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.failure(pending).name, ERROR + "Canceled")
        self.assertRunsOn(self.web)
        self.assertGreater(self.tick(self.web), before)
        self.assertEqual(self.failure(self.restore(file)).name, ERROR + "InvalidArgument")
        self.assertEqual(order.states(self.web)[-2:], ["paused", "running"])

    def test_a_guest_that_is_destroyed_ends_its_save(self):
        pid, pending = self.stall(lambda: self.save(self.web, self.file("destroyed")), self.folder / "destroyed")
        self.root.domain(self.web, "Destroy")
        self.assertEqual(self.failure(pending).name, ERROR + "Canceled")
        self.assertEqual(self.root.state(self.web), ("shutoff", "destroyed"))
        self.assertEqual(self.root.property(self.web, "Job"), "/")

    def test_a_managed_save_of_a_guest_that_is_destroyed_leaves_nothing(self):
        folder = self.folder / "state/virtbus/qemu/save"
        pid, pending = self.stall(lambda: self.root.send(self.web, DOMAIN, "ManagedSave", options()), folder / "web.save.new")
        # It waits for the first, and then has no guest.
        second = self.root.send(self.web, DOMAIN, "ManagedSave", options())
        self.root.domain(self.web, "Destroy")
        self.failure(pending)
        self.assertEqual(self.failure(second).name, ERROR + "InvalidState")
        wait_until(lambda: not list(folder.iterdir()))
        self.assertFalse(self.root.property(self.web, "HasManagedSave"))

    def killed_in_the_midst(self, begin, file):
        before = self.tick(self.web)
        pid, _pending = self.stall(begin, file)
        self.daemon.end(signal.SIGKILL)
        os.kill(pid, signal.SIGCONT)
        self.daemon.start()
        wait_until(lambda: self.root.state(self.web) == ("running", "save-canceled"))
        self.assertGreater(self.tick(self.web), before)
        self.assertFalse(self.root.property(self.web, "HasManagedSave"))
        # And it can be saved again.
        self.root.domain(self.web, "ManagedSave")

    def test_a_daemon_that_is_killed_while_it_saves_leaves_a_guest_that_runs_on(self):
        file = self.file("killed")
        self.killed_in_the_midst(lambda: self.save(self.web, file), self.folder / "killed")
        error = self.failure(self.restore(file))
        self.assertEqual(error.name, ERROR + "InvalidArgument")
        self.assertIn("cut short", error.message)

    def test_a_daemon_that_is_killed_during_a_managed_save(self):
        folder = self.folder / "state/virtbus/qemu/save"
        self.killed_in_the_midst(lambda: self.root.send(self.web, DOMAIN, "ManagedSave", options()), folder / "web.save.new")

    def test_a_daemon_that_is_killed_while_it_dumps(self):
        file = self.file("core")
        self.killed_in_the_midst(lambda: self.dump(self.web, file, "{'format': <'elf'>}"), self.folder / "core")


class Machine(SavingCase):
    """A machine that boots nothing: what is refused, and what becomes of files."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.define("bare", boot=False, disk=False, memory=32, devices="<video><model type='vga'/></video>")

    def setUp(self):
        self.runs(self.bare)

    def saved(self, name="saved", choices="{}"):
        file = self.file(name)
        self.save(self.bare, file, choices).result()
        return file

    def test_files_that_cannot_be_saved_to_are_refused(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.file("there")
        for file in (writer, self.file("there", os.O_RDONLY), self.file("there", os.O_RDWR | os.O_APPEND), self.file("there", os.O_PATH),
                     self.file(".", os.O_RDONLY | os.O_DIRECTORY)):
            error = self.failure(self.save(self.bare, file))
            self.assertEqual(error.name, ERROR + "InvalidArgument")
            self.assertEqual(self.root.state(self.bare)[0], "running")
        # The restored guest's definition is read back from what is open for writing only, too.
        self.save(self.bare, self.file("there", os.O_WRONLY | os.O_CREAT)).result()

    def test_a_full_disk_fails_the_save_and_the_guest_runs_on(self):
        full = tempfile.mkdtemp(prefix="virtbus-full-")
        self.addCleanup(os.rmdir, full)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "full", full], check=False).returncode != 0:
            self.skipTest("only root can mount")
        self.addCleanup(subprocess.run, ["umount", full], check=True)
        for what, choices in ((self.save, "{}"), (self.dump, "{}"), (self.dump, "{'format': <'elf'>}"),
                              (self.save, "{'bypass-cache': <true>}"), (self.dump, "{'format': <'elf'>, 'bypass-cache': <true>}")):
            descriptor = os.open(f"{full}/file", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            try:
                error = self.failure(what(self.bare, descriptor, choices))
            finally:
                os.close(descriptor)
            self.assertEqual(error.name, ERROR + "StorageFailed", error.message)
            self.assertIn(f"'{full}/file': cannot write the guest's memory: No space left on device", error.message)
            self.assertRunsOn(self.bare)

    def cached(self, file):
        """How many bytes of a file the page cache holds."""
        command = ["fincore", "--bytes", "--noheadings", "--output", "RES", f"/proc/self/fd/{file}"]
        return int(subprocess.run(command, pass_fds=[file], check=True, capture_output=True, text=True).stdout)

    def test_around_the_page_cache(self):
        try:
            self.file("direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        except OSError:
            self.skipTest("the file system has no way around it")
        for choices, what in (("{'bypass-cache': <true>, 'format': <'elf'>}", self.dump), ("{'bypass-cache': <true>}", self.dump),
                              ("{'bypass-cache': <true>}", self.save)):
            file = self.file("around")
            what(self.bare, file, choices).result()
            self.assertGreater(os.fstat(file).st_size, 1 << 18)
            self.assertLess(self.cached(file), 1 << 16, choices)
        self.restore(file).result()
        self.assertEqual(self.root.property(self.bare, "State"), "running")
        self.root.domain(self.bare, "ManagedSave", "{'bypass-cache': <true>}")
        self.root.domain(self.bare, "Start", "{'bypass-cache': <true>}")
        self.assertEqual(self.root.state(self.bare), ("running", "restored"))

    def test_what_is_no_saved_guest_is_refused(self):
        file = self.saved()
        whole = os.pread(file, 1 << 26, 0)
        self.assertEqual(whole[:13], b"virtbus saved")

        def refused(data, word, error="InvalidArgument"):
            other = self.file("other")
            os.write(other, data)
            failure = self.failure(self.restore(other))
            self.assertEqual(failure.name, ERROR + error, word)
            self.assertIn(word, failure.message)
            self.assertEqual(self.root.state(self.bare), ("shutoff", "saved"))

        refused(b"", "too short")
        refused(whole[:20], "too short")
        refused(b"LibvirtQemudSave" + whole[16:], "does not begin as one")
        refused(whole[:16] + b"\x63" + whole[17:], "format 99")
        refused(whole[:20] + b"\x01" + whole[21:], "cut short")
        refused(whole[:28] + b"\xff\xff\xff\xff" + whole[32:], "damaged")
        refused(whole[:28] + b"\x00\x00\x00\x00" + whole[32:], "damaged")
        refused(whole[:32] + b"\xff" * 8 + whole[40:], "damaged")
        refused(whole[:6000], "damaged")
        refused(whole[:4096] + b"<domain" + b"<" * 100 + whole[4203:], "saved guest", "InvalidXML")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.assertEqual(self.failure(self.restore(reader)).name, ERROR + "InvalidArgument")

    def test_memory_that_ends_early_is_not_started(self):
        file = self.saved()
        os.ftruncate(file, os.fstat(file).st_size // 2 // 4096 * 4096 + 4096)
        failure = self.failure(self.restore(file))
        self.assertIn(failure.name, (ERROR + "EmulatorFailed", ERROR + "MonitorFailed"))
        self.assertEqual(self.root.state(self.bare), ("shutoff", "failed"))
        self.assertTrue(self.root.property(self.bare, "Persistent"))

    def test_a_saved_guest_tells_its_definition(self):
        file = self.saved()
        xml = self.root.send_file(ROOT, HYPERVISOR, "GetSavedXML", file).result()[0]
        self.assertIn("<name>bare</name>", xml)
        self.restore(file).result()
        error = self.failure(self.restore(file))
        self.assertEqual(error.name, ERROR + "InvalidState")

    def test_a_saved_guest_keeps_its_secrets(self):
        path = self.define("quiet", disk=False, boot=False, memory=32, devices="<graphics type='vnc' port='-1' passwd='hush'/>")
        self.root.domain(path, "Start", "{'paused': <true>}")
        file = self.file("quiet")
        self.save(path, file).result()
        for choices, told in (("{}", False), ("{'secure': <true>}", True)):
            xml = self.root.send_file(ROOT, HYPERVISOR, "GetSavedXML", file, choices).result()[0]
            self.assertEqual("passwd='hush'" in xml, told, xml)

    def test_what_the_guest_sees_must_stay_the_same(self):
        file = self.saved()
        xml = self.root.send_file(ROOT, HYPERVISOR, "GetSavedXML", file).result()[0]

        def given(old, new):
            self.assertIn(old, xml)
            text = GLib.Variant("s", xml.replace(old, new)).print_(False)
            return "{'xml': <" + text + ">}"

        for old, new, word in (("<memory unit='KiB'>32768", "<memory unit='KiB'>65536", "memory"),
                               (">1</vcpu>", ">2</vcpu>", "vCPU"),
                               ("type='vga'", "type='bochs'", "devices")):
            error = self.failure(self.restore(file, given(old, new)))
            self.assertEqual((error.name, word in error.message), (ERROR + "UnsupportedConfiguration", True), error.message)
        self.restore(file, given("<name>bare</name>", "<name>bare</name><title>Another</title>")).result()
        self.assertIn("Another", self.root.xml(self.bare))

    def test_a_paused_guest_is_restored_paused_unless_one_says_otherwise(self):
        self.root.domain(self.bare, "Suspend")
        file = self.saved()
        self.restore(file).result()
        self.assertEqual(self.root.property(self.bare, "State"), "paused")
        self.root.domain(self.bare, "Resume")
        file = self.saved(choices="{'paused': <true>}")
        self.restore(file, "{'paused': <false>}").result()
        self.assertEqual(self.root.property(self.bare, "State"), "running")

    def test_a_managed_save_is_removed_when_asked(self):
        error = self.root.refused(self.bare, "RemoveManagedSave")
        self.assertEqual(error.name, ERROR + "InvalidState")
        self.root.domain(self.bare, "ManagedSave")
        self.root.domain(self.bare, "RemoveManagedSave")
        self.assertFalse(self.root.property(self.bare, "HasManagedSave"))
        self.root.domain(self.bare, "Start")
        self.assertEqual(self.root.state(self.bare), ("running", "booted"))

    def test_a_forced_boot_forgets_the_managed_save(self):
        self.root.domain(self.bare, "ManagedSave")
        self.root.domain(self.bare, "Start", "{'force-boot': <true>}")
        self.assertEqual(self.root.state(self.bare), ("running", "booted"))
        self.assertFalse(self.root.property(self.bare, "HasManagedSave"))

    def test_a_managed_save_that_is_damaged_stays_and_says_so(self):
        self.root.domain(self.bare, "ManagedSave")
        path = self.folder / "state/virtbus/qemu/save/bare.save"
        os.truncate(path, 6000)
        error = self.root.refused(self.bare, "Start")
        self.assertEqual(error.name, ERROR + "InvalidArgument")
        self.assertTrue(path.exists())
        self.root.domain(self.bare, "Start", "{'force-boot': <true>}")

    def test_a_managed_save_stands_in_the_way_of_undefining(self):
        domain = self.define("short", boot=False, disk=False, memory=32)
        self.root.domain(domain, "Start")
        self.root.domain(domain, "ManagedSave")
        self.assertEqual(self.root.refused(domain, "Undefine").name, ERROR + "InvalidState")
        self.root.domain(domain, "Undefine", "{'managed-save': <true>}")
        wait_until(lambda: not (self.folder / "state/virtbus/qemu/save/short.save").exists())

    def test_a_transient_guest_has_no_managed_save(self):
        from qemud import xml

        domain = self.root.create(xml("passing"))
        self.assertEqual(self.root.refused(domain, "ManagedSave").name, ERROR + "InvalidState")
        file = self.file("passing")
        self.save(domain, file).result()
        self.assertNotIn(domain, self.root.domains())
        self.assertEqual(self.restore(file).result()[0], domain)
        self.root.domain(domain, "Destroy")

    def stopped_start(self, begin, undo):
        """Stops the emulator as soon as it is there. On a busy machine the start may be through before that; then it is undone and tried again."""
        for _ in range(TRIES):
            before = set(emulators(self.folder))
            pending = begin()
            wait_until(lambda before=before: set(emulators(self.folder)) - before)
            (pid,) = set(emulators(self.folder)) - before
            os.kill(pid, signal.SIGSTOP)
            # What the emulator had said before has been read by now.
            states = [self.root.property(self.bare, "Job") for _ in range(5)]
            if states[-1] != "/" and not pending.is_done():
                return pending
            os.kill(pid, signal.SIGCONT)
            pending.result()
            undo()
        raise AssertionError("each start was through before its emulator could be stopped")

    def test_a_restore_that_is_cancelled_can_be_done_again(self):
        file = self.saved()
        pending = self.stopped_start(lambda: self.restore(file), lambda: self.root.domain(self.bare, "Destroy"))
        job = self.root.property(self.bare, "Job")
        self.assertEqual(self.root.get(job, JOB, "Operation"), "restore")
        self.root.call(job, JOB, "Cancel", options())
        self.assertEqual(self.failure(pending).name, ERROR + "Canceled")
        self.assertEqual(self.root.property(self.bare, "State"), "shutoff")
        self.restore(file).result()
        self.assertEqual(self.root.state(self.bare), ("running", "restored"))

    def test_a_start_from_a_managed_save_that_is_destroyed_keeps_the_save(self):
        self.root.domain(self.bare, "ManagedSave")
        pending = self.stopped_start(lambda: self.root.send(self.bare, DOMAIN, "Start", options()),
                                     lambda: self.root.domain(self.bare, "ManagedSave"))
        self.root.domain(self.bare, "Destroy")
        self.assertEqual(self.failure(pending).name, ERROR + "Canceled")
        self.assertTrue(self.root.property(self.bare, "HasManagedSave"))
        self.root.domain(self.bare, "Start")
        self.assertEqual(self.root.state(self.bare), ("running", "restored"))

    def test_a_dump_cannot_be_cancelled_and_says_so(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = self.dump(self.bare, writer, "{'format': <'elf'>}")
        os.close(writer)
        wait_until(lambda: self.root.property(self.bare, "Job") != "/" and os.read(reader, 1))
        job = self.root.property(self.bare, "Job")
        error = self.root.fails(job, JOB, "Cancel", options())
        self.assertEqual(error.name, ERROR + "InvalidState")
        while not pending.is_done():
            os.read(reader, 1 << 20)
        pending.result()

    # Dumps

    def test_dumps_of_every_format(self):
        for choices, magic in (("{}", b"QEVM"), ("{'format': <'elf'>}", b"\x7fELF"), ("{'memory-only': <true>}", b"\x7fELF"),
                               ("{'format': <'kdump-zlib'>}", b"makedumpfile")):
            file = self.file("core")
            order = self.order()
            order.call(self.bare, DOMAIN, "CoreDump", variant(f"(handle 0, @a{{sv}} {choices})"), fds=[file])
            self.assertEqual(os.pread(file, len(magic), 0), magic, choices)
            self.assertEqual(self.root.property(self.bare, "State"), "running")
            self.assertEqual(order.states(self.bare), ["paused", "running"], choices)
            self.assertEqual(order.events()[-1], (None, "reply"))
            self.assertIn((self.bare, "StateReason", "dump"), order.events())

    def test_a_dump_to_a_pipe(self):
        reader, writer = os.pipe()
        sizes = []

        def drain():
            with os.fdopen(reader, "rb") as stream:
                sizes.append(len(stream.read()))

        thread = threading.Thread(target=drain)
        thread.start()
        pending = self.dump(self.bare, writer)
        pending.result()
        os.close(writer)
        thread.join()
        self.assertGreater(sizes[0], 100_000)

    def test_a_live_dump_leaves_the_guest_running(self):
        for choices in ("{'live': <true>}", "{'live': <true>, 'format': <'elf'>}"):
            self.dump(self.bare, self.file("core"), choices).result()
            self.assertEqual(self.root.property(self.bare, "State"), "running", choices)

    def test_a_guest_that_resets_itself_all_the_time_is_dumped(self):
        """Thousands of times a second: the emulator must never stand in a state in which it cannot take that."""
        rom = self.folder / "resets.rom"
        rom.write_bytes(RESETS.rjust(65536, b"\xf4"))
        domain = self.define("resets", boot=False, disk=False, memory=32, loader=f"<loader readonly='yes' type='rom'>{rom}</loader>")
        self.root.domain(domain, "Start")
        for number in range(10):
            for choices in ("{'live': <true>, 'format': <'elf'>}", "{'live': <true>}", "{'format': <'elf'>}"):
                self.dump(domain, self.file("core"), choices).result()
                self.assertEqual(self.root.property(domain, "State"), "running", f"{choices}, number {number}")
        self.root.domain(domain, "Destroy")
        self.root.domain(domain, "Undefine")

    def test_a_paused_guest_stays_so(self):
        self.root.domain(self.bare, "Suspend")
        self.dump(self.bare, self.file("core"), "{'format': <'elf'>}").result()
        self.assertEqual(self.root.state(self.bare), ("paused", "user"))
        self.root.domain(self.bare, "Resume")

    def test_a_guest_that_is_dumped_as_crashed_ends(self):
        self.dump(self.bare, self.file("core"), "{'crash': <true>, 'format': <'elf'>}").result()
        self.assertEqual(self.root.state(self.bare), ("shutoff", "crashed"))

    def test_a_guest_that_is_reset_after_the_dump(self):
        order = self.order()
        self.dump(self.bare, self.file("core"), "{'reset': <true>, 'format': <'elf'>}").result()
        order.wait_for(self.bare, "Rebooted")
        self.assertEqual(self.root.property(self.bare, "State"), "running")

    def test_choices_that_contradict_each_other(self):
        for choices in ("{'live': <true>, 'crash': <true>}", "{'crash': <true>, 'reset': <true>}", "{'format': <'zip'>}"):
            self.assertEqual(self.failure(self.dump(self.bare, self.file("core"), choices)).name, ERROR + "InvalidArgument")
        self.assertEqual(self.root.refused(self.bare, "ManagedSave", "{'running': <true>, 'paused': <true>}").name,
                         ERROR + "InvalidArgument")


if __name__ == "__main__":
    unittest.main()
