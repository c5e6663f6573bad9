# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with a TPM that swtpm emulates: as their own user, as long as they run, and with a memory that stays."""

import os
import signal
import unittest

from guests import GuestCase, emulators
from harness import ERROR, variant, wait_until


def tpm(model="tpm-crb", version="2.0", more=""):
    return f"<tpm model='{model}'><backend type='emulator' version='{version}'>{more}</backend></tpm>"


class Tpm(GuestCase):
    def machine(self, name, devices=None):
        return self.define(name, boot=False, disk=False, memory=32, devices=devices or tpm())

    def started(self, name, devices=None):
        path = self.machine(name, devices)
        self.root.domain(path, "Start")
        self.addCleanup(self.end, path)
        return path

    def end(self, path):
        if path in self.root.domains("{'active': <true>}"):
            self.root.domain(path, "Destroy")

    def swtpms(self):
        return [pid for pid, words in emulators(self.folder).items() if "swtpm" in words[0]]

    def memory(self, path):
        return self.folder / "state/virtbus/qemu/tpm" / self.root.property(path, "UUID")

    def tpm_of(self, path):
        answer = self.root.call(path, "org.virtbus.Domain1", "MonitorCommand", variant("""('{"execute": "query-tpm"}', @a{sv} {})"""))
        return answer[0]

    def test_both_models_and_both_versions(self):
        for model, version in (("tpm-crb", "2.0"), ("tpm-tis", "2.0"), ("tpm-tis", "1.2")):
            path = self.started(f"{model}-{version}", tpm(model, version))
            self.assertIn(f'"model":"{model}"', self.tpm_of(path).replace(" ", ""))
            self.assertEqual(len(self.swtpms()), 1)
            self.root.domain(path, "Destroy")
            self.assertEqual(self.swtpms(), [])

    def test_what_it_remembers_stays_until_the_domain_is_undefined(self):
        path = self.started("keeper")
        memory = self.memory(path)
        self.assertEqual(memory.stat().st_mode & 0o777, 0o700)
        wait_until(lambda: list(memory.glob("tpm2-*.permall")))
        before = memory.stat().st_ino
        self.root.domain(path, "Destroy")
        self.root.domain(path, "Start")
        self.assertEqual(memory.stat().st_ino, before)
        self.root.domain(path, "Destroy")
        self.root.domain(path, "Undefine")
        wait_until(lambda: not memory.exists())

    def test_it_can_be_kept(self):
        path = self.started("kept")
        memory = self.memory(path)
        self.root.domain(path, "Destroy")
        self.root.domain(path, "Undefine", "{'keep-tpm': <true>}")
        self.assertTrue(memory.exists())

    def test_it_goes_with_a_transient_guest(self):
        from qemud import xml

        path = self.root.create(xml("passing", devices=tpm("tpm-tis")))
        memory = self.memory(path)
        self.assertTrue(memory.exists())
        self.root.domain(path, "Destroy")
        wait_until(lambda: not memory.exists())

    def test_it_outlives_the_daemon_and_ends_with_the_guest(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            path = self.started(f"outlives-{how.name}")
            (before,) = self.swtpms()
            self.daemon.restart(how)
            self.assertEqual(self.swtpms(), [before])
            self.assertIn("tpm-crb", self.tpm_of(path))
            self.root.domain(path, "Destroy")
            self.assertEqual(self.swtpms(), [])

    def test_a_guest_that_is_killed_takes_it_along(self):
        path = self.started("killed")
        os.kill(self.emulator(path), signal.SIGKILL)
        wait_until(lambda: self.root.property(path, "State") == "shutoff")
        self.assertEqual(self.swtpms(), [])

    def test_one_that_hangs_at_the_end_is_killed(self):
        path = self.started("hung")
        (pid,) = self.swtpms()
        os.kill(pid, signal.SIGSTOP)
        self.root.domain(path, "Destroy")
        self.assertEqual(self.swtpms(), [])
        self.root.domain(path, "Start")

    def test_one_that_dies_leaves_the_guest_running(self):
        path = self.started("orphan")
        (pid,) = self.swtpms()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "the TPM emulator" in self.daemon.logged())
        self.assertEqual(self.root.property(path, "State"), "running")

    def test_a_start_that_fails_leaves_none(self):
        devices = tpm() + "<interface type='user'><model type='e1000'/><rom file='/nonexistent.rom'/></interface>"
        path = self.machine("fails", devices)
        self.root.refused(path, "Start")
        self.assertEqual(self.swtpms(), [])

    def test_a_memory_that_cannot_be_used_fails_the_start(self):
        path = self.machine("broken")
        memory = self.memory(path)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text("not a folder")
        error = self.root.refused(path, "Start")
        self.assertEqual(error.name, ERROR + "StorageFailed")
        self.assertIn(str(memory), error.message)
        memory.unlink()
        memory.mkdir(0o700)
        (memory / "tpm2-00.permall").write_text("rubbish")
        error = self.root.refused(path, "Start")
        self.assertEqual(error.name, ERROR + "EmulatorFailed")
        self.assertEqual(self.root.state(path), ("shutoff", "failed"))
        self.assertEqual(self.swtpms(), [])

    def test_it_is_saved_and_restored_with_the_guest(self):
        path = self.started("saved")
        self.root.domain(path, "ManagedSave")
        self.assertEqual(self.swtpms(), [])
        self.root.domain(path, "Start")
        self.assertEqual(self.root.state(path), ("running", "restored"))
        self.assertIn("tpm-crb", self.tpm_of(path))

    def test_banks_cannot_be_chosen_yet(self):
        path = self.machine("banks", tpm(more="<active_pcr_banks><sha256/></active_pcr_banks>"))
        error = self.root.refused(path, "Start")
        self.assertEqual(error.name, ERROR + "UnsupportedConfiguration")
        self.assertIn("active_pcr_banks", error.message)


if __name__ == "__main__":
    unittest.main()
