#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who serves whom: what a worker is, and what it has given up, before it hears of its first client."""

import os
import pathlib
import signal
import time
import unittest

from classic import (ADMIN, ARGUMENT_UNSUPPORTED, INTERNAL_ERROR, NO_CONNECT, OPEN, OPERATION_UNSUPPORTED, RPC, Case, Gone, Raw, Refused,
                     descriptors, optional, string, uint)
from harness import ALICE, BOB, wait_until

SANITIZED = b"libasan" in pathlib.Path(os.environ["VIRTPROXYD"]).read_bytes()


class Identity(Case):
    def test_a_worker_is_its_user(self):
        self.raw(uid=ALICE, is_open=True)
        self.raw(uid=BOB, is_open=True)
        for uid in (ALICE, BOB):
            (status,) = self.proxy.workers(uid).values()
            self.assertEqual(status["Uid"].split(), [str(uid)] * 4)
            self.assertEqual(status["Groups"].split(), [str(group) for group in sorted(os.getgroups())])
            # Effective gid of who connected: the test's own.
            self.assertEqual(status["Gid"].split(), [str(os.getegid())] * 4)

    def test_a_worker_has_no_privileges_left(self):
        self.raw(is_open=True)
        self.raw(uid=ALICE, is_open=True)
        self.raw("libvirt-sock-ro", uid=ALICE, is_open=True)
        self.raw("libvirt-admin-sock").call(OPEN, uint(0), program=ADMIN)
        # Each has answered, and so has given up before what it does not need.
        self.assertEqual(len(self.proxy.workers()), 4)
        for pid, status in self.proxy.workers().items():
            self.assertTrue(SANITIZED or status["Seccomp"].strip() == "2")
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[capabilities], 16), 0, capabilities)
            self.assertEqual(status["NoNewPrivs"].strip(), "1")
            # Not dumpable: its files in /proc are root's, whoever it is.
            self.assertEqual(os.stat(f"/proc/{pid}/environ").st_uid, 0)
            self.assertIn("Max core file size        0", pathlib.Path(f"/proc/{pid}/limits").read_text())

    def test_a_worker_that_needs_no_files_sees_none(self):
        self.raw("libvirt-sock-ro", uid=ALICE, is_open=True)
        self.raw("virtqemud-admin-sock").call(OPEN, uint(0), program=ADMIN)
        for pid in self.proxy.workers():
            self.assertEqual(os.listdir(f"/proc/{pid}/root/"), [])
        self.raw(uid=ALICE, is_open=True)
        (pid,) = (pid for pid in self.proxy.workers() if os.listdir(f"/proc/{pid}/root/"))
        self.assertTrue(os.path.samefile(f"/proc/{pid}/root/etc", "/etc"))

    # CVE-2020-14339: what the daemon held open went to its children.
    def test_no_descriptor_leaks_into_a_worker(self):
        kept = [self.raw(uid=BOB, is_open=True) for _ in range(5)]
        self.raw(uid=ALICE, is_open=True)
        found = descriptors(self.proxy.worker(ALICE))
        kinds = sorted(target.split(":")[0] for number, target in found.items() if number > 2)
        # The loop, its timers, and the one client; standard input is the control socket.
        self.assertEqual(kinds.count("socket"), 1, found)
        self.assertTrue(set(kinds) <= {"socket", "anon_inode"}, found)
        self.assertTrue(found[0].startswith("socket:"))
        environment = pathlib.Path(f"/proc/{self.proxy.worker(ALICE)}/environ").read_bytes().split(b"\0")
        self.assertTrue(all(line.split(b"=")[0] in (b"", b"PATH", b"LANG", b"JOURNAL_STREAM") for line in environment), environment)
        self.assertEqual(len(kept), 5)

    def test_one_worker_serves_a_user_and_another_her_read_only_ones(self):
        clients = [self.raw(name, uid=ALICE, is_open=True) for name in ("libvirt-sock", "virtqemud-sock", "libvirt-sock")]
        self.assertEqual(len(self.proxy.workers(ALICE)), 1)
        clients.append(self.raw("libvirt-sock-ro", uid=ALICE, is_open=True))
        self.assertEqual(len(self.proxy.workers(ALICE)), 2)

    # CVE-2019-10132: the administration's sockets were open to everyone. Here their modes are, and it does not help.
    def test_only_root_comes_in_by_the_administration(self):
        for name in ("libvirt-admin-sock", "virtqemud-admin-sock"):
            self.assertTrue(self.raw(name, uid=ALICE).is_gone())
            self.raw(name).call(OPEN, uint(0), program=ADMIN)
        self.assertEqual(self.proxy.workers(ALICE), {})

    def test_each_door_has_its_programs(self):
        for refused in (self.raw("libvirt-admin-sock").fails(OPEN, optional(None) + uint(0)), self.raw().fails(OPEN, uint(0), program=ADMIN)):
            self.assertEqual((refused.code, refused.domain), (RPC, 7))

    # CVE-2013-4311: the identity was looked up again by a number that could be another's by then.
    def test_who_connected_counts_and_not_who_speaks(self):
        client = Raw(self.proxy.path(), ALICE)
        self.addCleanup(client.close)
        client.open()  # by root: the process has become root again
        self.assertEqual(len(self.proxy.workers(ALICE)), 1)
        self.assertEqual(self.proxy.workers(0), {})

    def test_a_process_that_has_ended_is_not_served(self):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.kill(self.proxy.process.pid, signal.SIGSTOP)
            left = Raw(self.proxy.path(), ALICE)
            os.write(writing, b"x")
            os.set_inheritable(left.socket.fileno(), True)
            os._exit(0)
        os.read(reading, 1)
        os.waitpid(child, 0)
        os.kill(self.proxy.process.pid, signal.SIGCONT)
        self.assert_serves()
        self.assertEqual(self.proxy.workers(ALICE), {})


