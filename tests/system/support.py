# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios in Python share: the bus, as root and as other users; guests; waiting for what must happen.

Run as a program, it makes one call for a user: call() of a Person does that.
"""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from checks import check  # noqa: E402, F401 for the scenarios

NAME = "org.virtbus.Qemu1"
ROOT = "/org/virtbus/Qemu1"
DAEMON = "org.virtbus.Daemon1"
HYPERVISOR = "org.virtbus.Hypervisor1"
DOMAIN = "org.virtbus.Domain1"
PROPERTIES = "org.freedesktop.DBus.Properties"
ERROR = "org.virtbus.Error."
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
AUTHORIZATION_REQUIRED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

CALL_SECONDS = 60
BOOT_SECONDS = 180  # a guest whose processor is emulated, on a machine that does other things besides


class Refused(Exception):
    """An error reply."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


def variant(value):
    """A value of an a{sv}, whose type Python knows well enough."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("t" if value >= 0 else "x", value)
    if isinstance(value, list):
        return GLib.Variant("as", value)
    return GLib.Variant("s", value)


def options(given):
    return {key.replace("_", "-"): variant(value) for key, value in given.items()}


class Person:
    """Somebody who calls. Root calls by a connection of this process."""

    def __init__(self, user=None, session=True, session_bus=False):
        self.user, self.session = user, session
        self.bus_type = Gio.BusType.SESSION if session_bus else Gio.BusType.SYSTEM
        self.connection = None if user else Gio.bus_get_sync(self.bus_type)

    def call(self, path, interface, member, signature="()", *values, seconds=CALL_SECONDS):
        """Calls, and returns the values of the reply."""
        arguments = GLib.Variant(signature, values)
        if self.user:
            return self.call_in_session(path, interface, member, arguments, seconds)
        return call_on(self.connection, path, interface, member, arguments, seconds)

    def call_in_session(self, path, interface, member, arguments, seconds):
        bus = "session" if self.bus_type == Gio.BusType.SESSION else "system"
        question = json.dumps([bus, path, interface, member, arguments.get_type_string(), arguments.print_(True), seconds])
        result = self.run("/usr/bin/python3", __file__, question, check=True)
        answer = json.loads(result.stdout)
        if "error" in answer:
            raise Refused(answer["error"], answer["message"])
        return answer["values"]

    def run(self, *command, **wishes):
        """Runs a command as this person does."""
        words = [] if not self.user else ["/usr/lib/throwaway/as-user", *([] if self.session else ["--no-session"]), self.user]
        wishes = {"stdout": subprocess.PIPE, "text": True, **wishes}
        return subprocess.run([*words, *command], **wishes)

    def get(self, path, name, interface=DOMAIN):
        return self.call(path, PROPERTIES, "Get", "(ss)", interface, name)[0]

    def define(self, xml, **choices):
        return self.call(ROOT, HYPERVISOR, "Define", "(sa{sv})", xml, options(choices))[0]

    def create(self, xml, **choices):
        return self.call(ROOT, HYPERVISOR, "Create", "(sa{sh}a{sv})", xml, {}, options(choices))[0]

    def domain(self, path, member, **choices):
        """Calls one of the many methods that take nothing but choices."""
        return self.call(path, DOMAIN, member, "(a{sv})", options(choices))

    def refusal(self, call, *values, **choices):
        """The name of the error with which a call of this person is refused, or None."""
        try:
            call(self, *values, **choices)
        except Refused as refused:
            return refused.name
        return None


def daemon_of(path):
    """The bus name of whose object it is."""
    return ".".join(path.split("/")[1:4])


def call_on(connection, path, interface, member, arguments, seconds, flags=Gio.DBusCallFlags.NONE, files=()):
    try:
        reply, _ = connection.call_with_unix_fd_list_sync(daemon_of(path), path, interface, member, arguments, None, flags, seconds * 1000,
                                                          Gio.UnixFDList.new_from_array(list(files)) if files else None, None)
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error) or "org.freedesktop.DBus.Error.NoReply"
        Gio.DBusError.strip_remote_error(error)
        raise Refused(name, error.message) from None
    return reply.unpack()


class Caller:
    """A person who stays on the bus with one connection, and may pass files. For many calls, and for what is remembered per connection."""

    def __init__(self, person):
        self.person = person
        words = [] if not person.user else ["/usr/lib/throwaway/as-user", *([] if person.session else ["--no-session"]), person.user]
        self.process = subprocess.Popen([*words, "/usr/bin/python3", __file__, "--calls"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        atexit.register(self.close)

    def send(self, path, interface, member, signature="()", *values, interactive=False, seconds=CALL_SECONDS, files=()):
        """Sends a call. files are paths to be opened, or "|" for the full end of a pipe that nobody reads; the values count them from 0."""
        arguments = GLib.Variant(signature, values)
        question = [path, interface, member, signature, arguments.print_(True), seconds, interactive, list(files)]
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self):
        """The values of the reply to the oldest call without one."""
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"], answer["message"])
        return answer["values"]

    def call(self, *what, **how):
        self.send(*what, **how)
        return self.answer()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.terminate()
            self.process.wait()


class Descriptors:
    """Whoever runs this process, calling what passes descriptors: run by a Person, a program is that person."""

    def __init__(self):
        self.connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)

    def call(self, path, interface, member, arguments, given=()):
        try:
            return self.connection.call_with_unix_fd_list_sync(
                NAME, path, interface, member, arguments, None, Gio.DBusCallFlags.NONE, CALL_SECONDS * 1000,
                Gio.UnixFDList.new_from_array([os.dup(descriptor) for descriptor in given]), None)
        except GLib.Error as error:
            name = Gio.DBusError.get_remote_error(error) or "org.freedesktop.DBus.Error.NoReply"
            Gio.DBusError.strip_remote_error(error)
            raise Refused(name, error.message) from None

    def open(self, path, member, *what):
        """Calls a method of a domain that takes at most a word, and gives a descriptor."""
        signature = "(sa{sv})" if what else "(a{sv})"
        _values, descriptors = self.call(path, DOMAIN, member, GLib.Variant(signature, (*what, {})))
        return descriptors.steal_fds()[0]

    def give(self, path, interface, member, descriptor):
        """Calls a method that takes a descriptor."""
        return self.call(path, interface, member, GLib.Variant("(ha{sv})", (0, {})), [descriptor])[0].unpack()


class Watch:
    """Records the changes of properties, and waits for one."""

    def __init__(self, person):
        self.changes = []  # (path, {property: value})
        self.connection = person.connection
        self.slot = self.connection.signal_subscribe(NAME, PROPERTIES, "PropertiesChanged", None, DOMAIN, Gio.DBusSignalFlags.NONE,
                                                     self.on_change)
        self.read = 0

    def on_change(self, _connection, _sender, path, _interface, _signal, arguments):
        self.changes.append((path, arguments.unpack()[1]))

    def wait(self, path, seconds=BOOT_SECONDS, **wanted):
        """Until a change told of all these values, one after another or at once; from where the last wait ended."""
        end, context, known = time.monotonic() + seconds, GLib.MainContext.default(), {}
        wake = GLib.timeout_add(int(seconds * 1000) + 100, lambda: GLib.SOURCE_REMOVE)
        try:
            while True:
                while self.read < len(self.changes):
                    who, what = self.changes[self.read]
                    self.read += 1
                    if who == path:
                        known.update(what)
                        if all(known.get(name) == value for name, value in wanted.items()):
                            return known
                if time.monotonic() >= end:
                    raise TimeoutError(f"{path}: in {seconds} s no change to {wanted}; there were {self.changes}")
                context.iteration(True)
        finally:
            GLib.source_remove(wake) if context.find_source_by_id(wake) else None


def account(user):
    import pwd

    return pwd.getpwnam(user or "root")


class Guest:
    """A definition of a small real guest, with a disk and a console of its own in a folder of its owner's.

    `user` is the owner; root's guests run as virtbus-qemu, so their folder is that user's."""

    def __init__(self, name, user=None, cmdline="", disk=True, devices="", memory=192):
        self.name, self.uuid = name, str(uuid.uuid4())
        owner = account(user or "virtbus-qemu")
        self.folder = Path(owner.pw_dir if user else "/var/lib") / f"guest-{name}"
        self.console = self.folder / "console.log"
        self.folder.mkdir(mode=0o700)
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        if disk:
            shutil.copy("/srv/guest/disk.qcow2", self.folder / "disk.qcow2")
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        self.xml = self.definition(cmdline, disk, devices, memory)

    def definition(self, cmdline, disk, devices, memory):
        disk_xml = f"""
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2'/>
              <source file='{self.folder}/disk.qcow2'/>
              <target dev='vda' bus='virtio'/>
            </disk>""" if disk else ""
        return f"""
        <domain type='qemu'>
          <name>{self.name}</name>
          <uuid>{self.uuid}</uuid>
          <memory unit='MiB'>{memory}</memory>
          <vcpu>1</vcpu>
          <os>
            <type arch='x86_64' machine='q35'>hvm</type>
            <kernel>/srv/guest/vmlinuz</kernel>
            <initrd>/srv/guest/initrd.img</initrd>
            <cmdline>console=ttyS0 quiet {cmdline}</cmdline>
          </os>
          <features><acpi/></features>
          <devices>{disk_xml}
            <serial type='file'><source path='{self.console}'/></serial>
            {devices}
          </devices>
        </domain>"""

    @property
    def path(self):
        return f"{ROOT}/domain/_{self.uuid.replace('-', '_')}"

    def printed(self):
        return self.console.read_text(encoding="utf-8", errors="replace") if self.console.exists() else ""

    def wait_printed(self, pattern, seconds=BOOT_SECONDS, count=1):
        """Until the console has that many matches; returns the last."""
        until(lambda: len(re.findall(pattern, self.printed())) >= count, seconds, f"{pattern!r} on the console of {self.name}: {self.printed()}")
        return re.findall(pattern, self.printed())[-1]


def until(condition, seconds, what):
    """For what no event tells of, such as the growth of a file by another's hand."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"in {seconds} s: {what}")
        time.sleep(0.05)


