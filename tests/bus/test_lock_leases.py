# SPDX-License-Identifier: LGPL-2.1-or-later
"""Leases: all or none, exclusive or shared, lost with their process; and beside QEMU's own locks."""

import hashlib
import os
import subprocess
import unittest

from gi.repository import GLib
from lockd import LockCase, fcntl, set_lock, wait_until

UUID = "97586ba9-df27-9459-c806-f016c8bbd224"


class Leases(LockCase):
    def setUp(self):
        super().setUp()
        self.run_daemon()

    def test_one_has_it_and_others_do_not(self):
        web, mail = self.guest(), self.guest()
        disk, other = self.image(), self.image("other.img")
        probe = self.probe(disk)
        self.assertTrue(probe.takes())
        self.acquire(web, disk, owner={"name": GLib.Variant("s", "web"), "uuid": GLib.Variant("s", UUID), "id": GLib.Variant("i", 6)})
        self.assertFalse(probe.takes())
        self.assertFalse(probe.takes(fcntl.F_RDLCK))
        name, message = self.acquire_refused(mail, other, disk)
        self.assertEqual(name, "ResourceBusy")
        self.assertIn(f"{disk}: the lease is held by domain 'web' (process {web.pid})", message)
        # None of them.
        self.assertEqual(self.names(pid=mail.pid), [])
        self.assertTrue(self.probe(other).takes())
        self.assertEqual(self.locks(), [{
            "name": disk, "kind": "image", "path": disk, "mode": "exclusive", "suspended": False, "owner-pid": web.pid,
            "owner-start-time": web.start_time, "owner-uid": os.geteuid(), "owner-name": "web", "owner-uuid": UUID, "owner-id": 6}])
        self.release(web)
        self.assertTrue(probe.takes())
        self.acquire(mail, other, disk)
        self.assertEqual(self.names(), sorted([disk, other]))

    def test_several_share_if_all_do(self):
        one, two, three = self.guest(), self.guest(), self.guest()
        disk = self.image()
        self.acquire(one, disk, shared=[disk])
        self.acquire(two, disk, shared=[disk])
        self.assertEqual(self.acquire_refused(three, disk)[0], "ResourceBusy")
        self.assertTrue(self.probe(disk).takes(fcntl.F_RDLCK))
        self.release(one, disk)
        self.assertEqual(self.acquire_refused(three, disk)[0], "ResourceBusy")
        self.release(two)
        self.acquire(three, disk)
        self.assertEqual(self.acquire_refused(one, disk, shared=[disk])[0], "ResourceBusy")

    def test_the_process_ends_and_its_leases_with_it(self):
        web, disk, shared = self.guest(), self.image(), self.image("shared.img")
        self.acquire(web, disk, shared, shared=[shared])
        probe = self.probe(disk)
        web.end()
        wait_until(probe.takes)
        wait_until(lambda: self.names() == [])
        self.assertEqual(self.acquire_refused(web, disk)[0], "InvalidArgument")

    def test_a_pidfd_proves_the_process(self):
        web, disk = self.guest(), self.image()
        pidfd = os.pidfd_open(web.pid)
        self.addCleanup(os.close, pidfd)
        self.call("Acquire", {"process": GLib.Variant("h", 1)}, {disk: 0}, {}, fds=[self.opened(disk), pidfd])
        self.assertEqual(self.locks()[0]["owner-pid"], web.pid)
        for bad in ({}, {"pid": GLib.Variant("u", web.pid)}, {**web.key, "start-time": GLib.Variant("t", 1)},
                    {**web.key, "process": GLib.Variant("h", 1)}, {"process": GLib.Variant("h", 0)},
                    {"pid": GLib.Variant("u", 0), "start-time": GLib.Variant("t", 1)}):
            self.assertEqual(self.refused("Acquire", bad, {disk: 0}, {}, fds=[self.opened(disk), pidfd])[0], "InvalidArgument")
        web.end()
        self.assertEqual(self.refused("Acquire", {"process": GLib.Variant("h", 1)}, {disk: 0}, {}, fds=[self.opened(disk), pidfd])[0], "InvalidArgument")

    def test_by_path_alone(self):
        web, disk = self.guest(), self.image()
        self.acquire(web, paths=[disk])
        self.assertFalse(self.probe(disk).takes())
        self.assertEqual(self.acquire_refused(web, paths=[disk + ".not"])[0], "NoFile")

    def test_the_same_twice(self):
        web, disk, link = self.guest(), self.image(), str(self.images / "link.img")
        os.link(disk, link)
        self.assertIn("it is the same file as", self.acquire_refused(web, disk, link)[1])
        self.assertEqual(self.acquire_refused(web, disk, paths=[disk])[0], "InvalidArgument")
        self.acquire(web, disk)
        self.assertEqual(self.acquire_refused(web, link)[0], "ResourceBusy")
        self.acquire_refused(web, disk)
        self.assertEqual(self.names(), [disk])

    def test_what_a_caller_does_with_its_descriptor_frees_nothing(self):
        web, disk = self.guest(), self.image()
        descriptor = os.open(disk, os.O_RDWR)
        self.call("Acquire", web.key, {disk: 0}, {}, fds=[descriptor])
        set_lock(descriptor, fcntl.F_UNLCK)
        os.close(descriptor)
        self.assertFalse(self.probe(disk).takes())

    def test_suspend_and_resume(self):
        web, mail = self.guest(), self.guest()
        disk, shared = self.image(), self.image("shared.img")
        self.acquire(web, disk, shared, shared=[shared])
        state = self.call("Suspend", web.key, {})[0]
        self.assertTrue(self.probe(disk).takes())
        self.assertEqual(self.names(suspended=True), sorted([disk, shared]))
        self.acquire(mail, disk)
        self.assertEqual(self.refused("Resume", web.key, {})[0], "ResourceBusy")
        self.assertEqual(self.names(pid=web.pid, suspended=True), sorted([disk, shared]))
        self.release(mail)
        self.call("Resume", web.key, {"state": GLib.Variant("s", state)})
        self.assertFalse(self.probe(disk).takes())
        self.assertEqual(self.names(suspended=True), [])
        self.assertEqual(self.refused("Resume", mail.key, {})[0], "NoLease")
        self.assertEqual(self.call("Suspend", mail.key, {})[0], "")
        # Handed over to another process, as to another host.
        state = self.call("Suspend", web.key, {})[0]
        self.assertEqual(self.acquire_refused(mail, disk, state=state)[0], "InvalidArgument")
        self.assertEqual(self.names(pid=mail.pid), [])
        wait_until(self.probe(disk).takes)
        self.acquire(mail, disk, shared, shared=[shared], state=state)
        for bad in ("{", "[]", '{"format": 2}', '{"format": 1, "leases": [1]}'):
            self.assertEqual(self.acquire_refused(mail, state=bad)[0], "InvalidArgument", bad)

    def test_transfer(self):
        web, next_ = self.guest(), self.guest()
        disk = self.image()
        probe = self.probe(disk)
        self.assertEqual(self.refused("Transfer", web.key, next_.key, {})[0], "NoLease")
        self.acquire(web, disk, owner={"name": GLib.Variant("s", "web")})
        self.call("Transfer", web.key, {**next_.key, "name": GLib.Variant("s", "next")}, {})
        self.assertEqual([(lock["owner-pid"], lock["owner-name"]) for lock in self.locks()], [(next_.pid, "next")])
        web.end()
        self.assertFalse(probe.takes())
        next_.end()
        wait_until(probe.takes)

    def test_qemu_is_not_in_the_way(self):
        web, disk = self.guest(), str(self.images / "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
        self.acquire(web, disk)
        # It reads, writes and locks by itself, whether we hold a lease or not.
        subprocess.run(["qemu-img", "info", disk], check=True, stdout=subprocess.DEVNULL)
        with subprocess.Popen(["qemu-io", "-f", "qcow2", disk], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            writer.stdin.write("write 0 64k\n")
            writer.stdin.flush()
            while "wrote" not in (line := writer.stdout.readline()):
                self.assertTrue(line)
            second = subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 64k", disk], capture_output=True, text=True)
            self.assertIn("lock", second.stderr)
            # And a lease can be taken on what QEMU has open.
            self.release(web)
            self.acquire(web, disk)
            self.assertEqual(self.names(), [disk])
            writer.stdin.close()
        self.assertFalse(self.probe(disk).takes())

    def test_lockspaces(self):
        web, mail = self.guest(), self.guest()
        folder = str(self.images / "space")
        lease, other = f"{folder}/one", f"{folder}/two"
        self.assertEqual(self.acquire_refused(web, leases=[lease])[0], "NoLockspace")
        self.assertEqual(self.refused("AddLockspace", folder, {"create": GLib.Variant("b", False)})[0], "NoFile")
        self.call("AddLockspace", folder, {})
        self.call("AddLockspace", folder, {})
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        self.assertEqual(self.acquire_refused(web, leases=[lease], create=False)[0], "NoFile")
        open(other, "w").close()
        self.acquire(web, leases=[lease, other])
        self.assertEqual(self.acquire_refused(mail, leases=[lease])[0], "ResourceBusy")
        self.assertIn({"kind": "lease", "path": folder, "leases": 2}, self.call("GetLockspaces")[0])
        self.assertEqual(self.refused("RemoveLockspace", folder, {})[0], "InvalidState")
        self.release(web)
        # Who made a file removes it; what was there stays.
        self.assertEqual(os.listdir(folder), ["two"])
        self.call("RemoveLockspace", folder, {})
        self.assertEqual(self.refused("RemoveLockspace", folder, {})[0], "NoLockspace")


class LeaseFiles(LockCase):
    """Leases on files that are named after the images."""

    settings = "file_lockspace_dir = {directory}/leases\n"

    def test_named_by_the_path(self):
        folder = self.bus.directory / "leases"
        folder.mkdir()
        self.run_daemon()
        web, mail, disk = self.guest(), self.guest(), self.image()
        file = folder / hashlib.sha256(disk.encode()).hexdigest()
        self.acquire(web, disk)
        self.assertEqual([(lock["kind"], lock["path"]) for lock in self.locks()], [("file", str(file))])
        self.assertTrue(self.probe(disk).takes())
        self.assertFalse(self.probe(file).takes())
        self.assertEqual(self.acquire_refused(mail, disk)[0], "ResourceBusy")
        # No image is needed for that, as on a host that has another path to it.
        self.assertEqual(self.acquire_refused(mail, paths=[disk])[0], "ResourceBusy")
        state = self.call("Suspend", web.key, {})[0]
        self.acquire(mail, disk, state=state)
        self.release(mail)
        self.assertFalse(file.exists())
        self.call("Resume", web.key, {})
        self.assertFalse(self.probe(file).takes())
        web.end()
        wait_until(lambda: not file.exists())

    def test_shared_ones_are_removed_by_the_last(self):
        folder = self.bus.directory / "leases"
        folder.mkdir()
        self.run_daemon()
        one, two, disk = self.guest(), self.guest(), self.image()
        for guest in (one, two):
            self.acquire(guest, disk, shared=[disk])
        self.release(one)
        self.assertEqual(len(os.listdir(folder)), 1)
        self.release(two)
        self.assertEqual(os.listdir(folder), [])

    def test_a_folder_that_is_not_there(self):
        self.run_daemon()
        web, disk = self.guest(), self.image()
        name, message = self.acquire_refused(web, disk)
        self.assertEqual(name, "NoFile")
        self.assertIn(disk, message)


if __name__ == "__main__":
    unittest.main()
