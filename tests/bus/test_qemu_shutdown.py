# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host goes down, as far as logind's and the service manager's word goes: guests are brought to safety first, and nobody waits for what stands still.

The guests have nothing to boot from, so none of them hears its power button; what real ones do is in tests/system."""

import os
import re
import signal
import socket
import threading
import unittest

from gi.repository import GLib

import qemud
from harness import DAEMON, DEADLINE, Failure, options, wait_until
from logind import Logind
from qemud import DOMAIN, ERROR, HYPERVISOR, ROOT, QemuCase, xml
from services import Service

NAMESPACE = "https://virtbus.org/schemas/shutdown/1.0"


def order(steps, more=""):
    """Metadata that gives a guest an order of its own."""
    return f"<metadata><virtbus:shutdown xmlns:virtbus='{NAMESPACE}' order='{steps}'{more}/></metadata>"


class Manager(Service):
    """Of a service manager as much as is asked of it: whether all is going down."""

    NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/shutdown_2etarget"
    XML = """<node><interface name='org.freedesktop.systemd1.Unit'><property name='Job' type='(uo)' access='read'/></interface></node>"""

    def __init__(self, bus, job):
        self.job = job
        super().__init__(bus)

    def _get(self, *_what):
        return GLib.Variant("(uo)", (self.job, "/"))


class Notifications:
    """What a service tells its manager, which takes it in at once."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.lines = []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while message := self.socket.recv(65536):
            self.lines += message.decode().split("\n")

    def all(self, key):
        return [line.partition("=")[2] for line in self.lines if line.startswith(f"{key}=")]

    def extensions(self):
        """[(status, microseconds)]"""
        return [(before.partition("=")[2], int(line.partition("=")[2])) for before, line in zip(self.lines, self.lines[1:])
                if line.startswith("EXTEND_TIMEOUT_USEC=")]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.path)
        self.thread.join()
        self.socket.close()


class ShutdownCase(QemuCase):
    SETTINGS = ""

    def setUp(self):
        super().setUp()
        self.login = self.enter(Logind(self.bus))
        self.manager = self.enter(Notifications(self.bus.directory / "notify"))
        environment = self.qemud.environment
        self.qemud.environment = lambda: {**environment(), "NOTIFY_SOCKET": self.manager.path}
        self.qemud.end()
        self.qemud.config.mkdir(parents=True, exist_ok=True)
        (self.qemud.config.parent / "qemu.conf").write_text(self.SETTINGS)
        self.qemud.start()

    def started(self, name, **how):
        path = self.client.define(xml(name, **how))
        self.client.domain(path, "Start")
        return path

    def pid(self, path):
        return self.qemud.emulator(self.client.property(path, "UUID"))

    def inhibited(self):
        return self.client.get(ROOT, DAEMON, "Inhibited")

    def go_down(self):
        """As logind: says so, and waits for whoever holds a lock."""
        self.login.wait_for_lock("shutdown")
        self.login.tell("PrepareForShutdown", True)
        self.login.wait_for_release("shutdown")

    def ended(self, seconds=DEADLINE):
        """Its exit status, when it has ended by itself."""
        status = self.qemud.process.wait(seconds)
        wait_until(lambda: not self.qemud.has_name())
        return status

    def saves(self):
        folder = self.bus.directory / "state" / "virtbus" / "qemu" / "save"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class Lock(ShutdownCase):
    SETTINGS = "auto_shutdown_restore = yes\nauto_shutdown_try_shutdown = none\n"

    def test_is_held_while_guests_run(self):
        self.assertFalse(self.inhibited())
        self.assertEqual(self.login.held("shutdown"), [])
        web, mail = self.started("web"), self.started("mail")
        self.login.wait_for_lock("shutdown")
        wait_until(self.inhibited)
        lock = self.login.held("shutdown")[0]
        self.assertEqual((lock.what, lock.mode, lock.who, lock.why), ("shutdown", "delay", "virtbus", "guests are brought to safety"))
        self.client.domain(web, "Destroy")
        self.assertEqual(len(self.login.held("shutdown")), 1)
        self.client.domain(mail, "Destroy")
        self.login.wait_for_release("shutdown")
        self.assertFalse(self.inhibited())

    def test_is_taken_of_a_logind_that_comes_later(self):
        self.login.close()
        web = self.started("web")
        self.assertFalse(self.inhibited())
        self.login = self.enter(Logind(self.bus))
        self.login.wait_for_lock("shutdown")
        self.go_down()
        self.assertEqual(self.client.state(web), ("shutoff", "saved"))

    def test_is_taken_again_of_a_logind_that_was_started_anew(self):
        self.started("web")
        self.login.wait_for_lock("shutdown")
        first = self.login
        first.client.close()
        self.login = self.enter(Logind(self.bus))
        self.login.wait_for_lock("shutdown")
        # The old one is given back when there is another, and not before.
        wait_until(lambda: not first.held("shutdown"))
        wait_until(self.inhibited)

    def test_a_daemon_that_comes_when_the_host_is_going_down_already(self):
        web = self.started("web")
        self.login.wait_for_lock("shutdown")
        self.qemud.end(signal.SIGKILL)
        self.login.tell("PrepareForShutdown", True)
        self.qemud.start()
        wait_until(lambda: self.client.state(web) == ("shutoff", "saved"))
        self.login.wait_for_release("shutdown")

    def test_the_host_that_stays_up_has_its_guests_again(self):
        web, off = self.started("web"), self.client.define(xml("off"))
        standing = self.started("standing")
        self.client.domain(standing, "Suspend")
        for _time in range(2):
            self.go_down()
            self.assertEqual(self.client.state(web), ("shutoff", "saved"))
            self.assertTrue(self.client.property(web, "AutostartOnce"))
            refusal = self.client.refused(off, "Start")
            self.assertEqual(refusal.name, ERROR + "InvalidState")
            self.assertIn("the host goes down", refusal.message)

            self.login.tell("PrepareForShutdown", False)
            wait_until(lambda: self.client.state(web) == ("running", "restored"))
            wait_until(lambda: self.client.state(standing)[0] == "paused")
            wait_until(lambda: not self.client.property(web, "AutostartOnce"))
        self.assertEqual(self.client.state(off)[0], "shutoff")
        self.client.domain(off, "Start")

    def test_guests_for_whom_nothing_is_wanted_hold_up_nobody(self):
        web = self.started("web", more=order("none"))
        self.go_down()
        self.assertEqual(self.client.state(web), ("running", "booted"))
        self.login.tell("PrepareForShutdown", False)
        self.login.wait_for_lock("shutdown")


