# SPDX-License-Identifier: LGPL-2.1-or-later
"""logind as the daemons see it when the host goes down or to sleep: it gives out locks, says what is to come, and knows when it may.

It stands on the private bus, which is also the system's for those daemons; nothing sleeps or goes down."""

import os
import select

from gi.repository import Gio, GLib

from harness import wait_until
from services import Service

MANAGER = "org.freedesktop.login1.Manager"


class Lock:
    """A lock that was given: what stands in it, and the end of a pipe whose other end is the lock itself."""

    def __init__(self, what, who, why, mode):
        self.what, self.who, self.why, self.mode = what, who, why, mode
        self.end, self.descriptor = os.pipe()

    def is_held(self):
        return not select.select([self.end], [], [], 0)[0]


class Logind(Service):
    NAME, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
    XML = f"""<node><interface name='{MANAGER}'>
      <method name='Inhibit'>
        <arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='s' direction='in'/>
        <arg type='h' direction='out'/>
      </method>
      <property name='PreparingForSleep' type='b' access='read'/>
      <property name='PreparingForShutdown' type='b' access='read'/>
      <signal name='PrepareForSleep'><arg type='b'/></signal>
      <signal name='PrepareForShutdown'><arg type='b'/></signal>
    </interface></node>"""

    def __init__(self, bus):
        self.locks = []
        self.preparing = {"PrepareForSleep": False, "PrepareForShutdown": False}
        super().__init__(bus)

    def _get(self, _connection, _sender, _path, _interface, name):
        return GLib.Variant("b", self.preparing[name.replace("Preparing", "Prepare")])

    def _called(self, _connection, _sender, _path, _interface, _method, parameters, invocation):
        lock = Lock(*parameters.unpack())
        self.locks.append(lock)
        descriptors = Gio.UnixFDList.new_from_array([lock.descriptor])  # which closes it with itself
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), descriptors)

    def held(self, what):
        """The locks of this kind that are held."""
        return [lock for lock in self.locks if lock.what == what and lock.is_held()]

    def wait_for_lock(self, what):
        wait_until(lambda: self.held(what))

    def wait_for_release(self, what):
        wait_until(lambda: not self.held(what))

    def tell(self, signal, begins):
        """"PrepareForSleep" or "PrepareForShutdown": true before it, false after, or when it was called off."""
        self.preparing[signal] = begins
        self.client.connection.emit_signal(None, self.PATH, MANAGER, signal, GLib.Variant("(b)", (begins,)))
        self.client.connection.flush_sync()

    def close(self):
        super().close()
        for lock in self.locks:
            os.close(lock.end)
