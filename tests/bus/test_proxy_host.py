# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a classic client is told of the host and the hypervisor, and what it changes of them: with a host made of files."""

import os
import socket
import unittest
from xml.etree import ElementTree

import libvirt

from fakehost import ALARM, HUGE, KSM, NODE_HUGE, FakeHost, Login
from proxyd import ClassicCase
from qemud import xml

PAGE = os.sysconf("SC_PAGESIZE")
MIB = 1 << 20
NEHALEM = "<cpu mode='custom' match='exact'><model>Nehalem</model></cpu>"
WESTMERE = "<cpu mode='custom' match='exact'><model>Westmere</model></cpu>"


class ClassicHost(ClassicCase):
    @classmethod
    def setUpClass(cls):
        cls.host = cls.share(FakeHost())
        super().setUpClass()


class Hypervisor(ClassicHost):
    def test_what_it_is(self):
        self.assertEqual(self.connection.getType(), "QEMU")
        self.assertGreaterEqual(self.connection.getVersion(), 7002000)
        self.assertEqual(self.connection.getLibVersion(), 9000000)
        self.assertEqual(self.connection.getHostname(), socket.gethostname())
        self.assertTrue(self.connection.isAlive())
        self.assertTrue(self.connection.isSecure())
        self.assertFalse(self.connection.isEncrypted())
        self.assertEqual(self.connection.getMaxVcpus("qemu"), 255)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "xen", self.connection.getMaxVcpus, "xen")

    def test_what_it_can_do(self):
        capabilities = ElementTree.fromstring(self.connection.getCapabilities())
        self.assertEqual(capabilities.findtext("guest/arch[@name='x86_64']/wordsize"), "64")
        domain = ElementTree.fromstring(self.connection.getDomainCapabilities(None, "x86_64", "q35", "qemu"))
        self.assertEqual(domain.findtext("domain"), "qemu")
        self.assertRegex(domain.findtext("machine"), "^pc-q35-")
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "vax", self.connection.getDomainCapabilities, None, "vax")
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "", self.connection.getDomainCapabilities, None, None, None, None, 1 << 9)

    def test_a_definition_as_a_command_line(self):
        command = self.connection.domainXMLToNative("qemu-argv", xml("web"))
        self.assertIn("guest=web", command)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "unsupported config type xen-xm", self.connection.domainXMLToNative, "xen-xm", xml("web"))
        self.refused(libvirt.VIR_ERR_XML_ERROR, "", self.connection.domainXMLToNative, "qemu-argv", "<domain>")
        self.refused(libvirt.VIR_ERR_NO_SUPPORT, "virConnectDomainXMLFromNative", self.connection.domainXMLFromNative, "qemu-argv", "")


class Cpus(ClassicHost):
    def test_models(self):
        models = self.connection.getCPUModelNames("x86_64")
        self.assertIn("Westmere-IBRS", models)
        self.assertNotIn("Westmere-v2", models)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "vax", self.connection.getCPUModelNames, "vax")

    def test_comparison(self):
        fail = libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
        self.assertEqual(self.connection.compareCPU(NEHALEM), libvirt.VIR_CPU_COMPARE_IDENTICAL)
        self.assertEqual(self.connection.compareCPU(NEHALEM.replace("Nehalem", "Penryn")), libvirt.VIR_CPU_COMPARE_SUPERSET)
        self.assertEqual(self.connection.compareCPU(WESTMERE), libvirt.VIR_CPU_COMPARE_INCOMPATIBLE)
        self.assertEqual(self.connection.compareCPU(NEHALEM, fail), libvirt.VIR_CPU_COMPARE_IDENTICAL)
        self.refused(libvirt.VIR_ERR_CPU_INCOMPATIBLE, "Host CPU does not provide required features: aes, arat, pclmuldq",
                     self.connection.compareCPU, WESTMERE, fail)
        odd = NEHALEM.replace("</cpu>", "<gears/></cpu>")
        self.assertEqual(self.connection.compareCPU(odd), libvirt.VIR_CPU_COMPARE_IDENTICAL)
        self.refused(libvirt.VIR_ERR_XML_ERROR, "gears", self.connection.compareCPU, odd, libvirt.VIR_CONNECT_COMPARE_CPU_VALIDATE_XML)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "", self.connection.compareCPU, NEHALEM, 1 << 9)

        compare = lambda *more: self.connection.compareHypervisorCPU(None, "x86_64", None, "qemu", *more)
        self.assertEqual(compare(WESTMERE), libvirt.VIR_CPU_COMPARE_SUPERSET)
        self.refused(libvirt.VIR_ERR_CPU_INCOMPATIBLE, "topoext", compare, WESTMERE.replace("Westmere", "EPYC"), fail)

    def test_baseline(self):
        expand, migratable = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES, libvirt.VIR_CONNECT_BASELINE_CPU_MIGRATABLE
        with_tsc = NEHALEM.replace("</cpu>", "<feature policy='require' name='invtsc'/></cpu>")
        features = lambda text: [feature.get("name") for feature in ElementTree.fromstring(text).findall("feature")]
        self.assertEqual(ElementTree.fromstring(self.connection.baselineCPU([NEHALEM, WESTMERE])).findtext("model"), "Nehalem")
        self.assertEqual(features(self.connection.baselineCPU([with_tsc])), ["invtsc"])
        self.assertEqual(features(self.connection.baselineCPU([with_tsc], migratable)), [])
        self.assertIn("sse4.2", features(self.connection.baselineCPU([NEHALEM], expand)))
        baseline = self.connection.baselineHypervisorCPU(None, "x86_64", None, "qemu", [with_tsc, WESTMERE])
        self.assertEqual((ElementTree.fromstring(baseline).findtext("model"), features(baseline)), ("Nehalem", []))


