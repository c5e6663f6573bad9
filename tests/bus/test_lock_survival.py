# SPDX-License-Identifier: LGPL-2.1-or-later
"""Leases outlive their daemon: when it replaces itself, again and again; when it is killed; when its state is bad."""

import fcntl
import json
import os
import re
import signal
import threading
import unittest

from gi.repository import Gio, GLib
from lockd import LOCK_NAME, LOCK_ROOT, FLOCK, F_OFD_SETLK, LockCase, Manager, set_lock, wait_until

RESTARTS = int(os.environ.get("TEST_RESTARTS", "1000"))
BUS = "org.freedesktop.DBus"


class Hammer(threading.Thread):
    """Tries to take locks without a pause, as fast as the kernel answers; whatever it gets was free."""

    def __init__(self, paths):
        super().__init__()
        self.descriptors = {path: os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in paths}
        self.stop, self.got, self.tries = threading.Event(), [], 0
        self.start()

    def run(self):
        wish = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        while not self.stop.is_set():
            for path, descriptor in self.descriptors.items():
                self.tries += 1
                try:
                    fcntl.fcntl(descriptor, F_OFD_SETLK, wish)
                    self.got.append(path)
                    set_lock(descriptor, fcntl.F_UNLCK)
                except BlockingIOError:
                    pass

    def close(self):
        self.stop.set()
        self.join()
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])


