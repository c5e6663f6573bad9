# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus with the test daemon on it, clients of any user, on the bus or on links, and a recorder of what the bus carries."""

import contextlib
import inspect
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

# What is shared with scenarios.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

NAME = "org.virtbus.Test1"
ROOT = "/org/virtbus/Test1"
DAEMON = "org.virtbus.Daemon1"
HYPERVISOR = "org.virtbus.Hypervisor1"
DOMAIN = "org.virtbus.Domain1"
JOB = "org.virtbus.Job1"
PROPERTIES = "org.freedesktop.DBus.Properties"
ERROR = "org.virtbus.Error."
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTIVE_REQUIRED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

# Two users that every Debian has: the bus lets nobody in whose groups it cannot look up.
ALICE = pwd.getpwnam("games").pw_uid
BOB = pwd.getpwnam("news").pw_uid

# Nothing waits for time; this is when a test gives up, on a slow machine and under sanitizers, too.
DEADLINE = 60
LOG_TAIL = 40  # lines of a daemon's log that a failure shows
TOLD = 2000  # characters of a condition that did not come about

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{directory}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class Failure(Exception):
    """An error reply."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Bus:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="virtbus-test-"))
        self.directory.chmod(0o755)
        (self.directory / "services").mkdir()
        (self.directory / "bus.conf").write_text(CONFIG.format(directory=self.directory))
        self.address = f"unix:path={self.directory}/bus"
        self.process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self.directory}/bus.conf", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **self.environment()})
        self.process.stdout.readline()
        (self.directory / "bus").chmod(0o666)

    def environment(self):
        return {
            "DBUS_SYSTEM_BUS_ADDRESS": self.address,
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "VIRTBUS_ROOT": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
        }

    def close(self):
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.process.stdout.close()
        shutil.rmtree(self.directory)


class Client:
    """A connection of one user. Calls are made from the caller's thread, while another runs the loop that receives."""

    def __init__(self, bus, uid=0):
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.connection = self.connect(bus, uid)
        self.connection.set_exit_on_close(False)
        self.thread.start()

    @staticmethod
    def connect(bus, uid):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        with effective_user(uid):
            return Gio.DBusConnection.new_for_address_sync(bus.address, flags, None, None)

    def _run(self):
        self.context.push_thread_default()
        self.loop.run()
        self.context.pop_thread_default()

    @property
    def unique_name(self):
        return self.connection.get_unique_name()

    def send(self, path, interface, member, arguments=None, interactive=False, fds=(), destination=NAME):
        """Sends a call and gives what waits for its reply."""
        message = Gio.DBusMessage.new_method_call(destination, path, interface, member)
        if arguments is not None:
            message.set_body(arguments)
        if interactive:
            message.set_flags(Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        if fds:
            message.set_unix_fd_list(Gio.UnixFDList.new_from_array(list(fds)))
        pending = Pending()
        self.connection.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, DEADLINE * 1000, None,
                                                pending.arrived, None)
        return pending

    def call(self, path, interface, member, arguments=None, **how):
        return self.send(path, interface, member, arguments, **how).result()

    def fails(self, path, interface, member, arguments=None, **how):
        """The error reply of a call that must not succeed."""
        try:
            result = self.call(path, interface, member, arguments, **how)
        except Failure as failure:
            return failure
        raise AssertionError(f"{interface}.{member} succeeded with {result}")

    def get(self, path, interface, name):
        return self.call(path, PROPERTIES, "Get", GLib.Variant("(ss)", (interface, name)))[0]

    def set(self, path, interface, name, value, **how):
        return self.call(path, PROPERTIES, "Set", GLib.Variant("(ssv)", (interface, name, value)), **how)

    def define(self, name, options="{}", **how):
        return self.call(ROOT, HYPERVISOR, "Define", variant(f"('{name}', @a{{sv}} {options})"), **how)[0]

    def leave(self):
        self.connection.close_sync(None)

    def close(self):
        if not self.connection.is_closed():
            self.leave()
        self.loop.quit()
        self.thread.join()


