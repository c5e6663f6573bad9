# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt has got since the clients that are here: sent byte by byte."""

import struct
import unittest

import libvirt

from classic import OPERATION_DENIED
from proxied import Listener, ProxiedCase, domain
from qemud import xml

GET_AUTOSTART_ONCE, SET_AUTOSTART_ONCE = 449, 450


class AutostartOnce(ProxiedCase):
    """Procedures that are newer than the clients here."""

    def setUp(self):
        super().setUp()
        self.listener = self.raw()
        self.guest = domain("web", self.connection.defineXML(xml("web")).UUID())

    def told(self):
        return struct.unpack(">i", self.listener.call(GET_AUTOSTART_ONCE, self.guest))[0]

    def test_it_is_set_and_told(self):
        path = self.client.find("web")
        for wanted in (1, 0, 1):
            self.assertEqual(self.listener.call(SET_AUTOSTART_ONCE, self.guest + struct.pack(">i", wanted)), b"")
            self.assertEqual(self.told(), wanted)
            self.assertEqual(self.client.property(path, "AutostartOnce"), bool(wanted))
        self.assertFalse(self.client.property(path, "Autostart"))

    def test_a_transient_guest_has_none(self):
        passing = domain("passing", self.connection.createXML(xml("passing"), libvirt.VIR_DOMAIN_START_PAUSED).UUID())
        self.assertIn("transient", self.listener.fails(SET_AUTOSTART_ONCE, passing + struct.pack(">i", 1)).message)

    def test_who_only_reads_may_not_set_it(self):
        reader = self.enter(Listener(self.proxyd.socket, is_open=True, uri="qemu:///session", flags=1))
        self.assertEqual(reader.call(GET_AUTOSTART_ONCE, self.guest), struct.pack(">i", 0))
        self.assertEqual(reader.fails(SET_AUTOSTART_ONCE, self.guest + struct.pack(">i", 1)).code, OPERATION_DENIED)


if __name__ == "__main__":
    unittest.main()
