#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that mean harm: what they send is bounded, refused, or ends their own connection; nobody else notices. Where a class of holes of libvirt's history
is what a test keeps shut, its numbers stand above it."""

import contextlib
import csv
import os
import pathlib
import random
import resource
import socket
import struct
import subprocess
import time
import unittest

from classic import (ADMIN, CALL_WITH_FDS, CONTINUE, ERROR, GET_URI, HEADER, KEEPALIVE, LENGTH_MAX, LXC, MESSAGE, OK, OPEN, OPERATION_DENIED,
                     QEMU, REMOTE, REPLY, RPC, STREAM, STREAM_HOLE, Case, Gone, Raw, Refused, descriptors, hyper, optional, packet,
                     resident, string, uint)
from harness import ALICE, BOB, DEADLINE, has_owner, wait_until

SANITIZED = b"libasan" in pathlib.Path(os.environ["VIRTPROXYD"]).read_bytes()
MIB = 1024 * 1024

DOMAIN = string("x") + bytes(16) + uint(-1)
LIST_DOMAINS, LIST_DEFINED_DOMAINS, LIST_INTERFACES, OPEN_CONSOLE, GET_HOSTNAME = 37, 21, 128, 201, 59
SET_SCHEDULER, GET_SCHEDULER, LOOKUP_BY_NAME, GET_XML, DEFINE_XML, PIN_VCPU = 58, 57, 23, 14, 11, 26


def procedures():
    with open(pathlib.Path(os.environ["PROTOCOL"]) / "procedures.tsv", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return [row for row in csv.DictReader(lines, delimiter="\t") if row["program"] in ("remote", "qemu", "lxc")]


PROGRAMS = {"remote": REMOTE, "qemu": QEMU, "lxc": LXC}


class Framing(Case):
    def test_a_length_that_no_packet_has_ends_the_connection(self):
        for length in (0, 1, 4, 27, LENGTH_MAX + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            client = self.raw(is_open=True)
            client.send(packet(procedure=GET_URI, length=length))
            self.assertTrue(client.is_gone(), length)
        self.assert_serves()

    def test_a_packet_may_come_byte_by_byte(self):
        client = self.raw(is_open=True)
        for byte in packet(procedure=GET_URI, serial=7):
            client.send(bytes([byte]))
        self.assertEqual(client.receive().serial, 7)

    def test_half_a_packet_and_then_nothing_is_just_forgotten(self):
        for cut in (1, 3, 4, 20, HEADER - 1, HEADER, HEADER + 5):
            client = self.raw(is_open=True)
            client.send(packet(optional(string("qemu:///system")) + uint(0), procedure=OPEN)[:cut])
            client.close()
        self.assert_serves()

    def test_what_is_unknown_is_answered_as_libvirt_does(self):
        client = self.raw(is_open=True)
        for how in ({"program": 1}, {"program": ADMIN}, {"version": 2}, {"version": 0}, {"program": QEMU, "version": 9}):
            refused = client.fails(GET_URI, **how)
            self.assertEqual((refused.code, refused.domain), (RPC, 7), how)
        for number in (0, -1, 454, 100000, 0x7FFFFFFF, -0x80000000):
            self.assertEqual(client.fails(number).code, RPC, number)
        self.assertEqual(client.uri(), "qemu:///system")

    # CVE-2012-4423: the number of an event, called, led nowhere.
    def test_the_number_of_an_event_is_no_call(self):
        client = self.raw(is_open=True)
        events = [row for row in procedures() if row["kind"] == "event"]
        self.assertGreater(len(events), 50)
        for row in events:
            refused = client.fails(int(row["number"]), bytes(64), program=PROGRAMS[row["program"]])
            self.assertEqual(refused.code, RPC, row["name"])

    def test_a_call_that_says_it_failed_is_refused(self):
        client = self.raw(is_open=True)
        for status in (ERROR, CONTINUE, 3, 0xFFFFFFFF):
            self.assertIsInstance(client.fails(GET_URI, status=status), Refused)
        self.assertEqual(client.uri(), "qemu:///system")

    def test_packets_that_only_servers_send_do_not_confuse(self):
        client = self.raw(is_open=True)
        for kind in (REPLY, 5, 7, 99, 0xFFFFFFFF):
            client.send(packet(procedure=GET_URI, kind=kind, serial=99))
        client.send(packet(procedure=3, program=KEEPALIVE, kind=MESSAGE))
        client.send(packet(procedure=2, program=KEEPALIVE, kind=MESSAGE))
        self.assertEqual(client.uri(), "qemu:///system")

    def test_stream_packets_that_nobody_asked_for_are_ignored(self):
        client = self.raw(is_open=True)
        for kind, body in ((STREAM, b""), (STREAM, bytes(262120)), (STREAM_HOLE, hyper(1 << 40)), (STREAM_HOLE, b"")):
            for status in (OK, ERROR, CONTINUE):
                client.send(packet(body, procedure=OPEN_CONSOLE, kind=kind, serial=5, status=status))
        self.assertEqual(client.uri(), "qemu:///system")

    def test_noise_ends_only_its_own_connection(self):
        noise = random.Random(1)
        for _ in range(200):
            client = Raw(self.proxy.path(), is_open=True)
            data = bytearray(packet(noise.randbytes(noise.randrange(200)), procedure=noise.randrange(1, 453), serial=1))
            for _ in range(noise.randrange(4)):
                data[noise.randrange(len(data))] ^= 1 << noise.randrange(8)
            client.send(bytes(data))
            client.close()
        self.assert_serves()
        self.assertNotIn("was killed", self.proxy.logged())


class Bodies(Case):
    def assert_undecodable(self, procedure, body, **how):
        client = self.raw(is_open=True)
        refused = client.fails(procedure, body, **how)
        self.assertEqual((refused.code, refused.domain), (RPC, 7), refused)
        self.assertEqual(client.uri(), "qemu:///system")

    def test_a_body_that_ends_early(self):
        whole = DOMAIN + uint(0)
        for cut in range(len(whole)):
            self.assert_undecodable(GET_XML, whole[:cut])

    def test_a_string_without_end(self):
        for length in (5, 0x7FFFFFFF, 0xFFFFFFFF, 4194305):
            self.assert_undecodable(LOOKUP_BY_NAME, uint(length) + b"abcd")
        self.assert_undecodable(LOOKUP_BY_NAME, string(b"with\0in"))

    # CVE-2024-2494, CVE-2012-3445: a negative or senseless count reached the allocator.
    def test_a_count_that_is_negative_or_a_lie_allocates_nothing(self):
        client = self.raw(is_open=True, uid=ALICE)
        before = resident(self.proxy.worker(ALICE))
        for count in (-1, -0x80000000, 0x7FFFFFFF, 0x10000000, 1025, 17):
            self.assertEqual(client.fails(SET_SCHEDULER, DOMAIN + uint(count)).code, RPC)
            self.assertEqual(client.fails(PIN_VCPU, DOMAIN + uint(0) + uint(count)).code, RPC)
        # The least of what was asked for would be more than a gigabyte.
        self.assertLess(resident(self.proxy.worker(ALICE)) - before, 64 * MIB)

    def test_a_union_of_unknown_type(self):
        for kind in (0, 8, -1, 0x7FFFFFFF):
            self.assert_undecodable(SET_SCHEDULER, DOMAIN + uint(1) + string("cpu_shares") + uint(kind) + uint(1))

    def test_an_optional_that_is_neither_there_nor_not(self):
        client = self.raw()
        for flag in (2, -1):
            self.assertEqual(client.fails(OPEN, uint(flag) + string("qemu:///system") + uint(0)).code, RPC)

    def test_the_longest_string_and_one_more(self):
        client = self.raw(is_open=True)
        self.assertNotEqual(client.fails(LOOKUP_BY_NAME, string("x" * 4194304)).code, RPC)
        self.assertEqual(client.fails(LOOKUP_BY_NAME, string("x" * 4194305)).code, RPC)

    def test_every_procedure_survives_zeros_and_ones(self):
        # As one whose connection is open, and as one whose is not.
        for body in (b"", bytes(4096), b"\xff" * 4096, struct.pack(">I", 1) * 1024):
            for is_open in (True, False):
                client = self.raw(uid=ALICE, is_open=is_open)
                for row in procedures():
                    if row["kind"] != "call" or row["name"] in ("connect_open", "connect_close"):
                        continue
                    try:
                        with contextlib.suppress(Refused):
                            client.call(int(row["number"]), body, program=PROGRAMS[row["program"]])
                    except Gone:
                        self.fail(f"{row['name']} with {body[:4]!r} ended the connection:\n{self.proxy.logged()[-4000:]}")
        self.assertNotIn("was killed", self.proxy.logged())
        self.assert_serves()


class WithDriver(Case):
    """The same with virtqemud behind it, so that calls come further."""

    def setUp(self):
        super().setUp()
        environment = {**os.environ, **self.bus.environment(), "VIRTBUS_KVM": "no"}
        self.driver = subprocess.Popen([os.environ["VIRTQEMUD"], "--session"], env=environment, stderr=subprocess.DEVNULL)
        self.addCleanup(self.driver.wait, DEADLINE)
        self.addCleanup(self.driver.terminate)
        wait_until(lambda: has_owner(self.bus, "org.virtbus.Qemu1"))


class Driver(WithDriver):
    def test_every_procedure_survives_what_makes_no_sense(self):
        left_alone = ("connect_open", "connect_close", "node_suspend_for_duration", "node_alloc_pages")  # the host is to stay as it is
        done = 0
        for body in (bytes(4096), b"\xff" * 4096, *(struct.pack(">I", word) * 1024 for word in (1, 2, 3))):
            client = self.raw(is_open=True)
            for row in procedures():
                if row["kind"] == "call" and row["name"] not in left_alone:
                    with contextlib.suppress(Refused):
                        client.call(int(row["number"]), body, program=PROGRAMS[row["program"]])
                        done += 1
        self.assertGreater(done, 50)
        self.assertIsNone(self.driver.poll())
        self.assertNotIn("was killed", self.proxy.logged())

    # CVE-2024-1441, CVE-2024-8235: arrays as large as the client says: none, negative, beyond all bounds.
    def test_a_list_is_no_longer_than_what_there_is(self):
        client = self.raw(is_open=True)
        for wanted in (0, 1, 16384):
            self.assertEqual(client.call(LIST_DOMAINS, uint(wanted)), uint(0))
            self.assertEqual(client.call(LIST_DEFINED_DOMAINS, uint(wanted)), uint(0))
        for wanted in (-1, 16385, 0x7FFFFFFF, -0x80000000):
            for procedure in (LIST_DOMAINS, LIST_DEFINED_DOMAINS, LIST_INTERFACES):
                with contextlib.suppress(Refused):
                    self.assertEqual(client.call(procedure, uint(wanted)), uint(0))
        self.assertEqual(client.uri(), "qemu:///system")


class Descriptors(Case):
    def test_more_descriptors_than_allowed_end_the_connection(self):
        client = self.raw(is_open=True)
        null = [os.open("/dev/null", os.O_RDONLY) for _ in range(33)]
        client.send(packet(uint(33), procedure=GET_URI, kind=CALL_WITH_FDS))
        with self.assertRaises(Gone):
            for fd in null:
                client.send(b"\0", [fd])
            client.receive()
        for fd in null:
            os.close(fd)
        self.assert_serves()

    def test_descriptors_that_nobody_asked_for_do_not_stay(self):
        keeper = self.raw(is_open=True, uid=ALICE)
        pid = self.proxy.worker(ALICE)
        before = len(descriptors(pid))
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(50):
            client = Raw(self.proxy.path(), ALICE, is_open=True)
            with contextlib.suppress(Gone):
                client.send(packet(procedure=GET_URI), [null] * 10)
                client.receive()
            client.close()
            client = Raw(self.proxy.path(), ALICE, is_open=True)
            with contextlib.suppress(Gone):
                client.send(packet(uint(2), procedure=GET_URI, kind=CALL_WITH_FDS))
                client.send(b"\0", [null])
                client.send(b"\0", [null])
                client.receive()
            client.close()
        os.close(null)
        wait_until(lambda: len(descriptors(pid)) <= before)
        self.assertEqual(keeper.uri(), "qemu:///system")


class Reading(Case):
    # CVE-2019-10161, -10166, -10167, -10168, CVE-2025-12748: calls that write, or run what they are given, went through where only reading is
    # allowed, or were refused too late.
    def test_a_read_only_socket_only_reads_whoever_calls(self):
        writing = [row for row in procedures() if row["kind"] == "call" and row["readonly_ok"].rstrip("?") == "n"]
        self.assertGreater(len(writing), 150)
        for connection in (self.raw("libvirt-sock-ro", is_open=True), self.raw("virtqemud-sock-ro", is_open=True, flags=0),
                           self.raw("libvirt-sock", is_open=True, flags=1)):
            for row in writing:
                refused = connection.fails(int(row["number"]), bytes(8192), program=PROGRAMS[row["program"]])
                self.assertEqual(refused.code, OPERATION_DENIED, f"{row['name']}: {refused}")

    # CVE-2014-7823: a flag that a read-only connection may give implied one that it may not.
    def test_a_read_only_socket_gives_no_secrets(self):
        client = self.raw("libvirt-sock-ro", is_open=True)
        self.assertEqual(client.fails(GET_XML, DOMAIN + uint(1)).code, OPERATION_DENIED)
        self.assertEqual(client.fails(GET_XML, DOMAIN + uint(9)).code, OPERATION_DENIED)

    def test_what_is_large_and_forbidden_costs_nothing(self):
        client = self.raw("libvirt-sock-ro", uid=ALICE, is_open=True)
        bomb = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>]><domain>" + "<a>" * 100000
        # Nobody is there who could read it: a call that came further would be told so.
        self.assertFalse(has_owner(self.bus, "org.virtbus.Qemu1"))
        for _ in range(20):
            self.assertEqual(client.fails(DEFINE_XML, string(bomb)).code, OPERATION_DENIED)


def need_descriptors():
    """As many as the unit gives."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))


