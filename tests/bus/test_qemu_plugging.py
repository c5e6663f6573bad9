# SPDX-License-Identifier: LGPL-2.1-or-later
"""What comes and goes while a guest runs, as the guest itself sees it."""

import unittest

from guests import Console, GuestCase
from harness import DOMAIN, ERROR, variant, wait_until


class Plugging(GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.define("guest", disk=False, vcpus="<vcpu current='1'>3</vcpu>")
        cls.root.domain(cls.path, "Start")
        cls.open_console()
        cls.console.log_in()

    @classmethod
    def open_console(cls):
        """It ends with the daemon."""
        cls.console = Console(cls.root.open(cls.path, "OpenConsole", ""))
        cls.addClassCleanup(cls.console.close)

    def set_vcpus(self, n):
        self.root.call(self.path, DOMAIN, "SetVCPUs", variant(f"(uint32 {n}, {{'live': <true>}})"))

    def see_vcpus(self, which):
        """Waits until the guest sees these."""
        wait_until(lambda: self.console.run("cat /sys/devices/system/cpu/present").split()[-1] == which)

    def test_vcpus(self):
        self.set_vcpus(2)
        self.see_vcpus("0-1")
        self.root.call(self.path, DOMAIN, "EnableVCPUs", variant("('2', true, {'live': <true>})"))
        self.see_vcpus("0-2")
        failure = self.root.fails(self.path, DOMAIN, "EnableVCPUs", variant("('1', false, {'live': <true>})"))
        self.assertEqual((failure.name, failure.message),
                         (ERROR + "UnsupportedConfiguration", "domain 'guest': vCPU 1 is emulated, and cannot be taken away while the guest runs: "
                          "that needs domain type 'kvm'"))
        self.see_vcpus("0-2")


if __name__ == "__main__":
    unittest.main()
