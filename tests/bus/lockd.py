# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlockd on a private bus, processes that hold leases, and a look at locks from outside."""

import array
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import termios
import threading

from gi.repository import GLib
from harness import Case, Client, Program, has_owner, variant, wait_until

LOCK_NAME = "org.virtbus.Lock1"
LOCK_ROOT = "/org/virtbus/Lock1"
LOCK = "org.virtbus.LockManager1"

# struct flock of 64-bit Linux, and what the Python of the distribution has no name for.
FLOCK = struct.Struct("hhqqi4x")
F_OFD_GETLK, F_OFD_SETLK = 36, 37


def set_lock(descriptor, kind=fcntl.F_WRLCK, start=0):
    """Tries to lock a byte, as another program would; whether that went well."""
    try:
        fcntl.fcntl(descriptor, F_OFD_SETLK, FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


class Probe:
    """Another program that would have the lock, if it were ever free."""

    def __init__(self, path):
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def takes(self, kind=fcntl.F_WRLCK):
        taken = set_lock(self.descriptor, kind)
        if taken:
            set_lock(self.descriptor, fcntl.F_UNLCK)
        return taken

    def close(self):
        os.close(self.descriptor)


class Guest:
    """A process that leases are taken for; it does nothing."""

    def __init__(self):
        self.process = subprocess.Popen(["sleep", "infinity"])
        self.pid = self.process.pid
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            self.start_time = int(file.read().rsplit(")", 1)[1].split()[19])

    @property
    def key(self):
        return {"pid": GLib.Variant("u", self.pid), "start-time": GLib.Variant("t", self.start_time)}

    def end(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.end()


class Virtlockd(Program):
    name = "virtlockd"

    def __init__(self, bus, *arguments, **environment):
        super().__init__(bus, "virtlockd.log")
        self.launch([os.environ["VIRTLOCKD"], "--verbose", *arguments], lambda: has_owner(bus, LOCK_NAME),
                    env={**os.environ, **bus.environment(), **environment})

    def kill(self):
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not has_owner(self.bus, LOCK_NAME))

    def close(self):
        if self.process.poll() is not None:
            self.log.close()
            return
        super().close()


class Manager:
    """What the service manager does for the daemon: takes descriptors, and gives them to the next one."""

    def __init__(self, bus):
        self.bus = bus
        self.path = str(bus.directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(self.path)
        self.store = []  # (name, descriptor)
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            data, controls, _flags, _address = self.socket.recvmsg(4096, socket.CMSG_SPACE(4 * 16))
            if data == b"end":
                return
            descriptors = array.array("i")
            for _level, _kind, content in controls:
                descriptors.frombytes(content[:len(content) - len(content) % 4])
            said = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self.lock:
                if "FDSTOREREMOVE" in said:
                    for name, descriptor in [entry for entry in self.store if entry[0] == said["FDNAME"]]:
                        os.close(descriptor)
                        self.store.remove((name, descriptor))
                elif "FDSTORE" in said:
                    for descriptor in descriptors:
                        self.add(said["FDNAME"], descriptor)

    def add(self, name, descriptor):
        """As systemd: what is there already under any name is not kept twice. Two descriptors of one description show the same file."""
        self.store.append((name, descriptor))

    def names(self):
        with self.lock:
            return sorted({name for name, _ in self.store})

    def count(self):
        """How many descriptors are kept: as they are, or waiting in the queues of sockets, each with a name of 16 bytes."""
        number, size = 0, array.array("i", [0])
        with self.lock:
            for name, descriptor in self.store:
                if name.startswith("bundle"):
                    fcntl.ioctl(descriptor, termios.FIONREAD, size)
                number += size[0] / 16 if name.startswith("bundle") else 1
        return number

    def environment(self):
        return {"NOTIFY_SOCKET": self.path}

    def start(self, *arguments):
        """The next process of the service, with all that is kept."""
        with self.lock:
            kept = list(self.store)
        return Kept(self, kept, *arguments)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", self.path)
        self.thread.join()
        self.socket.close()
        for _name, descriptor in self.store:
            os.close(descriptor)


class Kept(Virtlockd):
    def __init__(self, manager, kept, *arguments):
        Program.__init__(self, manager.bus, "virtlockd.log")
        names = ":".join(name for name, _ in kept)
        # The descriptors must be 3, 4, …; the number of the process is known only to itself.
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100 + len(kept)) for _, descriptor in kept]
        script = "".join(f"exec {3 + i}<&{descriptor} {descriptor}<&-; " for i, descriptor in enumerate(moved))
        script += 'LISTEN_PID=$$ exec "$@"'
        self.launch(["/bin/bash", "-c", script, "bash", os.environ["VIRTLOCKD"], "--verbose", *arguments],
                    lambda: has_owner(manager.bus, LOCK_NAME), pass_fds=moved,
                    env={**os.environ, **manager.bus.environment(), **manager.environment(),
                         **({"LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": names} if kept else {})})
        for descriptor in moved:
            os.close(descriptor)


