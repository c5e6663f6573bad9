# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that boot, for virtqemud of a session: the small one that tests/guest/make makes, under TCG; and its console."""

import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from gi.repository import Gio

from harness import DEADLINE, DOMAIN, SharedCase, options, variant, wait_until
from qemud import Changes, QemuClient, Qemud

# A guest whose processor is emulated, on a machine that does other things besides.
BOOT_DEADLINE = 180


class GuestClient(QemuClient):
    def send(self, path, interface, member, arguments=None, fds=(), **how):
        # The list of descriptors that GLib sends closes them.
        return super().send(path, interface, member, arguments, fds=[os.dup(fd) for fd in fds], **how)

    def open(self, path, member, what=None, choices="{}"):
        """Calls a method that gives a descriptor."""
        arguments = options(choices) if what is None else variant(f"('{what}', @a{{sv}} {choices})")
        return self.send(path, DOMAIN, member, arguments).descriptor()

    def send_file(self, path, interface, member, file, choices="{}"):
        """Calls a method that takes an open file and choices."""
        descriptor = file if isinstance(file, int) else file.fileno()
        return self.send(path, interface, member, variant(f"(handle 0, @a{{sv}} {choices})"), fds=[descriptor])


class Order(Changes, GuestClient):
    """Hears what is announced, and the replies that it gets itself: in the order in which the bus delivered them."""

    def _filter(self, connection, message, incoming):
        if incoming and message.get_message_type() in (Gio.DBusMessageType.METHOD_RETURN, Gio.DBusMessageType.ERROR):
            with self.lock:
                self.heard.append((None, "reply"))
            return message
        return super()._filter(connection, message, incoming)

    def events(self):
        with self.lock:
            return list(self.heard)

    def progress(self):
        """What jobs have told of how far they are."""
        return [value for _path, name, value in (event for event in self.events() if len(event) == 3) if name == "Progress"]


def emulators(directory):
    """The emulators (and TPM emulators) of guests whose log is in a folder: {pid: command line}."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(name in words[0] for name in ("qemu-system-", "swtpm")) and os.readlink(folder / "fd/1").startswith(f"{directory}/"):
                found[int(folder.name)] = words
        except OSError:
            continue
    return found


class GuestCase(SharedCase):
    """Tests that share a daemon and what setUpClass starts with it: guests take their time to boot."""

    @classmethod
    def setUpClass(cls):
        cls.guest = pathlib.Path(os.environ["TEST_GUEST"])
        # It finds everything there, mostly.
        subprocess.run([pathlib.Path(__file__).parents[1] / "guest/make", cls.guest], check=True)
        super().setUpClass()
        cls.addClassCleanup(cls.end_guests)
        cls.folder = cls.bus.directory
        cls.daemon = cls.share(Qemud(cls.bus))
        cls.root = cls.share(GuestClient(cls.bus))

    @classmethod
    def end_guests(cls):
        for pid in emulators(cls.folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not emulators(cls.folder))

    def order(self):
        return self.enter(Order(self.bus))

    @classmethod
    def emulator(cls, path):
        """The process of one guest."""
        return cls.daemon.emulator(cls.root.property(path, "UUID"))

    @classmethod
    def define(cls, name, cmdline="", devices="", disk=True, boot=True, loader="", memory=160, extra="", vcpus="<vcpu>1</vcpu>"):
        """A guest with Linux and its disk; or, with boot=False, a machine that finds nothing to boot, which is quicker to have."""
        disk_xml = ""
        if disk:
            image = cls.folder / f"{name}.qcow2"
            if not image.exists():
                shutil.copy(cls.guest / "disk.qcow2", image)
            disk_xml = (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{image}'/>"
                        "<target dev='vda' bus='virtio'/></disk>")
        kernel = (f"<kernel>{cls.guest}/vmlinuz</kernel><initrd>{cls.guest}/initrd.img</initrd>"
                  f"<cmdline>console=ttyS0 quiet {cmdline}</cmdline>") if boot else ""
        return cls.root.define(f"""
            <domain type='qemu'>
              <name>{name}</name>
              <memory unit='MiB'>{memory}</memory>
              {vcpus}
              <os><type arch='x86_64' machine='q35'>hvm</type>{loader}{kernel}</os>
              <features><acpi/></features>{extra}
              <devices>{disk_xml}<serial type='pty'/>{devices}</devices>
            </domain>""")


class Console:
    """The stream of a console, read as it comes."""

    def __init__(self, descriptor):
        self.socket = socket.socket(fileno=descriptor)
        self.socket.setblocking(False)
        self.text = ""
        self.ended = False

    def read(self, seconds):
        """What has come within this time, or "" when nothing more will."""
        if self.ended or not select.select([self.socket], [], [], seconds)[0]:
            return ""
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.ended = not piece
        self.text += piece.decode(errors="replace")
        return piece

    def wait(self, pattern, seconds=BOOT_DEADLINE):
        """Until what was not yet looked at has a match, which is returned."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            if self.ended or time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} on the console{' before its end' if self.ended else ''}: {self.text[-2000:]!r}")
            self.read(1)
        self.text = self.text[found.end():]
        return found

    def wait_end(self, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > end:
                raise AssertionError("the console did not end")
            self.read(1)

    def send(self, text):
        self.socket.setblocking(True)
        self.socket.sendall(text.encode())
        self.socket.setblocking(False)

    def log_in(self):
        self.wait("guest login: ")
        self.send("root\n")
        self.wait("# ")

    def run(self, command):
        """What a command prints, on a console with a shell."""
        self.send(f"{command}; echo done=$?\n")
        return self.wait(r"(?s)echo done=\$\?\r*\n(.*?)done=(\d+)\r*\n").group(1)

    def close(self):
        self.socket.close()
