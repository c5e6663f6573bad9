# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that change the same guest or definition wait for one another; in order, not for ever, and not too many."""

import os
import signal
import unittest

from gi.repository import GLib

from harness import DOMAIN, ERROR, Failure, variant, wait_until
from qemud import QemuCase, QemuClient, xml

PAUSED = "{'paused': <true>}"
WAITING_MAX = 64


class Turns(QemuCase):
    def configure(self, seconds):
        """How long a call may wait."""
        (self.qemud.config.parent / "qemu.conf").write_text(f"turn_timeout = {seconds}\n", encoding="utf-8")
        self.qemud.restart()

    def hung(self, options="{}"):
        """A guest whose emulator answers nothing until go_on()."""
        path = self.client.define(xml("web"))
        self.client.domain(path, "Start", options)
        self.pid = self.qemud.emulator(self.client.property(path, "UUID"))
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(self.go_on)
        return path

    def go_on(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def send(self, path, member, client=None):
        return (client or self.client).send(path, DOMAIN, member, variant("(@a{sv} {},)"))

    def set_title(self, path, title, options):
        return self.client.send(path, DOMAIN, "SetMetadata", variant(f"('title', '', '', '{title}', @a{{sv}} {options})"))

    def assertFails(self, call, error, message):
        with self.assertRaises(Failure) as caught:
            call.result()
        self.assertEqual((caught.exception.name.removeprefix(ERROR), caught.exception.message), (error, message))

    def test_one_after_another_in_order(self):
        path = self.hung()
        changes = self.changes()
        calls = [self.send(path, member) for member in ("Suspend", "Resume", "Suspend", "Resume", "Suspend")]
        # What reads waits for none of them, and nor does another guest.
        self.assertEqual(self.client.state(path), ("running", "booted"))
        self.assertIn("<name>web</name>", self.client.xml(path))
        self.client.create(xml("other"), PAUSED)
        self.assertFalse(any(call.is_done() for call in calls))

        self.go_on()
        for call in calls:
            call.result()
        self.assertEqual(changes.states(path), ["paused", "running", "paused", "running", "paused"])

    def test_a_saved_guest_is_started_once(self):
        for options in ("{}", "{'force-boot': <true>}"):
            path = self.client.define(xml("web", uuid="7e57e500-0000-4000-8000-000000000003"))
            self.client.domain(path, "Start")
            self.client.domain(path, "ManagedSave")
            first = self.client.send(path, DOMAIN, "Start", variant(f"(@a{{sv}} {options},)"))
            second = self.send(path, "Start")
            first.result()
            self.assertFails(second, "InvalidState", "domain 'web': the guest runs already (it is running)")
            self.client.domain(path, "Destroy")

    def test_a_save_that_cannot_be_read_leaves_the_turn(self):
        path = self.client.define(xml("web"))
        self.client.domain(path, "Start")
        self.client.domain(path, "ManagedSave")
        save = next((self.bus.directory / "state").rglob("*.save"))
        save.write_bytes(b"nothing of the kind")
        for _ in range(2):
            self.assertEqual(self.client.refused(path, "Start").name, ERROR + "InvalidArgument")
        self.client.domain(path, "Start", "{'force-boot': <true>}")
        self.assertEqual(self.client.state(path), ("running", "booted"))

    def test_what_was_waited_for_counts(self):
        """State is looked at when the turn has come."""
        path = self.client.define(xml("web"))
        first = self.send(path, "Start")
        second, third = self.send(path, "Start"), self.send(path, "Suspend")
        first.result()
        self.assertFails(second, "InvalidState", "domain 'web': the guest runs already (it is running)")
        third.result()
        self.assertEqual(self.client.state(path), ("paused", "user"))

    def test_the_definition_does_not_wait_for_the_guest(self):
        path = self.hung()
        suspend = self.send(path, "Suspend")
        self.set_title(path, "later", "{'config': <true>}").result()
        self.client.define(self.client.xml(path, "{'inactive': <true>}"))
        self.assertFalse(suspend.is_done())
        self.assertIn("<title>later</title>", self.client.xml(path, "{'inactive': <true>}"))
        self.go_on()
        suspend.result()

    def test_changes_of_the_definition_are_all_made(self):
        path = self.client.define(xml("web"))
        calls = [self.set_title(path, f"title {n}", "{}") for n in range(30)]
        calls += [self.client.send(path, DOMAIN, "SetMemory", variant(f"(uint64 {n << 20}, @a{{sv}} {{}})")) for n in range(8, 24)]
        for call in calls:
            call.result()
        self.assertIn("<title>title 29</title>", self.client.xml(path))
        self.assertEqual(self.client.property(path, "Memory"), 23 << 20)

    def test_not_for_ever(self):
        self.configure(1)
        path = self.hung()
        suspend = self.send(path, "Suspend")
        self.assertFails(self.send(path, "Resume"), "Timeout",
                         "domain 'web': Resume has waited 1 s for its turn, and suspend is still under way")
        self.go_on()
        suspend.result()
        self.client.domain(path, "Resume")

    def test_not_at_all(self):
        self.configure(0)
        path = self.hung()
        suspend = self.send(path, "Suspend")
        self.assertFails(self.send(path, "Resume"), "InvalidState", "domain 'web': suspend is under way")
        self.go_on()
        suspend.result()

    def test_not_too_many(self):
        path = self.hung()
        suspend = self.send(path, "Suspend")
        waiting = [self.send(path, "Suspend") for _ in range(WAITING_MAX)]
        self.assertFails(self.send(path, "Resume"), "LimitExceeded",
                         f"domain 'web': {WAITING_MAX} calls wait already until suspend has ended")
        self.go_on()
        for call in [suspend, *waiting]:
            call.result()

    def test_who_leaves_gives_up_the_turn(self):
        path = self.hung()
        suspend = self.send(path, "Suspend")
        other = QemuClient(self.bus)
        self.send(path, "Resume", other)
        # Sent after the other call, and answered at once: so that one waits by now.
        self.assertEqual(other.state(path), ("running", "booted"))
        name = other.connection.get_unique_name()
        other.close()
        wait_until(lambda: not self.client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
                                                GLib.Variant("(s)", (name,)), destination="org.freedesktop.DBus")[0])
        last = self.send(path, "Suspend")
        changes = self.changes()
        self.go_on()
        suspend.result()
        last.result()
        self.assertEqual(changes.states(path), ["paused"])

    def test_destroy_ends_what_is_waited_for(self):
        path = self.hung()
        suspend, resume = self.send(path, "Suspend"), self.send(path, "Resume")
        self.client.domain(path, "Destroy")
        with self.assertRaises(Failure):
            suspend.result()
        self.assertFails(resume, "InvalidState", "domain 'web': the guest is off")

    def test_a_transient_guest_that_goes_takes_its_calls_along(self):
        path = self.client.create(xml("web"), PAUSED)
        self.pid = self.qemud.emulator(self.client.property(path, "UUID"))
        os.kill(self.pid, signal.SIGSTOP)
        suspend, resume = self.send(path, "Suspend"), self.send(path, "Resume")
        self.client.domain(path, "Destroy")
        for call in (suspend, resume):
            with self.assertRaises(Failure):
                call.result()
        self.assertEqual(self.client.domains(), [])


if __name__ == "__main__":
    unittest.main()
