# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon tells of its host and changes of it: with a host made of files, and with the one the test runs on."""

import os
import shlex
import unittest
from xml.etree import ElementTree

from gi.repository import GLib

from fakehost import ALARM, HUGE, NODE_HUGE, FakeHost, Login
from harness import ERROR, HYPERVISOR, variant, wait_until
from qemud import ROOT, QemuCase, xml

UUID = "11111111-2222-3333-4444-555555555555"

class Host(QemuCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.host = FakeHost()
        cls.addClassCleanup(cls.host.close)

    def ask(self, member, options="{}"):
        return self.client.hypervisor(member, variant(f"(@a{{sv}} {options},)"))[0]

    def refused(self, member, arguments):
        return self.client.fails(ROOT, HYPERVISOR, member, variant(arguments))

    def test_properties(self):
        self.assertEqual(self.client.get(ROOT, HYPERVISOR, "HypervisorType"), "QEMU")
        self.assertEqual(self.client.get(ROOT, HYPERVISOR, "HostName"), os.uname().nodename)

    def test_size_and_shape(self):
        self.assertEqual(self.ask("GetHostInfo"), {
            "arch": os.uname().machine, "memory": 6 << 20, "cpu-frequency": 2793437000, "cpus": 2, "online-cpus": "0-1", "present-cpus": "0-2",
            "nodes": 1, "sockets": 1, "cores": 3, "threads": 1, "security-model": "none", "security-doi": "0"})

    def test_nodes(self):
        page = os.sysconf("SC_PAGESIZE")
        self.assertEqual(self.ask("GetHostNodes"), [
            (0, {"memory": 4 << 20, "free": 1 << 20, "cpus": "0-1", "pages": [(page, (2 << 20) // page, (1 << 20) // page), (2 << 20, 1, 1)]}),
            (1, {"memory": 2 << 20, "free": 0, "cpus": "", "pages": [(page, (2 << 20) // page, 0), (2 << 20, 0, 0)]})])

    def test_cpu_time(self):
        self.assertEqual(self.ask("GetHostCPUStats"),
                         {"kernel": 430000000, "user": 1200000000, "idle": 4000000000, "iowait": 50000000})
        self.assertEqual(self.ask("GetHostCPUStats", "{'cpu': <uint32 0>}")["user"], 100000000)
        failure = self.refused("GetHostCPUStats", "({'cpu': <uint32 1>},)")
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidArgument", "CPU 1: the host has none of this number online"))

    def test_memory(self):
        self.assertEqual(self.ask("GetHostMemoryStats"), {"total": 4 << 20, "free": 1 << 20, "buffers": 16384, "cached": 32768})
        self.assertEqual(self.ask("GetHostMemoryStats", "{'node': <uint32 1>}"), {"total": 2 << 20, "free": 0})
        failure = self.refused("GetHostMemoryStats", "({'node': <uint32 2>},)")
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidArgument", "NUMA node 2: the host has none of this number"))

    def test_pages_are_set_and_added(self):
        set_pages = lambda text: self.client.hypervisor("SetHostPages", variant(text))
        set_pages("(uint64 2097152, uint64 5, {'nodes': <[uint32 0]>})")
        self.assertEqual(self.host.written(NODE_HUGE), "5")
        set_pages("(uint64 2097152, uint64 2, {'nodes': <[uint32 0]>, 'add': <true>})")
        self.assertEqual(self.host.written(NODE_HUGE), "7")
        set_pages("(uint64 2097152, uint64 1, {'nodes': <[uint32 0]>})")
        set_pages("(uint64 2097152, uint64 1, @a{sv} {})")
        self.assertEqual(self.host.written(HUGE), "1")

        failure = self.refused("SetHostPages", "(uint64 4194304, uint64 5, {'nodes': <[uint32 0]>})")
        self.assertEqual((failure.name, failure.message),
                         (ERROR + "InvalidArgument", "NUMA node 0: has no huge pages of 4194304 bytes"))
        failure = self.refused("SetHostPages", "(uint64 4194304, uint64 5, @a{sv} {})")
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidArgument", "the host: has no huge pages of 4194304 bytes"))

    def test_page_merging_is_told_and_set(self):
        before = self.ask("GetPageMerging")
        self.assertEqual(before, {"run": False, "pages-to-scan": 100, "sleep-usec": 20000, "merge-across-nodes": True, "pages-shared": 0,
                                  "pages-sharing": 7, "pages-unshared": 0, "pages-volatile": 0, "full-scans": 0})
        self.client.hypervisor("SetPageMerging", variant("({'run': <true>, 'sleep-usec': <uint64 50000>},)"))
        self.assertEqual(self.ask("GetPageMerging"), {**before, "run": True, "sleep-usec": 50000})
        self.client.hypervisor("SetPageMerging", variant("({'run': <false>, 'sleep-usec': <uint64 20000>, 'pages-to-scan': <uint32 100>},)"))
        self.assertEqual(self.ask("GetPageMerging"), before)

    def test_firmware(self):
        plain = ElementTree.fromstring(self.ask("GetSysinfo"))
        self.assertEqual(plain.get("type"), "smbios")
        self.assertEqual(plain.findtext("system/entry[@name='manufacturer']"), "Maker")
        self.assertEqual(plain.findtext("processor/entry[@name='version']"), "Quick one")
        self.assertIsNone(plain.find("system/entry[@name='serial']"))
        full = ElementTree.fromstring(self.ask("GetSysinfo", "{'serials': <true>}"))
        self.assertEqual(full.findtext("system/entry[@name='serial']"), "S3CR3T")

    def test_sleep(self):
        login = Login(self.bus)
        self.addCleanup(login.close)
        self.client.hypervisor("SuspendHost", variant("('disk', uint64 90, @a{sv} {})"))
        self.assertEqual(login.calls, [("Hibernate", False)])
        self.assertEqual(self.host.written(ALARM), "+90")

        failure = self.refused("SuspendHost", "('mem', uint64 59, @a{sv} {})")
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidArgument", "duration 59: must be at least 60 seconds"))
        self.assertEqual(self.host.written(ALARM), "+90")
        self.assertEqual(len(login.calls), 1)

        login.refusal = ("org.freedesktop.login1.SleepVerbNotSupported", "no swap")
        failure = self.refused("SuspendHost", "('hybrid', uint64 60, @a{sv} {})")
        self.assertEqual((failure.name, failure.message), (ERROR + "NotSupported", "the host was not put to sleep: no swap"))
        self.assertEqual(self.host.written(ALARM), "0")  # nor will its clock ring

        login.refusal = ("org.freedesktop.login1.OperationInProgress", "not now")
        failure = self.refused("SuspendHost", "('mem', uint64 60, @a{sv} {})")
        self.assertEqual((failure.name, failure.message), (ERROR + "OperationFailed", "the host was not put to sleep: not now"))
        self.assertEqual([call[0] for call in login.calls], ["Hibernate", "HybridSleep", "Suspend"])


    def compare(self, cpu, **options):
        return self.client.hypervisor("CompareCPU", GLib.Variant("(sa{sv})", (cpu, boxed(options))))

    def baseline(self, *cpus, **options):
        return ElementTree.fromstring(self.client.hypervisor("BaselineCPU", GLib.Variant("(asa{sv})", (cpus, boxed(options))))[0])

    def test_a_processor_is_compared_with_models(self):
        for cpu, expected in (
                (model("Nehalem"), ("identical", [])),
                (model("Nehalem-v1"), ("identical", [])),
                (model("Penryn"), ("superset", [])),
                (model("Penryn", match="strict"), ("incompatible", [])),
                (model("Westmere"), ("incompatible", ["aes", "arat", "pclmuldq"])),
                (model("Westmere", aes="disable", arat="disable", pclmuldq="optional"), ("incompatible", ["pclmuldq"])),
                (model("Westmere", aes="disable", arat="disable", pclmuldq="disable"), ("identical", [])),
                (model("Nehalem", popcnt="forbid"), ("incompatible", ["popcnt"])),
                (model("Nehalem", avx="require", osxsave="require"), ("incompatible", ["avx"])),
                ("<cpu><arch>x86_64</arch><model>Nehalem</model><vendor>Intel</vendor><topology sockets='1' cores='9' threads='1'/></cpu>",
                 ("identical", [])),
                ("<cpu><arch>ppc64</arch><model>Nehalem</model><vendor>AMD</vendor></cpu>", ("incompatible", ["arch", "vendor"]))):
            with self.subTest(cpu=cpu):
                self.assertEqual(self.compare(cpu), expected)

    def test_the_emulator_gives_more_and_less(self):
        self.assertEqual(self.compare(model("Westmere"), **{"with": "emulator"}), ("superset", []))
        result, lacking = self.compare(model("EPYC-Milan"), **{"with": "emulator"})
        self.assertEqual(result, "incompatible")
        self.assertIn("topoext", lacking)

    def test_what_cannot_be_compared(self):
        for cpu, name, message in (
                ("<cpu", "InvalidXML", ""),
                ("<domain/>", "InvalidXML", "line 1: <domain>: is not a <cpu>"),
                ("<cpu>\n<model>a</model><model>b</model></cpu>", "InvalidXML", "line 2: <model>: there is one already"),
                ("<cpu><model>Nehalem</model><feature/></cpu>", "InvalidXML", "line 1: <feature>: has no name"),
                (model("Nehalem", aes="always"), "InvalidXML", "line 1: <feature>: policy must be force, require, optional, disable or forbid"),
                ("<cpu mode='host-passthrough'/>", "UnsupportedConfiguration",
                 "<cpu mode='host-passthrough'>: names no <model>, so there is nothing to compare"),
                (model("Babbage"), "UnsupportedConfiguration", "CPU model 'Babbage': the emulator has none of this name to compare with"),
                (model("Nehalem", brass="require"), "UnsupportedConfiguration", "there is no CPU feature 'brass'")):
            with self.subTest(cpu=cpu):
                failure = self.client.fails(ROOT, HYPERVISOR, "CompareCPU", GLib.Variant("(sa{sv})", (cpu, {})))
                self.assertEqual(failure.name, ERROR + name)
                if message:
                    self.assertEqual(failure.message, message)
        odd = "<cpu><model>Nehalem</model><gears/></cpu>"
        self.assertEqual(self.compare(odd)[0], "identical")
        failure = self.client.fails(ROOT, HYPERVISOR, "CompareCPU", GLib.Variant("(sa{sv})", (odd, boxed({"validate": True}))))
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidXML", "line 1: <gears>: has no place in <cpu>"))

    def test_what_processors_have_in_common(self):
        cpu = self.baseline(model("Nehalem"), model("Penryn"))
        self.assertEqual((cpu.get("mode"), cpu.get("match"), cpu.findtext("model"), cpu.find("vendor")), ("custom", "exact", "Penryn", None))
        self.assertEqual(cpu.findall("feature"), [])

        features = lambda cpu: [(feature.get("policy"), feature.get("name")) for feature in cpu.findall("feature")]
        more = [model("Nehalem", aes="require", avx="require", invtsc="require"), model("Nehalem", aes="require", invtsc="require")]
        cpu = self.baseline(*more)
        self.assertEqual((cpu.findtext("model"), features(cpu)), ("Nehalem", [("require", "aes"), ("require", "invtsc")]))
        self.assertEqual(features(self.baseline(*more, migratable=True)), [("require", "aes")])
        expanded = features(self.baseline(*more, **{"expand-features": True}))
        self.assertIn(("require", "sse4.2"), expanded)
        self.assertNotIn(("require", "avx"), expanded)

        vendors = ["<cpu><model>Nehalem</model><vendor>%s</vendor></cpu>" % vendor for vendor in ("Intel", "AMD")]
        self.assertEqual(self.baseline(vendors[0], model("Westmere")).findtext("vendor"), "Intel")
        for cpus, name, message in (
                (vendors, "UnsupportedConfiguration", "CPUs of 'Intel' and 'AMD' have no model in common"),
                ([], "InvalidArgument", "no CPU was given"),
                ([model("486", fpu="disable"), model("486")], "UnsupportedConfiguration",
                 "these CPUs have too little in common: there is no model that all of them could be")):
            failure = self.client.fails(ROOT, HYPERVISOR, "BaselineCPU", GLib.Variant("(asa{sv})", (cpus, {})))
            self.assertEqual((failure.name, failure.message), (ERROR + name, message))

    def test_the_emulator(self):
        info = self.ask("GetHypervisorInfo", "{'machine': <'q35'>}")
        self.assertEqual((info["arch"], info["virttype"]), ("x86_64", "qemu"))
        self.assertRegex(info["version"], r"^[0-9]+\.[0-9]+\.[0-9]+$")
        self.assertRegex(info["machine"], "^pc-q35-")
        self.assertTrue(os.access(info["emulator"], os.X_OK))
        self.assertGreaterEqual(info["max-vcpus"], 255)
        self.assertIn("Westmere-IBRS", info["cpu-models"])
        for name in ("Westmere-v2", "host", "max", "base"):
            self.assertNotIn(name, info["cpu-models"])
        failure = self.refused("GetHypervisorInfo", "({'arch': <'vax'>},)")
        self.assertEqual(failure.name, ERROR + "InvalidArgument")

    def test_a_definition_as_a_command_line(self):
        ask = lambda text: self.client.hypervisor("GetCommandLine", GLib.Variant("(sa{sv})", (text, {})))[0].replace("\\\n", " ")
        descriptors = lambda: len(os.listdir(f"/proc/{self.qemud.process.pid}/fd"))
        before = descriptors()
        words = shlex.split(ask(xml("web", UUID, devices="""
          <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/nowhere/disk one.qcow2'/><target dev='vda' bus='virtio'/></disk>
          <interface type='bridge'><source bridge='nobr'/><mac address='52:54:00:00:00:01'/></interface>
          <graphics type='vnc' passwd='S3CR3T'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>""")))
        program = next(word for word in words if "=" not in word)
        self.assertTrue(os.access(program, os.X_OK), program)
        self.assertTrue(any("guest=web" in word for word in words), words)
        self.assertTrue(any("/nowhere/disk one.qcow2" in word for word in words), words)
        self.assertFalse(any("S3CR3T" in word for word in words), words)
        # Nothing of it stays, or was made.
        self.assertEqual(self.client.domains(), [])
        self.assertFalse((self.qemud.run / UUID).exists())
        for _ in range(20):
            ask(xml("web"))
        self.assertLess(descriptors(), before + 20)

        for text, name in (("<domain", "InvalidXML"), (xml("web", more="<memtune><min_guarantee unit='MiB'>16</min_guarantee></memtune>"), "UnsupportedConfiguration")):
            failure = self.client.fails(ROOT, HYPERVISOR, "GetCommandLine", GLib.Variant("(sa{sv})", (text, {})))
            self.assertEqual(failure.name, ERROR + name)


def boxed(options):
    return {key: GLib.Variant("b" if isinstance(value, bool) else "s", value) for key, value in options.items()}


def model(name, match="exact", **features):
    return f"<cpu mode='custom' match='{match}'><model>{name}</model>" + "".join(
        f"<feature policy='{policy}' name='{feature}'/>" for feature, policy in features.items()) + "</cpu>"


class RealHost(QemuCase):
    """On this machine the figures must at least make sense together."""

    def test_figures_of_this_machine(self):
        ask = lambda member: self.client.hypervisor(member, variant("(@a{sv} {},)"))[0]
        info, nodes, memory = ask("GetHostInfo"), ask("GetHostNodes"), ask("GetHostMemoryStats")
        self.assertEqual(info["memory"], sum(node["memory"] for _, node in nodes))
        self.assertEqual(info["cpus"], os.sysconf("SC_NPROCESSORS_ONLN"))
        self.assertLessEqual(memory["free"], memory["total"])
        first, second = ask("GetHostCPUStats"), None

        def went_on():
            nonlocal second
            second = ask("GetHostCPUStats")
            return sum(second.values()) > sum(first.values())

        wait_until(went_on)
        self.assertGreaterEqual(second["user"], first["user"])

    def test_its_processor_is_identical_to_itself(self):
        capabilities = ElementTree.fromstring(self.client.hypervisor("GetCapabilities")[0])
        cpu = capabilities.find("host/cpu")
        if cpu.find("model") is None:
            self.skipTest("the emulator has no model that this machine could be")
        text = ElementTree.tostring(cpu, encoding="unicode")
        self.assertEqual(self.client.hypervisor("CompareCPU", GLib.Variant("(sa{sv})", (text, {}))), ("identical", []))
        again = self.client.hypervisor("BaselineCPU", GLib.Variant("(asa{sv})", ([text], {})))[0]
        self.assertEqual(self.client.hypervisor("CompareCPU", GLib.Variant("(sa{sv})", (again, {}))), ("identical", []))


if __name__ == "__main__":
    unittest.main()
