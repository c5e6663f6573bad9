# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtproxyd of the system on a private bus, and clients of its sockets that speak the classic protocol byte by byte: as nobody's library would."""

import array
import contextlib
import os
import pathlib
import signal
import socket
import struct
import sys

import harness
from harness import effective_user

REMOTE, QEMU, LXC, ADMIN, KEEPALIVE = 0x20008086, 0x20008087, 0x00068000, 0x06900690, 0x6B656570
CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, STREAM_HOLE = range(7)
OK, ERROR, CONTINUE = range(3)
HEADER = 28
LENGTH_MAX = 33554436

OPEN, CLOSE, GET_URI, SUPPORTS_FEATURE, AUTH_LIST, AUTH_POLKIT = 1, 2, 110, 60, 66, 70
INTERNAL_ERROR, NO_SUPPORT, NO_CONNECT, OPERATION_DENIED, RPC = 1, 3, 5, 29, 39
ARGUMENT_UNSUPPORTED, OPERATION_UNSUPPORTED = 74, 84

DEADLINE = harness.DEADLINE


def uint(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def hyper(value):
    return struct.pack(">q", value)


def string(text):
    data = text.encode() if isinstance(text, str) else text
    return uint(len(data)) + data + bytes(-len(data) % 4)


def optional(data):
    return uint(0) if data is None else uint(1) + data


def packet(body=b"", program=REMOTE, procedure=0, kind=CALL, serial=0, status=OK, version=1, length=None):
    length = HEADER + len(body) if length is None else length
    return struct.pack(">IIIiIII", length, program, version, procedure, kind, serial, status) + body


class Refused(Exception):
    """An error reply."""

    def __init__(self, code, domain, message):
        super().__init__(f"{code} (domain {domain}): {message}")
        self.code, self.domain, self.message = code, domain, message


class Gone(Exception):
    """The server has closed the connection."""


class Reply:
    def __init__(self, header, body):
        self.program, self.version, self.procedure, self.kind, self.serial, self.status = header
        self.body = body

    def error(self):
        code, domain, has_message = struct.unpack_from(">iiI", self.body)
        message = ""
        if has_message:
            (length,) = struct.unpack_from(">I", self.body, 12)
            message = self.body[16:16 + length].decode()
        return Refused(code, domain, message)


class Raw:
    """One connection. What it sends is up to the test; what it gets is taken apart."""

    def __init__(self, path, uid=0, is_open=False, uri=None, flags=0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        self.serial = 0
        with effective_user(uid):
            self.socket.connect(str(path))
        if is_open:
            try:
                self.open(uri, flags)
            except Exception:
                self.close()
                raise

    def send(self, data, fds=()):
        try:
            if fds:
                self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            else:
                self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone from error

    def _take(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError as error:
                raise Gone from error
            if not more:
                raise Gone
            data += more
        return data

    def receive(self):
        length, *header = struct.unpack(">IIIiIII", self._take(HEADER))
        return Reply(header, self._take(length - HEADER))

    def begin(self, procedure, body=b"", **how):
        """Sends a call, and gives its serial."""
        self.serial += 1
        self.send(packet(body, procedure=procedure, serial=self.serial, **how))
        return self.serial

    def call(self, procedure, body=b"", **how):
        serial = self.begin(procedure, body, **how)
        while True:
            reply = self.receive()
            if reply.kind in (REPLY, REPLY_WITH_FDS) and reply.serial == serial:
                break
        if reply.status == ERROR:
            raise reply.error()
        return reply.body

    def fails(self, procedure, body=b"", **how):
        try:
            self.call(procedure, body, **how)
        except Refused as refused:
            return refused
        raise AssertionError(f"procedure {procedure} succeeded")

    def open(self, uri=None, flags=0):
        self.call(OPEN, optional(None if uri is None else string(uri)) + uint(flags))

    def uri(self):
        body = self.call(GET_URI)
        (length,) = struct.unpack_from(">I", body)
        return body[4:4 + length].decode()

    def is_gone(self, seconds=DEADLINE):
        """Waits for the server to close, reading what it has still to say."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(DEADLINE)
        return True

    def close(self):
        self.socket.close()


SOCKETS = {
    "libvirt": "libvirt-sock", "libvirt-ro": "libvirt-sock-ro", "libvirt-admin": "libvirt-admin-sock",
    "virtqemud": "virtqemud-sock", "virtqemud-ro": "virtqemud-sock-ro", "virtqemud-admin": "virtqemud-admin-sock",
}

# Gives the sockets the numbers that a service manager gives them.
ACTIVATE = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Proxy(harness.Program):
    """The daemon with sockets that everyone may connect to, the administration's, too: what the modes keep out is tried here."""

    name = "virtproxyd"
    good_ends = (0, -signal.SIGKILL)

    def __init__(self, bus, *arguments):
        super().__init__(bus, "proxy.log")
        self.folder = bus.directory / "libvirt"
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        environment = {**os.environ, **bus.environment(), "LISTEN_FDNAMES": ":".join(SOCKETS)}
        with contextlib.ExitStack() as held:
            fds = [held.enter_context(self._listen(name)).fileno() for name in SOCKETS.values()]
            self.launch([sys.executable, "-c", ACTIVATE, ",".join(map(str, fds)), os.environ["VIRTPROXYD"], "--verbose", *arguments],
                        lambda: harness.has_owner(bus, "org.virtbus.Proxy1"), env=environment, pass_fds=fds)

    def _listen(self, name):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self.folder / name
        path.unlink(missing_ok=True)
        one.bind(str(path))
        path.chmod(0o666)
        one.listen(2048)
        return one

    def path(self, name="libvirt-sock"):
        return self.folder / name

    def workers(self, uid=None):
        """Its worker processes: {pid: status}."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
                words = (entry / "cmdline").read_bytes().split(b"\0")
                is_worker = int(status["PPid"]) == self.process.pid and b"--worker" in words
                if is_worker and status["State"].split()[0] != "Z" and uid in (None, int(status["Uid"].split()[1])):
                    found[int(entry.name)] = status
        return found

    def worker(self, uid):
        """The one of that user, who has connected; the listener may still be about to start it, or the one before it to end."""
        found = {}

        def is_alone():
            found.clear()
            found.update(self.workers(uid))
            return len(found) == 1
        harness.wait_until(is_alone)
        return next(iter(found))

    def check_end(self, status, text):
        super().check_end(status, text)
        if "AddressSanitizer" in text or "runtime error" in text:
            raise AssertionError(text)


class Case(harness.Case):
    """Each test has a bus and a virtproxyd of its own; clients of it are closed at the end."""

    start = False
    needs_users = True

    def setUp(self):
        super().setUp()
        self.proxy = self.enter(Proxy(self.bus))

    def raw(self, socket_name="libvirt-sock", uid=0, **how):
        return self.enter(Raw(self.proxy.path(socket_name), uid, **how))

    def assert_serves(self, uid=0):
        """Somebody else is not disturbed: comes, is served, and leaves."""
        other = Raw(self.proxy.path(), uid, is_open=True)
        self.assertEqual(other.uri(), "qemu:///system")
        other.close()


def resident(pid):
    """Bytes of memory that a process has."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = os.readlink(entry)
    return found