class Survival(LockCase):
    def setUp(self):
        super().setUp()
        self.log_offset = self.n_restarts = 0

    def restarts(self):
        """How often it has; reads on in the log, by whole lines."""
        with open(self.bus.directory / "virtlockd.log", "rb") as log:
            log.seek(self.log_offset)
            more = log.read()
        more = more[:more.rfind(b"\n") + 1]
        self.log_offset += len(more)
        self.n_restarts += more.count(b"has restarted\n")
        return self.n_restarts

    def restart(self):
        before = self.restarts()
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.restarts() > before)

    def owner(self):
        return self.client_.call("/org/freedesktop/DBus", BUS, "GetNameOwner", GLib.Variant("(s)", (LOCK_NAME,)), destination=BUS)[0]

    def held_by_guests(self):
        """Some of each kind; gives the guests and the locked files."""
        web, mail = self.guest(), self.guest()
        folder = str(self.images / "space")
        disk, shared = self.image("web.img"), self.image("shared.img")
        self.call("AddLockspace", folder, {})
        self.acquire(web, disk, shared, shared=[shared], leases=[f"{folder}/web"],
                     owner={"name": GLib.Variant("s", "web"), "uuid": GLib.Variant("s", "97586ba9-df27-9459-c806-f016c8bbd224")})
        self.acquire(mail, shared, shared=[shared], leases=[f"{folder}/mail"])
        return [web, mail], [disk, shared, f"{folder}/web", f"{folder}/mail"]

    def check_lives_on(self, guests, files, locks):
        self.assertEqual(self.locks(), locks)
        for path in files:
            self.assertFalse(self.probe(path).takes(), path)
        # Leases can be taken and given up as ever, and are lost with their process.
        self.acquire(guests[1], self.image("more.img"))
        self.release(guests[1], str(self.images / "more.img"))
        guests[0].end()
        wait_until(lambda: self.probe(files[0]).takes())
        self.assertFalse(self.probe(files[1]).takes())
        guests[1].end()
        wait_until(lambda: self.names() == [])
        wait_until(lambda: self.probe(files[1]).takes())

    def test_no_lock_is_free_in_any_of_many_restarts(self):
        self.run_daemon()
        guests, files = self.held_by_guests()
        locks, owner = self.locks(), self.owner()
        descriptors = len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))
        hammer = self.enter(Hammer(files))
        stop, failures, calls = threading.Event(), [], [0]

        def call():
            client = self.client()
            guest, disk = self.guest(), self.image("own.img")
            while not stop.is_set():
                try:
                    self.call_with(client, "Acquire", guest.key, {disk: 0}, {}, fds=[os.open(disk, os.O_RDWR | os.O_CLOEXEC)])
                    self.call_with(client, "Release", guest.key, [], {})
                    calls[0] += 1
                except Exception as error:
                    failures.append(str(error))
                    return

        caller = threading.Thread(target=call)
        caller.start()
        for _ in range(RESTARTS):
            self.restart()
        stop.set()
        caller.join()
        hammer.close()
        self.assertEqual(failures, [])
        self.assertEqual(hammer.got, [])
        self.assertGreater(hammer.tries, 0)
        self.assertGreater(calls[0], 0)
        self.assertEqual(self.owner(), owner)
        wait_until(lambda: self.locks() == locks)
        # Nothing piles up.
        wait_until(lambda: len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")) <= descriptors + 2)
        self.check_lives_on(guests, files, locks)

    def call_with(self, client, member, *arguments, fds=()):
        """Synchronous, from a thread of its own."""
        signature = {"Acquire": "(a{sv}a{sh}a{sv})", "Release": "(a{sv}asa{sv})"}[member]
        client.connection.call_with_unix_fd_list_sync(
            LOCK_NAME, LOCK_ROOT, "org.virtbus.LockManager1", member, GLib.Variant(signature, arguments), None, 0, 60000,
            Gio.UnixFDList.new_from_array(list(fds)) if fds else None, None)

    def test_killed_under_a_service_manager(self):
        manager = self.enter(Manager(self.bus))
        self.daemon = self.enter(manager.start())
        guests, files = self.held_by_guests()
        locks = self.locks()
        wait_until(lambda: manager.count() == 5)
        hammer = self.enter(Hammer(files))
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM):
            self.daemon.process.send_signal(number)
            self.daemon.process.wait()
            self.daemon = self.enter(manager.start())
            self.assertEqual(self.locks(), locks)
        self.assertEqual(hammer.got, [])
        hammer.close()
        wait_until(lambda: manager.count() == 5)
        # Over both, one after the other.
        self.restart()
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon = self.enter(manager.start())
        self.check_lives_on(guests, files, locks)
        wait_until(lambda: manager.names() == [])

    def test_a_guest_that_ends_while_nobody_looks(self):
        manager = self.enter(Manager(self.bus))
        self.daemon = self.enter(manager.start())
        guests, files = self.held_by_guests()
        wait_until(lambda: manager.count() == 5)
        self.daemon.kill()
        guests[0].end()
        self.daemon = self.enter(manager.start())
        self.assertEqual({lock["owner-pid"] for lock in self.locks()}, {guests[1].pid})
        wait_until(lambda: manager.count() == 2)
        self.assertTrue(self.probe(files[0]).takes())

    def test_what_the_manager_kept_and_nobody_knows_is_let_go(self):
        manager = self.enter(Manager(self.bus))
        disk = self.image()
        descriptor = os.open(disk, os.O_RDWR)
        set_lock(descriptor)
        manager.add("7", descriptor)
        self.daemon = self.enter(manager.start())
        wait_until(lambda: manager.names() == [])
        self.assertTrue(self.probe(disk).takes())

    def test_killed_without_a_service_manager(self):
        """What was not taken meanwhile is taken again; what was is told."""
        self.run_daemon()
        guests, files = self.held_by_guests()
        locks = self.locks()
        self.daemon.kill()
        self.assertTrue(self.probe(files[0]).takes())
        self.run_daemon()
        self.check_lives_on(guests, files, locks)
        guests, files = self.held_by_guests()
        self.daemon.kill()
        thief = self.probe(files[0])
        self.assertTrue(set_lock(thief.descriptor))
        os.rename(files[1], files[1] + ".old")
        self.image("shared.img")
        self.run_daemon()
        self.assertEqual(self.names(), sorted(files[2:]))
        self.daemon.wait_logged(re.escape(f"{files[0]}: the lease of domain 'web' (process {guests[0].pid}) is lost: another has taken it"))
        self.daemon.wait_logged(re.escape(f"{files[1]}: the lease of domain 'web' (process {guests[0].pid}) is lost"))

    def test_a_bad_state_is_refused_and_nothing_dropped(self):
        """A process that has what virtlockd would have at the moment of its exec becomes virtlockd, with a state file that is wrong in one way."""
        self.run_daemon()
        guests, files = self.held_by_guests()
        locks = self.locks()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.process.wait()
        manager = self.bus.directory / "run/virtbus/lock/owners"
        records = [json.loads(path.read_text()) for path in manager.iterdir()]
        self.assertEqual(len(records), 2)
        for bad in BAD:
            with self.subTest(bad):
                self.daemon = self.enter(Becoming(self.bus, records, bad))
                self.daemon.wait_logged("refused: ")
                self.assertEqual(self.locks(), locks)
                self.assertNotIn("was not kept", self.daemon.logged())
                self.daemon.process.send_signal(signal.SIGTERM)
                self.daemon.process.wait()
                self.log_end = os.truncate(self.bus.directory / "virtlockd.log", 0)
        self.daemon = self.enter(Becoming(self.bus, records, "nothing"))
        self.assertNotIn("refused", self.daemon.logged())
        self.check_lives_on(guests, files, locks)