class Steps(ShutdownCase):
    SETTINGS = "auto_shutdown_wait = 1\nauto_save_stall = 5\nauto_shutdown_parallel = 2\n"

    def test_each_guest_has_its_own(self):
        created = self.client.create(xml("passing"))
        saved, off = self.started("saved"), self.started("off", more=order("poweroff"))
        deaf = self.started("deaf", more=order("shutdown poweroff"))
        left = self.started("left", more=order("shutdown"))
        standing = self.started("standing")
        self.client.domain(standing, "Suspend")
        self.go_down()
        self.assertEqual(self.client.state(saved), ("shutoff", "saved"))
        self.assertEqual(self.client.state(off), ("shutoff", "destroyed"))
        self.assertEqual(self.client.state(deaf), ("shutoff", "destroyed"))
        self.assertEqual(self.client.state(left), ("running", "booted"))
        self.assertEqual(self.client.state(standing), ("shutoff", "saved"))
        self.assertNotIn(created, self.client.domains())
        self.assertEqual(self.saves(), ["saved.save", "standing.save"])
        # A session starts none of them by itself.
        self.assertFalse(any(self.client.property(path, "AutostartOnce") for path in (saved, off, deaf, left, standing)))

    def test_a_guest_that_hangs_is_given_up(self):
        stuck, well = self.started("stuck"), self.started("well")
        os.kill(self.pid(stuck), signal.SIGSTOP)
        self.go_down()
        self.assertEqual(self.client.state(stuck), ("shutoff", "destroyed"))
        self.assertEqual(self.client.state(well), ("shutoff", "saved"))
        self.assertEqual(self.saves(), ["well.save"])
        self.qemud.wait_logged("domain 'stuck': managed save has stood still for too long")

    def test_a_guest_that_hangs_and_must_not_be_powered_off_is_left(self):
        stuck = self.started("stuck", more=order("save shutdown"))
        os.kill(self.pid(stuck), signal.SIGSTOP)
        self.go_down()
        self.qemud.wait_logged("domain 'stuck': nothing more is tried")
        os.kill(self.pid(stuck), signal.SIGCONT)
        wait_until(lambda: self.client.state(stuck)[0] == "running")
        wait_until(lambda: self.saves() == [])

    def test_a_save_that_fails_leaves_nothing_and_the_next_step_is_taken(self):
        web = self.started("web")
        folder = self.bus.directory / "state" / "virtbus" / "qemu" / "save"
        folder.write_text("in the way")
        self.go_down()
        self.assertEqual(self.client.state(web), ("shutoff", "destroyed"))
        self.qemud.wait_logged("domain 'web': cannot make .*web.save.new")

    def test_what_else_is_done_to_a_guest_is_waited_for(self):
        web = self.started("web")
        target = os.open(self.bus.directory / "dumped", os.O_RDWR | os.O_CREAT, 0o600)
        self.addCleanup(os.close, target)
        dump = self.client.send(web, DOMAIN, "CoreDump", GLib.Variant("(ha{sv})", (0, {"memory-only": GLib.Variant("b", True)})),
                                fds=[os.dup(target)])
        self.go_down()
        dump.result()
        self.assertEqual(self.client.state(web), ("shutoff", "saved"))

    def test_a_wish_that_makes_no_sense_is_refused(self):
        for steps, more in (("poweroff save", ""), ("sleep", ""), ("", ""), ("save save", ""), ("none save", ""), ("save", " wait='0'"),
                            ("save", " wait='soon'"), ("save", " wait='86401'")):
            with self.subTest(steps=steps, more=more):
                refusal = self.client.define_fails(xml("web", more=order(steps, more)))
                self.assertEqual(refusal.name, ERROR + "InvalidXML")
                self.assertIn("domain 'web': <metadata>: <virtbus:shutdown", refusal.message)
        web = self.started("web")
        for live in (True, False):
            question = GLib.Variant("(ssssa{sv})", ("element", "<shutdown order='sleep'/>", "virtbus", NAMESPACE,
                                                    {"live": GLib.Variant("b", live), "config": GLib.Variant("b", not live)}))
            self.assertEqual(self.client.fails(web, DOMAIN, "SetMetadata", question).name, ERROR + "InvalidXML")
        self.assertNotIn("shutdown order", self.client.xml(web))


