# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that replaces itself by exec: nobody who is connected notices, whatever goes on meanwhile."""

import json
import os
import signal
import threading
import unittest

from harness import DAEMON, DOMAIN, HYPERVISOR, NAME, PROPERTIES, ROOT, Case, Daemon, Link, RawLink, Recorder, options, variant, wait_until

BUS = "org.freedesktop.DBus"


class Restart(Case):
    def setUp(self):
        super().setUp()
        self.state = self.bus.directory / "run/virtbus/test/restart-exec.json"

    def restarts(self):
        return self.daemon.logged().count("restarts\n")

    def restart(self):
        """Sends the signal, and waits until the new run serves."""
        before = self.starts()
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.starts() > before)

    def starts(self):
        return self.daemon.logged().count("has restarted\n")

    def web(self):
        """The domain, whose UUID is another in each run."""
        return self.root.call(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"))[0]

    def owner(self):
        return self.root.call("/org/freedesktop/DBus", BUS, "GetNameOwner", variant(f"('{NAME}',)"), destination=BUS)[0]

    def test_name_objects_and_state_stay(self):
        recorder = self.enter(Recorder(self.bus))
        owner = self.owner()
        domain = self.root.define("web")
        self.root.call(domain, DOMAIN, "Start", options())
        recorder.forget()
        for _ in range(5):
            self.restart()
            self.assertEqual(self.root.get(self.web(), DOMAIN, "State"), "running")
            self.assertEqual(self.owner(), owner)
        self.assertFalse(self.state.exists())
        self.root.call(self.web(), DOMAIN, "Destroy", options())
        recorder.wait_for("PropertiesChanged")
        self.assertEqual(set(recorder.names()), {"PropertiesChanged"})

    def test_links_stay(self):
        links = [self.enter(Link(self.root)) for _ in range(4)]
        self.root.define("web")
        for _ in range(3):
            self.restart()
            for link in links:
                link.forget()
            links[0].call(self.web(), DOMAIN, "Start", options())
            for link in links:
                link.wait_for("PropertiesChanged")
            links[1].call(self.web(), DOMAIN, "Destroy", options())
        # Whose opener leaves is closed, as ever.
        other = self.client()
        link = self.enter(Link(other))
        self.restart()
        link.get(ROOT, DAEMON, "Version")
        other.leave()
        wait_until(link.is_closed)

    def test_no_call_is_lost_while_it_restarts_again_and_again(self):
        stop, failures, counts = threading.Event(), [], []

        def hammer(client):
            n = 0
            while not stop.is_set():
                try:
                    client.connection.call_sync(NAME, ROOT, PROPERTIES, "Get", variant(f"('{DAEMON}', 'Version')"), None, 0, 60000, None)
                    n += 1
                    if n % 10 == 0:
                        client.connection.call_sync(NAME, ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"), None, 0, 60000, None)
                except Exception as error:  # whatever it is, it must not be
                    failures.append(str(error))
                    return
            counts.append(n)

        class Direct:
            def __init__(self, link):
                self.connection = self
                self.link = link

            def call_sync(self, _name, *what):
                return self.link.connection.call_sync(None, *what)

        self.root.define("web")
        owner = self.owner()
        threads = [threading.Thread(target=hammer, args=[client]) for client in
                   [self.client(), self.client(), Direct(self.enter(Link(self.root))), Direct(self.enter(Link(self.root)))]]
        for thread in threads:
            thread.start()
        for _ in range(30):
            self.restart()
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(counts), len(threads))
        self.assertTrue(all(count > 0 for count in counts), counts)
        self.assertEqual(self.owner(), owner)

    def test_a_message_that_has_begun_is_waited_for(self):
        self.root.define("web")
        raw = RawLink(self.root)
        self.addCleanup(raw.close)
        blob = raw.blob(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"))
        raw.socket.sendall(blob[:len(blob) // 2])
        self.root.get(ROOT, DAEMON, "Version")
        before = self.starts()
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.restarts() == 1)
        raw.socket.sendall(blob[len(blob) // 2:])
        wait_until(lambda: ("reply", None) in raw.arrived())
        wait_until(lambda: self.starts() > before)
        raw.send(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"))
        wait_until(lambda: ("reply", None) in raw.arrived())

    def test_a_call_under_way_is_answered_first(self):
        domain = self.root.define("web")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        saving = self.root.send(domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: self.root.get(domain, DOMAIN, "Job") != "/")
        before = self.starts()
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.restarts() == 1)
        self.assertEqual(self.starts(), before)
        self.root.call(self.root.get(domain, DOMAIN, "Job"), "org.virtbus.Job1", "Cancel", options())
        with self.assertRaisesRegex(Exception, "Canceled"):
            saving.result()
        wait_until(lambda: self.starts() > before)
        self.assertEqual(self.root.get(self.web(), DOMAIN, "Name"), "web")

    def test_what_cannot_be_written_leaves_all_as_it_is(self):
        self.root.define("web")
        self.state.mkdir()
        before = self.starts()
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "cannot restart, and goes on as before" in self.daemon.logged())
        self.assertEqual(self.root.call(ROOT, HYPERVISOR, "ListDomains", options())[0], [self.web()])
        self.assertEqual(self.starts(), before)
        self.state.rmdir()
        self.restart()
        self.assertEqual(len(self.root.call(ROOT, HYPERVISOR, "ListDomains", options())[0]), 1)

    def test_leftovers_of_another_run_are_refused(self):
        self.daemon.close()
        self._cleanups = [cleanup for cleanup in self._cleanups if cleanup[0] != self.daemon.close]
        for text in (json.dumps({"format": 1, "magic": "1", "startTime": 1}), "{", "[]", "\0", '{"format": 1, "magic": 5}'):
            self.state.write_text(text)
            self.daemon = Daemon(self.bus)
            self.daemon.wait_logged("is refused: ")
            self.assertFalse(self.state.exists())
            self.daemon.close()


if __name__ == "__main__":
    unittest.main()
