# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consoles, channels, pictures and displays of real guests, as classic clients open them. No operating system is needed: what a guest's kernel would write
to its serial port, the emulator's human monitor writes."""

import json
import os
import pty
import select
import socket
import struct
import subprocess
import unittest
import zlib

import libvirt

import classic
from gi.repository import GLib
from harness import DEADLINE, DOMAIN, wait_until
from proxied import ProxiedCase, domain
from qemud import xml

DEVICES = """
    <serial type='pty'/>
    <serial type='null'/>
    <channel type='unix'><target type='virtio' name='org.example.first'/></channel>
    <graphics type='vnc' passwd='geheim'/>
    <video><model type='vga'/></video>
"""
OPEN_CONSOLE, SCREENSHOT = 201, 211


class StreamCase(ProxiedCase):
    def setUp(self):
        super().setUp()
        self.domain = self.connection.createXML(xml("web", devices=DEVICES))
        self.path = self.client.find("web")

    def hmp(self, line):
        request = json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": line}})
        return json.loads(self.client.call(self.path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (request, {})))[0])["return"]

    def guest_says(self, text):
        for byte in text:
            self.hmp(f"o /b 0x3f8 {byte:#x}")

    def guest_hears(self):
        """A byte, if there is one."""
        if not int(self.hmp("i /b 0x3fd").rsplit("=", 1)[1], 16) & 1:
            return b""
        return bytes([int(self.hmp("i /b 0x3f8").rsplit("=", 1)[1], 16)])

    def hear(self, size):
        heard = b""

        def complete():
            nonlocal heard
            heard += self.guest_hears()
            return len(heard) == size
        wait_until(complete)
        return heard

    def code(self, function, *arguments):
        with self.assertRaises(libvirt.libvirtError) as refused:
            function(*arguments)
        return refused.exception.get_error_code()


