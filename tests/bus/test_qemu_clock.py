# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clock of a guest that stood still: its agent sets it, as the guest's own `date` shows; and nobody waits for an agent that does not come."""

import base64
import json
import signal
import time
import unittest

from gi.repository import GLib

from guests import GuestCase
from harness import DOMAIN, wait_until
from logind import Logind

AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
LONG_AGO = 1_000_000_000  # in 2001


class GuestClock(GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.login = cls.share(Logind(cls.bus))
        cls.web = cls.define("web", devices=AGENT)
        cls.root.domain(cls.web, "Start")
        wait_until(lambda: cls.root.property(cls.web, "AgentConnected"))

    def agent(self, command, **arguments):
        request = json.dumps({"execute": command, "arguments": arguments})
        answer = self.root.call(self.web, DOMAIN, "GuestAgentCommand",
                                GLib.Variant("(sa{sv})", (request, {"timeout-usec": GLib.Variant("t", 60_000_000)})))[0]
        return json.loads(answer)["return"]

    def run_in_guest(self, *words):
        pid = self.agent("guest-exec", path=words[0], arg=words[1:], **{"capture-output": True})["pid"]
        status = {}
        while not status.get("exited"):
            status = self.agent("guest-exec-status", pid=pid)
        self.assertEqual(status["exitcode"], 0)
        return base64.b64decode(status.get("out-data", "")).decode()

    def date(self):
        return int(self.run_in_guest("date", "+%s"))

    def is_right(self):
        return abs(self.date() - time.time()) < 3600

    def set_back(self):
        self.run_in_guest("date", "-s", f"@{LONG_AGO}")
        self.assertLess(self.date(), LONG_AGO + 3600)

    def assertIsSet(self):
        # It is set by the same agent that is asked: what was queued first is done first, and an agent that was just found comes later.
        wait_until(self.is_right)

    def setUp(self):
        if self.root.property(self.web, "State") == "shutoff":
            self.root.domain(self.web, "Start")
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))

    def test_after_a_restore(self):
        self.set_back()
        self.root.domain(self.web, "ManagedSave")
        self.root.domain(self.web, "Start")
        self.assertEqual(self.root.state(self.web), ("running", "restored"))
        self.assertIsSet()

    def test_when_it_runs_again_whatever_becomes_of_the_daemon(self):
        self.set_back()
        self.root.domain(self.web, "ManagedSave")
        self.root.domain(self.web, "Start", "{'paused': <true>}")
        self.daemon.restart(signal.SIGKILL)
        self.assertEqual(self.root.state(self.web), ("paused", "user"))
        self.root.domain(self.web, "Resume")
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))
        self.assertIsSet()

    def test_after_the_hosts_sleep(self):
        self.set_back()
        self.login.wait_for_lock("sleep")
        self.login.tell("PrepareForSleep", True)
        self.login.wait_for_release("sleep")
        self.assertEqual(self.root.state(self.web), ("paused", "host-sleep"))
        self.login.tell("PrepareForSleep", False)
        wait_until(lambda: self.root.property(self.web, "State") == "running")
        self.assertIsSet()

    def test_not_where_the_settings_want_it_as_it_is(self):
        settings = self.daemon.config.parent / "qemu.conf"
        settings.write_text("auto_start_sync_time = no\n")
        self.addCleanup(self.daemon.restart)
        self.addCleanup(settings.unlink)
        self.daemon.restart()
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))
        self.set_back()
        self.root.domain(self.web, "ManagedSave")
        self.root.domain(self.web, "Start")
        wait_until(lambda: self.root.property(self.web, "AgentConnected"))
        self.assertFalse(self.is_right())


class WithoutAgent(GuestCase):
    """A machine that boots nothing, so that no agent ever comes to its channel."""

    def test_nobody_waits(self):
        path = self.define("bare", devices=AGENT, disk=False, boot=False, memory=64)
        self.root.domain(path, "Start")
        self.root.domain(path, "ManagedSave")
        self.root.domain(path, "Start")
        self.assertEqual(self.root.state(path), ("running", "restored"))
        state = self.daemon.run / self.root.property(path, "UUID") / "state"
        self.assertTrue(json.loads(state.read_text())["clock-behind"])
        # Nor does what comes next.
        self.root.domain(path, "Suspend")
        self.root.domain(path, "Resume")
        self.root.domain(path, "Destroy")
        self.assertFalse(state.exists())

    def test_no_channel_no_clock(self):
        path = self.define("plain", disk=False, boot=False, memory=64)
        self.root.domain(path, "Start")
        self.root.domain(path, "ManagedSave")
        self.root.domain(path, "Start")
        state = self.daemon.run / self.root.property(path, "UUID") / "state"
        self.assertFalse(json.loads(state.read_text())["clock-behind"])


if __name__ == "__main__":
    unittest.main()
