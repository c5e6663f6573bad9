# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end: when nobody needs the daemon, and without losing what is asked at that very moment."""

import os
import select
import signal
import socket
import subprocess
import time
import unittest

from harness import DAEMON, DOMAIN, HYPERVISOR, NAME, ROOT, ALICE, Case, Client, Daemon, Failure, options, variant, wait_until
from services import Polkit

SERVICE = """[D-BUS Service]
Name={name}
Exec=/usr/bin/env {environment} {daemon} --timeout={timeout}
"""


class Activated:
    """A daemon that the bus has started because it was called: who wants one that soon leaves cannot start it first and call it then."""

    def __init__(self, pid):
        self.pidfd = os.pidfd_open(pid)

    def ends_within(self, seconds):
        return bool(select.select([self.pidfd], [], [], seconds)[0])

    def close(self):
        os.close(self.pidfd)


class Idle(Case):
    start = False

    def setUp(self):
        super().setUp()
        self.notify_path = str(self.bus.directory / "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.notify_path)
        self.manager.settimeout(60)

    def activatable(self, timeout, **more):
        environment = " ".join(f"{key}={value}" for key, value in {**self.bus.environment(), **more}.items())
        (self.bus.directory / "services" / f"{NAME}.service").write_text(
            SERVICE.format(name=NAME, daemon=os.environ["TEST_DAEMON"], timeout=timeout, environment=environment))

    def owner(self, client):
        return client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", variant(f"('{NAME}',)"),
                           destination="org.freedesktop.DBus")[0]

    def process_of(self, client):
        return client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID", variant(f"('{NAME}',)"),
                           destination="org.freedesktop.DBus")[0]

    def serving(self, client):
        """The daemon that has the name, which something must hold."""
        return self.enter(Activated(self.process_of(client)))

    def test_ends_when_nothing_happens(self):
        environment = {**os.environ, **self.bus.environment(), "NOTIFY_SOCKET": self.notify_path}
        daemon = subprocess.Popen([os.environ["TEST_DAEMON"], "--timeout=0.2"], env=environment)
        self.assertEqual(daemon.wait(60), 0)
        self.assertEqual([self.manager.recv(100) for _ in range(2)], [b"READY=1", b"STOPPING=1"])

    def test_stays_without_a_timeout(self):
        daemon = self.enter(Daemon(self.bus))
        self.client().get(ROOT, DAEMON, "Version")
        with self.assertRaises(subprocess.TimeoutExpired):
            daemon.process.wait(1)

    def test_stays_for_a_guest_and_for_who_has_called(self):
        self.activatable(timeout=0.1)
        client = self.client()
        domain = client.define("web")
        daemon = self.serving(client)
        client.call(domain, DOMAIN, "Start", options())
        client.leave()
        self.assertFalse(daemon.ends_within(1))
        client = self.client()
        client.call(domain, DOMAIN, "Destroy", options())
        self.assertFalse(daemon.ends_within(1))
        client.leave()
        self.assertTrue(daemon.ends_within(60))

    @unittest.skipIf(os.geteuid() != 0, "only root can be several users")
    def test_stays_while_polkit_is_asked(self):
        polkit = self.enter(Polkit(self.bus))
        polkit.rule = lambda action, details, interactive: "hang"
        self.activatable(timeout=0.1)
        alice = self.client(ALICE)
        pending = alice.send(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})"))
        wait_until(lambda: polkit.asked)
        daemon = self.serving(alice)
        self.assertFalse(daemon.ends_within(1))
        polkit.release(True)
        self.assertTrue(pending.result()[0].startswith(ROOT))
        alice.leave()
        self.assertTrue(daemon.ends_within(60))

    @unittest.skipIf(os.geteuid() != 0, "only root can be several users")
    def test_does_not_stay_for_a_caller_that_left_while_polkit_was_asked(self):
        polkit = self.enter(Polkit(self.bus))
        polkit.rule = lambda action, details, interactive: "hang"
        self.activatable(timeout=0.1)
        alice = self.client(ALICE)
        alice.send(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})"))
        wait_until(lambda: polkit.asked)
        daemon = self.serving(alice)
        alice.leave()
        self.assertTrue(daemon.ends_within(60))

    def test_the_next_daemon_waits_until_the_last_one_has_gone(self):
        first = self.enter(Daemon(self.bus))
        log = open(self.bus.directory / "second.log", "w+", encoding="utf-8")
        self.addCleanup(log.close)
        second = subprocess.Popen([os.environ["TEST_DAEMON"], "--verbose"], stderr=log, env={**os.environ, **self.bus.environment()})
        self.addCleanup(second.wait, 60)
        self.addCleanup(second.terminate)
        wait_until(lambda: "waits for the daemon that holds" in (self.bus.directory / "second.log").read_text(encoding="utf-8"))
        client = self.client()
        self.assertEqual(self.process_of(client), first.process.pid)
        first.process.terminate()
        wait_until(lambda: self.process_or_none(client) == second.pid)

    def hammer(self, pause, ends_wanted):
        """Calls again and again, each time from a new connection, with the pauses that make the daemon want to leave. Every call must be answered."""
        owners, failures, calls = set(), [], 0
        while len(owners) < ends_wanted and not failures:
            client = Client(self.bus)
            try:
                owners.add(self.owner_after_call(client))
            except Failure as failure:
                failures.append(failure)
            client.close()
            calls += 1
            time.sleep(pause * (calls % 7) / 7)
        return failures

    def test_no_request_is_lost_however_often_the_daemon_leaves(self):
        self.activatable(timeout=0.02)
        self.assertEqual(self.hammer(pause=0.6, ends_wanted=8), [])

    def test_a_call_at_the_last_moment_is_answered_by_this_daemon_or_the_next(self):
        """Shutdown and a call right behind it, in one go: the call is already on its way when the daemon begins to leave."""
        self.activatable(timeout=60)
        client = self.client()
        for _ in range(20):
            client.call(ROOT, HYPERVISOR, "ListDomains", options())
            leaving = client.send(ROOT, DAEMON, "Shutdown", options())
            behind = [client.send(ROOT, HYPERVISOR, "ListDomains", options()) for _ in range(5)]
            self.assertEqual(leaving.result(), ())
            for one in behind:
                self.assertEqual(one.result(), ([],))

    def test_what_was_begun_at_the_last_moment_is_handed_to_the_next_daemon(self):
        """While the bus stands still, a call is sent to it and then the daemon gives its name back: so the call reaches a daemon that has begun to leave."""
        self.activatable(timeout=2, NOTIFY_SOCKET=self.notify_path)
        observer, client = self.client(), self.client()
        first = self.owner_after_call(observer)
        self.assertEqual(self.manager.recv(100), b"READY=1")
        os.kill(self.bus.process.pid, signal.SIGSTOP)
        try:
            started = client.send(ROOT, HYPERVISOR, "Create", variant("('web', @a{sh} {}, @a{sv} {})"))
            client.connection.flush_sync(None)
            notified = self.manager.recv(100)
        finally:
            os.kill(self.bus.process.pid, signal.SIGCONT)
        self.assertEqual(notified, b"STOPPING=1")
        self.assertTrue(started.result()[0].startswith(ROOT))
        wait_until(lambda: self.owner_or_none(observer) not in (None, first))
        # What it hands over is the watch over its guests: the next daemon of this test knows none, and ends by itself.
        self.assertEqual(self.manager.recv(100), b"STOPPING=1")

    def owner_after_call(self, client):
        """Who has answered a call. It may have left since: the name need not have an owner any more."""
        pending = client.send(ROOT, HYPERVISOR, "ListDomains", options())
        pending.result()
        return pending.reply.get_sender()

    def owner_or_none(self, client):
        try:
            return self.owner(client)
        except Failure:
            return None

    def process_or_none(self, client):
        """Between two daemons nobody has the name."""
        try:
            return self.process_of(client)
        except Failure:
            return None

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.enter(Daemon(self.bus))
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "cannot reload: there is nothing to reload" in daemon.logged())
            daemon.process.send_signal(number)
            self.assertEqual(daemon.process.wait(60), 0)

    def test_the_service_manager_is_told(self):
        daemon = self.enter(Daemon(self.bus, NOTIFY_SOCKET=self.notify_path))
        self.assertEqual(self.manager.recv(100), b"READY=1")
        daemon.process.send_signal(signal.SIGHUP)
        self.assertRegex(self.manager.recv(100), rb"^RELOADING=1\nMONOTONIC_USEC=\d+")
        self.assertEqual(self.manager.recv(100), b"READY=1")
        daemon.process.terminate()
        self.assertEqual(self.manager.recv(100), b"STOPPING=1")


if __name__ == "__main__":
    unittest.main()
