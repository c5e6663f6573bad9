# SPDX-License-Identifier: LGPL-2.1-or-later
"""Leases on what guests write to: virtqemud and virtlockd on one bus, with real emulators."""

import json
import os
import pathlib
import signal
import subprocess
import unittest

from gi.repository import GLib
from harness import DAEMON, DOMAIN, ERROR, options, wait_until
from lockd import LOCK, LOCK_NAME, LOCK_ROOT, Probe, Virtlockd, set_lock
from qemud import ROOT, QemuCase, xml

LOCKD = {"lock_manager": "lockd"}


class Lockd(Virtlockd):
    """virtlockd of a session; killed in some tests."""

    good_ends = (0, -signal.SIGKILL)

    def __init__(self, bus):
        super().__init__(bus, "--session", XDG_CONFIG_HOME=str(bus.directory / "config"), XDG_STATE_HOME=str(bus.directory / "state"),
                         XDG_CACHE_HOME=str(bus.directory / "cache"))


class LocksCase(QemuCase):
    locks = LOCKD
    lockd = True

    def setUp(self):
        super().setUp()
        if self.lockd:
            self.virtlockd = self.enter(Lockd(self.bus))

    def image(self, name, size=1 << 20):
        path = self.bus.directory / name
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(size)
        return path

    def disk(self, name, target="vda", more=""):
        return (f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{self.image(name)}'/>"
                f"<target dev='{target}' bus='virtio'/>{more}</disk>")

    def guest(self, name, *disks, more=""):
        """A definition with disks, each "NAME" of an image or XML of its own."""
        parts = [disk if disk.startswith("<") else self.disk(disk, f"vd{chr(ord('a') + i)}") for i, disk in enumerate(disks)]
        return self.client.define(xml(name, devices="".join(parts), more=more))

    def start_guest(self, name, *disks, **how):
        path = self.guest(name, *disks, **how)
        self.client.domain(path, "Start")
        return path

    def pid(self, path):
        return self.qemud.emulator(self.client.property(path, "UUID"))

    def leases(self, path):
        """What a domain says that it has."""
        return self.client.domain(path, "GetLeases")

    def devices(self, path):
        return {lease["device"]: lease["mode"] for lease in self.leases(path)[1]}

    def held(self, **filters):
        """What virtlockd says that is held, as {(file, mode): names of the guests}."""
        filters = {key: GLib.Variant("b" if isinstance(value, bool) else "s", value) for key, value in filters.items()}
        locks = self.client.call(LOCK_ROOT, LOCK, "GetLocks", GLib.Variant("(a{sv})", (filters,)), destination=LOCK_NAME)[0]
        found = {}
        for lock in locks:
            found.setdefault((os.path.basename(lock["name"]), lock["mode"]), []).append(lock["owner-name"])
        return {what: sorted(names) for what, names in found.items()}

    def refused(self, path, member="Start"):
        failure = self.client.refused(path, member)
        return failure.name.removeprefix(ERROR), failure.message

    def reload(self, **locks):
        self.qemud.set_locks(**locks)
        self.client.call(ROOT, DAEMON, "Reload", options())

    def is_free(self, name):
        """Whether another program gets the lock; as another host would see it."""
        probe = Probe(self.image(name))
        try:
            return probe.takes()
        finally:
            probe.close()


