# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests say, by way of virtlogd: where it goes, and what a start does when virtlogd is slow, or not there."""

import os
import re
import signal
import stat
import unittest

import harness
from harness import ERROR, Client, has_owner, variant, wait_until
from qemud import QemuCase, xml

LOGD, MANAGER = "org.virtbus.Log1", "org.virtbus.LogManager1"

# Asked what it can do, it is the real one. As a guest, it stops virtlogd, says something, and ends.
STOPS_LOGD = r'''#!/usr/bin/python3
import os, signal, sys
if "-machine none" in " ".join(sys.argv):
    os.execv("/usr/bin/qemu-system-x86_64", ["qemu-system-x86_64", *sys.argv[1:]])
if sys.argv[0].endswith("stops"):
    os.kill(int(open(os.path.dirname(sys.argv[0]) + "/logd.pid").read()), signal.SIGSTOP)
print("first\nlast words", file=sys.stderr, flush=True)
sys.exit(3)
'''


class Logd(harness.Program):
    name = "virtlogd"
    good_ends = (0, -signal.SIGKILL)

    def __init__(self, bus, environment):
        super().__init__(bus, "virtlogd.log")
        self.launch([os.environ["VIRTLOGD"], "--session", "--verbose"], lambda: has_owner(bus, LOGD), env=environment)
        self.client = Client(bus)

    def open_logs(self):
        return self.client.call("/org/virtbus/Log1", "org.freedesktop.DBus.Properties", "Get", variant(f"('{MANAGER}', 'OpenLogs')"),
                                destination=LOGD)[0]

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.client.close()
        super().close()


class Logs(QemuCase):
    def begin(self, logd=True, **settings):
        """The daemon anew, with these settings."""
        folder = self.qemud.config.parent / "qemu.conf.d"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {value}\n" for key, value in {"stdio_handler": "logd", **settings}.items()]
        (folder / "logs.conf").write_text("".join(lines), encoding="utf-8")
        self.qemud.restart()
        if logd:
            self.logd = self.enter(Logd(self.bus, self.qemud.environment()))

    def emulator(self, name):
        """A program in a folder of its own that is allowed as an emulator."""
        folder = self.bus.directory / "emulators"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(STOPS_LOGD, encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    def log(self, *names):
        return self.qemud.logs.joinpath(*names)

    def test_emulator_and_consoles(self):
        self.begin(log_consoles="yes")
        path = self.client.create(xml("web", devices="<serial type='pty'/><console type='pty'><target type='virtio'/></console>"))
        self.assertEqual(self.logd.open_logs(), 3)
        live = self.client.xml(path)
        for alias in ("serial0", "console0"):
            self.assertIn(str(self.log("console", "web", f"{alias}.log")), live)
        wait_until(lambda: self.log("web.log").exists() and "starting\n" in self.log("web.log").read_text())
        self.assertTrue(self.log("console", "web", "serial0.log").exists())
        # Another daemon knows where the words are.
        self.qemud.restart(signal.SIGKILL)
        os.kill(self.qemud.emulator(re.search(r"<uuid>(.*)</uuid>", live)[1]), signal.SIGKILL)
        wait_until(lambda: "was killed by signal 9" in self.qemud.logged() or "the emulator has ended" in self.qemud.logged())
        wait_until(lambda: self.logd.open_logs() == 0)

    def test_a_definition_says_what_is_logged(self):
        self.begin()
        place = self.log("any-name.log")
        device = f"<serial type='file'><source path='{place}'/></serial>"
        for _ in range(2):
            path = self.client.create(xml("web", devices=device))
            self.assertEqual(self.logd.open_logs(), 2)
            self.assertIn(f"<source path='{self.log('console', 'web', 'serial0.log')}'", self.client.xml(path))
            self.client.domain(path, "Destroy")
            wait_until(lambda: self.logd.open_logs() == 0)
        both = f"<serial type='file'><source path='{place}'/><log file='{self.log('other.log')}'/></serial>"
        failure = self.client.fails("/org/virtbus/Qemu1", harness.HYPERVISOR, "Create",
                                    harness.GLib.Variant("(sa{sh}a{sv})", (xml("web", devices=both), {}, {})))
        self.assertEqual(failure.name, f"{ERROR}UnsupportedConfiguration")
        # Elsewhere it is the owner's own file.
        mine = self.bus.directory / "mine.log"
        path = self.client.create(xml("web", devices=f"<serial type='file'><source path='{mine}'/></serial>"))
        self.assertTrue(mine.exists())
        self.assertEqual(self.logd.open_logs(), 1)
        self.client.domain(path, "Destroy")

    def start_fails(self, definition):
        path = self.client.define(definition)
        failure = self.client.refused(path, "Start")
        self.client.domain(path, "Undefine")
        return failure

    def test_last_words(self):
        emulator = self.emulator("speaks")
        self.begin(emulators=emulator)
        failure = self.start_fails(xml("web", devices=f"<emulator>{emulator}</emulator>"))
        self.assertEqual((failure.name, failure.message),
                         (f"{ERROR}EmulatorFailed", "domain 'web': the emulator exited with status 3: first; last words"))

    def test_last_words_that_do_not_come(self):
        emulator = self.emulator("stops")
        self.begin(emulators=emulator)
        (emulator.parent / "logd.pid").write_text(str(self.logd.process.pid))
        failure = self.start_fails(xml("web", devices=f"<emulator>{emulator}</emulator>"))
        self.assertEqual(failure.name, f"{ERROR}EmulatorFailed")
        self.assertIn(f"exited with status 3; what it said is in '{self.log('web.log')}', and cannot be shown", failure.message)

    def test_without_virtlogd(self):
        self.begin(logd=False)
        failure = self.start_fails(xml("web"))
        self.assertEqual(failure.name, f"{ERROR}LogFailed")
        self.assertIn('stdio_handler = "file"', failure.message)

    def test_virtlogd_hangs(self):
        self.begin()
        self.logd.process.send_signal(signal.SIGSTOP)
        failure = self.start_fails(xml("web"))
        self.assertEqual(failure.name, f"{ERROR}LogFailed")
        self.assertIn("no answer", failure.message)
        self.assertEqual(list(self.qemud.run.glob("*-*")), [])


if __name__ == "__main__":
    unittest.main()
