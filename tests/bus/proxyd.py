# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtproxyd of a session, beside a virtqemud on a private bus, and python-libvirt on its socket."""

import os
import socket

import libvirt

from harness import Program, SharedCase
from qemud import QemuClient, Qemud

# What goes wrong is in the exceptions.
libvirt.registerErrorHandler(lambda *_: None, None)


class Proxyd(Program):
    name = "virtproxyd"

    def __init__(self, qemud, socket_name="virtqemud-sock"):
        super().__init__(qemud.bus, "proxy.log")
        self.socket = qemud.bus.directory / "libvirt" / socket_name
        self.connections = []
        self.launch([os.environ["VIRTPROXYD"], "--session", "--verbose", "--timeout=0"], self.listens, env=qemud.environment())

    def listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    @property
    def uri(self):
        return f"qemu:///session?socket={self.socket}"

    def connect(self, read_only=False):
        connection = libvirt.openReadOnly(self.uri) if read_only else libvirt.open(self.uri)
        self.connections.append(connection)
        return connection

    def close(self):
        for connection in self.connections:
            connection.close()
        super().close()


class ClassicCase(SharedCase):
    """Tests that share both daemons, a connection, and a client of the bus that sees the same."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.qemud = cls.share(Qemud(cls.bus))
        cls.proxyd = cls.share(Proxyd(cls.qemud))
        cls.client = cls.share(QemuClient(cls.bus))
        cls.connection = cls.proxyd.connect()

    def refused(self, code, message, function, *arguments):
        with self.assertRaises(libvirt.libvirtError) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.get_error_code(), code, caught.exception.get_error_message())
        self.assertIn(message, caught.exception.get_error_message())
        return caught.exception
