# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that start with the host: in which order, one after the other, whatever becomes of one of them or of the daemon."""

import os
import signal
import unittest

from gi.repository import GLib

from harness import DOMAIN, ERROR, wait_until
from qemud import QemuCase, variant, xml

PLACE = "<metadata><start xmlns='https://virtbus.org/schemas/start/1.0' order='{}'/></metadata>"


class BootCase(QemuCase):
    def settings(self, text):
        """Written for the next start of the daemon."""
        (self.qemud.config.parent / "qemu.conf").write_text(text)

    def define(self, name, place=None, **marks):
        path = self.client.define(xml(name, more=PLACE.format(place) if place is not None else ""))
        for mark, value in marks.items():
            self.mark(path, mark, value)
        return path

    def mark(self, path, name, value=True):
        self.client.set(path, DOMAIN, name, variant("true" if value else "false"), destination="org.virtbus.Qemu1")

    def mark_file(self, name):
        return self.qemud.config / "autostart" / f"{name}.once"

    @property
    def list(self):
        return self.qemud.run / "autostarted"

    def go_down(self, how=signal.SIGKILL):
        """The host loses its power: daemon, guests and what is in memory are gone."""
        self.qemud.end(how)
        self.end_guests()
        wait_until(lambda: not any(self.alive(state) for state in self.qemud.run.glob("*/state")))
        for state in self.qemud.run.glob("*"):
            if state.is_dir():
                for file in state.iterdir():
                    file.unlink()
                state.rmdir()
            elif state.name != "daemon.lock":
                state.unlink()

    @staticmethod
    def alive(state):
        import json
        try:
            os.kill(json.loads(state.read_text())["pid"], 0)
        except (ProcessLookupError, KeyError):
            return False
        return True

    def boot(self):
        self.qemud.start()

    def wait_for_state(self, path, state, reason):
        wait_until(lambda: self.client.state(path) == (state, reason))

    def wait_for_end(self):
        """Until nothing more is to be started."""
        wait_until(lambda: self.list.exists() and self.list.read_text() == "")

    def ids(self, *paths):
        return [self.client.property(path, "Id") for path in paths]


class Order(BootCase):
    def test_who_has_a_place_then_who_ran_then_names(self):
        mail, web, shop = (self.define(name) for name in ("mail", "web", "shop"))
        last, first = self.define("last", place=20, Autostart=True), self.define("first", place=3, Autostart=True)
        anew, zebra = self.define("anew", Autostart=True), self.define("zebra", Autostart=True)
        for path in (web, shop, mail):
            self.client.domain(path, "Start")
            self.mark(path, "AutostartOnce")
        # Without the rest of the marks, the order is on the disk.
        self.go_down()
        self.boot()
        everyone = (first, last, web, shop, mail, anew, zebra)
        for path in everyone:
            self.wait_for_state(path, "running", "booted")
        # Numbers are given out as starts begin.
        self.assertEqual(self.ids(*everyone), [1, 2, 3, 4, 5, 6, 7])
        self.wait_for_end()
        for path, name in ((web, "web"), (shop, "shop"), (mail, "mail")):
            self.assertFalse(self.client.property(path, "AutostartOnce"))
            self.assertFalse(self.mark_file(name).exists())

    def test_a_place_that_is_none_is_refused(self):
        failure = self.client.define_fails(xml("web", more=PLACE.format("soon")))
        self.assertEqual(failure.name, ERROR + "InvalidXML")
        self.assertIn("<start order='soon'>: not a number from 0 to 1000000", failure.message)
        web = self.define("web")
        failure = self.client.fails(web, DOMAIN, "SetMetadata", GLib.Variant("(ssssa{sv})", (
            "element", "https://virtbus.org/schemas/start/1.0", "start", "<start order='-1'/>", {})))
        self.assertEqual(failure.name, ERROR + "InvalidXML")

    def test_with_a_delay_one_after_the_other(self):
        paths = [self.define(name, Autostart=True) for name in ("a", "b", "c", "d")]
        self.go_down()
        self.settings("auto_start_delay = 1\n")
        changes = self.changes()
        self.boot()
        self.wait_for_end()
        changes.wait_for(paths[-1], "State", "running")
        order = [(event[0], event[1]) for event in changes.heard
                 if len(event) == 3 and (event[1] == "Id" or event[1:] == ("State", "running"))]
        self.assertEqual([event for event in order if event[0] in paths],
                         [(path, what) for path in paths for what in ("Id", "State")])