class Pending:
    """A call under way. GLib tells of its reply in the default main context, which whoever waits runs."""

    def __init__(self):
        self.reply = None

    def arrived(self, connection, result, _data):
        try:
            self.reply = connection.send_message_with_reply_finish(result)
        except GLib.Error as error:
            self.reply = error

    def is_done(self):
        while GLib.MainContext.default().iteration(False):
            pass
        return self.reply is not None

    def result(self):
        wait_until(self.is_done)
        if isinstance(self.reply, GLib.Error):
            raise Failure("transport", self.reply.message)
        if self.reply.get_message_type() == Gio.DBusMessageType.ERROR:
            raise Failure(self.reply.get_error_name(), self.reply.get_body().unpack()[0])
        body = self.reply.get_body()
        return body.unpack() if body is not None else ()

    def descriptor(self):
        """The one descriptor that the reply brings; the caller's from now on."""
        self.result()
        return self.reply.get_unix_fd_list().steal_fds()[0]


class Hearing(Client):
    """Keeps what it hears: signals, and the replies that it gets itself, in the order in which they were delivered."""

    def __init__(self, *how):
        super().__init__(*how)
        self.heard = []
        self.lock = threading.Lock()
        self.connection.add_filter(self._filter)

    def _filter(self, _connection, message, incoming):
        kind = message.get_message_type()
        if incoming and kind == Gio.DBusMessageType.SIGNAL and message.get_sender() != "org.freedesktop.DBus":
            body = message.get_body().unpack() if message.get_body() is not None else ()
            with self.lock:
                self.heard.append((message.get_member(), message.get_path(), body))
        elif incoming and kind in (Gio.DBusMessageType.METHOD_RETURN, Gio.DBusMessageType.ERROR):
            with self.lock:
                self.heard.append(("reply", None, ()))
        return message

    def forget(self):
        with self.lock:
            self.heard.clear()

    def names(self):
        with self.lock:
            return [name for name, _, _ in self.heard]

    def all(self, name):
        with self.lock:
            return [(path, body) for heard, path, body in self.heard if heard == name]

    def wait_for(self, name):
        wait_until(lambda: name in self.names())


class Recorder(Hearing):
    """Hears all signals of the daemon over the bus."""

    def __init__(self, bus, uid=0):
        super().__init__(bus, uid)
        self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                  GLib.Variant("(s)", (f"type='signal',sender='{NAME}'",)), destination="org.freedesktop.DBus")
        self.forget()


def open_link(client, choices="{}"):
    """The socket of a link, opened by a client of the bus."""
    return client.send(ROOT, DAEMON, "OpenLink", options(choices)).descriptor()


class Link(Hearing):
    """A link to the daemon; a client like those of the bus."""

    def __init__(self, client, choices="{}"):
        super().__init__(open_link(client, choices), None)

    @staticmethod
    def connect(descriptor, _uid):
        stream = Gio.Socket.new_from_fd(descriptor).connection_factory_create_connection()
        return Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)

    def is_closed(self):
        return self.connection.is_closed()


class RawLink:
    """A link without a thread that reads: shows what has been written to it at this very moment."""

    def __init__(self, client, choices="{}", talk=True):
        self.socket = socket.socket(fileno=open_link(client, choices))
        self.data = b""
        self.serial = 0
        if talk:
            self.socket.setblocking(True)
            self.socket.sendall(b"\0AUTH ANONYMOUS 30\r\nBEGIN\r\n")
            line = b""
            while not line.endswith(b"\r\n"):
                line += self.socket.recv(1)
            assert line.startswith(b"OK "), line

    def blob(self, path, interface, member, arguments=None):
        message = Gio.DBusMessage.new_method_call(None, path, interface, member)
        self.serial += 1
        message.set_serial(self.serial)
        if arguments is not None:
            message.set_body(arguments)
        return message.to_blob(Gio.DBusCapabilityFlags.NONE)

    def send(self, *call):
        self.socket.sendall(self.blob(*call))

    def arrived(self):
        """What can be read without waiting, as (member, path); a reply is ("reply", None)."""
        with contextlib.suppress(BlockingIOError):
            while data := self.socket.recv(1 << 20, socket.MSG_DONTWAIT):
                self.data += data
        found = []
        while len(self.data) >= 16:
            size = Gio.DBusMessage.bytes_needed(self.data)
            if len(self.data) < size:
                break
            message = Gio.DBusMessage.new_from_blob(self.data[:size], Gio.DBusCapabilityFlags.NONE)
            self.data = self.data[size:]
            found.append((message.get_member() or "reply", message.get_path()))
        return found

    def is_closed(self):
        """Whether the daemon has closed it; what had been written is thrown away."""
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(1 << 20, socket.MSG_DONTWAIT):
                pass
            return True
        return False

    def close(self):
        self.socket.close()