class Consoles(StreamCase):
    def console(self, name=None, flags=0, connection=None):
        stream = (connection or self.connection).newStream(0)
        domain = (connection or self.connection).lookupByName("web")
        domain.openConsole(name, stream, flags)
        return stream

    def receive(self, stream, size):
        data = b""
        while len(data) < size:
            piece = stream.recv(size - len(data))
            if not piece:
                break
            data += piece
        return data

    def test_both_ways(self):
        stream = self.console()
        self.guest_says(b"login: ")
        text = b""
        while b"login: " not in text:
            text += stream.recv(1024)
        stream.send(b"root")
        self.assertEqual(self.hear(4), b"root")
        stream.finish()
        # Finished, it is free for the next.
        self.console("serial0").abort()

    def test_one_at_a_time(self):
        first = self.console()
        with self.assertRaisesRegex(libvirt.libvirtError, "Active console session exists for this domain") as refused:
            self.console()
        self.assertEqual(refused.exception.get_error_code(), libvirt.VIR_ERR_OPERATION_FAILED)
        second = self.console(flags=libvirt.VIR_DOMAIN_CONSOLE_FORCE, connection=self.connect())
        # The first hears that it has ended, and may still say good-bye.
        while first.recv(1024):
            pass
        first.finish()
        second.send(b"x")
        self.assertEqual(self.hear(1), b"x")

    def test_the_end_of_a_guest(self):
        stream = self.console()
        self.domain.destroy()
        while stream.recv(1024):
            pass
        stream.finish()

    def test_a_client_that_leaves(self):
        connection = libvirt.open(self.proxyd.uri)
        self.console(connection=connection)
        connection.close()
        wait_until(self.can_open)

    def can_open(self):
        try:
            self.console().abort()
        except libvirt.libvirtError:
            return False
        return True

    def test_what_there_is_not(self):
        self.assertEqual(self.code(self.console, "serial7"), libvirt.VIR_ERR_INVALID_ARG)
        self.assertEqual(self.code(self.console, None, 16), libvirt.VIR_ERR_INVALID_ARG)

    def test_a_channel(self):
        stream = self.connection.newStream(0)
        self.domain.openChannel("org.example.first", stream, 0)
        self.assertEqual(self.code(self.domain.openChannel, "org.example.first", self.connection.newStream(0), 0), libvirt.VIR_ERR_OPERATION_FAILED)
        stream.abort()

    def test_read_only_connections_open_nothing(self):
        connection = libvirt.openReadOnly(self.proxyd.uri)
        self.addCleanup(connection.close)
        self.assertEqual(self.code(self.console, None, 0, connection), libvirt.VIR_ERR_OPERATION_DENIED)

    def test_virsh_console(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp("virsh", self.virsh("console", "web"))
        self.addCleanup(os.close, terminal)
        seen = b""

        def read():
            nonlocal seen
            while select.select([terminal], [], [], 0)[0]:
                seen += os.read(terminal, 65536)
            return seen

        def is_greeted():
            # virsh says that it is connected before it is, and what a guest says while nobody listens is lost.
            self.guest_says(b"guest login: ")
            return b"guest login: " in read()
        wait_until(is_greeted)
        self.assertIn(b"Escape character is", seen)
        os.write(terminal, b"root")
        self.assertEqual(self.hear(4), b"root")
        os.write(terminal, b"\x1d")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


class Pictures(StreamCase):
    def test_a_screenshot(self):
        stream = self.connection.newStream(0)
        self.assertEqual(self.domain.screenshot(stream, 0), "image/png")
        data = bytearray()
        stream.recvAll(lambda _stream, piece, sink: sink.extend(piece), data)
        stream.finish()
        self.assert_picture(bytes(data))
        self.assertNotEqual(self.code(self.domain.screenshot, self.connection.newStream(0), 5), libvirt.VIR_ERR_OK)

    def assert_picture(self, data):
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        self.assertGreaterEqual(width, 320)
        self.assertGreaterEqual(height, 200)
        self.assertEqual(data[-12:], b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND")))

    def test_virsh_screenshot(self):
        file = self.bus.directory / "picture.png"
        done = subprocess.run(self.virsh("screenshot", "web", str(file)), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("with type of image/png", done.stdout)
        self.assert_picture(file.read_bytes())


class Displays(StreamCase):
    def read(self, viewer, size):
        data = b""
        while len(data) < size:
            data += viewer.recv(size - len(data)) or self.fail("the display has gone")
        return data

    def types(self, viewer):
        viewer.settimeout(DEADLINE)
        self.assertEqual(self.read(viewer, 12), b"RFB 003.008\n")
        viewer.sendall(b"RFB 003.008\n")
        return set(self.read(viewer, self.read(viewer, 1)[0]))

    def test_a_descriptor_from_the_driver(self):
        with socket.socket(fileno=self.domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)) as viewer:
            self.assertEqual(self.types(viewer), {1})
        with socket.socket(fileno=self.domain.openGraphicsFD(0, 0)) as viewer:
            self.assertEqual(self.types(viewer), {2}, "without the flag, the password is asked for")

    def test_a_descriptor_of_the_clients(self):
        viewer, given = socket.socketpair()
        with viewer, given:
            self.domain.openGraphics(0, given.fileno(), libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
            given.close()
            self.assertEqual(self.types(viewer), {1})

    def test_what_is_none(self):
        with open("/dev/null", "rb") as null:
            self.assertEqual(self.code(self.domain.openGraphics, 0, null.fileno(), 0), libvirt.VIR_ERR_INVALID_ARG)
        self.assertNotEqual(self.code(self.domain.openGraphicsFD, 1, 0), libvirt.VIR_ERR_OK)


class Hostile(StreamCase):
    """What libvirt's own client would not send."""

    def open_console(self, raw):
        raw.call(OPEN_CONSOLE, domain("web", self.domain.UUID()) + struct.pack(">II", 0, 0))
        return raw.serial

    def assert_lives(self, raw):
        self.assertIn(b"qemu:///session", raw.call(110))  # connect_get_uri

    def test_packets_of_no_stream(self):
        raw = self.raw()
        for kind in (classic.STREAM, 6):
            for status in (classic.OK, classic.ERROR, classic.CONTINUE, 77):
                raw.give(OPEN_CONSOLE, 4711, status, b"unasked", kind)
        self.assert_lives(raw)

    def test_statuses_and_holes_that_are_none(self):
        raw = self.raw()
        for kind, status, body in ((classic.STREAM, 77, b"x"), (6, classic.CONTINUE, struct.pack(">qI", 1 << 62, 0)), (6, classic.CONTINUE, b""), (6, classic.OK, b"")):
            serial = self.open_console(raw)
            raw.stream.clear()
            raw.give(OPEN_CONSOLE, serial, status, body, kind)
            while not any(said == classic.ERROR for _serial, said, _body in raw.stream):
                raw.receive()
            # It is over: this is too late, and harmless.
            raw.give(OPEN_CONSOLE, serial, classic.CONTINUE, b"more")
            raw.give(OPEN_CONSOLE, serial, classic.OK)
            self.assert_lives(raw)

    def test_too_many_streams(self):
        raw = self.raw()
        picture = domain("web", self.domain.UUID()) + struct.pack(">II", 0, 0)
        for _ in range(64):
            raw.call(SCREENSHOT, picture)
        self.assertIn("64 streams", raw.fails(SCREENSHOT, picture).message)
        self.assert_lives(raw)

    def test_leaving_in_the_midst(self):
        for _ in range(20):
            raw = self.raw()
            raw.call(SCREENSHOT, domain("web", self.domain.UUID()) + struct.pack(">II", 0, 0))
            raw.close()
        self.assert_lives(self.raw())

    def test_one_who_writes_what_nobody_reads_hurts_only_herself(self):
        raw = self.raw()
        serial = self.open_console(raw)
        raw.socket.settimeout(5)
        sent = 0
        try:
            while sent < 64 << 20:  # the guest reads nothing of it
                raw.give(OPEN_CONSOLE, serial, classic.CONTINUE, b"x" * 65536)
                sent += 65536
        except TimeoutError:
            pass
        self.assertLess(sent, 16 << 20)
        self.assertEqual(self.connection.lookupByName("web").state()[0], libvirt.VIR_DOMAIN_RUNNING)
        # When the console goes, she is heard again.
        self.domain.destroy()


if __name__ == "__main__":
    unittest.main()
