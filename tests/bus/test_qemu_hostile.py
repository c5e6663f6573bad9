# SPDX-License-Identifier: LGPL-2.1-or-later
"""Emulators that lie: what a guest that has taken its QEMU over can say to the daemon. Each lie costs that guest, and nobody else."""

import time
import unittest

from harness import DOMAIN, ERROR, Failure, variant
from qemud import QemuCase, xml

# Asked what it can do, it is the real one. As a guest, it lies by its name.
LIAR = r'''#!/usr/bin/python3
import json, os, re, socket, sys, time
words = " ".join(sys.argv[1:])
if "-machine none" in words:
    os.execv("/usr/bin/qemu-system-x86_64", ["qemu-system-x86_64", *sys.argv[1:]])
lie = re.search(r"guest=([a-z-]+)", words).group(1)
listener = socket.socket(fileno=int(re.search(r"charmonitor,fd=(\d+)|fd=(\d+)[^ ]*,id=charmonitor", words).group(1)))
peer, _ = listener.accept()
GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}
ANSWERS = {"query-cpus-fast": [], "query-chardev": [], "query-status": {"status": "running", "running": True, "singlestep": False}}

def say(what):
    peer.sendall((what if isinstance(what, str) else json.dumps(what)).encode() + b"\r\n")

def endless(start):
    peer.sendall(start)
    while True:
        peer.sendall(b"x" * 65536)

if lie == "mute":
    time.sleep(600)
if lie == "garbage":
    say("\x01\x02 this is no JSON {")
if lie == "endless-greeting":
    endless(b'{"QMP": "')
if lie == "deep":
    say("[" * 100000)
if lie == "leaves":
    sys.exit(3)
say(GREETING)
for line in peer.makefile():
    command = json.loads(line)
    if lie == "wrong-id":
        say({"return": {}, "id": "not-yours"})
        continue
    if lie == "half":
        peer.sendall(b'{"return": {')
        time.sleep(600)
    if lie == "odd-answers":
        say({"return": [[[]]] if command["execute"] != "qmp_capabilities" else {}, "id": command["id"]})
        continue
    say({"return": ANSWERS.get(command["execute"], {}), "id": command["id"]})
    if lie == "endless-answer" and command["execute"] == "cont":
        endless(b'{"return": "')
    if lie == "later" and command["execute"] == "system_reset":
        say("no more JSON {")
    if lie == "broken-memory" and command["execute"] == "system_reset":
        say({"event": "MEMORY_FAILURE", "data": {"recipient": "guest", "action": "inject", "flags": {"action-required": True, "recursive": False}}})
        say({"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"device": "net0", "path": "/machine/peripheral/net0"}})
        say({"event": "DEVICE_DELETED", "data": {"device": "a word\nthat is none", "path": "/"}})
        say({"event": "DEVICE_DELETED", "data": {"device": "x" * 1000, "path": "/"}})
    if lie == "flood" and command["execute"] == "cont":
        while True:
            say({"event": "RESET", "data": {"guest": True, "reason": "guest-reset"}, "timestamp": {"seconds": 1, "microseconds": 0}})
    if lie == "strange-events" and command["execute"] == "cont":
        for event in ("SHUTDOWN", "BLOCK_IO_ERROR", "RTC_CHANGE", "BALLOON_CHANGE", "WATCHDOG", "DEVICE_TRAY_MOVED", "JOB_STATUS_CHANGE", "MIGRATION",
                      "VSERPORT_CHANGE", "GUEST_PANICKED", "MEMORY_FAILURE", "VNC_CONNECTED", "SPICE_DISCONNECTED", "DEVICE_DELETED",
                      "DEVICE_UNPLUG_GUEST_ERROR", "SUSPEND_DISK", "GUEST_CRASHLOADED", "NO_SUCH_EVENT", ""):
            for data in (None, [], "x", {}, {"offset": "x"}, {"actual": -1}, {"device": 5}, {"guest": []}, {"action": {}}, {"status": 7}, {"id": None}):
                if event != "SHUTDOWN" and event != "GUEST_PANICKED":
                    say({"event": event, "data": data, "timestamp": {"seconds": -1, "microseconds": "x"}})
'''


