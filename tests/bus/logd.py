# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlogd on a private bus, as root runs it, in a tree of its own; and what tests say to it."""

import os
import pathlib
import signal

from gi.repository import GLib

import harness
from harness import Client, has_owner, variant, wait_until

NAME = "org.virtbus.Log1"
ROOT = "/org/virtbus/Log1"
MANAGER = "org.virtbus.LogManager1"
UUID = "0d6f9b1c-5c1e-4b0a-9a55-6a3c9d3d0001"


class Logd(harness.Program):
    name = "virtlogd"
    # Tests kill it, too.
    good_ends = (0, -signal.SIGKILL)

    def __init__(self, bus, **settings):
        super().__init__(bus, "virtlogd.log")
        self.logs = bus.directory / "var" / "log" / "virtbus"
        self.records = bus.directory / "run" / "virtbus" / "log" / "open"
        self.settings(**settings)
        self.start()

    def settings(self, **settings):
        path = self.bus.directory / "etc" / "virtbus" / "log.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))

    def start(self, *options):
        command = [os.environ["VIRTLOGD"], "--verbose", *options]
        self.launch(command, lambda: has_owner(self.bus, NAME), env={**os.environ, **self.bus.environment()})

    def restart(self):
        """By exec; returns when the new run serves."""
        before = self.restarts()
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.restarts() > before)

    def restarts(self):
        return self.logged().count("has restarted\n")

    def file(self, *names):
        return self.logs.joinpath("qemu", *names)

    def all_of(self, *names):
        """All of a log that there is, from the oldest backup on."""
        newest = self.file(*names)
        backups = sorted(newest.parent.glob(f"{glob_escape(newest.name)}.*"), key=lambda path: -int(path.suffix[1:]))
        return b"".join(path.read_bytes() for path in [*backups, newest] if path.exists())

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))


def glob_escape(name):
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def named(domain, log="qemu", owner=0):
    return ("qemu", owner, domain, log)


class LogClient(Client):
    """Calls of LogManager1. A log is what named() gives, or the name of a domain of root's."""

    def send(self, path, interface, member, arguments=None, **how):
        how.setdefault("destination", NAME)
        return super().send(path, interface, member, arguments, **how)

    def of_log(self, member, log, *more, options="{}"):
        log = named(log) if isinstance(log, str) else log
        driver, owner, domain, name = (GLib.Variant(kind, value) for kind, value in zip("suss", log))
        extra = [GLib.Variant(kind, value) for kind, value in more]
        if member == "OpenLog":
            fields = [driver, owner, domain, extra[0], name]
        else:
            fields = [driver, owner, domain, name, *extra]
        return GLib.Variant.new_tuple(*fields, variant(f"@a{{sv}} {options}"))

    def open(self, log, options="{}", uuid=UUID):
        """The pipe's end, as a descriptor, and the path."""
        pending = self.send(ROOT, MANAGER, "OpenLog", self.of_log("OpenLog", log, ("s", uuid), options=options))
        fd = pending.descriptor()
        return fd, pathlib.Path(pending.result()[1])

    def open_fails(self, log, options="{}", uuid=UUID):
        return self.fails(ROOT, MANAGER, "OpenLog", self.of_log("OpenLog", log, ("s", uuid), options=options))

    def log(self, member, log, *more, options="{}"):
        return self.call(ROOT, MANAGER, member, self.of_log(member, log, *more, options=options))

    def log_fails(self, member, log, *more, options="{}"):
        return self.fails(ROOT, MANAGER, member, self.of_log(member, log, *more, options=options))

    def read(self, log, position=(0, 0), options="{}"):
        """Bytes, and the position after them."""
        data, *after = self.log("ReadLog", log, ("t", position[0]), ("t", position[1]), options=options)
        return bytes(data), tuple(after)

    def follow(self, log, position=(0, 0), options="{}"):
        return self.send(ROOT, MANAGER, "FollowLog",
                         self.of_log("FollowLog", log, ("t", position[0]), ("t", position[1]), options=options)).descriptor()

    def list(self, filters="{}"):
        return self.call(ROOT, MANAGER, "ListLogs", variant(f"(@a{{sv}} {filters},)"))[0]

    def open_logs(self):
        return self.get(ROOT, MANAGER, "OpenLogs")


class LogCase(harness.Case):
    start = False
    needs_users = True

    def setUp(self):
        super().setUp()
        self.logd = None
        self.root = self.enter(LogClient(self.bus))

    def begin(self, **settings):
        self.logd = self.enter(Logd(self.bus, **settings))

    def opened(self, log, options="{}", **how):
        """The pipe's end of a log that is opened; closed with the test."""
        fd, path = self.root.open(log, options, **how)
        file = os.fdopen(fd, "wb", buffering=0)
        self.addCleanup(file.close)
        return file, path