class Failure(BootCase):
    def test_of_a_restore_costs_nobody_else_and_nothing_of_the_guest(self):
        paths = web, shop, mail = [self.define(name) for name in ("web", "shop", "mail")]
        for path in paths:
            self.client.domain(path, "Start")
        for path in paths:
            self.mark(path, "AutostartOnce")
            self.client.domain(path, "ManagedSave")
        self.go_down()
        saved = self.bus.directory / "state" / "virtbus" / "qemu" / "save" / "shop.save"
        whole = saved.read_bytes()
        # The memory is cut off; the header is what it was.
        saved.write_bytes(whole[:len(whole) // 2])
        self.boot()
        self.wait_for_state(web, "running", "restored")
        self.wait_for_state(mail, "running", "restored")
        self.wait_for_state(shop, "shutoff", "failed")
        self.wait_for_end()
        self.qemud.wait_logged("domain 'shop' did not start with the host: .*; its saved state is kept, and Start tries it again")
        self.assertTrue(self.client.property(shop, "HasManagedSave"))
        self.assertFalse(self.client.property(shop, "AutostartOnce"))
        self.assertEqual(saved.stat().st_size, len(whole) // 2)
        self.assertFalse(self.client.property(web, "HasManagedSave"))

        saved.write_bytes(whole)
        self.client.domain(shop, "Start")
        self.assertEqual(self.client.state(shop), ("running", "restored"))

    def test_before_there_is_anything_of_a_guest(self):
        web = self.define("web")
        self.client.domain(web, "Start")
        self.mark(web, "AutostartOnce")
        self.client.domain(web, "ManagedSave")
        self.go_down()
        saved = self.bus.directory / "state" / "virtbus" / "qemu" / "save" / "web.save"
        saved.write_bytes(b"not a guest")
        self.boot()
        self.wait_for_state(web, "shutoff", "failed")
        self.wait_for_end()
        self.assertEqual(saved.read_bytes(), b"not a guest")
        # It is removed by whoever wants the guest to start anew.
        self.client.domain(web, "Start", "{'force-boot': <true>}")
        self.assertEqual(self.client.state(web), ("running", "booted"))


class Interrupted(BootCase):
    """The daemon ends while there are guests still to be started: one has been, the delay before the next is endless."""

    def interrupted(self, how):
        web = self.define("a-web", Autostart=True)
        self.mark(web, "AutostartOnce")
        shop, mail = self.define("b-shop", AutostartOnce=True), self.define("c-mail", Autostart=True)
        self.go_down()
        self.settings("auto_start_delay = 1h\n")
        self.boot()
        self.wait_for_state(web, "running", "booted")
        wait_until(lambda: self.list.read_text().count("\n") == 2)
        self.assertFalse(self.mark_file("a-web").exists())
        self.assertTrue(self.mark_file("b-shop").exists())
        self.assertEqual(self.client.state(shop)[0], "shutoff")
        self.qemud.end(how)
        self.settings("")
        return web, shop, mail

    def test_the_rest_is_started_by_the_next(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(how):
                web, shop, mail = self.interrupted(how)
                pid = self.qemud.emulator(self.client_uuid("a-web"))
                self.qemud.start()
                self.wait_for_state(shop, "running", "booted")
                self.wait_for_state(mail, "running", "booted")
                self.wait_for_end()
                self.assertEqual(self.qemud.emulator(self.client.property(web, "UUID")), pid)
                for path in (web, shop, mail):
                    self.client.domain(path, "Destroy")
                    self.client.domain(path, "Undefine")

    def client_uuid(self, name):
        state = next(state for state in self.qemud.run.glob("*/state") if f'"{name}"' in state.read_text())
        return state.parent.name

    def test_power_lost_as_well(self):
        _web, shop, _mail = self.interrupted(signal.SIGKILL)
        self.qemud.start()
        self.wait_for_state(shop, "running", "booted")
        self.wait_for_end()

    def test_killed_while_it_starts_one(self):
        web = self.define("web", AutostartOnce=True)
        self.go_down()
        changes = self.changes()
        self.boot()
        wait_until(lambda: any(event[0] == "Id" for event in changes.of(web)))
        self.qemud.end(signal.SIGKILL)
        self.qemud.start()
        self.wait_for_state(web, "running", "booted")
        self.wait_for_end()
        self.assertFalse(self.client.property(web, "AutostartOnce"))

    def test_a_guest_that_twice_took_the_daemon_down_is_not_tried_again(self):
        web, mail = self.define("web", AutostartOnce=True), self.define("mail", Autostart=True)
        uuids = [self.client.property(path, "UUID") for path in (web, mail)]
        self.go_down()
        self.list.write_text(f"{uuids[0]} 2\n{uuids[1]} 1\nnobody 0\n")
        self.boot()
        self.wait_for_state(mail, "running", "booted")
        self.wait_for_state(web, "shutoff", "failed")
        self.wait_for_end()
        self.assertFalse(self.client.property(web, "AutostartOnce"))
        self.qemud.wait_logged("'nobody 0' is no guest to be started")

    def test_a_wish_that_is_taken_back_meanwhile(self):
        _web, shop, mail = self.interrupted(signal.SIGKILL)
        os.unlink(self.mark_file("b-shop"))
        self.qemud.start()
        self.wait_for_state(mail, "running", "booted")
        self.wait_for_end()
        self.assertEqual(self.client.state(shop)[0], "shutoff")


if __name__ == "__main__":
    unittest.main()