class Liars(QemuCase):
    def setUp(self):
        super().setUp()
        self.liar = self.bus.directory / "qemu-system-x86_64"
        self.liar.write_text(LIAR)
        self.liar.chmod(0o755)
        folder = self.bus.directory / "config" / "virtbus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "qemu.conf").write_text(f"emulators = {self.liar}\n")
        self.qemud.restart()
        self.honest = self.client.create(xml("honest"))

    def lie(self, name):
        return xml(name, devices=f"<emulator>{self.liar}</emulator>")

    def latency(self):
        taken = []
        for _ in range(30):
            begin = time.monotonic()
            self.client.domain(self.honest, "GetXML")
            taken.append(time.monotonic() - begin)
        return max(taken)

    def begin(self, name):
        """The reply that is awaited, and the domain."""
        path = self.client.define(self.lie(name))
        return path, self.client.send(path, DOMAIN, "Start", variant("(@a{sv} {},)"))

    def assertHarmless(self, path):
        """The liar can be ended, its definition has stayed, and the honest guest has heard of nothing."""
        try:
            self.client.domain(path, "Destroy")
        except Failure as failure:  # its own lies may have ended it by now
            self.assertEqual(failure.name, ERROR + "InvalidState", failure)
        self.assertEqual(self.client.property(path, "State"), "shutoff")
        self.assertIn("<emulator>", self.client.xml(path))
        self.client.domain(self.honest, "Suspend")
        self.client.domain(self.honest, "Resume")
        self.assertIsNone(self.qemud.process.poll())

    def assertRefusedSoon(self, name, pattern):
        path, reply = self.begin(name)
        begin = time.monotonic()
        try:
            reply.result()
            self.fail(f"'{name}' was believed")
        except Exception as failure:
            self.assertIn(getattr(failure, "name", ""), (ERROR + "MonitorFailed", ERROR + "EmulatorFailed"), failure)
            self.assertRegex(str(failure), pattern)
            self.assertLess(len(str(failure)), 4096)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertHarmless(path)

    def test_garbage(self):
        self.assertRefusedSoon("garbage", "garbage")

    def test_an_endless_greeting(self):
        self.assertRefusedSoon("endless-greeting", "endless-greeting")

    def test_a_thousandfold_nesting(self):
        self.assertRefusedSoon("deep", "deep")

    def test_an_early_end(self):
        self.assertRefusedSoon("leaves", "exited with status 3")

    def test_silence_and_halves_delay_nobody(self):
        for name in ("mute", "half", "wrong-id"):
            path, reply = self.begin(name)
            self.assertLess(self.latency(), 2, name)
            self.assertFalse(reply.is_done(), name) if name != "wrong-id" else None
            self.assertHarmless(path)

    def test_answers_of_other_shapes(self):
        path, reply = self.begin("odd-answers")
        try:
            reply.result()
        except Exception as failure:
            self.assertTrue(failure.name.startswith(ERROR), failure)
        self.client.hypervisor("GetStats", variant("(@ao [], {'fresh': <true>})"))
        self.assertHarmless(path)

    def test_events_that_make_no_sense(self):
        path, reply = self.begin("strange-events")
        reply.result()
        self.client.hypervisor("GetStats", variant("(@ao [], {'fresh': <true>})"))
        self.assertHarmless(path)

    def test_an_endless_answer(self):
        path, reply = self.begin("endless-answer")
        try:
            reply.result()
        except Exception as failure:
            self.assertTrue(failure.name.startswith(ERROR), failure)
        self.assertLess(self.latency(), 2)
        self.assertHarmless(path)

    def test_nonsense_from_one_that_was_believed(self):
        path, reply = self.begin("later")
        reply.result()
        changed = self.changes()
        self.client.send(path, DOMAIN, "Reset", variant("(@a{sv} {},)"))
        changed.wait_for(path, "MonitorLost")
        self.assertHarmless(path)

    def test_only_words_are_passed_on(self):
        changed = self.changes()
        path, reply = self.begin("broken-memory")
        reply.result()
        self.client.domain(path, "Reset")
        changed.wait_for(path, "MemoryFailed", "guest", "inject", True, False)
        changed.wait_for(path, "DeviceRemovalFailed", "net0")
        self.assertHarmless(path)
        self.assertEqual([event for event in changed.of(path) if event[0] == "DeviceRemoved"], [])

    def test_a_flood_of_events(self):
        path, reply = self.begin("flood")
        reply.result()
        self.assertLess(self.latency(), 2)
        self.assertHarmless(path)


if __name__ == "__main__":
    unittest.main()