class Opening(Case):
    def test_nobody_is_asked_who_they_are(self):
        client = self.raw(uid=ALICE)
        self.assertEqual(client.call(66), uint(1) + uint(0))
        self.assertEqual(client.call(70), uint(1))

    def test_a_connection_is_opened_once_and_before_it_is_used(self):
        client = self.raw()
        refused = client.fails(110)
        self.assertEqual((refused.code, refused.domain), (INTERNAL_ERROR, 7))
        self.assertEqual(client.call(60, uint(10)), uint(1))
        self.assertEqual(client.fails(60, uint(14)).code, INTERNAL_ERROR)
        client.open("qemu:///system")
        self.assertEqual(client.fails(OPEN, optional(None) + uint(0)).code, INTERNAL_ERROR)
        self.assertEqual(client.uri(), "qemu:///system")

    def test_the_uri_says_which_driver(self):
        for uri in (None, "qemu:///system", "qemu:///session", "qemu+unix:///system", "qemu:///system?no_verify=1"):
            self.assertEqual(self.raw(is_open=True, uri=uri).uri(), uri or "qemu:///system")
        for uri in ("lxc:///", "test:///default", "qemu://elsewhere/system", "qemu", "", ":///system", "bhyve+ssh://x/"):
            client = self.raw()
            refused = client.fails(OPEN, optional(string(uri or "xen:///")) + uint(0))
            self.assertEqual(refused.code, NO_CONNECT, uri)
        for uri in ("qemu:///", "qemu://", "qemu:///embed", "qemu:///system/more"):
            self.assertEqual(self.raw().fails(OPEN, optional(string(uri)) + uint(0)).code, INTERNAL_ERROR, uri)

    def test_closing_is_answered_and_then_done(self):
        client = self.raw(is_open=True)
        client.call(2)
        self.assertTrue(client.is_gone())


