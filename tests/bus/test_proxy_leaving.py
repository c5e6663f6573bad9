# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtproxyd that is told to end while clients wait for answers: whoever has called is answered first, within measure."""

import signal
import struct
import unittest

import libvirt

from classic import ADMIN, GET_URI, Raw, packet, string, uint
from harness import DAEMON, DEADLINE, options, wait_until
from proxied import ProxiedCase, domain
from qemud import xml

DEFINE_XML, GET_XML = 11, 14
ADMIN_OPEN, SHUT_DOWN, PRESERVE = 1, 20, 1
PROXY, ROOT = "org.virtbus.Proxy1", "/org/virtbus/Proxy1"


class Leaving(ProxiedCase):
    def setUp(self):
        super().setUp()
        self.get_xml = domain("web", self.connection.defineXML(xml("web")).UUID()) + struct.pack(">I", 0)
        self.waiting, self.idle = self.raw(), self.raw()
        self.waiting.call(GET_XML, self.get_xml)  # it has its link to the driver

    def stop_the_driver(self):
        self.qemud.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.let_it_go_on)

    def let_it_go_on(self):
        self.qemud.process.send_signal(signal.SIGCONT)

    def assert_answered_and_closed(self, *serials):
        """After the daemon has let go who waited for nothing."""
        self.assertTrue(self.idle.is_gone())
        self.let_it_go_on()
        self.assertEqual({self.waiting.receive().serial for _ in serials}, set(serials))
        self.assertTrue(self.waiting.is_gone())
        self.assertEqual(self.proxyd.process.wait(DEADLINE), 0)

    def test_a_signal_lets_calls_be_answered(self):
        self.stop_the_driver()
        serials = [self.waiting.begin(GET_XML, self.get_xml) for _ in range(3)]
        self.proxyd.process.terminate()
        self.assert_answered_and_closed(*serials)

    def test_so_does_shutdown_over_the_bus(self):
        self.stop_the_driver()
        serial = self.waiting.begin(GET_XML, self.get_xml)
        self.client.call(ROOT, DAEMON, "Shutdown", options(), destination=PROXY)
        self.assert_answered_and_closed(serial)

    def test_what_was_called_has_an_effect(self):
        self.stop_the_driver()
        serial = self.waiting.begin(DEFINE_XML, string(xml("late")))
        self.proxyd.process.terminate()
        self.assert_answered_and_closed(serial)
        wait_until(lambda: len(self.client.domains()) == 2)

    def test_nothing_is_taken_any_more(self):
        self.stop_the_driver()
        serial = self.waiting.begin(GET_XML, self.get_xml)
        self.proxyd.process.terminate()
        self.assertTrue(self.idle.is_gone())
        self.waiting.begin(GET_URI)
        self.assert_answered_and_closed(serial)

    def test_who_hangs_is_not_waited_for_for_ever(self):
        self.stop_the_driver()
        self.waiting.begin(GET_XML, self.get_xml)
        self.proxyd.process.terminate()
        self.assertTrue(self.waiting.is_gone())
        self.assertEqual(self.proxyd.process.wait(DEADLINE), 0)

    def test_who_is_in_the_midst_of_a_packet_is_not_waited_for(self):
        self.waiting.send(packet(self.get_xml, procedure=GET_XML)[:40])
        self.proxyd.process.terminate()
        self.assertTrue(self.waiting.is_gone())
        self.assertEqual(self.proxyd.process.wait(DEADLINE), 0)


class Driver(ProxiedCase):
    """virtqemud's end, asked for at its own administration socket."""

    def setUp(self):
        super().setUp()
        self.domain = self.connection.defineXML(xml("web"))
        self.domain.create()
        self.admin = self.enter(Raw(self.proxyd.socket.parent / "virtqemud-admin-sock"))
        self.admin.call(ADMIN_OPEN, uint(0), program=ADMIN)

    def shut_down(self, flags):
        self.assertEqual(self.admin.call(SHUT_DOWN, uint(flags), program=ADMIN), b"")
        self.assertEqual(self.qemud.process.wait(DEADLINE), 0)
        wait_until(lambda: not self.qemud.has_name())
        self.qemud.start()

    def test_guests_run_on(self):
        emulator = self.qemud.emulator(self.domain.UUIDString())
        self.shut_down(0)
        self.assertEqual(self.domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        self.assertEqual(self.qemud.emulator(self.domain.UUIDString()), emulator)

    def test_they_are_brought_to_safety_if_that_is_asked_for(self):
        self.shut_down(PRESERVE)
        self.assertEqual(self.domain.state()[0], libvirt.VIR_DOMAIN_SHUTOFF)
        self.assertTrue(self.domain.hasManagedSaveImage())
        self.domain.create()

    def test_other_flags_are_none(self):
        for flags in (2, 3, 0x80000000):
            self.assertIn("unsupported flags", self.admin.fails(SHUT_DOWN, uint(flags), program=ADMIN).message)
        self.assertEqual(self.domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)


if __name__ == "__main__":
    unittest.main()
