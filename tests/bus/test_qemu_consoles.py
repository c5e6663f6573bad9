# SPDX-License-Identifier: LGPL-2.1-or-later
"""What of a guest is handed out as a descriptor, and what is said to it: consoles, channels, displays, pictures, keys, agent, monitor."""

import json
import os
import signal
import socket
import struct
import time
import unittest
import zlib

from gi.repository import Gio, GLib

from guests import Console, GuestCase
from harness import DEADLINE, DOMAIN, ERROR, Failure, variant, wait_until

DEVICES = """
    <serial type='pty'/>
    <serial type='null'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><target type='virtio' name='org.example.first'/></channel>
    <channel type='unix'><target type='virtio' name='org.example.second'/></channel>
    <graphics type='vnc' passwd='geheim'/>
    <video><model type='vga'/></video>
    <video><model type='bochs'/></video>
    <input type='keyboard' bus='virtio'/>
"""

KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE, KEY_A = 29, 56, 111, 30


class Consoles(GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.web = cls.define("web", devices=DEVICES)
        cls.off = cls.define("off", disk=False)
        cls.root.domain(cls.web, "Start")

    def console(self, device="", **choices):
        text = "{" + ", ".join(f"'{key}': <{str(value).lower()}>" for key, value in choices.items()) + "}"
        return self.enter(Console(self.root.open(self.web, "OpenConsole", device, text)))

    def shell(self):
        """The first console with a shell: logged in once, it stays so."""
        console = self.console(force=True)
        console.send("\n")
        if console.wait(r"guest login: |# ").group(0) != "# ":
            console.send("root\n")
            console.wait("# ")
        console.send("stty -echo; echo qui''et\n")
        console.wait("quiet\r\n")
        console.wait("# ")
        return Shell(console)

    def refused(self, member, what, choices="{}"):
        return self.root.fails(self.web, DOMAIN, member, variant(f"('{what}', @a{{sv}} {choices})"))

    # Consoles

    def test_a_console_is_two_way(self):
        shell = self.shell()
        self.assertEqual(shell.run("expr 6 \\* 7"), "42")
        self.assertEqual(shell.run("cat /mnt/boots"), "1")

    def test_a_console_is_one_clients_unless_it_is_taken_by_force(self):
        first = self.console("serial1")
        error = self.refused("OpenConsole", "serial1")
        self.assertEqual(error.name, ERROR + "ResourceBusy")
        self.assertIn("serial1", error.message)
        second = self.console("serial1", force=True)
        first.wait_end()
        second.send("\n")
        second.wait("guest login: ")

    def test_a_console_that_was_left_is_free(self):
        self.console("serial1").close()
        wait_until(lambda: self.is_free("serial1"))

    def is_free(self, device):
        try:
            os.close(self.root.open(self.web, "OpenConsole", device))
        except Failure:
            return False
        return True

    def test_what_is_no_console_is_refused(self):
        for what, text in (("serial2", "null"), ("serial9", "serial9"), ("../serial0", "serial0")):
            error = self.refused("OpenConsole", what)
            self.assertEqual(error.name, ERROR + "NoDevice", what)
            self.assertIn(text, error.message)
        error = self.root.fails(self.off, DOMAIN, "OpenConsole", variant("('', @a{sv} {})"))
        self.assertEqual(error.name, ERROR + "InvalidState")

    def test_a_reader_that_never_reads_holds_up_nobody(self):
        deaf = self.console(force=True)
        deaf.send("\n")
        deaf.wait(r"guest login: |# ")
        deaf.send("root\n\nwhile :; do echo and so on; done\n")
        started = time.monotonic()
        for _ in range(20):
            self.root.state(self.web)
            self.root.call(self.web, DOMAIN, "MonitorCommand", variant("""('{"execute": "query-status"}', @a{sv} {})"""))
        self.assertLess(time.monotonic() - started, DEADLINE / 2)
        # And when somebody reads, the guest goes on.
        reader = self.console(force=True)
        reader.send("\x03\n\n")
        reader.wait("# ")

    # Channels

    def test_a_channel_is_two_way(self):
        shell = self.shell()
        channel = self.enter(Console(self.root.open(self.web, "OpenChannel", "org.example.second")))
        shell.send("exec 3<>/dev/virtio-ports/org.example.second; read line <&3; echo \"heard $line\" >&3; exec 3<&-\n")
        channel.send("hello\n")
        channel.wait("heard hello\n")

    def test_the_first_channel_is_meant_by_an_empty_name_and_never_the_agents(self):
        first = self.enter(Console(self.root.open(self.web, "OpenChannel", "")))
        error = self.refused("OpenChannel", "org.example.first")
        self.assertEqual(error.name, ERROR + "ResourceBusy")
        error = self.refused("OpenChannel", "org.qemu.guest_agent.0", "{'force': <true>}")
        self.assertEqual(error.name, ERROR + "ResourceBusy")
        self.assertIn("GuestAgentCommand", error.message)
        self.assertEqual(self.refused("OpenChannel", "org.example.none").name, ERROR + "NoDevice")
        second = self.enter(Console(self.root.open(self.web, "OpenChannel", "org.example.first", "{'force': <true>}")))
        first.wait_end()
        self.assertFalse(second.ended)

    # Displays

    def display(self, kind, choices="{}"):
        stream = socket.socket(fileno=self.root.open(self.web, "OpenDisplay", kind, choices))
        self.addCleanup(stream.close)
        stream.settimeout(DEADLINE)
        return stream

    def security_types(self, choices):
        stream = self.display("vnc", choices)
        self.assertEqual(stream.recv(12), b"RFB 003.008\n")
        stream.sendall(b"RFB 003.008\n")
        count = stream.recv(1)[0]
        return stream, set(stream.recv(count))

    def test_vnc_without_a_password_as_the_bus_has_asked_who_it_is(self):
        stream, types = self.security_types("{}")
        self.assertEqual(types, {1})
        stream.sendall(b"\x01")
        self.assertEqual(stream.recv(4), b"\0\0\0\0")
        stream.sendall(b"\x01")
        width, height = struct.unpack(">HH", receive(stream, 4))
        self.assertGreaterEqual(width, 320)
        self.assertGreaterEqual(height, 200)

    def test_vnc_with_its_password_if_that_is_wanted(self):
        _, types = self.security_types("{'skip-auth': <false>}")
        self.assertEqual(types, {2})

    def test_a_display_that_the_guest_has_not_is_refused(self):
        for kind in ("spice", "dbus"):
            error = self.refused("OpenDisplay", kind)
            self.assertEqual(error.name, ERROR + "NoDevice")
            self.assertIn(f"type='{kind}'", error.message)
        self.assertEqual(self.refused("OpenDisplay", "x11").name, ERROR + "InvalidArgument")

    def test_the_display_of_an_index(self):
        stream = self.display("any", "{'index': <uint32 0>}")
        self.assertEqual(stream.recv(12), b"RFB 003.008\n")
        self.assertEqual(self.refused("OpenDisplay", "spice", "{'index': <uint32 0>}").message,
                         "domain 'web': display 0 is none to connect to as spice")
        self.assertEqual(self.refused("OpenDisplay", "any", "{'index': <uint32 1>}").message,
                         "domain 'web': display 1 is none to connect to")

    def connect_display(self, descriptor, kind="vnc"):
        return self.root.send(self.web, DOMAIN, "ConnectDisplay", GLib.Variant("(sha{sv})", (kind, 0, {})), fds=[descriptor])

    def test_a_socket_of_the_callers_own(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.connect_display(theirs.fileno()).result()
            theirs.close()
            ours.settimeout(DEADLINE)
            self.assertEqual(ours.recv(12), b"RFB 003.008\n")

    def test_what_is_no_connected_socket_is_refused(self):
        with open("/dev/null", "rb") as null, socket.socket(socket.AF_UNIX) as unconnected:
            for descriptor in (null.fileno(), unconnected.fileno()):
                with self.assertRaises(Failure) as failed:
                    self.connect_display(descriptor).result()
                self.assertEqual(failed.exception.name, ERROR + "InvalidArgument")

    # Pictures

    def screenshot(self, choices="{}"):
        file = os.fdopen(self.root.open(self.web, "Screenshot", None, choices), "rb")
        self.addCleanup(file.close)
        return file

    def test_a_screenshot_is_a_png_of_the_screen(self):
        for choices in ("{}", "{'screen': <uint32 1>}"):
            file = self.screenshot(choices)
            width, height = png_size(file.read())
            self.assertGreaterEqual(width, 320)
            self.assertGreaterEqual(height, 200)

    def test_nobody_can_change_a_picture_that_was_handed_out(self):
        file = self.screenshot()
        self.assertRaises(OSError, os.ftruncate, file.fileno(), 0)
        with self.assertRaises(OSError):
            os.write(os.open(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY), b"x")

    def test_a_screen_that_is_not_there(self):
        error = self.root.refused(self.web, "Screenshot", "{'screen': <uint32 2>}")
        self.assertEqual(error.name, ERROR + "NoDevice")
        self.assertIn("it has 2", error.message)
        self.assertEqual(self.root.refused(self.off, "Screenshot").name, ERROR + "InvalidState")

    def test_many_screenshots_leave_no_descriptor_behind(self):
        def descriptors(pid):
            return len(os.listdir(f"/proc/{pid}/fd"))

        self.screenshot().close()
        pids = (self.emulator(self.web), self.daemon.process.pid)
        before = [descriptors(pid) for pid in pids]
        for _ in range(5):
            self.screenshot().close()
        self.assertEqual([descriptors(pid) for pid in pids], before)

    # Keys

    def send_keys(self, *codes, choices="{}"):
        codes = ", ".join(f"uint32 {code}" for code in codes)
        return variant(f"(@au [{codes}], @a{{sv}} {choices})")

    def test_the_guest_feels_keys(self):
        shell = self.shell()
        # An input_event is two longs of time, type, code, value.
        # An input_event is two longs of time, type, code, and value, an int; and each is followed by one that ends the report.
        shell.send("for d in /dev/input/event*; do (timeout 60 head -c 72 $d | od -A n -v -t u2) & done; sleep 1; echo list''ening\n")
        shell.console.wait("listening")
        self.root.call(self.web, DOMAIN, "SendKeys", self.send_keys(KEY_A, choices="{'hold-usec': <uint64 50000>}"))
        shell.console.wait(rf"\s1 +{KEY_A} +1 +0\s")
        self.root.call(self.web, DOMAIN, "SendKeys", self.send_keys(0x1e, choices="{'codeset': <'qnum'>}"))

    def test_what_is_no_key_is_refused(self):
        for arguments in (self.send_keys(), self.send_keys(0), self.send_keys(0xfff), self.send_keys(*[KEY_A] * 17),
                          self.send_keys(256, choices="{'codeset': <'qnum'>}")):
            self.assertEqual(self.root.fails(self.web, DOMAIN, "SendKeys", arguments).name, ERROR + "InvalidArgument")
        error = self.root.fails(self.off, DOMAIN, "SendKeys", self.send_keys(KEY_A))
        self.assertEqual(error.name, ERROR + "InvalidState")

    # The agent

    def agent(self, command, timeout=None):
        """Passes a command on, without waiting for the answer."""
        choices = {} if timeout is None else {"timeout-usec": GLib.Variant("t", int(timeout * 1_000_000))}
        return self.root.send(self.web, DOMAIN, "GuestAgentCommand", GLib.Variant("(sa{sv})", (command, choices)))

    def wait_for_agent(self):
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))

    def test_the_agent_answers(self):
        self.wait_for_agent()
        answer = json.loads(self.agent('{"execute": "guest-info"}').result()[0])
        self.assertIn("version", answer["return"])
        answer = json.loads(self.agent('{"execute": "guest-get-host-name"}').result()[0])
        self.assertEqual(answer["return"]["host-name"], "guest")

    def test_two_commands_at_once_each_get_their_own_answer(self):
        self.wait_for_agent()
        first = self.agent('{"execute": "guest-get-host-name"}')
        second = self.agent('{"execute": "guest-get-time"}')
        self.assertGreater(json.loads(second.result()[0])["return"], 10**18)
        self.assertEqual(json.loads(first.result()[0])["return"]["host-name"], "guest")

    def test_an_agent_that_stands_still_costs_its_time_limit_and_comes_back(self):
        shell = self.shell()
        self.wait_for_agent()
        shell.run("kill -STOP $(cat /run/qemu-ga.pid)")
        started = time.monotonic()
        with self.assertRaises(Failure) as caught:
            self.agent('{"execute": "guest-info"}', timeout=0.5).result()
        self.assertEqual(caught.exception.name, ERROR + "AgentUnresponsive")
        self.assertGreaterEqual(time.monotonic() - started, 0.5)
        self.root.state(self.web)
        shell.run("kill -CONT $(cat /run/qemu-ga.pid)")
        answer = json.loads(self.agent('{"execute": "guest-get-host-name"}', timeout=30).result()[0])
        self.assertEqual(answer["return"]["host-name"], "guest")

    def test_what_is_no_command_is_refused(self):
        for text in ("", "{", "[]", "guest-info", '{"arguments": {}}'):
            with self.assertRaises(Failure, msg=text) as caught:
                self.agent(text).result()
            self.assertEqual(caught.exception.name, ERROR + "InvalidArgument", text)
            error = self.root.fails(self.web, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (text, {})))
            self.assertEqual(error.name, ERROR + "InvalidArgument", text)

    # The monitor

    def monitor(self, command):
        return json.loads(self.root.call(self.web, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (command, {})))[0])

    def test_the_monitor_answers_and_what_it_refuses_is_an_answer(self):
        self.assertEqual(self.monitor('{"execute": "query-status"}')["return"]["status"], "running")
        self.assertEqual(self.monitor('{"execute": "human-monitor-command", "arguments": {"command-line": "info name"}}')["return"], "web\r\n")
        self.assertEqual(self.monitor('{"execute": "no-such-command"}')["error"]["class"], "CommandNotFound")


