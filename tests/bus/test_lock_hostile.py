# SPDX-License-Identifier: LGPL-2.1-or-later
"""What no honest caller sends to virtlockd: each time one clear error, nothing held, nothing left open."""

import os
import shutil
import socket
import subprocess
import unittest

from gi.repository import GLib
from harness import wait_until
from lockd import Guest, LockCase

LONG = 100000


class Hostile(LockCase):
    def setUp(self):
        super().setUp()
        self.run_daemon()
        self.web, self.disk = self.guest(), self.image()
        # Whatever a first call leads to is there before anything is counted. (A thread may have something open a little longer than it has answered, so
        # this may be one too many; not more, however many calls there are.)
        self.acquire(self.web, self.disk)
        self.release(self.web)
        self.before = self.open_files()

    def open_files(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def check_refused(self, refusal, name, word):
        self.assertEqual(refusal[0], name, refusal)
        self.assertIn(word, refusal[1])
        self.assertEqual(self.names(), [])
        # What threads had open may be closed a little later than they have answered.
        wait_until(lambda: self.open_files() <= self.before)
        self.assertTrue(self.probe(self.disk).takes())

    def give(self, descriptor, name=None, **options):
        """Acquire, of something that is open; the other image, which is good, shall not be held either."""
        self.addCleanup(os.close, descriptor)
        (owner, images, choices), descriptors = self.ask(self.web, [self.disk], **options)
        return self.refused("Acquire", owner, {**images, "/srv/strange" if name is None else name: len(descriptors)}, choices, fds=[*descriptors, descriptor])

    def test_descriptors_that_are_no_image(self):
        fifo = str(self.images / "fifo")
        os.mkfifo(fifo)
        for descriptor in (os.open("/dev/null", os.O_RDWR), os.open(self.images, os.O_RDONLY), os.open(fifo, os.O_RDWR),
                           socket.socket(socket.AF_UNIX).detach(), os.pidfd_open(os.getpid()), os.eventfd(0), os.pipe()[0]):
            self.check_refused(self.give(descriptor), "InvalidArgument", "/srv/strange: neither a regular file nor a block device")

    def test_descriptors_that_prove_nothing(self):
        """Who names a file without opening it has not shown that it may."""
        self.check_refused(self.give(os.open(self.image("other.img"), os.O_PATH)), "InvalidArgument", "/srv/strange: its descriptor is not open for reading")
        fifo = str(self.images / "fifo")
        os.mkfifo(fifo)
        self.check_refused(self.give(os.open(fifo, os.O_PATH)), "InvalidArgument", "/srv/strange")

    def test_one_that_cannot_be_opened_for_writing(self):
        program = str(self.images / "program")
        shutil.copy("/bin/sleep", program)
        with subprocess.Popen([program, "infinity"]) as running:
            # Until it has been executed it may be written.
            wait_until(lambda: os.readlink(f"/proc/{running.pid}/exe") == program)
            refusal = self.give(os.open(program, os.O_RDONLY))
            running.kill()
        self.check_refused(refusal, "StorageFailed", "/srv/strange: cannot be locked: Text file busy")

    def test_a_device_that_is_not_there(self):
        node = str(self.images / "node")
        try:
            os.mknod(node, 0o600 | 0o060000, os.makedev(4095, 77))
        except PermissionError:
            self.skipTest("no device nodes can be made here")
        # Which error depends on whether the file system lets devices be opened.
        name, message = self.acquire_refused(self.web, paths=[self.disk, node])
        self.assertIn(name, ("StorageFailed", "NoPermission"))
        self.check_refused((name, message), name, node)

    def test_descriptors_that_are_not_there(self):
        for images, descriptors in (({self.disk: 1}, 1), ({self.disk: 0}, 0), ({self.disk: 0, "/srv/more": 5}, 1)):
            name, message = self.refused("Acquire", self.web.key, images, {}, fds=[self.opened(self.disk)] * descriptors)
            self.check_refused((name, message), name, "")
        # One for two names, and some for none.
        self.check_refused(self.refused("Acquire", self.web.key, {self.disk: 0, "/srv/same": 0}, {}, fds=[self.opened(self.disk)]),
                           "ResourceBusy", "the same file as")
        self.call("Acquire", self.web.key, {self.disk: 3}, {}, fds=[self.opened(self.disk)] * 8)
        wait_until(lambda: self.open_files() <= self.before + 2)  # the lease's, and the process's
        self.release(self.web)
        wait_until(lambda: self.open_files() <= self.before)

    def test_names(self):
        bad = ["", "/", ".", "..", "disk.img", "/srv/../disk.img", "/srv/./disk.img", "//srv", "/srv/", "/srv/" + "x" * 256, "/" + "x/" * (LONG // 2), "x" * LONG]
        for name in bad:
            for refusal in (self.give(self.opened_twice(), name=name), self.acquire_refused(self.web, paths=[name]),
                            self.acquire_refused(self.web, leases=[name])):
                self.check_refused(refusal, "InvalidArgument", "Acquire")
                self.assertLess(len(refusal[1]), 1024)
            self.check_refused(self.refused("AddLockspace", name, {}), "InvalidArgument", "")
        self.check_refused(self.acquire_refused(self.web, self.disk, shared=["/srv/another"]), "InvalidArgument", "shared")
        self.check_refused(self.acquire_refused(self.web, self.disk, state="x" * LONG), "InvalidArgument", "")
        for key, kind, value in (("name", "s", "x" * LONG), ("uuid", "s", "x" * LONG), ("uuid", "s", "web"), ("surprise", "s", "web"), ("id", "s", "6")):
            refusal = self.acquire_refused(self.web, self.disk, owner={key: GLib.Variant(kind, value)})
            self.check_refused(refusal, refusal[0], key)
            self.assertLess(len(refusal[1]), 1024)
        # A newline, or what looks like a format, is a name like any other.
        odd = self.image("%s%n\n.img")
        self.acquire(self.web, odd)
        self.assertEqual(self.names(), [odd])

    def opened_twice(self):
        return os.open(self.image("twice.img"), os.O_RDWR)

    def test_processes(self):
        gone = Guest()
        gone.end()
        for pid, start_time in ((0, 1), (0xffffffff, 1), (0x80000000, 1), (0x7fffffff, 1), (self.web.pid, 0), (self.web.pid, self.web.start_time + 1),
                                (gone.pid, gone.start_time)):
            owner = {"pid": GLib.Variant("u", pid), "start-time": GLib.Variant("t", start_time)}
            for arguments in ((owner, {self.disk: 0}, {}),):
                self.check_refused(self.refused("Acquire", *arguments, fds=[self.opened(self.disk)]), "InvalidArgument", "process")
        for member, arguments in (("Release", ([], {})), ("Suspend", ({},)), ("Resume", ({},))):
            self.check_refused(self.refused(member, {"pid": GLib.Variant("u", 0), "start-time": GLib.Variant("t", 1)}, *arguments), "InvalidArgument", member)
        # Of another user's, whoever that is: it is said whose it is, and not taken from the caller.
        if os.geteuid() == 0:
            other = subprocess.Popen(["sleep", "infinity"], user=65534, group=65534)
            self.addCleanup(other.wait)
            self.addCleanup(other.kill)
            with open(f"/proc/{other.pid}/stat", encoding="ascii") as file:
                start_time = int(file.read().rsplit(")", 1)[1].split()[19])
            self.call("Acquire", {"pid": GLib.Variant("u", other.pid), "start-time": GLib.Variant("t", start_time)}, {}, {"paths": GLib.Variant("as", [self.disk])})
            self.assertEqual([lock["owner-uid"] for lock in self.locks()], [65534])


if __name__ == "__main__":
    unittest.main()
