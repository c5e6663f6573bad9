# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest's own agent tells and does, by a classic client."""

import unittest
from concurrent.futures import ThreadPoolExecutor

import libvirt
from libvirt import libvirtError

from guests import BOOT_DEADLINE, GuestCase
from harness import wait_until
from proxyd import Proxyd

CARD = "52:54:00:11:22:33"
DEVICES = f"""<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  <interface type='user'><mac address='{CARD}'/><model type='virtio'/></interface>"""


class Agent(GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxyd = cls.share(Proxyd(cls.daemon))
        path = cls.path = cls.define("web", devices=DEVICES)
        cls.root.domain(path, "Start")
        wait_until(lambda: cls.root.property(path, "AgentConnected"), BOOT_DEADLINE)
        cls.web = cls.proxyd.connect().lookupByName("web")

    def test_name_and_time(self):
        self.assertEqual(self.web.hostname(), "guest")
        self.assertGreater(self.web.getTime()["seconds"], 1_600_000_000)

    def test_file_systems(self):
        self.assertEqual([entry[:3] for entry in self.web.fsInfo()], [("/mnt", "vda", "ext4")])
        self.assertEqual(self.web.fsFreeze(), 1)
        self.assertEqual(self.web.fsThaw(), 1)
        with self.assertRaises(libvirtError) as caught:
            self.web.fSTrim("/mnt", 0)
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)

    def test_addresses(self):
        found = self.web.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        self.assertEqual(found["lo"]["addrs"][0], {"type": libvirt.VIR_IP_ADDR_TYPE_IPV4, "addr": "127.0.0.1", "prefix": 8})
        self.assertEqual(found["eth0"]["hwaddr"], CARD)

    def test_vcpus(self):
        self.assertEqual(self.web.guestVcpus(), {"vcpus": "0", "online": "0", "offlinable": ""})
        self.assertEqual(self.web.vcpusFlags(libvirt.VIR_DOMAIN_VCPU_GUEST), 1)

    def test_who_may_log_in_by_ssh(self):
        one, other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne one@host", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther other@host"
        self.web.authorizedSSHKeysSet("root", [one])
        self.assertEqual(self.web.authorizedSSHKeysGet("root"), [one])
        self.web.authorizedSSHKeysSet("root", [other], libvirt.VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND)
        self.assertEqual(sorted(self.web.authorizedSSHKeysGet("root")), [one, other])
        self.web.authorizedSSHKeysSet("root", [one], libvirt.VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE)
        self.assertEqual(self.web.authorizedSSHKeysGet("root"), [other])
        with self.assertRaises(libvirtError):
            self.web.authorizedSSHKeysGet("nobody-at-all")

    def test_all_that_is_known(self):
        info = self.web.guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_OS | libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME
                                  | libvirt.VIR_DOMAIN_GUEST_INFO_TIMEZONE | libvirt.VIR_DOMAIN_GUEST_INFO_FILESYSTEM
                                  | libvirt.VIR_DOMAIN_GUEST_INFO_INTERFACES | libvirt.VIR_DOMAIN_GUEST_INFO_USERS)
        for key, value in {"os.machine": "x86_64", "hostname": "guest", "timezone.offset": 0, "fs.0.mountpoint": "/mnt", "fs.0.fstype": "ext4",
                           "if.0.name": "lo", "user.count": 0}.items():
            self.assertEqual(info[key], value, key)

    def test_how_long_it_is_waited_for(self):
        self.addCleanup(self.web.agentSetResponseTimeout, 60)
        for timeout, usec in ((libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 2 ** 64 - 1), (libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT, 5_000_000),
                              (7, 7_000_000), (libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_NOWAIT, 0)):
            self.assertEqual(self.web.agentSetResponseTimeout(timeout), 0)
            self.assertEqual(self.root.property(self.path, "AgentTimeoutUSec"), usec)
        # Not at all: a guest that stands still cannot be faster.
        self.web.suspend()
        with self.assertRaises(libvirtError) as caught:
            self.web.hostname()
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_AGENT_UNRESPONSIVE)
        # For as long as it takes.
        self.web.agentSetResponseTimeout(libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK)
        with ThreadPoolExecutor() as threads:
            name = threads.submit(self.proxyd.connect().lookupByName("web").hostname)
            self.web.resume()
            self.assertEqual(name.result(), "guest")
        with self.assertRaises(libvirtError) as caught:
            self.web.agentSetResponseTimeout(-3)
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_INVALID_ARG)

    def test_a_time_that_is_set(self):
        self.web.setTime({"seconds": 1700000000, "nseconds": 0})
        self.assertIn(self.web.getTime()["seconds"] - 1700000000, range(24 * 3600))


if __name__ == "__main__":
    unittest.main()
