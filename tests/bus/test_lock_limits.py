# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many leases there can be: at each limit all goes well, one past it is refused with a word on which limit that is, and everybody else is served."""

import os
import resource
import tempfile
import unittest

from gi.repository import GLib
from harness import PROPERTIES, Failure
from lockd import LOCK, LOCK_NAME, LOCK_ROOT, LockCase, wait_until

# As in service/lock/manager.h and the contract.
LEASES, PER_OWNER, PER_CALL, LOCKSPACES = 16384, 1024, 256, 256


def halves(names):
    middle = len(names) // 2
    return names[:middle], names[middle:]


def ending(pending):
    """The error's name; empty if there is none."""
    try:
        pending.result()
        return ""
    except Failure as failure:
        return failure.name.removeprefix("org.virtbus.Error.")


class Limits(LockCase):
    descriptors = LEASES + 256  # that the daemon may have

    def setUp(self):
        super().setUp()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < self.descriptors:
            self.skipTest(f"only {hard} files can be open here, and {self.descriptors} are needed")
        folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(folder.cleanup)
        self.quick = folder.name
        self.run_daemon()
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_NOFILE, (self.descriptors, hard))

    def images_of(self, prefix, count):
        """In memory, where files are quickly made and gone."""
        paths = [f"{self.quick}/{prefix}{number}.img" for number in range(count)]
        for path in paths:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return paths

    def fill(self, guest, paths):
        for first in range(0, len(paths), PER_CALL):
            self.acquire(guest, paths=paths[first:first + PER_CALL])

    def held(self, what="Leases"):
        return self.client_.call(LOCK_ROOT, PROPERTIES, "Get", GLib.Variant("(ss)", (LOCK, what)), destination=LOCK_NAME)[0]

    def check_serves(self):
        """Somebody else can have a lease, and give it back."""
        other = self.guest()
        disk = self.image("other.img")
        before = self.held()
        self.acquire(other, disk)
        self.assertEqual(self.held(), before + 1)
        self.assertFalse(self.probe(disk).takes())
        self.release(other)
        self.assertEqual(self.held(), before)

    def test_of_one_call(self):
        web, paths = self.guest(), self.images_of("web", PER_CALL + 1)
        # However they are asked for.
        some, others = halves(paths)
        folder = f"{self.images}/space"
        self.call("AddLockspace", folder, {})
        for options in ({"paths": paths}, {"paths": some, "leases": [f"{folder}/{number}" for number in range(len(others))]}):
            name, message = self.acquire_refused(web, **options)
            # The bus's own check of an argument, or the daemon's.
            self.assertIn(name, ("LimitExceeded", "InvalidArgument"))
            self.assertIn(f"{PER_CALL}", message)
            self.assertEqual(self.held(), 0)
        self.acquire(web, paths=paths[:PER_CALL])
        self.assertEqual(self.held(), PER_CALL)
        self.check_serves()

    def test_of_one_process(self):
        web, paths = self.guest(), self.images_of("web", PER_OWNER + 1)
        self.fill(web, paths[:-1])
        name, message = self.acquire_refused(web, paths=paths[-1:])
        self.assertEqual(name, "LimitExceeded")
        self.assertIn(f"one process can have {PER_OWNER} leases", message)
        self.assertEqual(self.held(), PER_OWNER)
        self.assertTrue(self.probe(paths[-1]).takes())
        self.check_serves()
        # Nor can they be given to one who has some.
        mail = self.guest()
        self.acquire(mail, paths=paths[-1:])
        name, message = self.refused("Transfer", mail.key, web.key, {})
        self.assertEqual(name, "LimitExceeded")
        self.assertIn(f"{PER_OWNER}", message)
        self.assertEqual(self.names(pid=mail.pid), paths[-1:])
        # Suspended ones count, too.
        self.call("Suspend", web.key, {})
        self.assertEqual(self.acquire_refused(web, paths=[self.image("more.img")])[0], "LimitExceeded")
        self.release(web, paths[0])
        self.acquire(web, paths=[self.image("more.img")])

    def test_of_one_process_by_calls_side_by_side(self):
        web, paths = self.guest(), self.images_of("web", 2 * PER_OWNER)
        pending = []
        for first in range(0, len(paths), PER_CALL):
            arguments, _ = self.ask(web, [], paths=paths[first:first + PER_CALL])
            pending.append(self.send("Acquire", *arguments))
        self.assertEqual(sorted(ending(call) for call in pending), PER_OWNER // PER_CALL * [""] + PER_OWNER // PER_CALL * ["LimitExceeded"])
        self.assertEqual(self.held(), PER_OWNER)
        # The next process can read what this one has written down of it.
        self.daemon.kill()
        self.run_daemon()
        self.assertEqual(self.held(), PER_OWNER)
        web.end()
        wait_until(lambda: self.held() == 0)

    def test_of_all(self):
        guests = [self.guest() for _ in range(LEASES // PER_OWNER)]
        for number, guest in enumerate(guests):
            self.fill(guest, self.images_of(f"{number}-", PER_OWNER))
        self.assertEqual(self.held(), LEASES)
        late, disk = self.guest(), self.image()
        name, message = self.acquire_refused(late, disk)
        self.assertEqual(name, "LimitExceeded")
        self.assertIn(f"{LEASES} leases are held, 1 more are asked for, and there can be {LEASES} in all", message)
        self.assertTrue(self.probe(disk).takes())
        # All or none, also of what there is still room for.
        self.release(guests[0], f"{self.quick}/0-0.img")
        other = self.image("other.img")
        self.assertEqual(self.acquire_refused(late, disk, other)[0], "LimitExceeded")
        self.assertEqual(self.held(), LEASES - 1)
        self.acquire(late, disk)
        # Room is made by the end of a guest, when all that it had has been given back.
        owners = self.held("Owners")
        guests[1].end()
        wait_until(lambda: self.held("Owners") == owners - 1)
        self.assertEqual(self.held(), LEASES - PER_OWNER)
        self.check_serves()

    def test_of_lockspaces(self):
        for number in range(LOCKSPACES):
            self.call("AddLockspace", f"{self.images}/space{number}", {})
        name, message = self.refused("AddLockspace", f"{self.images}/late", {})
        self.assertEqual(name, "LimitExceeded")
        self.assertIn(f"{LOCKSPACES}", message)
        self.assertFalse(os.path.exists(f"{self.images}/late"))
        self.call("AddLockspace", f"{self.images}/space7", {})
        self.acquire(self.guest(), leases=[f"{self.images}/space255/one"])
        self.call("RemoveLockspace", f"{self.images}/space0", {})
        self.call("AddLockspace", f"{self.images}/late", {})


class FewDescriptors(Limits):
    """A limit of the system's, that comes before ours."""

    descriptors = 64
    test_of_one_call = test_of_one_process = test_of_one_process_by_calls_side_by_side = test_of_all = test_of_lockspaces = None

    def test_of_open_files(self):
        web, paths = self.guest(), self.images_of("web", 2 * self.descriptors)
        before = os.listdir(f"/proc/{self.daemon.process.pid}/fd")
        name, message = self.acquire_refused(web, paths=paths)
        self.assertEqual(name, "StorageFailed")
        self.assertIn("Too many open files", message)
        self.assertEqual(self.held(), 0)
        self.assertEqual(len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")), len(before))
        self.assertTrue(all(self.probe(path).takes() for path in paths))
        self.check_serves()


if __name__ == "__main__":
    unittest.main()