class Start(LocksCase):
    def test_a_guest_has_what_it_writes_to_and_says_so(self):
        changes = self.changes()
        path = self.guest("web", "web.img", self.disk("base.img", "vdb", "<readonly/>"), self.disk("shared.img", "vdc", "<shareable/>"))
        self.assertEqual(self.client.property(path, "LeaseState"), "none")
        self.assertEqual(self.leases(path), ({}, []))
        self.client.domain(path, "Start")

        self.assertEqual(self.client.property(path, "LeaseState"), "held")
        self.assertIn(("LeaseState", "held"), changes.of(path))
        holder, leases = self.leases(path)
        self.assertEqual((holder["manager"], holder["state"], holder["pid"]), ("lockd", "held", self.pid(path)))
        self.assertEqual(leases, [
            {"device": "disk vda", "name": str(self.image("web.img")), "mode": "exclusive"},
            {"device": "disk vdc", "name": str(self.image("shared.img")), "mode": "shared"}])
        self.assertEqual(self.held(), {("web.img", "exclusive"): ["web"], ("shared.img", "shared"): ["web"]})
        self.assertFalse(self.is_free("web.img"))
        self.assertTrue(self.is_free("base.img"))

        self.client.domain(path, "Destroy")
        self.assertIn(("LeaseState", "none"), changes.of(path))
        self.assertEqual(self.leases(path), ({}, []))
        self.assertEqual(self.held(), {})
        self.assertTrue(self.is_free("web.img"))

    def test_who_comes_second_is_told_who_has_it_and_gets_nothing(self):
        web = self.start_guest("web", "web.img")
        mail = self.guest("mail", "mail.img", "web.img")
        name, message = self.refused(mail)
        self.assertEqual(name, "ResourceBusy")
        self.assertRegex(message, rf"domain 'mail': cannot start: disk vdb: {self.image('web.img')}: .*domain 'web' \(process {self.pid(web)}\)")
        self.assertEqual(self.client.state(mail), ("shutoff", "failed"))
        self.assertEqual(self.client.property(mail, "LeaseState"), "none")
        self.assertEqual(self.held(), {("web.img", "exclusive"): ["web"]})
        self.assertTrue(self.is_free("mail.img"))

        # Who hears of the end may start at once.
        self.client.domain(web, "Destroy")
        self.client.domain(mail, "Start")

    def test_another_program_that_has_it_is_respected(self):
        probe = self.enter(Probe(self.image("web.img")))
        path = self.guest("web", "web.img")
        self.assertTrue(set_lock(probe.descriptor))
        self.assertEqual(self.refused(path)[0], "ResourceBusy")
        probe.close()
        probe.descriptor = os.open("/dev/null", os.O_RDONLY)
        self.client.domain(path, "Start")

    def test_those_who_share_start_and_others_do_not(self):
        shared = self.disk("both.img", more="<shareable/>")
        web, mail = self.start_guest("web", shared), self.start_guest("mail", shared)
        self.assertEqual(self.held(), {("both.img", "shared"): ["mail", "web"]})
        greedy = self.guest("greedy", "both.img")
        self.assertEqual(self.refused(greedy)[0], "ResourceBusy")
        for path in (web, mail):
            self.client.domain(path, "Destroy")
        self.client.domain(greedy, "Start")

    def test_as_many_disks_as_a_message_does_not_take(self):
        disks = [self.disk(f"{i}.img", f"vd{chr(ord('a') + i)}") for i in range(20)]
        web = self.start_guest("web", *disks)
        self.assertEqual(len(self.held()), 20)
        self.client.domain(web, "Destroy")

        # One of the second call is another's: then those of the first are given back.
        last = self.start_guest("last", self.disk("19.img"))
        self.assertEqual(self.refused(web)[0], "ResourceBusy")
        self.assertEqual(self.held(), {("19.img", "exclusive"): ["last"]})
        self.client.domain(last, "Destroy")
        self.client.domain(web, "Start")
        self.assertEqual(len(self.leases(web)[1]), 20)

    def test_one_image_in_two_drives_is_seen_at_once(self):
        path = self.guest("web", "web.img", "web.img")
        self.assertEqual(self.refused(path), (
            "UnsupportedConfiguration", f"domain 'web': cannot start: disk vda and disk vdb are the same image, '{self.image('web.img')}'"))
        both = self.disk("both.img", "vda", "<shareable/>") + self.disk("both.img", "vdb", "<shareable/>")
        self.start_guest("both", both)
        self.assertEqual(self.held(), {("both.img", "shared"): ["both"]})

    def test_an_image_by_any_path_is_the_same_image(self):
        self.start_guest("web", "web.img")
        (self.bus.directory / "link.img").symlink_to("web.img")
        os.link(self.image("web.img"), self.bus.directory / "hard.img")
        for name in ("link.img", "hard.img"):
            self.assertEqual(self.refused(self.guest(name.replace(".", "-"), name))[0], "ResourceBusy", name)

    def test_qemus_own_locks_are_in_nobodys_way(self):
        web = self.start_guest("web", "web.img")
        image = str(self.image("web.img"))
        looked = subprocess.run(["qemu-img", "info", "--force-share", image], capture_output=True, text=True, check=False)
        self.assertEqual(looked.returncode, 0, looked.stderr)
        written = subprocess.run(["qemu-img", "resize", "-f", "raw", image, "2M"], capture_output=True, text=True, check=False)
        self.assertIn("lock", written.stderr)
        self.assertNotEqual(written.returncode, 0)
        self.client.domain(web, "Destroy")
        subprocess.run(["qemu-img", "resize", "-f", "raw", image, "2M"], capture_output=True, check=True)