class Ends(ShutdownCase):
    """The service manager ends the daemon, or somebody wants it to end."""

    SETTINGS = "auto_shutdown_wait = 1\nauto_save_stall = 5\n"

    def test_a_mere_stop_leaves_guests_alone(self):
        web = self.started("web")
        for job in (None, 0):
            manager = Manager(self.bus, job) if job is not None else None
            self.qemud.restart()
            self.assertEqual(self.client.state(web), ("running", "booted"))
            if manager:
                manager.close()

    def test_a_stop_because_all_goes_down_saves_them(self):
        web = self.started("web")
        self.enter(Manager(self.bus, 17))
        self.qemud.end()
        self.qemud.start()
        self.assertEqual(self.client.state(web)[0], "shutoff")
        self.assertEqual(self.saves(), ["web.save"])
        wait_until(lambda: "STOPPING=1" in self.manager.lines)

    def test_an_interrupt_at_the_keyboard_is_a_mere_stop(self):
        web = self.started("web")
        self.enter(Manager(self.bus, 17))
        self.qemud.end(signal.SIGINT)
        self.qemud.start()
        self.assertEqual(self.client.state(web), ("running", "booted"))

    def test_by_hand(self):
        web = self.started("web")
        self.client.call(ROOT, DAEMON, "Shutdown", options("{'preserve': <true>}"))
        self.assertEqual(self.ended(), 0)
        self.qemud.start()
        self.assertEqual(self.client.state(web)[0], "shutoff")
        self.assertTrue(self.client.property(web, "HasManagedSave"))
        # With nothing to save, and as ever.
        self.client.call(ROOT, DAEMON, "Shutdown", options("{'preserve': <true>}"))
        self.assertEqual(self.ended(), 0)

    def test_a_stop_in_the_midst_goes_on_and_what_stands_still_is_given_no_more_time(self):
        stuck = self.started("stuck", memory=64)
        pid = self.pid(stuck)
        self.login.wait_for_lock("shutdown")
        os.kill(pid, signal.SIGSTOP)
        self.login.tell("PrepareForShutdown", True)
        wait_until(lambda: self.manager.all("STATUS"))
        self.qemud.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.ended(), 0)
        wait_until(lambda: "STOPPING=1" in self.manager.lines)
        self.assertRegex("\n".join(self.manager.all("STATUS")), r"saving 1 of 1 guests: stuck")
        # Not for a save that never moves, but for what is done then, which has a limit of its own; with a margin.
        told = self.manager.extensions()
        self.assertTrue(told)
        for status, usec in told:
            self.assertIn("powering off 1 of 1 guests: stuck", status)
            self.assertLessEqual(usec, 45_000_000)
        self.qemud.start()
        self.assertEqual(self.client.state(stuck)[0], "shutoff")
        self.assertEqual(self.saves(), [])

    def test_the_status_tells_how_far_it_is(self):
        for name in ("one", "two", "three"):
            self.started(name)
        self.go_down()
        wait_until(lambda: "" in self.manager.all("STATUS"))
        lines = self.manager.all("STATUS")
        self.assertTrue(any(re.match(r"saving [123] of 3 guests: ", line) for line in lines), lines)
        self.assertEqual(lines[-1], "")

    def test_a_reload_is_told(self):
        before = len(self.manager.lines)
        self.client.call(ROOT, DAEMON, "Reload", options("{}"))
        wait_until(lambda: len(self.manager.lines) >= before + 3)
        self.assertEqual([line.partition("=")[0] for line in self.manager.lines[before:]], ["RELOADING", "MONOTONIC_USEC", "READY"])


if __name__ == "__main__":
    unittest.main()