class Displays(GuestCase):
    """Displays that exclude one another, on a machine that boots nothing."""

    def start(self, name, devices):
        domain = self.define(name, boot=False, disk=False, memory=32, devices=devices)
        self.root.domain(domain, "Start")
        self.addCleanup(self.root.domain, domain, "Destroy")
        return domain

    def test_dbus_is_a_connection_of_its_own_with_qemu(self):
        domain = self.start("dbus", "<graphics type='dbus' p2p='yes'/><video><model type='vga'/></video>")
        stream = Gio.Socket.new_from_fd(self.root.open(domain, "OpenDisplay", "dbus"))
        connection = Gio.DBusConnection.new_sync(stream.connection_factory_create_connection(), None,
                                                 Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        self.addCleanup(connection.close_sync, None)
        xml = connection.call_sync(None, "/org/qemu/Display1", "org.freedesktop.DBus.Introspectable", "Introspect", None, None,
                                   Gio.DBusCallFlags.NONE, DEADLINE * 1000, None).unpack()[0]
        self.assertIn("Console_0", xml)
        name = connection.call_sync(None, "/org/qemu/Display1/VM", "org.freedesktop.DBus.Properties", "Get",
                                    variant("('org.qemu.Display1.VM', 'Name')"), None, Gio.DBusCallFlags.NONE, DEADLINE * 1000,
                                    None).unpack()[0]
        self.assertEqual(name, "dbus")

    def test_spice_where_the_emulator_has_it_and_a_clear_refusal_where_not(self):
        try:
            domain = self.start("spice", "<graphics type='spice' autoport='yes'/><video><model type='vga'/></video>")
        except Failure as failure:
            self.assertEqual(failure.name, ERROR + "UnsupportedConfiguration")
            self.assertIn("spice", failure.message.lower())
            return
        stream = socket.socket(fileno=self.root.open(domain, "OpenDisplay", "spice"))
        self.addCleanup(stream.close)
        stream.settimeout(DEADLINE)
        # SpiceLinkHeader: magic, major, minor, size; SpiceLinkMess: connection, channel type and id, two counts, offset.
        stream.sendall(b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18))
        self.assertEqual(stream.recv(4), b"REDQ")

    def test_a_guest_without_a_screen(self):
        domain = self.start("blind", "")
        self.assertEqual(self.root.refused(domain, "Screenshot").name, ERROR + "NoDevice")

    def test_a_guest_without_an_agents_channel(self):
        domain = self.start("dumb", "")
        error = self.root.fails(domain, DOMAIN, "GuestAgentCommand", variant("""('{"execute": "guest-info"}', @a{sv} {})"""))
        self.assertEqual(error.name, ERROR + "NoAgent")

    def test_an_emulator_that_hangs_costs_a_time_limit_and_no_other_call(self):
        domain = self.start("hung", "<graphics type='vnc'/><video><model type='vga'/></video>")
        pid = self.emulator(domain)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        pending = [self.root.send(domain, DOMAIN, member, arguments) for member, arguments in (
            ("Screenshot", variant("(@a{sv} {},)")), ("OpenDisplay", variant("('vnc', @a{sv} {})")))]
        self.assertEqual(self.root.property(domain, "State"), "running")
        for call in pending:
            with self.assertRaises(Failure) as caught:
                call.result()
            self.assertEqual(caught.exception.name, ERROR + "Timeout")

    def test_the_guests_end_ends_its_streams(self):
        domain = self.define("short", boot=False, disk=False, memory=32,
                             devices="<channel type='unix'><target type='virtio' name='org.example.0'/></channel>")
        self.root.domain(domain, "Start")
        streams = [self.enter(Console(self.root.open(domain, member, ""))) for member in ("OpenConsole", "OpenChannel")]
        self.root.domain(domain, "Destroy")
        for stream in streams:
            stream.wait_end()