class End(LocksCase):
    def test_whoever_ends_a_guest_it_has_nothing_any_more(self):
        path = self.start_guest("web", "web.img")
        changes = self.changes()
        os.kill(self.pid(path), signal.SIGKILL)
        changes.wait_for(path, "State", "shutoff")
        self.assertEqual(self.held(), {})
        self.client.domain(path, "Start")
        self.assertEqual(self.held(), {("web.img", "exclusive"): ["web"]})

    def test_a_guest_that_dies_unseen_has_nothing_any_more(self):
        path = self.start_guest("web", "web.img")
        pid = self.pid(path)
        self.qemud.end(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.is_free("web.img"))
        self.qemud.start()
        wait_until(lambda: self.client.state(path)[0] == "shutoff")
        self.assertEqual(self.client.property(path, "LeaseState"), "none")
        self.client.domain(path, "Start")

    def test_a_saved_guest_has_nothing_and_a_restored_one_has_it_again(self):
        path = self.start_guest("web", "web.img")
        self.client.domain(path, "ManagedSave")
        self.assertTrue(self.is_free("web.img"))
        self.start_guest("mail", "web.img")
        self.assertEqual(self.refused(path)[0], "ResourceBusy")
        self.assertTrue(self.client.property(path, "HasManagedSave"))
        self.client.domain(self.client.find("mail"), "Destroy")
        self.client.domain(path, "Start")
        self.assertEqual(self.devices(path), {"disk vda": "exclusive"})


class Restart(LocksCase):
    def test_leases_outlive_the_daemon_and_nobody_is_asked(self):
        path = self.start_guest("web", "web.img", self.disk("shared.img", "vdb", "<shareable/>"))
        before = self.leases(path)
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.qemud.restart(how)
            self.assertEqual(self.client.property(path, "LeaseState"), "held")
            self.assertEqual(self.leases(path), before)
            self.assertEqual(self.held(), {("web.img", "exclusive"): ["web"], ("shared.img", "shared"): ["web"]})
        # Also if there is nobody who could be asked, and another manager is set by now.
        self.virtlockd.kill()
        self.reload(lock_manager="none")
        self.qemud.restart()
        self.assertEqual(self.leases(path), before)
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.property(path, "LeaseState"), "none")

    def test_a_state_file_without_leases_is_of_an_older_daemon(self):
        path = self.start_guest("web", "web.img")
        state = self.qemud.run / self.client.property(path, "UUID") / "state"
        self.qemud.end(signal.SIGKILL)
        known = json.loads(state.read_text())
        del known["leases"]
        state.write_text(json.dumps(known))
        self.qemud.start()
        self.assertEqual(self.client.state(path)[0], "running")
        self.assertEqual(self.leases(path), ({}, []))