class Node(ClassicHost):
    def test_size_and_shape(self):
        # model, MiB, CPUs, MHz, nodes, sockets, cores, threads
        self.assertEqual(self.connection.getInfo(), [os.uname().machine, 6, 2, 2793, 1, 1, 3, 1])
        self.assertEqual(self.connection.getCPUMap(), (3, [True, True, False], 2))
        self.assertEqual(self.connection.getSecurityModel(), ["none", "0"])

    def test_figures(self):
        self.assertEqual(self.connection.getCPUStats(-1), {"kernel": 430000000, "user": 1200000000, "idle": 4000000000, "iowait": 50000000})
        self.assertEqual(self.connection.getCPUStats(0)["user"], 100000000)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "CPU 7", self.connection.getCPUStats, 7)
        self.assertEqual(self.connection.getMemoryStats(-1), {"total": 4096, "free": 1024, "buffers": 16, "cached": 32})
        self.assertEqual(self.connection.getMemoryStats(1), {"total": 2048, "free": 0})
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "node 7", self.connection.getMemoryStats, 7)

    def test_memory_by_cells(self):
        self.assertEqual(self.connection.getFreeMemory(), MIB)
        self.assertEqual(self.connection.getCellsFreeMemory(0, 8), [MIB, 0])
        self.assertEqual(self.connection.getCellsFreeMemory(1, 1), [0])
        self.refused(libvirt.VIR_ERR_INTERNAL_ERROR, "start cell 2 out of range (0-1)", self.connection.getCellsFreeMemory, 2, 1)
        self.assertEqual(self.connection.getFreePages([PAGE >> 10, 2048], 0, 2), {0: {PAGE >> 10: MIB // PAGE, 2048: 1}, 1: {PAGE >> 10: 0, 2048: 0}})
        self.refused(libvirt.VIR_ERR_OPERATION_FAILED, "page size 5 is not available on node 1", self.connection.getFreePages, [5], 1, 1)

    def test_huge_pages(self):
        self.assertEqual(self.connection.allocPages({2048: 5}, 0, 1, libvirt.VIR_NODE_ALLOC_PAGES_SET), 1)
        self.assertEqual(self.host.written(NODE_HUGE), "5")
        self.connection.allocPages({2048: 2}, 0, 1)
        self.assertEqual(self.host.written(NODE_HUGE), "7")
        self.connection.allocPages({2048: 1}, 0, 1, libvirt.VIR_NODE_ALLOC_PAGES_SET)
        self.connection.allocPages({2048: 3}, -1, 1, libvirt.VIR_NODE_ALLOC_PAGES_SET)
        self.assertEqual(self.host.written(HUGE), "3")
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "has no huge pages of 5120 bytes", self.connection.allocPages, {5: 1}, 0, 1)

    def test_equal_pages(self):
        before = self.connection.getMemoryParameters()
        self.assertEqual(before, {"shm_pages_to_scan": 100, "shm_sleep_millisecs": 20, "shm_pages_shared": 0, "shm_pages_sharing": 7,
                                  "shm_pages_unshared": 0, "shm_pages_volatile": 0, "shm_full_scans": 0, "shm_merge_across_nodes": 1})
        self.connection.setMemoryParameters({"shm_pages_to_scan": 7, "shm_sleep_millisecs": 50, "shm_merge_across_nodes": 0})
        self.assertEqual([self.host.written(KSM + name) for name in ("pages_to_scan", "sleep_millisecs", "merge_across_nodes", "run")],
                         ["7", "50", "0", "0"])
        self.connection.setMemoryParameters({"shm_pages_to_scan": 100, "shm_sleep_millisecs": 20, "shm_merge_across_nodes": 1})
        self.assertEqual(self.connection.getMemoryParameters(), before)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "'shm_pages_shared'", self.connection.setMemoryParameters, {"shm_pages_shared": 1})

    def test_firmware(self):
        sysinfo = ElementTree.fromstring(self.connection.getSysinfo())
        self.assertEqual(sysinfo.findtext("system/entry[@name='manufacturer']"), "Maker")

    def test_sleep(self):
        login = Login(self.bus)
        self.addCleanup(login.close)
        self.connection.suspendForDuration(libvirt.VIR_NODE_SUSPEND_TARGET_HYBRID, 75)
        self.assertEqual((login.calls, self.host.written(ALARM)), ([("HybridSleep", False)], "+75"))
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "at least 60 seconds", self.connection.suspendForDuration, 0, 5)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "", self.connection.suspendForDuration, 7, 75)

    def test_there_is_no_sev(self):
        self.refused(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, "SEV", self.connection.getSEVInfo)


if __name__ == "__main__":
    unittest.main()
