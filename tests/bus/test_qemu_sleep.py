# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host goes to sleep, as far as logind's word goes: what runs stands still meanwhile, and goes on; what stood still goes on standing still."""

import os
import signal
import unittest

from harness import DOMAIN, variant, wait_until
from logind import Logind
from qemud import QemuCase, xml


class SleepCase(QemuCase):
    def setUp(self):
        super().setUp()
        self.login = self.enter(Logind(self.bus))

    def settings(self, text):
        """Written for the next start of the daemon."""
        self.qemud.config.mkdir(parents=True, exist_ok=True)
        (self.qemud.config.parent / "qemu.conf").write_text(text)

    def started(self, name):
        path = self.client.define(xml(name))
        self.client.domain(path, "Start")
        return path

    def pid(self, path):
        return self.qemud.emulator(self.client.property(path, "UUID"))

    def wait_for_state(self, path, state, reason):
        wait_until(lambda: self.client.state(path) == (state, reason))

    def sleep(self):
        """As logind: says so, and waits for whoever holds a lock."""
        self.login.tell("PrepareForSleep", True)
        self.login.wait_for_release("sleep")

    def wake(self):
        self.login.tell("PrepareForSleep", False)


class Sleep(SleepCase):
    def test_guests_stand_still_and_go_on(self):
        self.assertEqual(self.login.held("sleep"), [])
        web, mail = self.started("web"), self.started("mail")
        self.client.domain(mail, "Suspend")
        self.login.wait_for_lock("sleep")
        lock = self.login.held("sleep")[0]
        self.assertEqual((lock.mode, lock.who), ("delay", "virtbus"))

        for _night in range(2):
            self.sleep()
            self.assertEqual(self.client.state(web), ("paused", "host-sleep"))
            self.assertEqual(self.client.state(mail), ("paused", "user"))
            self.wake()
            self.wait_for_state(web, "running", "unpaused")
            self.assertEqual(self.client.state(mail), ("paused", "user"))
            self.login.wait_for_lock("sleep")

        self.client.domain(mail, "Destroy")
        self.client.domain(web, "Destroy")
        self.login.wait_for_release("sleep")

    def test_who_pauses_a_guest_meanwhile_means_it(self):
        web, mail = self.started("web"), self.started("mail")
        self.login.wait_for_lock("sleep")
        self.sleep()
        self.client.domain(web, "Suspend")
        self.assertEqual(self.client.state(web), ("paused", "user"))
        self.wake()
        self.wait_for_state(mail, "running", "unpaused")
        self.assertEqual(self.client.state(web), ("paused", "user"))

    def test_a_guest_that_hangs_does_not_keep_the_host_awake(self):
        web, mail = self.started("web"), self.started("mail")
        self.login.wait_for_lock("sleep")
        pid = self.pid(web)
        os.kill(pid, signal.SIGSTOP)
        try:
            self.sleep()
            self.assertEqual(self.client.state(mail), ("paused", "host-sleep"))
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wake()
        self.wait_for_state(mail, "running", "unpaused")
        wait_until(lambda: self.client.state(web)[0] == "running" and not self.is_paused(web))

    def is_paused(self, path):
        question = variant("""('{"execute": "query-status"}', @a{sv} {})""")
        return '"paused"' in self.client.call(path, DOMAIN, "MonitorCommand", question)[0]

    def test_the_next_daemon_wakes_what_the_last_one_paused(self):
        web, mail = self.started("web"), self.started("mail")
        self.client.domain(mail, "Suspend")
        self.login.wait_for_lock("sleep")
        self.sleep()
        self.qemud.end(signal.SIGKILL)
        self.wake()
        self.qemud.start()
        self.wait_for_state(web, "running", "unpaused")
        self.assertEqual(self.client.state(mail), ("paused", "user"))

    def test_a_daemon_that_starts_before_the_host_wakes(self):
        web = self.started("web")
        self.login.wait_for_lock("sleep")
        self.sleep()
        self.qemud.restart(signal.SIGKILL)
        self.wait_for_state(web, "paused", "host-sleep")
        self.wake()
        self.wait_for_state(web, "running", "unpaused")


class Settings(SleepCase):
    def test_say_which_guests(self):
        self.qemud.end()
        self.settings("auto_sleep_pause = transient\n")
        self.qemud.start()
        web = self.started("web")
        passing = self.client.create(xml("passing"))
        self.login.wait_for_lock("sleep")
        self.sleep()
        self.assertEqual(self.client.state(passing), ("paused", "host-sleep"))
        self.assertEqual(self.client.state(web), ("running", "booted"))
        self.wake()
        self.wait_for_state(passing, "running", "unpaused")

    def test_no_lock_where_none_is_paused(self):
        self.qemud.end()
        self.settings("auto_sleep_pause = none\n")
        self.qemud.start()
        web = self.started("web")
        self.login.tell("PrepareForSleep", True)
        self.login.tell("PrepareForSleep", False)
        # Two signals later than these, the daemon would have paused it.
        self.client.domain(web, "Suspend")
        self.client.domain(web, "Resume")
        self.assertEqual([lock for lock in self.login.locks if lock.what == "sleep"], [])
        self.assertEqual(self.client.state(web), ("running", "unpaused"))


if __name__ == "__main__":
    unittest.main()