class NoManager(LocksCase):
    lockd = False

    def test_without_it_no_guest_starts_and_the_setting_is_named(self):
        path = self.guest("web", "web.img")
        name, message = self.refused(path)
        self.assertEqual(name, "OperationFailed")
        self.assertRegex(message, r"domain 'web': cannot start: virtlockd, which grants leases on disks, cannot be reached \(.*\); lock_manager = none in qemu.conf does without")
        self.assertEqual(list(self.qemud.run.glob("*/state")), [])
        # What needs no lease, does.
        self.start_guest("mail", self.disk("base.img", more="<readonly/>"))

    def test_guests_go_on_without_it(self):
        virtlockd = self.enter(Lockd(self.bus))
        path = self.start_guest("web", "web.img")
        virtlockd.kill()
        self.assertEqual(self.client.state(path)[0], "running")
        self.client.domain(path, "Suspend")
        self.client.domain(path, "Resume")
        self.client.domain(path, "Destroy")
        self.assertEqual(self.client.state(path), ("shutoff", "destroyed"))

    def test_a_manager_that_does_not_exist(self):
        self.reload(lock_manager="paper")
        name, message = self.refused(self.guest("web", "web.img"))
        self.assertEqual(name, "UnsupportedConfiguration")
        self.assertIn("domain 'web': cannot start: lock_manager = paper in qemu.conf", message)

    def test_sanlock_is_not_for_sessions(self):
        self.reload(lock_manager="sanlock")
        name, message = self.refused(self.guest("web", "web.img"))
        self.assertEqual(name, "UnsupportedConfiguration")
        self.assertIn("lock_manager = sanlock in qemu.conf", message)

    def test_none_asks_nobody(self):
        self.reload(lock_manager="none")
        path = self.start_guest("web", "web.img")
        self.assertEqual(self.client.property(path, "LeaseState"), "none")
        self.assertTrue(self.is_free("web.img"))


