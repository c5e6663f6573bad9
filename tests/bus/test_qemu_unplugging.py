# SPDX-License-Identifier: LGPL-2.1-or-later
"""vCPUs that are taken out of a guest that runs. Only KVM's go, so the emulator is a pretended one, and its guest becomes one of KVM's while the
daemon is away: what of this the emulator's own code does is not tried here."""

import os
import signal
import unittest

from harness import DAEMON, DOMAIN, ERROR, Failure, options, variant, wait_until
from pretended import Pretended
from qemud import ROOT, QemuCase

LIVE = "{'live': <true>}"
VCPUS = ("<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes'/>" + "".join(f"<vcpu id='{i}' enabled='yes' hotpluggable='yes'/>" for i in (1, 2, 3)) +
         "</vcpus>")
DONE = {"return": {}}
EJECT, EJECTED, REFUSED, IN_PROGRESS = 3, 0, 1, 0x84  # what the guest's firmware tells of, and with which status


def error(text, kind="GenericError"):
    return {"error": {"class": kind, "desc": text}}


def gone(vcpu):
    return {"event": "DEVICE_DELETED", "data": {"device": f"vcpu{vcpu}", "path": f"/machine/peripheral/vcpu{vcpu}"}}


def kept(vcpu):
    return {"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"device": f"vcpu{vcpu}", "path": f"/machine/peripheral/vcpu{vcpu}"}}


def firmware(vcpu, status, named=True):
    device = {"device": f"vcpu{vcpu}"} if named else {}
    return {"event": "ACPI_DEVICE_OST",
            "data": {"info": {**device, "slot": str(vcpu), "slot-type": "CPU", "source": EJECT, "status": status}}}


class Unplugging(Pretended, QemuCase):
    def setUp(self):
        super().setUp()
        self.set_up_pretended()
        text = self.pretended_xml("web")
        assert "<vcpu>1</vcpu>" in text
        self.path = self.client.define(text.replace("<vcpu>1</vcpu>", VCPUS))
        self.client.domain(self.path, "Start")
        self.uuid = self.client.property(self.path, "UUID")
        self.become_kvm()
        self.wait_at_most("60s")
        # The daemon's own first questions are behind it, and take nothing of a script.
        self.tell(self.path, "query-status")
        self.assertEqual(self.there(), "1111")
        self.changed = self.changes()

    def become_kvm(self):
        self.qemud.end()
        live = self.qemud.run / self.uuid / "live.xml"
        text = live.read_text(encoding="utf-8")
        assert "<domain type='qemu'" in text
        live.write_text(text.replace("<domain type='qemu'", "<domain type='kvm'"), encoding="utf-8")
        self.qemud.start()

    def wait_at_most(self, timeout):
        settings = self.qemud.config.parent / "qemu.conf.d" / "unplug.conf"
        settings.write_text(f"unplug_timeout = {timeout}\n", encoding="utf-8")
        self.client.call(ROOT, DAEMON, "Reload", options())

    def there(self):
        vcpus = self.client.domain(self.path, "ListVCPUs", LIVE)[0]
        return "".join("1" if vcpu["state"] == "running" else "0" for vcpu in vcpus)

    def take(self, which):
        return self.client.call(self.path, DOMAIN, "EnableVCPUs", variant(f"('{which}', false, {LIVE})"))

    def begin(self, which):
        return self.client.send(self.path, DOMAIN, "EnableVCPUs", variant(f"('{which}', false, {LIVE})"))

    def fails(self, which, name, message):
        failure = self.client.fails(self.path, DOMAIN, "EnableVCPUs", variant(f"('{which}', false, {LIVE})"))
        self.assertEqual((failure.name.removeprefix(ERROR), failure.message), (name, message))

    def goes(self, vcpu, *more):
        self.script(self.path, f"device_del vcpu{vcpu}", DONE, *more, gone(vcpu))

    def goes_now(self, vcpu):
        event = gone(vcpu)
        self.say(self.path, event["event"], **event["data"])


class Gone(Unplugging):
    def test_told_after_the_answer(self):
        self.goes(3)
        self.take("3")
        self.assertEqual((self.there(), self.client.property(self.path, "VCPUs")), ("1110", 3))
        self.assertIn(("VCPUs", 3), self.changed.of(self.path))
        self.assertIn("<vcpu id='3' enabled='no' hotpluggable='yes'/>", self.client.xml(self.path))
        # It can come back, and go once more.
        self.client.call(self.path, DOMAIN, "EnableVCPUs", variant(f"('3', true, {LIVE})"))
        self.assertEqual(self.there(), "1111")
        self.goes(3)
        self.take("3")
        self.qemud.restart()
        self.assertEqual(self.there(), "1110")

    def test_told_before_the_answer(self):
        self.script(self.path, "device_del vcpu3", gone(3), DONE)
        self.goes(2)
        self.take("2-3")
        self.assertEqual(self.there(), "1100")

    def test_told_before_an_answer_that_is_an_error(self):
        """… which is not about the next one."""
        self.script(self.path, "device_del vcpu2", gone(2), error("Device 'vcpu2' not found", "DeviceNotFound"))
        self.script(self.path, "device_del vcpu3", DONE)
        call = self.begin("2-3")
        wait_until(lambda: self.there() == "1101")
        # In step with the emulator: what it said about the first has been heard.
        self.tell(self.path, "query-status")
        self.assertFalse(call.is_done())
        self.goes_now(3)
        call.result()
        self.assertEqual(self.there(), "1100")

    def test_told_by_the_firmware_alone(self):
        self.script(self.path, "device_del vcpu3", DONE, firmware(3, IN_PROGRESS), {"vanish": 3}, firmware(3, EJECTED, named=False))
        self.take("3")
        self.assertEqual(self.there(), "1110")

    def test_told_by_the_firmware_too(self):
        self.goes(3, firmware(3, IN_PROGRESS))
        self.script(self.path, "device_del vcpu2", DONE, firmware(3, EJECTED, named=False), gone(2), firmware(2, EJECTED, named=False))
        self.take("2-3")
        self.assertEqual(self.there(), "1100")

    def test_by_their_number(self):
        for vcpu in (1, 2, 3):
            self.goes(vcpu)
        self.client.call(self.path, DOMAIN, "SetVCPUs", variant(f"(uint32 1, {LIVE})"))
        self.assertEqual((self.there(), self.client.property(self.path, "VCPUs")), ("1000", 1))


class Kept(Unplugging):
    MESSAGE = "domain 'web': the guest does not let go of vCPU {}"

    def test_by_the_guest(self):
        self.script(self.path, "device_del vcpu3", DONE, kept(3))
        self.fails("3", "OperationFailed", self.MESSAGE.format(3))
        self.assertEqual(self.there(), "1111")
        # Nothing is left of that, for the next attempt.
        self.goes(3)
        self.take("3")
        self.assertEqual(self.there(), "1110")

    def test_by_the_guest_before_the_answer(self):
        self.script(self.path, "device_del vcpu3", kept(3), DONE)
        self.fails("3", "OperationFailed", self.MESSAGE.format(3))
        self.assertEqual(self.there(), "1111")

    def test_by_the_firmware(self):
        self.script(self.path, "device_del vcpu3", DONE, firmware(3, IN_PROGRESS), firmware(3, REFUSED))
        self.fails("3", "OperationFailed", self.MESSAGE.format(3))
        self.assertEqual(self.there(), "1111")

    def test_what_is_said_of_others(self):
        self.script(self.path, "device_del vcpu3", DONE, kept(2), firmware(2, REFUSED), {"event": "DEVICE_DELETED", "data": {"path": "/x"}},
                    {"event": "DEVICE_DELETED", "data": {"device": "vcpu4294967299"}})
        call = self.begin("3")
        wait_until(lambda: ("DeviceRemoved", "vcpu4294967299") in self.changed.of(self.path))
        # The question that follows upon what the firmware says has been answered before this.
        self.tell(self.path, "query-status")
        self.assertFalse(call.is_done())
        self.goes_now(3)
        call.result()
        self.assertEqual(self.there(), "1110")

    def test_by_the_emulator(self):
        self.script(self.path, "device_del vcpu3", error("Device 'vcpu3' is not hotpluggable"))
        failure = self.client.fails(self.path, DOMAIN, "EnableVCPUs", variant(f"('3', false, {LIVE})"))
        self.assertEqual(failure.name, ERROR + "MonitorFailed")
        self.assertIn("Device 'vcpu3' is not hotpluggable", failure.message)
        self.assertEqual(self.there(), "1111")

    def test_the_second_of_three(self):
        """The first has gone, and the third is not asked for."""
        self.goes(1)
        self.script(self.path, "device_del vcpu2", DONE, kept(2))
        self.script(self.path, "device_del vcpu3", {"die": True})
        self.fails("1-3", "OperationFailed", self.MESSAGE.format(2))
        self.assertEqual((self.there(), self.client.property(self.path, "VCPUs")), ("1011", 3))
        self.qemud.restart()
        self.assertEqual(self.there(), "1011")


class Silence(Unplugging):
    def is_not_waited_for(self):
        self.wait_at_most("200ms")
        self.fails("3", "Timeout", "domain 'web': the guest has not let go of vCPU 3 in time; it may still do so")
        self.wait_at_most("60s")

    def test_it_may_still_go(self):
        self.script(self.path, "device_del vcpu3", DONE)
        self.is_not_waited_for()
        self.assertEqual(self.there(), "1111")
        self.goes_now(3)
        wait_until(lambda: self.there() == "1110")
        self.assertIn(("VCPUs", 3), self.changed.of(self.path))

    def test_it_goes_before_it_is_asked_again(self):
        self.script(self.path, "device_del vcpu3", DONE)
        self.is_not_waited_for()
        self.script(self.path, "device_del vcpu2", DONE, gone(3), gone(2))
        self.script(self.path, "device_del vcpu3", error("Device 'vcpu3' not found", "DeviceNotFound"))
        self.take("2-3")
        self.assertEqual(self.there(), "1100")

    def test_the_answer_comes_after_all(self):
        """That it is an error is not told instead, nor of the next attempt."""
        self.script(self.path, "device_del vcpu3")
        self.script(self.path, "query-cpus-fast", error("it was too late"), error("nor now"))
        self.is_not_waited_for()
        self.goes(2)
        self.take("2")
        self.assertEqual(self.there(), "1101")


class Death(Unplugging):
    def ends(self, call, reason):
        """Whether the monitor's end is noticed first, or the process's, is chance."""
        with self.assertRaises(Failure) as caught:
            call.result()
        self.assertIn(caught.exception.name, (ERROR + "MonitorFailed", ERROR + "Canceled"))
        wait_until(lambda: self.client.state(self.path) == ("shutoff", reason))

    def test_instead_of_an_answer(self):
        self.script(self.path, "device_del vcpu3", {"die": True})
        self.ends(self.begin("3"), "crashed")

    def test_while_the_guest_is_waited_for(self):
        self.goes(2)
        self.script(self.path, "device_del vcpu3", DONE)
        call = self.begin("2-3")
        wait_until(lambda: self.there() == "1101")
        os.kill(self.qemud.emulator(self.uuid), signal.SIGKILL)
        self.ends(call, "crashed")

    def test_of_a_guest_that_is_destroyed(self):
        self.goes(2)
        self.script(self.path, "device_del vcpu3", DONE)
        call = self.begin("2-3")
        wait_until(lambda: self.there() == "1101")
        self.client.domain(self.path, "Destroy")
        self.ends(call, "destroyed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
