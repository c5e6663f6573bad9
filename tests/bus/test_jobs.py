# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs: seen while they run, with progress; cancelled by whom they belong to; gone before the reply."""

import os
import unittest

from harness import ALICE, BOB, DOMAIN, ERROR, JOB, PROPERTIES, ACCESS_DENIED, Case, Failure, Recorder, options, variant, wait_until
from services import Polkit, owners_may


class Jobs(Case):
    needs_users = True

    def setUp(self):
        super().setUp()
        self.polkit = self.enter(Polkit(self.bus, owners_may))
        self.recorder = self.enter(Recorder(self.bus))
        self.alice = self.client(ALICE)
        self.domain = self.alice.define("web")

    def save(self, client):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = client.send(self.domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: self.root.get(self.domain, DOMAIN, "Job") != "/")
        return pending, self.root.get(self.domain, DOMAIN, "Job")

    def tearDown(self):
        job = self.root.get(self.domain, DOMAIN, "Job") if self.daemon.process.poll() is None else "/"
        if job != "/":
            self.root.call(job, JOB, "Cancel", options())

    def step(self):
        self.root.call(self.domain, DOMAIN, "Reset", options())

    def test_what_it_says(self):
        _pending, job = self.save(self.alice)
        values = self.root.call(job, PROPERTIES, "GetAll", variant(f"('{JOB}',)"))[0]
        self.assertGreater(values.pop("StartedUSec"), 1_500_000_000_000_000)
        self.assertEqual(values, {"Operation": "save", "Object": self.domain, "Owner": ALICE, "Progress": -1.0,
                                  "BytesDone": 0, "BytesTotal": 0, "Cancelable": True})
        self.step()
        self.assertEqual(self.root.get(job, JOB, "Progress"), 0.25)
        self.assertEqual(self.root.get(job, JOB, "BytesTotal"), 4)

    def test_a_burst_of_progress_is_announced_in_part_and_its_end_in_any_case(self):
        _pending, job = self.save(self.alice)
        self.recorder.forget()
        for _ in range(3):
            self.step()

        def announced():
            return [body[1]["Progress"] for path, body in self.recorder.all("PropertiesChanged") if path == job]

        wait_until(lambda: announced() and announced()[-1] == 0.75)
        self.assertLess(len(announced()), 3)

    def test_changes_then_removal_then_reply(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = self.recorder.send(self.domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: self.root.get(self.domain, DOMAIN, "Job") != "/")
        for _ in range(3):
            self.step()
        self.recorder.forget()
        self.step()
        pending.result()
        self.assertEqual(self.recorder.names()[-2:], ["InterfacesRemoved", "reply"])
        changed = [body[1] for path, body in self.recorder.all("PropertiesChanged") if path == self.domain]
        self.assertEqual(changed[-1]["Job"], "/")
        self.assertEqual(self.root.get(self.domain, DOMAIN, "Job"), "/")

    def test_cancelled_by_its_owner(self):
        pending, job = self.save(self.alice)
        self.alice.call(job, JOB, "Cancel", options())
        with self.assertRaises(Failure) as caught:
            pending.result()
        self.assertEqual(caught.exception.name, ERROR + "Canceled")
        self.assertIn("org.virtbus.job.cancel-own", self.polkit.actions())

    def test_not_cancelled_by_another(self):
        pending, job = self.save(self.alice)
        bob = self.client(BOB)
        self.assertEqual(bob.fails(job, JOB, "Cancel", options()).name, ACCESS_DENIED)
        self.assertEqual(self.polkit.asked[-1][0], "org.virtbus.job.cancel")
        for _ in range(4):
            self.step()
        self.assertEqual(pending.result(), ())

    def test_a_call_that_waits_is_answered_when_the_daemon_ends(self):
        pending, _job = self.save(self.alice)
        self.daemon.process.terminate()
        with self.assertRaises(Failure) as caught:
            pending.result()
        self.daemon.process.wait(60)
        self.assertEqual(caught.exception.name, ERROR + "Canceled")


if __name__ == "__main__":
    unittest.main()