class Pause(LocksCase):
    def test_a_paused_guest_keeps_what_it_has(self):
        path = self.start_guest("web", "web.img")
        self.client.domain(path, "Suspend")
        self.assertEqual(self.client.property(path, "LeaseState"), "held")
        self.assertFalse(self.is_free("web.img"))
        self.client.domain(path, "Resume")

    def test_where_the_settings_say_so_it_gives_it_up_and_takes_it_again(self):
        self.reload(**LOCKD, release_leases_on_pause="yes")
        path = self.start_guest("web", "web.img")
        self.client.domain(path, "Suspend")
        self.assertEqual(self.client.property(path, "LeaseState"), "suspended")
        self.assertTrue(self.is_free("web.img"))

        # The daemon may be another by then.
        self.qemud.restart(signal.SIGKILL)
        self.assertEqual(self.client.property(path, "LeaseState"), "suspended")
        wait_until(lambda: self.client.domain(path, "GetControlState")[0] == "idle")
        probe = self.enter(Probe(self.image("web.img")))
        self.assertTrue(set_lock(probe.descriptor))
        name, message = self.refused(path, "Resume")
        self.assertEqual(name, "ResourceBusy")
        self.assertTrue(message.startswith(f"domain 'web': cannot resume: disk vda: {self.image('web.img')}: "), message)
        self.assertEqual(self.client.state(path)[0], "paused")

        set_lock(probe.descriptor, 2)  # F_UNLCK
        self.client.domain(path, "Resume")
        self.assertEqual(self.client.state(path)[0], "running")
        self.assertEqual(self.client.property(path, "LeaseState"), "held")
        self.assertFalse(self.is_free("web.img"))

    def go_on(self, path):
        """Past the daemon."""
        self.client.call(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", ('{"execute": "cont"}', {})))

    def test_one_that_goes_on_by_itself_takes_it_again_or_is_paused(self):
        self.reload(**LOCKD, release_leases_on_pause="yes")
        path = self.start_guest("web", "web.img")
        self.client.domain(path, "Suspend")
        self.assertTrue(self.is_free("web.img"))
        self.go_on(path)
        wait_until(lambda: self.client.property(path, "LeaseState") == "held")
        self.assertEqual(self.client.state(path)[0], "running")
        self.assertFalse(self.is_free("web.img"))

        self.client.domain(path, "Suspend")
        probe = self.enter(Probe(self.image("web.img")))
        self.assertTrue(set_lock(probe.descriptor))
        self.go_on(path)
        wait_until(lambda: "it went on by itself, and is paused again" in self.qemud.logged())
        wait_until(lambda: self.client.state(path)[0] == "paused")
        self.assertEqual(self.client.property(path, "LeaseState"), "suspended")
        set_lock(probe.descriptor, 2)  # F_UNLCK
        self.client.domain(path, "Resume")
        self.assertEqual(self.client.property(path, "LeaseState"), "held")

    def test_what_was_given_up_is_gone_with_the_guest(self):
        self.reload(**LOCKD, release_leases_on_pause="yes")
        path = self.start_guest("web", "web.img")
        self.client.domain(path, "Suspend")
        self.client.domain(path, "Destroy")
        self.assertEqual(self.held(), {})
        self.client.domain(path, "Start")


class Settings(LocksCase):
    lease = "<lease><lockspace>cluster</lockspace><key>web</key><target path='{path}'/></lease>"

    def folder(self):
        folder = self.bus.directory / "leases"
        folder.mkdir(exist_ok=True)
        return folder

    def test_without_leases_on_disks_a_definition_must_name_one(self):
        self.reload(**LOCKD, auto_disk_leases="no")
        path = self.guest("web", "web.img")
        self.assertEqual(self.refused(path), (
            "UnsupportedConfiguration", "domain 'web': cannot start: it writes to disks and its definition names no <lease>, as "
            "require_lease_for_disks in qemu.conf wants"))
        self.start_guest("reader", self.disk("base.img", more="<readonly/>"))

        web = self.start_guest("leased", "web.img", self.lease.format(path=self.folder()))
        self.assertEqual(self.leases(web)[1], [
            {"device": "lease web", "name": "web", "mode": "exclusive", "path": str(self.folder()), "offset": 0, "lockspace": "cluster"}])
        self.assertTrue(self.is_free("web.img"))
        self.assertEqual(self.held(), {("web", "exclusive"): ["leased"]})

        self.client.domain(web, "Destroy")
        self.reload(**LOCKD, auto_disk_leases="no", require_lease_for_disks="no")
        self.client.domain(path, "Start")
        self.assertEqual(self.client.property(path, "LeaseState"), "none")

    def test_a_lease_keeps_others_with_the_same_one_out(self):
        lease = self.lease.format(path=self.folder())
        web = self.start_guest("web", lease)
        mail = self.guest("mail", "mail.img", lease)
        name, message = self.refused(mail)
        self.assertEqual(name, "ResourceBusy")
        self.assertIn("domain 'mail': cannot start: lease web: ", message)
        self.assertIn("domain 'web'", message)
        self.assertTrue(self.is_free("mail.img"))
        self.client.domain(web, "Destroy")
        self.client.domain(mail, "Start")

    def test_leases_that_cannot_be(self):
        missing = self.guest("missing", self.lease.format(path="/no/such/folder"))
        self.assertEqual(self.refused(missing)[0], "NoFile")
        offset = self.guest("offset", self.lease.format(path=self.folder()).replace("'/></lease>", "' offset='512'/></lease>"))
        self.assertEqual(self.refused(offset)[0], "UnsupportedConfiguration")
        # What leads elsewhere is no name, and is never asked for.
        for key in ("../web", "a/b", ".."):
            text = xml("hostile", devices=self.lease.format(path=self.folder()).replace("<key>web", f"<key>{key}"))
            self.assertEqual(self.client.define_fails(text).name, ERROR + "InvalidXML")
        self.assertEqual(os.listdir(self.folder()), [])


if __name__ == "__main__":
    unittest.main()
