# SPDX-License-Identifier: LGPL-2.1-or-later
"""What virtproxyd logs: by level and by module, said over the bus, by the administration or in its file; its workers follow."""

import signal
import unittest

from gi.repository import GLib

from classic import ADMIN, Raw, optional, string, uint
from harness import DAEMON, DEADLINE, has_owner, options, wait_until
from proxied import ProxiedCase
from proxyd import Proxyd

PROXY, ROOT = "org.virtbus.Proxy1", "/org/virtbus/Proxy1"
ADMIN_OPEN, GET_OUTPUTS, GET_FILTERS, SET_OUTPUTS, SET_FILTERS = 1, 14, 15, 16, 17
LEFT = "is let go: it has left"  # a worker, of a client; for debugging


def filters(text):
    """As the reply has them."""
    return optional(string(text)) + uint(len(text.split()))


class LogCase(ProxiedCase):
    def setUp(self):
        super().setUp()
        self.admin = self.administer("libvirt-admin-sock")
        self.other = self.raw()

    def administer(self, name):
        admin = self.enter(Raw(self.proxyd.socket.parent / name))
        admin.call(ADMIN_OPEN, uint(0), program=ADMIN)
        return admin

    def get(self, name):
        return self.client.call(ROOT, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (DAEMON, name)), destination=PROXY)[0]

    def set(self, name, value):
        self.client.call(ROOT, "org.freedesktop.DBus.Properties", "Set", GLib.Variant("(ssv)", (DAEMON, name, GLib.Variant("s", value))),
                         destination=PROXY)


class Log(LogCase):
    def n_left(self):
        """How often the worker has logged that a client left; one more comes and leaves, as it may have to hear of a change yet."""
        Raw(self.proxyd.socket, is_open=True, uri="qemu:///session").close()
        return self.proxyd.logged().count(LEFT)

    def is_quiet(self):
        """Five have left, and nothing was said of it."""
        before = self.n_left()
        for _ in range(5):
            now = self.n_left()
        return now == before

    def test_workers_follow(self):
        wait_until(lambda: self.n_left() > 0)
        self.set("LogLevel", "error")
        wait_until(self.is_quiet)
        before = self.n_left()
        self.set("LogFilters", "4:proxy/worker 1:proxy/conn*n")
        wait_until(lambda: self.n_left() > before + 2)
        self.set("LogThreshold", "error")
        wait_until(self.is_quiet)

    def test_the_administration_sees_and_sets_the_same(self):
        self.assertEqual(self.admin.call(GET_FILTERS, uint(0), program=ADMIN), filters(""))
        self.admin.call(SET_FILTERS, uint(1) + string(" 1:proxy  3:bus") + uint(0), program=ADMIN)
        self.assertEqual(self.get("LogFilters"), "1:proxy 3:bus")
        self.assertEqual(self.admin.call(GET_FILTERS, uint(0), program=ADMIN), filters("1:proxy 3:bus"))
        self.set("LogThreshold", "warning")
        self.assertEqual(self.admin.call(GET_OUTPUTS, uint(0), program=ADMIN), string("3:journald") + uint(1))
        self.admin.call(SET_OUTPUTS, uint(1) + string("4:journald") + uint(0), program=ADMIN)
        self.assertEqual(self.get("LogThreshold"), "error")
        self.admin.call(SET_OUTPUTS, uint(0) + uint(0), program=ADMIN)
        self.assertEqual(self.get("LogThreshold"), "debug")
        self.admin.call(SET_FILTERS, uint(0) + uint(0), program=ADMIN)
        self.assertEqual(self.get("LogFilters"), "")

    def test_so_at_the_drivers_socket(self):
        admin = self.administer("virtqemud-admin-sock")
        admin.call(SET_FILTERS, uint(1) + string("1:qemu/monitor") + uint(0), program=ADMIN)
        admin.call(SET_OUTPUTS, uint(1) + string("2:journald") + uint(0), program=ADMIN)
        self.assertEqual(self.client.get("/org/virtbus/Qemu1", DAEMON, "LogFilters"), "1:qemu/monitor")
        self.assertEqual(self.client.get("/org/virtbus/Qemu1", DAEMON, "LogThreshold"), "info")
        self.assertEqual(admin.call(GET_FILTERS, uint(0), program=ADMIN), filters("1:qemu/monitor"))
        self.assertEqual(self.get("LogFilters"), "")

    def test_what_is_none_is_refused(self):
        for admin in (self.admin, self.administer("virtqemud-admin-sock")):
            refused = admin.fails(SET_FILTERS, uint(1) + string("1:proxy 5:bus") + uint(0), program=ADMIN)
            self.assertIn("log filter 2, '5:bus': must be a level from 1 (debug) to 4 (error)", refused.message)
            refused = admin.fails(SET_OUTPUTS, uint(1) + string("1:file:/tmp/log") + uint(0), program=ADMIN)
            self.assertIn("log output '1:file:/tmp/log': must be", refused.message)
            self.assertEqual(admin.call(GET_FILTERS, uint(0), program=ADMIN), filters(""))


class Settings(LogCase):
    """/etc/virtbus/proxy.conf, or the user's."""

    def setUp(self):
        super().setUp()
        self.file = self.bus.directory / "config" / "virtbus" / "proxy.conf"
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def reload(self):
        self.client.call(ROOT, DAEMON, "Reload", options(), destination=PROXY)

    def test_reload_reads_them(self):
        self.file.write_text('log_filters = "1:proxy 3:bus"\nlog_outputs = "2:journald"\n', encoding="ascii")
        self.reload()
        self.assertEqual((self.get("LogFilters"), self.get("LogThreshold")), ("1:proxy 3:bus", "info"))
        # What they do not say stays as it is.
        self.file.write_text('log_outputs = "1:journald"\n', encoding="ascii")
        self.reload()
        self.assertEqual((self.get("LogFilters"), self.get("LogThreshold")), ("1:proxy 3:bus", "debug"))

    def test_the_command_line_goes_first(self):
        self.file.write_text("log_level = 3\n", encoding="ascii")
        self.reload()
        self.assertEqual(self.get("LogLevel"), "debug")  # --verbose

    def test_what_is_wrong_is_told_with_its_place(self):
        self.file.write_text('# one\nlog_filters = "1:proxy 9:bus"\nlog_outputs = "1:stderr"\nlog_level = 5\n', encoding="ascii")
        self.reload()
        logged = self.proxyd.logged()
        self.assertIn("proxy.conf:2: log_filters: log filter 2, '9:bus': must be a level", logged)
        self.assertIn("proxy.conf:3: log_outputs: log output '1:stderr': must be", logged)
        self.assertIn("proxy.conf:4: log_level: '5' is out of range (1 to 4)", logged)
        self.assertEqual((self.get("LogFilters"), self.get("LogThreshold")), ("", "debug"))

    def test_they_are_read_at_the_start(self):
        self.file.write_text('log_filters = "2:proxy"\n', encoding="ascii")
        self.proxyd.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.proxyd.process.wait(DEADLINE), 0)
        self.enter(Proxyd(self.qemud, "libvirt-sock"))
        wait_until(lambda: has_owner(self.bus, PROXY))
        self.assertEqual(self.get("LogFilters"), "2:proxy")


if __name__ == "__main__":
    unittest.main()