class Lives(Case):
    def test_a_crash_cuts_only_one_user_off(self):
        alice, bob = self.raw(uid=ALICE, is_open=True), self.raw(uid=BOB, is_open=True)
        os.kill(self.proxy.worker(ALICE), signal.SIGKILL)
        self.assertTrue(alice.is_gone())
        self.assertEqual(bob.uri(), "qemu:///system")
        wait_until(lambda: self.proxy.logged().count("was killed by signal 9") == 1)
        self.assertEqual(self.raw(uid=ALICE, is_open=True).uri(), "qemu:///system")
        self.assertEqual(self.proxy.logged().count("was killed by signal 9"), 1)

    def test_a_worker_that_crashes_again_and_again_waits(self):
        self.raw(uid=ALICE, is_open=True)
        # The second crash makes the next wait for a second, which may be over before we come; but the fourth, for sixteen.
        for n in range(1, 6):
            os.kill(self.proxy.worker(ALICE), signal.SIGKILL)
            wait_until(lambda n=n: self.proxy.logged().count("was killed") == n)
            if not self.alice_is_served():
                break
            self.assertLess(n, 5)
        self.assert_serves(BOB)
        wait_until(self.alice_is_served)

    def alice_is_served(self):
        try:
            self.raw(uid=ALICE, is_open=True)
        except Gone:
            return False
        return True

    def test_a_worker_that_hangs_hangs_alone(self):
        self.raw(uid=ALICE, is_open=True)
        pid = self.proxy.worker(ALICE)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        waiting = [self.raw(uid=ALICE) for _ in range(50)]
        self.assert_serves(BOB)
        self.assertEqual(len(waiting), 50)

    def test_workers_leave_when_nobody_needs_them(self):
        client = self.raw(uid=ALICE, is_open=True)
        self.assertEqual(len(self.proxy.workers(ALICE)), 1)
        client.close()
        wait_until(lambda: not self.proxy.workers(ALICE))
        self.assertNotIn("was killed", self.proxy.logged())

    def test_a_signal_to_all_of_the_service_is_the_listeners_to_follow(self):
        client = self.raw(uid=ALICE, is_open=True)
        os.kill(self.proxy.worker(ALICE), signal.SIGTERM)
        self.assertEqual(client.uri(), "qemu:///system")
        self.proxy.process.terminate()
        self.assertTrue(client.is_gone())
        self.assertEqual(self.proxy.process.wait(60), 0)
        self.assertNotIn("was killed", self.proxy.logged())


def uint_param(name, value):
    return string(name) + uint(2) + uint(value)