class LockCase(Case):
    start = False
    settings = ""

    def setUp(self):
        super().setUp()
        (self.bus.directory / "etc/virtbus").mkdir(parents=True)
        (self.bus.directory / "etc/virtbus/lock.conf").write_text(self.settings.format(directory=self.bus.directory))
        self.images = pathlib.Path(tempfile.mkdtemp(dir=self.bus.directory))
        self.client_ = self.client()

    def run_daemon(self, *arguments, **environment):
        self.daemon = self.enter(Virtlockd(self.bus, *arguments, **environment))
        return self.daemon

    def guest(self):
        return self.enter(Guest())

    def image(self, name="disk.img", size=1 << 20):
        path = self.images / name
        with open(path, "wb") as file:
            file.truncate(size)
        return str(path)

    def probe(self, path):
        return self.enter(Probe(path))

    def opened(self, path, flags=os.O_RDWR):
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def send(self, member, *arguments, fds=(), client=None):
        signatures = {"Acquire": "(a{sv}a{sh}a{sv})", "Release": "(a{sv}asa{sv})", "Suspend": "(a{sv}a{sv})", "Resume": "(a{sv}a{sv})",
                      "Transfer": "(a{sv}a{sv}a{sv})", "AddLockspace": "(sa{sv})", "RemoveLockspace": "(sa{sv})", "GetLocks": "(a{sv})",
                      "GetLockspaces": "()"}
        return (client or self.client_).send(LOCK_ROOT, LOCK, member, GLib.Variant(signatures[member], arguments), fds=[os.dup(fd) for fd in fds],
                                              destination=LOCK_NAME)

    def call(self, member, *arguments, **how):
        return self.send(member, *arguments, **how).result()

    def refused(self, member, *arguments, **how):
        """The error's name below org.virtbus.Error, and its message."""
        try:
            result = self.call(member, *arguments, **how)
        except Exception as failure:
            return failure.name.removeprefix("org.virtbus.Error."), failure.message
        raise AssertionError(f"{member} succeeded with {result}")

    def ask(self, guest, images, **options):
        """What Acquire takes for images (by descriptor), and the options."""
        descriptors = [self.opened(path, os.O_RDONLY if path in options.get("shared", ()) else os.O_RDWR) for path in images]
        owner = {**guest.key, **options.pop("owner", {})}
        types = {"paths": "as", "leases": "as", "shared": "as", "create": "b", "state": "s"}
        return (owner, {path: i for i, path in enumerate(images)}, {key: GLib.Variant(types[key], value) for key, value in options.items()}), descriptors

    def acquire(self, guest, *images, **options):
        arguments, descriptors = self.ask(guest, images, **options)
        return self.call("Acquire", *arguments, fds=descriptors)

    def acquire_refused(self, guest, *images, **options):
        arguments, descriptors = self.ask(guest, images, **options)
        return self.refused("Acquire", *arguments, fds=descriptors)

    def release(self, guest, *names):
        self.call("Release", guest.key, names, {})

    def locks(self, **filters):
        types = {"uuid": "s", "pid": "u", "name": "s", "suspended": "b"}
        return sorted(self.call("GetLocks", {key: GLib.Variant(types[key], value) for key, value in filters.items()})[0],
                      key=lambda lock: (lock["name"], lock["owner-pid"]))

    def names(self, **filters):
        return [lock["name"] for lock in self.locks(**filters)]


__all__ = ["Client", "Guest", "Kept", "LOCK", "LOCK_NAME", "LOCK_ROOT", "LockCase", "Manager", "Probe", "Virtlockd", "fcntl", "set_lock", "variant", "wait_until"]
