# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtproxyd of a session on a private bus, beside virtqemud, and classic clients of it: python3-libvirt in this process, with its event loop in a thread."""

import threading

import libvirt

import classic
from proxyd import Proxyd
from qemud import QemuCase

libvirt.virEventRegisterDefaultImpl()


def turn():
    while True:
        libvirt.virEventRunDefaultImpl()


threading.Thread(target=turn, daemon=True).start()


class ProxiedCase(QemuCase):
    """A test with both daemons, and a connection."""

    def setUp(self):
        super().setUp()
        self.proxyd = self.enter(Proxyd(self.qemud, "libvirt-sock"))
        self.addCleanup(self.show_log)
        self.connection = self.connect()

    def show_log(self):
        failed = getattr(self._outcome, "errors", None) or getattr(getattr(self._outcome, "result", None), "errors", None)
        if failed:
            print(self.proxyd.logged())

    def connect(self):
        return self.proxyd.connect()

    def virsh(self, *words):
        return ["virsh", "--connect", self.proxyd.uri, *words]

    def raw(self):
        return self.enter(Listener(self.proxyd.socket, is_open=True, uri="qemu:///session"))


class Listener(classic.Raw):
    """Keeps what comes unasked: events, as (procedure, body), and packets of streams, as (serial, status, body)."""

    def __init__(self, *arguments, **how):
        self.messages, self.stream = [], []
        super().__init__(*arguments, **how)

    def receive(self):
        reply = super().receive()
        if reply.kind == classic.MESSAGE:
            self.messages.append((reply.procedure, reply.body))
        elif reply.kind == classic.STREAM:
            self.stream.append((reply.serial, reply.status, reply.body))
        return reply

    def wait_messages(self, n):
        while len(self.messages) < n:
            self.receive()
        return self.messages

    def give(self, procedure, serial, status, body=b"", kind=classic.STREAM):
        """A packet of a stream."""
        self.send(classic.packet(body, procedure=procedure, kind=kind, serial=serial, status=status))


def domain(name, uuid, number=-1):
    """As it stands in arguments; uuid as python3-libvirt's UUID() gives it."""
    return classic.string(name) + bytes(uuid) + classic.uint(number)