def run(*command):
    """A command of root's; returns what it printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main_pid(unit):
    return int(run("systemctl", "show", "-P", "MainPID", unit))


def daemon_pid():
    return main_pid("virtqemud.service")


def owner_pid(name=NAME):
    """The process that owns a name on the bus; None if there is none."""
    try:
        return Gio.bus_get_sync(Gio.BusType.SYSTEM).call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                              "GetConnectionUnixProcessID", GLib.Variant("(s)", (name,)), None,
                                                              Gio.DBusCallFlags.NONE, CALL_SECONDS * 1000, None).unpack()[0]
    except GLib.Error:
        return None


def kill_daemon(unit="virtqemud.service", name=NAME, number=signal.SIGKILL, meanwhile=None):
    """Ends a daemon by a signal. When it returns another serves: until the bus has noticed that the first is gone, calls go to that one. The
    service manager is made to forget the restart: a fast machine would come to its limit of them."""
    pid = main_pid(unit)
    os.kill(pid, number)
    if meanwhile:
        meanwhile()
    until(lambda: main_pid(unit) not in (0, pid) and owner_pid(name) == main_pid(unit), 60, f"another {unit}")
    run("systemctl", "reset-failed", unit)


def emulators():
    """The processes of all guests: {pid: command line}."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"qemu-system-" in words[0]:
            found[int(folder.name)] = [word.decode(errors="replace") for word in words]
    return found


def emulator_of(guest):
    pids = [pid for pid, words in emulators().items() if any(guest.uuid in word for word in words)]
    return pids[0] if len(pids) == 1 else None


def main(question):
    bus, path, interface, member, signature, text, seconds = json.loads(question)
    connection = Gio.bus_get_sync(Gio.BusType.SESSION if bus == "session" else Gio.BusType.SYSTEM)
    print(json.dumps(answer_of(connection, path, interface, member, signature, text, seconds)))


def answer_of(connection, path, interface, member, signature, text, *how):
    arguments = GLib.Variant.parse(GLib.VariantType(signature), text)
    try:
        return {"values": call_on(connection, path, interface, member, arguments, *how)}
    except Refused as refused:
        return {"error": refused.name, "message": refused.message}


def serve():
    """The process of a Caller."""
    connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    for line in sys.stdin:
        *what, interactive, files = json.loads(line)
        descriptors = [os.pipe()[1] if file == "|" else os.open(file, os.O_RDWR) for file in files]
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        # The list that goes with the message takes the descriptors over.
        print(json.dumps(answer_of(connection, *what, flags, descriptors), default=str), flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "--calls" else main(sys.argv[1])