class House(WithDriver):
    # As many as promised; fewer where each of them costs three times as much, but more than a bus lets wait for replies.
    CLIENTS = 500 if SANITIZED else 5000

    def setUp(self):
        need_descriptors()
        super().setUp()

    # Each has a link of its own to the driver, and all want it at once.
    def test_a_full_house_is_served_by_the_driver(self):
        many = [self.raw(is_open=True) for _ in range(self.CLIENTS)]
        for client in many:
            client.begin(GET_HOSTNAME)
        for client in many:
            self.assertEqual(client.receive().status, OK)


class Crowds(Case):
    def setUp(self):
        need_descriptors()
        super().setUp()

    def test_a_thousand_connections_of_one_user_work(self):
        many = [self.raw(uid=ALICE) for _ in range(1000)]
        pid = self.proxy.worker(ALICE)
        for client in many:
            client.begin(OPEN, optional(None) + uint(0))
        for client in many:
            self.assertEqual(client.receive().status, OK)
        self.assert_serves(BOB)
        self.assertEqual(many[999].uri(), "qemu:///system")
        self.assertLess(resident(pid), (400 if SANITIZED else 40) * MIB)
        for client in many[1:]:
            client.close()
        wait_until(lambda: len(descriptors(pid)) < 20)
        self.assertEqual(many[0].uri(), "qemu:///system")

    def test_no_user_takes_all_places(self):
        many = [self.raw(uid=ALICE) for _ in range(1250)]
        for _ in range(20):
            self.assertTrue(self.raw(uid=ALICE).is_gone())
        self.assert_serves(BOB)
        self.assert_serves()
        self.assertLessEqual(self.proxy.logged().count("too many"), 1, "a full house fills the log")
        many[0].close()
        wait_until(self.alice_comes_in)

    def alice_comes_in(self):
        try:
            Raw(self.proxy.path(), ALICE, is_open=True).close()
        except Gone:
            return False
        return True

    # Half-open connections: those who never say what they want.
    def test_who_does_not_open_has_to_go(self):
        silent = [self.raw(uid=ALICE) for _ in range(50)]
        for client in silent[::2]:
            client.send(packet(procedure=GET_URI)[:10])
        served = self.raw(uid=ALICE, is_open=True)
        for client in silent:
            self.assertTrue(client.is_gone())
        self.assertEqual(served.uri(), "qemu:///system")

    def test_who_asked_for_keepalive_and_is_silent_has_to_go(self):
        client = self.raw(uid=ALICE, is_open=True)
        client.call(60, uint(10))
        other = self.raw(uid=ALICE, is_open=True)
        ping = client.receive()
        self.assertEqual((ping.program, ping.procedure, ping.kind), (KEEPALIVE, 1, MESSAGE))
        self.assertTrue(client.is_gone())
        self.assertEqual(other.uri(), "qemu:///system")

    def test_a_ping_is_answered_at_once_even_before_the_opening(self):
        client = self.raw()
        client.send(packet(program=KEEPALIVE, procedure=1, kind=MESSAGE))
        pong = client.receive()
        self.assertEqual((pong.program, pong.procedure, pong.kind, pong.body), (KEEPALIVE, 2, MESSAGE, b""))