class Administration(Case):
    def admin(self):
        client = self.raw("libvirt-admin-sock")
        client.call(OPEN, uint(0), program=ADMIN)
        return client

    def clients(self, admin):
        body = admin.call(8, string("libvirtd") + uint(1) + uint(0), program=ADMIN)
        return int.from_bytes(body[-4:], "big")

    def test_clients_are_counted_and_let_go(self):
        admin = self.admin()
        alice = self.raw(uid=ALICE, is_open=True)
        self.assertEqual(self.clients(admin), 1)
        self.raw("libvirt-sock-ro", uid=BOB, is_open=True)
        self.assertEqual(self.clients(admin), 2)
        whom = string("libvirtd") + (2).to_bytes(8, "big") + bytes(8) + uint(0) + uint(0)
        admin.call(11, whom, program=ADMIN)
        self.assertTrue(alice.is_gone())
        wait_until(lambda: self.clients(admin) == 1)
        self.assertEqual(admin.fails(11, whom, program=ADMIN).message, "no client with this id")

    def test_many_clients_are_listed_page_by_page(self):
        admin = self.admin()
        many = [self.raw(uid=ALICE) for _ in range(1100)]
        wait_until(lambda: self.clients(admin) == len(many))

    def test_what_waits_for_room_is_served_when_there_is(self):
        admin = self.admin()
        admin.call(13, string("libvirtd") + uint(1) + uint_param("nclients_max", 2) + uint(0), program=ADMIN)
        first, second = self.raw(is_open=True), self.raw(is_open=True)
        third = self.raw()
        third.begin(OPEN, optional(None) + uint(0))
        for _ in range(50):
            self.assertEqual(self.clients(admin), 2)
        self.admin().close()  # who could make room still comes in
        first.close()
        self.assertEqual(third.receive().status, 0)
        self.assertEqual(second.uri(), "qemu:///system")

    def test_the_daemon_ends_when_asked_to_and_says_so_first(self):
        client = self.raw(uid=ALICE, is_open=True)
        self.admin().call(20, uint(1), program=ADMIN)
        self.assertTrue(client.is_gone())
        self.assertEqual(self.proxy.process.wait(60), 0)

    def test_the_timeout_can_be_changed(self):
        admin = self.admin()
        admin.call(19, uint(1) + uint(0), program=ADMIN)
        time.sleep(1.5)
        self.assertIsNone(self.proxy.process.poll(), "it ended although somebody was connected")
        admin.close()
        self.assertEqual(self.proxy.process.wait(60), 0)

    def test_the_log_can_be_made_quieter_and_louder(self):
        admin = self.admin()
        self.assertEqual(admin.call(14, uint(0), program=ADMIN), string("1:journald") + uint(1))
        admin.call(16, optional(string("3:journald")) + uint(0), program=ADMIN)
        self.assertEqual(admin.call(14, uint(0), program=ADMIN), string("3:journald") + uint(1))
        self.assertEqual(admin.call(15, uint(0), program=ADMIN), optional(string("")) + uint(0))  # of no module otherwise
        lines = len(self.proxy.logged().splitlines())
        self.raw(uid=ALICE, is_open=True).close()
        admin.call(17, optional(None) + uint(0), program=ADMIN)
        self.assertEqual(len(self.proxy.logged().splitlines()), lines)

    def test_the_number_of_workers_can_be_bounded(self):
        admin = self.admin()
        self.set_pool(admin, "maxWorkers", 2)
        self.assertIn(uint_param("maxWorkers", 2), admin.call(6, string("libvirtd") + uint(0), program=ADMIN))
        self.raw(uid=ALICE, is_open=True)  # the second, beside the administration's
        self.assertTrue(self.raw(uid=BOB).is_gone())
        self.raw(is_open=True)  # root comes in all the same
        self.set_pool(admin, "maxWorkers", 10)
        self.assert_serves(BOB)

    def set_pool(self, admin, name, value):
        admin.call(7, string("libvirtd") + uint(1) + uint_param(name, value) + uint(0), program=ADMIN)

    def test_what_cannot_be_set_is_refused_by_its_name(self):
        admin = self.admin()
        for name, code in (("minWorkers", ARGUMENT_UNSUPPORTED), ("prioWorkers", ARGUMENT_UNSUPPORTED), ("nWorkers", ARGUMENT_UNSUPPORTED)):
            with self.assertRaises(Refused) as caught:
                self.set_pool(admin, name, 5)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(f"'{name}' cannot be set, only 'maxWorkers'", caught.exception.message)
        for value in (0, 5001):
            self.assertRaisesRegex(Refused, "out of range", self.set_pool, admin, "maxWorkers", value)
        limit = admin.fails(13, string("libvirtd") + uint(1) + uint_param("nclients_unauth_max", 5) + uint(0), program=ADMIN)
        self.assertIn("'nclients_unauth_max' cannot be set", limit.message)
        tls = admin.fails(18, string("libvirtd") + uint(0), program=ADMIN)
        self.assertEqual(tls.code, OPERATION_UNSUPPORTED)
        self.assertIn("no TLS sockets", tls.message)

    def test_the_version_is_told(self):
        self.assertEqual(self.admin().call(3, program=ADMIN), (9000000).to_bytes(8, "big"))

    def test_what_does_not_exist_is_named(self):
        admin = self.admin()
        self.assertIn("'nobody'", admin.fails(5, string("nobody") + uint(0), program=ADMIN).message)
        self.assertIn("'nobody'", admin.fails(18, string("nobody") + uint(0), program=ADMIN).message)
        self.assertIn("1:journald", admin.fails(16, optional(string("1:file:/etc/shadow")) + uint(0), program=ADMIN).message)


if __name__ == "__main__":
    unittest.main()