class Program:
    """A daemon under test: its process, what it logs, and that it ends well."""

    name = "the daemon"
    good_ends = (0,)
    known = []  # all that were ever started, so that a failure can show what they said

    def __init__(self, bus, log="daemon.log"):
        self.bus = bus
        self.log = open(bus.directory / log, "a+", encoding="utf-8")
        self.process = None
        self.text = ""  # what had been logged when it was closed
        self.known.append(self)

    def launch(self, command, is_up, **how):
        """Starts it, and waits until it can be spoken to."""
        self.process = subprocess.Popen(command, stderr=self.log, **how)
        wait_until(lambda: is_up() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} did not start:\n{self.logged()}")

    def logged(self):
        if self.log.closed:
            return self.text
        self.log.seek(0)
        return self.log.read()

    def wait_logged(self, pattern):
        """A daemon may log what it did after it has answered, and so may its workers."""
        wait_until(lambda: re.search(pattern, self.logged()))

    def check_end(self, status, text):
        if status not in self.good_ends:
            raise AssertionError(f"{self.name} ended with status {status}:\n{text}")

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(DEADLINE)
        self.text = self.logged()
        self.log.close()
        self.check_end(status, self.text)


class Daemon(Program):
    def __init__(self, bus, *arguments, uid=None, **environment):
        super().__init__(bus)
        program = os.environ["TEST_DAEMON"]
        if uid is not None:
            # Another user may not be able to reach the build folder.
            program = shutil.copy(program, bus.directory)
        self.launch([program, "--verbose", *arguments], lambda: has_owner(bus, NAME), user=uid,
                    env={**os.environ, **bus.environment(), **environment})


class Case(unittest.TestCase):
    """Each test has a bus of its own, and with it the daemon, unless start is False."""

    start = True
    needs_users = False

    def run(self, result=None):
        """As usual; of a test that fails, the end of what its daemons logged is shown, too."""
        result = result or self.defaultTestResult()
        shared = [program for program in Program.known if not program.log.closed]
        known, failures = len(Program.known), len(result.errors) + len(result.failures)
        super().run(result)
        if len(result.errors) + len(result.failures) > failures:
            for program in shared + Program.known[known:]:
                print(f"\n{self.id()}: {program.name} logged:", *program.logged().splitlines()[-LOG_TAIL:], sep="\n  ", file=sys.stderr)
        return result

    def setUp(self):
        if self.needs_users and os.geteuid() != 0:
            self.skipTest("only root can be several users")
        self.bus = self.enter(Bus())
        if self.start:
            self.daemon = self.enter(Daemon(self.bus))
            self.root = self.client()

    def enter(self, thing):
        self.addCleanup(thing.close)
        return thing

    def client(self, uid=0):
        return self.enter(Client(self.bus, uid))


class SharedCase(Case):
    """The tests of a class share a bus, and what setUpClass starts on it."""

    start = False

    @classmethod
    def setUpClass(cls):
        cls.bus = cls.share(Bus())

    @classmethod
    def share(cls, thing):
        cls.addClassCleanup(thing.close)
        return thing

    def setUp(self):
        pass


def variant(text):
    return GLib.Variant.parse(None, text, None, None)


def options(text="{}"):
    return variant(f"(@a{{sv}} {text},)")


def wait_until(condition, seconds=DEADLINE):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s this did not come about: {told(condition)}")
        time.sleep(0.002)


def told(condition):
    """The source of a condition, and what stands in it: a failure that nobody can repeat has to say all."""
    try:
        source = " ".join(inspect.getsource(condition).split())
        found = inspect.getclosurevars(condition).nonlocals
    except (OSError, TypeError):
        return repr(condition)
    values = [f"{name} is {vars(value) if isinstance(value, (Client, Pending)) else value!r}" for name, value in found.items()]
    return f"{source}; {', '.join(values)}"[:TOLD]


def has_owner(bus, name):
    environment = {**os.environ, **bus.environment()}
    command = ["dbus-send", "--system", "--print-reply=literal", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
               "org.freedesktop.DBus.NameHasOwner", f"string:{name}"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return "true" in result.stdout


@contextlib.contextmanager
def effective_user(uid):
    if uid == os.geteuid():
        yield
        return
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
