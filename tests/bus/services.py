# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that others run, played on a private bus; and the polkit among them, which says what it is told to say."""

import threading

from gi.repository import Gio, GLib

from harness import DEADLINE, Client, wait_until


class Service:
    """A subclass says its name and what it offers. It answers from its connection's own thread, while the test waits."""

    NAME = PATH = XML = None

    def __init__(self, bus):
        self.client = Client(bus)
        self._register(Gio.DBusNodeInfo.new_for_xml(self.XML).interfaces[0])
        self.client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                         GLib.Variant("(su)", (self.NAME, 4)), destination="org.freedesktop.DBus")

    def _register(self, interface):
        done = threading.Event()

        def register(_data):
            self.client.connection.register_object(self.PATH, interface, self._called, self._get, None)
            done.set()
            return False

        source = GLib.idle_source_new()
        source.set_callback(register)
        source.attach(self.client.context)
        done.wait(DEADLINE)

    def _called(self, connection, sender, path, interface, method, parameters, invocation):
        raise NotImplementedError

    def _get(self, connection, sender, path, interface, name):
        """The value of a property."""
        raise NotImplementedError

    def close(self):
        self.client.close()


def nobody_may(_action, _details, _interactive):
    return False


def owners_may(action, _details, _interactive):
    return action.endswith("-own")


class Polkit(Service):
    """Answers CheckAuthorization by a function of user and action: True, False, "challenge", "hang", or a pair with details. Counts what it is asked."""

    XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority">
      <method name="CheckAuthorization">
        <arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
        <arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/>
      </method>
      <method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
      <signal name="Changed"/>
    </interface></node>"""
    NAME = "org.freedesktop.PolicyKit1"
    PATH = "/org/freedesktop/PolicyKit1/Authority"
    INTERFACE = "org.freedesktop.PolicyKit1.Authority"

    def __init__(self, bus, rule=nobody_may):
        self.rule = rule
        self.asked = []
        self.subjects = []
        self.withdrawn = []
        self.hanging = []
        super().__init__(bus)

    def _called(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        if method == "CancelCheckAuthorization":
            self.withdrawn.append(parameters.unpack()[0])
            invocation.return_value(None)
            return
        subject, action, details, flags, _cancellation = parameters.unpack()
        assert subject[0] == "unix-process" or (subject[0] == "system-bus-name" and subject[1]["name"].startswith(":"))
        self.subjects.append(subject)
        self.asked.append((action, details, bool(flags & 1)))
        self._answer(invocation, self.rule(action, details, bool(flags & 1)))

    def _answer(self, invocation, verdict):
        details = {}
        if isinstance(verdict, tuple):
            verdict, details = verdict
        if verdict == "hang":
            self.hanging.append(invocation)
            return
        body = (verdict is True, verdict == "challenge", details)
        invocation.return_value(GLib.Variant("((bba{ss}))", (body,)))

    def release(self, verdict):
        """Answers the oldest question that was left hanging."""
        wait_until(lambda: self.hanging)
        self._answer(self.hanging.pop(0), verdict)
        self.client.connection.flush_sync(None)

    def changed(self):
        self.client.connection.emit_signal(None, self.PATH, self.INTERFACE, "Changed", None)
        self.client.connection.flush_sync(None)

    def actions(self):
        return [action for action, _, _ in self.asked]
