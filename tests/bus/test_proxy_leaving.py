# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtproxyd that is told to end while clients wait for answers: whoever has called is answered first, within measure. And clients that
leave while it is at work for them: what they have called for comes to its end all the same."""

import os
import signal
import struct
import unittest

import libvirt

from classic import ADMIN, ERROR, GET_URI, Raw, descriptors, packet, string, uint
from harness import DAEMON, DEADLINE, options, wait_until
from proxied import ProxiedCase, domain
from qemud import xml

DEFINE_XML, GET_XML, CORE_DUMP, SAVE = 11, 14, 53, 55
ADMIN_OPEN, LIST_CLIENTS, SHUT_DOWN, PRESERVE = 1, 8, 20, 1
LINGER_MAX = 64  # clients of a worker that have left, with calls under way
PROXY, ROOT = "org.virtbus.Proxy1", "/org/virtbus/Proxy1"


class StoppedDriver(ProxiedCase):
    def stop_the_driver(self):
        self.qemud.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.let_it_go_on)

    def let_it_go_on(self):
        self.qemud.process.send_signal(signal.SIGCONT)


class Leaving(StoppedDriver):
    def setUp(self):
        super().setUp()
        self.get_xml = domain("web", self.connection.defineXML(xml("web")).UUID()) + struct.pack(">I", 0)
        self.waiting, self.idle = self.raw(), self.raw()
        self.waiting.call(GET_XML, self.get_xml)  # it has its link to the driver

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


class Client(StoppedDriver):
    """Leaves before its call has been answered."""

    def setUp(self):
        super().setUp()
        self.domain = self.connection.defineXML(xml("web"))
        self.domain.create()
        self.web = domain("web", self.domain.UUID(), self.domain.ID())
        self.other = self.raw()
        self.admin = self.enter(Raw(self.proxyd.socket.parent / "libvirt-admin-sock"))
        self.admin.call(ADMIN_OPEN, uint(0), program=ADMIN)
        self.file = self.bus.directory / "guest"
        wait_until(lambda: self.n_clients() == 2)  # who only tried whether the daemon listens has been noticed to be gone

    def n_clients(self):
        """As the administration is told."""
        return int.from_bytes(self.admin.call(LIST_CLIENTS, string("libvirtd") + uint(0) + uint(0), program=ADMIN)[-4:], "big")

    def worker(self):
        """The one of the clients; the administration's is the younger one."""
        with open(f"/proc/{self.proxyd.process.pid}/task/{self.proxyd.process.pid}/children", encoding="ascii") as children:
            return int(children.read().split()[0])

    def call_and_leave(self, procedure, body):
        """When the file has been made, or opened, and while the driver does nothing."""
        clients, size = self.n_clients(), self.file.stat().st_size if self.file.exists() else None
        leaver = self.raw()
        self.stop_the_driver()
        leaver.begin(procedure, body)
        wait_until(lambda: self.file.exists() and (size is None or self.file.stat().st_size == 0))
        leaver.close()
        wait_until(lambda: self.n_clients() == clients)

    def end_the_guest(self):
        """So nothing can be saved of it."""
        os.kill(self.qemud.emulator(self.domain.UUIDString()), signal.SIGKILL)

    def test_a_save_that_fails_takes_its_file_away(self):
        self.call_and_leave(SAVE, self.web + string(str(self.file)))
        self.end_the_guest()
        self.let_it_go_on()
        wait_until(lambda: not self.file.exists())
        wait_until(lambda: self.domain.state()[0] == libvirt.VIR_DOMAIN_SHUTOFF)

    def test_who_stays_finds_it_gone(self):
        """When the error comes."""
        self.stop_the_driver()
        serial = self.other.begin(SAVE, self.web + string(str(self.file)))
        wait_until(self.file.exists)
        self.end_the_guest()
        self.let_it_go_on()
        reply = self.other.receive()
        self.assertEqual((reply.serial, reply.status), (serial, ERROR))
        self.assertFalse(self.file.exists(), reply.error())

    def test_so_does_a_dump(self):
        self.call_and_leave(CORE_DUMP, self.web + string(str(self.file)) + uint(0))
        self.end_the_guest()
        self.let_it_go_on()
        wait_until(lambda: not self.file.exists())

    def test_a_file_that_was_there_before_stays(self):
        self.file.write_text("mine", encoding="ascii")
        sockets = self.n_sockets()
        self.call_and_leave(SAVE, self.web + string(str(self.file)))
        self.end_the_guest()
        self.let_it_go_on()
        wait_until(lambda: self.n_sockets() == sockets)
        self.assertTrue(self.file.exists())

    def test_a_save_that_succeeds_does_so(self):
        self.call_and_leave(SAVE, self.web + string(str(self.file)))
        self.let_it_go_on()
        wait_until(lambda: self.domain.state()[0] == libvirt.VIR_DOMAIN_SHUTOFF)
        self.connection.restore(str(self.file))
        self.assertEqual(self.domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)

    def n_sockets(self):
        """Of the worker: each client has one, and one to the driver."""
        return sum(target.startswith("socket:") for target in descriptors(self.worker()).values())

    def leave_all(self, n):
        """So many clients call, and leave, while the driver does nothing."""
        get_xml = self.web + struct.pack(">I", 0)
        leavers = [self.raw() for _ in range(n)]
        for leaver in leavers:
            leaver.call(GET_XML, get_xml)
        self.stop_the_driver()
        for leaver in leavers:
            leaver.begin(GET_XML, get_xml)
            leaver.begin(GET_URI)
            leaver.receive()  # what only the worker is asked for: it has seen the other, too
        for leaver in leavers:
            leaver.close()

    def test_all_that_was_kept_for_them_goes(self):
        clients, sockets = self.n_clients(), self.n_sockets()
        self.leave_all(5)
        wait_until(lambda: self.n_clients() == clients)
        wait_until(lambda: self.n_sockets() == sockets + 5)
        self.let_it_go_on()
        wait_until(lambda: self.n_sockets() == sockets)
        self.other.call(GET_XML, self.web + struct.pack(">I", 0))

    def test_so_many_may_and_no_more(self):
        sockets = self.n_sockets()
        self.leave_all(LINGER_MAX + 6)
        wait_until(lambda: self.n_sockets() == sockets + LINGER_MAX)
        self.other.call(GET_URI)
        self.let_it_go_on()
        wait_until(lambda: self.n_sockets() == sockets)


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