class KeysOfAnEnd(GuestCase):
    def test_the_three_keys_reboot_the_guest(self):
        domain = self.define("keys", devices="<input type='keyboard' bus='ps2'/><video><model type='vga'/></video>")
        order = self.order()
        self.root.domain(domain, "Start")
        console = self.enter(Console(self.root.open(domain, "OpenConsole", "")))
        console.wait("guest login: ")
        keys = f"(@au [uint32 {KEY_LEFTCTRL}, uint32 {KEY_LEFTALT}, uint32 {KEY_DELETE}], @a{{sv}} {{}})"
        self.root.call(domain, DOMAIN, "SendKeys", variant(keys))
        console.wait("boot 2 of this disk")
        order.wait_for(domain, "Rebooted")


class Shell:
    """A console with a shell that does not echo."""

    def __init__(self, console):
        self.console = console

    def send(self, text):
        self.console.send(text)

    def run(self, command):
        self.console.send(f"{command}; echo end$((1+1))\n")
        return self.console.wait(r"(?s)(.*?)\r?\n?end2\r\n").group(1).replace("/root # ", "").strip()


def receive(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise AssertionError(f"the stream ended after {data!r}")
        data += piece
    return data


def png_size(data):
    """Width and height of a PNG whose every part has its right checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    position, parts = 8, []
    while position < len(data):
        (length,) = struct.unpack(">I", data[position:position + 4])
        body = data[position + 4:position + 8 + length]
        assert struct.unpack(">I", data[position + 8 + length:position + 12 + length])[0] == zlib.crc32(body), body[:4]
        parts.append(body[:4])
        if body[:4] == b"IHDR":
            size = struct.unpack(">II", body[4:12])
        position += 12 + length
    assert parts[0] == b"IHDR" and parts[-1] == b"IEND" and b"IDAT" in parts, parts
    return size


if __name__ == "__main__":
    unittest.main()