class Slow(Case):
    def test_ten_thousand_calls_without_reading_an_answer(self):
        client, other = self.raw(uid=ALICE, is_open=True), self.raw(uid=ALICE, is_open=True)
        pid = self.proxy.worker(ALICE)
        before = resident(pid)
        client.socket.setblocking(False)
        calls = b"".join(packet(procedure=GET_URI, serial=serial) for serial in range(10000))
        sent, end = 0, time.monotonic() + DEADLINE
        # What is not taken is not taken: the sockets are full, and it stays so.
        quiet_since = time.monotonic()
        while sent < len(calls) and time.monotonic() < min(end, quiet_since + 2):
            try:
                sent += client.socket.send(calls[sent:sent + 65536])
                quiet_since = time.monotonic()
            except BlockingIOError:
                self.assertEqual(other.uri(), "qemu:///system")
        self.assertLess(resident(pid) - before, (64 if SANITIZED else 8) * MIB)
        self.assertEqual(other.uri(), "qemu:///system")
        client.socket.setblocking(True)
        client.socket.settimeout(DEADLINE)
        complete = sent // HEADER
        for serial in range(complete):
            self.assertEqual(client.receive().serial, serial)
        client.send(calls[sent:] or packet(procedure=GET_URI))
        self.assertEqual(other.uri(), "qemu:///system")

    def test_all_of_a_users_unfinished_packets_together_are_bounded(self):
        witness = self.raw(uid=BOB, is_open=True)
        flood = bytes(MIB)
        clients, gone = [], 0
        for _ in range(24):
            client = self.raw(uid=ALICE, is_open=True)
            clients.append(client)
            try:
                client.send(packet(procedure=DEFINE_XML, length=LENGTH_MAX))
                for _ in range(31):
                    client.send(flood)
            except Gone:
                gone += 1
        pid = self.proxy.worker(ALICE)
        self.assertLess(resident(pid), (2000 if SANITIZED else 700) * MIB)
        self.assertGreater(gone, 0)
        self.assertEqual(witness.uri(), "qemu:///system")
        for client in clients:
            client.close()
        wait_until(lambda: SANITIZED or resident(pid) < 100 * MIB)

    # CVE-2014-1447: leaving in the midst of opening.
    def test_leaving_at_every_step_of_the_opening_harms_nobody(self):
        steps = [packet(procedure=66), packet(uint(10), procedure=60), packet(optional(None) + uint(0), procedure=OPEN),
                 packet(procedure=GET_URI), packet(uint(14), procedure=60), packet(procedure=360), packet(DOMAIN + uint(0), procedure=GET_XML),
                 packet(procedure=361), packet(procedure=2)]
        for last in range(len(steps) + 1):
            for _ in range(20):
                client = Raw(self.proxy.path(), ALICE)
                client.send(b"".join(steps[:last]))
                client.close()
        self.assert_serves(ALICE)
        self.assertNotIn("was killed", self.proxy.logged())

    def test_the_other_half_may_be_closed_first(self):
        client = self.raw(is_open=True)
        client.send(packet(procedure=GET_URI, serial=3))
        client.socket.shutdown(socket.SHUT_WR)
        self.assertTrue(client.is_gone())
        self.assert_serves()


class Modes(unittest.TestCase):
    # CVE-2013-4311, CVE-2019-10132, CVE-2024-4418: sockets open to those they were not for.
    def test_the_units_give_each_socket_its_mode(self):
        wanted = {"": "0666", "-ro": "0666", "-admin": "0600"}
        for unit in ("virtproxyd", "virtqemud"):
            for door, mode in wanted.items():
                text = (pathlib.Path(os.environ["UNITS"]) / f"system-{unit}{door}.socket").read_text()
                self.assertIn(f"\nSocketMode={mode}\n", text)
            for door in ("", "-admin"):
                text = (pathlib.Path(os.environ["UNITS"]) / f"user-{unit}{door}.socket").read_text()
                self.assertIn("\nSocketMode=0600\n", text)
                self.assertIn("\nDirectoryMode=0700\n", text)


if __name__ == "__main__":
    unittest.main()