BAD = ["magic", "start", "format", "cut", "empty", "array", "closed", "other file", "twice", "number", "negative", "huge", "standard", "string fd", "no owner",
       "no resources", "kind", "slot", "slot twice", "owner twice", "flags", "missing", "name", "deep"]

BECOME = r"""
import fcntl, json, os, struct, sys
records, bad, program, state = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
def stamp(fd):
    st = os.fstat(fd)
    return "%d:%d:%o" % (st.st_dev, st.st_ino, st.st_mode & 0o170000)
root = {"format": 1, "defaultLockspace": {"resources": []}, "lockspaces": [], "owners": []}
spaces = {}
for record in records:
    root["owners"].append({key: value for key, value in record.items() if key.startswith("owner")})
    for lease in record["leases"]:
        fd = os.open(lease["path"], os.O_RDWR)
        os.set_inheritable(fd, True)
        kind = fcntl.F_RDLCK if lease["flags"] else fcntl.F_WRLCK
        fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", kind, 0, 0, 1, 0))
        entry = dict(lease, fd=fd, fdFile=stamp(fd), owners=[record["ownerPid"]], ownerStartTime=record["ownerStartTime"])
        if lease["kind"] == "lease":
            spaces.setdefault(os.path.dirname(lease["path"]), []).append(entry)
        else:
            root["defaultLockspace"]["resources"].append(entry)
root["lockspaces"] = [{"directory": directory, "resources": entries} for directory, entries in spaces.items()]
with open("/proc/self/stat") as file:
    root["startTime"] = int(file.read().rsplit(")", 1)[1].split()[19])
root["magic"] = str(os.getpid())
one, two = root["defaultLockspace"]["resources"][:2]
edits = {
    "nothing": lambda: None,
    "magic": lambda: root.update(magic="1"),
    "start": lambda: root.update(startTime=1),
    "format": lambda: root.update(format=99),
    "closed": lambda: one.update(fd=999),
    "other file": lambda: one.update(fd=two["fd"]),
    "twice": lambda: two.update(one),
    "number": lambda: one.update(fd=1.5),
    "negative": lambda: one.update(fd=-1),
    "huge": lambda: one.update(fd=1 << 63),
    "standard": lambda: one.update(fd=2, fdFile=stamp(2)),
    "string fd": lambda: one.update(fd=str(one["fd"])),
    "no owner": lambda: one.update(owners=[1]),
    "no resources": lambda: root["defaultLockspace"].pop("resources"),
    "kind": lambda: one.update(kind="door"),
    "slot": lambda: one.update(slot=1 << 20),
    "slot twice": lambda: one.update(slot=two["slot"]),
    "owner twice": lambda: root["owners"].append(root["owners"][0]),
    "flags": lambda: one.update(flags=2),
    "missing": lambda: one.pop("path"),
    "name": lambda: one.update(path="../x"),
    "deep": lambda: root.update(deep=json.loads("[" * 40 + "]" * 40)),
}
edits.get(bad, lambda: None)()
text = json.dumps(root)
text = {"cut": text[:len(text) // 2], "empty": "", "array": "[]"}.get(bad, text)
with open(state, "w") as file:
    file.write(text)
os.environ["VIRTBUS_RESTART_PID"] = str(os.getpid())
os.execv(program, [program, "--verbose"])
"""


class Becoming:
    def __new__(cls, bus, records, bad):
        from lockd import Program, Virtlockd, has_owner

        daemon = Virtlockd.__new__(Virtlockd)
        Program.__init__(daemon, bus, "virtlockd.log")
        state = bus.directory / "run/virtbus/lock/restart-exec.json"
        daemon.launch(["/usr/bin/python3", "-c", BECOME, json.dumps(records), bad, os.environ["VIRTLOCKD"], str(state)],
                      lambda: has_owner(bus, LOCK_NAME), env={**os.environ, **bus.environment()})
        return daemon


if __name__ == "__main__":
    unittest.main()
