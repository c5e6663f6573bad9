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
        changes = self.order()
        self.set_vcpus(3)
        self.see_vcpus("0-2")
        self.root.call(self.path, DOMAIN, "EnableVCPUs", variant("('1', false, {'live': <true>})"))
        self.see_vcpus("0,2")
        self.assertEqual(self.root.property(self.path, "VCPUs"), 2)
        self.assertIn("<vcpu id='1' enabled='no' hotpluggable='yes'/>", self.root.xml(self.path))
        self.daemon.restart()
        self.open_console()
        self.console.send("\n")
        self.console.wait("# ")
        # An emulator of emulated vCPUs (QEMU 7.2) would end by it.
        failure = self.root.fails(self.path, DOMAIN, "SetVCPUs", variant("(uint32 3, {'live': <true>})"))
        self.assertEqual((failure.name, failure.message),
                         (ERROR + "UnsupportedConfiguration", "domain 'guest': its emulator can make 3 vCPUs as long as it runs, counting 1 that "
                          "were taken away; after a new start, the guest can be given them again"))
        self.set_vcpus(1)
        self.see_vcpus("0")
        self.assertEqual([event[2] for event in changes.events() if event[:2] == (self.path, "VCPUs")][-1], 1)
        failure = self.root.fails(self.path, DOMAIN, "EnableVCPUs", variant("('0', false, {'live': <true>})"))
        self.assertEqual(failure.name, ERROR + "InvalidArgument")


if __name__ == "__main__":
    unittest.main()
